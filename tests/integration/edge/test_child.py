"""A process of our own, kept running: real processes, and pauses by a clock of the test's."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from alertgraph.edge.child import EXIT_AGAIN, PAUSE_MAX, Child, carried_out
from alertgraph.edge.clock import SystemClock
from tests.virtual import SeededDice, VirtualClock

SECOND = timedelta(seconds=1)
# Ends with its parent, as the learning process does, and says when it is there.
WATCHED = """
import pathlib, sys, time
from alertgraph.edge.child import parent_watched
parent_watched()
pathlib.Path(sys.argv[1]).write_text("up")
time.sleep(60)
"""


class World:
    def __init__(self, directory: Path) -> None:
        self.clock = VirtualClock()
        self.notes = directory / "notes"
        self.lock = directory / "lock"

    def child(self, program: str, *, lock: bool = False, is_real: bool = False) -> Child:
        return Child(
            "tested process",
            ("-c", program, str(self.notes)),
            dict(os.environ),
            self.lock if lock else None,
            SystemClock() if is_real else self.clock,
            SeededDice(),
        )

    def count(self) -> int:
        """Return how often the child has been started."""
        return self.notes.read_text().count("x") if self.notes.exists() else 0

    async def let(self, duration: timedelta) -> None:
        left = duration
        while left > timedelta(0):
            await asyncio.sleep(0.005)
            self.clock.advance(min(left, SECOND))
            left -= SECOND


@asynccontextmanager
async def running(child: Child) -> AsyncIterator[None]:
    task = asyncio.create_task(child.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        await child.stop()


async def until(is_so: Callable[[], bool], seconds: float = 20.0) -> None:
    """Return once it is so."""
    for _ in range(int(seconds / 0.02)):
        if is_so():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never was so")


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


COUNT = "import sys; open(sys.argv[1], 'a').write('x'); "


async def test_one_that_ends_is_started_again_ever_later(tmp_path: Path) -> None:
    world = World(tmp_path)
    child = world.child(COUNT + "sys.exit(3)")

    async with running(child):
        for expected in (1, 2, 3, 4):
            await until(lambda count=expected: world.count() == count and child.pid is None)  # type: ignore[misc]
            await asyncio.sleep(0.1)
            assert world.count() == expected
            assert child.restart_count == expected - 1
            assert "with status 3" in child.said
            await world.let(SECOND * (1 << (expected - 1)) + SECOND)
        await until(lambda: world.count() == 5)
        assert timedelta(minutes=1) == PAUSE_MAX


async def test_one_that_asks_to_be_started_anew_is_at_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    again = f"sys.exit({EXIT_AGAIN}) if open(sys.argv[1]).read().count('x') < 3 else __import__('time').sleep(60)"
    child = world.child(COUNT + again)

    async with running(child):
        await until(lambda: world.count() == 3)
        assert child.restart_count == 2


async def test_one_that_is_killed_is_started_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    child = world.child(COUNT + "__import__('time').sleep(60)")

    async with running(child):
        await until(lambda: world.count() == 1)
        pid = child.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: "by SIGKILL" in child.said)
        await world.let(2 * SECOND)
        await until(lambda: world.count() == 2)
        assert child.pid not in (None, pid)


async def test_at_the_end_nothing_is_left(tmp_path: Path) -> None:
    world = World(tmp_path)
    child = world.child(COUNT + "__import__('time').sleep(60)")

    async with running(child):
        await until(lambda: world.count() == 1)
        pid = child.pid
        assert pid is not None
    assert not is_alive(pid)
    # Also where it is ended while it is being started.
    async with running(child):
        await asyncio.sleep(0)
    assert child.pid is None


async def test_one_that_does_not_listen_is_killed(tmp_path: Path, monkeypatch: object) -> None:
    from alertgraph.edge import child as module

    world = World(tmp_path)
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); __import__('time').sleep(60)"
    child = world.child(
        "import sys; " + deaf.replace("__import__", "open(sys.argv[1], 'a').write('x'); __import__")
    )
    before, module.STOP_WITHIN = module.STOP_WITHIN, timedelta(milliseconds=300)
    try:
        async with running(child):
            await until(lambda: world.count() == 1)
            pid = child.pid
            assert pid is not None
    finally:
        module.STOP_WITHIN = before
    assert not is_alive(pid)


async def test_of_two_with_one_lock_one_runs(tmp_path: Path) -> None:
    world = World(tmp_path)
    program = COUNT + "__import__('time').sleep(60)"
    first, second = world.child(program, lock=True), world.child(program, lock=True)

    async with running(second):
        await until(lambda: world.count() == 1)
        async with running(first):
            await world.let(20 * SECOND)
            assert (world.count(), first.pid) == (1, None)
            assert "another process" in first.said
        assert second.pid is not None
    async with running(first):
        await until(lambda: world.count() == 2)


async def test_without_a_place_for_the_lock_it_runs_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    world = World(tmp_path)
    world.lock = tmp_path / "file" / "lock"
    child = world.child(COUNT + "__import__('time').sleep(60)", lock=True)

    async with running(child):
        await until(lambda: world.count() == 1)


async def test_a_command_is_carried_out_once_and_ends_with_who_asked(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    sleeper = (
        "-c",
        "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(60)",
        str(notes),
    )

    failing = ("-c", "import sys; sys.exit('it is broken')")
    assert await carried_out(failing, dict(os.environ), 20 * SECOND) == (1, "it is broken\n")
    with pytest.raises(TimeoutError):
        await carried_out(sleeper, dict(os.environ), SECOND)
    assert not is_alive(int(notes.read_text()))
    notes.unlink()
    task = asyncio.create_task(carried_out(sleeper, dict(os.environ), 60 * SECOND))
    await until(lambda: notes.exists() and notes.read_text() != "")
    task.cancel()
    await asyncio.wait({task})
    assert not is_alive(int(notes.read_text()))


def test_whoever_dies_takes_the_child_along(tmp_path: Path) -> None:
    """Kill -9 the parent: no handler of it runs, and the child ends all the same."""
    parent = f"""
import asyncio, os, pathlib, sys
from alertgraph.edge.child import Child
from alertgraph.edge.clock import SystemClock, SystemDice
arguments = ("-c", {WATCHED!r}, sys.argv[1] + "/up")
child = Child("child", arguments, dict(os.environ), None, SystemClock(), SystemDice())
async def main():
    task = asyncio.create_task(child.run())
    while child.pid is None:
        await asyncio.sleep(0.01)
    pathlib.Path(sys.argv[1], "pid").write_text(str(child.pid))
    await task
asyncio.run(main())
"""
    process = subprocess.Popen([sys.executable, "-c", parent, str(tmp_path)])
    try:
        wait_for(lambda: (tmp_path / "up").exists() and (tmp_path / "pid").exists())
        pid = int((tmp_path / "pid").read_text())
        assert is_alive(pid)
        assert os.getpriority(os.PRIO_PROCESS, pid) >= 10
    finally:
        process.kill()
        process.wait()

    wait_for(lambda: not is_alive(pid))


def wait_for(is_so: Callable[[], bool], seconds: float = 30.0) -> None:
    until_at = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until_at
        time.sleep(0.02)
