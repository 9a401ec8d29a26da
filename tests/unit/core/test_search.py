"""What an alert is found by."""

from __future__ import annotations

import pytest

from alertgraph.core.alert import LABEL_COUNT_MAX, LABEL_NAME_LENGTH_MAX, LABEL_VALUE_LENGTH_MAX
from alertgraph.core.errors import InputError
from alertgraph.core.search import TERM_COUNT_MAX, alert_terms, alert_words, label_term, search_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("High latency", {"high", "latency"}),
        ("disk_full on /dev/sda1: 97%", {"disk", "full", "on", "dev", "sda1", "97"}),
        ("a I x1", {"x1"}),
        ("web-01.example.com", {"web", "01", "example", "com"}),
        ("Straße GRÖSSE", {"strasse", "grösse"}),
        ("東京 Ошибка", {"東京", "ошибка"}),
        ("ﬁle ①②", {"file", "12"}),
        ("x" * 64 + " " + "y" * 65, {"x" * 64}),
        ("\ud800 !? —", set()),
    ],
)
def test_words_are_folded_letters_and_digits(text: str, words: set[str]) -> None:
    assert alert_words(text, "") == words
    assert alert_words("", text) == words


def test_a_letter_is_the_same_however_it_is_composed() -> None:
    assert alert_words("Cafe\u0301 I\u0307zmir", "") == alert_words("Café İzmir", "")


def test_what_is_asked_is_split_as_what_is_kept() -> None:
    assert search_words("Disk_FULL") <= alert_words("the disk", "is full")
    assert not search_words("disk empty") <= alert_words("the disk", "is full")


@pytest.mark.parametrize("text", ["", "  ", "a", "_-_", "z" * 65, "word " * 300])
def test_a_search_that_names_no_word_is_refused(text: str) -> None:
    with pytest.raises(InputError) as refused:
        search_words(text, "filter", "search")
    assert refused.value.problems[0].path == ("filter", "search")


def test_an_alert_has_no_more_terms_than_an_index_should_hold() -> None:
    labels = {f"name{number}": "value" for number in range(LABEL_COUNT_MAX)}
    text = " ".join(f"word{number}" for number in range(5000))
    terms = alert_terms(text, text, labels)
    assert len(terms) == TERM_COUNT_MAX
    assert {label_term(name, value) for name, value in labels.items()} <= terms
    # The title comes first, and the first words count.
    assert "word0" in terms
    assert "word4999" not in terms


def test_no_two_labels_share_a_term() -> None:
    labels = [("a", "b=c"), ("a=b", "c"), ("a", "b"), ("ab", ""), ("", "ab"), ("a" * 256, "b" * 4096)]
    assert len({label_term(name, value) for name, value in labels}) == len(labels)
    assert label_term("a", "b") not in alert_words("a b ab a=b", "")


def test_the_longest_label_has_a_short_term() -> None:
    term = label_term("é" * LABEL_NAME_LENGTH_MAX, "€" * LABEL_VALUE_LENGTH_MAX)
    assert len(term.encode()) <= 200
    assert term != label_term("é" * LABEL_NAME_LENGTH_MAX, "€" * (LABEL_VALUE_LENGTH_MAX - 1))


def test_a_label_without_a_value_is_no_term() -> None:
    assert alert_terms("", "", {"host": ""}) == frozenset()
