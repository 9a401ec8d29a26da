"""Templates of tenants: what they can say, what they can't do, and how long they may take to fail."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertgraph.core.alert import Link
from alertgraph.core.delivery import Purpose
from alertgraph.core.errors import InputError
from alertgraph.core.ids import DeliveryId
from alertgraph.core.message import Message
from alertgraph.core.severity import Severity
from alertgraph.notify.templates import (
    OUTPUT_LENGTH_MAX,
    change_words,
    check_template,
    cut,
    cut_bytes,
    headline,
    plain_text,
    render_text,
    send_text,
)
from tests.factories import T0, an_alert, an_id

PAGE = Message(
    id=DeliveryId(UUID(int=1)),
    tenant="acme",
    purpose=Purpose.PAGE,
    alerts=(
        an_alert(
            description="p99 is above 2 s\nfor 10 minutes",
            links=(Link("https://r.example.com/", "Runbook"),),
            annotations={"value": 2.4, "nested": {"list": [1, "two"]}},
        ),
    ),
    at=T0,
    level=2,
    responder="Ada",
    timeline=("prometheus triggered the alert.", "Ada acknowledged the alert."),
    actions={"acknowledge": "https://a.example.com/act/1"},
    link="https://a.example.com/alerts/1",
)
BUNDLE = replace(
    PAGE,
    alerts=(
        an_alert(id=an_id(1), title="Disk full", severity=Severity.CRITICAL, monitored_service="db"),
        an_alert(id=an_id(2), title="Slow"),
        an_alert(id=an_id(3), title="Slower", labels={}),
    ),
    link=None,
)


def rendered(template: str, message: Message = PAGE) -> str:
    return render_text(template, message, "built in")


def refusal(template: str, message: Message = PAGE) -> str:
    """Return why a template is refused; it must not take long to find out."""
    began = time.process_time()
    with pytest.raises(InputError) as caught:
        rendered(template, message)
    assert time.process_time() - began < 2
    (problem,) = caught.value.problems
    assert problem.path == ("template",)
    return problem.message


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain", "plain"),
        ("", ""),
        ("{{ title }} in {{ service }}", "High latency in checkout"),
        ("{{ severity }} {{ status }} {{ source }}", "HIGH TRIGGERED prometheus"),
        ("{{ alert.title }} {{ alerts[0].title }} {{ alerts[0]['title'] }}", " ".join(["High latency"] * 3)),
        ("{{ labels.alertname }}/{{ labels['job'] }}", "HighLatency/api"),
        ("{{ labels.gone | default('?') }}{{ labels.gone or '' if labels.gone is defined }}", "?"),
        ("{{ annotations.value + 1 }} {{ annotations.nested.list[1] }}", "3.4 two"),
        ("{{ links[0].href }} {{ links | map(attribute='text') | join(', ') }}", "https://r.example.com/ Runbook"),
        ("{{ level }} {{ responder }} {{ tenant }} {{ purpose }}", "2 Ada acme PAGE"),
        ("{{ at }} {{ triggered_at }}", "2026-11-23T12:00:00Z 2026-11-23T12:00:00Z"),
        ("{{ url }} {{ actions.acknowledge }}", "https://a.example.com/alerts/1 https://a.example.com/act/1"),
        ("{{ timeline | join(' ') }}", "prometheus triggered the alert. Ada acknowledged the alert."),
        ("{{ change }}|{{ acknowledged_by }}|{{ none }}", "||"),
        ("{% for k, v in labels.items() %}{{ k }}={{ v }}{{ ';' if not loop.last }}{% endfor %}",
         "alertname=HighLatency;job=api"),
        ("{% for n in labels | sort %}{{ loop.index }}{{ n }} {% endfor %}", "1alertname 2job "),
        ("{% set who = responder or 'all' %}{{ who ~ '!' ~ 1 }}", "Ada!1"),
        ("{% with a = 1, b = 2 %}{{ a + b * 3 - 4 // 2 }}{% endwith %}", "5"),
        ("{% if severity in ['HIGH', 'CRITICAL'] %}now{% else %}later{% endif %}", "now"),
        ("{{ 'yes' if 'latency' in title|lower and level >= 2 else 'no' }}", "yes"),
        ("{{ title[:4] }}{{ title[-3:] | upper }}", "HighNCY"),
        ("{{ description.splitlines() | first }}", "p99 is above 2 s"),
        ("{{ description | indent(2) }}", "p99 is above 2 s\n  for 10 minutes"),
        ("{{ title | replace('High', 'Very high') | truncate(10, true, '…', 0) }}", "Very high…"),
        ("{{ [title, service] | join(' @ ') }}", "High latency @ checkout"),
        ("{{ labels | tojson }}", '{"alertname":"HighLatency","job":"api"}'),
        ("{{ 2.456 | round(1) }} {{ '3' | int + 1 }} {{ [1, 2] | sum }}", "2.5 4 3"),
        ("{{ '<b>' }} {{ '<b>' | e }}", "<b> &lt;b&gt;"),
        ("{% for i in range(3) %}{{ i }}{% endfor %}", "012"),
        ("a\n{% if true %}\nb\n{% endif %}\nc\n", "a\nb\nc"),
        ("a \n  {%- if true %} b {% endif -%}  \n c", "a b c"),
        ("{# not shown #}{% raw %}{{ title }}{% endraw %}", "{{ title }}"),
        ("\r\n{{ title }}\r\n", "\nHigh latency"),
    ],
)  # fmt: skip
def test_a_template_says_what_it_is_asked_to(template: str, text: str) -> None:
    assert rendered(template) == text


def test_a_template_goes_through_a_bundle() -> None:
    template = (
        "{{ alerts | length }} alerts\n"
        "{% for service, group in alerts | groupby('service') %}\n"
        "{{ service }}: {{ group | map(attribute='title') | join(', ') }}\n"
        "{% endfor %}\n"
        "{{ alerts | selectattr('severity', 'eq', 'CRITICAL') | list | length }} critical"
    )

    assert rendered(template, BUNDLE) == "3 alerts\ncheckout: Slow, Slower\ndb: Disk full\n1 critical"


def test_a_test_without_an_alert_has_something_to_show() -> None:
    message = replace(PAGE, purpose=Purpose.TEST, alerts=(), link=None)

    assert rendered("{{ title }}: {{ severity }} {{ alerts | length }}", message) == "Test message: INFO 1"


def test_without_a_template_the_built_in_text_is_taken_as_it_is() -> None:
    assert render_text(None, PAGE, "{{ not a template }}") == "{{ not a template }}"


def test_what_an_alert_says_is_no_template() -> None:
    message = replace(PAGE, alerts=(an_alert(title="{{ tenant }}{% for i in range(9) %}"),))

    assert rendered("{{ title }}", message) == "{{ tenant }}{% for i in range(9) %}"


def test_a_label_may_be_named_like_a_method() -> None:
    message = replace(PAGE, alerts=(an_alert(labels={"copy": "1", "items": "2", "update": "3"}),))
    template = "{{ labels.copy }}{{ labels['items'] }}{{ labels.update }}{{ labels.items() | list | length }}"

    assert rendered(template, message) == "1233"


def test_a_message_that_goes_out_falls_back_on_the_built_in_text() -> None:
    assert send_text("{{ labels.gone }}", PAGE, "built in") == "built in"
    assert send_text("{{ title }}", PAGE, "built in") == "High latency"
    assert send_text(None, PAGE, "built in") == "built in"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ foo }}", "'foo' is undefined (line 1, column 4)."),
        ("one\ntwo {{ title }} {{ foo.bar }}", "'foo' is undefined (line 2, column 23)."),
        ("{{ labels.gone }}", "'dict object' has no attribute 'gone' (line 1, column 10)."),
        ("{% for a in alerts %}\n  {{ a.nope }}\n{% endfor %}",
         "'dict object' has no attribute 'nope' (line 2, column 7)."),
        ("\n\n{% if title %}", None),
        ("a\n  {{ title ", "unexpected end of template, expected 'end of print statement' (line 2, column 6)."),
        ("{{ title | shout }}", "there is no filter `shout` here (line 1, column 12)."),
        ("{{ title is odd_one }}", "there is no test `odd_one` here (line 1, column 10)."),
        ("{{ title }", "unexpected '}' (line 1, column 10)."),
        ("{{ $ }}", "unexpected char '$' (line 1, column 4)."),
        ("a\n{# never closed", "Missing end of comment tag (line 2, column 3)."),
        ("{% nope %}", "Encountered unknown tag 'nope' (line 1, column 4)."),
        ("{{ 1 / 0 }}", "division by zero (line 1, column 4)."),
        ("{{ title + 1 }}", "+ takes numbers here (line 1, column 4)."),
        ("{{ labels }}", "only texts and numbers are shown: use a loop, `join` or `tojson` (line 1, column 4)."),
        ("\r\n\r\n{{ foo }}", "'foo' is undefined (line 3, column 4)."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_line_and_column(template: str, reason: str | None) -> None:
    message = refusal(template)

    assert re.fullmatch(r"The template can't be used: .* \(line \d+, column \d+\)\.", message)
    assert reason is None or message == f"The template can't be used: {reason}"


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(10**9) %}x{% endfor %}",
        "{% for i in range(1000000000) %}x{% endfor %}",
        "{% for i in range(0, " + "9" * 400 + ", 7) %}x{% endfor %}",
        "{{ range(1001) | list | length }}",
        "{% for i in range(1000) %}" * 3 + "{% endfor %}" * 3,
        "{% for i in range(1000) %}{% for j in range(1000) %}" + "{% if 'zz' in description %}{% endif %}" * 200
        + "{% endfor %}{% endfor %}",
        "{% for i in range(1000) %}{% for j in range(1000) %}" + "{{ description[::-1] }}" * 300
        + "{% endfor %}{% endfor %}",
        "{% for i in range(1000) %}{% for j in range(100) %}{% set x = description.split(' ') %}{% endfor %}"
        "{% endfor %}",
        "{% for i in range(1000) %}{% for j in range(100) %}{% set x = alerts | sort(attribute='title') %}"
        "{% endfor %}{% endfor %}",
        "{% for i in range(1000) %}{% for j in range(1000) %}{{ alerts | map(attribute='title') | join }}"
        "{% endfor %}{% endfor %}",
        "{{ 'a' * 1000000000 }}",
        "{{ 1000000000 * 'a' }}",
        "{{ 'a' * 10**9 }}",
        "{{ [0] * 1000000000 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ 10 ** 100000000 }}",
        "{% set x = 99999999999 %}" + "{% set x = x * x %}" * 100 + "{{ x }}",
        "{% set x = description %}" + "{% set x = x ~ x %}" * 400,
        "{% set x = description %}" + "{% set x = x + x %}" * 400,
        "{% set x = description %}" + "{% set x = [x, x] | join %}" * 300,
        "{% set x = description %}" + "{% set x = x | replace('a', x) %}" * 200,
        "{{ description | replace('', description) }}",
        "{% set x = [1] %}" + "{% set x = [x, x] %}" * 400 + "{{ x }}",
        "{% set x = [1] %}" + "{% set x = x + x %}" * 400,
        "{% set x = {'a': 1} %}" + "{% set x = {'a': x, 'b': x} %}" * 250 + "{{ x | tojson }}",
        "{{ 'a' | center(1000000000) }}",
        "{{ 'a' | indent(1000000000) }}",
        "{{ 'a\nb' | indent(description) }}",
        "{{ '%1000000000d' | format(1) }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ 'a'.ljust(1000000000) }}",
        "{{ 'a'.zfill(1000000000) }}",
        "{{ 'a'.replace('a', 'b') }}",
        "{{ ','.join(['a']) }}",
        "{{ 3 | round(1000000000, 'ceil') }}",
        "{{ lipsum(n=1000000) }}",
        "{{ cycler('a') }}",
        "{{ namespace(a=1) }}",
        "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}",
        "{% for a in [1] recursive %}{{ loop([1, 1]) }}{% endfor %}",
        "{% set x %}" + "a" * 100 + "{% endset %}",
        "{% filter upper %}a{% endfilter %}",
        "{% block a %}{% endblock %}",
        "{% include 'other' %}",
        "{% import 'other' as o %}",
        "{% extends 'other' %}",
        "{{ " + "(" * 3000 + " }}",
        "{{ " + "(" * 150 + "1" + ")" * 150 + " }}",
        "{{ " + "[" * 150 + "1" + "]" * 150 + " }}",
        "{{ 1" + " + 1" * 2000 + " }}",
        "{{ a" + ".b" * 4000 + " }}",
        "{{ a" + "|upper" * 1500 + " }}",
        "{{ " + "not " * 2000 + "1 }}",
        "{% if 1 %}" * 300 + "{% endif %}" * 300,
        "{% for i in [1] %}" * 60 + "{% endfor %}" * 60,
        "{{ " + "9" * 5000 + " }}",
        "{{ '\\ud800' }}",
        "{{ ('9' * 1) | int }}",
        "\x00",
        "\x1b[31m{{ title }}",
        "half \ud83d",
        "x" * 10_001,
        "{{ description }}" * 500,
        "{% for i in range(1000) %}{{ description }}{% endfor %}",
    ],
)  # fmt: skip
def test_nothing_can_run_away(template: str) -> None:
    """The longest description there is makes every copy as dear as it can be."""
    refusal(template, replace(PAGE, alerts=(an_alert(description="a " * 12_500),)))


@pytest.mark.parametrize(
    "expression",
    [
        "''.__class__.__mro__[1].__subclasses__()",
        "title.__class__",
        "title['__class__']",
        "title | attr('__class__')",
        "alerts | map(attribute='__class__') | list",
        "alerts | map(attribute='title.__class__') | join",
        "(1).__class__",
        "(1).real",
        "range.__globals__",
        "range(1).__class__",
        "self.__init__",
        "self._TemplateReference__context",
        "loop.__init__",
        "labels.update({'a': 'b'})",
        "labels.pop('job')",
        "labels.clear()",
        "labels.__setitem__('a', 'b')",
        "alerts.append(1)",
        "title.encode()",
        "title.format_map({})",
        "(title.upper).__self__",
        "undefined_thing.__class__",
        "config",
        "request",
        "environment",
        "context",
        "['steps left']",
        "caller()",
        "'x' | map('upper') | attr('gi_frame')",
    ],
)
def test_there_is_no_way_out_of_the_sandbox(expression: str) -> None:
    if expression == "['steps left']":
        # The budget's own key is a text like any other here.
        assert rendered(f"{{{{ {expression} | join }}}}") == "steps left"
        return
    refusal("{{ " + expression + " }}")


def test_a_thousand_alerts_with_twenty_labels_are_not_too_many() -> None:
    labels = {f"label {index}": "x" for index in range(20)}
    message = replace(PAGE, alerts=tuple(an_alert(id=an_id(index), labels=labels) for index in range(1_000)))
    template = (
        "{% for a in alerts %}{% for k, v in a.labels.items() %}{{ k if v == 'y' }}{% endfor %}{% endfor %}."
    )

    assert rendered(template, message) == "."


def test_what_comes_out_has_a_longest_length() -> None:
    message = replace(PAGE, alerts=(an_alert(description="d" * OUTPUT_LENGTH_MAX),))

    assert len(rendered("{{ description }}", message)) == OUTPUT_LENGTH_MAX
    assert "more than 20,000 characters" in refusal("{{ description }}!", message)


@pytest.mark.parametrize(
    "template",
    [
        "{{ title }}",
        "{{ labels.alertname | default(title) }}",
        "{% for a in alerts %}{{ a.title }}{% endfor %}",
        "{% if change %}{{ change }}{% endif %}{{ responder or 'all' }}",
        "{{ annotations.runbook_url | default(url) }} {{ actions.acknowledge | default('') }}",
        "{{ timeline | last | default('') }}",
    ],
)
def test_what_renders_for_every_sample_may_be_saved(template: str) -> None:
    check_template(template)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ labels.alertname }}", "has no attribute 'alertname'"),
        ("{{ annotations['runbook_url'] }}", "has no attribute 'runbook_url'"),
        ("{{ timeline[0] }}", "list object has no element 0"),
        ("{{ actions.acknowledge }}", "has no attribute 'acknowledge'"),
        ("{{ responder + '!' }}", "+ takes numbers"),
        ("{{ alerts[1].title }}", "list object has no element 1"),
        ("{{ title ", "unexpected end of template"),
    ],
)
def test_what_fails_for_a_barer_alert_is_refused_when_it_is_saved(template: str, reason: str) -> None:
    with pytest.raises(InputError, match=re.escape(reason)) as caught:
        check_template(template)

    assert caught.value.problems[0].path == ("template",)


WORDS = (
    "{{ }} {% %} {# #} - + ~ * ** / // % ( ) [ ] { } | . , : = == != < > ' \" 1 0 999 1.5 'a' title labels "
    "alerts description annotations loop range self for in endfor if else elif endif set with endwith is not "
    "and or upper join default replace map select sort tojson round sum list items keys get defined none true "
    "recursive \n raw endraw macro endmacro"
)
PIECES = st.sampled_from(WORDS.split(" "))


@given(st.lists(PIECES, max_size=30).map(" ".join))
def test_whatever_is_written_ends_in_a_text_or_in_a_refusal(template: str) -> None:
    for message in (PAGE, BUNDLE):
        with suppress(InputError):
            rendered(template, message).encode()


@given(st.lists(PIECES, max_size=8).map(" ".join), st.sampled_from(["{{ %s }}", "{%% if %s %%}{%% endif %%}"]))
def test_whatever_expression_is_written_ends_so_too(expression: str, frame: str) -> None:
    with suppress(InputError):
        rendered(frame % expression).encode()


@given(st.text(max_size=200))
def test_any_text_is_a_text_or_is_refused(template: str) -> None:
    with suppress(InputError):
        rendered(template).encode()


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (PAGE, "[HIGH] High latency (checkout)"),
        (BUNDLE, "[CRITICAL] 3 alerts, the worst: Disk full"),
        (replace(PAGE, purpose=Purpose.UPDATE, change="RESOLVED"), "Resolved: [HIGH] High latency (checkout)"),
        (replace(PAGE, purpose=Purpose.ASSIGNMENT), "Assigned to you: [HIGH] High latency (checkout)"),
        (replace(PAGE, purpose=Purpose.TEST), "Test: [HIGH] High latency (checkout)"),
        (replace(PAGE, purpose=Purpose.TEST, alerts=()), "Test message of acme"),
    ],
)
def test_the_headline_says_the_most_important(message: Message, text: str) -> None:
    assert headline(message) == text


def test_the_built_in_text_names_every_alert_of_a_bundle() -> None:
    assert plain_text(BUNDLE).splitlines()[1:4] == [
        "- [CRITICAL] Disk full (db)",
        "- [HIGH] Slow (checkout)",
        "- [HIGH] Slower (checkout)",
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [("ACKNOWLEDGED", "Acknowledged"), ("SLA_BREACHED", "Sla breached"), (None, "Changed"), ("", "Changed")],
)
def test_a_change_is_told_in_words(change: str | None, words: str) -> None:
    assert change_words(change) == words


@given(st.text(), st.integers(4, 50))
def test_texts_are_cut_to_their_length(text: str, length: int) -> None:
    assert len(cut(text, length)) <= length
    assert cut(text, max(len(text), 1)) == text
    assert len(cut_bytes(text, length).encode()) <= length
