from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("numpy", reason="the extra ml is not installed")

from alertgraph.ml.evaluation import command
from alertgraph.ml.evaluation.registry import TASKS, DataMissingError, Options, Task, carry_out, named
from alertgraph.ml.evaluation.report import (
    BenchReport,
    Check,
    Figure,
    Holding,
    Interval,
    TaskReport,
    TaskResult,
    lines,
)

FIGURE = Figure("late", "blend", "AUROC", 0.85, Interval(0.8, 0.9), 0.83)


@pytest.mark.parametrize(
    ("check", "passed"),
    [
        (Check("t", "m", 0.8, 0.8, "LR"), True),
        (Check("t", "m", 0.8, 0.8, "LR", strict=True), False),
        (Check("t", "m", 0.79, 0.8, "LR"), False),
        (Check("t", "m", 0.79, 0.8, "LR", lower_is_better=True), True),
        (Check("t", "m", 0.77, 0.8, "LR", within=0.04), True),
        (Check("t", "m", 0.85, 0.8, "LR", within=0.04), False),
        (Check("t", "m", float("nan"), 0.8, "LR"), False),
        (Check("t", "m", float("nan"), 0.8, "LR", lower_is_better=True), False),
    ],
)
def test_a_bound_is_reached_or_not(check: Check, passed: bool) -> None:
    assert check.passed is passed


def test_missing_an_aim_fails_nothing() -> None:
    aim = Check("t", "m", 0.1, 0.8, "LR", Holding.AIM)

    assert TaskResult((FIGURE,), (aim,), "how").passed
    assert not TaskResult((FIGURE,), (aim, Check("t", "m", 0.1, 0.8, "LR")), "how").passed


def test_a_task_that_did_not_run_did_not_pass() -> None:
    assert not BenchReport((TaskReport("T1", "what", 0.0, missing="no data"),)).passed


def test_json_holds_every_figure_and_no_nan() -> None:
    odd = Figure("late", "frozen", "AUROC", float("nan"))
    result = TaskResult((FIGURE, odd), (Check("late", "AUROC", 0.85, 0.83, "blend"),), "how", ("note",))

    told = json.loads(json.dumps(BenchReport((TaskReport("T1", "what", 1.23, result),)).told(), allow_nan=False))

    assert told["passed"] is True
    (task,) = told["tasks"]
    assert task["figures"][0]["interval"] == [0.8, 0.9]
    assert task["figures"][1]["value"] is None
    assert task["checks"][0]["against"] == "blend"


def test_lines_show_the_anchor_and_the_verdict() -> None:
    result = TaskResult((FIGURE,), (Check("late", "AUROC", 0.7, 0.83, "blend"),), "how")

    told = "\n".join(lines(TaskReport("T1", "what", 1.0, result)))

    assert "(anchor 0.83)" in told
    assert "FAIL" in told


def test_a_data_set_that_is_not_there_is_reported(tmp_path: Path) -> None:
    said: list[str] = []

    # A task that needs none of the extra's packages.
    passed = command.run(tmp_path, ["T8"], said.append, as_json=True)

    (told,) = map(json.loads, said)
    assert not passed
    assert not told["tasks"][0]["ran"]
    assert "is not there; give the root" in told["tasks"][0]["missing"]


def test_a_package_that_is_not_there_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: Path, __: Options) -> TaskResult:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(Task, "load", lambda _: absent)
    (told,) = carry_out([Task("T1", "what", "x")], tmp_path, Options())

    assert told.missing is not None
    assert told.missing.startswith("torch is not installed")


def test_a_failure_of_our_own_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Path, __: Options) -> TaskResult:
        raise ModuleNotFoundError("No module named 'alertgraph.ml.nothing'", name="alertgraph.ml.nothing")

    monkeypatch.setattr(Task, "load", lambda _: broken)

    with pytest.raises(ModuleNotFoundError):
        list(carry_out([Task("T1", "what", "x")], tmp_path, Options()))


def test_tasks_are_found_by_name_in_any_case() -> None:
    assert [task.id for task in named(["t1"])] == ["T1"]
    assert named([]) == TASKS
    with pytest.raises(KeyError, match="T99"):
        named(["T99"])


def test_every_task_can_be_loaded() -> None:
    pytest.importorskip("torch", reason="the extra ml is not installed")
    for task in TASKS:
        assert callable(task.load())
    assert issubclass(DataMissingError, Exception)
