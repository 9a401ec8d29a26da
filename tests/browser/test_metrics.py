"""Figures in a browser: what happened is told, and told anew as it goes on."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Request, expect

from tests.browser.conftest import Visitor
from tests.running import RunningService

CREATE = "mutation($input: CreateAlertInput!) { createAlert(input: $input) { alert { id } errors { message } } }"
ACKNOWLEDGE = "mutation($input: AcknowledgeAlertInput!) { acknowledgeAlert(input: $input) { errors { message } } }"
RESOLVE = "mutation($input: AlertActionInput!) { resolveAlert(input: $input) { errors { message } } }"
# Of a burst of alerts, figures are read again once at its begin and once behind it.
BURST_COUNT = 60
READ_COUNT_MAX = 3


def trigger(
    service: RunningService, title: str, monitored_service: str = "checkout", severity: str = "HIGH"
) -> str:
    """Raise an alert and return its id."""
    fields = {"title": title, "severity": severity, "monitoredService": monitored_service}
    payload = service.data(CREATE, {"input": {**fields, "labels": {"title": title}}})["createAlert"]
    assert payload["errors"] == []
    return str(payload["alert"]["id"])


def act(service: RunningService, document: str, alert_id: str) -> None:
    (payload,) = service.data(document, {"input": {"alertId": alert_id}}).values()
    assert payload["errors"] == []


@pytest.fixture
def told(service: RunningService) -> RunningService:
    """A tenant with four alerts: two of checkout, of which one was dealt with, and two of billing."""
    first = trigger(service, "Payments fail")
    trigger(service, "Carts are slow", severity="CRITICAL")
    trigger(service, "Invoices wait", "billing")
    trigger(service, "Ledger is behind", "billing", "LOW")
    act(service, ACKNOWLEDGE, first)
    act(service, RESOLVE, first)
    return service


def headline(page: Page, name: str) -> Locator:
    """Return the value under a headline."""
    return page.locator(".metrics-card", has=page.get_by_role("heading", name=name, exact=True))


def last_hour(page: Page, name: str) -> Locator:
    """Return a figure of the last hour."""
    return page.locator(".metrics-hour dl > div", has=page.get_by_text(name, exact=True)).locator("dd")


def cells(page: Page, name: str) -> list[str]:
    """Return what a service's row says."""
    row = page.get_by_role("row", name=name)
    return [text.strip() for text in row.get_by_role("cell").all_inner_texts()]


def test_what_happened_is_told(visit: Visitor, told: RunningService) -> None:
    page = visit(told, "figures").page

    expect(headline(page, "New alerts")).to_contain_text("4")
    expect(headline(page, "New alerts")).to_contain_text("Open now: 3")
    expect(headline(page, "Within SLA")).to_contain_text("100%")
    expect(headline(page, "Noise")).to_contain_text("0%")
    expect(last_hour(page, "New alerts")).to_have_text("4")
    expect(last_hour(page, "Resolved")).to_have_text("1")
    # New, open, levels climbed, and what was measured of the one that was dealt with.
    assert cells(page, "checkout")[:3] == ["2", "1", "0"]
    assert cells(page, "billing") == ["2", "2", "0", "–", "–", "–", "–"]
    page.get_by_text("As a table").click()
    today = page.locator(".metrics-table tbody tr").last
    said = [cell.strip() for cell in today.get_by_role("cell").all_inner_texts()]
    assert (said[:3], said[-2:]) == (["4", "1", "1"], ["100%", "0%"])


def test_what_goes_on_is_told_without_loading_anew(visit: Visitor, told: RunningService) -> None:
    page = visit(told, "figures?window=24h").page
    expect(headline(page, "New alerts")).to_contain_text("4")
    expect(last_hour(page, "New alerts")).to_have_text("4")

    trigger(told, "Search is down", "search", "CRITICAL")

    expect(last_hour(page, "New alerts")).to_have_text("5", timeout=15_000)
    expect(headline(page, "New alerts")).to_contain_text("5", timeout=15_000)
    expect(page.get_by_role("row", name="search")).to_be_visible()


def test_a_burst_is_read_a_few_times_and_ends_right(visit: Visitor, told: RunningService) -> None:
    page = visit(told, "figures?window=24h").page
    expect(headline(page, "New alerts")).to_contain_text("4")
    reads: list[str] = []

    def note(request: Request) -> None:
        if "beforeSince" in (request.post_data or ""):
            reads.append(request.url)

    page.on("request", note)
    for number in range(BURST_COUNT):
        trigger(told, f"Burst {number}", "burst", "INFO")

    expect(headline(page, "New alerts")).to_contain_text(str(4 + BURST_COUNT), timeout=20_000)
    assert 1 <= len(reads) <= READ_COUNT_MAX


def test_services_and_severities_narrow_it_down_in_the_address(visit: Visitor, told: RunningService) -> None:
    page = visit(told, "figures").page

    page.get_by_role("button", name="billing", exact=True).click()
    expect(headline(page, "New alerts")).to_contain_text("2")
    assert "service=billing" in page.url
    page.get_by_label("Severity").select_option("LOW")
    expect(headline(page, "New alerts").locator(".metrics-value")).to_have_text("1")
    expect(last_hour(page, "New alerts")).to_have_text("1")
    page.reload()
    expect(headline(page, "New alerts").locator(".metrics-value")).to_have_text("1")
    page.get_by_role("button", name="No longer only billing").click()
    page.get_by_label("Severity").select_option("")
    expect(headline(page, "New alerts").locator(".metrics-value")).to_have_text("4")


def test_keys_lengthen_the_window(visit: Visitor, told: RunningService) -> None:
    page = visit(told, "figures").page
    expect(page.get_by_role("button", name="7 days")).to_have_attribute("aria-pressed", "true")

    page.keyboard.press("]")
    expect(page.get_by_role("button", name="30 days")).to_have_attribute("aria-pressed", "true")
    for _ in range(5):
        page.keyboard.press("[")
    expect(page.get_by_role("button", name="24 hours")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("heading", name="Alerts by hour")).to_be_visible()


def test_services_are_put_in_order(visit: Visitor, told: RunningService) -> None:
    page = visit(told, "figures").page
    rows = page.locator("[aria-labelledby=metrics-services] tbody tr th")
    header = page.get_by_role("columnheader", name="Service", exact=True)
    expect(rows).to_have_count(2)

    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "ascending")
    assert rows.all_inner_texts() == ["billing", "checkout"]
    header.get_by_role("button").press("Enter")
    expect(header).to_have_attribute("aria-sort", "descending")
    assert rows.all_inner_texts() == ["checkout", "billing"]
    # What was not measured comes last, whichever way.
    mtta = page.get_by_role("columnheader", name="MTTA", exact=True).last.get_by_role("button")
    for _ in range(2):
        mtta.click()
        assert rows.all_inner_texts() == ["checkout", "billing"]


def test_what_draws_is_loaded_for_figures_alone(visit: Visitor, told: RunningService) -> None:
    visited = visit(told, "silences")
    page = visited.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    expect(page.get_by_role("heading").first).to_be_visible()
    assert not any("chart" in url for url in asked)

    visited.open("figures")
    canvas = page.locator(".chart canvas")
    expect(canvas).to_have_count(3)
    assert any("chart" in url for url in asked)
    painted = (
        "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(each => each)"
    )
    assert [canvas.nth(index).evaluate(painted) for index in range(3)] == [True, True, True]


def test_a_key_for_some_alerts_is_told_that_figures_are_of_all(visit: Visitor, told: RunningService) -> None:
    document = "mutation($input: ApiKeyInput!) { createApiKey(input: $input) { secret errors { message } } }"
    matchers = [{"label": "@service", "value": "billing"}]
    fields: dict[str, Any] = {"name": "billing", "role": "VIEWER", "matchers": matchers}
    secret = told.data(document, {"input": fields})["createApiKey"]["secret"]
    page = visit(told, "figures", key=secret).page

    expect(page.get_by_text("Your key may not do that.")).to_be_visible()
    expect(page.locator(".metrics-card")).to_have_count(0)
    expect(page.locator(".metrics-hour")).to_have_count(0)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize(("color_scheme", "locale"), [("light", "en-GB"), ("dark", "de-DE")])
def test_nobody_is_kept_out(
    visit: Visitor, told: RunningService, width: int, color_scheme: str, locale: str
) -> None:
    viewport = {"width": width, "height": 1400}
    visited = visit(told, "figures", color_scheme=color_scheme, locale=locale, viewport=viewport)
    page = visited.page
    expect(page.locator(".chart canvas").first).to_be_visible()
    expect(page.locator("#metrics-services")).to_be_visible()

    assert visited.violations() == []
    visited.shot(f"figures-{color_scheme}-{width}")
    assert page.locator("main").evaluate("main => main.scrollWidth <= main.clientWidth")
    page.locator("summary").click()
    assert visited.violations() == []
