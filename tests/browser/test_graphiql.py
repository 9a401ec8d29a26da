"""GraphiQL in a browser, against a running service."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.running import RunningService

CREATE = """mutation($input: CreateAlertInput!) { createAlert(input: $input) { created errors { message } } }"""
RUN = "button.graphiql-execute-button"


def answer(page: Page) -> Any:
    return page.locator(".graphiql-response")


def editor(page: Page) -> Any:
    return page.get_by_role("region", name="Operation Editor")


def ready(page: Page) -> Page:
    """Return the page once its editors hear of clicks: they come up a moment after what is around them."""
    expect(editor(page)).to_contain_text("OpenAlerts")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(500)
    return page


def test_it_runs_a_query_with_the_key_of_the_address(visit: Visitor, service: RunningService) -> None:
    service.data(CREATE, {"input": {"title": "Disk is full", "severity": "HIGH"}})

    visited = visit(service, "graphiql")
    page = ready(visited.page)
    page.locator(RUN).click()

    expect(answer(page)).to_contain_text('"Disk is full"')
    assert "ag_" not in page.url, "the key stays in the address"
    kept = page.evaluate("JSON.stringify({...localStorage})")
    assert service.admin_key not in kept, "the key outlives the tab"
    visited.shot("graphiql")
    # It is known in this tab from now on.
    page.reload()
    expect(page.locator(RUN)).to_be_visible()


def test_a_subscription_shows_what_happens(visit: Visitor, service: RunningService) -> None:
    page = ready(visit(service, "graphiql").page)
    page.get_by_role("tab", name="Live").click()
    expect(editor(page)).to_contain_text("subscription")
    # Which operation is meant it reads a moment after the text has changed.
    page.wait_for_timeout(1_000)
    page.locator(RUN).click()
    # Something has to happen after it has begun: it is told of what is new.
    expect(page.get_by_role("button", name="Stop query")).to_be_visible()
    for number in range(50):
        service.data(CREATE, {"input": {"title": f"Event {number}", "severity": "LOW"}})
        if "TRIGGERED" in answer(page).inner_text():
            break
        page.wait_for_timeout(100)

    expect(answer(page)).to_contain_text('"TRIGGERED"')
    page.get_by_role("button", name="Stop query").click()
    expect(page.get_by_role("button", name="Execute query")).to_be_visible()


def test_the_schema_is_there_to_read(visit: Visitor, service: RunningService) -> None:
    page = visit(service, "graphiql/").page
    page.get_by_role("button", name="Show Documentation Explorer").click()

    expect(page.locator(".graphiql-doc-explorer-content")).to_contain_text("CriticalAlert")


def test_a_wrong_key_is_refused_in_a_sentence(visit: Visitor, service: RunningService) -> None:
    visited = visit(service, "graphiql", key="ag_wrongwro_nobody_has_this_key_and_nobody_will")
    page = visited.page

    expect(page.get_by_role("alert")).to_contain_text("API key")
    assert visited.violations() == []
    # The browser tells of each answer that is no success.
    visited.problems.clear()
    page.get_by_label("API key").fill(service.admin_key)
    page.get_by_label("API key").press("Enter")
    expect(page.locator(RUN)).to_be_visible()
    page.get_by_role("button", name="Use another key").click()
    expect(page.get_by_label("API key")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0
