"""Processor time of processes, as it is."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from bench.machine import cpu_seconds

BURN = "import time\nwhile time.process_time() < {seconds}: pass\n"
AND_WAIT = "import sys\nprint(flush=True)\nsys.stdin.read()"


def test_what_a_process_uses_is_counted_finely() -> None:
    before, own = cpu_seconds(os.getpid()), time.process_time()
    until = own + 0.003
    while time.process_time() < until:
        pass

    used = cpu_seconds(os.getpid()) - before

    assert 0.003 <= used <= time.process_time() - own + 0.002


def test_children_are_counted_where_they_are_asked_for_running_or_ended() -> None:
    parent = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {BURN.format(seconds=0.2)!r}])
running = subprocess.Popen([sys.executable, "-c", {BURN.format(seconds=0.3) + AND_WAIT!r}], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE)
running.stdout.readline()
print(flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        alone, together = cpu_seconds(process.pid), cpu_seconds(process.pid, children=True)
        process.communicate()

    assert together - alone >= 0.45


def test_a_process_that_has_ended_used_nothing_more() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()

    assert cpu_seconds(process.pid, children=True) == 0.0
