"""Models and the audit trail in a browser: what may be believed, and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.e2e.test_audit import execute, sealed, tenant_id
from tests.running import RunningService

T = TypeVar("T")

CREATE = """mutation($input: CreateAlertInput!) { createAlert(input: $input) { created errors { message } } }"""
RETENTION = """mutation($retention: Duration!) {
  updateTenantSettings(input: {retention: $retention}) { errors { message } } }"""
LOOKS: list[dict[str, Any]] = [
    {"color_scheme": "light"},
    {"color_scheme": "dark"},
    {"color_scheme": "light", "viewport": {"width": 390, "height": 800}, "locale": "de-DE"},
]
METRICS = [
    {"name": "auroc", "value": 0.8512, "low": 0.82, "high": 0.88, "definition": "area under the curve"},
    {"name": "drift", "value": 0.07, "low": None, "high": None, "definition": "population stability index"},
]
CURVE = [
    {"predicted": 0.05, "observed": 0.04, "count": 900},
    {"predicted": 0.55, "observed": 0.65, "count": 100},
]


def aside(work: Callable[..., T], *arguments: Any) -> T:
    """Return what something does that needs a loop of its own, which this thread can't have."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(work, *arguments).result()


def fire(service: RunningService, title: str) -> None:
    service.data(CREATE, {"input": {"title": title, "severity": "HIGH"}})


def add_versions(service: RunningService) -> None:
    tenant = tenant_id(service)
    for version, state, metrics, curve in (("own_2", 2, METRICS, []), ("own_1", 3, METRICS, CURVE)):
        values = (
            f"'{tenant}', gen_random_uuid(), '{version}', {state}, '2026-11-2{state}T10:00Z', 1234, "
            f"'{json.dumps(metrics)}', '{json.dumps(curve)}'"
        )
        columns = "tenant_id, id, version, state, trained_at, example_count, metrics, calibration"
        execute(service, f"INSERT INTO prediction_model ({columns}) VALUES ({values})")


def test_each_event_is_proved_in_the_browser_itself(visit: Visitor, service: RunningService) -> None:
    for number in range(5):
        fire(service, f"Disk {number} is full")
    aside(sealed, service)
    fire(service, "Too new to be signed")
    page = visit(service, "audit").page
    rows = page.locator(".audit-list > li")
    expect(rows.filter(has_text="not signed yet")).not_to_have_count(0)
    signed = rows.filter(has=page.get_by_text("signed", exact=True))
    expect(signed).not_to_have_count(0)

    signed.first.locator("summary").click()
    expect(signed.first).to_contain_text("This browser has checked it")
    expect(signed.first).to_contain_text('"decidedAt"')
    new = rows.first
    new.locator("summary").click()
    expect(new).to_contain_text("No signed state of the log covers it yet")


def test_a_proof_that_was_tampered_with_is_not_believed(visit: Visitor, service: RunningService) -> None:
    """Somebody on the way changes the hash that the path begins with."""
    fire(service, "Disk is full")
    fire(service, "Another")
    aside(sealed, service)
    page = visit(service, "audit").page

    def forge(route: Any) -> None:
        answer = route.fetch()
        body = answer.json()
        proof = (body.get("data") or {}).get("auditProof")
        if proof:
            proof["leafHash"] = "00" * 32
        route.fulfill(response=answer, json=body)

    page.route("**/graphql", forge)
    row = page.locator(".audit-list > li").filter(has=page.get_by_text("signed", exact=True)).first
    row.locator("summary").click()

    expect(row).to_contain_text("This proof does not hold")


def test_events_are_chosen_by_what_they_are_about_and_new_ones_wait_to_be_shown(
    visit: Visitor, service: RunningService
) -> None:
    fire(service, "Disk is full")
    service.data(RETENTION, {"retention": "P90D"})
    visited = visit(service, "audit")
    page = visited.page
    rows = page.locator(".audit-list > li")
    page.get_by_label("Show", exact=True).select_option("configuration")
    expect(rows.filter(has_text="severity HIGH")).to_have_count(0)
    expect(rows).not_to_have_count(0)
    assert "show=configuration" in page.url

    rows.first.locator("summary").click()
    expect(rows.first).to_contain_text("retention")
    before = rows.count()
    service.data(RETENTION, {"retention": "P91D"})
    page.get_by_role("button", name="1 new event: show it").click()
    expect(rows).to_have_count(before + 1)

    # What is in the address is shown at once, by whoever opens it.
    again = visited.open("audit?show=configuration&by=SENDER")
    expect(again.get_by_text("No event is like that.")).to_be_visible()


def test_a_version_is_shown_with_its_curve_and_figures(visit: Visitor, service: RunningService) -> None:
    aside(add_versions, service)
    page = visit(service, "models").page
    versions = page.get_by_role("main").locator(".model-list a")
    expect(versions).to_have_count(2)

    # The one in use comes first to mind.
    version = page.get_by_role("region", name="own_1")
    expect(version.locator("circle")).to_have_count(2)
    expect(version).to_contain_text("On average off by 1.9%")
    expect(version.get_by_role("row", name="auroc")).to_contain_text("0.820 – 0.880")
    expect(version).to_contain_text("0.070")
    versions.filter(has_text="own_2").click()
    expect(page.get_by_role("region", name="own_2")).to_contain_text("Not measured yet")
    assert "version=own_2" in page.url
    expect(page.get_by_text("learning is switched off")).to_be_visible()


@pytest.mark.parametrize("look", LOOKS, ids=["light", "dark", "phone"])
def test_nothing_is_in_anybodys_way(
    visit: Visitor, service: RunningService, look: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    aside(add_versions, service)
    fire(service, "Disk is full")
    aside(sealed, service)
    name = request.node.callspec.id
    visited = visit(service, "models", **look)
    for path, shown in (("models", "circle"), ("audit", ".audit-list > li")):
        page = visited.open(path)
        expect(page.locator(shown).first).to_be_visible()
        if path == "audit":
            page.locator(".audit-list summary").first.click()
            expect(page.locator(".audit-list pre")).to_be_visible()
        assert visited.violations() == []
        visited.shot(f"{path}-{name}")
        width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert width <= 0, "it scrolls sideways"
