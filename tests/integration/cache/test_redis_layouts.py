"""Redis as operators arrange it: a cluster whose slots move, sentinels, passwords, TLS."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from alertgraph.cache.budgets import RedisBudgets
from alertgraph.cache.live_updates import CHANNELS, RedisWakeups, channel_of
from alertgraph.core.errors import DependencyError
from alertgraph.core.ids import TenantId
from tests.integration.cache.conftest import Ear, a_tenant, eventually
from tests.integration.cache.peer import Reports, SystemClock, SystemDice
from tests.integration.cache.redis_servers import Server, cluster, program, quiet_port, single


def wakeups_at(url: str) -> RedisWakeups:
    return RedisWakeups(url, SystemClock(), SystemDice(), Reports())


async def prove(url: str) -> None:
    """Send a hint from one process to another, and spend a budget from two."""
    speaker, listener = wakeups_at(url), wakeups_at(url)
    await speaker.start()
    await listener.start()
    ear = Ear(listener.listen())
    tenant_id = a_tenant()
    await speaker.announce(tenant_id, 1)
    await ear.hears(tenant_id, 1)
    await speaker.close()
    await listener.close()

    now = SystemClock().now()
    for allowed in (True, False):
        budgets = RedisBudgets(url, SystemClock(), Reports())
        await budgets.start()
        assert (await budgets.spend(tenant_id, "key", 10, 10, now)).allowed is allowed
        assert budgets.healthy
        await budgets.close()


@pytest.mark.parametrize("make", ["redis", "valkey"])
async def test_a_cluster_whose_slots_move(make: str, tmp_path: Path) -> None:
    with cluster(make, tmp_path) as nodes:
        # The other nodes are found from the one that is named.
        url = f"redis+cluster://127.0.0.1:{nodes[1].port}"
        await prove(url)
        speaker, listener = wakeups_at(url), wakeups_at(url)
        await speaker.start()
        await listener.start()
        ear = Ear(listener.listen())

        moved = move_first_channel(nodes)

        tenant_id = tenant_of(moved)

        async def heard() -> None:
            number = 0
            while not any(hint[0] == tenant_id for hint in ear.heard):
                number += 1
                await speaker.announce(tenant_id, number)
                await asyncio.sleep(0.02)

        await asyncio.sleep(0.3)
        await asyncio.wait_for(heard(), 15)
        await eventually(lambda: speaker.healthy and listener.healthy)
        await speaker.close()
        await listener.close()


def tenant_of(channel: str) -> TenantId:
    """Return a tenant whose hints that channel carries."""
    return next(tenant_id for tenant_id in iter(a_tenant, None) if channel_of(tenant_id) == channel)


def move_first_channel(nodes: list[Server]) -> str:
    """Give the slot of a channel to another node, as a resharding does."""
    with nodes[0].client() as client:
        slot = int(client.execute_command("CLUSTER", "KEYSLOT", CHANNELS[0]))
    source = min(slot // 5461, 2)
    with nodes[source].client() as giver, nodes[(source + 1) % 3].client() as taker:
        giver_id, taker_id = (str_of(client.execute_command("CLUSTER", "MYID")) for client in (giver, taker))
        taker.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", giver_id)
        giver.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", taker_id)
        taker.execute_command("CLUSTER", "SETSLOT", slot, "NODE", taker_id)
        giver.execute_command("CLUSTER", "SETSLOT", slot, "NODE", taker_id)
    return CHANNELS[0]


def str_of(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


@pytest.mark.parametrize("make", ["redis", "valkey"])
async def test_the_master_that_a_sentinel_names(make: str, tmp_path: Path) -> None:
    with single(make, tmp_path / "master") as master:
        sentinel = Server(
            make,
            tmp_path / "sentinel",
            sentinel_config=f"sentinel monitor pager 127.0.0.1 {master.port} 1",
        )
        try:
            await asyncio.to_thread(sentinel.start)
            await prove(f"redis+sentinel://127.0.0.1:{sentinel.port}/pager")
            with pytest.raises(DependencyError, match="redis can't carry wake-ups"):
                await wakeups_at(f"redis+sentinel://127.0.0.1:{sentinel.port}/nobody").start()
        finally:
            sentinel.kill()


@pytest.mark.parametrize("make", ["redis", "valkey"])
async def test_a_password(make: str, tmp_path: Path) -> None:
    with single(make, tmp_path) as server:
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "pager", "on", ">s@cret", "~ag:*", "&ag:*", "+@all")
        await prove(f"redis://pager:s%40cret@127.0.0.1:{server.port}")
        with pytest.raises(DependencyError) as refused:
            await wakeups_at(f"redis://pager:hunter2@127.0.0.1:{server.port}").start()
        assert "hunter2" not in refused.value.message


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A key, and a certificate of 127.0.0.1 signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    certificate, private = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return certificate, private


async def test_tls(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    program("redis")  # the wheel's Valkey is built without TLS
    port = quiet_port()
    options = ("--tls-port", str(port), "--tls-cert-file", str(certificate[0]))
    options += ("--tls-key-file", str(certificate[1]), "--tls-auth-clients", "no")
    with single("redis", tmp_path / "server", *options):
        await prove(f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate[0]}")
        with pytest.raises(DependencyError, match="redis can't carry wake-ups"):
            await wakeups_at(f"rediss://127.0.0.1:{port}").start()
