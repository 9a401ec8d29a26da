"""The nodes of a plan: each turns a column of values into the column of what the response says for them.

Every node has two ways. The quick one is an expression in generated source, which only knows values of the
expected classes and raises on any other. The exact one looks at a value as graphql-core does, notes failures and
what has to be awaited, and is taken for those values alone at which the quick one gave up.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncIterable, Callable, Sequence
from contextlib import suppress
from itertools import accumulate
from typing import Any, Final, Protocol

from graphql import GraphQLAbstractType, GraphQLError, GraphQLObjectType, GraphQLResolveInfo, Undefined
from graphql.pyutils import inspect, is_iterable
from strawberry.types.base import get_object_definition
from strawberry.types.cast import TYPE_CAST_ATTRIBUTE

from alertgraph.execution.columns import Column, RowInfo, fill, fill_async
from alertgraph.execution.leaves import Leaf, Names
from alertgraph.execution.run import Keys, Pending, Position, Run, Settled, Where

Values = Sequence[object]

_INLINE_DEPTH_MAX: Final = 6
"""Objects inside one another in one expression; deeper ones get a function, since parsers have limits."""


class Node(Protocol):
    """A part of a plan, at a position of its own.

    Attributes:
        position: Where its values stand.
        is_async: Whether it has to await something as a rule, such as a resolver.
        is_inline: Whether it has an expression.
    """

    position: Position
    is_async: bool
    is_inline: bool

    def complete(self, run: Run, values: Values, where: Where) -> list[object]:
        """Return the column of completed values; where a value failed, a placeholder."""

    async def complete_async(self, run: Run, values: Values, where: Where) -> list[object]:
        """Return the same where something must be awaited."""

    def expression(self, value: str, source: Source, depth: int) -> str:
        """Return source of the completed form of a value, which raises where it is not of the expected class."""


class Source:
    """Generated functions that refer to one another."""

    def __init__(self) -> None:
        self.names = Names()
        self._functions: list[str] = []

    def variable(self) -> str:
        """Return a name that nothing in the function has."""
        return self.names.fresh("a")

    def function(self, body: Callable[[str], str], *, is_list: bool) -> str:
        """Return the name of a new function of one value.

        Args:
            body: Takes the name of a value and returns an expression of its completed form.
            is_list: Whether the function takes a list of such values and returns a list.
        """
        name = self.names.fresh("f")
        if is_list:
            text = (
                f"def {name}(column):\n rows = []\n add = rows.append\n"
                f" for o in column:\n  add({body('o')})\n return rows\n"
            )
        else:
            text = f"def {name}(o):\n return {body('o')}\n"
        self._functions.append(text)
        return name

    def compiled(self, name: str) -> Callable[[Values], list[object]]:
        """Return one of the functions, ready to be called."""
        namespace = self.names.globals
        exec(compile("".join(self._functions), "<plan>", "exec"), namespace)  # noqa: S102 - of our own making only
        function: Callable[[Values], list[object]] = namespace[name]  # type: ignore[assignment]
        return function


def quick_column(node: Node) -> Callable[[Values], list[object]]:
    """Return the function that completes a column of values of the expected classes, and raises on any other."""
    source = Source()
    name = source.function(lambda value: node.expression(value, source, 0), is_list=True)
    return source.compiled(name)


class NothingReadyError(Exception):
    """A value is null, failed, or has to be awaited: there is nothing to be completed now."""


def ready_value(node: Node, run: Run, value: object, keys: Keys) -> object:
    """Return a value that is neither null, nor failed, nor to be awaited.

    Raises:
        NothingReadyError: It is; that is noted.
    """
    if value.__class__ is Settled:
        value = value.value
    elif run.executor.is_awaitable(value):
        run.pending.append(Pending(node, keys, value))
        raise NothingReadyError
    if isinstance(value, Exception):
        run.fail(node.position, keys, value)
        raise NothingReadyError
    if value is None or value is Undefined:
        if node.position.is_required:
            run.fail(node.position, keys, null_error(node.position))
        raise NothingReadyError
    return value


def null_error(position: Position) -> TypeError:
    """Return what graphql-core raises where null may not stand."""
    field = position.field
    return TypeError(f"Cannot return null for non-nullable field {field.parent}.{field.name}.")


class LeafNode:
    """Scalars or enums."""

    is_async = False
    is_inline = True

    def __init__(self, leaf: Leaf, position: Position) -> None:
        self.position = position
        self._leaf = leaf
        self._quick: Callable[[Values], list[object]] | None = None

    def complete(self, run: Run, values: Values, where: Where) -> list[object]:
        """Return the serialised values."""
        self._quick = self._quick or quick_column(self)
        try:
            return self._quick(values)
        except Exception:  # noqa: BLE001 - whatever it is, the exact way finds out which value it was
            return [self.exact(run, value, lambda index=index: where(index)) for index, value in enumerate(values)]  # type: ignore[misc]

    def exact(self, run: Run, value: object, keys: Callable[[], Keys]) -> object:
        """Return one value serialised as graphql-core would; None where it is null, failed or is not there yet."""
        if value is None and not self.position.is_required:
            return None
        try:
            return self._leaf.exact(ready_value(self, run, value, keys()))
        except NothingReadyError:
            return None
        except Exception as error:  # noqa: BLE001 - becomes a located error of the response
            run.fail(self.position, keys(), error)
            return None

    async def complete_async(self, run: Run, values: Values, where: Where) -> list[object]:
        """Return the serialised values."""
        return self.complete(run, values, where)

    def expression(self, value: str, source: Source, depth: int) -> str:  # noqa: ARG002 - a leaf has no depth
        """Return source of the serialised form."""
        return self._leaf.expression(value, source.names, nullable=not self.position.is_required)


class ListNode:
    """Lists: their items become one column."""

    def __init__(self, item: Node, position: Position) -> None:
        self.position = position
        self.is_async = item.is_async
        self.is_inline = item.is_inline
        self.item = item

    def complete(self, run: Run, values: Values, where: Where) -> list[object]:
        """Return the lists of completed items."""
        flat = _Flat(self, run, values, where)
        return flat.folded(self.item.complete(run, flat.items, flat.where))

    async def complete_async(self, run: Run, values: Values, where: Where) -> list[object]:
        """Return the lists of completed items."""
        flat = _Flat(self, run, values, where)
        return flat.folded(await self.item.complete_async(run, flat.items, flat.where))

    def expression(self, value: str, source: Source, depth: int) -> str:  # noqa: ARG002 - a function of its own
        """Return source of the list of completed items."""
        many = source.function(lambda item: self.item.expression(item, source, 0), is_list=True)
        name = source.variable()
        null = "" if self.position.is_required else f"None if {name} is None else "
        test = f"{name}.__class__ is list or {name}.__class__ is tuple"
        if null:
            return f"(None if ({name} := {value}) is None else {many}({name}) if {test} else odd())"
        return f"({many}({name}) if ({name} := {value}).__class__ is list or {name}.__class__ is tuple else odd())"


class _Flat:
    """The items of a column of lists, one behind the other.

    Attributes:
        items: All of them.
    """

    def __init__(self, node: ListNode, run: Run, values: Values, where: Where) -> None:
        self._where = where
        self._sizes: list[int | None] = []
        self._starts: list[int] | None = None
        if len(values) == 1 and values[0].__class__ is list:
            self.items: Values = values[0]
            self._sizes.append(len(self.items))
            return
        items: list[object] = []
        for index, value in enumerate(values):
            if value is None and not node.position.is_required:
                self._sizes.append(None)
                continue
            members: Sequence[object] | None
            if value.__class__ is list or value.__class__ is tuple:
                members = value
            else:
                members = _members(node, run, value, where(index))
            self._sizes.append(None if members is None else len(members))
            items += members or ()
        self.items = items

    def where(self, index: int) -> Keys:
        """Return where an item stands."""
        if self._starts is None:
            self._starts = list(accumulate((size or 0 for size in self._sizes), initial=0))
        # Of lists that begin at the same place, all but the last are empty.
        list_index = bisect_right(self._starts, index) - 1
        return (*self._where(list_index), index - self._starts[list_index])

    def folded(self, items: list[object]) -> list[object]:
        """Return completed items as lists again; None for a list that is none."""
        if len(self._sizes) == 1 and self._sizes[0] is not None:
            return [items]
        lists: list[object] = []
        start = 0
        for size in self._sizes:
            lists.append(None if size is None else items[start : start + size])
            start += size or 0
        return lists


def _members(node: ListNode, run: Run, value: object, keys: Keys) -> Sequence[object] | None:
    """Return the items of an unusual value; None where it has none, which is noted."""
    try:
        value = ready_value(node, run, value, keys)
        if run.executor.is_async_iterable(value):
            run.pending.append(Pending(node, keys, _drained(value)))
            return None
        if not is_iterable(value):
            field = node.position.field
            raise GraphQLError(f"Expected Iterable, but did not find one for field '{field.parent}.{field.name}'.")
        return list(value)
    except NothingReadyError:
        return None
    except Exception as error:  # noqa: BLE001 - becomes a located error of the response
        run.fail(node.position, keys, error)
        return None


async def _drained(items: AsyncIterable[object]) -> list[object]:
    return [item async for item in items]


class ObjectNode:
    """A selection on one object type.

    Args:
        type_: The object type.
        position: Where its objects stand.
        parts: By response key, in order: text that is always the same, or a field's node with the attribute that
            it is read from, or a column that is filled in later.
        cls: The class whose objects the quick way takes; None where it is not known.
        selected: The nodes of the selected fields, by their names in the schema; one may be selected twice.
    """

    def __init__(
        self,
        type_: GraphQLObjectType,
        position: Position,
        parts: dict[str, str | tuple[Node, str] | Column],
        cls: type | None,
        selected: Sequence[tuple[str, Node]] = (),
    ) -> None:
        self.type = type_
        self.selected = selected
        self.position = position
        self._parts = parts
        self._cls = cls
        self.columns = [part for part in parts.values() if not isinstance(part, str | tuple)]
        self.is_async = any(column.is_async for column in self.columns)
        self.is_inline = cls is not None and not self.columns
        self._quick: Callable[[Values], list[object]] | None = None

    def complete(self, run: Run, values: Values, where: Where) -> list[object]:
        """Return the rows of the response."""
        rows = self._rows(run, values, where)
        if self.columns:
            fill(run, self.columns, *_live(rows, values, where))
        return rows

    async def complete_async(self, run: Run, values: Values, where: Where) -> list[object]:
        """Return the rows of the response."""
        rows = self._rows(run, values, where)
        if self.columns:
            await fill_async(run, self.columns, *_live(rows, values, where))
        return rows

    def expression(self, value: str, source: Source, depth: int) -> str:
        """Return source of a row."""
        if depth >= _INLINE_DEPTH_MAX:
            return f"{source.function(lambda name: self.expression(name, source, 0), is_list=False)}({value})"
        name = value if value.isidentifier() else source.variable()
        entries: list[str] = []
        for key, part in self._parts.items():
            if isinstance(part, str):
                entries.append(f"{key!r}: {part!r}")
            elif isinstance(part, tuple):
                node, attribute = part
                entries.append(f"{key!r}: {node.expression(f'{name}.{attribute}', source, depth + 1)}")
            else:
                entries.append(f"{key!r}: None")
        test = f"{name}.__class__ is {source.names.add(self._cls)}"
        if self.type.is_type_of is not None:
            # What was cast to another type is not of this one, whatever its class.
            test += f" and not hasattr({name}, {TYPE_CAST_ATTRIBUTE!r})"
        row = f"{{{', '.join(entries)}}}"
        bound = name if name == value else f"({name} := {value})"
        if self.position.is_required:
            return f"({row} if {test.replace(name, bound, 1)} else odd())"
        return f"(None if {bound} is None else {row} if {test} else odd())"

    def _rows(self, run: Run, values: Values, where: Where) -> list[object]:
        if self._cls is not None:
            self._quick = self._quick or quick_column(self)
            # Whatever it is that raises here, the exact way finds out which value it was.
            with suppress(Exception):
                return self._quick(values)
        return [self._row(run, value, where(index)) for index, value in enumerate(values)]

    def _row(self, run: Run, value: object, keys: Keys) -> object:
        if self._quick is not None:
            with suppress(Exception):
                return self._quick((value,))[0]
        try:
            value = ready_value(self, run, value, keys)
            self._check_type(run, value)
        except NothingReadyError:
            return None
        except Exception as error:  # noqa: BLE001 - becomes a located error of the response
            run.fail(self.position, keys, error)
            return None
        row: dict[str, object] = {}
        for key, part in self._parts.items():
            if isinstance(part, str):
                row[key] = part
            elif isinstance(part, tuple):
                node, attribute = part
                failure_count = len(run.failures)
                row[key] = _read(node, run, value, attribute, (*keys, key))
                if node.position.is_required and any(
                    failure.position is node.position for failure in run.failures[failure_count:]
                ):
                    # The row is null, so there is nothing more to be asked of it.
                    return None
            else:
                row[key] = None
        return row

    def _check_type(self, run: Run, value: object) -> None:
        is_type_of = self.type.is_type_of
        if is_type_of is None:
            return
        field = self.position.field
        info = run.executor.build_resolve_info(field.definition, field.nodes, field.parent, None)  # type: ignore[arg-type]
        if not is_type_of(value, info):
            raise GraphQLError(f"Expected value of type '{self.type}' but got: {inspect(value)}.", field.nodes)


def _read(node: Node, run: Run, source: object, attribute: str, keys: Keys) -> object:
    try:
        value = getattr(source, attribute)
    except Exception as error:  # noqa: BLE001 - becomes a located error of the response
        run.fail(node.position, keys, error)
        return None
    return node.complete(run, [value], lambda _: keys)[0]


def _live(rows: list[object], values: Values, where: Where) -> tuple[list[dict[str, object]], Values, Where]:
    """Return the rows that are not null, with their sources and places."""
    if None not in rows:
        return rows, values, where  # type: ignore[return-value]
    indexes = [index for index, row in enumerate(rows) if row is not None]
    return (
        [rows[index] for index in indexes],  # type: ignore[misc]
        [values[index] for index in indexes],
        lambda index: where(indexes[index]),
    )


class AbstractNode:
    """A selection on an interface or a union: each object goes to the node of its own type.

    Args:
        type_: The interface or union.
        position: Where its objects stand.
        branch: Makes the node of an object type, when one turns up.
        is_by_class: Whether the class of an object says its type, unless it was cast to another.
    """

    # Which types will turn up, and whether they have resolvers, is not known beforehand.
    is_async = True
    is_inline = False

    def __init__(
        self,
        type_: GraphQLAbstractType,
        position: Position,
        branch: Callable[[GraphQLObjectType], ObjectNode],
        *,
        is_by_class: bool,
    ) -> None:
        self.position = position
        self._type = type_
        self._branch = branch
        self._is_by_class = is_by_class
        self._branches: dict[str, ObjectNode] = {}
        self._by_class: dict[type, ObjectNode] = {}

    def complete(self, run: Run, values: Values, where: Where) -> list[object]:
        """Never asked for."""
        raise NotImplementedError

    async def complete_async(self, run: Run, values: Values, where: Where) -> list[object]:
        """Return the rows of the response."""
        rows: list[object] = [None] * len(values)
        for branch, indexes, objects in self._groups(run, values, where):
            place = _at(where, indexes)
            if branch.is_async:
                completed = await branch.complete_async(run, objects, place)
            else:
                completed = branch.complete(run, objects, place)
            for index, row in zip(indexes, completed, strict=True):
                rows[index] = row
        return rows

    def expression(self, value: str, source: Source, depth: int) -> str:
        """Never asked for: the type is only known with the object."""
        raise NotImplementedError

    def _groups(self, run: Run, values: Values, where: Where) -> list[tuple[ObjectNode, list[int], list[object]]]:
        groups: dict[int, tuple[ObjectNode, list[int], list[object]]] = {}
        for index, value in enumerate(values):
            branch = self._by_class.get(value.__class__)
            if branch is None or hasattr(value, TYPE_CAST_ATTRIBUTE):
                found = self._found(run, value, where(index))
                if found is None:
                    continue
                branch, value = found  # noqa: PLW2901 - awaited for its type, the object comes wrapped
            _, indexes, objects = groups.setdefault(id(branch), (branch, [], []))
            indexes.append(index)
            objects.append(value)
        return list(groups.values())

    def _found(self, run: Run, value: object, keys: Keys) -> tuple[ObjectNode, object] | None:
        """Return the node for an object's type; None where there is none, which is noted."""
        try:
            name: Any
            if isinstance(value, _Typed):
                name, value = value.name, value.value
            else:
                value = ready_value(self, run, value, keys)
                info = RowInfo.of(run, self.position.field, keys)
                resolve_type = self._type.resolve_type or run.executor.type_resolver
                name = resolve_type(value, info, self._type)  # type: ignore[arg-type]
                if run.executor.is_awaitable(name):
                    run.pending.append(Pending(self, keys, _typed(value, name)))
                    return None
            branch = self._branch_of(run, name, value)
        except NothingReadyError:
            return None
        except Exception as error:  # noqa: BLE001 - becomes a located error of the response
            run.fail(self.position, keys, error)
            return None
        definition = get_object_definition(value.__class__)
        if (
            self._is_by_class
            and definition is not None
            and definition.origin is value.__class__
            and not definition.is_graphql_generic
            and definition.concrete_of is None
            and not hasattr(value, TYPE_CAST_ATTRIBUTE)
        ):
            self._by_class[value.__class__] = branch
        return branch, value

    def _branch_of(self, run: Run, name: object, value: object) -> ObjectNode:
        branch = self._branches.get(name) if isinstance(name, str) else None
        if branch is None:
            field = self.position.field
            info: GraphQLResolveInfo[Any] = RowInfo.of(run, field, ())  # type: ignore[assignment]
            type_ = run.executor.ensure_valid_runtime_type(name, self._type, field.details, info, value)
            branch = self._branches[type_.name] = self._branch(type_)
        return branch


class _Typed:
    """An object with the name of its type, which had to be awaited."""

    def __init__(self, value: object, name: object) -> None:
        self.value = value
        self.name = name


async def _typed(value: object, name: Any) -> _Typed:
    return _Typed(value, await name)


def _at(where: Where, indexes: list[int]) -> Where:
    return lambda index: where(indexes[index])
