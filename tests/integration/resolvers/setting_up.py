"""Documents by which tests set up paging."""

from __future__ import annotations

from typing import Any

from alertgraph.core.tenant import Principal
from alertgraph.services.engine import Engine
from tests.integration.resolvers.api import Api

CREATE_CHANNEL = """mutation($input: NotificationChannelInput!) { createNotificationChannel(input: $input) {
  notificationChannel { id name kind enabled template version fallback { id } config { __typename
    ... on SlackConfig { channel apiUrl } ... on TeamsConfig { host } ... on EmailConfig { to }
    ... on PagerDutyConfig { routingKeyEnd eventsUrl } ... on WebhookConfig { url headerNames preset } } }
  webhookSecret errors { code path message } } }"""
UPDATE_CHANNEL = """mutation($input: UpdateNotificationChannelInput!) { updateNotificationChannel(input: $input) {
  notificationChannel { id name enabled template version fallback { id } config {
    ... on SlackConfig { channel apiUrl } ... on WebhookConfig { url headerNames preset } } }
  webhookSecret errors { code path currentVersion } } }"""
DELETE_CHANNEL = """mutation($input: DeleteInput!) { deleteNotificationChannel(input: $input) {
  deletedId errors { code path message } } }"""
TEST_CHANNEL = """mutation($input: TestNotificationChannelInput!) { testNotificationChannel(input: $input) {
  delivered detail errors { code path } } }"""
CREATE_RESPONDER = """mutation($input: ResponderInput!) { createResponder(input: $input) {
  responder { id name email timeZone version contactMethods { channel { name } address delay } }
  errors { code path message } } }"""
UPDATE_RESPONDER = """mutation($input: UpdateResponderInput!) { updateResponder(input: $input) {
  responder { id name email timeZone version contactMethods { channel { name } address delay } }
  errors { code path currentVersion } } }"""
DELETE_RESPONDER = """mutation($input: DeleteInput!) { deleteResponder(input: $input) {
  deletedId errors { code path message } } }"""
CREATE_SCHEDULE = """mutation($input: OnCallScheduleInput!) { createOnCallSchedule(input: $input) {
  onCallSchedule { id name timeZone version rotations { responders { name } startsAt shiftLength
    windows { days startsAt endsAt } } } override { id } errors { code path message } } }"""
UPDATE_SCHEDULE = """mutation($input: UpdateOnCallScheduleInput!) { updateOnCallSchedule(input: $input) {
  onCallSchedule { id name timeZone version rotations { shiftLength } } errors { code path currentVersion } } }"""
DELETE_SCHEDULE = """mutation($input: DeleteInput!) { deleteOnCallSchedule(input: $input) {
  deletedId errors { code path } } }"""
OVERRIDE_SHIFT = """mutation($input: OverrideShiftInput!) { overrideShift(input: $input) {
  onCallSchedule { id version onCall { name } }
  override { id responder { name } startsAt endsAt createdBy { name } } errors { code path } } }"""
DELETE_OVERRIDE = """mutation($input: DeleteInput!) { deleteShiftOverride(input: $input) {
  deletedId errors { code path } } }"""


async def done(api: Api, principal: Principal, document: str, **input: object) -> dict[str, Any]:
    """Return the payload of a mutation that must succeed."""
    payload = await answered(api, principal, document, **input)
    assert payload["errors"] == [], payload["errors"]
    return payload


async def answered(api: Api, principal: Principal, document: str, **input: object) -> dict[str, Any]:
    """Return the payload of a mutation."""
    (payload,) = (await api.data(principal, document, input=input)).values()
    result: dict[str, Any] = payload
    return result


async def refused(api: Api, principal: Principal, document: str, **input: object) -> tuple[str, str]:
    """Return the code and the path of a mutation that must be refused."""
    payload = await answered(api, principal, document, **input)
    assert all(value in (None, False, "", payload["errors"]) for value in payload.values()), payload
    error = payload["errors"][0]
    return error["code"], ".".join(error["path"] or ())


async def a_webhook(api: Api, admin: Principal, name: str = "hook", **fields: object) -> str:
    """Make a webhook channel and return its id."""
    config = {"webhook": {"url": "http://127.0.0.1:9/hook"}}
    made = await done(api, admin, CREATE_CHANNEL, **{"name": name, "config": config, **fields})
    channel_id: str = made["notificationChannel"]["id"]
    return channel_id


async def a_responder(api: Api, admin: Principal, name: str, **fields: object) -> str:
    """Add a person and return their id."""
    made = await done(api, admin, CREATE_RESPONDER, name=name, **fields)
    responder_id: str = made["responder"]["id"]
    return responder_id


async def worked(engine: Engine) -> None:
    """Let the engine do what there is to do at this moment."""
    engine.configured()
    while await engine.judge_anew() + await engine.turn():
        pass
