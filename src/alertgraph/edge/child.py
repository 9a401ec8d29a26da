"""A process of our own, kept running: started again when it ends, and ended with us, however we end.

The child holds the reading end of a pipe as its standard input. Nothing is ever written to it: it ends when we do,
also by kill -9, on every system, and then so does the child (`parent_watched`).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import sys
import threading
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import structlog

from alertgraph.core.hint import pause_before
from alertgraph.services.ports import Clock, Dice

# With this status the child asks to be started again at once: what it lacked has come.
EXIT_AGAIN = 75
PAUSE_MIN = timedelta(seconds=1)
PAUSE_MAX = timedelta(minutes=1)
# Who lived this long was well: the next pause is a short one again.
STEADY_AFTER = timedelta(minutes=1)
STOP_WITHIN = timedelta(seconds=12)
# The child's own bound, from being told to end to the end.
END_WITHIN = timedelta(seconds=10)
LOCK_EVERY = timedelta(seconds=5)
NICENESS = 10


class Child:
    """Runs a command for as long as it is wanted; of several with one lock, one does.

    Args:
        name: For the log.
        arguments: Of the command.
        environment: All of its variables.
        lock: A file that whoever runs it holds; None where any number may.
        clock: For pauses.
        dice: For pauses.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        lock: Path | None,
        clock: Clock,
        dice: Dice,
    ) -> None:
        self._name = name
        self._arguments = tuple(arguments)
        self._environment = dict(environment)
        self._lock_path = lock
        self._lock: int | None = None
        self._clock = clock
        self._dice = dice
        self._log = structlog.get_logger("alertgraph")
        self._process: Process | None = None
        self._starting: asyncio.Future[Process] | None = None
        self.restart_count = 0
        self.said = f"the {name} is about to be started"

    @property
    def pid(self) -> int | None:
        """Of the process that runs at present; None where none does."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def run(self) -> NoReturn:
        """Keep it running, until cancelled; `stop` afterwards."""
        await self._await_turn()
        failed_count = 0
        while True:
            began_at = self._clock.now()
            status = await self._run_once()
            if status == EXIT_AGAIN:
                failed_count = 0
                self._log.info(f"the {self._name} has what it lacked, and is started anew")
                self.restart_count += 1
                continue
            lived = self._clock.now() - began_at
            failed_count = 1 if lived >= STEADY_AFTER else failed_count + 1
            pause = pause_before(failed_count, self._dice.fraction(), PAUSE_MIN, PAUSE_MAX)
            self.said = (
                f"the {self._name} ended {_how(status)} and is started again, {failed_count} times in a row so far"
            )
            self._log.warning(
                f"the {self._name} ended {_how(status)}; it is started again",
                seconds=round(pause.total_seconds(), 1),
            )
            await self._clock.sleep(pause)
            self.restart_count += 1

    def kill(self, why: str) -> None:
        """End it without more ado, so that it is started again."""
        process = self._process
        if process is not None and process.returncode is None:
            self._log.warning(f"the {self._name} is killed: {why}", pid=process.pid)
            with contextlib.suppress(ProcessLookupError):
                process.kill()

    async def stop(self) -> None:
        """End it, and have it save what it has; in bounded time."""
        if self._starting is not None:
            with contextlib.suppress(OSError):
                self._process = await self._starting
        process, self._process = self._process, None
        if process is not None and process.returncode is None and not await _ended(process):
            self._log.warning(f"the {self._name} did not end in time, and was killed")
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _await_turn(self) -> None:
        """Return once nobody else runs it; where no lock can be made, any number may."""
        if self._lock_path is None:
            return
        try:
            self._lock_path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self._log.warning(f"{self._lock_path} can't be made ({error.strerror}): the {self._name} runs without")
            return
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self.said = f"another process on this machine runs the {self._name}"
                await self._clock.sleep(LOCK_EVERY)
            else:
                return

    async def _run_once(self) -> int:
        """Start it and return its exit status; negative for the signal that ended it."""
        self.said = f"the {self._name} is starting"
        self._starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                sys.executable,
                *self._arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                env=self._environment,
            )
        )
        try:
            # Where we are cancelled at this moment, `stop` ends what is being started.
            process = self._process = await asyncio.shield(self._starting)
        except OSError as error:
            self._log.warning(f"the {self._name} can't be started", error=str(error))
            return -signal.SIGABRT
        self._starting = None
        return await process.wait()


async def carried_out(
    arguments: Sequence[str], environment: Mapping[str, str], within: timedelta
) -> tuple[int, str]:
    """Run a command of ours once, which watches its parent, and return its exit status and what it complained of.

    The status is negative for a signal's. Where the caller is cancelled the command is ended, too.

    Args:
        arguments: Of this Python.
        environment: All of its variables.
        within: Then it is ended.

    Raises:
        OSError: It can't be started.
        TimeoutError: It was not done by then.
    """
    child = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=dict(environment),
        )
    )
    try:
        async with asyncio.timeout(within.total_seconds()):
            process = await asyncio.shield(child)
            assert process.stderr is not None, "a pipe was asked for"
            said = await process.stderr.read()
            return await process.wait(), said.decode(errors="replace")
    finally:
        process = await child
        if process.returncode is None:
            await _ended(process)


async def _ended(process: Process) -> bool:
    """End a process, and return whether it did so when it was asked to."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_WITHIN.total_seconds()):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        return False
    return True


def _how(status: int) -> str:
    if status < 0:
        try:
            return f"by {signal.Signals(-status).name}"
        except ValueError:
            return f"by signal {-status}"
    return f"with status {status}"


def parent_watched(end: Callable[[], None] | None = None) -> None:
    """Begin to end this process when its parent does, or ten seconds after it was told to end.

    Args:
        end: Called when the parent is gone, on a thread of its own; SIGTERM to ourselves where left out.
    """
    os.nice(NICENESS)
    if hasattr(os, "SCHED_BATCH"):
        # Who has work for seconds takes no processor from somebody who answers a request just because it wakes.
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    # The terminal tells the whole group; it is our parent who tells us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 1024):
                pass
        if end is not None:
            end()
        else:
            os.kill(os.getpid(), signal.SIGTERM)
        force_end_later()

    threading.Thread(target=watch, name="parent watch", daemon=True).start()


def force_end_later() -> None:
    """End this process without more ado if it is still there after ten seconds; returns then at the latest."""
    time.sleep(END_WITHIN.total_seconds())
    os._exit(1)
