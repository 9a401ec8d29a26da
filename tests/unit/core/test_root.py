from hypothesis import given
from hypothesis import strategies as st

from alertgraph.core.root import Suspect, reachable, suspects

CALLS = {"web": ("cart", "search"), "cart": ("db",), "search": ("db", "cache"), "db": ()}
NAMES = st.sampled_from(["web", "cart", "search", "db", "cache"])


def test_what_a_dependency_explains_is_no_root() -> None:
    found = suspects({"web": 100.0, "cart": 90.0, "db": 80.0}, CALLS)

    assert [suspect.service for suspect in found] == ["db", "web", "cart"]
    assert found[0].blamed is None
    assert found[1].blamed == "cart"
    assert found[2].blamed == "db"


def test_a_little_harm_below_explains_nothing() -> None:
    found = suspects({"cart": 100.0, "db": 5.0}, CALLS)

    assert found[0] == Suspect("cart", 100.0, None)


def test_what_is_only_inferred_gives_way_to_what_reports_itself() -> None:
    found = suspects({"cart": 60.0, "db": 100.0}, {"cart": (), "db": ()}, inferred={"db"})

    assert [suspect.service for suspect in found] == ["cart", "db"]


def test_services_without_harm_are_no_suspects() -> None:
    assert suspects({"web": 0.0, "db": -1.0}, CALLS) == ()


def test_one_that_needs_itself_does_not_explain_itself() -> None:
    assert suspects({"db": 3.0}, {"db": ("db",)}) == (Suspect("db", 3.0, None),)


def test_equal_harm_is_ordered_by_name() -> None:
    assert [suspect.service for suspect in suspects({"b": 1.0, "a": 1.0}, {})] == ["a", "b"]


def test_reach_follows_dependencies_so_far_and_no_farther() -> None:
    assert reachable("web", CALLS) == {"web", "cart", "search", "db", "cache"}
    assert reachable("web", CALLS, 1) == {"web", "cart", "search"}
    assert reachable("unknown", CALLS) == {"unknown"}
    assert reachable("a", {"a": ("b",), "b": ("a",)}) == {"a", "b"}


@given(st.dictionaries(NAMES, st.floats(-1, 1e6)), st.dictionaries(NAMES, st.lists(NAMES, max_size=4)))
def test_every_harmed_service_is_named_once_and_nothing_else(harm, calls) -> None:
    found = suspects(harm, calls)

    assert sorted(suspect.service for suspect in found) == sorted(
        name for name, amount in harm.items() if amount > 0
    )
    assert [suspect.unexplained for suspect in found] == sorted(
        (suspect.unexplained for suspect in found), reverse=True
    )
    for suspect in found:
        assert suspect.unexplained <= harm[suspect.service]
        if suspect.blamed is not None:
            assert suspect.blamed in calls[suspect.service]
            assert harm[suspect.blamed] > 0
