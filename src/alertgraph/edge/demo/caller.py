"""A client of the demo's service, as any script might be: one connection, one key."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import httpx2

from alertgraph.edge.client import SEND_TIMEOUT_SECONDS, ClientError


class UnreachableError(ClientError):
    """The service is not there, or hung up."""


class Caller:
    """Speaks to a running service with an API key. A context; for one thread at a time."""

    def __init__(self, url: str, key: str) -> None:
        self._client = httpx2.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=SEND_TIMEOUT_SECONDS,
            # It is on this machine, in the clear: no proxy, and no need to read the machine's certificates.
            trust_env=False,
            verify=False,
        )

    def post(self, path: str, body: Any) -> Any:
        """Return the JSON that a path answers with; None for an empty answer.

        Raises:
            UnreachableError: It can't be reached.
            ClientError: It refuses.
        """
        try:
            response = self._client.post(path, json=body)
        except httpx2.HTTPError as error:
            raise UnreachableError(f"{path} can't be reached: {error!r}") from error
        if response.status_code >= 400:
            raise ClientError(f"{path} answered {response.status_code}: {response.text[:300]}")
        return response.json() if response.content else None

    def payload(self, document: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what the one field of a GraphQL operation answers.

        Raises:
            ClientError: It can't be reached, or something in it was refused.
        """
        answer = self.post("/graphql", {"query": document, "variables": variables or {}})
        errors = list(answer.get("errors") or ())
        for value in (answer.get("data") or {}).values():
            if isinstance(value, dict) and not errors:
                errors += value.get("errors") or ()
        if errors:
            raise ClientError(f"{errors[0]['message']} ({errors[0].get('path')})")
        (payload,) = answer["data"].values()
        return dict(payload)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
