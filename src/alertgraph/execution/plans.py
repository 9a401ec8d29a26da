"""Plans that are kept: by document, operation, and the values of the variables that their conditions depend on."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from sys import getsizeof
from typing import Any, Final, Protocol

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
)
from graphql.execution import Executor
from graphql.execution.values import VariableValues

from alertgraph.execution.compile import Compiler, Reason, UnplannedError
from alertgraph.execution.plan import Plan
from alertgraph.execution.selections import Fragments

COUNT_MAX: Final = 1_000
WEIGHT_MAX: Final = 64 * 1024 * 1024

_CONDITIONAL: Final = ("skip", "include")
_ENTRY_WEIGHT: Final = 800
"""What is kept takes, whatever it is, without its key."""


class PlanObserver(Protocol):
    """Is told what becomes of operations; it must neither block nor raise."""

    def plan_hit(self) -> None:
        """Note that a kept plan was used."""

    def plan_compiled(self, seconds: float) -> None:
        """Note that a plan was made, and how long that took."""

    def plan_missing(self, reason: str) -> None:
        """Note that graphql-core runs an operation, and why."""


class SilentPlanObserver:
    """Notes nothing."""

    def plan_hit(self) -> None:
        """Note nothing."""

    def plan_compiled(self, seconds: float) -> None:
        """Note nothing."""

    def plan_missing(self, reason: str) -> None:
        """Note nothing."""


@dataclass(frozen=True, slots=True)
class _Outline:
    """What is known of an operation whatever its variables are.

    Attributes:
        variables: Those that decide what is selected, by name.
        reason: Why it can have no plan; None where it can.
    """

    variables: tuple[str, ...]
    reason: Reason | None


@dataclass(slots=True)
class _Kept:
    """Something under a key.

    Attributes:
        what: What is kept.
        own_weight: Of everything but the plan, which may grow.
        weight: Of all, as it was counted last.
    """

    what: Plan | _Outline | Reason
    own_weight: int
    weight: int = 0


@dataclass(slots=True)
class PlanCache:
    """Makes plans and keeps those used last; two bounds hold at once, whatever documents are sent.

    Attributes:
        native: Whether the plans' results are only good for orjson.
        observer: Is told of each use.
        count_max: How many plans are kept, with what is known of operations.
        weight_max: How many bytes they may take together, about.
    """

    native: bool
    observer: PlanObserver = field(default_factory=SilentPlanObserver)
    count_max: int = COUNT_MAX
    weight_max: int = WEIGHT_MAX
    _kept: OrderedDict[Hashable, _Kept] = field(default_factory=OrderedDict)
    _weight: int = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def weight(self) -> int:
        """About how many bytes the kept plans take."""
        return self._weight

    def get(self, key: Hashable, executor: Executor[Any], document_weight: int = 0) -> Plan | None:
        """Return the plan of an operation with its variables; None where graphql-core has to run it.

        Args:
            key: Equal for equal operations of equal documents only.
            executor: Of the execution that is about to begin.
            document_weight: About how many bytes its document takes, which a kept plan keeps.
        """
        outline = self._outline(key, executor)
        if outline.reason is not None:
            self.observer.plan_missing(outline.reason)
            return None
        coerced = executor.variable_values.coerced
        full_key = (key, *(coerced.get(name) for name in outline.variables))
        kept = self._kept.get(full_key)
        if kept is None:
            kept = self._keep(full_key, self._compiled(executor, outline), document_weight)
        else:
            self._kept.move_to_end(full_key)
            if isinstance(kept.what, Plan):
                self._weigh(kept)
                self.observer.plan_hit()
        if isinstance(kept.what, Plan):
            return kept.what
        assert isinstance(kept.what, Reason)
        self.observer.plan_missing(kept.what)
        return None

    def _outline(self, key: Hashable, executor: Executor[Any]) -> _Outline:
        kept = self._kept.get(key)
        if kept is None:
            outline = outline_of(executor.operation, executor.fragment_definitions)
            kept = self._keep(key, outline)
        else:
            self._kept.move_to_end(key)
        assert isinstance(kept.what, _Outline)
        return kept.what

    def _compiled(self, executor: Executor[Any], outline: _Outline) -> Plan | Reason:
        values = executor.variable_values
        if not all(isinstance(values.coerced.get(name), bool) for name in outline.variables):
            return Reason.CONDITION
        # A plan is kept for others, too: of what the caller sent it keeps no more than it depends on.
        conditions = VariableValues(
            {name: source for name, source in values.sources.items() if name in outline.variables},
            {name: values.coerced[name] for name in outline.variables},
        )
        begun_at = time.perf_counter()
        try:
            plan = Compiler(
                executor.schema,
                executor.fragments,
                executor.operation,
                conditions,
                native=self.native,
            ).plan()
        except UnplannedError as error:
            return error.reason
        except RecursionError:
            return Reason.SIZE
        self.observer.plan_compiled(time.perf_counter() - begun_at)
        return plan

    def _keep(self, key: Hashable, what: Plan | _Outline | Reason, document_weight: int = 0) -> _Kept:
        kept = _Kept(what, _ENTRY_WEIGHT + _size(key) + (document_weight if isinstance(what, Plan) else 0))
        self._kept[key] = kept
        self._weigh(kept)
        return kept

    def _weigh(self, kept: _Kept) -> None:
        weight = kept.own_weight + (kept.what.weight if isinstance(kept.what, Plan) else 0)
        self._weight += weight - kept.weight
        kept.weight = weight
        while self._kept and (len(self._kept) > self.count_max or self._weight > self.weight_max):
            _, oldest = self._kept.popitem(last=False)
            self._weight -= oldest.weight


def _size(key: Hashable) -> int:
    """Return how many bytes a key takes; a client's name for an operation may be long."""
    return getsizeof(key) + (sum(map(_size, key)) if isinstance(key, tuple) else 0)


def outline_of(operation: OperationDefinitionNode, fragments: Fragments) -> _Outline:
    """Return the variables in an operation's conditions, or why it can have no plan."""
    if operation.directives:
        return _Outline((), Reason.DIRECTIVE)
    variables: set[str] = set()
    spread: set[str] = set()
    waiting: list[SelectionSetNode] = [operation.selection_set]
    while waiting:
        for selection in waiting.pop().selections:
            if not _note_conditions(selection, variables):
                return _Outline((), Reason.DIRECTIVE)
            if isinstance(selection, FragmentSpreadNode):
                name = selection.name.value
                fragment = fragments.get(name)
                if fragment is None or name in spread:
                    continue
                if fragment.directives:
                    return _Outline((), Reason.DIRECTIVE)
                if fragment.variable_definitions:
                    return _Outline((), Reason.FRAGMENT_VARIABLES)
                spread.add(name)
                waiting.append(fragment.selection_set)
            elif isinstance(selection, FieldNode):
                if selection.selection_set is not None:
                    waiting.append(selection.selection_set)
            else:
                waiting.append(selection.selection_set)  # type: ignore[attr-defined]
    return _Outline(tuple(sorted(variables)), None)


def _note_conditions(selection: SelectionNode, variables: set[str]) -> bool:
    """Add the variables of a selection's conditions; say whether it has no directives but those."""
    for directive in selection.directives or ():
        if directive.name.value not in _CONDITIONAL:
            return False
        for argument in directive.arguments or ():
            if isinstance(argument.value, VariableNode):
                variables.add(argument.value.name.value)
    return True
