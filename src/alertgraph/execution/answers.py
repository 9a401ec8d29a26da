"""Responses: as data, or as the JSON that is sent."""

from __future__ import annotations

from typing import cast

import orjson

from alertgraph.execution.leaves import ORJSON_OPTIONS


class Answer:
    """A response, or one of a subscription's.

    Args:
        payload: `data`, `errors` and `extensions`, as they are sent.
        code: Of the first error; None where there is none.
        cursor: Where a subscription may be resumed behind this answer; None where its source does not say.
    """

    __slots__ = ("_body", "_payload", "code", "cursor")

    def __init__(self, payload: dict[str, object], code: str | None = None, cursor: str | None = None) -> None:
        self._payload: dict[str, object] | None = payload
        self._body: bytes | None = None
        self.code = code
        self.cursor = cursor

    @classmethod
    def written(cls, payload: dict[str, object], code: str | None = None, cursor: str | None = None) -> Answer:
        """Return a response that is JSON already.

        Args:
            payload: May have values in it that only orjson can write.
            code: Of the first error; None where there is none.
            cursor: Where a subscription may be resumed behind this answer.

        Raises:
            TypeError: JSON cannot hold it.
        """
        answer = cls(payload, code, cursor)
        answer._body = orjson.dumps(payload, option=ORJSON_OPTIONS)
        answer._payload = None
        return answer

    @property
    def payload(self) -> dict[str, object]:
        """`data`, `errors` and `extensions`; what is JSON already has to be read again for it."""
        if self._payload is None:
            assert self._body is not None
            self._payload = cast("dict[str, object]", orjson.loads(self._body))
        return self._payload

    def encode(self) -> bytes:
        """Return the JSON of the response, UTF-8.

        Raises:
            TypeError: JSON cannot hold it.
        """
        if self._body is None:
            self._body = orjson.dumps(self._payload, option=ORJSON_OPTIONS)
        return self._body

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Answer):
            return NotImplemented
        return (self.payload, self.code, self.cursor) == (other.payload, other.code, other.cursor)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Answer({self.payload!r}, code={self.code!r}, cursor={self.cursor!r})"
