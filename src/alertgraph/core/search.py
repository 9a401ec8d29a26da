"""What an alert is found by: the words of its texts and its labels, as the terms of an index."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping

from alertgraph.core.alert import LABEL_COUNT_MAX
from alertgraph.core.errors import InputError

WORD_LENGTH_MIN = 2
WORD_LENGTH_MAX = 64
# Every label is a term, so that an EQUAL matcher is exact; words take what is left.
TERM_COUNT_MAX = 256
WORD_COUNT_MAX = TERM_COUNT_MAX - LABEL_COUNT_MAX
SEARCH_LENGTH_MAX = 1024
# No label's name and no word holds this control character, so that a term says one thing only.
_SEPARATOR = "\x1f"
_LABEL_TERM_BYTES_MAX = 200
# Letters and digits of any script; an underscore divides words, since people search for parts of names.
_WORD = re.compile(r"[^\W_]+")


def _words(text: str) -> Iterator[str]:
    # Composed before and after: folding can take a composed letter apart, which would split its word.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    for word in _WORD.findall(folded):
        if WORD_LENGTH_MIN <= len(word) <= WORD_LENGTH_MAX:
            yield word


def alert_words(title: str, description: str) -> frozenset[str]:
    """Return the words an alert is found by: the first 192 different ones of its title and description."""
    words: set[str] = set()
    for text in (title, description):
        for word in _words(text):
            words.add(word)
            if len(words) == WORD_COUNT_MAX:
                return frozenset(words)
    return frozenset(words)


def search_words(search: str, *path: str) -> frozenset[str]:
    """Return the words that a search asks for, all of which must occur.

    Raises:
        InputError: It names no word that could be found, which must not come to mean "everything".
    """
    if len(search) > SEARCH_LENGTH_MAX:
        raise InputError(f"search has at most {SEARCH_LENGTH_MAX:,} characters.", *path)
    words = frozenset(_words(search))
    if not words:
        raise InputError(
            f"search names no word; a word has {WORD_LENGTH_MIN} to {WORD_LENGTH_MAX} letters or digits.", *path
        )
    return words


def label_term(name: str, value: str) -> str:
    """Return the term of a label: both in plain text, or a digest where that would be long for an index."""
    term = f"{name}{_SEPARATOR}{value}"
    raw = term.encode()
    if len(raw) <= _LABEL_TERM_BYTES_MAX:
        return term
    return _SEPARATOR + hashlib.sha256(raw).hexdigest()


def alert_terms(title: str, description: str, labels: Mapping[str, str]) -> frozenset[str]:
    """Return everything an alert is found by; a label with an empty value reads as absent and is no term."""
    named = {label_term(name, value) for name, value in labels.items() if value}
    return alert_words(title, description) | named
