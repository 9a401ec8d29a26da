"""A peer that cannot be had is absent with a reason; one that can is installed once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast
from uuid import UUID

import pytest

from alertgraph.core.ids import TenantId
from bench import reads, writes
from bench.fill import Filled
from bench.installation import Installation, Measured, TenantWithKey
from bench.load import Load
from bench.peers.absent import AbsentError
from bench.peers.commands import install_once, must_run

LOAD = Load(
    count=100, failed=0, seconds=1.0, p50_ms=1, p99_ms=2, max_ms=3, answer_bytes=4, client_cpu_s=0.1, sample=""
)
MEASURED = Measured(LOAD, server_cpu_us=1, postgres_cpu_us=1, others_share=0, client_share=0.1)
REASON = "npm ci failed: no answer from the registry"


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: object) -> None:
        raise AbsentError(REASON)

    for peer in (writes.alerta, writes.alertmanager, reads.postgraphile):
        monkeypatch.setattr(peer, "start", start)


@pytest.mark.usefixtures("nothing_installed")
def test_writes_tell_of_absent_peers_and_guess_nothing(tmp_path: Path) -> None:
    creating = writes.Writes(cast("Installation", None), tmp_path, writes.QUICK, 1)
    creating._start_peers()
    for case, figures in creating._figures.items():
        if case.server not in creating._absent:
            figures.add(MEASURED, case.items)
    creating._half = [{"rate": 1.0, "p50_ms": 1.0, "p99_ms": 1.0, "max_ms": 1.0}]

    told = creating.told()

    assert told["absent"] == {"alertmanager": REASON, "alerta": REASON}
    assert told["peers"] == {}
    of_peers = [case for case in told["cases"] if "Alert" in case["name"].partition(",")[0]]
    assert len(of_peers) == 5
    assert all(case == {"group": case["group"], "name": case["name"], "absent": REASON} for case in of_peers)
    assert all("Alerta" not in case.get("ratios", {}) for case in told["cases"])
    assert creating.table().count(f"absent, {REASON}") == 5
    drawn = [bar for panel in told["plot"]["panels"] for bar in panel["bars"] if bar["spread"] is None]
    assert [bar["absent"] for bar in drawn] == [REASON] * 5


@pytest.mark.usefixtures("nothing_installed")
def test_reads_tell_of_absent_peers_and_guess_nothing(tmp_path: Path) -> None:
    filled = Filled(1000, [TenantWithKey(TenantId(UUID(int=1)), "filled-00", "secret")], [], {})
    reading = reads.Reads(cast("Installation", None), tmp_path, filled, reads.QUICK, 1)
    reading._start_peers()
    query = reading._query(
        "a list", reads.LIST, [{}], ["/alerts"], graphile=reads.GRAPHILE_LIST, alerta_path="/alerts"
    )
    reading._queries = [query]
    for server in ("alertgraph", "handwritten", "stock_queries"):
        reading._servers[server] = cast("reads.Server", None)
        reading._figures[query.name, server] = reads.Figures()
        reading._figures[query.name, server].add(MEASURED, MEASURED)

    told = reading.told()

    assert told["absent"] == {"PostGraphile 5": REASON, "Alerta": REASON}
    assert told["cases"][0]["Alerta"] == {"absent": REASON}
    assert set(told["cases"][0]["rate_ratios"]) == {"hand-written endpoint", "stock Strawberry"}
    assert reading.table().count(f"absent, {REASON}") == 2


def test_a_command_that_fails_says_which_and_why(tmp_path: Path) -> None:
    script = "import sys; print('ERROR: no such package', file=sys.stderr); print('try again'); sys.exit(1)"

    with pytest.raises(AbsentError, match=r"installing it failed: ERROR: no such package"):
        must_run("installing it", [sys.executable, "-c", script], tmp_path, {})


def test_a_command_that_is_not_there_is_an_absence(tmp_path: Path) -> None:
    with pytest.raises(AbsentError, match="could not be run"):
        must_run("installing it", [str(tmp_path / "none")], tmp_path, {})


def test_what_is_locked_is_installed_once_and_again_when_it_changes(tmp_path: Path) -> None:
    lock, into, calls = tmp_path / "lock", tmp_path / "into", []

    def install() -> None:
        into.mkdir(exist_ok=True)
        calls.append(lock.read_text())

    for text in ("one", "one", "two"):
        lock.write_text(text)
        install_once(lock, into, install)

    assert calls == ["one", "two"]


def test_what_could_not_be_installed_is_tried_again(tmp_path: Path) -> None:
    lock, into, calls = tmp_path / "lock", tmp_path / "into", []
    lock.write_text("one")

    def install() -> None:
        into.mkdir(exist_ok=True)
        calls.append(1)
        raise AbsentError("no registry")

    for _ in range(2):
        with pytest.raises(AbsentError):
            install_once(lock, into, install)

    assert len(calls) == 2
