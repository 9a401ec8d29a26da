"""What is asked for below a field, so that nothing else needs to be read for it."""

from __future__ import annotations

from typing import Any

from alertgraph.execution.columns import RowInfo
from alertgraph.execution.completion import ListNode, Node, ObjectNode


def asked_fields(info: Any, *path: str) -> frozenset[str] | None:
    """Return the names of the fields that are selected on the objects that a resolver is about to return.

    Args:
        info: Strawberry's, of the resolver.
        path: Fields to go through first, as `"edges", "node"` for the objects of a connection.

    Returns:
        Names as in the schema, with those of relations; empty where the path is not selected. None where that is
        not known, since graphql-core runs the operation or the objects may be of several types: then anything may
        be asked for.
    """
    raw = info._raw_info
    node = raw.plan_node if isinstance(raw, RowInfo) else None
    if node is None:
        return None
    nodes: list[Node] = [node]
    for name in path:
        objects = _objects(nodes)
        if objects is None:
            return None
        nodes = [below for each in objects for field, below in each.selected if field == name]
    objects = _objects(nodes)
    return None if objects is None else frozenset(field for each in objects for field, _ in each.selected)


def _objects(nodes: list[Node]) -> list[ObjectNode] | None:
    found: list[ObjectNode] = []
    for node in nodes:
        inner = node
        while isinstance(inner, ListNode):
            inner = inner.item
        if not isinstance(inner, ObjectNode):
            return None
        found.append(inner)
    return found
