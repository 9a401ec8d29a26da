"""On-call in a browser: who is on call, who stands in, who would be paged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Visitor
from tests.running import RunningService

BERLIN = ZoneInfo("Europe/Berlin")
FIELD = "%Y-%m-%dT%H:%M"
CHANNEL = """mutation($input: NotificationChannelInput!) { createNotificationChannel(input: $input) {
  notificationChannel { id } errors { message } } }"""
RESPONDER = (
    "mutation($input: ResponderInput!) { createResponder(input: $input) { responder { id } errors { message } } }"
)
SCHEDULE = """mutation($input: OnCallScheduleInput!) { createOnCallSchedule(input: $input) {
  onCallSchedule { id } errors { message } } }"""
RULE = """mutation($input: EscalationRuleInput!) { createEscalationRule(input: $input) {
  escalationRule { id } errors { message } } }"""
OVERRIDE = """mutation($input: OverrideShiftInput!) { overrideShift(input: $input) {
  override { id } errors { message } } }"""
KEY = "mutation($input: ApiKeyInput!) { createApiKey(input: $input) { secret errors { message } } }"
STANDING = """query($id: ID!, $since: DateTime!, $until: DateTime!) { onCallSchedule(id: $id) {
  onCall { name } overrides(since: $since, until: $until) { startsAt endsAt responder { name } } } }"""


@dataclass(frozen=True)
class Team:
    """Two people who take turns by the week, handing over on Mondays at nine in Berlin."""

    service: RunningService
    schedule_id: str
    people: Mapping[str, str]

    def overrides(self) -> list[tuple[str, datetime, datetime]]:
        """Return who stands in, and from when to when."""
        return [
            (each["responder"]["name"], *(datetime.fromisoformat(each[name]) for name in ("startsAt", "endsAt")))
            for each in self._standing()["overrides"]
        ]

    def on_call(self) -> str:
        """Return who is on call now."""
        (found,) = self._standing()["onCall"]
        return str(found["name"])

    def stand_in(self, name: str, starts_at: datetime, ends_at: datetime) -> None:
        """Put somebody on call by the API."""
        made(
            self.service,
            OVERRIDE,
            scheduleId=self.schedule_id,
            responderId=self.people[name],
            startsAt=starts_at.isoformat(),
            endsAt=ends_at.isoformat(),
        )

    def _standing(self) -> Any:
        now = datetime.now(UTC)
        time = {"since": now.isoformat(), "until": (now + timedelta(days=60)).isoformat()}
        return self.service.data(STANDING, {"id": self.schedule_id, **time})["onCallSchedule"]


def made(service: RunningService, document: str, **fields: Any) -> Any:
    """Return what a mutation has made."""
    (payload,) = service.data(document, {"input": fields}).values()
    assert not payload.pop("errors")
    (found,) = payload.values()
    return found


@pytest.fixture
def team(service: RunningService) -> Team:
    channel = made(service, CHANNEL, name="ops", config={"webhook": {"url": "https://93.184.216.34/hook"}})
    ways = [{"channelId": channel["id"]}]
    people = {
        name: made(service, RESPONDER, name=name, contactMethods=ways)["id"]
        for name in ("Ada Byron", "Grace Hopper")
    }
    begin = datetime.now(BERLIN).replace(hour=9, minute=0, second=0, microsecond=0) - timedelta(weeks=4)
    rotation = {
        "responderIds": list(people.values()),
        "startsAt": (begin - timedelta(days=begin.weekday())).isoformat(),
        "shiftLength": "P7D",
    }
    schedule = made(service, SCHEDULE, name="Primary", timeZone="Europe/Berlin", rotations=[rotation])
    levels = [
        {"delay": "PT15M", "targets": [{"scheduleId": schedule["id"]}]},
        {"delay": "PT15M", "targets": [{"responderId": people["Ada Byron"]}]},
    ]
    made(service, RULE, name="Wake up", severities=["CRITICAL"], levels=levels)
    return Team(service, schedule["id"], people)


def next_week_monday() -> datetime:
    """Return the midnight of Berlin that the second week of the calendar begins with."""
    today = datetime.now(BERLIN).replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=7 - today.weekday())


def calendar(page: Page) -> Locator:
    """Return the calendar, once it was read."""
    expect(page.locator(".oncall-turn").first).to_be_visible()
    return page.get_by_role("slider")


def drag(page: Page, week: int, begin: float, end: float) -> None:
    """Drag over a week, from a share of it to another."""
    calendar(page)
    box = page.locator(".oncall-strip").nth(week).bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * begin, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * end, middle, steps=5)
    page.mouse.up()


def times(page: Page) -> list[datetime]:
    """Return from when to when somebody is asked to stand in, as the form says it."""
    dialog = page.get_by_role("dialog")
    texts = [dialog.get_by_label(name, exact=True).input_value() for name in ("From", "To")]
    return [datetime.strptime(text, FIELD).replace(tzinfo=BERLIN) for text in texts]


def choose(page: Page, name: str) -> None:
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Who", exact=True).select_option(label=name)
    dialog.get_by_role("button", name="Put on call").click()


def test_who_is_on_call_is_told(visit: Visitor, team: Team) -> None:
    page = visit(team.service, "on-call").page
    other = next(name for name in team.people if name != team.on_call())

    card = page.locator(".oncall-card")
    expect(card).to_contain_text(team.on_call())
    expect(card).to_contain_text(f"then {other}")
    assert f"{team.on_call()} is on call" in (calendar(page).get_attribute("aria-valuetext") or "")


def test_a_drag_puts_somebody_else_on_call_and_is_undone(visit: Visitor, team: Team) -> None:
    page = visit(team.service, "on-call").page

    drag(page, week=1, begin=1.55 / 7, end=2.55 / 7)
    begin, end = times(page)
    choose(page, "Grace Hopper")

    expect(page.locator(".oncall-overrides li")).to_contain_text("Grace Hopper")
    expect(page.locator(".oncall-turn.is-override").first).to_be_visible()
    assert team.overrides() == [("Grace Hopper", begin, end)]
    # From about one on Tuesday afternoon, by the half hour or coarser, to the same time of the day after.
    assert (
        timedelta(0) <= next_week_monday() + timedelta(days=1, hours=13, minutes=12) - begin <= timedelta(hours=1)
    )
    assert timedelta(days=1) <= end - begin <= timedelta(days=1, hours=2)

    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".oncall-overrides li")).to_have_count(0)
    assert team.overrides() == []


def test_keys_do_what_a_drag_does(visit: Visitor, team: Team) -> None:
    page = visit(team.service, "on-call").page

    calendar(page).focus()
    for key in ("ArrowDown", "Home", "PageDown", "Shift+PageDown", "Shift+ArrowRight"):
        page.keyboard.press(key)
    assert "Chosen" in (calendar(page).get_attribute("aria-valuetext") or "")
    page.keyboard.press("Enter")
    begin, end = times(page)
    page.keyboard.type("Grace")
    page.keyboard.press("Tab")
    page.get_by_role("dialog").get_by_label("To", exact=True).press("Enter")

    expect(page.locator(".oncall-overrides li")).to_contain_text("Grace Hopper")
    assert team.overrides() == [("Grace Hopper", begin, end)]
    assert (begin.hour, end - begin) == (0, timedelta(days=1, hours=2))
    # Whoever closes it is where they were.
    expect(page.get_by_role("slider")).to_be_focused()


def test_single_keys_page_and_ask(visit: Visitor, team: Team) -> None:
    page = visit(team.service, "on-call").page
    calendar(page)

    page.keyboard.press("]")
    expect(page.get_by_role("button", name="Today")).to_be_enabled()
    page.keyboard.press("t")
    expect(page.get_by_role("button", name="Today")).to_be_disabled()
    page.keyboard.press("n")
    expect(page.get_by_role("dialog").get_by_label("Who", exact=True)).to_be_focused()


def test_escape_gives_up(visit: Visitor, team: Team) -> None:
    page = visit(team.service, "on-call").page

    drag(page, week=2, begin=0.2, end=0.4)
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")

    expect(page.get_by_role("dialog")).to_have_count(0)
    assert team.overrides() == []


def test_a_click_alone_asks_nothing(visit: Visitor, team: Team) -> None:
    page = visit(team.service, "on-call").page

    drag(page, week=1, begin=0.5, end=0.5)

    said = calendar(page).get_attribute("aria-valuetext") or ""
    assert "is on call" in said
    assert (next_week_monday() + timedelta(days=3)).strftime("%a %-d %b") in said
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_what_is_refused_is_said_at_its_field(visit: Visitor, team: Team) -> None:
    page = visit(team.service, "on-call").page

    page.get_by_role("button", name="Stand in").click()
    begin, _ = times(page)
    page.get_by_role("dialog").get_by_label("To", exact=True).fill((begin - timedelta(hours=2)).strftime(FIELD))
    choose(page, "Ada Byron")

    field = page.locator(".field", has=page.get_by_label("To", exact=True))
    expect(field.locator(".field-error")).to_be_visible()
    expect(field.locator("input")).to_have_attribute("aria-invalid", "true")
    assert team.overrides() == []


def test_what_others_change_is_shown_without_loading_anew(visit: Visitor, team: Team) -> None:
    page = visit(team.service, "on-call").page
    expect(page.get_by_text("Nobody stands in during these weeks.")).to_be_visible()
    begin = next_week_monday() + timedelta(hours=30)

    team.stand_in("Grace Hopper", begin, begin + timedelta(hours=4))

    expect(page.locator(".oncall-overrides li")).to_contain_text("Grace Hopper")
    page.get_by_role("button", name="Take back").click()
    expect(page.locator(".oncall-overrides li")).to_have_count(0)
    assert team.overrides() == []


def test_who_only_reads_changes_nothing(visit: Visitor, team: Team) -> None:
    viewer = made(team.service, KEY, name="reads", role="VIEWER")
    begin = next_week_monday()
    team.stand_in("Ada Byron", begin, begin + timedelta(hours=4))
    page = visit(team.service, "on-call", key=viewer).page

    drag(page, week=1, begin=0.4, end=0.6)
    calendar(page).press("Enter")

    expect(page.locator(".oncall-overrides li")).to_contain_text("Ada Byron")
    for name in ("Stand in", "Take back"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_finger_chooses_across_and_scrolls_down(visit: Visitor, team: Team) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    page = visit(team.service, "on-call", **phone).page
    calendar(page).scroll_into_view_if_needed()
    box = page.locator(".oncall-strip").nth(1).bounding_box()
    assert box is not None
    touch = page.context.new_cdp_session(page)
    middle = box["y"] + box["height"] / 2

    def put(kind: str, share: float = 0.0) -> None:
        points = [] if kind == "touchEnd" else [{"x": box["x"] + box["width"] * share, "y": middle}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    put("touchStart", 0.2)
    for share in (0.25, 0.35, 0.5, 0.6):
        put("touchMove", share)
    put("touchEnd")

    begin, end = times(page)
    assert timedelta(days=2) <= end - begin <= timedelta(days=4)


def test_who_would_be_paged_is_a_time_line(visit: Visitor, team: Team) -> None:
    page = visit(team.service, "on-call").page

    rungs = page.locator(".oncall-rung")
    expect(rungs).to_have_count(2)
    expect(rungs.first).to_contain_text("at once")
    expect(rungs.first).to_contain_text(f"{team.on_call()} on call on Primary")
    expect(rungs.nth(1)).to_contain_text("15m later, if nobody acknowledges")
    expect(rungs.nth(1)).to_contain_text("Ada Byron")

    page.get_by_label("Severity").select_option("LOW")
    page.get_by_role("button", name="Look").click()
    expect(page.get_by_text("no rule matches, and there is no default rule.")).to_be_visible()
    # What was asked stands in the address, to be sent to somebody.
    assert "severity=LOW" in page.url
    page.reload()
    expect(page.get_by_text("no rule matches, and there is no default rule.")).to_be_visible()


def test_a_forecast_of_later_asks_who_is_on_call_then(visit: Visitor, team: Team) -> None:
    other = next(name for name in team.people if name != team.on_call())
    then = (next_week_monday() + timedelta(days=1)).strftime(FIELD)

    page = visit(team.service, f"on-call?at={then}", timezone_id="Europe/Berlin").page

    expect(page.locator(".oncall-rung").first).to_contain_text(f"{other} on call on Primary")


def test_weeks_are_paged_through_and_times_are_shown_elsewhere(visit: Visitor, team: Team) -> None:
    page = visit(team.service, "on-call", timezone_id="Asia/Kolkata").page
    calendar(page)

    page.get_by_role("button", name="Later").click()
    begins = next_week_monday() + timedelta(days=7)
    assert f"from={begins:%Y-%m-%d}" in page.url
    expect(page.locator(".oncall-day").first).to_have_text(f"{begins.day}" if begins.day > 1 else f"1 {begins:%b}")
    page.get_by_role("button", name="Today").click()
    assert "from=" not in page.url

    page.get_by_label("Times").select_option("here")
    page.get_by_role("button", name="Stand in").click()
    expect(page.get_by_role("dialog").get_by_text("Times of Asia/")).to_be_visible()


def test_a_schedule_is_followed_by_other_calendars(visit: Visitor, team: Team) -> None:
    page = visit(team.service, "on-call").page

    page.get_by_role("button", name="Calendar feed").click()
    address = page.get_by_role("dialog").get_by_label("Address").input_value()

    with team.service.client() as client:
        feed = client.get(address, headers={"Authorization": ""})
    assert feed.status_code == 200
    assert feed.text.startswith("BEGIN:VCALENDAR")
    assert "Ada Byron" in feed.text


def test_what_was_shown_stays_while_the_service_is_away(visit: Visitor, team: Team) -> None:
    visited = visit(team.service, "on-call", locale="de-DE")
    page = visited.page
    calendar(page)

    page.context.set_offline(True)
    page.get_by_role("button", name="Später").click()
    expect(page.get_by_text("Der Dienst ist nicht erreichbar.").first).to_be_visible()
    expect(page.locator(".oncall-card")).to_contain_text(team.on_call())
    page.context.set_offline(False)
    page.get_by_role("button", name="Noch einmal").first.click()

    expect(page.locator(".oncall-turn").first).to_be_visible()
    expect(page.get_by_role("button", name="Noch einmal")).to_have_count(0)
    # That nothing came while nothing could is no fault of the page.
    visited.problems[:] = [said for said in visited.problems if "ERR_INTERNET_DISCONNECTED" not in said]


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize(("color_scheme", "locale"), [("light", "en-GB"), ("dark", "de-DE")])
def test_nobody_is_kept_out(visit: Visitor, team: Team, width: int, color_scheme: str, locale: str) -> None:
    begin = next_week_monday() + timedelta(hours=30)
    team.stand_in("Grace Hopper", begin, begin + timedelta(hours=20))
    visited = visit(
        team.service,
        "on-call",
        color_scheme=color_scheme,
        locale=locale,
        viewport={"width": width, "height": 1400},
    )
    page = visited.page
    calendar(page)
    expect(page.locator(".oncall-rung").first).to_be_visible()

    assert visited.violations() == []
    visited.shot(f"on-call-{color_scheme}-{width}")
    # Nothing sticks out at the side.
    assert page.evaluate(
        "document.querySelector('main').scrollWidth <= document.querySelector('main').clientWidth"
    )
    page.locator(".button.first").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert visited.violations() == []
    visited.shot(f"on-call-stand-in-{color_scheme}-{width}")
