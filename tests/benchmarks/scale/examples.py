"""Made-up figures, of which every goal is met."""

from benchmarks.scale.figures import Measured, OperatorFigures, RouterFigures, Spread

OPERATOR = OperatorFigures(
    created=6.0,
    live=30.0,
    live_cpu=12.0,
    resident=150 * 2**20,
    peak=170 * 2**20,
    idle_millicores=3.0,
    idle_calls={"get leases": 20, "update leases": 20},
    idle_watches=6,
    rolling=50,
    rolling_looks=10.0,
    rolling_late=Spread(0.01, 0.3, 450),
    rolling_took=Spread(0.02, 0.1, 450),
    rolling_cores=0.4,
    rolling_writes=2.5,
    rolling_calls={"patch modeldeployments/status": 75},
    rolling_resident=180 * 2**20,
)
ROUTER = RouterFigures(
    started=4.0,
    changes=1260,
    rate=20.0,
    agent_cpu=0.001,
    envoy_cpu=0.0005,
    idle_millicores=2.0,
    change=Spread(0.02, 0.1, 120),
    shift=Spread(0.03, 0.12, 60),
    unseen=0,
    written=0.0,
    sent=700.0,
    agent_resident=60 * 2**20,
    envoy_resident=90 * 2**20,
    direct=Spread(0.0005, 0.002, 8000),
    routed=Spread(0.0007, 0.0025, 8000),
)
THIS = Measured("", 1000, OPERATOR, ROUTER)
