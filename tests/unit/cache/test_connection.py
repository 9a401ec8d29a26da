"""Redis URLs."""

from __future__ import annotations

import pytest
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection

from alertgraph.cache.connection import Layout, parse_redis_url


@pytest.mark.parametrize(
    ("url", "layout", "hosts", "options"),
    [
        ("redis://", Layout.SINGLE, (("localhost", 6379),), {}),
        ("redis://cache:7000/3", Layout.SINGLE, (("cache", 7000),), {"db": 3}),
        (
            "rediss://me:s%40cret@cache",
            Layout.SINGLE,
            (("cache", 6379),),
            {"username": "me", "password": "s@cret", "connection_class": SSLConnection},
        ),
        (
            "unix:///run/redis.sock",
            Layout.SINGLE,
            (),
            {"path": "/run/redis.sock", "connection_class": UnixDomainSocketConnection},
        ),
        (
            "redis+cluster://:pass@a:1,b,[::1]:3",
            Layout.CLUSTER,
            (("a", 1), ("b", 6379), ("::1", 3)),
            {"password": "pass"},
        ),
        ("rediss+cluster://a", Layout.CLUSTER, (("a", 6379),), {"connection_class": SSLConnection}),
        ("redis+cluster://a/0", Layout.CLUSTER, (("a", 6379),), {}),
    ],
)
def test_urls_are_read(url: str, layout: Layout, hosts: object, options: object) -> None:
    address = parse_redis_url(url)

    assert (address.layout, address.hosts, address.options) == (layout, hosts, options)


def test_a_sentinel_url_names_the_service_and_the_database() -> None:
    address = parse_redis_url("redis+sentinel://:pass@a,b:2/pager/5")

    assert address.layout is Layout.SENTINEL
    assert address.hosts == (("a", 26379), ("b", 2))
    assert address.service == "pager"
    assert address.options == {"password": "pass", "db": 5}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "cache:6379",
        "http://hunter2@cache",
        "redis:hunter2",
        "redis://:hunter2@cache:port",
        "redis://:hunter2@cache:99999",
        "redis://:hunter2@[::1",
        "redis://:hunter2@cache/zero",
        "redis+cluster://:hunter2@cache/1",
        "redis+sentinel://:hunter2@cache",
        "redis://:hunter2@cache?socket_timeout=hunter2",
    ],
)
def test_a_wrong_url_is_refused_in_a_sentence_that_does_not_repeat_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"Redis") as refused:
        parse_redis_url(url)

    assert "hunter2" not in str(refused.value)
    assert str(refused.value).endswith(".")


def test_the_password_is_not_in_the_representation() -> None:
    assert "hunter2" not in repr(parse_redis_url("redis://:hunter2@cache"))


def test_the_url_cannot_turn_bytes_into_text() -> None:
    client = parse_redis_url("redis://cache?decode_responses=True&protocol=3").connect()

    assert client.connection_pool.connection_kwargs["decode_responses"] is False
    assert client.connection_pool.connection_kwargs["protocol"] == 2
