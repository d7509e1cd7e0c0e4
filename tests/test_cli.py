"""The commands as a user runs them: real processes on a real database."""

import asyncio
import json
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openpyxl
import pytest

from s2b2c.db import Database
from s2b2c.imports.kinds import KINDS
from tests.commands import cli, kill_during, snapshot_of, start
from tests.databases import as_owner
from tests.imports import WORLD, changed, load_world, write_csv

SAMPLE = Path("seed/sample").resolve()
_FIRST_QUERY = re.search(r"-d '\n(.*?)'\n```\n\n```json\n(.*?)\n```", Path("README.md").read_text("utf-8"), re.DOTALL)
assert _FIRST_QUERY is not None
README_QUERY, README_ANSWER = _FIRST_QUERY.groups()


@pytest.fixture
async def world(db: Database, tmp_path: Path) -> Path:
    """A folder with the files of WORLD, all imported but the orders."""
    await load_world(db, tmp_path, until="plans")
    write_csv(tmp_path / "orders.csv", WORLD["orders"])
    return tmp_path


def test_the_main_job_by_hand(database_url: str, world: Path) -> None:
    assert cli(database_url, "import", "orders", str(world / "orders.csv")) == "orders.csv: 3 rows, 7 new, 0 changed\n"
    assert "2 ranked, 0 in the tail" in cli(
        database_url, "rank", "run", "--from", "2026-09-01", "--to", "2026-10-01", "--dry-run"
    )
    assert re.search(
        r"in the tail, run \d+\n", cli(database_url, "rank", "run", "--from", "2026-09-01", "--to", "2026-10-01")
    )
    settled = cli(database_url, "settle", "run", "--until", "2026-10-01")
    assert "17.85" in settled  # 11.87 + 5.98 of the leader
    assert "79.00" in settled  # 52.00 + 27.00 of supply
    assert "Nothing matured" in cli(database_url, "settle", "run", "--until", "2026-10-01")
    assert "lies in the future" not in settled
    assert cli(database_url, "settle", "approve", "1", code=1) == (
        "s2b2c: The run is draft, not reviewed: read it again.\n"
    )
    assert cli(database_url, "settle", "review", "1") == (
        "Run 1 is reviewed: its payees see their statements, and somebody else approves it.\n"
    )
    first, second = world / "first.csv", world / "second.csv"
    for path in (first, second):
        assert "6 lines" in cli(database_url, "export", "statement-detail", "1", "--format", "csv", "--out", str(path))
    assert first.read_bytes() == second.read_bytes()
    cli(
        database_url,
        "export",
        "statement-detail",
        "1",
        "--format",
        "xlsx",
        "--out",
        str(world / "run.xlsx"),
        "--language",
        "en",
    )
    sheet = openpyxl.load_workbook(world / "run.xlsx").worksheets[0]
    assert sheet["A1"].value == "Payee kind"
    assert "Every invariant holds." in cli(database_url, "audit")


def test_a_catalogue_goes_out_and_in_again(database_url: str, world: Path) -> None:
    """With its stock and in UTF-8 it is the file that was imported, byte for byte but for the mark of Excel."""
    out = world / "out.csv"
    command = ["export", "catalogue", "--brand", "绒溪小厨", "--out", str(out)]
    assert cli(database_url, *command, "--with-stock").endswith("out.csv (2 variants)\n")
    assert out.read_bytes() == b"\xef\xbb\xbf" + (world / "catalogue.csv").read_bytes()
    cli(database_url, *command, "--encoding", "gb18030")
    assert cli(database_url, "import", "catalogue", str(out)) == "out.csv: 2 rows, 0 new, 0 changed\n"


def test_a_bad_file_is_listed_and_the_command_fails(database_url: str, world: Path) -> None:
    bad = write_csv(world / "bad.csv", changed("orders", 1, quantity="-3"))
    for words in (["--dry-run"], []):
        said = cli(database_url, "import", "orders", str(bad), *words, code=1)
        assert said == (
            "bad.csv:2: quantity: is not a whole number from 1 to 1000000: '-3'\n"
            "bad.csv: 1 problem, nothing was imported\n"
            "s2b2c: 1 of 1 files refused\n"
        )
    good = cli(database_url, "import", "orders", str(world / "orders.csv"), "--dry-run")
    assert good == "orders.csv: 3 rows, all of them right; nothing was written\n"
    assert cli(database_url, "import", "orders", str(world / "orders.csv")).startswith("orders.csv: 3 rows, 7 new")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["settle", "run", "--until", "2999-01-01"], "lies in the future"),
        (["rank", "run", "--from", "2026-09-01", "--to", "2026-09-01"], "has no day"),
        (["export", "statement-detail", "7", "--out", "x.csv"], "There is no settlement run 7."),
        (["export", "catalogue", "--brand", "无名", "--out", "x.csv"], "No brand is named 无名."),
        (["token", "brand", "--brand", "无名"], "无名"),
        (["token", "brand"], "brand"),
        (["import", "orders", "missing.csv"], "missing.csv:1: cannot be opened: No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_one_line(database_url: str, words: list[str], said: str) -> None:
    assert said in cli(database_url, *words, code=1)


def test_a_database_that_cannot_be_used_is_one_line(server_url: str, database_url: str) -> None:
    assert "s2b2c: the database or a file failed: " in cli("postgresql://nobody@127.0.0.1:1/none", "audit", code=1)
    assert "S2B2C_DATABASE_URL: " in cli("mysql://x", "audit", code=1)
    assert "run `s2b2c migrate` first" in cli(server_url, "audit", code=1)
    assert "S2B2C_PORT: " in cli(database_url, "serve", code=1, S2B2C_PORT="80000")


def test_schema_and_help(database_url: str) -> None:
    assert cli(database_url, "schema").strip().endswith("graphql/schema.graphql")
    said = cli(database_url, "--help")
    assert [word for word in ("import", "rank", "settle", "export", "audit", "token", "up") if word not in said] == []


async def test_killed_halfway_and_run_again_is_one_clean_run(database_url: str, other_database_url: str) -> None:
    """The process dies while the server copies, accrues and posts; the next run ends where a clean one does."""
    for kind in KINDS:
        path = str(SAMPLE / f"{kind}.csv")
        if kind == "orders":
            for statement in ("INSERT INTO order_lines", "One row for each position", "The split of what was paid"):
                await kill_during(database_url, statement, "import", kind, path)
        for url in (database_url, other_database_url):
            cli(url, "import", kind, path)
    assert await snapshot_of(database_url) == await snapshot_of(other_database_url)
    assert "Every invariant holds." in cli(database_url, "audit")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _up(url: str, port: int) -> Iterator[subprocess.Popen[str]]:
    process = start(url, "up", S2B2C_PORT=str(port))
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _said_until_served(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if "/graphql" in line:
            return said
    raise AssertionError(said)


def _served(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _gone_within(port: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while _served(port) and time.monotonic() < end:
        time.sleep(0.05)
    return not _served(port)


def test_up_runs_the_main_job_and_serves_until_ctrl_c(database_url: str) -> None:
    port = _free_port()
    with _up(database_url, port) as process:
        said = _said_until_served(process)
        assert "orders.csv: 6,926 rows, 11,386 new" in said
        assert all(heading in said for heading in ("Ranking 排名", "Settlement 结算", "Statement 结算单"))
        assert len(re.findall(r"settlement-1\.\w+ \([\d,]+ lines, sha256 \w{64}\)", said)) == 2
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/graphql", README_QUERY.encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310  our own address
            assert json.load(answer) == json.loads(README_ANSWER)
        busy = cli(database_url, "up", code=1, S2B2C_PORT=str(port))
        assert (
            busy
            == f"s2b2c: cannot listen on 127.0.0.1:{port} (Address already in use); choose another port: S2B2C_PORT={port + 1} make run\n"
        )
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) == 130
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert not _served(port)
    # The tail of the first run; its network.csv still calls the two active, and one on watch who was cleared.
    assert cli(database_url, "rank", "act", "1") == "Run 1: 2 struck, 0 of them with a notice, 1 cleared.\n"
    with _up(database_url, port) as process:
        again = _said_until_served(process)
        assert "orders.csv: imported before" in again
        watched = asyncio.run(
            as_owner(database_url, "SELECT code FROM distributors WHERE state = 'watch' ORDER BY code")
        )
        assert watched == [("GD-FS",), ("GD-FS-02",)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=120) == 128 + signal.SIGTERM
        assert not _served(port)


def test_children_end_when_their_parent_is_killed(database_url: str) -> None:
    port = _free_port()
    with _up(database_url, port) as process:
        _said_until_served(process)
        process.kill()
        assert _gone_within(port, 20)
