"""What wakes people, each held against a server that checks the form its documentation asks for."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import orjson
import pytest

from alertgraph.core.channel import WebhookPreset
from alertgraph.core.delivery import Purpose
from alertgraph.core.message import Message, SendResult
from alertgraph.core.severity import Severity
from alertgraph.edge.clock import SystemClock
from alertgraph.notify.guard import Guard
from alertgraph.notify.http import HttpPoster
from alertgraph.notify.webhook import WebhookAdapter
from tests.factories import T0, an_alert
from tests.integration.notify.messages import (
    ACTIONS,
    LINK,
    a_bundle,
    a_huge_alert,
    a_message,
    a_test_message,
    a_webhook,
    an_update,
)
from tests.integration.notify.provider import Provider, Received, Reply, answers, checks, provider

SID = "AC" + "0123456789abcdef" * 2
AUTH_TOKEN = "twilio-auth-token"
BASIC = "Basic " + base64.b64encode(f"{SID}:{AUTH_TOKEN}".encode()).decode()
NTFY_TOKEN = "tk_agqdqs7e8jmgm9lrwcw8h84ip00q4"
PUSHOVER_TOKEN = "azGDORePK8gMaC0QOYAMyEEuzJnyUi"
PUSHOVER_USER = "uQiRzpo4DXghDmr9QzzfQu27cmVRsG"


def twilio(received: Received) -> Reply:
    """Answer as Twilio's Messages and Calls resources do."""

    def refused(code: int, message: str, status: int = 400) -> Reply:
        more = f"https://www.twilio.com/docs/errors/{code}"
        return Reply.of_json(status, {"code": code, "message": message, "more_info": more, "status": status})

    kind = re.fullmatch(rf"/2010-04-01/Accounts/{SID}/(Messages|Calls)\.json", received.target)
    if received.method != "POST" or kind is None:
        return refused(20404, f"The requested resource {received.target} was not found", 404)
    if received.headers.get("authorization") != BASIC:
        return Reply.of_json(401, {"code": 20003, "message": "Authenticate", "status": 401})
    if received.headers.get("content-type") != "application/x-www-form-urlencoded":
        return refused(20422, "Invalid content type")
    form = {name: values[0] for name, values in received.form.items()}
    if not re.fullmatch(r"\+[1-9]\d{6,14}", form.get("To", "")):
        return refused(21211, f"The 'To' number {form.get('To')} is not a valid phone number.")
    if kind[1] == "Messages":
        if not form.get("From") and not re.fullmatch(r"MG[0-9a-f]{32}", form.get("MessagingServiceSid", "")):
            return refused(21603, "A 'From' phone number is required.")
        if not form.get("Body"):
            return refused(21602, "Message body is required.")
        if len(form["Body"]) > 1600:
            return refused(21617, "The concatenated message body exceeds the 1600 character limit")
        return Reply.of_json(201, {"sid": "SM" + "0" * 32, "status": "queued", "error_code": None})
    if not form.get("From"):
        return refused(21213, "'From' phone number is required")
    if not form.get("Twiml") and not form.get("Url"):
        return refused(21205, "Url parameter is required.")
    if len(form["Twiml"]) > 4000:
        return refused(21240, "Invalid Twiml: longer than 4000 characters")
    try:
        root = ElementTree.fromstring(form["Twiml"])  # our own output, on loopback
    except ElementTree.ParseError:
        return refused(12100, "Document parse failure")
    if root.tag != "Response" or {child.tag for child in root} - {"Say", "Pause"}:
        return refused(12200, "Schema validation warning")
    return Reply.of_json(201, {"sid": "CA" + "0" * 32, "status": "queued"})


def ntfy(received: Received) -> Reply:
    """Answer as ntfy does to a message published as JSON."""

    def refused(status: int, code: int, error: str) -> Reply:
        return Reply.of_json(
            status, {"code": code, "http": status, "error": error, "link": "https://ntfy.sh/docs/publish/"}
        )

    if received.method not in ("POST", "PUT") or received.target != "/":
        return refused(404, 40401, "page not found")
    if received.headers.get("authorization") != f"Bearer {NTFY_TOKEN}":
        return refused(401, 40101, "unauthorized")
    try:
        fields = received.json
    except orjson.JSONDecodeError:
        return refused(400, 40024, "invalid request: request body must be valid JSON")
    if not re.fullmatch(r"[-_A-Za-z0-9]{1,64}", fields.get("topic", "")):
        return refused(400, 40009, "invalid request: topic invalid")
    if not isinstance(fields.get("priority", 3), int) or not 1 <= fields.get("priority", 3) <= 5:
        return refused(400, 40007, "invalid request: priority invalid")
    if len(fields["message"].encode()) > 4096:
        return refused(400, 40025, "invalid request: message too long")
    actions = fields.get("actions", [])
    if len(actions) > 3 or any(set(action) != {"action", "label", "url"} for action in actions):
        return refused(400, 40018, "invalid request: actions invalid")
    known = {
        "topic",
        "message",
        "title",
        "tags",
        "priority",
        "attach",
        "actions",
        "click",
        "icon",
        "delay",
        "email",
    }
    if set(fields) - known or not isinstance(fields.get("tags", []), list):
        return refused(400, 40024, "invalid request: unknown field")
    return Reply.of_json(
        200, {"id": "hwQ2YpKdmg", "time": 1_700_000_000, "event": "message", "topic": fields["topic"]}
    )


def pushover(received: Received) -> Reply:
    """Answer as Pushover's message API does."""
    form = {name: values[0] for name, values in received.form.items()}
    errors = []
    if received.target != "/1/messages.json":
        return Reply.of_json(404, {"status": 0, "errors": ["not found"]})
    if received.headers.get("content-type") != "application/x-www-form-urlencoded":
        errors.append("content type")
    if form.get("token") != PUSHOVER_TOKEN:
        errors.append("application token is invalid, see https://pushover.net/api")
    if not re.fullmatch(r"[A-Za-z0-9]{30}", form.get("user", "")):
        errors.append("user identifier is not a valid user, group, or subscribed user key")
    if not form.get("message"):
        errors.append("message cannot be blank")
    for name, length in (("message", 1024), ("title", 250), ("url", 512), ("url_title", 100)):
        if len(form.get(name, "")) > length:
            errors.append(f"{name} is too long")
    priority = int(form.get("priority", "0"))
    if not -2 <= priority <= 2:
        errors.append("priority is invalid")
    if priority == 2 and (int(form.get("retry", "0")) < 30 or not 0 < int(form.get("expire", "0")) <= 10_800):
        errors.append("expire must be supplied with priority=2, and retry of at least 30")
    if not form.get("timestamp", "0").isdecimal():
        errors.append("timestamp is invalid")
    request = "647d2300-702c-4b38-8b2f-d56326ae460b"
    if errors:
        return Reply.of_json(400, {"user": "invalid", "errors": errors, "status": 0, "request": request})
    receipt = {"receipt": "r" * 30} if priority == 2 else {}
    return Reply.of_json(200, {"status": 1, "request": request, **receipt})


SERVICES: dict[WebhookPreset, tuple[Callable[[Received], Reply], str, dict[str, str], str]] = {
    WebhookPreset.TWILIO_SMS: (
        twilio,
        f"/2010-04-01/Accounts/{SID}/Messages.json",
        {"Authorization": BASIC, "Param-From": "+15017122661"},
        "+15558675310",
    ),
    WebhookPreset.TWILIO_CALL: (
        twilio,
        f"/2010-04-01/Accounts/{SID}/Calls.json",
        {"Authorization": BASIC, "Param-From": "+15017122661"},
        "+15558675310",
    ),
    WebhookPreset.NTFY: (ntfy, "/on-call_1", {"Authorization": f"Bearer {NTFY_TOKEN}"}, "ada-s-phone"),
    WebhookPreset.PUSHOVER: (pushover, "/1/messages.json", {"Param-Token": PUSHOVER_TOKEN}, PUSHOVER_USER),
}
MESSAGES = [
    a_message(),
    a_message(an_alert(severity=Severity.CRITICAL)),
    a_message(an_alert(severity=Severity.INFO, labels={}, monitored_service=None), link=None, actions={}),
    a_message(an_alert(title="<Say>&\N{FIRE} ]]>\ufffe 5 > 3 'quoted' \"twice\"", severity=Severity.LOW)),
    a_message(a_huge_alert()),
    a_message(a_huge_alert(title="&" * 1024)),
    a_message(link="https://alerts.example.com/" + "a" * 2_000, actions={}),
    a_message(purpose=Purpose.ASSIGNMENT),
    a_bundle(1_000),
    a_test_message(),
    a_message(purpose=Purpose.TEST),
]


@pytest.fixture
async def adapter() -> AsyncIterator[WebhookAdapter]:
    poster = HttpPoster(Guard(allow_private=True), SystemClock(), timeout=timedelta(seconds=5))
    yield WebhookAdapter(poster)
    await poster.aclose()


async def _send(
    adapter: WebhookAdapter,
    preset: WebhookPreset,
    message: Message,
    *,
    headers: dict[str, str] | None = None,
    template: str | None = None,
    address: str | None = "",
) -> tuple[SendResult, Provider]:
    """Send to the service; its own headers and a person's address where left out."""
    judge, path, own, person = SERVICES[preset]
    async with provider(checks(judge)) as server:
        channel = a_webhook(server.url + path, preset, template=template)
        secrets = {"headers": orjson.dumps(own if headers is None else headers).decode()}
        result = await adapter.send(channel, secrets, person if address == "" else address, message)
    return result, server


def _form(server: Provider) -> dict[str, Any]:
    return {name: values[0] for name, values in server.last.form.items()}


@pytest.mark.parametrize("preset", WebhookPreset)
@pytest.mark.parametrize("message", MESSAGES)
async def test_the_service_takes_every_sort_of_message(
    adapter: WebhookAdapter, preset: WebhookPreset, message: Message
) -> None:
    result, server = await _send(adapter, preset, message)

    assert result.error is None
    assert result.delivered
    assert len(server.received) == 1


@pytest.mark.parametrize("preset", WebhookPreset)
@pytest.mark.parametrize("change", ["ACKNOWLEDGED", "RESOLVED", "UPDATED"])
async def test_an_update_wakes_nobody(adapter: WebhookAdapter, preset: WebhookPreset, change: str) -> None:
    result, server = await _send(adapter, preset, an_update(change))

    assert result.delivered
    assert server.received == []


@pytest.mark.parametrize("preset", WebhookPreset)
async def test_the_template_makes_the_text(adapter: WebhookAdapter, preset: WebhookPreset) -> None:
    result, server = await _send(adapter, preset, a_message(), template="Wake up: {{ title }} & more")

    assert result.delivered
    body = server.last.body.decode().replace("+", " ").replace("%3A", ":").replace("%26", "&").replace("%3B", ";")
    assert "Wake up: High latency &" in body


@pytest.mark.parametrize("preset", WebhookPreset)
async def test_wrong_credentials_are_told_without_naming_them(
    adapter: WebhookAdapter, preset: WebhookPreset
) -> None:
    headers = {"Authorization": "Bearer wr0ngSECRET", "Param-Token": "wr0ngSECRET", "Param-From": "+15017122661"}

    result, _ = await _send(adapter, preset, a_message(), headers=headers)

    assert not result.delivered
    assert not result.retryable
    assert result.status_code in (400, 401)
    assert re.search(r"It says: .*([Aa]uth|token)", result.error or "")
    assert "wr0ng" not in (result.error or "")


@pytest.mark.parametrize("preset", [WebhookPreset.TWILIO_SMS, WebhookPreset.TWILIO_CALL, WebhookPreset.PUSHOVER])
async def test_what_is_missing_is_told_before_anything_is_sent(
    adapter: WebhookAdapter, preset: WebhookPreset
) -> None:
    nobody, server = await _send(adapter, preset, a_message(), address=None)
    nothing, _ = await _send(adapter, preset, a_message(), headers={})

    missing = "Param-User" if preset is WebhookPreset.PUSHOVER else "Param-To"
    assert nobody.error == f"The channel has no header {missing}."
    missing = "Param-Token" if preset is WebhookPreset.PUSHOVER else "Param-From"
    assert nothing.error == f"The channel has no header {missing}."
    assert not nobody.retryable
    assert server.received == []


async def test_a_text_message_has_the_link_to_act(adapter: WebhookAdapter) -> None:
    result, server = await _send(adapter, WebhookPreset.TWILIO_SMS, a_message())

    assert _form(server) == {
        "To": "+15558675310",
        "From": "+15017122661",
        "Body": f"[HIGH] High latency (checkout)\nAcknowledge: {ACTIONS['acknowledge']}",
    }
    assert orjson.loads(result.receipt or "") == {"sid": "SM" + "0" * 32}
    assert server.last.headers["authorization"] == BASIC


async def test_parameters_are_fields_and_no_headers(adapter: WebhookAdapter) -> None:
    headers = {
        "Authorization": BASIC,
        "param-messagingservicesid": "MG" + "0" * 32,
        "Param-To": "+15550000000",
        "Param-StatusCallback": "https://status.example.com/",
        "Param-Body": "not the text",
    }

    result, server = await _send(adapter, WebhookPreset.TWILIO_SMS, a_message(), headers=headers, address=None)

    assert result.delivered
    form = _form(server)
    assert form["To"] == "+15550000000"
    assert form["MessagingServiceSid"] == "MG" + "0" * 32
    assert form["StatusCallback"] == "https://status.example.com/"
    assert form["Body"].startswith("[HIGH]")
    assert not [name for name in server.last.headers if name.startswith("param-")]


async def test_a_person_s_number_goes_before_the_channel_s(adapter: WebhookAdapter) -> None:
    headers = {"Authorization": BASIC, "Param-From": "+15017122661", "Param-To": "+15550000000"}

    _, server = await _send(adapter, WebhookPreset.TWILIO_CALL, a_message(), headers=headers)

    assert _form(server)["To"] == "+15558675310"


async def test_a_call_reads_the_alert_out_twice(adapter: WebhookAdapter) -> None:
    alert = an_alert(title="Disk <b> & more is full", severity=Severity.CRITICAL)

    _, server = await _send(adapter, WebhookPreset.TWILIO_CALL, a_message(alert))

    say = ElementTree.fromstring(_form(server)["Twiml"]).find("Say")
    assert say is not None
    assert say.get("loop") == "2"
    assert say.text == "Critical alert: Disk <b> & more is full. Service: checkout. For Ada."
    assert len(say) == 0


async def test_a_push_by_ntfy_has_priority_tags_and_buttons(adapter: WebhookAdapter) -> None:
    result, server = await _send(
        adapter, WebhookPreset.NTFY, a_message(an_alert(severity=Severity.CRITICAL)), address=None
    )

    fields = server.last.json
    assert fields["topic"] == "on-call_1"
    assert fields["title"] == "[CRITICAL] High latency (checkout)"
    assert fields["priority"] == 5
    assert fields["tags"] == ["rotating_light"]
    assert fields["click"] == LINK
    assert [action["label"] for action in fields["actions"]] == ["Acknowledge", "Escalate", "Resolve"]
    assert {action["action"] for action in fields["actions"]} == {"view"}
    assert fields["message"].startswith("From prometheus, since 2026-11-23 12:00 UTC")
    assert orjson.loads(result.receipt or "") == {"id": "hwQ2YpKdmg"}


async def test_a_person_s_topic_takes_the_place_of_the_channel_s(adapter: WebhookAdapter) -> None:
    _, server = await _send(adapter, WebhookPreset.NTFY, a_message())
    odd, _ = await _send(adapter, WebhookPreset.NTFY, a_message(), address="../admin")

    assert server.last.json["topic"] == "ada-s-phone"
    assert not odd.delivered
    assert "topic" in (odd.error or "")


async def test_a_critical_alert_is_an_emergency_at_pushover(adapter: WebhookAdapter) -> None:
    result, server = await _send(adapter, WebhookPreset.PUSHOVER, a_message(an_alert(severity=Severity.CRITICAL)))

    form = _form(server)
    assert form["priority"] == "2"
    assert (form["retry"], form["expire"]) == ("60", "600")
    assert form["user"] == PUSHOVER_USER
    assert form["timestamp"] == str(int(T0.timestamp()))
    assert (form["url"], form["url_title"]) == (ACTIONS["acknowledge"], "Acknowledge")
    assert orjson.loads(result.receipt or "") == {"receipt": "r" * 30}


@pytest.mark.parametrize(
    ("severity", "priority"),
    [(Severity.HIGH, "1"), (Severity.MEDIUM, "0"), (Severity.LOW, "-1"), (Severity.INFO, "-1")],
)
async def test_lesser_alerts_are_no_emergency(adapter: WebhookAdapter, severity: Severity, priority: str) -> None:
    _, server = await _send(adapter, WebhookPreset.PUSHOVER, a_message(an_alert(severity=severity)))

    assert _form(server)["priority"] == priority
    assert "retry" not in _form(server)


async def test_pushover_may_be_told_another_sound_and_priority(adapter: WebhookAdapter) -> None:
    headers = {"Param-Token": PUSHOVER_TOKEN, "Param-Sound": "siren", "Param-Priority": "-2"}

    result, server = await _send(adapter, WebhookPreset.PUSHOVER, a_message(), headers=headers)

    assert result.delivered
    assert (_form(server)["sound"], _form(server)["priority"]) == ("siren", "-2")


async def test_pushover_that_says_no_with_a_200_has_not_taken_it(adapter: WebhookAdapter) -> None:
    async with provider(answers(200, b'{"status": 0, "errors": ["no devices"]}')) as server:
        channel = a_webhook(f"{server.url}/1/messages.json", WebhookPreset.PUSHOVER)
        secrets = {"headers": orjson.dumps(SERVICES[WebhookPreset.PUSHOVER][2]).decode()}
        result = await adapter.send(channel, secrets, PUSHOVER_USER, a_message())

    assert not result.delivered
    assert result.error == "Pushover refused the message: no devices."


@pytest.mark.parametrize("preset", WebhookPreset)
async def test_too_many_requests_are_tried_again_when_the_service_says(
    adapter: WebhookAdapter, preset: WebhookPreset
) -> None:
    _, path, headers, person = SERVICES[preset]
    async with provider(answers(429, b'{"message": "Too Many Requests"}', Retry_After="30")) as server:
        channel = a_webhook(server.url + path, preset)
        result = await adapter.send(channel, {"headers": orjson.dumps(headers).decode()}, person, a_message())

    assert result.retryable
    assert result.retry_after == timedelta(seconds=30)


@pytest.mark.parametrize("preset", WebhookPreset)
def test_the_preview_shows_neither_secrets_nor_numbers(adapter: WebhookAdapter, preset: WebhookPreset) -> None:
    _, path, _, _ = SERVICES[preset]

    rendered = adapter.render(a_webhook("https://service.example.com" + path, preset), a_message())

    assert isinstance(rendered.payload, dict)
    assert not {"To", "From", "token", "user", "topic"} & set(rendered.payload)
    assert "High latency" in rendered.text or rendered.subject == "[HIGH] High latency (checkout)"
