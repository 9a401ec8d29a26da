"""Commands that train, and tell the past anew."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from alertgraph.edge.cli.terminal import JsonOption, KeyOption, api_key, aside, carried_out, fail, say, say_json


def train(
    bundled: Annotated[
        bool, typer.Option("--bundled", help="The version that all tenants begin with, from public data.")
    ] = False,
    tenant: Annotated[
        str | None, typer.Option("--tenant", "-t", help="Slug: a candidate from the tenant's own outcomes.")
    ] = None,
    tenant_id: Annotated[UUID | None, typer.Option(hidden=True)] = None,
    supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Root of the public data sets; ALERTGRAPH_DATA, else ../shared/data.",
            file_okay=False,
            exists=True,
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="What `export examples` wrote; or, with --tenant, a version trained on that tenant's examples, "
            "to be kept as its candidate.",
            exists=True,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Where --bundled or --from writes the model: torch_v1.agmodel, own.agmodel."),
    ] = None,
    checkpoints: Annotated[
        Path | None, typer.Option(help="With --from: where a training under way is kept; OUT.checkpoints.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a version of the model: --bundled for everyone, --tenant for one, --from what was exported.

    Takes a minute or two. With --from it goes on where it was killed, and several processes train together under
    torch's launcher: torchrun --nproc-per-node 2 --no-python alertgraph train --from DIR
    """
    if source is not None and not bundled and tenant_id is None:
        _train_from(source, tenant, out, checkpoints, as_json=as_json)
        return
    if bundled == (tenant is not None or tenant_id is not None) or source is not None:
        fail("name one: --bundled, --tenant or --from.", 2)
    if supervised:
        from alertgraph.edge.child import parent_watched

        parent_watched()
    try:
        from alertgraph.edge import training
        from alertgraph.ml.evaluation.command import data_root
    except ModuleNotFoundError as error:
        fail(f"this needs {error.name}; pip install 'alertgraph[ml]' brings it.")
    from alertgraph.settings import read_settings

    def told(line: str) -> None:
        if not as_json:
            say(line)

    try:
        if bundled:
            path = out or Path("torch_v1.agmodel")
            done = carried_out(lambda: training.train_bundled(data_root(data), path, told))
        else:
            done = carried_out(lambda: training.train_tenant(read_settings(), slug=tenant, tenant_id=tenant_id))
    except ModuleNotFoundError as error:
        fail(f"this needs {error.name}; pip install 'alertgraph[ml]' brings it.")
    if as_json:
        say_json(done)
    elif bundled:
        say(f"{done['version']} is in {path}: {done['bytes']:,} bytes, SHA-256 {done['sha256']}.")
    else:
        state = "is a candidate" if done["new"] else "was there already"
        say(f"{done['version']} {state}, from {done['examples']:,} outcomes.")


def _train_from(
    source: Path, tenant: str | None, out: Path | None, checkpoints: Path | None, *, as_json: bool
) -> None:
    """Train from an export, or keep what was trained from one."""
    if source.is_dir() == (tenant is not None):
        fail("--from takes a folder that was exported to train, and a version with --tenant to keep it.", 2)
    try:
        if tenant is not None:
            from alertgraph.edge.exporting import keep_trained
            from alertgraph.edge.operator import operated

            done = carried_out(lambda: operated(keep_trained, tenant, source))
        else:
            from alertgraph.edge import training

            path = out or Path("own.agmodel")
            done = carried_out(lambda: training.train_export(source, path, checkpoints, aside))
    except ModuleNotFoundError as error:
        fail(f"this needs {error.name}; pip install 'alertgraph[ml]' brings it.")
    if not done:
        return
    if as_json:
        say_json(done)
    elif tenant is not None:
        state = "is a candidate" if done["new"] else "was there already"
        say(f"{done['version']} {state} of {tenant}, from {done['examples']:,} outcomes.")
    else:
        say(f"{done['version']} is in {path}: {done['bytes']:,} bytes, SHA-256 {done['sha256']}.")


def replay(
    data: Annotated[
        Path | None,
        typer.Option(
            help="Root of the data sets; ALERTGRAPH_DATA, else ../shared/data.", file_okay=False, exists=True
        ),
    ] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", help="telecom, ait_ads; all where none is named.")
    ] = None,
    days: Annotated[
        float | None, typer.Option(help="How much of a set, in days; 400 are all of any.", min=0.1, max=400)
    ] = None,
    mode: Annotated[str, typer.Option(help="noiseMode of the run that learns.")] = "HOLD",
    hold_max: Annotated[float, typer.Option(help="noiseHoldMax in minutes.", min=0, max=60)] = 5.0,
    regret_budget: Annotated[float, typer.Option(help="noiseRegretBudget in minutes.", min=0, max=43_200)] = 60.0,
    warm_share: Annotated[float, typer.Option(help="Share of it that is not scored.", min=0, max=0.99)] = 0.5,
    seed: Annotated[int, typer.Option(help="Of chance.")] = 1,
    only: Annotated[str | None, typer.Option(help="with or without: only that run.")] = None,
    with_model: Annotated[
        bool, typer.Option("--model/--no-model", help="Whether the run that learns predicts; needs the extra ml.")
    ] = False,
    url: Annotated[
        str | None,
        typer.Option(help="Tell it to this service instead, in real time; its people are really paged."),
    ] = None,
    key: KeyOption = None,
    speed: Annotated[
        float, typer.Option(help="With --url: seconds of the set in one of ours.", min=0.001, max=1e6)
    ] = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Tell the service labelled alerts of the past, on a clock of its own, and report what people on call met.

    Each set is told twice, without learning and with it, at once and each on a database that is made for it. Takes
    minutes, and says how far it is.
    """
    from datetime import timedelta

    from alertgraph.edge.client import ClientError
    from alertgraph.edge.replay import command
    from alertgraph.edge.replay.sets import SETS, DataMissingError, ReplaySet

    try:
        noise = command.noise_rules(mode.upper(), timedelta(minutes=hold_max), timedelta(minutes=regret_budget))
        root = data or Path(os.environ.get("ALERTGRAPH_DATA") or "../shared/data")

        if url is not None:
            from alertgraph.edge.replay.outside import tell

            for name in sets or SETS:
                length = timedelta(days=days or SETS[name].days)
                told = tell(url, api_key(key), SETS[name].read(root, length), speed, aside)
                if as_json:
                    say_json({"set": name, **told})
                    continue
                for figure, value in told["figures"].items():
                    say(f"{figure:20}{value!s:>12}  {told['definitions'].get(figure, '')}".rstrip())
            return
        model = carried_out(command.model_installed) if with_model else None
        if only not in (None, command.WITH, command.WITHOUT):
            fail(f"--only is with or without, not {only}.", 2)

        def report(the_set: ReplaySet) -> dict[str, Any]:
            length = days or the_set.days
            if only is not None:
                options = command.Options(length, warm_share, seed, noise, model)
                return command.replay(root, the_set.name, options, only, aside)
            given = {
                "--data": root,
                "--set": the_set.name,
                "--days": length,
                "--mode": mode,
                "--hold-max": hold_max,
                "--regret-budget": regret_budget,
                "--warm-share": warm_share,
                "--seed": seed,
            }
            words = ["replay", *(str(word) for pair in given.items() for word in pair), "--json"]
            words += ["--model"] if with_model else []
            # What is not there is said once.
            next(the_set.read(root, timedelta(0)), None)
            return command.side_by_side(lambda run_name: [*words, "--only", run_name])

        chosen = [SETS[name] for name in sets or SETS]
        reports = [partial(report, the_set) for the_set in chosen]
        carried_out(lambda: command.carry_out(reports, say, as_json=as_json))
    except command.ReplayError:
        raise typer.Exit(1) from None
    except KeyError as error:
        fail(f"there is no {error.args[0]}.", 2)
    except (DataMissingError, ClientError) as error:
        fail(str(error))
