"""Buttons pressed in Slack, at /integrations/slack/actions.

Slack wants an answer within 3 s. What is asked for usually takes some milliseconds, and then it is done, durably,
before Slack hears that it arrived; what takes longer goes on after the answer. Either way the person who pressed
is told in a message that only they see how it ended.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qs

import orjson
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from alertgraph.core.action_token import BUTTON_ID_PREFIX, ActionClaim, TokenExpiredError, read
from alertgraph.core.errors import AlertGraphError, DependencyError, UnauthenticatedError
from alertgraph.core.ids import ChannelId, TenantId
from alertgraph.edge.bodies import METHODS, BodyError, problem_response, read_body, read_json
from alertgraph.edge.gate import Gate
from alertgraph.services.chat_actions import ChatActionService, ChatUser
from alertgraph.services.ports import Observer

SLACK_ACTIONS_PATH = "/integrations/slack/actions"
# An interaction carries the whole message: 50 blocks of 3,000 characters at the most, and what Slack adds.
BODY_BYTES_MAX = 1024 * 1024
AGE_MAX = timedelta(minutes=5)
# Of the 3 s that Slack waits, what the ways to us and back may take is left.
ANSWER_WITHIN = timedelta(seconds=2)
# Slack's ids and names are short; what is longer is cut before it is hashed, kept or shown.
_WORD_LENGTH_MAX = 256

SigningSecret = Callable[[TenantId, ChannelId], Awaitable[str | None]]
"""Returns a Slack channel's signing secret in plain text; None where there is no such channel, or none is set."""


class Replies(Protocol):
    """Tells people who pressed a button how it ended."""

    async def reply(self, url: str, text: str) -> str | None:
        """Post a text, shown as it is, to an interaction's response_url; return what failed, None for nothing."""
        ...


def slack_routes(
    gate: Gate,
    actions: ChatActionService,
    key: bytes,
    signing_secret: SigningSecret,
    replies: Replies,
    observer: Observer,
) -> list[BaseRoute]:
    """Return the route that Slack's interactivity is pointed at.

    Args:
        gate: For its clock and its budgets.
        actions: Carries out what buttons stand for.
        key: What their tokens are signed with.
        signing_secret: Looks up what Slack signs a channel's requests with.
        replies: Tells how it ended.
        observer: Learns of what can't be told to anybody else.
    """
    door = _SlackDoor(gate, actions, key, signing_secret, replies, observer)
    return [Route(SLACK_ACTIONS_PATH, door.answer, methods=METHODS)]


def is_signed(secret: str, timestamp: str, body: bytes, signature: str) -> bool:
    """Say whether Slack signed a request (version v0), whatever its age."""
    expected = hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(f"v0={expected}".encode(), signature.encode())


class _SlackDoor:
    """Answers Slack."""

    def __init__(
        self,
        gate: Gate,
        actions: ChatActionService,
        key: bytes,
        signing_secret: SigningSecret,
        replies: Replies,
        observer: Observer,
    ) -> None:
        self._gate = gate
        self._actions = actions
        self._key = key
        self._signing_secret = signing_secret
        self._replies = replies
        self._observer = observer
        self._tasks: set[asyncio.Task[None]] = set()

    async def answer(self, request: Request) -> Response:
        """Answer one request of Slack."""
        if request.method != "POST":
            error = BodyError("Slack sends POST here.", status=HTTPStatus.METHOD_NOT_ALLOWED)
            response = problem_response(request, error)
            response.headers["Allow"] = "POST"
            return response
        try:
            body = await read_body(request, BODY_BYTES_MAX)
            return await self._answer(request, body)
        except AlertGraphError as error:
            return problem_response(request, error)

    async def _answer(self, request: Request, body: bytes) -> Response:
        if body[:1] == b"{":
            return _answer_challenge(read_json(body))
        until = asyncio.get_running_loop().time() + ANSWER_WITHIN.total_seconds()
        form = _form(body)
        if "ssl_check" in form:
            return Response()
        payload = _object(read_json(form.get("payload", "").encode()))
        pressed = _pressed(payload)
        if pressed is None:
            # Some other part of the app, such as a link's button: nothing is asked of us.
            return Response()
        claim, expired = self._claim(pressed)
        await self._check_signed(request, body, claim, until)
        reply_url = _text(payload.get("response_url"))
        if expired is not None:
            work = self._reply(reply_url, expired.message)
        else:
            work = self._act(claim, _user_of(payload), _once(payload, pressed, body), reply_url)
        task = asyncio.create_task(self._outlive(work))
        # Also when Slack hangs up, what was begun is brought to its end.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.wait({task}, timeout=max(0.0, until - asyncio.get_running_loop().time()))
        # The server counts a request as under way until this is over, so that a shutdown waits for it.
        return Response(background=BackgroundTask(asyncio.wait, {task}))

    def _claim(self, pressed: dict[str, Any]) -> tuple[ActionClaim, TokenExpiredError | None]:
        """Return what a button stands for, also where its time is over: that is told, but only to Slack."""
        try:
            return read(_word(pressed.get("value")), self._key, self._gate.clock.now()), None
        except TokenExpiredError as error:
            return error.claim, error

    async def _check_signed(self, request: Request, body: bytes, claim: ActionClaim, until: float) -> None:
        refused = UnauthenticatedError("The request is not signed by the Slack app of that channel.")
        timestamp = request.headers.get("x-slack-request-timestamp", "")
        signature = request.headers.get("x-slack-signature", "")
        if not _is_recent(timestamp, self._gate.clock.now()):
            raise refused
        try:
            async with asyncio.timeout_at(until):
                secret = await self._signing_secret(claim.tenant_id, claim.channel_id)
        except TimeoutError:
            raise DependencyError("postgresql", retryable=True) from None
        if not secret or not is_signed(secret, timestamp, body, signature):
            raise refused

    async def _act(self, claim: ActionClaim, user: ChatUser, once: str, reply_url: str) -> None:
        try:
            asked = await self._actions.look(claim, user)
            await self._gate.admit(asked.principal, 1)
            told = await self._actions.carry_out(asked, once)
            sentence = told.sentence if told.done else f"Not done. {told.sentence}"
        except DependencyError as error:
            self._observer.failed("slack actions", error)
            sentence = "Not done, as far as is known: alertgraph's database does not answer. Please press again."
        except AlertGraphError as error:
            sentence = f"Not done. {error.message}"
        await self._reply(reply_url, sentence)

    async def _outlive(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001  (Slack has its answer: nobody else would hear of it)
            self._observer.failed("slack actions", error)

    async def _reply(self, url: str, text: str) -> None:
        """Tell the person who pressed a button, where Slack names a place to tell them."""
        if not url:
            return
        error = await self._replies.reply(url, text)
        if error is not None:
            self._observer.failed("slack actions", DependencyError("slack", retryable=False, message=error))


def _form(body: bytes) -> dict[str, str]:
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        raise BodyError("The form has too many fields.") from None
    return {name: values[0] for name, values in fields.items()}


def _answer_challenge(value: object) -> Response:
    """Answer Slack's test of an address, which is all that it sends as JSON."""
    asked = _object(value)
    challenge = asked.get("challenge")
    if asked.get("type") != "url_verification" or not isinstance(challenge, str):
        raise BodyError("Only Slack's url_verification is taken as JSON here.")
    return Response(
        orjson.dumps({"challenge": challenge[:_WORD_LENGTH_MAX]}),
        media_type="application/json",
        headers={"X-Content-Type-Options": "nosniff"},
    )


def _pressed(payload: dict[str, Any]) -> dict[str, Any] | None:
    """Return the button of ours that was pressed; None where the interaction is none of ours."""
    if payload.get("type") != "block_actions":
        return None
    actions = payload.get("actions")
    if not isinstance(actions, list):
        raise BodyError("The payload's actions are no list.", "actions")
    for action in actions:
        if isinstance(action, dict) and _text(action.get("action_id")).startswith(BUTTON_ID_PREFIX):
            return action
    return None


def _user_of(payload: dict[str, Any]) -> ChatUser:
    user, team = payload.get("user"), payload.get("team")
    user = user if isinstance(user, dict) else {}
    team = team if isinstance(team, dict) else {}
    user_id = _word(user.get("id"))
    name = _word(user.get("name")) or _word(user.get("username"))
    return ChatUser(_word(team.get("id")) or _word(user.get("team_id")), user_id, name or user_id or "Slack user")


def _once(payload: dict[str, Any], pressed: dict[str, Any], body: bytes) -> str:
    """Return the idempotency key of one press: the same request again, replayed or repeated, is the same press."""
    trigger, at = _word(payload.get("trigger_id")), _word(pressed.get("action_ts"))
    identity = orjson.dumps([trigger, at, _word(pressed.get("value"))]) if trigger and at else body
    return f"slack:{hashlib.sha256(identity).hexdigest()}"


def _is_recent(timestamp: str, now: datetime) -> bool:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return False
    return abs(now.timestamp() - int(timestamp)) <= AGE_MAX.total_seconds()


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BodyError("An object is wanted here.")
    return value


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _word(value: object) -> str:
    return _text(value)[:_WORD_LENGTH_MAX]
