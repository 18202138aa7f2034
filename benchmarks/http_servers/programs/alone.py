"""The handler without any server, called over and over for the seconds given; says as JSON what a call takes."""

import sys
from pathlib import Path
from statistics import quantiles
from time import perf_counter, process_time

import orjson
from handler import answer

BLOCK = 200


def measure(body: bytes, seconds: float) -> dict[str, float]:
    answer(body)
    times: list[float] = []
    began, cpu = perf_counter(), process_time()
    while (now := perf_counter()) < began + seconds:
        for _ in range(BLOCK):
            answer(body)
            times.append(-now + (now := perf_counter()))
    took, cpu = perf_counter() - began, process_time() - cpu
    cuts = quantiles(times, n=100)
    return {
        "per_second": len(times) / took,
        "cpu_us": cpu / len(times) * 1e6,
        "p50_ms": cuts[49] * 1e3,
        "p99_ms": cuts[98] * 1e3,
    }


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(measure(Path(sys.argv[1]).read_bytes(), float(sys.argv[2]))))
