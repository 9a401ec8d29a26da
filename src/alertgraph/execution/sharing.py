"""What equal subscriptions have in common, and where one may take over from another.

The schema says so in its Strawberry metadata:

    resume_argument    of a subscription's root field: the argument that takes a cursor to go on from, or None
                       where whoever begins anew misses nothing; the source of such a field yields a Standstill
                       wherever another one may take over
    personal           of any field: its value depends on who asks, beyond what a whole visibility class shares
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson
from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    NameNode,
    OperationDefinitionNode,
    SelectionSetNode,
    StringValueNode,
    VariableNode,
    Visitor,
    visit,
)


def _nothing() -> None:
    return


@dataclass(frozen=True, slots=True, eq=False)
class Standstill:
    """Yielded by a source between its events: all that there is up to here has been given.

    Sources that are equal but for where they began yield the same from equal places on.

    Attributes:
        line: Places can be compared where this is the same object.
        number: Grows along the line.
        cursor: For the resume argument of a source that shall go on from here; None where there is none.
        is_live: There is nothing more at present.
        hold: Have every source on the line that is still before this place stand still here, too.
        release: Take that back.
    """

    line: object
    number: int
    cursor: str | None
    is_live: bool
    hold: Callable[[], None] = _nothing
    release: Callable[[], None] = _nothing


@dataclass(frozen=True, slots=True)
class Shareable:
    """A subscription whose source can be followed by many.

    Attributes:
        key: Equal for subscriptions that differ in nothing but who asks and where they begin.
        is_personal: Whether what is selected depends on who asks, beyond the visibility class.
        argument: Of the root field; takes a cursor. None where the source begins anew instead.
        root: That field.
        document: As the caller sent it.
        variables: As the caller sent them.
    """

    key: tuple[str, str | None, str]
    is_personal: bool
    argument: str | None
    root: FieldNode
    document: DocumentNode
    variables: Mapping[str, object]

    def resumed_at(self, cursor: str | None) -> DocumentNode:
        """Return the document with another place to go on from, where it takes one."""
        if self.argument is None:
            return self.document
        assert cursor is not None, "who has been in a group has stood somewhere"
        place = ArgumentNode(name=NameNode(value=self.argument), value=StringValueNode(value=cursor))
        others = (each for each in self.root.arguments or () if each.name.value != self.argument)
        root = FieldNode(
            alias=self.root.alias,
            name=self.root.name,
            arguments=(*others, place),
            directives=self.root.directives,
            selection_set=self.root.selection_set,
            loc=self.root.loc,
        )
        changed: DocumentNode = visit(self.document, _Replacing(self.root, root))
        return changed


@dataclass(frozen=True, slots=True)
class Facts:
    """What a subscription in a document says by itself.

    Attributes:
        variables: Whose values make a difference to what is yielded.
    """

    argument: str | None
    root: FieldNode
    variables: frozenset[str]
    is_personal: bool


class Sharing:
    """Tells what subscriptions share.

    Args:
        schema: Made by Strawberry.
    """

    def __init__(self, schema: GraphQLSchema) -> None:
        self._fields = schema.subscription_type.fields if schema.subscription_type is not None else {}
        self._personal = frozenset(
            name
            for type_ in schema.type_map.values()
            if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType)
            for name, definition in type_.fields.items()
            if metadata_of(definition).get("personal")
        )

    def of(
        self,
        document_id: str,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: Mapping[str, object],
        known: dict[str | None, Facts | None],
    ) -> Shareable | None:
        """Return what a valid subscription shares; None where its source does not tell how to go on.

        Args:
            document_id: Stands for the text of the document.
            document: All of it.
            operation: The subscription in it that is meant.
            variables: As the caller sent them.
            known: Of this document, by name; what is found out is added, so that it is found out once. Facts hold
                on to the parsed document, so they are kept with it, and no longer.
        """
        name = operation.name.value if operation.name else None
        if name not in known:
            known[name] = self._facts(document, operation)
        facts = known[name]
        if facts is None:
            return None
        given = {each: value for each, value in variables.items() if each in facts.variables}
        try:
            told = orjson.dumps(given, option=orjson.OPT_SORT_KEYS).decode()
        except TypeError:
            # Numbers of more than 64 bits: nobody else will send the same.
            return None
        return Shareable(
            (document_id, name, told), facts.is_personal, facts.argument, facts.root, document, variables
        )

    def _facts(self, document: DocumentNode, operation: OperationDefinitionNode) -> Facts | None:
        fragments = {
            each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)
        }
        # Spelled twice, it may be merged from both places; that is rare, and not worth sharing.
        roots = list(islice(_fields(operation.selection_set, fragments), 2))
        if len(roots) != 1 or roots[0].name.value not in self._fields:
            return None
        (root,) = roots
        metadata = metadata_of(self._fields[root.name.value])
        if "resume_argument" not in metadata:
            return None
        argument: str | None = metadata["resume_argument"]
        seen = _Seen()
        visit(document, seen)
        names = {each.variable.name.value for each in operation.variable_definitions or ()}
        began = next((each.value for each in root.arguments or () if each.name.value == argument), None)
        if isinstance(began, VariableNode) and seen.uses(began.name.value) == 1:
            names.discard(began.name.value)
        return Facts(argument, root, frozenset(names), bool(seen.fields & self._personal))


def metadata_of(definition: Any) -> Mapping[str, Any]:
    """Return the Strawberry metadata of a field; empty where it has none."""
    strawberry_field = (definition.extensions or {}).get("strawberry-definition")
    metadata = getattr(strawberry_field, "metadata", None)
    return metadata if isinstance(metadata, Mapping) else {}


def _fields(selections: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode]) -> Iterator[FieldNode]:
    """Yield the fields of a selection set, those of its fragments in their place."""
    for node in selections.selections:
        if isinstance(node, FieldNode):
            yield node
        elif isinstance(node, FragmentSpreadNode):
            yield from _fields(fragments[node.name.value].selection_set, fragments)
        else:
            yield from _fields(node.selection_set, fragments)  # type: ignore[attr-defined]


class _Seen(Visitor):
    """Remembers the names of all fields, and how often each variable is named."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: set[str] = set()
        self._named: dict[str, int] = {}
        self._declared: dict[str, int] = {}

    def uses(self, variable: str) -> int:
        """Return how often a variable is used, its declarations left out."""
        return self._named.get(variable, 0) - self._declared.get(variable, 0)

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        self.fields.add(node.name.value)

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        self._named[node.name.value] = self._named.get(node.name.value, 0) + 1

    def enter_variable_definition(self, node: Any, *_: Any) -> None:
        name = node.variable.name.value
        self._declared[name] = self._declared.get(name, 0) + 1


class _Replacing(Visitor):
    """Puts one field in the place of another."""

    def __init__(self, old: FieldNode, new: FieldNode) -> None:
        super().__init__()
        self._old = old
        self._new = new

    def enter_field(self, node: FieldNode, *_: Any) -> FieldNode | None:
        return self._new if node is self._old else None
