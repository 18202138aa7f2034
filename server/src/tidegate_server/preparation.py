"""Everything that can fail before anybody may connect: the model opened, warmed up, measured, and self-tested."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tidegate_server.access.authenticator import Authenticator
from tidegate_server.access.certificates import Certificates
from tidegate_server.cgroup import available_cores, cpu_quota, memory_limit, usable_cpus
from tidegate_server.errors import ModelFailed, ModelRefused
from tidegate_server.held_bytes import most_held_bytes
from tidegate_server.inference.accepted_inputs import Refused, find_accepted
from tidegate_server.inference.execution_plan import process_count
from tidegate_server.inference.model import Model, sha256_of
from tidegate_server.inference.model_size import require_room
from tidegate_server.inference.provider_check import Difference, differences
from tidegate_server.inference.providers import VARIABLE
from tidegate_server.inference.trial_runs import TrialBounds, TrialRuns
from tidegate_server.inference.warm_up import Findings, WarmUpOptions, run_once, run_samples, warm_up
from tidegate_server.memory import physical_bytes, resident_bytes, tune_malloc
from tidegate_server.predict.package import Package, open_package
from tidegate_server.predict.text_encoder import RunSharing
from tidegate_server.protocol.padding import Padding
from tidegate_server.protocol.tensors import Array
from tidegate_server.selftest import require_selftest, require_tokens
from tidegate_server.settings import Settings

log = logging.getLogger(__name__)

MAX_SEARCH_SECONDS = 3.0
"""For inputs that the model takes on the CPU, before a provider has it."""


@dataclass(frozen=True)
class Prepared:
    """`sha256` of the model's file, lower case hex."""

    model: Model
    findings: Findings
    package: Package
    sha256: str
    authenticator: Authenticator
    certificates: Certificates | None = None


def prepare(settings: Settings) -> Prepared:
    """Opens, warms up and measures. Raises ModelRefused and BadSetting."""
    tune_malloc()
    certificates = Certificates.from_settings(settings.tls)
    require_room(settings.model_path, resident_bytes(), memory_limit())
    sha256 = _digest(settings)
    model = Model.open(settings.model_path, providers=settings.providers, options=settings.session_options)
    package = open_package(settings.model_path.parent, model.signature, model.metadata)
    options = WarmUpOptions(
        cpus=_cpus(settings),
        max_rows=settings.batch_max_rows,
        linger_seconds=settings.batch_linger_seconds,
        threads_per_run=settings.threads_per_run,
        memory_limit=memory_limit() or physical_bytes(),
    )
    limits = settings.limits(takes_missing_values=model.takes_missing_values)
    real = package.real_requests(model.signature, limits)
    tried = _taken_by_cpu(model, real, settings)
    model, findings = _warmed_up(model, options, tried, package.padding)
    if findings.signature != model.signature:
        package = open_package(settings.model_path.parent, findings.signature, model.metadata)
    _check_providers(model, findings, tried, settings)
    package = _sharing_runs(package, findings)
    require_tokens(model, package, real)
    run_samples(model, package.sample_requests(model.signature, limits))
    require_selftest(model, package, limits)
    return Prepared(model, findings, package, sha256, Authenticator.from_settings(settings.access), certificates)


def prepare_worker(settings: Settings, findings: Findings) -> Prepared:
    """Opens and runs the model once; what can be found out has been found out by the primary."""
    tune_malloc()
    threads = findings.plan.layout.threads_per_run
    model = Model.open(settings.model_path, threads, settings.providers, settings.session_options)
    run_once(model, findings.accepted)
    package = open_package(settings.model_path.parent, findings.signature, model.metadata)
    limits = settings.limits(takes_missing_values=model.takes_missing_values)
    run_samples(model, package.sample_requests(model.signature, limits))
    package = _sharing_runs(package, findings)
    authenticator, certificates = Authenticator.from_settings(settings.access), Certificates.from_settings(settings.tls)
    return Prepared(model, findings, package, _digest(settings), authenticator, certificates)


def count_processes(settings: Settings, prepared: Prepared) -> int:
    """How many processes share the port, the primary among them."""
    if settings.processes is not None:
        return settings.processes
    if settings.providers:
        return 1  # each process would have the model on the device
    plan, size = prepared.findings.plan, prepared.model.file.bytes
    return process_count(plan, _cpus(settings), size, resident_bytes(), memory_limit())


def _warmed_up(
    model: Model, options: WarmUpOptions, real: Sequence[Mapping[str, Array]], padding: Padding | None
) -> tuple[Model, Findings]:
    try:
        return warm_up(model, options, real, padding)
    except ModelFailed as error:
        by = f" on {model.providers[0].name}" if model.providers else ""
        sentence = f"the model fails{by} on inputs that it has answered before: {str(error)[:150]}"
        raise ModelRefused("UnsupportedModel", sentence) from None


def _taken_by_cpu(
    model: Model, real: Sequence[Mapping[str, Array]], settings: Settings
) -> Sequence[Mapping[str, Array]]:
    """A provider may answer what nobody should send, so what the CPU takes is tried first on it."""
    if not _has_to_be_checked(model, settings):
        return real
    runs = TrialRuns(model.on_cpu(), TrialBounds(MAX_SEARCH_SECONDS, memory_limit()))
    accepted = find_accepted(runs, model.signature, real)
    return real if isinstance(accepted, Refused) else [accepted.arrays, *real]


def _has_to_be_checked(model: Model, settings: Settings) -> bool:
    """There are providers, they are to be looked at, and there is memory for the model on the CPU too."""
    if not settings.providers or settings.provider_check == "off":
        return False
    limit = memory_limit()
    if limit is not None and resident_bytes() + 2 * model.file.bytes > limit:
        log.warning(
            "there is no memory for the model on the CPU too, so nothing shows that %s computes right", VARIABLE
        )
        return False
    return True


def _check_providers(model: Model, findings: Findings, real: Sequence[Mapping[str, Array]], settings: Settings) -> None:
    """Raises ModelRefused where what computes the model answers otherwise than the CPU, and that matters."""
    if settings.providers:
        log.info("%s", model.runtime)
    if not _has_to_be_checked(model, settings):
        return
    if findings.accepted is None:
        log.warning("no inputs are known that the model takes, so nothing shows that %s computes right", VARIABLE)
        return
    found = differences(model, model.on_cpu(), findings.accepted, real)
    judge(found, model.providers[0].name, settings.provider_check)


def judge(found: Sequence[Difference], name: str, check: str) -> None:
    """What TIDEGATE_PROVIDER_CHECK says follows for the provider of that name. Raises ModelRefused."""
    for difference in found:
        if check == "refuse" or (check == "Auto" and difference.is_grave):
            raise ModelRefused(
                "ProviderDiffers",
                f"{name} computes otherwise than the CPU: {difference.words}; leave {VARIABLE} out, "
                "or set TIDEGATE_PROVIDER_CHECK to warn",
            )
        log.warning("%s computes otherwise than the CPU: %s", name, difference.words)


def _sharing_runs(package: Package, findings: Findings) -> Package:
    """Texts of one request go by the same plan as those of several."""
    return package.with_sharing(RunSharing(findings.plan.max_rows, findings.padding))


def share_of_memory(settings: Settings, processes: int) -> Settings:
    """What each of the processes may hold."""
    given, body = settings.max_held_bytes, settings.max_body_bytes
    share = most_held_bytes(memory_limit(), processes, body) if given is None else max(1, given // processes)
    return replace(settings, max_held_bytes=share)


def _digest(settings: Settings) -> str:
    """Raises ModelRefused for a file that isn't the one that was asked for, before anything of it is opened."""
    path, wanted = settings.model_path, settings.model_sha256
    if not path.is_file():
        return ""  # opening it says what is wrong
    found = sha256_of(path)
    if wanted not in ("", found):
        raise ModelRefused(
            "WrongDigest", f"the sha256 of {path} is {found}, not {wanted}; correct TIDEGATE_MODEL_SHA256 or the file"
        )
    return found


def _cpus(settings: Settings) -> int:
    return settings.cpus or usable_cpus(cpu_quota(), available_cores(), settings.cpu_request)
