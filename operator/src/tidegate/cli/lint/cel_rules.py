"""The CRD's rules by a real evaluator of CEL, where the extra `lint` is installed."""

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

from tidegate.resources.crd_schema import Holds

FUNCTIONS: dict[str, Callable[..., Any]] = {
    # Kubernetes' own additions to CEL, as far as our rules use them.
    "replace": lambda text, old, new: text.replace(old, new),
    "isSorted": lambda items: all(one <= other for one, other in pairwise(items)),
}


def cel_rules() -> Holds | None:
    """Whether a rule holds for a value; None where nothing here understands CEL.

    What the evaluator fails at holds: the API server has the last word.
    """
    try:
        import cel
    except ImportError:
        return None
    compiled = cache(cel.compile)

    def holds(rule: str, value: Any) -> bool:
        context = cel.Context()
        context.add_variable("self", value)
        for name, function in FUNCTIONS.items():
            context.add_function(name, function)
        try:
            return compiled(rule).execute(context) is not False
        except (RuntimeError, ValueError, TypeError, LookupError):
            return True

    return holds
