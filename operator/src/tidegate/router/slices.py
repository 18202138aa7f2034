"""In which cell Envoy counts a request, by its headers. Pure.

Envoy counts a request once more, beside its cluster's own counters, under the name that a header of its own gives it:
so a cell's counters are those of the same pools, retries and failures. A tree of exact values sets that header.
"""

from collections.abc import Sequence

from tidegate.model.slices import Slices, cell_name
from tidegate.router import xds_pb2 as pb
from tidegate.router.xds import TYPE

COUNTED_AS = "x-envoy-upstream-alt-stat-name"
"""Envoy's router takes it away. Clients may not send it: see the listener's early mutations."""
_HEADER_INPUT = TYPE + "type.matcher.v3.HttpRequestHeaderMatchInput"


def cells(slices: Slices) -> pb.Any:
    """The configuration of the listener's filter for one model."""
    wanted = pb.ExtensionWithMatcherPerRoute(xds_matcher=_tree(slices, ()).matcher)
    return pb.Any(
        type_url=TYPE + "extensions.common.matching.v3.ExtensionWithMatcherPerRoute",
        value=wanted.SerializeToString(deterministic=True),
    )


def _tree(slices: Slices, at: Sequence[int]) -> pb.CellOnMatch:
    """A level for each slice; a leaf where all are decided."""
    if len(at) == len(slices):
        return pb.CellOnMatch(action=_counted_as(cell_name(slices, at)))
    here = slices[len(at)]
    header = pb.AnyHeaderInput(type_url=_HEADER_INPUT, value=pb.HeaderInput(header_name=here.header))
    listed = {value: _tree(slices, (*at, index)) for index, value in enumerate(here.values)}
    tree = pb.CellTree(input=pb.MatchInput(name="header", typed_config=header), exact_match_map=pb.CellMap(map=listed))
    others = _tree(slices, (*at, len(here.values)))
    return pb.CellOnMatch(matcher=pb.CellMatcher(matcher_tree=tree, on_no_match=others))


def _counted_as(cell: str) -> pb.TypedExtension:
    named = pb.HeaderValueOption(
        header=pb.HeaderValue(key=COUNTED_AS, value=cell), append_action=pb.OVERWRITE_IF_EXISTS_OR_ADD
    )
    mutation = pb.HeaderMutationFilter(
        mutations=pb.HeaderMutations(request_mutations=[pb.HeaderMutation(append=named)])
    )
    executed = pb.TypedExtension(
        name="cell", typed_config=_any("extensions.filters.http.header_mutation.v3.HeaderMutation", mutation)
    )
    action = pb.ExecuteFilterAction(typed_config=executed)
    return pb.TypedExtension(
        name="cell", typed_config=_any("extensions.filters.http.composite.v3.ExecuteFilterAction", action)
    )


def _any(kind: str, message: pb.HeaderMutationFilter | pb.ExecuteFilterAction) -> pb.Any:
    return pb.Any(type_url=TYPE + kind, value=message.SerializeToString(deterministic=True))
