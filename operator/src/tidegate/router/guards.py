"""A model's policy as Envoy takes it: retries, limits, ejections, and the rate at which it is asked. Pure.

Promise: nothing here lets another revision answer, or hides from the judge what a model answers.
"""

from tidegate.model.route_policy import DEFAULT_ATTEMPTS, OutlierDetection, RateLimit, RoutePolicy
from tidegate.router import xds_pb2 as pb
from tidegate.router.xds import TYPE

MOST_UNDER_WAY = 4096
"""Of connections, of requests, and of those that wait for a connection, where a model says nothing else."""
MOST_RETRIES = 1024
FEWEST_RETRIES = 3
"""That a budget leaves, however little is under way."""


def retry_policy(attempts: int = DEFAULT_ATTEMPTS) -> pb.RetryPolicy:
    """A try on another pod of the same revision is safe only while the request can't have reached a model.

    Plain `reset` is left out, because a request that kills its model server would then kill one pod after another.
    Other revisions are never tried: that would hide a candidate's errors from the judge.
    """
    previous_hosts = pb.RetryHostPredicate(
        name="envoy.retry_host_predicates.previous_hosts",
        typed_config=pb.Any(type_url=TYPE + "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"),
    )
    return pb.RetryPolicy(
        retry_on="connect-failure,refused-stream,reset-before-request",
        num_retries=pb.UInt32(value=attempts),
        retry_host_predicate=[previous_hosts],
        # Each attempt is one random pick that may fall on a pod already tried: with two pods, half of them do. Five
        # would leave one retry in sixty on the dead pod, thirty none.
        host_selection_retry_max_attempts=30,
    )


def thresholds(policy: RoutePolicy) -> pb.Thresholds:
    """How much one revision has under way at most. What is more is answered 503, and counts as its failure."""
    breaker, budget = policy.circuit_breaker, policy.retries and policy.retries.budget_percent
    most = pb.Thresholds(
        max_connections=pb.UInt32(value=(breaker and breaker.max_connections) or MOST_UNDER_WAY),
        max_pending_requests=pb.UInt32(value=(breaker and breaker.max_pending_requests) or MOST_UNDER_WAY),
        max_requests=pb.UInt32(value=(breaker and breaker.max_parallel_requests) or MOST_UNDER_WAY),
        max_retries=pb.UInt32(value=MOST_RETRIES),
    )
    if budget:
        percent, fewest = pb.Percent(value=budget), pb.UInt32(value=FEWEST_RETRIES)
        most.retry_budget.CopyFrom(pb.RetryBudget(budget_percent=percent, min_retry_concurrency=fewest))
    return most


def outlier_detection(wanted: OutlierDetection) -> pb.OutlierDetection:
    """Ejects pods that can't be reached, and no others.

    An answer ejects nobody: with one or two pods that would hide a model's errors from the judge, or turn them into
    "no healthy upstream".
    """
    never = pb.UInt32(value=0)
    return pb.OutlierDetection(
        interval=pb.Duration(seconds=int(wanted.interval.total_seconds())),
        base_ejection_time=pb.Duration(seconds=int(wanted.base_ejection_time.total_seconds())),
        max_ejection_percent=pb.UInt32(value=wanted.max_ejection_percent),
        enforcing_consecutive_5xx=never,
        enforcing_success_rate=never,
        split_external_local_origin_errors=True,
        consecutive_local_origin_failure=pb.UInt32(value=wanted.consecutive_errors),
        enforcing_local_origin_success_rate=never,
    )


def rate_limit(limit: RateLimit, model: str) -> pb.Any:
    """The configuration of the listener's filter for one model. `model` is its name in the counters."""
    always = pb.RuntimeFractionalPercent(default_value=pb.FractionalPercent(numerator=100, denominator=pb.HUNDRED))
    bucket = pb.TokenBucket(
        max_tokens=limit.burst,
        tokens_per_fill=pb.UInt32(value=limit.requests),
        fill_interval=pb.Duration(seconds=limit.unit.seconds),
    )
    wanted = pb.LocalRateLimit(stat_prefix=model, token_bucket=bucket, filter_enabled=always, filter_enforced=always)
    return pb.Any(
        type_url=TYPE + "extensions.filters.http.local_ratelimit.v3.LocalRateLimit", value=wanted.SerializeToString()
    )
