"""Configuration: what is read, what is refused, and by which words."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from alertgraph.core.duration import duration_text, parse_duration
from alertgraph.settings import SettingsError, read_settings


def test_the_default_data_directory_is_in_the_home_of_the_user() -> None:
    assert read_settings({}).data_dir == Path.home() / ".local/share/alertgraph"


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    assert read_settings({"CRITICAL_ALERT_DATABASE_URL": ""}).database_url is None


def test_the_command_line_wins() -> None:
    assert read_settings({"CRITICAL_ALERT_PORT": "1"}, port=2).port == 2


def test_secrets_do_not_show() -> None:
    settings = read_settings({"CRITICAL_ALERT_DATABASE_URL": "postgresql://u:canary@h/d"})

    assert "canary" not in repr(settings)
    assert "canary" not in str(settings)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PROT", "8000", "CRITICAL_ALERT_PROT is no setting; did you mean CRITICAL_ALERT_PORT?"),
        ("PORT", "70000", "CRITICAL_ALERT_PORT is refused"),
        (
            "DATABASE_URL",
            "sqlite://canary",
            "CRITICAL_ALERT_DATABASE_URL is refused: it begins with postgresql://.",
        ),
        ("MASTER_KEY", "canary", "CRITICAL_ALERT_MASTER_KEY is refused: it is 32 bytes in base64"),
        ("BOOTSTRAP_API_KEY", "canary", "CRITICAL_ALERT_BOOTSTRAP_API_KEY is refused: it begins with ag_"),
        ("LOG_FORMAT", "xml", "CRITICAL_ALERT_LOG_FORMAT is refused"),
        ("COST_BUDGET", "100000001", "CRITICAL_ALERT_COST_BUDGET is refused"),
        ("MIGRATION_DATABASE_URL", "postgresql://h/d", "needs CRITICAL_ALERT_DATABASE_URL"),
    ],
)
def test_what_cannot_work_is_named_and_never_shown(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read_settings({f"CRITICAL_ALERT_{name}": value})

    assert said in str(refused.value)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "duration", "written"),
    [
        ("PT5M", timedelta(minutes=5), "PT5M"),
        ("300", timedelta(minutes=5), "PT5M"),
        ("P1W", timedelta(days=7), "P7D"),
        ("PT24H", timedelta(days=1), "P1D"),
        ("P1DT2H3M4.5S", timedelta(days=1, hours=2, minutes=3, seconds=4.5), "P1DT2H3M4.5S"),
        ("PT0S", timedelta(0), "PT0S"),
    ],
)
def test_durations_are_read_and_written(text: str, duration: timedelta, written: str) -> None:
    assert parse_duration(text) == duration
    assert duration_text(duration) == written


@pytest.mark.parametrize(
    "text",
    ["", "P", "PT", "P1Y", "P1M", "-PT5M", "5 minutes", "P1DT", "1e9", "P999999999999D", f"P{'9' * 5000}D"],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"length of time|longer than"):
        parse_duration(text)
