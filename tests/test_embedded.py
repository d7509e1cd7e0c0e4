"""The embedded server through every death that can befall it and its users."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from s2b2c import embedded
from s2b2c.config import CHECKOUT

A_USER = """
import signal, sys
from pathlib import Path
from s2b2c import embedded
signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background of a shell it is ignored
with embedded.server(Path(sys.argv[1]), durable=sys.argv[2] == "True") as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def data() -> Iterator[Path]:
    """A data directory in a folder with a difficult name, which also the user that root becomes can reach."""
    folder = Path(tempfile.mkdtemp(prefix="s2b2c 供货-"))
    folder.chmod(0o755)
    yield folder / "pg"
    if (folder / "pg" / "postmaster.pid").exists():
        with embedded.server(folder / "pg"):
            pass
    shutil.rmtree(folder)


@contextmanager
def a_user(data: Path, *, durable: bool = False, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process inside `server`, and the URL it got; it leaves when its standard input ends."""
    command = [sys.executable, "-X", "utf8", "-c", A_USER, str(data), str(durable)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        cwd=CHECKOUT,
        env={"PATH": os.defpath, **environment},
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()


def ask(url: str, *statements: str) -> Any:
    """Commits the statements; the scalar of the last one, if it returns rows."""

    async def answer() -> Any:
        engine = create_async_engine(url, poolclass=NullPool)
        async with engine.begin() as connection:
            for statement in statements:
                result = await connection.execute(text(statement))
        return result.scalar() if result.returns_rows else None

    return asyncio.run(answer())


def postmaster(data: Path) -> int:
    return int((data / "postmaster.pid").read_text().split("\n", 1)[0])


def listens(data: Path) -> bool:
    return embedded._listens(embedded._place(data))


def test_starts_and_stops(data: Path) -> None:
    with embedded.server(data, durable=False) as url:
        ask(url, "CREATE TABLE kept AS SELECT 1 AS number")
        assert ask(url, "SHOW data_directory") == str(data)
        assert ask(url, "SHOW listen_addresses") == ""
        assert ask(url, "SHOW fsync") == "off"
        assert ask(url, "SELECT upper('é')") == "É"
        assert ask(url, "SELECT concat(datlocprovider, datlocale) FROM pg_database LIMIT 1") == "bC.UTF-8"
        folder = embedded._place(data).socket_dir
        assert len(str(folder)) < 60
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not listens(data)
    assert not folder.exists()
    with embedded.server(data) as url:
        assert ask(url, "SELECT number FROM kept") == 1
        assert ask(url, "SHOW fsync") == "on"


def test_the_last_of_two_users_stops_it(data: Path) -> None:
    with a_user(data) as (other, url):
        with embedded.server(data, durable=False) as own:
            assert own == url
        assert ask(url, "SELECT 1") == 1
        other.communicate("")
        assert other.returncode == 0
    assert not listens(data)


def test_two_folders_have_two_servers(data: Path) -> None:
    with (
        embedded.server(data, durable=False) as one,
        embedded.server(data.with_name("two"), durable=False) as two,
    ):
        assert ask(one, "SHOW data_directory") == str(data)
        assert ask(two, "SHOW data_directory") == str(data.with_name("two"))


def test_an_orphan_is_taken_over(data: Path) -> None:
    """SIGKILL of the one process that would have stopped it."""
    with a_user(data) as (other, url):
        began = ask(url, "SELECT pg_postmaster_start_time()")
        other.kill()
        other.wait()
        assert listens(data)
        with embedded.server(data, durable=False) as own:
            assert ask(own, "SELECT pg_postmaster_start_time()") == began
    assert not listens(data)


def test_a_killed_server_comes_back_with_what_was_committed(data: Path) -> None:
    with embedded.server(data) as url:
        ask(url, "CREATE TABLE kept AS SELECT 7 AS number")
        os.kill(postmaster(data), signal.SIGKILL)
        with embedded.server(data) as again:  # the first is still inside
            assert ask(again, "SELECT number FROM kept") == 7
        assert ask(url, "SELECT number FROM kept") == 7
    assert not listens(data)


def test_backends_that_outlive_a_killed_server_are_waited_for(data: Path) -> None:
    """One that is busy in a loop does not notice that its postmaster and its client are gone, and holds the memory."""
    busy = "DO $$ BEGIN WHILE clock_timestamp() < now() + interval '8 seconds' LOOP END LOOP; END $$"
    with a_user(data, durable=True) as (other, url):
        ask(url, "CREATE TABLE kept AS SELECT 7 AS number")
        client = subprocess.Popen(
            [
                embedded._place(data).programs / "psql",
                "-h",
                embedded._place(data).socket_dir,
                "-U",
                "postgres",
                "-c",
                busy,
            ],
            stderr=subprocess.DEVNULL,
        )
        while not ask(url, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO%' AND state = 'active'"):
            time.sleep(0.05)
        for pid in (postmaster(data), other.pid, client.pid):
            os.kill(pid, signal.SIGKILL)
        client.wait()
        with embedded.server(data, durable=False) as own:
            assert ask(own, "SELECT number FROM kept") == 7
    assert "shared memory block" in data.with_name("pg.log").read_text()


def test_a_pid_file_with_the_pid_of_a_stranger(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with embedded.server(data):
        left = (data / "postmaster.pid").read_text()
    monkeypatch.setattr(embedded, "_STALE_AFTER_S", 0.3)
    cluster = embedded._place(data)
    as_owner = {"user": cluster.uid} if os.geteuid() == 0 else {}
    with subprocess.Popen(["/bin/sleep", "60"], **as_owner) as stranger:  # type: ignore[call-overload]
        (data / "postmaster.pid").write_text(left.replace(left.split("\n")[0], str(stranger.pid), 1))
        with embedded.server(data) as url:
            assert ask(url, "SELECT 1") == 1
        assert stranger.poll() is None
        stranger.kill()
    assert "lock file" in data.with_name("pg.log").read_text()


def test_the_environment_does_not_reach_the_server(data: Path) -> None:
    with a_user(data, LC_COLLATE="xx_YY.none", LC_MESSAGES="zh_CN.GB18030", PGPORT="1", PGDATA="/nowhere") as (
        other,
        url,
    ):
        assert url.startswith("postgresql+asyncpg://")
        other.communicate("")
        assert other.returncode == 0


def test_ctrl_c_reaches_us_and_not_the_server(data: Path) -> None:
    with a_user(data) as (other, _):
        os.killpg(other.pid, signal.SIGINT)
        other.wait(timeout=120)
    assert not listens(data)
    assert data.with_name("pg.log").read_text().count("received fast shutdown request") == 1
    with embedded.server(data):
        pass
    assert "not properly shut down" not in data.with_name("pg.log").read_text()


def test_an_interrupted_initdb_leaves_no_half(data: Path) -> None:
    command = [sys.executable, "-X", "utf8", "-c", A_USER, str(data), "False"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=CHECKOUT) as other:
        while not list(data.parent.glob("pg.new-*/base")):
            time.sleep(0.005)
        other.kill()
    assert not data.exists()
    with embedded.server(data, durable=False) as url:
        assert ask(url, "SELECT 1") == 1


def test_a_fork_that_leaves_does_not_stop_it(data: Path) -> None:
    with embedded.server(data, durable=False) as url:
        forking = (
            "import os, sys; from pathlib import Path; from s2b2c import embedded\n"
            "with embedded.server(Path(sys.argv[1])):\n"
            "    child = os.fork()\n"
            "    if child: os.waitpid(child, 0); sys.stdin.read()\n"
        )
        subprocess.run([sys.executable, "-c", forking, data], input=b"", cwd=CHECKOUT, check=True)
        assert ask(url, "SELECT 1") == 1


def test_root_takes_a_user_who_can_reach_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Only root cannot be the server's user, and `tmp_path` is a folder only its owner can enter."""
    tmp_path.chmod(0o700)
    data = tmp_path / "pg"
    moved = embedded._place(data).data
    with embedded.server(data, durable=False) as url:
        assert ask(url, "SHOW data_directory") == str(moved)
    said = capfd.readouterr().err
    assert tmp_path.stat().st_mode & 0o777 == 0o700
    if os.geteuid() == 0:
        assert said.count("\n") == 1
        assert "refuses root" in said
        assert str(moved) in said
        assert not data.exists()
        shutil.rmtree(moved.parent)
    else:
        assert (said, moved) == ("", data)


def refusal(data: Path) -> str:
    with pytest.raises(embedded.EmbeddedServerError) as raised, embedded.server(data):
        pass
    assert "\n" not in str(raised.value)
    assert "S2B2C_DATABASE_URL" in str(raised.value)
    return str(raised.value)


def test_refusals_say_what_to_do(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data.parent / "a file").write_text("")
    assert "File exists" in refusal(data.parent / "a file" / "pg")

    folder = embedded._place(data).socket_dir
    folder.symlink_to(data.parent)
    assert "not a private folder" in refusal(data)
    folder.unlink()

    (data / "PG_VERSION").write_text("9\n")
    assert "incompatible with server" in refusal(data)

    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert "this platform has no embedded PostgreSQL" in refusal(data)
