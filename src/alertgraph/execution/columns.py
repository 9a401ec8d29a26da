"""Fields that are filled in for a whole column of objects: by a resolver for each, or by one batch for all."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import strawberry
from graphql import GraphQLResolveInfo
from graphql.execution.values import get_argument_values
from graphql.pyutils import Path
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.arguments import convert_arguments
from strawberry.types.field import StrawberryField

from alertgraph.execution.batch import Batch, distinct
from alertgraph.execution.leaves import PLAIN
from alertgraph.execution.run import Failure, Field, Keys, Position, Run, Where, awaited, put_at, settled, together

if TYPE_CHECKING:
    from alertgraph.execution.completion import Node

Rows = Sequence[dict[str, object]]
Values = Sequence[object]

_UNCHANGEABLE: Final = PLAIN - {list, dict}


class Column(Protocol):
    """A field whose values do not simply lie in the objects.

    Attributes:
        key: In the response.
        node: Completes its values.
        is_async: Whether something has to be awaited as a rule.
    """

    key: str
    node: Node
    is_async: bool

    def begin(self, run: Run, sources: Values, where: Where) -> Values:
        """Return what is known of the values at once; resolvers are called here, in the order of the objects."""

    def complete(self, run: Run, values: Values, where: Where) -> list[object]:
        """Return the completed values of a column that is not async."""

    def complete_async(self, run: Run, values: Values, where: Where) -> Coroutine[Any, Any, list[object]]:
        """Return the completed values, when they are awaited."""


def fill(run: Run, columns: Sequence[Column], rows: Rows, sources: Values, where: Where) -> None:
    """Put the values of columns into the rows of the objects that they belong to.

    Args:
        run: The execution.
        columns: None of them async.
        rows: Of the response.
        sources: The objects, one for each row.
        where: Tells where the rows stand.
    """
    if not rows:
        return
    for column in columns:
        place = _below(where, column.key)
        _put(rows, column.key, column.complete(run, column.begin(run, sources, place), place))


async def fill_async(run: Run, columns: Sequence[Column], rows: Rows, sources: Values, where: Where) -> None:
    """Put the values of columns into rows; what has to be awaited for different columns is awaited together."""
    if not rows:
        return
    waiting: list[tuple[Column, Values, Where]] = []
    for column in columns:
        place = _below(where, column.key)
        values = column.begin(run, sources, place)
        if column.is_async:
            waiting.append((column, values, place))
        else:
            _put(rows, column.key, column.complete(run, values, place))
    if len(waiting) == 1:
        [(column, values, place)] = waiting
        _put(rows, column.key, await column.complete_async(run, values, place))
    elif waiting:
        results = await together([each.complete_async(run, values, place) for each, values, place in waiting])
        for (column, _, _), completed in zip(waiting, results, strict=True):
            _put(rows, column.key, completed)


def _put(rows: Rows, key: str, values: list[object]) -> None:
    for row, value in zip(rows, values, strict=True):
        row[key] = value


def _below(where: Where, key: str) -> Where:
    return lambda index: (*where(index), key)


class RowInfo:
    """What a resolver sees of the operation, as graphql-core's info; made for each call, so it holds little.

    Args:
        column: What is the same for the whole column.
        keys: Tells where the value stands.
    """

    __slots__ = ("_column", "_keys")

    def __init__(self, column: _ColumnInfo, keys: Callable[[], Keys]) -> None:
        self._column = column
        self._keys = keys

    @classmethod
    def of(cls, run: Run, field: Field, keys: Keys) -> RowInfo:
        """Return the info of one value, which may be an item of a field's list."""
        return cls(_ColumnInfo(run, field, None), lambda: keys)

    @property
    def context(self) -> object:
        """The context of the operation."""
        return self._column.context

    @property
    def path(self) -> Path:
        """Where the value stands."""
        return path_of(self._keys(), self._column.position)

    @property
    def plan_field(self) -> Field:
        """The field of the plan, which knows what is selected below it."""
        return self._column.field

    @property
    def plan_node(self) -> Node | None:
        """The node of the plan that completes the field; None where the field is only asked for its type."""
        return self._column.node

    def __getattr__(self, name: str) -> Any:
        return getattr(self._column.template, name)


class _ColumnInfo:
    __slots__ = ("context", "field", "node", "position", "template")

    def __init__(self, run: Run, field: Field, node: Node | None) -> None:
        self.context = run.executor.context_value
        self.field = field
        self.node = node
        self.position = node.position if node is not None else None
        no_path = cast("Path", None)
        self.template: GraphQLResolveInfo[Any] = run.executor.build_resolve_info(
            field.definition, field.nodes, field.parent, no_path
        )


def path_of(keys: Keys, position: Position | None) -> Path:
    """Return a place as graphql-core writes it, with the names of the object types on the way."""
    names: list[str | None] = []
    above = position
    for key in reversed(keys):
        names.append(above.field.parent.name if above is not None and isinstance(key, str) else None)
        above = above.above if above is not None else None
    path: Path | None = None
    for key, name in zip(keys, reversed(names), strict=True):
        path = Path(path, key, name)
    assert path is not None, "a value stands somewhere"
    return path


class ReadColumn:
    """Attributes that are computed when they are read, so that each is read once only."""

    def __init__(self, key: str, read: Callable[[object], object], node: Node) -> None:
        self.key = key
        self.is_async = node.is_async
        self._read = read
        self.node = node

    def begin(self, run: Run, sources: Values, where: Where) -> Values:  # noqa: ARG002 - as resolvers are begun
        """Return the attributes; where reading one raised, the exception."""
        values: list[object] = []
        for source in sources:
            try:
                values.append(self._read(source))
            except Exception as error:  # noqa: BLE001 - becomes a located error of the response
                values.append(error)
        return values

    def complete(self, run: Run, values: Values, where: Where) -> list[object]:
        """Return the completed values."""
        return self.node.complete(run, values, where)

    async def complete_async(self, run: Run, values: Values, where: Where) -> list[object]:
        """Return the completed values."""
        return await self.node.complete_async(run, await awaited(run.executor, values), where)


class CallColumn:
    """A resolver, called for each object.

    Args:
        field: Of the plan.
        node: Completes what it returns.
        strawberry_field: With a resolver that has no arguments and nothing but Strawberry's own wrapping around
            it, so that it may be called past that; None to go through whatever is there.
        is_coroutine: Whether it has to be awaited as a rule.
    """

    def __init__(
        self, field: Field, node: Node, strawberry_field: StrawberryField | None, *, is_coroutine: bool
    ) -> None:
        self.key = field.key
        self.is_async = is_coroutine or node.is_async
        self._field = field
        self.node = node
        self._strawberry_field = strawberry_field
        self._is_coroutine = is_coroutine

    def begin(self, run: Run, sources: Values, where: Where) -> Values:
        """Return what the resolver returned for each object; where it raised, the exception."""
        call = self._caller(run)
        column = _ColumnInfo(run, self._field, self.node)
        values: list[object] = []
        for index, source in enumerate(sources):
            info = RowInfo(column, lambda index=index: where(index))  # type: ignore[misc]
            try:
                values.append(call(source, info))
            except Exception as error:  # noqa: BLE001 - becomes a located error of the response
                values.append(error)
        return values

    def complete(self, run: Run, values: Values, where: Where) -> list[object]:
        """Return the completed values."""
        return self.node.complete(run, values, where)

    async def complete_async(self, run: Run, values: Values, where: Where) -> list[object]:
        """Return the completed values."""
        if self._is_coroutine or any(map(run.executor.is_awaitable, values)):
            values = await awaited(run.executor, values)
        if self.node.is_async:
            return await self.node.complete_async(run, values, where)
        return self.node.complete(run, values, where)

    def _caller(self, run: Run) -> Callable[[object, RowInfo], object]:
        if self._strawberry_field is not None:
            return _direct(run, self._strawberry_field)
        arguments = Arguments(run, self._field)
        resolve: Callable[..., object] = self._field.definition.resolve or run.executor.field_resolver
        return lambda source, info: resolve(source, info, **arguments.get())


class BatchColumn:
    """A relation that is read for all objects at once.

    Args:
        field: Of the plan.
        node: Completes what is found, once for each key.
        strawberry_field: Of the schema.
        batch: What it declares.
    """

    is_async = True

    def __init__(self, field: Field, node: Node, strawberry_field: StrawberryField, batch: Batch) -> None:
        self.key = field.key
        self._field = field
        self.node = node
        self._strawberry_field = strawberry_field
        self._batch = batch

    def begin(self, run: Run, sources: Values, where: Where) -> Values:  # noqa: ARG002 - as resolvers are begun
        """Return the key of each object; where there is none to be had, a failed one."""
        key = self._batch.key
        try:
            keys = list(map(key, sources))
            dict.fromkeys(keys)
            return keys
        except Exception:  # noqa: BLE001 - found out below whose it was
            return [_key_of(self._batch, source) for source in sources]

    def complete(self, run: Run, values: Values, where: Where) -> list[object]:
        """Never asked for: a load is awaited."""
        raise NotImplementedError

    async def complete_async(self, run: Run, values: Values, where: Where) -> list[object]:
        """Return the completed values; those with the same key are one and the same."""
        keys = list(dict.fromkeys(values))

        def place(index: int) -> Keys:
            return where(values.index(keys[index]))

        found = await self._found(run, keys, place)
        part = run.part()
        if self.node.is_async:
            completed = await self.node.complete_async(part, found, place)
        else:
            completed = self.node.complete(part, found, place)
        if part.failures or part.pending:
            await _Shared(values, where, keys).hand_on(run, part, completed)
        by_key = dict(zip(keys, completed, strict=True))
        return list(map(by_key.__getitem__, values))

    async def _found(self, run: Run, keys: list[object], where: Where) -> Values:
        """Return what the field shows for each key; where that fails, the exception."""
        batch = self._batch
        raw = RowInfo(_ColumnInfo(run, self._field, self.node), lambda: where(0))
        try:
            converter = _converter(run)
            info = converter.config.info_class(
                _raw_info=cast("GraphQLResolveInfo[Any]", raw), _field=self._strawberry_field
            )
            if batch.authorise is not None:
                batch.authorise(info)
            arguments = convert_arguments(
                Arguments(run, self._field).get(),
                self._strawberry_field.arguments,
                scalar_registry=converter.scalar_registry,
                config=converter.config,
                info=info,
            )
            wanted = distinct([key for key in keys if not isinstance(key, _FailedKey)])
            loaded: Mapping[object, object] = await batch.load(info, wanted, **arguments) if wanted else {}
        except Exception as error:  # noqa: BLE001 - becomes a located error of the response
            return [error] * len(keys)
        return [settled(run.executor, self._shown(info, key, loaded)) for key in keys]

    def _shown(self, info: object, key: object, loaded: Mapping[object, object]) -> object:
        if isinstance(key, _FailedKey):
            return key.error
        try:
            value = loaded.get(key) if key is not None else None
            if value is None:
                return self._batch.missing()
            return value if isinstance(value, Exception) else self._batch.make(info, value)
        except Exception as error:  # noqa: BLE001 - becomes a located error of the response
            return error


class _FailedKey:
    """Stands for the key of an object that has none, since asking for it raised."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def _key_of(batch: Batch, source: object) -> object:
    try:
        key = batch.key(source)
        hash(key)
    except Exception as error:  # noqa: BLE001 - becomes a located error of the response
        return _FailedKey(error)
    return key


class _Shared:
    """Objects that share completed values, and so what went wrong in them.

    Args:
        keys: Of each object.
        where: Tells where the object's value stands.
        distinct_keys: Each once; its first object stands for it.
    """

    def __init__(self, keys: Values, where: Where, distinct_keys: Values) -> None:
        self._number_of = {where(keys.index(key)): number for number, key in enumerate(distinct_keys)}
        self._length = len(where(0))
        places: dict[object, list[Keys]] = {}
        for index, key in enumerate(keys):
            places.setdefault(key, []).append(where(index))
        self._places = [places[key] for key in distinct_keys]

    async def hand_on(self, run: Run, part: Run, completed: list[object]) -> None:
        """Put into the completed values what had to be awaited, and note failures for each object.

        Args:
            run: Of the objects.
            part: Of the completed values.
            completed: One for each distinct key; changed in place.
        """

        def put(keys: Keys, value: object) -> None:
            put_at(completed, (self._number_of[keys[: self._length]], *keys[self._length :]), value)

        await part.settle(put)
        for failure in part.failures:
            head, rest = failure.keys[: self._length], failure.keys[self._length :]
            for place in self._places[self._number_of[head]]:
                run.failures.append(Failure(failure.position, (*place, *rest), failure.error))


class Arguments:
    """The arguments of a field, coerced once for a column unless a resolver might change them."""

    def __init__(self, run: Run, field: Field) -> None:
        self._run = run
        self._field = field
        has_any = bool(field.definition.args or field.nodes[0].arguments)
        self._shared: dict[str, object] | None = None if has_any else {}

    def get(self) -> dict[str, object]:
        """Return the arguments by their names.

        Raises:
            GraphQLError: One has no valid value.
        """
        if self._shared is not None:
            return self._shared
        executor = self._run.executor
        arguments: dict[str, object] = get_argument_values(
            self._field.definition,
            self._field.nodes[0],
            executor.variable_values,
            self._field.details[0].fragment_variable_values,
            executor.hide_suggestions,
        )
        if all(
            value is None or value.__class__ in _UNCHANGEABLE or isinstance(value, Enum)
            for value in arguments.values()
        ):
            self._shared = arguments
        return arguments


def _direct(run: Run, field: StrawberryField) -> Callable[[object, RowInfo], object]:
    """Return a way to call a resolver without arguments that does what Strawberry's own wrapping does for it."""
    resolver = field.base_resolver
    assert resolver is not None
    assert not field.arguments
    function = cast("Callable[..., object]", resolver.wrapped_func)
    info_class = _converter(run).config.info_class
    source_parameter = resolver.parent_parameter or resolver.root_parameter
    source_name = source_parameter.name if source_parameter is not None else None
    info_name = resolver.info_parameter.name if resolver.info_parameter is not None else None
    takes_self = resolver.self_parameter is not None

    def call(source: object, raw: RowInfo) -> object:
        given: dict[str, object] = {}
        if source_name is not None:
            given[source_name] = source
        if info_name is not None:
            given[info_name] = info_class(_raw_info=cast("GraphQLResolveInfo[Any]", raw), _field=field)
        return function(source, **given) if takes_self else function(**given)

    return call


def _converter(run: Run) -> GraphQLCoreConverter:
    # Strawberry leaves itself in the schema that it makes.
    schema: strawberry.Schema = run.executor.schema._strawberry_schema  # type: ignore[attr-defined]
    return schema.schema_converter
