"""A training from an export comes to the same bytes: by one process or two, killed in between or not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

np = pytest.importorskip("numpy", reason="the extra ml is not installed")
pytest.importorskip("pyarrow", reason="the extra ml is not installed")
torch = pytest.importorskip("torch", reason="the extra ml is not installed")
pytest.importorskip("sklearn", reason="the extra ml is not installed")

from alertgraph.ml import live  # noqa: E402
from alertgraph.ml.artifact import ArtifactError, read_artifact  # noqa: E402
from alertgraph.ml.train import scaled  # noqa: E402
from alertgraph.ml.train.checkpoint import CheckpointError  # noqa: E402
from alertgraph.ml.train.processes import Processes, ProcessesError  # noqa: E402
from alertgraph.ml.train.scaled import ScaledPlan, TrainingRefusedError, train  # noqa: E402
from tests.unit.ml.exported import an_export  # noqa: E402
from tests.unit.ml.live_small import SMALL, an_artifact  # noqa: E402

COUNT = 1_500
PLAN = ScaledPlan(epochs=2, batch_size=256)
MODULE = ("-m", "alertgraph.ml.train.scaled")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return an_export(tmp_path_factory.mktemp("export") / "kept", COUNT)


def _command(processes: int, folder: Path, out: Path, *more: str) -> list[str]:
    launcher = (
        ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes))
        if processes > 1
        else ()
    )
    asked = ("--from", str(folder), "--out", str(out), "--epochs", "2", "--batch-size", "256")
    return [sys.executable, *launcher, *MODULE, *asked, *more]


def _run(processes: int, folder: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(processes, folder, out, *more), capture_output=True, text=True, timeout=200, check=False
    )


def _kill_with_children(pid: int) -> None:
    """Kill a launcher and what it started, all at once: its processes have sessions of their own."""
    told = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for each in (pid, *map(int, told)):
        os.kill(each, signal.SIGKILL)


@pytest.fixture(scope="module")
def by_one(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What one process makes of it that nobody disturbed."""
    out = tmp_path_factory.mktemp("one") / "own.agmodel"
    done = _run(1, folder, out)
    assert done.returncode == 0, done.stderr
    return out.read_bytes()


@pytest.mark.timeout(300)
def test_two_processes_write_what_one_writes(folder: Path, by_one: bytes, tmp_path: Path) -> None:
    done = _run(2, folder, tmp_path / "own.agmodel")

    assert done.returncode == 0, done.stderr
    assert "2 at work" in done.stderr
    assert (tmp_path / "own.agmodel").read_bytes() == by_one
    assert [path.name for path in tmp_path.iterdir()] == ["own.agmodel"]


@pytest.mark.timeout(300)
def test_killed_by_two_and_resumed_by_one_it_is_the_same(folder: Path, by_one: bytes, tmp_path: Path) -> None:
    out, kept = tmp_path / "own.agmodel", tmp_path / "kept"
    more = ("--checkpoints", str(kept), "--save-every", "2")
    running = subprocess.Popen(_command(2, folder, out, *more), stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not (kept / "judging.checkpoint").exists():
            assert time.monotonic() < deadline, "nothing was kept"
            assert running.poll() is None, "it ended before it was killed"
            time.sleep(0.005)
    finally:
        _kill_with_children(running.pid)
        running.wait()
    assert not out.exists()

    done = _run(1, folder, out, *more)

    assert done.returncode == 0, done.stderr
    assert '"resumed_at": 0,' not in done.stdout
    assert out.read_bytes() == by_one


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> scaled.Trained:
    """A small one that nobody disturbed."""
    return train(folder, tmp_path_factory.mktemp("whole"), PLAN, Processes(), recipe=SMALL)


@pytest.mark.parametrize("done", [1, 9, 10, 14])
def test_cut_off_after_any_step_it_goes_on_to_the_same(
    folder: Path, whole: scaled.Trained, tmp_path: Path, done: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0
    original = scaled._Fit._step

    def cut_off(*arguments: object) -> None:
        nonlocal steps
        if steps == done:
            raise KeyboardInterrupt
        steps += 1
        original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(scaled._Fit, "_step", cut_off)
    with pytest.raises(KeyboardInterrupt):
        train(folder, tmp_path / "cut", PLAN, Processes(), save_every=3, recipe=SMALL)
    monkeypatch.undo()

    resumed = train(folder, tmp_path / "cut", PLAN, Processes(), save_every=3, recipe=SMALL)

    assert whole.artifact is not None
    assert resumed.artifact is not None
    assert resumed.artifact.to_bytes() == whole.artifact.to_bytes()
    assert whole.resumed == 0
    assert resumed.resumed >= done - 2


def test_another_seed_is_another_version(folder: Path, whole: scaled.Trained, tmp_path: Path) -> None:
    one, other = whole.artifact, train(folder, tmp_path, replace(PLAN, seed=1), Processes(), recipe=SMALL).artifact

    assert one is not None
    assert other is not None
    assert one.manifest.name != other.manifest.name
    assert one.version() != other.version()


def test_it_learns_and_is_never_given_on(folder: Path, tmp_path: Path) -> None:
    plan = ScaledPlan(epochs=4, batch_size=64, rate=1e-2)

    trained = train(folder, tmp_path, plan, Processes(), recipe=SMALL).artifact

    assert trained is not None
    assert trained.manifest.evaluation["incident AUROC of the network"] > 0.65
    assert trained.manifest.schema == live.SCHEMA
    with pytest.raises(ArtifactError, match="cannot be given on"):
        trained.check_given_on()


def test_what_is_kept_of_another_training_is_refused(folder: Path, tmp_path: Path) -> None:
    train(folder, tmp_path, PLAN, Processes(), recipe=SMALL)

    with pytest.raises(CheckpointError, match="settings differ"):
        train(folder, tmp_path, replace(PLAN, seed=5), Processes(), recipe=SMALL)
    other = an_export(tmp_path / "other", COUNT, seed=4)
    with pytest.raises(CheckpointError, match="examples differ"):
        train(other, tmp_path, PLAN, Processes(), recipe=SMALL)


def test_what_is_damaged_is_refused(folder: Path, tmp_path: Path) -> None:
    train(folder, tmp_path, PLAN, Processes(), recipe=SMALL)
    path = tmp_path / "everything.checkpoint"
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(CheckpointError, match="damaged"):
        train(folder, tmp_path, PLAN, Processes(), recipe=SMALL)


def test_a_version_to_begin_with_counts_and_must_fit(folder: Path, whole: scaled.Trained, tmp_path: Path) -> None:
    an_artifact().write(tmp_path / "base.agmodel")

    begun = train(folder, tmp_path / "kept", PLAN, Processes(), base=tmp_path / "base.agmodel", recipe=SMALL)

    assert begun.artifact is not None
    assert whole.artifact is not None
    edges = begun.artifact.network.network.edges
    assert torch.equal(edges, read_artifact(tmp_path / "base.agmodel").network.network.edges)
    assert not torch.equal(edges, whole.artifact.network.network.edges)
    with pytest.raises(TrainingRefusedError, match="another shape"):
        train(folder, tmp_path / "no", PLAN, Processes(), base=tmp_path / "base.agmodel")


def test_too_few_examples_are_refused(tmp_path: Path) -> None:
    few = an_export(tmp_path / "few", 300)

    with pytest.raises(TrainingRefusedError, match="300 examples; it takes 1000"):
        train(few, tmp_path / "kept", PLAN, Processes())


@pytest.mark.parametrize("count", [0, 3, 16])
def test_a_number_that_does_not_divide_the_blocks_is_refused(count: int) -> None:
    with pytest.raises(ProcessesError, match=f"not {count}"):
        Processes(0, count)


@pytest.mark.parametrize("wrong", [{"batch_size": 100}, {"batch_size": 4}, {"epochs": 0}, {"half_life_days": 0.0}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(TrainingRefusedError):
        ScaledPlan(**wrong)


def test_the_command_says_what_is_wrong_in_a_sentence(tmp_path: Path) -> None:
    done = _run(1, tmp_path, tmp_path / "own.agmodel")

    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == [
        f"{tmp_path} holds no examples, or was not written to the end: examples.json: No such file or directory"
    ]
