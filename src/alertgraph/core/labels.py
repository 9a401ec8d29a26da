"""Labels and how they are matched."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Generic, TypeVar

import re2

from alertgraph.core.errors import InputError

BUILT_INS = ("@title", "@severity", "@source", "@service", "@dedup_key")
PATTERN_LENGTH_MAX = 1024
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
T = TypeVar("T")
# RE2 compiles in time linear in the pattern, but `a{1000}{1000}` multiplies: its own budget bounds that.
_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = 1 << 20


class MatchOperator(IntEnum):
    """How a label is compared; regular expressions are RE2 and match the whole value."""

    EQUAL = 1
    NOT_EQUAL = 2
    REGEX = 3
    NOT_REGEX = 4


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re2._Regexp:
    return re2.compile(pattern, _OPTIONS)


@dataclass(frozen=True, slots=True)
class Matcher:
    """What a label, or a built-in such as @severity, must be; an absent label reads as empty text."""

    label: str
    operator: MatchOperator
    value: str

    def matches(self, values: Mapping[str, str]) -> bool:
        """Say whether the labels and built-ins in `values` satisfy this matcher."""
        actual = values.get(self.label, "")
        match self.operator:
            case MatchOperator.EQUAL:
                return actual == self.value
            case MatchOperator.NOT_EQUAL:
                return actual != self.value
            case MatchOperator.REGEX:
                return _compiled(self.value).fullmatch(actual) is not None
            case MatchOperator.NOT_REGEX:
                return _compiled(self.value).fullmatch(actual) is None


def matches_all(matchers: tuple[Matcher, ...], values: Mapping[str, str]) -> bool:
    """Say whether every matcher holds; none at all holds always."""
    return all(matcher.matches(values) for matcher in matchers)


class MatcherIndex(Generic[T]):
    """Things with matchers, such as silences, by a text that they ask for: most are never looked at.

    Args:
        things: Each with the matchers that must all hold.
    """

    def __init__(self, things: Iterable[tuple[T, tuple[Matcher, ...]]]) -> None:
        self._asking: defaultdict[tuple[str, str], list[tuple[T, tuple[Matcher, ...]]]] = defaultdict(list)
        self._others: list[tuple[T, tuple[Matcher, ...]]] = []
        for thing, matchers in things:
            # What an absent label equals, too, is no text to be found by.
            asked = (each for each in matchers if each.operator is MatchOperator.EQUAL and each.value)
            first = next(asked, None)
            group = self._others if first is None else self._asking[first.label, first.value]
            group.append((thing, matchers))

    def matching(self, values: Mapping[str, str]) -> Iterator[T]:
        """Yield the things whose matchers all hold of the labels and built-ins in `values`, in no order."""
        for asked in values.items():
            yield from (thing for thing, matchers in self._asking.get(asked, ()) if matches_all(matchers, values))
        yield from (thing for thing, matchers in self._others if matches_all(matchers, values))


def check_matcher(matcher: Matcher, *path: str) -> Matcher:
    """Return the matcher if it can be used.

    Raises:
        InputError: The label is empty or no built-in, or the pattern is no RE2 expression.
    """
    if not matcher.label or len(matcher.label) > 256:
        raise InputError("A label's name has 1 to 256 characters.", *path, "label")
    if matcher.label.startswith("@") and matcher.label not in BUILT_INS:
        raise InputError(f"{matcher.label} is no built-in; there are {', '.join(BUILT_INS)}.", *path, "label")
    for name, text in (("label", matcher.label), ("value", matcher.value)):
        if _UNSTORABLE.search(text):
            raise InputError(f"{name} contains NUL or half of a surrogate pair.", *path, name)
    if len(matcher.value) > PATTERN_LENGTH_MAX:
        raise InputError(f"A matcher's value has at most {PATTERN_LENGTH_MAX} characters.", *path, "value")
    if matcher.operator in (MatchOperator.REGEX, MatchOperator.NOT_REGEX):
        try:
            _compiled(matcher.value)
        except re2.error as error:
            reason = error.args[0] if error.args else error
            text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
            raise InputError(f"Not an RE2 expression: {text}.", *path, "value") from error
    return matcher
