"""Learning as the process that answers requests sees it: how it stands in words, and which models there are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from alertgraph.core.errors import DependencyError
from alertgraph.edge import learning, models
from alertgraph.edge.child import Child
from alertgraph.edge.clock import SystemDice
from alertgraph.edge.installation import StartError
from alertgraph.edge.learning import NOT_UP, SILENT_MAX, SWITCHED_OFF, WATCH_EVERY, Learning, predictor_url
from alertgraph.edge.models import model_names, model_path
from alertgraph.edge.rpc import NoPredictor
from alertgraph.edge.telemetry import Telemetry
from alertgraph.services.ports import LearningHealth, LearningReport
from alertgraph.settings import Settings, SettingsError, environment_of, read_settings
from tests.virtual import VirtualClock

SECOND = timedelta(seconds=1)


class Reports:
    """What processes have said."""

    def __init__(self) -> None:
        self.said: list[LearningReport] = []
        self.asked = 0
        self.is_away = False

    async def report(self, report: LearningReport) -> None:
        self.said.append(report)

    async def withdraw(self) -> None:
        self.said.clear()

    async def alive(self) -> Sequence[LearningReport]:
        self.asked += 1
        if self.is_away:
            raise DependencyError("postgresql", retryable=True)
        return list(self.said)


def settings_with(data_dir: Path, **more: str) -> Settings:
    environment = {f"CRITICAL_ALERT_{name.upper()}": value for name, value in more.items()}
    return read_settings({"CRITICAL_ALERT_DATA_DIR": str(data_dir), **environment})


class World:
    def __init__(self, settings: Settings, role: str = "api") -> None:
        self.clock, self.reports, self.telemetry = VirtualClock(), Reports(), Telemetry()
        self.learning = Learning(settings, role, self.reports, "token", self.clock, SystemDice(), self.telemetry)


def a_report(why_not: str | None = None) -> LearningReport:
    return LearningReport("here", 7, why_not, 1, 0, 0.0)


async def test_what_is_switched_off_says_so_and_asks_nobody(tmp_path: Path) -> None:
    world = World(settings_with(tmp_path, ml_enabled="false"), "all")

    assert await world.learning.health() == LearningHealth(False, SWITCHED_OFF)
    assert world.reports.asked == 0
    assert isinstance(world.learning.predictor, NoPredictor)
    assert world.learning.loops() == ()
    assert await world.learning.figures() == b""
    await world.learning.stop()


async def test_one_process_that_predicts_is_enough(tmp_path: Path) -> None:
    world = World(settings_with(tmp_path))
    assert await world.learning.health() == LearningHealth(True, NOT_UP)
    for said, why_not in (
        ([a_report("no extra"), a_report("no model")], "no extra"),
        ([a_report("no extra"), a_report()], None),
        ([], NOT_UP),
    ):
        world.reports.said = said
        world.clock.advance(3 * SECOND)
        assert await world.learning.health() == LearningHealth(True, why_not)
    await world.learning.stop()


async def test_the_store_is_asked_every_few_seconds_only_and_may_be_away(tmp_path: Path) -> None:
    world = World(settings_with(tmp_path))
    world.reports.said = [a_report()]
    for _ in range(100):
        await world.learning.health()
    assert world.reports.asked == 1

    world.reports.is_away = True
    world.clock.advance(-timedelta(hours=1))
    assert await world.learning.health() == LearningHealth(True, None)
    assert world.reports.asked == 2
    assert b'alertgraph_predictions_available{why_not=""} 1.0' in world.telemetry.page()
    await world.learning.stop()


async def test_who_runs_one_says_what_becomes_of_it(tmp_path: Path) -> None:
    world = World(settings_with(tmp_path), "all")

    assert (await world.learning.health()).why_not == "the learning process is about to be started"
    assert b"alertgraph_predictor_running 0.0" in world.telemetry.page()
    assert world.learning.child_pid is None
    await world.learning.stop()


async def test_one_that_runs_and_says_nothing_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(settings_with(tmp_path), "all")
    killed: list[str] = []
    monkeypatch.setattr(Child, "pid", 7)
    monkeypatch.setattr(Child, "kill", lambda _, why: killed.append(why))
    run, watch = world.learning.loops()
    run.close()
    task = asyncio.create_task(watch)

    async def let(duration: timedelta) -> None:
        for _ in range(duration // WATCH_EVERY):
            for _ in range(5):
                await asyncio.sleep(0)
            world.clock.advance(WATCH_EVERY)
        for _ in range(5):
            await asyncio.sleep(0)

    world.reports.said = [a_report()]
    await let(SILENT_MAX * 2)
    world.reports.is_away = True
    await let(SILENT_MAX * 2)
    world.reports.is_away, world.reports.said = False, []
    await let(SILENT_MAX - 2 * WATCH_EVERY)
    assert killed == []
    await let(3 * WATCH_EVERY)
    assert len(killed) == 1
    await let(SILENT_MAX - 2 * WATCH_EVERY)
    assert len(killed) == 1
    task.cancel()
    await asyncio.wait({task})


def test_models_are_told_by_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundled = tmp_path / "bundled"
    (tmp_path / "models").mkdir()
    monkeypatch.setattr(models, "BUNDLED_FOLDER", bundled)
    assert model_path(settings_with(tmp_path)) is None

    bundled.mkdir()
    (bundled / "torch_v1.agmodel").touch()
    (tmp_path / "models" / "mine.agmodel").touch()
    assert model_path(settings_with(tmp_path)) == bundled / "torch_v1.agmodel"
    assert model_path(settings_with(tmp_path, prediction_model="mine")) == tmp_path / "models" / "mine.agmodel"
    named = str(bundled / "torch_v1.agmodel")
    assert model_path(settings_with(tmp_path, prediction_model=named)) == Path(named)
    assert model_path(settings_with(tmp_path, prediction_model="none", ml_enabled="false")) is None
    assert model_names(settings_with(tmp_path)) == ["mine", "torch_v1"]
    for wrong in ("torch_v2", "../bundled/torch_v2.agmodel", str(tmp_path), "x.agmodel"):
        with pytest.raises(StartError, match=r"PREDICTION_MODEL names .*; there are mine, torch_v1\."):
            model_path(settings_with(tmp_path, prediction_model=wrong))


def test_an_own_model_goes_before_a_bundled_one_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "BUNDLED_FOLDER", tmp_path / "bundled")
    for folder in ("bundled", "models"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "torch_v1.agmodel").touch()

    assert model_path(settings_with(tmp_path)) == tmp_path / "models" / "torch_v1.agmodel"


def test_where_it_is_asked(tmp_path: Path) -> None:
    assert predictor_url(settings_with(tmp_path)) == f"unix://{tmp_path}/predictor.sock"
    assert predictor_url(settings_with(tmp_path, predictor_url="http://p:1")) == "http://p:1"
    with pytest.raises(SettingsError, match="PREDICTOR_URL is refused: it begins with unix:/// or http://"):
        settings_with(tmp_path, predictor_url="ftp://p")


def test_a_path_too_long_for_a_socket_is_made_short_in_a_folder_of_our_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = tmp_path / "s"
    short.mkdir()
    monkeypatch.setattr(learning, "SHORT_PLACE", short)
    settings, another = settings_with(tmp_path / ("x" * 100)), settings_with(tmp_path / ("y" * 100))

    url = predictor_url(settings)

    folder = Path(url.removeprefix("unix://")).parent
    assert folder.parent == short
    assert folder.stat().st_mode & 0o777 == 0o700
    assert predictor_url(settings) == url != predictor_url(another)
    # Somebody else's, or one that others may look into, is none of ours.
    folder.chmod(0o755)
    assert predictor_url(settings) == f"unix://{settings.data_dir}/predictor.sock"
    folder.rmdir()
    folder.symlink_to(tmp_path)
    assert predictor_url(settings) == f"unix://{settings.data_dir}/predictor.sock"


def test_the_same_settings_are_read_from_what_is_handed_on(tmp_path: Path) -> None:
    settings = settings_with(
        tmp_path,
        database_url="postgresql://me:canary@h/d",
        ml_enabled="true",
        log_format="json",
        allowed_origins="https://a.example",
        public_url="https://b.example/",
        smtp_url="smtp://user:canary@h",
    )

    assert read_settings(environment_of(settings)) == settings
