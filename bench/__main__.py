"""`make bench`: every measurement, or those that are named."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from bench import executor, fanout, fill, lateness, reads, report, writes
from bench.installation import Installation, allow_many_files, short_directory
from bench.machine import facts

NAMES = ("executor", "writes", "reads", "fanout", "lateness")
SEED = 20261123


def main() -> None:
    """Run what the command line asks for, print tables, and write a file for each."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)} (all where none is named), or fill"
    )
    parser.add_argument(
        "--quick", action="store_true", default=bool(os.environ.get("QUICK")), help="within two minutes"
    )
    parser.add_argument("--alerts", type=int, help="how many alerts lists are read from")
    parser.add_argument("--data-dir", type=Path, help="keep the filled database here, or use the one that is here")
    parser.add_argument("--seed", type=int, default=SEED, help="of the order of measurements, and of contents")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in (*NAMES, "fill")]
    if unknown:
        parser.error(f"there is no {unknown[0]}; there are {', '.join(NAMES)} and fill")
    wanted = arguments.names or list(NAMES)
    allow_many_files()
    started = time.monotonic()
    for name in wanted:
        _run(name, arguments)
    print(f"\n  took {time.monotonic() - started:.0f} s", flush=True)


def _run_executor(arguments: argparse.Namespace, machine: dict[str, object]) -> None:
    scale = executor.QUICK if arguments.quick else executor.FULL
    executing = executor.Executing(scale, arguments.seed)
    executing.run()
    print(executing.table(), flush=True)
    settings = {
        "quick": arguments.quick,
        "seed": arguments.seed,
        "rounds": scale.rounds,
        "seconds": scale.seconds,
    }
    _tell(report.keep("executor", machine, settings, executing.told()))


def _run(name: str, arguments: argparse.Namespace) -> None:
    kept: Path | None = arguments.data_dir if name in ("reads", "fill") else None
    with short_directory() as directory:
        if kept is not None:
            kept.mkdir(parents=True, exist_ok=True)
            kept.chmod(0o711)
        machine = facts(directory)
        if name == "executor":
            _run_executor(arguments, machine)
            return
        with Installation((kept or directory) / "data") as installation:
            machine |= installation.facts()
            alerts = arguments.alerts or (fill.QUICK_COUNT if arguments.quick else fill.FULL_COUNT)
            settings: dict[str, object] = {"quick": arguments.quick, "seed": arguments.seed}
            if name == "writes":
                scale = writes.QUICK if arguments.quick else writes.FULL
                creating = writes.Writes(installation, directory, scale, arguments.seed)
                creating.run()
                settings |= {"rounds": scale.rounds, "seconds": scale.seconds}
                text, told = creating.table(), creating.told()
            elif name == "fanout":
                fanning = fanout.Fanout(
                    installation, directory, fanout.QUICK if arguments.quick else fanout.FULL, arguments.seed
                )
                fanning.run()
                text, told = fanning.table(), fanning.told()
            elif name == "lateness":
                late = lateness.Lateness(
                    installation, directory, lateness.QUICK if arguments.quick else lateness.FULL
                )
                late.run()
                text, told = late.table(), late.told()
            else:
                filled = fill.filled(installation, alerts, arguments.seed)
                settings |= {"alerts": filled.alert_count}
                if name == "fill":
                    print(filled.text())
                    return
                reading = reads.Reads(
                    installation, directory, filled, reads.QUICK if arguments.quick else reads.FULL, arguments.seed
                )
                reading.run()
                text, told = reading.table(), {"fill": filled.told(), **reading.told()}
        print(text, flush=True)
        _tell(report.keep(name, machine, settings, told))


def _tell(path: Path) -> None:
    print(f"\n  kept in {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}", flush=True)


if __name__ == "__main__":
    main()
