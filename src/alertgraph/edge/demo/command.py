"""`alertgraph demo`: the whole service on an embedded database, with three tenants and a storm played live."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from alertgraph.core.tenant import Role
from alertgraph.edge.demo.companies import COMPANIES, Company
from alertgraph.edge.demo.inbox import Inbox
from alertgraph.edge.demo.player import Player
from alertgraph.edge.installation import StartError, database_at, master_key, new_tenant, operator_of, read_or_keep
from alertgraph.edge.operator import Desk, desk_at
from alertgraph.edge.server import listen, serve
from alertgraph.settings import Settings, read_settings
from alertgraph.storage.migrate import upgrade

PORT = 8000
# Where the usual port is taken, one of those behind it is looked for.
PORTS_TRIED = 50
HOST = "127.0.0.1"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Options:
    """How the demo is played.

    Attributes:
        seed: Of chance; the same gives the same alerts.
        speed: So many times as fast as usual.
        port: None for the usual one, or one near it that is free; 0 for any.
        data_dir: None for one that is thrown away afterwards.
        is_endless: Whether storm follows storm.
    """

    seed: int
    speed: float
    port: int | None
    data_dir: Path | None
    is_endless: bool


def play(options: Options) -> int:
    """Play until told to stop; return the process's exit status.

    Raises:
        StartError, SettingsError, AlertGraphError: It can't start; one sentence says what to do.
    """
    with ExitStack() as held:
        # Whoever ends us, what was made is taken away again. Once the service is up, it hears of signals itself.
        ending = _Ending()
        for signum in SIGNALS:
            signal.signal(signum, ending)
        _say(["Making a database, three companies and their storms …"])
        data_dir = options.data_dir or held.enter_context(_passing_folder())
        # From here on, so that nobody else takes the port while the database is made.
        listening = held.enter_context(_listen(options.port))
        port = listening.getsockname()[1]
        settings = _settings(data_dir, port)
        # Held from here on: the service finds it running, and tenants are there when it says that it is up.
        url = held.enter_context(database_at(settings))
        with ending.put_off():
            upgrade(url)
            keys = asyncio.run(_keys(settings, url))
        inbox = held.enter_context(Inbox())
        service_url = f"http://{HOST}:{port}"
        player = Player(
            service_url,
            keys,
            inbox,
            seed=options.seed,
            speed=options.speed,
            is_endless=options.is_endless,
            ended=lambda: _say(["The storm is over. The service stays until Ctrl-C."]),
        )
        held.callback(player.stop)

        def up() -> list[str]:
            if ending.is_asked:
                signal.raise_signal(signal.SIGTERM)
                return []
            player.start()
            return _greeting(service_url, inbox.url, keys, options)

        ending.is_patient = True
        try:
            return serve(settings, "all", beside=up, listening=listening)
        finally:
            # Who asks twice is not heard twice: taking away what was made is a matter of seconds.
            for signum in SIGNALS:
                signal.signal(signum, signal.SIG_IGN)


class _Ending:
    """Ends us when a signal asks for it; remembers that, since what is being imported may swallow any exception.

    Attributes:
        is_asked: Whether one did.
        is_patient: Whether to remember it only: the service ends in good order, once it is up.
    """

    def __init__(self) -> None:
        self.is_asked = False
        self.is_patient = False

    def __call__(self, signum: int, _: FrameType | None) -> None:
        self.is_asked = True
        if not self.is_patient:
            self._end(signum)

    @contextmanager
    def put_off(self) -> Iterator[None]:
        """End only behind this: out of the middle of an event loop tasks would be told as lost."""
        self.is_patient = True
        yield
        self.is_patient = False
        if self.is_asked:
            self._end(signal.SIGTERM)

    def _end(self, signum: int) -> NoReturn:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + signum)


@contextmanager
def _passing_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="alertgraph-demo-"))
    try:
        if os.geteuid() == 0:
            # The account that the database runs as has to pass through; what is inside it may not read.
            folder.chmod(0o711)
        yield folder / "data"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _listen(wanted: int | None) -> socket.socket:
    """Listen on the port that is wanted; where none is, on the usual one or the first free one behind it."""
    if wanted is not None:
        return listen(HOST, wanted)
    for port in range(PORT, PORT + PORTS_TRIED):
        with suppress(StartError):
            return listen(HOST, port)
    return listen(HOST, 0)


def _settings(data_dir: Path, port: int) -> Settings:
    """Return settings of an installation of its own, whatever the environment says of another one."""
    return read_settings(
        None,
        database_url=None,
        migration_database_url=None,
        redis_url=None,
        master_key=None,
        checkpoint_dir=None,
        bootstrap_api_key=None,
        break_glass_url=None,
        smtp_url=None,
        predictor_url=None,
        bootstrap_tenant=COMPANIES[0].slug,
        data_dir=data_dir,
        host=HOST,
        port=port,
        public_url=f"http://{HOST}:{port}",
        allow_private_targets=True,
        **({} if "CRITICAL_ALERT_LOG_LEVEL" in os.environ else {"log_level": "warning"}),
    )


async def _keys(settings: Settings, url: str) -> dict[str, str]:
    """Return an administrator's key of each company; tenants and keys are made where there are none."""
    async with desk_at(settings, url, master_key(settings)) as desk:
        return {company.slug: await _key(desk, settings, company) for company in COMPANIES}


async def _key(desk: Desk, settings: Settings, company: Company) -> str:
    tenant = await desk.registry.find(company.slug)
    if tenant is None:
        tenant = await new_tenant(desk.registry, company.slug, company.name, company.tier)
    path = settings.data_dir / f"{company.slug}_key"
    if path.exists():
        return read_or_keep(path, "")
    _, secret = await desk.configuration.create_api_key(operator_of(tenant), name="demo", role=Role.ADMIN)
    assert secret is not None, "without an idempotency key there is always a new secret"
    return read_or_keep(path, secret)


def _greeting(url: str, inbox_url: str, keys: dict[str, str], options: Options) -> list[str]:
    width = max(len(company.name) for company in COMPANIES)
    first = keys[COMPANIES[0].slug]
    return [
        f"Three companies have a bad day, from seed {options.seed}. Look over the shoulder of one:",
        "",
        *(f"{company.name:<{width}}  {url}/#key={keys[company.slug]}" for company in COMPANIES),
        "",
        f"{'GraphiQL':<{width}}  {url}/graphiql#key={first}",
        f"{'Inbox':<{width}}  {inbox_url}/  (their Slack, PagerDuty and telephones)",
        f"{'Terminal':<{width}}  alertgraph tail --url {url} --key {first}",
        "",
        "Ctrl-C ends it, and leaves nothing behind." if options.data_dir is None else "Ctrl-C ends it.",
    ]


def _say(lines: list[str]) -> None:
    sys.stdout.write("".join(f"  {line}\n" for line in lines))
    sys.stdout.flush()
