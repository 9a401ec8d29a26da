"""Where requests may go: judged at the connection, over real sockets."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Sequence
from pathlib import Path

import httpx2
import pytest

from alertgraph.core.errors import InputError
from alertgraph.edge.clock import SystemClock
from alertgraph.notify import guard as guard_module
from alertgraph.notify.guard import BlockedError, Guard, GuardedTransport, is_public
from alertgraph.notify.http import Answer, HttpPoster
from tests.integration.notify.provider import Provider, answers, certificate, provider

PRIVATE = (
    "http://127.0.0.1/",
    "http://localhost/",
    "http://LOCALHOST./",
    "http://db.localhost/",
    "http://xn--/",
    "http://0/",
    "http://0.0.0.0/",
    "http://2130706433/",
    "http://127.1/",
    "http://0x7f.1/",
    "http://0x7f000001/",
    "http://017700000001/",
    "http://127.0.0.1./",
    "http://127.0.0.1.:80/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/",
    "http://[::ffff:0:127.0.0.1]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fe80::1]/",
    "http://[fe80::1%25lo]/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b::10.0.0.1]/",
    "http://[64:ff9b:1::a00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:4136:e378:8000:63bf:80ff:fffe]/",
    "http://[fd00::1]/",
    "http://[fec0::1]/",
    "http://[2001:db8::1]/",
    "http://224.0.0.1/",
    "http://[ff02::1]/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://192.0.0.170/",
    "http://192.88.99.1/",
    "http://198.18.0.1/",
    "http://203.0.113.1/",
    "http://8.8.8.8:6379/",
    "http://8.8.8.8:22/",
    "https://8.8.8.8:5432/",
    "http://134744072/",
)
ODD = (
    "",
    "ftp://example.com/",
    "file:///etc/passwd",
    "unix:///run/docker.sock",
    "gopher://127.0.0.1/",
    "//example.com/",
    "example.com",
    "http://",
    "http:///path",
    "http://user:secret@8.8.8.8/",
    "http://user@8.8.8.8/",
    "http://exa mple.com/",
    "http://[::1/",
    "http://0177.0.0.1/",
    "http://example.com:0/",
    "http://example.com:99999/",
    "http://example.com/\x00",
    "https://" + "a" * 3000 + ".example.com/",
    "http://8.8.8.8/" + "a" * 3000,
)


async def _post(guard: Guard, url: str) -> Answer:
    poster = HttpPoster(guard, SystemClock())
    try:
        return await poster.post(url, headers={}, content=b"{}")
    finally:
        await poster.aclose()


class Names:
    """A resolver that a test writes: each look-up takes the next answer, the last one is repeated."""

    def __init__(self, *replies: Sequence[str]) -> None:
        self.replies = list(replies)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


@pytest.mark.parametrize("url", PRIVATE)
async def test_no_private_target_is_connected_to(url: str) -> None:
    answer = await _post(Guard(), url)

    assert not answer.result.delivered
    assert not answer.result.retryable
    assert re.search(r"not allowed|private or reserved", answer.result.error or "")


@pytest.mark.parametrize("url", [*PRIVATE, *ODD])
async def test_a_channel_is_not_saved_with_an_address_like_that(url: str) -> None:
    with pytest.raises(InputError) as caught:
        await Guard().check_url(url, "config", "webhook", "url")

    assert caught.value.problems[0].path == ("config", "webhook", "url")
    assert "secret" not in caught.value.message


async def test_who_is_refused_is_told_what_the_operator_can_do() -> None:
    with pytest.raises(InputError, match=r"private or reserved\. .*CRITICAL_ALERT_ALLOW_PRIVATE_TARGETS=true"):
        await Guard().check_url("http://192.168.0.1/hook", "url")


@pytest.mark.parametrize("url", ODD)
async def test_what_is_no_url_is_refused_where_private_addresses_are_allowed_too(url: str) -> None:
    with pytest.raises(InputError):
        await Guard(allow_private=True).check_url(url, "url")


async def test_private_addresses_and_ports_are_allowed_where_the_operator_says_so() -> None:
    guard = Guard(allow_private=True)
    async with provider(answers(204)) as server:
        await guard.check_url(server.url, "url")
        answer = await _post(guard, server.url)

    assert answer.result.delivered
    assert answer.result.status_code == 204
    assert len(server.received) == 1


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "193.0.6.139"]
)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("text", ["", "example.com", "127.1", "fe80::1%eth0", "2606:4700:4700::1111%eth0"])
def test_what_is_no_plain_address_is_not_public(text: str) -> None:
    assert not is_public(text)


async def test_a_public_name_passes_the_check() -> None:
    names = Names(["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])

    await Guard(resolve=names).check_url("https://hooks.example.com/services/T0", "url")
    await Guard(resolve=names).check_url("https://hooks.example.com:8443/services/T0", "url")

    assert names.asked == ["hooks.example.com"] * 2


async def test_one_private_address_among_public_ones_spoils_the_answer() -> None:
    guard = Guard(resolve=Names(["93.184.215.14", "127.0.0.1"]))

    with pytest.raises(InputError, match=r"private or reserved"):
        await guard.check_url("https://hooks.example.com/", "url")
    assert "private or reserved" in ((await _post(guard, "https://hooks.example.com/")).result.error or "")


async def test_a_name_that_changes_its_mind_gains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rebinding: public when it is judged, loopback a moment later. There is no second look-up to answer."""
    monkeypatch.setattr(guard_module, "is_public", lambda address: address == "127.0.0.2")
    async with provider() as server:
        monkeypatch.setattr(guard_module, "PORTS", frozenset({server.port}))
        names = Names(["127.0.0.2"], ["127.0.0.1"])
        first = await _post(Guard(resolve=names), f"http://rebinding.example.com:{server.port}/")
        assert names.asked == ["rebinding.example.com"]
        second = await _post(Guard(resolve=names), f"http://rebinding.example.com:{server.port}/")

    # The first went to the very address that was judged, where nobody listens; the second was refused.
    assert first.result.error == "No connection to rebinding.example.com."
    assert "private or reserved" in (second.result.error or "")
    assert server.connection_count == 0


async def test_the_judged_address_is_connected_to_and_the_host_is_still_named(tmp_path: Path) -> None:
    """So the certificate is held against the name that somebody wrote, not against an address."""
    server_tls, client_tls = certificate(tmp_path, "hooks.example.com")
    async with Provider(answers(200), tls=server_tls) as server:
        guard = Guard(allow_private=True, resolve=Names(["127.0.0.1"]))
        poster = HttpPoster(guard, SystemClock(), ssl_context=client_tls)
        good = await poster.post(f"https://hooks.example.com:{server.port}/x", headers={}, content=b"")
        bad = await poster.post(f"https://other.example.com:{server.port}/x", headers={}, content=b"")
        await poster.aclose()
        port = server.port

    assert good.result.delivered
    assert server.last.headers["host"] == f"hooks.example.com:{port}"
    assert bad.result.error == "The certificate of other.example.com is not valid."
    assert bad.result.retryable


async def test_the_next_address_is_tried_where_the_first_does_not_answer() -> None:
    async with provider() as server:
        guard = Guard(allow_private=True, resolve=Names(["127.0.0.9", "127.0.0.1"]))
        answer = await _post(guard, f"http://hooks.example.com:{server.port}/")

    assert answer.result.delivered


async def test_redirects_are_not_followed() -> None:
    async with provider() as inside, provider(answers(302, Location=inside.url)) as outside:
        answer = await _post(Guard(allow_private=True), outside.url)

    assert answer.result.error == "The provider answered 302 Found: redirects are not followed."
    assert not answer.result.retryable
    assert inside.connection_count == 0


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with provider() as proxy, provider() as target:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        answer = await _post(Guard(allow_private=True), target.url)

    assert answer.result.delivered
    assert proxy.connection_count == 0


async def test_a_host_that_is_not_found_may_be_found_later() -> None:
    async def nobody(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    answer = await _post(Guard(resolve=nobody), "https://nowhere.example.com/")
    with pytest.raises(InputError, match=r"nowhere\.example\.com is not found"):
        await Guard(resolve=nobody).check_url("https://nowhere.example.com/", "url")

    assert answer.result.error == "No connection to nowhere.example.com."
    assert answer.result.retryable


async def test_a_resolver_that_hangs_does_not_hold_anybody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forever(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(60)
        return ["93.184.215.14"]

    monkeypatch.setattr(guard_module, "LOOKUP_TIMEOUT_SECONDS", 0.05)
    with pytest.raises(InputError, match=r"not found"):
        await Guard(resolve=forever).check_url("https://slow.example.com/", "url")


async def test_unix_sockets_are_refused() -> None:
    backend = GuardedTransport(Guard(allow_private=True))._pool._network_backend

    with pytest.raises(BlockedError):
        await backend.connect_unix_socket("/run/docker.sock")


async def test_the_transport_has_no_other_way_out() -> None:
    """A client around the bare transport is guarded too, whatever it is told."""
    async with httpx2.AsyncClient(transport=GuardedTransport(Guard()), follow_redirects=True) as client:
        with pytest.raises(httpx2.ConnectError, match=r"private or reserved"):
            await client.get("http://127.0.0.1/")
