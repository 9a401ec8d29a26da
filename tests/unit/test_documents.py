"""What the documents print fits the published schema, and speaks of settings that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLSchema,
    OperationDefinitionNode,
    build_schema,
    is_specified_scalar_type,
    parse,
    validate,
)

from alertgraph.core.severity import Severity
from alertgraph.core.slo import TIER_TARGETS
from alertgraph.core.tier import Tier
from alertgraph.edge.app import ANSWER_WITHIN_SECONDS
from alertgraph.edge.bodies import BODY_BYTES_MAX
from alertgraph.edge.graphql.exchange import BODY_SIZE_MAX
from alertgraph.edge.server import WEBSOCKET_MESSAGE_BYTES_MAX
from alertgraph.execution.limits import DocumentLimits
from alertgraph.notify.guard import PORTS
from alertgraph.settings import Settings

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# A block of GraphQL, and the variables that stand right behind it.
BLOCK = re.compile(r"```graphql\n(.*?)```(?:\n\n```json\n(.*?)```)?", re.DOTALL)


def printed() -> Iterator[tuple[str, str, str]]:
    for document in DOCUMENTS:
        for operation, variables in BLOCK.findall(document.read_text(encoding="utf-8")):
            yield document.name, operation, variables or "{}"


@pytest.fixture(scope="module")
def published() -> GraphQLSchema:
    return build_schema((ROOT / "schema.graphql").read_text(encoding="utf-8"))


def test_there_is_something_to_look_at() -> None:
    assert {"README.md", "channels.md"} <= {document for document, _, _ in printed()}


@pytest.mark.parametrize(("document", "operation", "variables"), list(printed()))
def test_a_printed_operation_fits_the_schema(
    published: GraphQLSchema, document: str, operation: str, variables: str
) -> None:
    parsed = parse(operation)
    [definition] = parsed.definitions
    assert isinstance(definition, OperationDefinitionNode)
    declared = {variable.variable.name.value for variable in definition.variable_definitions or ()}

    assert validate(published, parsed) == []
    assert json.loads(variables).keys() <= declared


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_printed_setting_exists(document: Path) -> None:
    named = set(re.findall(r"CRITICAL_ALERT_([A-Z_]+[A-Z])", document.read_text(encoding="utf-8")))

    assert {name.lower() for name in named} - Settings.model_fields.keys() == set()


def test_the_printed_promises_are_those_of_the_tiers() -> None:
    text = (ROOT / "docs" / "guide" / "concepts.md").read_text(encoding="utf-8")
    units = {"min": "minutes", "h": "hours", "d": "days"}
    told = {}
    for tier in Tier:
        [row] = re.findall(rf"^\| {tier.name} \| (.*) \|$", text, re.MULTILINE)
        spans = [timedelta(**{units[unit]: int(count)}) for count, unit in re.findall(r"(\d+) (min|h|d)", row)]
        told[tier] = list(zip(spans[::2], spans[1::2], strict=True))

    assert told == {
        tier: [
            (targets[severity].acknowledge_within, targets[severity].resolve_within)
            for severity in sorted(Severity, reverse=True)
        ]
        for tier, targets in TIER_TARGETS.items()
    }


def test_the_printed_bounds_are_those_of_the_code() -> None:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    limits = DocumentLimits()

    for bound in (
        f"{BODY_SIZE_MAX // 1024} KiB",
        f"{BODY_BYTES_MAX >> 20} MiB",
        f"{WEBSOCKET_MESSAGE_BYTES_MAX // 1024} KiB",
        f"{limits.length_max:,} characters, {limits.token_count_max:,} tokens, {limits.depth_max} deep, "
        f"{limits.alias_count_max} aliases",
        f"begins within {ANSWER_WITHIN_SECONDS:g} s",
        f"ports {', '.join(map(str, sorted(PORTS)[:-1]))} and {max(PORTS)}",
    ):
        assert bound in text, bound


def test_the_printed_keys_are_those_of_the_console() -> None:
    text = (ROOT / "docs" / "guide" / "console.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*`) \|", text, re.MULTILINE)
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "web" / "src").rglob("*.tsx"))
    known = set(re.findall(r"'([^']+)'", "".join(re.findall(r"keys: \[([^\]]*)\]", sources))))

    assert len(rows) > 10
    assert {key for row in rows for key in re.findall(r"`([^`]+)`", row)} - known == set()


def test_the_reference_has_everything_of_the_schema(published: GraphQLSchema) -> None:
    folder = ROOT / "docs" / "reference"
    pages = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    parts = {
        (page, part.partition("\n")[0]): part
        for page, text in pages.items()
        for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    }
    by_name = {name: part for (page, name), part in parts.items() if page not in ("settings", "figures")}
    missing = []
    for kind, root in (
        ("queries", published.query_type),
        ("mutations", published.mutation_type),
        ("subscriptions", published.subscription_type),
    ):
        assert root is not None
        for name, field in root.fields.items():
            part = parts.get((kind, name), "")
            missing += [f"{name}.{argument}" for argument in field.args if f"| `{argument}` |" not in part]
            missing += [name] * (not part)
    roots = {published.query_type, published.mutation_type, published.subscription_type}
    for name, each in published.type_map.items():
        if each in roots or name.startswith("__") or is_specified_scalar_type(each):
            continue
        part = by_name.get(name, "")
        missing += [name] * (not part)
        inside = {**getattr(each, "fields", {}), **getattr(each, "values", {})}
        missing += [f"{name}.{member}" for member in inside if f"| `{member}` |" not in part]
        for member, field in inside.items():
            arguments = getattr(field, "args", {})
            missing += [f"{name}.{member}({a})" for a in arguments if f"`{member}({a}:)`" not in part]
    codes = published.type_map["ErrorCode"]
    assert isinstance(codes, GraphQLEnumType)
    missing += [code for code in codes.values if f"| `{code}` |" not in pages["errors"]]

    assert missing == []
