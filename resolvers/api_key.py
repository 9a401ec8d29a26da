"""API keys: listed, made, given a new secret, ended."""

from datetime import datetime, timedelta
from typing import Annotated, Self

import strawberry

from alertgraph.core import tenant as core
from alertgraph.core.errors import RefusedError
from alertgraph.core.ids import ApiKeyId, NodeKind, decode_id, encode_id
from alertgraph.core.query import Page
from resolvers.actor import Actor
from resolvers.context import Info
from resolvers.deletion import DeleteInput, DeletePayload
from resolvers.errors import MutationError, errors_of, unknown
from resolvers.matcher import LabelMatcher, LabelMatcherInput, matchers_of
from resolvers.paging import UNSET, After, First, Node, PageInfo, page_of
from resolvers.permissions import reads, writes
from resolvers.scalars import Long
from resolvers.words import Role


@strawberry.type(description="A credential of the tenant. Its secret is shown once, when it is made.")
class ApiKey(Node):
    """A credential, without its secret."""

    id: strawberry.ID = strawberry.field(description="Opaque.")
    name: str = strawberry.field(description="What it is for.")
    prefix: str = strawberry.field(description="First characters of the secret, to tell keys apart.")
    role: Role = strawberry.field(description="What it may do.")
    matchers: list[LabelMatcher] = strawberry.field(
        description="It sees and sends only alerts that match all of these; empty for all.",
        metadata={"cost": 0},
    )
    cost_budget: int | None = strawberry.field(
        description="Cost points a minute; null for the tenant's own limit."
    )
    created_at: datetime = strawberry.field(description="When it was made.")
    created_by: Actor = strawberry.field(description="Who made it.", metadata={"cost": 0})
    expires_at: datetime | None = strawberry.field(description="When it stops working by itself.")
    last_used_at: datetime | None = strawberry.field(description="Last use, to the minute.")
    revoked_at: datetime | None = strawberry.field(description="When it was revoked.")
    version: Long = strawberry.field(description="See the rules at the top.")

    @classmethod
    def of(cls, key: core.ApiKey) -> Self:
        """Return a key as the API shows it."""
        return cls(
            id=strawberry.ID(encode_id(NodeKind.API_KEY, key.id)),
            name=key.name,
            prefix=key.prefix,
            role=key.role,
            matchers=[LabelMatcher.of(matcher) for matcher in key.matchers],
            cost_budget=key.cost_budget,
            created_at=key.created_at,
            created_by=Actor.of(key.created_by),
            expires_at=key.expires_at,
            last_used_at=key.last_used_at,
            revoked_at=key.revoked_at,
            version=Long(key.version),
        )


@strawberry.type(description="One of a page of API keys.")
class ApiKeyEdge:
    """One of a page of API keys."""

    cursor: str = strawberry.field(description="Its place in this list.")
    node: ApiKey = strawberry.field(description="The thing.")


@strawberry.type(description="A page of API keys.")
class ApiKeyConnection:
    """A page of API keys."""

    edges: list[ApiKeyEdge] = strawberry.field(description="With cursors.")
    nodes: list[ApiKey] = strawberry.field(description="Without cursors.")
    page_info: PageInfo = strawberry.field(description="Where the page lies.", metadata={"cost": 0})
    total_count: int = strawberry.field(description="How many there are in all pages.")

    @classmethod
    def of(cls, page: Page[core.ApiKey]) -> Self:
        """Return a page of keys as the API shows it."""
        assert page.total_count is not None, "configuration lists are always counted"
        edges = [ApiKeyEdge(cursor=cursor, node=ApiKey.of(key)) for cursor, key in page.items]
        return cls(
            edges=edges,
            nodes=[edge.node for edge in edges],
            page_info=PageInfo.of(page),
            total_count=page.total_count,
        )


@strawberry.input(description="A new key.")
class ApiKeyInput:
    """A new key."""

    name: str = strawberry.field(description="What it is for.")
    role: Role = strawberry.field(description="No higher than the caller's.")
    matchers: list[LabelMatcherInput] = strawberry.field(
        default_factory=list, description="Limits what it sees and sends."
    )
    cost_budget: int | None = strawberry.field(description="Cost points a minute.")
    expires_at: datetime | None = strawberry.field(description="Never where left out.")
    idempotency_key: str | None = strawberry.field(description="See the rules at the top.")


@strawberry.input(description="To replace a key's secret.")
class RotateApiKeyInput:
    """To replace a key's secret."""

    id: strawberry.ID = strawberry.field(description="Which.")
    overlap: timedelta = strawberry.field(
        default=timedelta(hours=24), description="How long the old secret still works."
    )


@strawberry.type(description="Answer.")
class ApiKeyPayload:
    """What became of a key, with its secret where there is a new one."""

    api_key: ApiKey | None = strawberry.field(description="Null where refused.")
    secret: str | None = strawberry.field(
        description="The secret; never shown again, not even for the same idempotencyKey."
    )
    errors: list[MutationError] = strawberry.field(
        description="What the caller can mend; empty on success.", metadata={"cost": 0}
    )

    @classmethod
    def refused(cls, error: RefusedError) -> Self:
        """Return the answer to what was refused."""
        return cls(api_key=None, secret=None, errors=errors_of(error))


def _key_id(text: str) -> ApiKeyId:
    decoded = decode_id(text)
    if decoded is None or decoded[0] is not NodeKind.API_KEY:
        raise unknown("key", "id")
    return ApiKeyId(decoded[1])  # type: ignore[arg-type]  # only the id of an event holds anything but a UUID


@reads(Role.ADMIN)
async def api_keys(info: Info, first: First = UNSET, after: After = UNSET) -> ApiKeyConnection:
    """Return a page of the tenant's keys, newest first."""
    return ApiKeyConnection.of(await info.context.reading.api_key_page(page_of(first, after, None, None)))


@writes(Role.ADMIN)
async def create_api_key(
    info: Info, input: Annotated[ApiKeyInput, strawberry.argument(description="What.")]
) -> ApiKeyPayload:
    """Make a key and show its secret this once."""
    context = info.context
    try:
        key, secret = await context.services.configuration.create_api_key(
            context.principal,
            name=input.name,
            role=input.role,
            matchers=matchers_of(input.matchers, "matchers"),
            cost_budget=input.cost_budget,
            expires_at=input.expires_at,
            idempotency_key=input.idempotency_key,
        )
    except RefusedError as error:
        return ApiKeyPayload.refused(error)
    return ApiKeyPayload(api_key=ApiKey.of(key), secret=secret, errors=[])


@writes(Role.ADMIN)
async def rotate_api_key(
    info: Info, input: Annotated[RotateApiKeyInput, strawberry.argument(description="What.")]
) -> ApiKeyPayload:
    """Give a key a new secret and show it this once."""
    context = info.context
    try:
        key, secret = await context.services.configuration.rotate_api_key(
            context.principal, _key_id(input.id), overlap=input.overlap
        )
    except RefusedError as error:
        return ApiKeyPayload.refused(error)
    return ApiKeyPayload(api_key=ApiKey.of(key), secret=secret, errors=[])


@writes(Role.ADMIN)
async def revoke_api_key(
    info: Info, input: Annotated[DeleteInput, strawberry.argument(description="What.")]
) -> DeletePayload:
    """End a key at once."""
    context = info.context
    try:
        await context.services.configuration.revoke_api_key(
            context.principal, _key_id(input.id), expected_version=input.expected_version
        )
    except RefusedError as error:
        return DeletePayload(deleted_id=None, errors=errors_of(error))
    return DeletePayload(deleted_id=input.id, errors=[])
