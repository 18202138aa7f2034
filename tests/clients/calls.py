"""Other projects' own clients, each with the call of its own quick start, unchanged but for the address.

Runs in an environment of their own: `make clients` makes it, starts the servers, and reads what is printed here.
"""

import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

TEXTS = ["Anna lives", "Bonn"]
ROW = [0.0, 0.0, 5.0, 1.0]
SCORES = [0.0, 0.0, 5.0]
GOOD = "A warm, funny and beautifully acted film."


@dataclass(frozen=True)
class Servers:
    """Addresses without a scheme: of models for vectors, that classifies texts, for numbers, and of two inputs."""

    words: str
    sentiment: str
    digits: str
    digits_grpc: str
    sums_grpc: str
    vectors: list[list[float]]
    """Of TEXTS."""

    def are_vectors(self, found: Any) -> bool:
        """To what base64 and JSON keep of FP32."""
        return bool(np.allclose(np.array(found, np.float64), np.array(self.vectors), atol=1e-6))


@dataclass(frozen=True)
class Call:
    """`words`: what the client's user writes. `answers` is true for a right answer."""

    package: str
    words: str
    answers: Callable[[Servers], Any]


CALLS: list[Call] = []


def call(package: str, words: str) -> Callable[[Callable[[Servers], Any]], Callable[[Servers], Any]]:
    """Registers what follows."""

    def register(answers: Callable[[Servers], Any]) -> Callable[[Servers], Any]:
        CALLS.append(Call(package, words, answers))
        return answers

    return register


@call("openai", "OpenAI(base_url=.../v1).embeddings.create(model=..., input=[...])")
def _(servers: Servers) -> Any:
    from openai import OpenAI

    client = OpenAI(base_url=f"http://{servers.words}/v1", api_key="any")
    answer = client.embeddings.create(model="text-embedding-3-small", input=TEXTS)
    as_floats = client.embeddings.create(model="words", input=TEXTS[0], encoding_format="float")
    return (
        servers.are_vectors([entry.embedding for entry in answer.data])
        and np.allclose(as_floats.data[0].embedding, servers.vectors[0], atol=1e-6)
        and answer.usage.total_tokens == 7
    )


@call("openai", "client.models.list(), client.models.retrieve(NAME)")
def _(servers: Servers) -> Any:
    from openai import OpenAI

    client = OpenAI(base_url=f"http://{servers.words}/v1", api_key="any")
    return [model.id for model in client.models.list()] == ["words"] and client.models.retrieve("words").id == "words"


@call("langchain-openai", "OpenAIEmbeddings(check_embedding_ctx_length=False).embed_documents([...])")
def _(servers: Servers) -> Any:
    from langchain_openai import OpenAIEmbeddings

    client = OpenAIEmbeddings(
        base_url=f"http://{servers.words}/v1", api_key="any", model="words", check_embedding_ctx_length=False
    )
    return servers.are_vectors(client.embed_documents(TEXTS)) and servers.are_vectors(
        [client.embed_query(text) for text in TEXTS]
    )


@call("llama-index-embeddings-openai-like", "OpenAILikeEmbedding(...).get_text_embedding_batch([...])")
def _(servers: Servers) -> Any:
    from llama_index.embeddings.openai_like import OpenAILikeEmbedding

    client = OpenAILikeEmbedding(model_name="words", api_base=f"http://{servers.words}/v1", api_key="any")
    return servers.are_vectors(client.get_text_embedding_batch(TEXTS))


@call("llama-index-embeddings-openai", "OpenAIEmbedding(model_name=...).get_text_embedding(...)")
def _(servers: Servers) -> Any:
    from llama_index.embeddings.openai import OpenAIEmbedding

    client = OpenAIEmbedding(model_name="words", api_base=f"http://{servers.words}/v1", api_key="any")
    return servers.are_vectors([client.get_text_embedding(text) for text in TEXTS])


@call("huggingface-hub", "InferenceClient(base_url=...).feature_extraction(...)")
def _(servers: Servers) -> Any:
    from huggingface_hub import InferenceClient

    client = InferenceClient(base_url=f"http://{servers.words}/")
    return servers.are_vectors(np.concatenate([client.feature_extraction(text) for text in TEXTS]))


@call("huggingface-hub", "InferenceClient(base_url=...).text_classification(...)")
def _(servers: Servers) -> Any:
    from huggingface_hub import InferenceClient

    client = InferenceClient(base_url=f"http://{servers.sentiment}/")
    return [one.label for one in client.text_classification(GOOD)] == ["positive", "negative"]


@call("mlflow", "ScoringServerClient(...).invoke(DataFrame), .invoke(array), .ping()")
def _(servers: Servers) -> Any:
    import pandas
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    host, _, port = servers.digits.rpartition(":")
    client = ScoringServerClient(host, int(port))
    client.ping()
    frame = pandas.DataFrame([ROW, ROW], columns=list("abcd"))
    found = [client.invoke(given).get_predictions() for given in (frame, np.array([ROW, ROW], np.float32))]
    return all([row["label"] for row in each.to_dict("records")] == [2, 2] for each in found)


@call("mlflow", 'requests.post(".../invocations", json={"dataframe_split": df.to_dict(orient="split")})')
def _(servers: Servers) -> Any:
    import pandas
    import requests

    frame = pandas.DataFrame([ROW], columns=list("abcd"))
    bodies: list[dict[str, Any]] = [
        {"dataframe_split": frame.to_dict(orient="split")},
        {"dataframe_records": frame.to_dict(orient="records")},
        {"instances": [ROW]},
        {"inputs": {"pixels": [ROW]}},
    ]
    url = f"http://{servers.digits}/invocations"
    csv = requests.post(url, data=frame.to_csv(index=False), headers={"Content-Type": "text/csv"}, timeout=10)
    answers = [*(requests.post(url, json=body, timeout=10) for body in bodies), csv]
    return all(answer.json() == {"predictions": [{"label": 2, "scores": SCORES}]} for answer in answers)


@call("tritonclient", "http.InferenceServerClient(...).infer(NAME, [InferInput(...)])")
def _(servers: Servers) -> Any:
    from tritonclient import http

    with http.InferenceServerClient(servers.digits) as client:
        given = http.InferInput("pixels", [1, 4], "FP32")
        given.set_data_from_numpy(np.array([ROW], np.float32))
        found = client.infer("digits", [given], model_version="1").as_numpy("scores")
        index = client.get_model_repository_index()
    return found.tolist() == [SCORES] and index[0]["name"] == "digits"


@call("tritonclient", "grpc.InferenceServerClient(...).infer(...), .get_model_repository_index()")
def _(servers: Servers) -> Any:
    from tritonclient import grpc

    with grpc.InferenceServerClient(servers.digits_grpc) as client:
        given = grpc.InferInput("pixels", [1, 4], "FP32")
        given.set_data_from_numpy(np.array([ROW], np.float32))
        found = client.infer("digits", [given]).as_numpy("scores")
        (model,) = client.get_model_repository_index().models
    return found.tolist() == [SCORES] and (model.name, model.state) == ("digits", "READY")


@call("kserve", "InferenceRESTClient(protocol v1).infer(...), .is_model_ready(...)")
def _(servers: Servers) -> Any:
    import asyncio

    from kserve import InferenceRESTClient, RESTConfig

    async def ask() -> Any:
        client = InferenceRESTClient(RESTConfig(protocol="v1"))
        url = f"http://{servers.digits}"
        answer = await client.infer(url, {"instances": [ROW]}, model_name="digits")
        return answer, await client.is_model_ready(url, "digits")

    answer, is_ready = asyncio.run(ask())
    return answer == {"predictions": [{"label": 2, "scores": SCORES}]} and is_ready


@call("kserve", "InferenceRESTClient(protocol v2).infer(...), .is_server_ready(...)")
def _(servers: Servers) -> Any:
    import asyncio

    from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

    async def ask() -> Any:
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        url = f"http://{servers.digits}"
        given = InferInput("pixels", [1, 4], "FP32", data=[ROW])
        answer = await client.infer(url, InferRequest("digits", [given]), model_name="digits")
        return answer, await client.is_server_ready(url), await client.is_server_live(url)

    answer, *health = asyncio.run(ask())
    found = next(output for output in answer.outputs if output.name == "scores")
    return found.as_numpy().tolist() == [SCORES] and all(health)


@call("kserve", "InferenceGRPCClient(...).infer(InferRequest(...)), raw")
def _(servers: Servers) -> Any:
    import asyncio

    from kserve import InferenceGRPCClient, InferInput, InferRequest

    async def ask() -> Any:
        client = InferenceGRPCClient(servers.digits_grpc)
        given = InferInput("pixels", [1, 4], "FP32")
        given.set_data_from_numpy(np.array([ROW], np.float32), binary_data=True)
        answer = await client.infer(InferRequest("digits", [given]))
        return answer, await client.is_model_ready("digits")

    answer, is_ready = asyncio.run(ask())
    found = next(output for output in answer.outputs if output.name == "scores")
    return found.as_numpy().tolist() == [SCORES] and is_ready


@call("kserve", "InferenceGRPCClient(...).infer(InferRequest(...)), one input raw and one typed")
def _(servers: Servers) -> Any:
    import asyncio

    from kserve import InferenceGRPCClient, InferInput, InferRequest

    async def ask() -> Any:
        raw, typed = InferInput("a", [1, 2], "FP32"), InferInput("b", [1, 2], "FP32")
        raw.set_data_from_numpy(np.array([[1, 2]], np.float32), binary_data=True)
        typed.set_data_from_numpy(np.array([[10, 20]], np.float32), binary_data=False)
        request = InferRequest("sums", [raw, typed])
        message = request.to_grpc()
        client = InferenceGRPCClient(servers.sums_grpc)
        answer = await client.infer(request)
        return len(message.raw_input_contents), answer.outputs[0].as_numpy().tolist()

    return asyncio.run(ask()) == (1, [[11.0, 22.0]])


@call("grpcio-reflection", "ProtoReflectionDescriptorDatabase(channel).get_services()")
def _(servers: Servers) -> Any:
    import grpc
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

    with grpc.insecure_channel(servers.digits_grpc) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        names = database.get_services()
        file = database.FindFileContainingSymbol("inference.GRPCInferenceService")
    return "inference.GRPCInferenceService" in names and file.package == "inference"


@call("grpcio-health-checking", "HealthStub(channel).Check(HealthCheckRequest(service=NAME))")
def _(servers: Servers) -> Any:
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(servers.digits_grpc) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        answer = stub.Check(health_pb2.HealthCheckRequest(service="digits"))
    return answer.status == health_pb2.HealthCheckResponse.SERVING


@call("requests", 'Seldon: requests.post(".../api/v1.0/predictions", json={"data": {"ndarray": [...]}})')
def _(servers: Servers) -> Any:
    import requests

    url = f"http://{servers.digits}/api/v1.0/predictions"
    answer = requests.post(url, json={"data": {"ndarray": [ROW]}}, timeout=10).json()
    return answer["data"]["ndarray"] == [SCORES]


def _result(one: Call, servers: Servers) -> str:
    try:
        return "right" if one.answers(servers) else "WRONG"
    except Exception as error:  # noqa: BLE001 - whatever a client raises is its result
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def main() -> None:
    """Takes the servers as JSON, and prints a JSON list of the calls of the packages that are installed."""
    servers = Servers(**json.loads(sys.argv[1]))
    wanted = sys.argv[2:]
    assert all(math.isfinite(number) for vector in servers.vectors for number in vector)
    found = [
        {"client": one.package, "version": version(one.package), "call": one.words, "result": _result(one, servers)}
        for one in CALLS
        if one.package in wanted
    ]
    print(json.dumps(found))  # noqa: T201 - this is its answer


if __name__ == "__main__":
    main()
