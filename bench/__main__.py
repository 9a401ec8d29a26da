"""`make bench`: every measurement, or those that are named; `plot`, `flame` and `fill` stand beside them."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench import (
    appends,
    executor,
    fanout,
    fill,
    flame,
    growth,
    lateness,
    learning,
    lists,
    metrics,
    plans,
    plots,
    predictions,
    reads,
    report,
    sealing,
    writes,
)
from bench.installation import Installation, allow_many_files, short_directory
from bench.machine import facts

SEED = 20261123


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for.

    Attributes:
        alerts: How many alerts lists are read from.
        data_dir: Where a filled database is, or shall be kept.
        only: What stands in the names of the lists that are measured; for growth, "ingest" leaves out the rest.
    """

    quick: bool
    seed: int
    alerts: int
    data_dir: Path | None
    only: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a measurement gave.

    Attributes:
        table: For people.
        told: For the file.
        settings: How much was measured, for the file.
    """

    table: str
    told: Mapping[str, object]
    settings: Mapping[str, object]


def _executor(wanted: Wanted, _: Path) -> Outcome:
    scale = executor.QUICK if wanted.quick else executor.FULL
    executing = executor.Executing(scale, wanted.seed)
    executing.run()
    return Outcome(executing.table(), executing.told(), {"rounds": scale.rounds, "seconds": scale.seconds})


def _writes(wanted: Wanted, directory: Path) -> Outcome:
    scale = writes.QUICK if wanted.quick else writes.FULL
    with Installation(directory / "data") as installation:
        creating = writes.Writes(installation, directory, scale, wanted.seed)
        creating.run()
        settings = {"rounds": scale.rounds, "seconds": scale.seconds, **installation.facts()}
    return Outcome(creating.table(), creating.told(), settings)


def _appends(wanted: Wanted, directory: Path) -> Outcome:
    scale = appends.QUICK if wanted.quick else appends.FULL
    with Installation(directory / "data") as installation:
        appending = appends.Appends(installation, scale, wanted.seed)
        appending.run()
        settings = {"rounds": scale.rounds, "alerts": scale.alerts, **installation.facts()}
    return Outcome(appending.table(), appending.told(), settings)


def _reads(wanted: Wanted, directory: Path) -> Outcome:
    scale = reads.QUICK if wanted.quick else reads.FULL
    with Installation(_data(wanted, directory)) as installation:
        filled = fill.filled(installation, wanted.alerts, wanted.seed)
        reading = reads.Reads(installation, directory, filled, scale, wanted.seed)
        reading.run()
        settings = {
            "rounds": scale.rounds,
            "seconds": scale.seconds,
            "alerts": filled.alert_count,
            **installation.facts(),
        }
    return Outcome(reading.table(), {"fill": filled.told(), **reading.told()}, settings)


def _fanout(wanted: Wanted, directory: Path) -> Outcome:
    scale = fanout.QUICK if wanted.quick else fanout.FULL
    with Installation(directory / "data") as installation:
        fanning = fanout.Fanout(installation, directory, scale, wanted.seed)
        fanning.run()
        settings = {"rounds": scale.rounds, **installation.facts()}
    return Outcome(fanning.table(), fanning.told(), settings)


def _lateness(wanted: Wanted, directory: Path) -> Outcome:
    scale = lateness.QUICK if wanted.quick else lateness.FULL
    with Installation(directory / "data") as installation:
        late = lateness.Lateness(installation, directory, scale)
        late.run()
        settings = {"rounds": 1, **installation.facts()}
    return Outcome(late.table(), late.told(), settings)


def _growth(wanted: Wanted, directory: Path) -> Outcome:
    scale = growth.QUICK if wanted.quick else growth.FULL
    kept = (_data(wanted, directory), wanted.alerts) if wanted.data_dir is not None else None
    growing = growth.Growth(directory, kept, scale, wanted.seed, only_ingest=wanted.only == "ingest")
    growing.run()
    return Outcome(growing.table(), growing.told(), {"rounds": scale.rounds, **growing.facts()})


def _learning(wanted: Wanted, directory: Path) -> Outcome:
    scale = learning.QUICK if wanted.quick else learning.FULL
    measuring = learning.Learning(directory, scale, wanted.seed)
    measuring.run()
    return Outcome(
        measuring.table(),
        measuring.told(),
        {"rounds": scale.rounds, "seconds": scale.seconds, **measuring.facts},
    )


def _predictions(wanted: Wanted, directory: Path) -> Outcome:
    scale = predictions.QUICK if wanted.quick else predictions.FULL
    with Installation(directory / "data") as installation:
        measuring = predictions.Predictions(installation, directory, scale)
        measuring.run()
        settings = {"rounds": scale.rounds, **installation.facts()}
    return Outcome(measuring.table(), measuring.told(), settings)


def _sealing(wanted: Wanted, directory: Path) -> Outcome:
    scale = sealing.QUICK if wanted.quick else sealing.FULL
    with Installation(directory / "data") as installation:
        measuring = sealing.Sealing(installation, directory, scale, wanted.seed)
        measuring.run()
        settings = {"rounds": scale.rounds, "seconds": scale.seconds, **installation.facts()}
    return Outcome(measuring.table(), measuring.told(), settings)


def _lists(wanted: Wanted, directory: Path) -> Outcome:
    scale = lists.QUICK if wanted.quick else lists.FULL
    with Installation(_data(wanted, directory)) as installation:
        filled = fill.filled(installation, wanted.alerts, wanted.seed)
        reading = lists.Lists(installation, filled, scale, wanted.seed, wanted.only)
        reading.run()
        settings = {
            "runs": scale.runs,
            "only": wanted.only,
            "alerts": filled.alert_count,
            **installation.facts(),
        }
    return Outcome(reading.table(), {"fill": filled.told(), **reading.told()}, settings)


def _list_growth(wanted: Wanted, directory: Path) -> Outcome:
    scale = lists.QUICK if wanted.quick else lists.FULL
    kept = (_data(wanted, directory), wanted.alerts) if wanted.data_dir is not None else None
    growing = lists.Growth(directory, kept, scale, wanted.seed)
    growing.run()
    return Outcome(growing.table(), growing.told(), {"runs": scale.runs, **growing.facts})


def _metrics(wanted: Wanted, directory: Path) -> Outcome:
    scale = metrics.QUICK if wanted.quick else metrics.FULL
    with Installation(directory / "data") as installation:
        measuring = metrics.Metrics(installation, directory, scale, wanted.seed)
        measuring.run()
        settings = {"rounds": scale.rounds, "steps": scale.steps, **installation.facts()}
    return Outcome(measuring.table(), measuring.told(), settings)


PARTS: Mapping[str, Callable[[Wanted, Path], Outcome]] = {
    "executor": _executor,
    "writes": _writes,
    "reads": _reads,
    "fanout": _fanout,
    "lateness": _lateness,
    "appends": _appends,
    "learning": _learning,
    "predictions": _predictions,
    "sealing": _sealing,
    "metrics": _metrics,
    "growth": _growth,
    "lists": _lists,
    "list-growth": _list_growth,
}
# These are no rows of the design's table, and but for the first they take ten minutes each.
ONLY_BY_NAME = ("appends", "learning", "predictions", "sealing", "metrics", "growth", "lists", "list-growth")
COMMANDS = ("plot", "flame", "fill", "plans")


def main() -> None:
    """Run what the command line asks for, print tables, and write a file and a picture for each."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"{', '.join(PARTS)} (all but {', '.join(ONLY_BY_NAME)} where none is named); or fill, or plans; "
        f"or plot and files of results; or flame and one of {', '.join(flame.LOADS)}",
    )
    parser.add_argument(
        "--quick", action="store_true", default=bool(os.environ.get("QUICK")), help="within three minutes"
    )
    parser.add_argument("--alerts", type=int, help="how many alerts lists are read from")
    parser.add_argument("--data-dir", type=Path, help="keep the filled database here, or use the one that is here")
    parser.add_argument(
        "--only",
        default="",
        help="only those lists in whose part and name this stands, such as 'figures'; ingest for growth",
    )
    parser.add_argument("--seed", type=int, default=SEED, help="of the order of measurements, and of contents")
    parser.add_argument("--into", type=Path, help="where plot and flame write; docs/images, and bench/results")
    arguments = parser.parse_args()
    names: list[str] = arguments.names
    if names[:1] == ["plot"]:
        _plot([Path(name) for name in names[1:]], arguments.into or plots.IMAGES)
        return
    alerts = arguments.alerts or (fill.QUICK_COUNT if arguments.quick else fill.FULL_COUNT)
    wanted = Wanted(arguments.quick, arguments.seed, alerts, arguments.data_dir, arguments.only)
    allow_many_files()
    if names[:1] == ["flame"]:
        _flame(names[1:], wanted, arguments.into or report.RESULTS, parser)
        return
    unknown = [name for name in names if name not in (*PARTS, *COMMANDS)]
    if unknown:
        parser.error(f"there is no {unknown[0]}; there are {', '.join((*PARTS, *COMMANDS))}")
    started = time.monotonic()
    for name in names or (part for part in PARTS if part not in ONLY_BY_NAME):
        if name == "fill":
            _fill(wanted)
        elif name == "plans":
            _plans(wanted)
        else:
            _run(name, wanted)
    print(f"\n  took {time.monotonic() - started:.0f} s", flush=True)


def _run(name: str, wanted: Wanted) -> None:
    with short_directory() as directory:
        machine = facts(directory)
        outcome = PARTS[name](wanted, directory)
    print(outcome.table, flush=True)
    settings = {"quick": wanted.quick, "seed": wanted.seed, **outcome.settings}
    # What PostgreSQL it was on is of the machine.
    machine |= {key: settings.pop(key) for key in ("postgresql", "origin", "settings") if key in settings}
    path = report.keep(name, machine, settings, outcome.told)
    print(f"\n  kept in {report.shown_path(path)}", flush=True)
    try:
        picture = plots.picture_of(path, path.with_suffix(".png"))
    except ModuleNotFoundError as error:
        print(f"  no picture: {error.name} is not installed (requirements-dev.txt has it)", flush=True)
    else:
        print(f"  drawn in {report.shown_path(picture)}", flush=True)


def _fill(wanted: Wanted) -> None:
    with short_directory() as directory, Installation(_data(wanted, directory)) as installation:
        print(fill.filled(installation, wanted.alerts, wanted.seed).text())


def _plans(wanted: Wanted) -> None:
    with short_directory() as directory:
        machine = facts(directory)
        with Installation(_data(wanted, directory)) as installation:
            looking = plans.Plans(installation, fill.filled(installation, wanted.alerts, wanted.seed), wanted.only)
            looking.run()
    print(looking.table())
    path = report.keep("plans", machine, {"only": wanted.only, "alerts": wanted.alerts}, looking.told())
    print(f"\n  kept in {report.shown_path(path)}")
    if not looking.holds:
        sys.exit(1)


def _plot(results: list[Path], into: Path) -> None:
    for path in results:
        name = path.stem.partition("-")[2]
        print(f"  drawn in {report.shown_path(plots.picture_of(path, into / f'bench-{name}.png'))}")


def _flame(names: list[str], wanted: Wanted, into: Path, parser: argparse.ArgumentParser) -> None:
    unknown = [name for name in names if name not in flame.LOADS]
    if unknown or not names:
        parser.error(f"flame needs one of {', '.join(flame.LOADS)}")
    for name in names:
        with short_directory() as directory, Installation(_data(wanted, directory)) as installation:
            path = flame.record(name, installation, directory, wanted.alerts, wanted.seed, into)
        print(f"  recorded in {report.shown_path(path)}", flush=True)


def _data(wanted: Wanted, directory: Path) -> Path:
    if wanted.data_dir is None:
        return directory / "data"
    wanted.data_dir.mkdir(parents=True, exist_ok=True)
    # The database's account may pass through.
    wanted.data_dir.chmod(0o711)
    return wanted.data_dir / "data"


if __name__ == "__main__":
    main()
