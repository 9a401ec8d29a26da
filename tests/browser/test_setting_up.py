"""Silences, rules and channels, made and changed in a browser by keyboard and mouse."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.running import RunningService

CREATE = """mutation($input: CreateAlertInput!) { createAlert(input: $input) { created errors { message } } }"""
CHANNEL = """mutation($input: NotificationChannelInput!) {
  createNotificationChannel(input: $input) { notificationChannel { id } errors { message } } }"""
RULE = """mutation($input: EscalationRuleInput!) {
  createEscalationRule(input: $input) { escalationRule { id } errors { message } } }"""
RULES = """{ escalationRules(first: 10) { nodes { name severities repeatCount matchers { label operator value }
  levels { delay targets { ... on NotificationChannel { name } } } } } }"""
SILENCES = """{ silences(first: 10) { nodes { comment state matchers { label operator value } } } }"""
KEY = """mutation($role: Role!) {
  createApiKey(input: {name: "reader", role: $role}) { secret errors { message } } }"""

LOOKS: list[dict[str, Any]] = [
    {"color_scheme": "light"},
    {"color_scheme": "dark"},
    {"color_scheme": "light", "viewport": {"width": 390, "height": 800}, "locale": "de-DE"},
]


def fire(running: RunningService, title: str, **labels: str) -> None:
    draft = {"title": title, "severity": "HIGH", "labels": {"alertname": title, **labels}}
    assert running.data(CREATE, {"input": draft})["createAlert"]["created"]


def email(service: RunningService, name: str) -> str:
    input = {"name": name, "config": {"email": {"to": ["a@example.com"]}}}
    made = service.data(CHANNEL, {"input": input})["createNotificationChannel"]
    return str(made["notificationChannel"]["id"])


def fill_condition(page: Page, label: str, value: str) -> None:
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Label", exact=True).last.fill(label)
    dialog.get_by_label("Value", exact=True).last.fill(value)


def test_a_silence_shows_what_it_would_cover_is_made_changed_and_ended(
    visit: Visitor, service: RunningService
) -> None:
    for number in range(3):
        fire(service, f"NodeDown{number}", service="media", node=str(number))
    fire(service, "Other", service="web")
    page = visit(service, "silences").page
    # By key, as somebody does at night.
    expect(page.get_by_role("button", name="New silence")).to_be_visible()
    page.keyboard.press("n")
    dialog = page.get_by_role("dialog", name="New silence")

    fill_condition(page, "service", "media")
    expect(dialog.get_by_role("region", name="What it would cover")).to_contain_text("3 open alerts now")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_label("Why")).to_have_attribute("aria-invalid", "true")
    dialog.get_by_label("Why").fill("New kernels on media")
    dialog.get_by_role("button", name="4 h", exact=True).click()
    dialog.get_by_role("button", name="Create").click()

    row = page.get_by_role("listitem").filter(has_text="New kernels on media")
    expect(row).to_contain_text("Silencing now")
    expect(row).to_contain_text("covers 3 open alerts")
    # What happens elsewhere shows by itself.
    fire(service, "NodeDown3", service="media", node="3")
    expect(row).to_contain_text("covers 4 open alerts")

    row.get_by_role("button", name="Edit").click()
    page.get_by_role("dialog").get_by_label("Why").fill("Newer kernels on media")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    row = page.get_by_role("listitem").filter(has_text="Newer kernels on media")
    row.get_by_role("button", name="End now").click()
    expect(row).to_have_count(0)
    page.get_by_label("Show those that are over").check()
    expect(row).to_contain_text("Over")
    (kept,) = service.data(SILENCES)["silences"]["nodes"]
    assert kept == {
        "comment": "Newer kernels on media",
        "state": "EXPIRED",
        "matchers": [{"label": "service", "operator": "EQUAL", "value": "media"}],
    }


def test_what_the_server_refuses_of_a_silence_stands_at_its_condition(
    visit: Visitor, service: RunningService
) -> None:
    page = visit(service, "silences").page
    page.get_by_role("button", name="New silence").click()
    dialog = page.get_by_role("dialog")
    fill_condition(page, "service", "media")
    dialog.get_by_role("button", name="Add a condition").click()
    dialog.get_by_label("Compared by").last.select_option("REGEX")
    fill_condition(page, "alertname", "(")
    dialog.get_by_label("Why").fill("Test")
    dialog.get_by_role("button", name="Create").click()

    wrong = dialog.get_by_label("Value", exact=True).last
    expect(wrong).to_have_attribute("aria-invalid", "true")
    expect(dialog.get_by_label("Value", exact=True).first).not_to_have_attribute("aria-invalid", "true")


def test_a_rule_is_refused_at_the_field_at_fault_then_made_moved_and_deleted(
    visit: Visitor, service: RunningService
) -> None:
    channel = email(service, "mail")
    level = {"delay": "PT5M", "targets": [{"channelId": channel}]}
    assert (
        service.data(RULE, {"input": {"name": "Rest", "levels": [level]}})["createEscalationRule"]["errors"] == []
    )
    page = visit(service, "rules").page
    page.get_by_role("button", name="New rule").click()
    dialog = page.get_by_role("dialog", name="New rule")
    dialog.get_by_label("Name").fill("Rest")
    dialog.get_by_label("Critical").check()
    dialog.get_by_label("Tell").select_option(label="mail")
    dialog.get_by_label("Until the next level").fill("soon")
    dialog.get_by_role("button", name="Save").click()

    expect(dialog.locator(".field.wrong").filter(has_text="Until the next level")).to_be_visible()
    dialog.get_by_label("Until the next level").fill("10")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.locator(".field.wrong").filter(has_text="Name")).to_be_visible()
    dialog.get_by_label("Name").fill("Urgent")
    dialog.get_by_role("button", name="Add a level").click()
    dialog.get_by_label("Tell").last.select_option(label="mail")
    dialog.get_by_role("button", name="Save").click()

    rules = page.get_by_role("main").locator("ol.rows > li")
    expect(rules).to_have_count(2)
    expect(rules.nth(1)).to_contain_text("Urgent")
    expect(rules.nth(1)).to_contain_text("10m later")
    page.get_by_role("button", name="Try Urgent earlier").click()
    expect(rules.nth(0)).to_contain_text("Urgent")
    urgent, rest = service.data(RULES)["escalationRules"]["nodes"]
    assert rest["name"] == "Rest"
    assert urgent["severities"] == ["CRITICAL"]
    assert [each["delay"] for each in urgent["levels"]] == ["PT10M", "PT5M"]

    page.once("dialog", lambda question: question.accept())
    page.get_by_role("button", name="Delete: Urgent").click()
    expect(rules).to_have_count(1)


def test_an_inhibition_is_made(visit: Visitor, service: RunningService) -> None:
    page = visit(service, "rules").page
    page.get_by_role("button", name="New inhibition").click()
    dialog = page.get_by_role("dialog", name="New inhibition")
    dialog.get_by_label("Name").fill("Down is slow")
    dialog.get_by_label("Label", exact=True).first.fill("alertname")
    dialog.get_by_label("Value", exact=True).first.fill("Down")
    fill_condition(page, "alertname", "Slow")
    dialog.get_by_label("and that are equal in these labels").fill("instance, zone")
    dialog.get_by_role("button", name="Save").click()

    row = page.get_by_role("listitem").filter(has_text="Down is slow")
    expect(row).to_contain_text("alertname = Down")
    expect(row).to_contain_text("with the same instance, zone")


def test_a_channel_is_refused_made_tested_and_its_secret_shown_once(
    visit: Visitor, service: RunningService
) -> None:
    page = visit(service, "channels").page
    page.get_by_role("button", name="New channel").click()
    dialog = page.get_by_role("dialog", name="New channel")
    dialog.get_by_label("Name").fill("hook")
    dialog.get_by_label("Address", exact=True).fill("http://127.0.0.1:9/hook")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_label("Address", exact=True)).to_have_attribute("aria-invalid", "true")

    dialog.get_by_label("Address", exact=True).fill("https://93.184.215.14/hook")
    dialog.get_by_role("button", name="Save").click()
    shown = page.get_by_label("The signing secret, shown this once")
    expect(shown).to_have_value(re.compile("^whsec_"))
    page.get_by_role("button", name="I have kept it").click()
    row = page.get_by_role("listitem").filter(has_text="hook")
    expect(row).to_contain_text("not used yet")

    email(service, "mail")
    mail = page.get_by_role("listitem").filter(has_text="a@example.com")
    mail.get_by_role("button", name="Send a test").click()
    expect(page.get_by_role("status").filter(has_text="mail: not delivered")).to_be_visible()

    row.get_by_role("button", name="Edit").click()
    dialog = page.get_by_role("dialog", name="Change the channel")
    dialog.get_by_label("When it fails, use").select_option(label="mail")
    dialog.get_by_label("Message (Jinja2)").fill("{{ nonsense ")
    dialog.get_by_role("button", name="Show").click()
    expect(
        dialog.get_by_role("region", name="What a message would look like").locator(".field-error")
    ).to_be_visible()
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.locator(".field.wrong").filter(has_text="Message")).to_be_visible()
    dialog.get_by_label("Message (Jinja2)").fill("{{ title }}")
    dialog.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("else mail")


def test_who_changed_it_meanwhile_is_not_overwritten(visit: Visitor, service: RunningService) -> None:
    id = email(service, "mail")
    page = visit(service, "channels").page
    page.get_by_role("button", name="Edit: mail").click()
    update = """mutation($input: UpdateNotificationChannelInput!) {
      updateNotificationChannel(input: $input) { errors { message } } }"""
    service.data(update, {"input": {"id": id, "name": "post"}})
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("letters")
    dialog.get_by_role("button", name="Save").click()

    expect(dialog.get_by_role("alert")).to_contain_text("Somebody changed it meanwhile")


def test_who_may_only_read_is_offered_nothing_to_change(visit: Visitor, service: RunningService) -> None:
    email(service, "mail")
    reader = service.data(KEY, {"role": "VIEWER"})["createApiKey"]["secret"]
    visited = visit(service, "channels", key=reader)
    expect(visited.page.get_by_text("mail", exact=True)).to_be_visible()
    for path in ("channels", "rules", "silences"):
        page = visited.open(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.get_by_role("main").get_by_role("button")).to_have_count(0)


@pytest.mark.parametrize("look", LOOKS, ids=["light", "dark", "phone"])
def test_nothing_is_in_anybodys_way(
    visit: Visitor, service: RunningService, look: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    channel = email(service, "mail")
    level = {"delay": "PT5M", "targets": [{"channelId": channel}]}
    rule = {"name": "Rest", "levels": [level, level], "repeatCount": 1, "severities": ["CRITICAL", "LOW"]}
    service.data(RULE, {"input": rule})
    name = request.node.callspec.id
    visited = visit(service, "rules", **look)
    for path, shown in (("rules", "Rest"), ("channels", "mail"), ("silences", None)):
        page = visited.open(path)
        if shown is not None:
            expect(page.get_by_text(shown, exact=True).first).to_be_visible()
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert visited.violations() == []
        visited.shot(f"{path}-{name}")
        page.wait_for_timeout(200)
        page.keyboard.press("n")
        expect(page.get_by_role("dialog")).to_be_visible()
        assert visited.violations() == []
        visited.shot(f"{path}-form-{name}")
        width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert width <= 0, "it scrolls sideways"
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
