"""`make bench`: every benchmark, one after the other, each with its tables; exits non-zero when a limit was broken.

`python -m tests.bench --sample` does it on little data, and without limits; `python -m tests.bench.accrual` does one.
"""

from tests.bench import (
    accrual,
    catalogue,
    checkout,
    clamp,
    concurrency,
    exports,
    offboarding,
    ordering,
    ranking,
    scaling,
    selecting,
    settling,
    storefront,
)
from tests.bench.server import run_alone


async def bench(server_url: str, sample: bool) -> list[str]:  # noqa: FBT001  all benchmarks are called alike
    broken = []
    for one in (
        storefront,
        selecting,
        catalogue,
        clamp,
        ordering,
        checkout,
        accrual,
        settling,
        exports,
        offboarding,
        ranking,
        concurrency,
        scaling,
    ):
        print(f"\n{one.__name__.rpartition('.')[2]}", flush=True)
        broken += await one.bench(server_url, sample)
    return broken


if __name__ == "__main__":
    run_alone(bench, __doc__)
