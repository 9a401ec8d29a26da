"""What the documents print fits the published schema, and speaks of settings that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import GraphQLSchema, OperationDefinitionNode, build_schema, parse, validate

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
