"""Texts of messages: the built-in ones, and those that a tenant's own template makes.

A template is Jinja2, boxed in twice: the sandbox keeps it from Python, and what is left of the language can't
run away. There are no macros, blocks, includes or recursion, loops and filters draw on one budget of steps, and
nothing can grow without being measured first, so that the worst template costs a fraction of a second.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, NoReturn, TypeVar
from uuid import UUID

import orjson
from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.lexer import TokenStream
from jinja2.runtime import Context, LoopContext, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from alertgraph.core.alert import Alert, AlertStatus
from alertgraph.core.delivery import Purpose
from alertgraph.core.errors import InputError
from alertgraph.core.ids import AlertId, DeliveryId, NodeKind, encode_id
from alertgraph.core.message import Message
from alertgraph.core.severity import Severity
from alertgraph.core.slo import TIER_TARGETS, sla_clocks
from alertgraph.core.tier import Tier

TEMPLATE_LENGTH_MAX = 10_000
OUTPUT_LENGTH_MAX = 20_000
RANGE_MAX = 1_000
# Each part of a loop's body in each turn, each filter, each item that a filter looks at and each fifty characters
# of a text are a step: a bundle of a thousand alerts with twenty labels each takes two thirds of them.
STEPS_MAX = 300_000
TEXT_LENGTH_MAX = 50_000
NUMBER_BITS_MAX = 256
DEPTH_MAX = 64
INDENT_MAX = 40
PRECISION_MAX = 10
DESCRIPTION_SHOWN_MAX = 1_000

_CHARACTERS_A_STEP = 50
_COMPARED_STEPS = 100
# The key of the budget among the variables: with a space in it no template can name it.
_BUDGET = "steps left"
# What an expression can raise over the values it meets. Bugs of ours would be others.
_FAULTS = (
    TemplateError,
    SyntaxError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RuntimeError,
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_NEWLINE = re.compile(r"\r\n|\r")

_METHODS: Mapping[type, frozenset[str]] = {
    str: frozenset(
        {"capitalize", "endswith", "lower", "lstrip", "rstrip", "split", "splitlines", "startswith", "strip"}
        | {"title", "upper"}
    ),
    dict: frozenset({"get", "items", "keys", "values"}),
    # What `groupby` yields.
    tuple: frozenset({"grouper", "list"}),
}
# They take a text, or what is shown as one.
_TEXT_FILTERS = frozenset(
    {"capitalize", "e", "escape", "float", "int", "lower", "string", "title", "trim", "truncate", "upper"}
    | {"urlencode", "wordcount"}
)
# They look at no more than one item.
_QUICK_FILTERS = frozenset({"abs", "count", "d", "default", "first", "last", "length"})
_ITEM_FILTERS = frozenset(
    {"dictsort", "groupby", "items", "list", "map", "max", "min", "reject", "rejectattr", "reverse", "select"}
    | {"selectattr", "sort", "unique"}
)
_TESTS = frozenset(
    {"!=", "<", "<=", "==", ">", ">=", "boolean", "defined", "divisibleby", "eq", "equalto", "even", "false"}
    | {"float", "ge", "greaterthan", "gt", "in", "integer", "iterable", "le", "lessthan", "lt", "mapping"}
    | {"ne", "none", "number", "odd", "sameas", "sequence", "string", "true", "undefined"}
)
_NODES: tuple[type[nodes.Node], ...] = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.Assign, nodes.With),
    *(nodes.Name, nodes.Const, nodes.Tuple, nodes.List, nodes.Dict, nodes.Pair, nodes.CondExpr, nodes.Filter),
    *(nodes.Test, nodes.Call, nodes.Keyword, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Concat),
    *(nodes.Compare, nodes.Operand, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod),
    *(nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Pos),
)
_NODE_NAMES: Mapping[type[nodes.Node], str] = {
    nodes.AssignBlock: "set … endset",
    nodes.CallBlock: "call",
    nodes.FilterBlock: "filter",
    nodes.FromImport: "from … import",
    nodes.NSRef: "an assignment to an attribute",
    nodes.Pow: "**",
}

_Value = TypeVar("_Value")

_CHANGES = {
    "ACKNOWLEDGED": "Acknowledged",
    "ASSIGNED": "Assigned",
    "ESCALATED": "Escalated",
    "REOPENED": "Open again",
    "RESOLVED": "Resolved",
    "SILENCED": "Silenced",
    "UNACKNOWLEDGED": "Given back",
    "UNSILENCED": "No longer silenced",
    "UPDATED": "Changed",
}


def render_text(template: str | None, message: Message, built_in: str) -> str:
    """Return the text that a template makes of a message.

    Args:
        template: The tenant's own; None for none.
        message: What to tell.
        built_in: The text where there is no template, taken as it is.

    Raises:
        InputError: The template can't be used; the message names line and column, the path is `template`.
    """
    if template is None:
        return built_in
    return _render(_compiled(template), template, _variables(message))


def send_text(template: str | None, message: Message, built_in: str) -> str:
    """Return the same for a message that is to go out: where the template fails, the built-in text."""
    try:
        return render_text(template, message, built_in)
    except InputError:
        # It was checked when it was saved, and meets values now that the samples had not. The page goes first.
        return built_in


def check_template(template: str) -> None:
    """Let a template pass that renders for any alert: it is tried on samples.

    Raises:
        InputError: It can't be used; the message names line and column, the path is `template`.
    """
    for message in _samples():
        render_text(template, message, "")


def headline(message: Message) -> str:
    """Return the message in one line, as a subject or a heading."""
    if not message.alerts:
        return f"{'alertgraph is alive for' if _is_beat(message) else 'Test message of'} {message.tenant}"
    first = message.alerts[0]
    if len(message.alerts) > 1:
        return f"[{first.severity.name}] {len(message.alerts)} alerts, the worst: {first.title}"
    text = f"[{first.severity.name}] {first.title}"
    if first.monitored_service:
        text += f" ({first.monitored_service})"
    match message.purpose:
        case Purpose.PAGE:
            return text
        case Purpose.UPDATE:
            return f"{change_words(message.change)}: {text}"
        case Purpose.ASSIGNMENT:
            return f"Assigned to you: {text}"
        case Purpose.TEST:
            return f"Test: {text}"
        case Purpose.ALIVE:
            raise AssertionError("a beat is about no alert")


def change_words(change: str | None) -> str:
    """Return an event's kind, as an UPDATE names it, in words."""
    return _CHANGES.get(change or "UPDATED") or (change or "").replace("_", " ").capitalize()


def remark(message: Message) -> str:
    """Return what there is to say in a message about no alert."""
    if _is_beat(message):
        return "Everybody is told in time. Where these messages stay out, look after alertgraph."
    return "Somebody tries this channel. There is nothing to do."


def _is_beat(message: Message) -> bool:
    return message.purpose is Purpose.ALIVE


def plain_text(message: Message) -> str:
    """Return the built-in text: the headline, what there is to know, and where to look."""
    lines = [headline(message)]
    match message.alerts:
        case ():
            lines.append(remark(message))
        case (alert,):
            lines += _about(alert)
        case alerts:
            lines += [f"- [{alert.severity.name}] {alert.title}{_of_service(alert)}" for alert in alerts]
    if message.responder is not None and message.purpose is Purpose.PAGE:
        lines.append(f"To {message.responder}, level {message.level}.")
    if message.link is not None:
        lines.append(message.link)
    return "\n".join(lines)


def _about(alert: Alert) -> list[str]:
    lines = []
    if alert.description:
        lines.append(cut(alert.description, DESCRIPTION_SHOWN_MAX))
    lines.append(f"From {alert.source}, since {alert.triggered_at:%Y-%m-%d %H:%M} UTC")
    if alert.labels:
        lines.append(", ".join(f"{name}={value}" for name, value in sorted(alert.labels.items())))
    return lines


def _of_service(alert: Alert) -> str:
    return f" ({alert.monitored_service})" if alert.monitored_service else ""


def cut(text: str, length_max: int) -> str:
    """Return a text no longer than that; an ellipsis tells that something is missing."""
    return text if len(text) <= length_max else text[: length_max - 1] + "…"


def cut_bytes(text: str, bytes_max: int) -> str:
    """Return a text that takes no more than that in UTF-8; an ellipsis tells that something is missing."""
    raw = text.encode()
    if len(raw) <= bytes_max:
        return text
    return raw[: bytes_max - 3].decode(errors="ignore") + "…"


def public_id(alert: Alert) -> str:
    """Return an alert's id as the API tells it."""
    return encode_id(NodeKind.ALERT, alert.id)


def instant(at: datetime) -> str:
    """Return an instant in RFC 3339, in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _variables(message: Message) -> dict[str, Any]:
    """Return what a template knows: the message's fields, `alerts`, and those of the first alert by themselves."""
    alerts = [_alert_values(alert, message.link) for alert in message.alerts or (_no_alert(message.at),)]
    return {
        **alerts[0],
        "alert": alerts[0],
        "alerts": alerts,
        "actions": dict(message.actions),
        "at": instant(message.at),
        "change": message.change,
        "level": message.level,
        "purpose": message.purpose.name,
        "responder": message.responder,
        "tenant": message.tenant,
        "timeline": list(message.timeline),
        _BUDGET: _Budget(),
    }


def _alert_values(alert: Alert, link: str | None) -> dict[str, Any]:
    return {
        "id": public_id(alert),
        "title": alert.title,
        "description": alert.description,
        "severity": alert.severity.name,
        "status": alert.status.name,
        "source": alert.source,
        "service": alert.monitored_service or "",
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "links": [{"href": link.href, "text": link.text} for link in alert.links],
        "dedup_key": alert.dedup_key,
        "occurrence_count": alert.occurrence_count,
        "triggered_at": instant(alert.triggered_at),
        "last_seen_at": instant(alert.last_seen_at),
        "acknowledged_at": instant(alert.acknowledged_at) if alert.acknowledged_at else None,
        "acknowledged_by": alert.acknowledged_by.name if alert.acknowledged_by else None,
        "resolved_at": instant(alert.resolved_at) if alert.resolved_at else None,
        "resolved_by": alert.resolved_by.name if alert.resolved_by else None,
        "url": link or "",
    }


@cache
def _samples() -> tuple[Message, ...]:
    """Return messages of every sort, the barest alert among them: what a template may meet."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    bare = _no_alert(at)
    full = replace(
        bare,
        title="Latency above 2 s",
        description="The 99th percentile of checkout is above 2 s for 10 minutes.",
        severity=Severity.CRITICAL,
        monitored_service="checkout",
        labels={"alertname": "HighLatency", "job": "api"},
        annotations={"runbook_url": "https://runbooks.example.com/latency", "value": 2.4},
    )
    page = Message(
        id=DeliveryId(UUID(int=1)),
        tenant="acme",
        purpose=Purpose.PAGE,
        alerts=(full,),
        at=at,
        level=1,
        responder="Ada",
        timeline=("prometheus triggered the alert.",),
        actions={"acknowledge": "https://alerts.example.com/act/1"},
        link="https://alerts.example.com/alerts/1",
    )
    bare_page = replace(page, alerts=(bare,), responder=None, timeline=(), actions={}, link=None)
    closed = replace(full, status=AlertStatus.RESOLVED, resolved_at=at)
    return (
        page,
        bare_page,
        replace(page, alerts=(full, bare, closed), timeline=(), actions={}, link=None),
        replace(bare_page, purpose=Purpose.UPDATE, change="RESOLVED", level=0, alerts=(closed,)),
        replace(page, purpose=Purpose.ASSIGNMENT, level=0),
        replace(bare_page, purpose=Purpose.TEST, level=0, alerts=()),
    )


def _no_alert(at: datetime) -> Alert:
    """Return what stands in for the alert of a test."""
    return Alert(
        id=AlertId(UUID(int=0)),
        dedup_key="test",
        title="Test message",
        description="Somebody tries this channel. There is nothing to do.",
        severity=Severity.INFO,
        status=AlertStatus.TRIGGERED,
        source="alertgraph",
        monitored_service=None,
        labels={},
        annotations={},
        links=(),
        occurrence_count=1,
        triggered_at=at,
        last_seen_at=at,
        acknowledged_at=None,
        acknowledged_until=None,
        acknowledged_by=None,
        first_acknowledged_at=None,
        resolved_at=None,
        resolved_by=None,
        escalation_level=0,
        held=None,
        sla=sla_clocks(TIER_TARGETS[Tier.STANDARD][Severity.INFO], at),
        resolve_at=None,
        resolve_by_timeout=False,
        verdict=None,
        version=0,
    )


class _Budget:
    """How many steps are left to one rendering."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = STEPS_MAX

    def spend(self, count: int) -> None:
        """Take steps; raises SecurityError where there are not as many."""
        self._left -= count
        if self._left < 0:
            raise SecurityError("it takes too many steps")

    def counted(self, items: Iterable[Any], cost: int = 1) -> Iterator[Any]:
        """Yield items, at so many steps each."""
        for item in items:
            self.spend(cost)
            yield item


class _Sandbox(ImmutableSandboxedEnvironment):
    """What a template may do: read plain values, by the names and methods listed above."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, cache_size=0)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:  # noqa: ARG002 # as Jinja has it
        if isinstance(obj, LoopContext):
            return not attr.startswith("_")
        return any(isinstance(obj, kind) and attr in names for kind, names in _METHODS.items())

    def getattr(self, obj: Any, attribute: str) -> Any:
        # A label may be named like a method that nobody can call here.
        if isinstance(obj, dict) and attribute in obj and attribute not in _METHODS[dict]:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if isinstance(left, int | float) and isinstance(right, int | float):
            if _bits(left) + _bits(right) > NUMBER_BITS_MAX:
                raise SecurityError("the numbers are too large")
            return super().call_binop(context, operator, left, right)
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            return _concat(context, left, right)
        raise SecurityError(f"{operator} takes numbers here")

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 # as Jinja has it
        # An undefined value says at the call what it is; at any other question it raises.
        if not isinstance(__obj, Undefined) and __obj is not _range:
            owner = getattr(__obj, "__self__", None)
            if not isinstance(owner, str | dict | LoopContext):
                raise SecurityError("only `range` and the methods of texts and mappings can be called")
            _spend(__context, _weight(owner))
        return super().call(__context, __obj, *args, **kwargs)

    def _tokenize(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> TokenStream:
        """Return the tokens with their place in the source in the place of the line: see `_place`."""
        placed = _placed(self.lexer.tokeniter(source, name, filename, state), source)
        return TokenStream(self.lexer.wrap(placed, name, filename), name, filename)


def _placed(tokens: Iterator[tuple[int, str, str]], source: str) -> Iterator[tuple[int, str, str]]:
    """Yield tokens, each with its offset plus one as its line: so whatever fails later, tells its column too."""
    end = 0
    try:
        for _, kind, value in tokens:
            # White space that the template leaves out on purpose is no token.
            start = source.find(value, end)
            assert start >= 0, "tokens come in the order of the source"
            end = start + len(value)
            yield start + 1, kind, value
    except TemplateSyntaxError as error:
        reason = error.message or ""
        # "unexpected char '$' at 12" tells an offset once more.
        raise TemplateSyntaxError(reason.rpartition(" at ")[0] or reason, end + 1) from None


def _place(source: str, lineno: int) -> str:
    offset = min(max(lineno - 1, 0), len(source))
    return f"line {source.count(chr(10), 0, offset) + 1}, column {offset - source.rfind(chr(10), 0, offset)}"


def _bits(number: float) -> int:
    return number.bit_length() if isinstance(number, int) else 64


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)


def _weight(value: object) -> int:
    if isinstance(value, str):
        return 1 + len(value) // _CHARACTERS_A_STEP
    if isinstance(value, list | tuple | dict | range):
        return 1 + len(value)
    return 1


def _weight_compared(value: object) -> int:
    # Two lists or mappings are alike only where everything in them is.
    return _COMPARED_STEPS if isinstance(value, list | tuple | dict) else _weight(value)


def _spend(context: Context, count: int) -> None:
    budget = context.get(_BUDGET)
    assert isinstance(budget, _Budget)
    budget.spend(count)


def _measured(value: _Value) -> _Value:
    """Return a value that a filter made, where it is not too long."""
    if isinstance(value, str) and len(value) > TEXT_LENGTH_MAX:
        raise SecurityError(f"a text grows beyond {TEXT_LENGTH_MAX:,} characters")
    return value


def _bounded(name: str) -> Callable[..., Any]:
    """Return one of Jinja's own filters at the price of what it looks at."""

    @pass_context
    def bounded(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        budget: _Budget = context[_BUDGET]
        budget.spend(1 + sum(map(_weight, (*args, *kwargs.values()))))
        if name in _TEXT_FILTERS:
            value = _shown(context, value)
        elif isinstance(value, Iterator):
            value = budget.counted(value)
        elif name not in _QUICK_FILTERS:
            budget.spend(_weight(value))
        return _measured(_PLAIN.call_filter(name, value, args, kwargs, context, context.eval_ctx))

    return bounded


def _bounded_test(name: str) -> Callable[..., Any]:
    """Return one of Jinja's own tests at the price of what it looks at."""

    @pass_context
    def bounded(context: Context, value: Any, *args: Any) -> Any:
        _spend(context, sum(map(_weight_compared, (value, *args))))
        return _PLAIN.call_test(name, value, args, context=context, eval_ctx=context.eval_ctx)

    return bounded


@pass_context
def _loop(context: Context, items: Any, cost: int) -> Iterator[Any]:
    """Return what a loop goes through, at the cost of its body for each item."""
    if isinstance(items, str):
        raise SecurityError("a loop does not go through the characters of a text")
    budget: _Budget = context[_BUDGET]
    return budget.counted(items, cost)


@pass_context
def _weighed(context: Context, value: Any) -> Any:
    """Return a value that is compared, searched or cut."""
    _spend(context, _weight_compared(value))
    return value


@pass_context
def _scalar(context: Context, value: Any) -> Any:
    """Return an element of a list that is written down: no list itself, or lists could double each other."""
    _spend(context, 1)
    if not _is_plain(value):
        raise SecurityError("a list that is written down holds texts and numbers only")
    return value


@pass_context
def _concat(context: Context, *parts: Any) -> str:
    texts = [str(_shown(context, part)) for part in parts]
    if sum(map(len, texts)) > TEXT_LENGTH_MAX:
        raise SecurityError(f"a text grows beyond {TEXT_LENGTH_MAX:,} characters")
    return "".join(texts)


@pass_context
def _shown(context: Context, value: Any) -> Any:
    """Return a value as it is shown: None is nothing, and a list or mapping has no text of its own."""
    if isinstance(value, Undefined):
        # Raises, and says what is undefined; only an `if` without `else` is nothing.
        return str(value)
    if not _is_plain(value):
        raise SecurityError("only texts and numbers are shown: use a loop, `join` or `tojson`")
    _spend(context, _weight(value))
    return "" if value is None else value


@pass_context
def _join(context: Context, items: Any, separator: str = "", attribute: str | int | None = None) -> str:
    budget: _Budget = context[_BUDGET]
    if attribute is not None:
        items = _PLAIN.call_filter("map", items, (), {"attribute": attribute}, context)
    separator = str(_shown(context, separator))
    texts: list[str] = []
    length = 0
    for item in budget.counted(items):
        texts.append(str(_shown(context, item)))
        length += len(texts[-1]) + len(separator)
        if length > TEXT_LENGTH_MAX + len(separator):
            raise SecurityError(f"a text grows beyond {TEXT_LENGTH_MAX:,} characters")
    return separator.join(texts)


@pass_context
def _replace(context: Context, text: Any, old: str, new: str) -> str:
    before, old, new = (str(_shown(context, part)) for part in (text, old, new))
    if not old or len(before) + before.count(old) * (len(new) - len(old)) > TEXT_LENGTH_MAX:
        raise SecurityError("`replace` needs something to look for, and makes no text that long")
    return before.replace(old, new)


@pass_context
def _indent(context: Context, text: Any, width: int = 4, *, first: bool = False) -> str:
    if not isinstance(width, int) or not 0 <= width <= INDENT_MAX:
        raise SecurityError(f"`indent` takes 0 to {INDENT_MAX} spaces")
    lines = str(_shown(context, text)).splitlines()
    space = " " * width
    _spend(context, len(lines))
    lines = [space + line if line and (first or index) else line for index, line in enumerate(lines)]
    return _measured("\n".join(lines))


@pass_context
def _round(context: Context, number: Any, precision: int = 0, method: str = "common") -> Any:
    if not isinstance(precision, int) or not 0 <= precision <= PRECISION_MAX:
        raise SecurityError(f"`round` takes 0 to {PRECISION_MAX} places")
    if not isinstance(number, int | float) or _bits(number) > NUMBER_BITS_MAX:
        raise SecurityError("`round` takes a number")
    return _PLAIN.call_filter("round", number, (precision, method), context=context)


@pass_context
def _sum(context: Context, items: Any, attribute: str | int | None = None) -> Any:
    budget: _Budget = context[_BUDGET]
    return _PLAIN.call_filter("sum", budget.counted(items), (attribute,), context=context)


@pass_context
def _to_json(context: Context, value: Any) -> str:
    """Return one value or one mapping as JSON."""
    if isinstance(value, Undefined):
        return str(value)
    if not _is_plain(value) and not isinstance(value, dict):
        raise SecurityError("`tojson` takes a text, a number or a mapping")
    text = orjson.dumps(value).decode()
    _spend(context, _weight(text))
    return _measured(text)


def _range(*bounds: int) -> range:
    items = range(*bounds)
    # The length of a range itself is bounded by what a C integer holds.
    if abs(items.stop - items.start) > RANGE_MAX * abs(items.step) or len(items) > RANGE_MAX:
        raise SecurityError(f"`range` goes up to {RANGE_MAX:,} numbers")
    return items


# Jinja's own filters, under the same rules of what may be read.
_PLAIN = _Sandbox()


def _sandbox() -> _Sandbox:
    sandbox = _Sandbox()
    sandbox.globals = {"range": _range}
    sandbox.tests = {name: _bounded_test(name) for name in _TESTS}
    sandbox.filters = {name: _bounded(name) for name in _TEXT_FILTERS | _QUICK_FILTERS | _ITEM_FILTERS} | {
        "indent": _indent,
        "join": _join,
        "replace": _replace,
        "round": _round,
        "sum": _sum,
        "tojson": _to_json,
        # What the template's own text can't name.
        "a loop": _loop,
        "an element": _scalar,
        "weighed": _weighed,
        "~": _concat,
    }
    sandbox.finalize = _shown
    return sandbox


_SANDBOX = _sandbox()


@lru_cache(maxsize=256)
def _compiled(template: str) -> Template:
    """Return a template ready to render.

    Raises:
        InputError: It can't be used.
    """
    if len(template) > TEMPLATE_LENGTH_MAX:
        raise InputError(f"A template has at most {TEMPLATE_LENGTH_MAX:,} characters.", "template")
    source = _NEWLINE.sub("\n", template)
    control = _CONTROL.search(source)
    if control is not None:
        _refuse(source, control.start() + 1, "a control character")
    try:
        source.encode()
    except UnicodeEncodeError as error:
        _refuse(source, error.start + 1, "half of a character")
    try:
        tree = _SANDBOX._parse(source, None, None)
        _box(tree)
        code = _SANDBOX.compile(tree)
    except TemplateSyntaxError as error:
        _refuse(source, error.lineno, error.message or "it can't be read")
    except (SyntaxError, RecursionError, MemoryError):
        _refuse(source, 1, "it is nested too deep")
    except _FAULTS as error:
        _refuse(source, 1, str(error))
    return Template.from_code(_SANDBOX, code, _SANDBOX.globals)


def _refuse(source: str, lineno: int, reason: str) -> NoReturn:
    reason = cut(reason.strip().rstrip("."), 300)
    raise InputError(f"The template can't be used: {reason} ({_place(source, lineno)}).", "template")


def _box(tree: nodes.Template) -> None:
    """Let only those parts of the language pass that are bounded, and count the others' steps.

    Raises:
        TemplateSyntaxError: There is something else in it.
    """
    level: list[nodes.Node] = [tree]
    depth = 0
    while level:
        depth += 1
        if depth > DEPTH_MAX:
            raise TemplateSyntaxError("it is nested too deep", level[0].lineno)
        for node in level:
            _box_node(node)
        level = [child for node in level for child in node.iter_child_nodes()]
    # Only now, so that the nodes put in are not looked at themselves.
    _count_steps(tree)


def _box_node(node: nodes.Node) -> None:
    if not isinstance(node, _NODES):
        kind = type(node)
        name = _NODE_NAMES.get(kind, kind.__name__.lower())
        raise TemplateSyntaxError(f"`{name}` is not available here", node.lineno)
    if isinstance(node, nodes.For) and node.recursive:
        raise TemplateSyntaxError("`recursive` is not available here", node.lineno)
    if isinstance(node, nodes.Filter) and node.name not in _SANDBOX.filters:
        raise TemplateSyntaxError(f"there is no filter `{node.name}` here", node.lineno)
    if isinstance(node, nodes.Test) and node.name not in _SANDBOX.tests:
        raise TemplateSyntaxError(f"there is no test `{node.name}` here", node.lineno)


def _count_steps(node: nodes.Node) -> None:
    """Rewrite loops, lists and joined texts so that they are counted and measured; `node` is not too deep."""
    for name, value in list(node.iter_fields()):
        if isinstance(value, list):
            setattr(node, name, [_counting(child) if isinstance(child, nodes.Node) else child for child in value])
        elif isinstance(value, nodes.Node):
            setattr(node, name, _counting(value))


def _counting(node: nodes.Node) -> nodes.Node:
    _count_steps(node)
    if isinstance(node, nodes.For):
        cost = sum(1 for child in node.body for _ in child.find_all(nodes.Node))
        node.iter = _filtered(node.iter, "a loop", [nodes.Const(1 + cost)])
    elif isinstance(node, nodes.Concat):
        return _filtered(node.nodes[0], "~", node.nodes[1:])
    elif isinstance(node, nodes.List) or (isinstance(node, nodes.Tuple) and node.ctx == "load"):
        node.items = [_filtered(item, "an element") for item in node.items]
    elif isinstance(node, nodes.Pair):
        node.value = _filtered(node.value, "an element")
    elif isinstance(node, nodes.Compare | nodes.Operand):
        node.expr = _filtered(node.expr, "weighed")
    elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice):
        node.node = _filtered(node.node, "weighed")
    return node


def _filtered(node: nodes.Node, name: str, args: Sequence[nodes.Expr] = ()) -> nodes.Expr:
    filtered = nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)
    filtered.environment = _SANDBOX
    return filtered


def _render(compiled: Template, template: str, variables: dict[str, Any]) -> str:
    source = _NEWLINE.sub("\n", template)
    parts: list[str] = []
    length = 0
    try:
        for part in compiled.generate(variables):
            parts.append(part)
            length += len(part)
            if length > OUTPUT_LENGTH_MAX:
                raise SecurityError(f"it makes more than {OUTPUT_LENGTH_MAX:,} characters")
        text = "".join(parts)
        text.encode()
    except UnicodeEncodeError:
        _refuse(source, 1, "it makes half of a character")
    except _FAULTS as error:
        _refuse(source, _line(error), _reason(error))
    return _CONTROL.sub("", text)


def _line(error: BaseException) -> int:
    """Return the innermost place of the template that an error passed, as `_placed` numbers it."""
    lineno = 1
    trace = error.__traceback__
    while trace is not None:
        # Jinja puts such frames in the place of those of the compiled code.
        if "__jinja_exception__" in trace.tb_frame.f_globals:
            lineno = trace.tb_lineno
        trace = trace.tb_next
    return lineno


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
