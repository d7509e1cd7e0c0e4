"""`serve` and `worker` as processes: their logs, their metrics, and where these are told."""

import json
import random
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen

import httpx
import pytest

from s2b2c.config import resource
from tests.commands import cli, start

PATIENCE_S = 60


def _free_ports() -> tuple[int, int]:
    """One, and one with a free port above it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
        for below in random.sample(range(20_000, 30_000), 1_000):
            with socket.socket() as first, socket.socket() as second:
                if first.connect_ex(("127.0.0.1", below)) and second.connect_ex(("127.0.0.1", below + 1)):
                    return port, below
    raise AssertionError("every port is taken")


@contextmanager
def _running(url: str, port: int, metrics_port: int, form: str) -> Iterator[list[Popen[str]]]:
    settings = {"S2B2C_PORT": str(port), "S2B2C_METRICS_PORT": str(metrics_port), "S2B2C_LOG": form}
    processes = [start(url, name, **settings) for name in ("serve", "worker")]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _answer(url: str) -> httpx.Response:
    """Once there is one."""
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        try:
            return httpx.get(url, timeout=10, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(url)


def _values(port: int) -> dict[str, float]:
    answer = _answer(f"http://127.0.0.1:{port}/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


@pytest.mark.parametrize("form", ["json", "text"])
def test_what_operations_cost_is_told_in_the_log_and_to_prometheus(database_url: str, form: str) -> None:
    port, metrics_port = _free_ports()
    query = (resource("graphql") / "operations" / "shop" / "Storefront.graphql").read_text("utf-8")
    with _running(database_url, port, metrics_port, form) as (serve, worker):
        assert _answer(f"http://127.0.0.1:{port}/ready").status_code == 200
        body = {"query": query, "variables": {"slug": "zhang-13800001234"}}
        for number in range(2):
            headers = {"X-Request-Id": f"0123456789abcdef{number}"}
            httpx.post(f"http://127.0.0.1:{port}/graphql", json=body, headers=headers, trust_env=False)
        assert httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).status_code == 404
        values = _values(metrics_port)
        of_worker = _values(metrics_port + 1)
        for process in (serve, worker):
            process.terminate()
        said = [process.communicate(timeout=PATIENCE_S) for process in (serve, worker)]
    assert values['s2b2c_operations_total{operation="shop/Storefront",outcome="OK"}'] == 2
    assert values['s2b2c_pool_connections_max{pool="serve"}'] == 10
    assert values["s2b2c_database_up"] == of_worker["s2b2c_database_up"] == 1
    assert of_worker['s2b2c_pool_connections_max{pool="events"}'] == 2
    assert values["process_resident_memory_bytes"] > 0
    assert [said[0][0], *said[1]] == ["", "", ""]
    if form == "text":
        assert said[0][1] == ""
        return
    told = [json.loads(line) for line in said[0][1].splitlines()]
    for line in told:
        assert line.pop("at").startswith("20")
        assert line.pop("ms") > 0
    expected = {"level": "INFO", "logger": "s2b2c.api.telemetry", "message": "answered", "statements": 1}
    expected |= {"operation": "shop/Storefront", "account_id": None, "role": None, "outcome": "OK", "status": 200}
    assert told == [expected | {"request_id": f"0123456789abcdef{number}"} for number in range(2)]


def test_a_port_that_is_taken_is_one_line(database_url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for command, metrics_port in (("serve", port), ("worker", port - 1)):
            said = cli(database_url, command, code=1, S2B2C_METRICS_PORT=str(metrics_port))
            assert said == (
                f"s2b2c: cannot serve metrics on 127.0.0.1:{port} (Address already in use): set S2B2C_METRICS_PORT\n"
            )
