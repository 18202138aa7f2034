"""Whether clients of one model can go on with another: what it takes, what it gives, what its classes are called. Pure.

Clients break where a request that was taken would be refused, or where an answer has other names, types, sizes or
labels. What isn't known of one of the two isn't compared.
"""

from collections.abc import Sequence

from tidegate.model.revision import Labels, ModelFacts, Tensor


def incompatibility(stable: ModelFacts, candidate: ModelFacts) -> str | None:
    """Why clients of `stable` would break on `candidate`, in one clause; None if they wouldn't.

    Every input must be there under its name and type and take at least the shapes that it took; no input may be added;
    every output must remain under its name and type, and not have another size where both say one; the classes must
    have the same names in the same order. More outputs, and names for classes that had none, break nobody.
    """
    return _takes_less(stable.inputs, candidate.inputs) or _gives_other(stable, candidate)


def _takes_less(stable: Sequence[Tensor], candidate: Sequence[Tensor]) -> str | None:
    wanted = {tensor.name: tensor for tensor in stable}
    offered = {tensor.name: tensor for tensor in candidate}
    if wanted.keys() != offered.keys():
        return f"it takes the inputs {_listed(candidate)}, stable takes {_listed(stable)}"
    for name, tensor in wanted.items():
        if not _takes(offered[name], tensor):
            return f"its input is {offered[name]}, stable's is {tensor}"
    return None


def _takes(offered: Tensor, wanted: Tensor) -> bool:
    if offered.datatype != wanted.datatype or len(offered.shape) != len(wanted.shape):
        return False
    return all(new in (-1, old) for new, old in zip(offered.shape, wanted.shape, strict=True))


def _gives_other(stable: ModelFacts, candidate: ModelFacts) -> str | None:
    answered = {tensor.name: tensor for tensor in candidate.outputs}
    for tensor in stable.outputs:
        other = answered.get(tensor.name)
        if other is None or other.datatype != tensor.datatype:
            return f"it gives the outputs {_listed(candidate.outputs)}, stable gives {_listed(stable.outputs)}"
        if _has_another_size(tensor, other):
            return f"its output is {other}, stable's is {tensor}"
    return _names_others(stable.labels, candidate.labels)


def _has_another_size(stable: Tensor, candidate: Tensor) -> bool:
    """Exporters often don't know an output's shape, so only sizes that both of them say are compared."""
    sizes = zip(stable.shape, candidate.shape, strict=False)
    is_same_rank = len(stable.shape) == len(candidate.shape)
    return is_same_rank and any(old != new and -1 not in (old, new) for old, new in sizes)


def _names_others(stable: Labels | None, candidate: Labels | None) -> str | None:
    if stable is None or candidate is None or not stable.count or stable.sha256 == candidate.sha256:
        return None
    if not candidate.count:
        return f"its classes have no labels, stable's are {_told(stable)}"
    for position, (old, new) in enumerate(zip(stable.first, candidate.first, strict=False)):
        if old != new:
            return f"{_how(stable, candidate)}: class {position} is {new!r}, on stable it is {old!r}"
    return f"it has {candidate.count:,} labels that aren't stable's {stable.count:,}: {_from_where(stable, candidate)}"


def _how(stable: Labels, candidate: Labels) -> str:
    are_all_known = len(stable.first) == stable.count and len(candidate.first) == candidate.count
    is_reordered = are_all_known and sorted(stable.first) == sorted(candidate.first)
    return "its labels are in another order" if is_reordered else "its labels are others"


def _from_where(stable: Labels, candidate: Labels) -> str:
    """Where the names begin to differ that were told as the same."""
    told = min(len(stable.first), len(candidate.first))
    if told < min(stable.count, candidate.count):
        return f"they differ after the first {told:,}"
    longer, what = (candidate, "new") if candidate.count > stable.count else (stable, "gone")
    return f"{longer.first[told]!r} is {what}" if len(longer.first) > told else f"some are {what}"


def _told(labels: Labels) -> str:
    more = ", …" if labels.count > len(labels.first) else ""
    return f"{', '.join(map(repr, labels.first))}{more}"


def _listed(tensors: Sequence[Tensor]) -> str:
    return ", ".join(map(str, tensors)) or "none"
