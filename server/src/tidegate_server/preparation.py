"""Everything that can fail before anybody may connect: the model opened, warmed up, measured, and self-tested."""

from dataclasses import dataclass, replace

from tidegate_server.access.authenticator import Authenticator
from tidegate_server.cgroup import available_cores, cpu_quota, memory_limit, usable_cpus
from tidegate_server.errors import ModelRefused
from tidegate_server.held_bytes import most_held_bytes
from tidegate_server.inference.execution_plan import process_count
from tidegate_server.inference.model import Model, sha256_of
from tidegate_server.inference.model_size import require_room
from tidegate_server.inference.warm_up import Findings, WarmUpOptions, run_once, warm_up
from tidegate_server.memory import physical_bytes, resident_bytes, tune_malloc
from tidegate_server.predict.package import Package, open_package
from tidegate_server.predict.text_encoder import RunSharing
from tidegate_server.selftest import require_selftest, require_tokens
from tidegate_server.settings import Settings


@dataclass(frozen=True)
class Prepared:
    """`sha256` of the model's file, lower case hex."""

    model: Model
    findings: Findings
    package: Package
    sha256: str
    authenticator: Authenticator


def prepare(settings: Settings) -> Prepared:
    """Opens, warms up and measures. Raises ModelRefused and BadSetting."""
    tune_malloc()
    require_room(settings.model_path, resident_bytes(), memory_limit())
    sha256 = _digest(settings)
    model = Model.open(settings.model_path)
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
    model, findings = warm_up(model, options, real, package.padding)
    if findings.signature != model.signature:
        package = open_package(settings.model_path.parent, findings.signature, model.metadata)
    package = _sharing_runs(package, findings)
    require_tokens(model, package, real)
    require_selftest(model, package, limits)
    return Prepared(model, findings, package, sha256, Authenticator.from_settings(settings.access))


def prepare_worker(settings: Settings, findings: Findings) -> Prepared:
    """Opens and runs the model once; what can be found out has been found out by the primary."""
    tune_malloc()
    model = Model.open(settings.model_path, findings.plan.layout.threads_per_run)
    run_once(model, findings.accepted)
    package = open_package(settings.model_path.parent, findings.signature, model.metadata)
    package = _sharing_runs(package, findings)
    return Prepared(model, findings, package, _digest(settings), Authenticator.from_settings(settings.access))


def count_processes(settings: Settings, prepared: Prepared) -> int:
    """How many processes share the port, the primary among them."""
    if settings.processes is not None:
        return settings.processes
    plan, size = prepared.findings.plan, prepared.model.file.bytes
    return process_count(plan, _cpus(settings), size, resident_bytes(), memory_limit())


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
