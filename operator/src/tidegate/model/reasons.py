"""Every word that machines read: phases, outcomes, policies, and the reasons of conditions, Events and verdicts.

`docs/modeldeployment.md` explains each of them; a test keeps it so. Pods bring reasons of their own (Kubernetes', and
those that a model server gives when it ends), which are strings.
"""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class StatusMessage:
    """A CamelCase reason for machines, and a sentence with the numbers for people."""

    reason: str
    message: str


class Phase(StrEnum):
    """Where a ModelDeployment stands, for the printed column; scripts read the conditions."""

    STARTING = "Starting"
    CANARY = "Canary"
    BLUE_GREEN = "BlueGreen"
    PROMOTING = "Promoting"
    HELD = "Held"
    PAUSED = "Paused"
    WAITING_FOR_APPROVAL = "WaitingForApproval"
    LIVE = "Live"
    ROLLED_BACK = "RolledBack"
    FAILED = "Failed"
    INVALID = "Invalid"


class Outcome(StrEnum):
    """How a rollout ended, in the history."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"
    ABORTED = "Aborted"


class Policy(StrEnum):
    """What happens where the judge can't decide."""

    HOLD = "Hold"
    PROMOTE = "Promote"
    ROLLBACK = "Rollback"
    IGNORE = "Ignore"


class ConditionType(StrEnum):
    """The conditions of a ModelDeployment, as kstatus has them."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    ROUTE_CAUTION = "RouteCaution"
    """Only there while something of the route is told of."""
    REFERENCE_CAUTION = "ReferenceCaution"
    INPUT_CAUTION = "InputCaution"
    """Only there while something of the name that is followed is told of."""


class Reason(StrEnum):
    """Reasons that the operator gives itself, grouped by what they are about."""

    # Ready
    STABLE_SERVING = "StableServing"
    STABLE_DEGRADED = "StableDegraded"
    NO_PODS_READY = "NoPodsReady"
    ROUTE_NOT_APPLIED = "RouteNotApplied"
    ROUTE_REFUSED = "RouteRefused"
    HOSTNAME_TAKEN = "HostnameTaken"
    NO_REVISION = "NoRevision"
    SCALED_TO_ZERO = "ScaledToZero"
    # nothing under way, or nothing in the way
    IDLE = "Idle"
    PROGRESSING = "Progressing"
    # a rollout that moves
    ROLLOUT_STARTED = "RolloutStarted"
    CANARY_STEP = "CanaryStep"
    PROMOTING = "Promoting"
    VERIFYING = "Verifying"
    SWITCHED = "Switched"
    KEEPING_OLD = "KeepingOld"
    BAKING = "Baking"
    RETURNING = "Returning"
    TRAFFIC_RESTORED = "TrafficRestored"
    ROUTE_EDITED = "RouteEdited"
    # a rollout that waits for people
    WAITING_FOR_APPROVAL = "WaitingForApproval"
    STEP_PAUSED = "StepPaused"
    # stable's pods are replaced, as somebody asked for
    RESTARTING = "Restarting"
    # a rollout that waits for its world
    PODS_STARTING = "PodsStarting"
    PODS_NOT_READY = "PodsNotReady"
    SCALING_UP = "ScalingUp"
    REPLICA_FAILURE = "ReplicaFailure"
    IMAGE_VOLUMES_OFF = "ImageVolumesOff"
    PAUSED = "Paused"
    MIN_DURATION = "MinDuration"
    SHARE_NOT_SEEN = "ShareNotSeen"
    SHARE_UNLIKE_WEIGHT = "ShareUnlikeWeight"
    WEIGHTS_IGNORED = "WeightsIgnored"
    WAITING_FOR_ZERO_TRAFFIC = "WaitingForZeroTraffic"
    NO_READY_POD = "NoReadyPod"
    # a rollout that waits for one of spec.gates
    GATE_ASKED = "GateAsked"
    GATE_REFUSED = "GateRefused"
    GATE_FAILED = "GateFailed"
    # a verdict: worse
    ERROR_RATE_WORSE = "ErrorRateWorse"
    ERROR_RATE_ABOVE_CEILING = "ErrorRateAboveCeiling"
    SLICE_WORSE = "SliceWorse"
    LATENCY_WORSE = "LatencyWorse"
    LATENCY_ABOVE_CEILING = "LatencyAboveCeiling"
    ONE_POD_WORSE = "OnePodWorse"
    PREDICTIONS_DIFFER = "PredictionsDiffer"
    QUERY_BEYOND_LIMIT = "QueryBeyondLimit"
    # a verdict: acceptable
    NO_WORSE = "NoWorse"
    # a verdict: not enough evidence
    MORE_REQUESTS_NEEDED = "MoreRequestsNeeded"
    NO_REQUESTS = "NoRequests"
    NO_ROLLOUT = "NoRollout"
    SETTLING = "Settling"
    NO_LATENCY_TO_COMPARE_WITH = "NoLatencyToCompareWith"
    SUSPICION_OF_WORSE = "SuspicionOfWorse"
    STABLE_UNWELL = "StableUnwell"
    CONSTANT_OUTPUT = "ConstantOutput"
    INPUTS_DIFFER = "InputsDiffer"
    INPUTS_TOO_FEW = "InputsTooFew"
    QUERY_UNUSABLE = "QueryUnusable"
    QUERY_PENDING = "QueryPending"
    LOAD_DIFFERS = "LoadDiffers"
    LOAD_HIGH = "LoadHigh"
    # a verdict: cannot see
    METRICS_UNAVAILABLE = "MetricsUnavailable"
    NO_ROUTER_SERIES = "NoRouterSeries"
    NO_SERVER_SERIES = "NoServerSeries"
    SCRAPE_INTERVAL_DIFFERS = "ScrapeIntervalDiffers"
    HISTOGRAMS_DIFFER = "HistogramsDiffer"
    COUNTERS_WENT_BACK = "CountersWentBack"
    COUNTED_TWICE = "CountedTwice"
    SAMPLES_TOO_OLD = "SamplesTooOld"
    PROMETHEUS_REPLICAS_DIFFER = "PrometheusReplicasDiffer"
    MATCHERS_MATCH_NOTHING = "MatchersMatchNothing"
    CATCHING_UP = "CatchingUp"
    ROUTER_SILENT = "RouterSilent"
    SOURCES_DIFFER = "SourcesDiffer"
    ROUTE_CROSSES_REVISIONS = "RouteCrossesRevisions"
    RETRIES_HIDE_FAILURES = "RetriesHideFailures"
    COUNTED_BY_SERVERS = "CountedByServers"
    REQUESTS_UNMARKED = "RequestsUnmarked"
    FILTER_IGNORED = "FilterIgnored"
    # what ends a rollout without statistics
    CANDIDATE_CRASHED = "CandidateCrashed"
    SIGNATURE_CHANGED = "SignatureChanged"
    FILES_DIFFER = "FilesDiffer"
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    EVIDENCE_ACCEPTABLE = "EvidenceAcceptable"
    RETURNED = "Returned"
    PROMOTED_BY_HAND = "PromotedByHand"
    SPEC_RETURNED_TO_STABLE = "SpecReturnedToStable"
    NEWER_SPEC = "NewerSpec"
    STRATEGY_CHANGED = "StrategyChanged"
    # Events only
    LIVE = "Live"
    STABLE_ADOPTED = "StableAdopted"
    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"
    ABORTED = "Aborted"
    APPROVED = "Approved"
    SKIPPED = "Skipped"
    RETRIED = "Retried"
    RESTARTED = "Restarted"
    CONTROL_REFUSED = "ControlRefused"
    OUTLOOK = "Outlook"
    TRAFFIC_TOO_LOW = "TrafficTooLow"
    NOISY_STABLE = "NoisyStable"
    METRICS_SEEN = "MetricsSeen"
    TEMPLATE_CHANGED = "TemplateChanged"
    DRY_RUN_FAILED = "DryRunFailed"
    DRY_RUN_INCONCLUSIVE = "DryRunInconclusive"
    TWO_OPERATORS = "TwoOperators"
    NO_WAY_BACK = "NoWayBack"
    CLOCK_JUMPED = "ClockJumped"
    DISRUPTIONS_FORBIDDEN = "DisruptionsForbidden"
    OTHER_DISRUPTION_BUDGET = "OtherDisruptionBudget"
    SCALED_BY_OTHERS = "ScaledByOthers"
    RECORD_NOT_KEPT = "RecordNotKept"
    NOTIFICATION_FAILED = "NotificationFailed"
    CONFIG_UNUSABLE = "ConfigUnusable"
    REFERENCE_MOVED = "ReferenceMoved"
    REFERENCE_UNSETTLED = "ReferenceUnsettled"
    REFERENCE_UNKNOWN = "ReferenceUnknown"
    CONFIG_HELD = "ConfigHeld"
    SIGNATURE_UNKNOWN = "SignatureUnknown"
    ANSWERS_NOT_COMPARED = "AnswersNotCompared"
    # the operator can't make sense of the spec
    INVALID_SPEC = "InvalidSpec"
    # writes that the API server doesn't take
    WRITE_REFUSED = "WriteRefused"
    WRITE_FAILED = "WriteFailed"
    NAME_TAKEN = "NameTaken"
    PREDECESSOR_REMAINS = "PredecessorRemains"
    # what the operator says of pods that say nothing themselves
    UNSCHEDULABLE = "Unschedulable"
    CONTAINER_FAILED = "ContainerFailed"
    SERVER_FAILED = "ServerFailed"
    FETCH_FAILED = "FetchFailed"
