"""What somebody tries with the things of somebody else, and how it has to be answered: as if there were none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, TypeVar

import httpx2
import pytest

from tests.e2e import live, walk
from tests.e2e.belongings import Belongings, Caller, leaked, sort_of, stranger
from tests.e2e.walk import Case

T = TypeVar("T")

# A cursor says where a list goes on, and is good for no more than that; some lists know that it is none of theirs.
CURSOR_CODES = {"BAD_REQUEST", "CURSOR_EXPIRED"}
# What one socket carries at a time.
SUBSCRIPTION_COUNT_MAX = 100
# How long what must not come is waited for, once what must come has come.
LATE_SECONDS = 0.2
END = "mutation End($select: AlertSelector!) { resolveAlerts(input: {select: $select}) { changedCount } }"


def codes_of(answer: dict[str, Any]) -> set[str]:
    """Return the codes of an answer's errors."""
    return {error["extensions"]["code"] for error in answer.get("errors", ())}


def check(belongings: Belongings, case: Case, reply: httpx2.Response, sent: Any) -> None:
    """Fail where an answer tells anything of somebody else, or where something broke."""
    found = leaked(belongings, reply.text, sent)
    assert not found, f"{case} with {sent!r} told {found}: {reply.text[:2000]}"
    assert reply.status_code < 500, f"{case} with {sent!r}: {reply.text}"
    assert "INTERNAL" not in codes_of(reply.json()), f"{case} with {sent!r}: {reply.text}"


def compare(caller: Caller, belongings: Belongings, case: Case) -> int:
    """Put each of somebody else's handles into a case; it must be answered as one that nobody has."""
    assert case.slot is not None
    unknown: dict[str, Any] = {}
    handles = belongings.handles(case)
    for handle in handles:
        reply = caller.ask(case, handle)
        check(belongings, case, reply, handle)
        if case.slot.kind == "cursor":
            # Lists that are of no use without all alerts are refused to a key that sees some, whatever the cursor.
            refused = {"FORBIDDEN"} if caller.labels else set()
            assert codes_of(reply.json()) <= CURSOR_CODES | refused, f"{case}: {reply.text}"
        elif case.slot.kind == "idempotency_key":
            assert "IDEMPOTENCY_KEY_REUSED" not in reply.text, f"{case}: {reply.text}"
        else:
            sort = sort_of(handle)
            if sort not in unknown:
                other = stranger(handle)
                unknown[sort] = shape_of(caller.ask(case, other), other)
            assert shape_of(reply, handle) == unknown[sort], f"{case} with {handle!r}"
        if case.field.startswith("createAlert"):
            # The dedup key is the caller's own from now on, and would be found by it.
            caller.service.data(END, {"select": {"dedupKeys": [handle]}}, key=caller.key)
    return len(handles)


def shape_of(reply: httpx2.Response, sent: Any) -> Any:
    """Return an answer without what differs between any two, and without what was sent."""
    text = sent["value"] if isinstance(sent, dict) else sent
    return reply.status_code, walk.shape(reply.json(), {text: "<sent>"})


Follower = Callable[..., Any]
FOLLOWERS = pytest.mark.parametrize("follower", [live.socket, live.event_streams])


async def listen(
    follower: Follower, caller: Caller, belongings: Belongings, alert_id: str, happens: Callable[[], Any]
) -> None:
    """Follow everything with somebody else's handles while things happen to them; nothing of it may be heard.

    Args:
        follower: A websocket or event streams.
        caller: Who listens.
        belongings: What is somebody else's.
        alert_id: Of theirs, which something will happen to.
        happens: Has it happen.
    """
    # One of each sort is enough of them; the last cursors are those of the log.
    ids = [*{sort_of(each): each for each in belongings.ids}.values(), alert_id]
    few = replace(belongings, ids=ids, cursors=belongings.cursors[-5:])
    wanted = [
        (case, handle)
        for case in walk.cases("subscription")
        for handle in ([None] if case.slot is None else few.handles(case))
    ]
    assert len(wanted) > 40, "the walk has become a stroll"
    async with AsyncExitStack() as clients:
        heard = []
        for some in _batches(wanted, SUBSCRIPTION_COUNT_MAX):
            client = await clients.enter_async_context(follower(caller.service, caller.key))
            heard += [
                (case, handle, await client.follow(case.request(caller.alert_id, handle))) for case, handle in some
            ]
        plain = [each for case, _, each in heard if case.slot is None and case.field != "alertMetrics"]
        await _until_heard(caller, plain, "before it happened")
        await asyncio.to_thread(happens)
        await _until_heard(caller, plain, "after it happened")
        await asyncio.sleep(LATE_SECONDS)
    for case, handle, each in heard:
        found = leaked(belongings, each.text, [handle, alert_id])
        assert not found, f"{case} with {handle!r} told {found}: {each.text}"
        is_metrics = case.field == "alertMetrics"
        assert each.codes <= CURSOR_CODES | ({"FORBIDDEN"} if is_metrics else set()), f"{case}: {each.errors}"
        if case.slot is not None and not is_metrics and case.slot.kind != "cursor":
            assert not each.answers, f"{case} with {handle!r}: {each.answers}"
        assert each.answers or not is_metrics or each.codes, "figures are told at once"


def _batches(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


async def _until_heard(caller: Caller, heard: Sequence[live.Heard], word: str) -> None:
    """Have the caller do something until every one of these has heard of it."""
    for _ in range(100):
        await asyncio.to_thread(caller.fire, word)
        await asyncio.sleep(0.05)
        if all(word in each.text for each in heard):
            return
    pytest.fail(f"nobody heard what came {word}")
