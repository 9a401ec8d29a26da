"""Who may run a resolver."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from alertgraph.core.errors import AccessDeniedError, ConflictError, CursorExpiredError, InputError
from alertgraph.core.ids import TenantId
from alertgraph.core.tenant import Principal, Role, Tenant
from alertgraph.core.tier import Tier
from resolvers.errors import BadRequestError
from resolvers.permissions import follows, reads, writes
from resolvers.schema import Mutation, Query, Subscription
from tests.factories import ADA


@dataclass
class Asked:
    """As much of a context as is looked at before a resolver runs."""

    principal: Principal
    renewed: int = 0

    async def renew(self) -> None:
        self.renewed += 1


def info_of(role: Role) -> Any:
    tenant = Tenant(TenantId(UUID(int=1)), "acme", "Acme", Tier.FREE)
    return SimpleNamespace(context=Asked(Principal(tenant, role, "oidc:ada", ADA)))


@reads(Role.VIEWER)
async def a_read(info: Any, error: Exception | None = None) -> str:
    if error is not None:
        raise error
    return "read"


@writes(Role.RESPONDER)
async def a_write(info: Any, error: Exception | None = None) -> str:
    if error is not None:
        raise error
    return "written"


async def test_a_lower_role_is_turned_away() -> None:
    with pytest.raises(AccessDeniedError):
        await a_read(info=info_of(Role.INGEST), error=InputError("never looked at"))
    with pytest.raises(AccessDeniedError):
        await a_write(info=info_of(Role.VIEWER), error=InputError("never looked at"))


async def test_a_higher_role_may_do_it_too() -> None:
    assert await a_read(info=info_of(Role.ADMIN)) == "read"
    assert await a_write(info=info_of(Role.ADMIN)) == "written"


async def test_a_write_begins_with_fresh_reads_and_a_read_does_not() -> None:
    info = info_of(Role.ADMIN)

    await a_read(info=info)
    await a_write(info=info)

    assert info.context.renewed == 1


async def test_a_refused_argument_of_a_read_is_a_bad_request() -> None:
    with pytest.raises(BadRequestError, match="after: No cursor"):
        await a_read(info=info_of(Role.VIEWER), error=InputError("No cursor.", "after"))


async def test_a_write_tells_its_refusals_itself() -> None:
    with pytest.raises(ConflictError):
        await a_write(info=info_of(Role.RESPONDER), error=ConflictError("No."))


async def test_other_errors_pass() -> None:
    with pytest.raises(CursorExpiredError):
        await a_read(info=info_of(Role.VIEWER), error=CursorExpiredError("Gone."))


async def test_a_stream_that_is_left_is_closed_at_once() -> None:
    closed = []

    @follows(Role.VIEWER)
    async def a_stream(info: Any) -> AsyncGenerator[int, None]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    stream = a_stream(info=info_of(Role.VIEWER))
    assert await anext(stream) == 1
    await stream.aclose()

    assert closed == [True]


async def test_a_stream_is_not_opened_for_a_lower_role() -> None:
    opened = []

    @follows(Role.VIEWER)
    async def a_stream(info: Any) -> AsyncGenerator[int, None]:
        opened.append(True)
        yield 1

    with pytest.raises(AccessDeniedError):
        await anext(a_stream(info=info_of(Role.INGEST)))
    assert opened == []


async def test_a_refused_argument_of_a_stream_is_a_bad_request() -> None:
    @follows(Role.VIEWER)
    async def a_stream(info: Any) -> AsyncGenerator[int, None]:
        yield 1
        raise InputError("No.", "every")

    stream = a_stream(info=info_of(Role.VIEWER))
    assert await anext(stream) == 1
    with pytest.raises(BadRequestError, match=r"every: No\."):
        await anext(stream)


@pytest.mark.parametrize("root", [Query, Mutation, Subscription])
async def test_no_root_field_runs_without_a_role(root: Any) -> None:
    """Every resolver of a root asks for its caller's role first: with no caller at all, none gets further."""
    for field in root.__strawberry_definition__.fields:
        run = field.base_resolver.wrapped_func
        result = run(info=SimpleNamespace(context=None))
        with pytest.raises(AttributeError, match="principal"):
            await (anext(result) if root is Subscription else result)
