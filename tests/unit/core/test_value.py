"""Quick values are frozen dataclasses in everything but their price."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import FrozenInstanceError, dataclass, field

import pytest

from alertgraph.core.value import partial, quick, replace


@dataclass(frozen=True, slots=True)
class Plain:
    """What a quick value is compared with."""

    name: str
    count: int = 1
    labels: dict[str, str] = field(default_factory=dict)


@quick
@dataclass(frozen=True, slots=True)
class Quick:
    """The same, quick."""

    name: str
    count: int = 1
    labels: dict[str, str] = field(default_factory=dict)


@quick
@dataclass(frozen=True, slots=True)
class Derived:
    """One whose second field follows from the first."""

    name: str
    length: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "length", len(self.name))


def test_a_quick_value_is_made_like_a_plain_one() -> None:
    for made in (Quick("a"), Quick(name="a", count=1), Quick("a", 1, {})):
        assert type(made) is Quick
        assert dataclasses.astuple(made) == dataclasses.astuple(Plain("a"))
    assert repr(Quick("a", 2)) == repr(Plain("a", 2)).replace("Plain", "Quick")


def test_a_default_that_is_made_is_nobody_elses() -> None:
    assert Quick("a").labels is not Quick("b").labels


@pytest.mark.parametrize("arguments", [{}, {"name": "a", "colour": "red"}])
def test_wrong_fields_are_refused(arguments: dict[str, str]) -> None:
    with pytest.raises(TypeError):
        Quick(**arguments)  # type: ignore[arg-type]


def test_a_quick_value_is_frozen() -> None:
    value = Quick("a")

    with pytest.raises(FrozenInstanceError):
        value.name = "b"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        replace(value, count=2).count = 3  # type: ignore[misc]


def test_a_changed_value_differs_in_what_was_changed() -> None:
    value = Quick("a", 1, {"host": "web-1"})

    changed = replace(value, count=2)

    assert changed == Quick("a", 2, {"host": "web-1"})
    assert value.count == 1
    assert type(changed) is Quick


def test_no_field_can_be_made_up() -> None:
    with pytest.raises((TypeError, AttributeError)):
        replace(Quick("a"), colour="red")  # type: ignore[call-arg]


def test_what_follows_from_a_field_follows_its_change() -> None:
    assert replace(Derived("a"), name="abc").length == 3


def test_other_dataclasses_are_changed_as_ever() -> None:
    assert replace(Plain("a"), count=2) == Plain("a", 2)


def test_equal_values_are_one_in_a_set_and_survive_copies() -> None:
    value = Derived("a")

    assert {value, Derived("a")} == {value}
    assert pickle.loads(pickle.dumps(value)) == value
    assert copy.deepcopy(Quick("a")) == Quick("a")
    assert dataclasses.replace(Quick("a"), count=4) == Quick("a", 4)


def test_of_a_partial_value_nothing_can_be_read_that_is_not_known() -> None:
    make = partial(Quick, ("labels", "name"))

    value = make({"host": "web-1"}, "a")

    assert type(value) is Quick
    assert (value.name, value.labels) == ("a", {"host": "web-1"})
    with pytest.raises(AttributeError):
        _ = value.count
    with pytest.raises(FrozenInstanceError):
        value.name = "b"  # type: ignore[misc]
