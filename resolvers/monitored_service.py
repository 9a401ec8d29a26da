"""Things watched, what they need of one another, and how ADMINs say so."""

from collections.abc import Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Annotated, Self

import strawberry

from alertgraph.core import monitored_service as core
from alertgraph.core.errors import InputError, RefusedError
from alertgraph.core.ids import encode_service_id
from alertgraph.core.query import Page
from resolvers.context import Info
from resolvers.errors import MutationError, errors_of
from resolvers.fields import computed
from resolvers.matcher import FILTER_TEXT_LENGTH_MAX
from resolvers.paging import UNSET, After, First, Node, PageInfo, given, page_of
from resolvers.permissions import reads, writes
from resolvers.relations import in_parts, relation
from resolvers.words import Role, Severity

BESIDE_COUNT_DEFAULT = 50

Beside = Annotated[int, strawberry.argument(description="1 to 100.")]


async def services_beside(
    info: Info, keys: Sequence[str], first: int = BESIDE_COUNT_DEFAULT, *, dependents: bool
) -> Mapping[str, Sequence[core.MonitoredService]]:
    """Return what each of these services needs, or what needs it."""
    size, reading = page_of(first, None, None, None).size, info.context.reading
    return await in_parts(lambda part: reading.services_beside(part, size, dependents=dependents), keys)


needed_by_name = partial(services_beside, dependents=False)
dependents_by_name = partial(services_beside, dependents=True)


def shown_services(_info: Info, found: Sequence[core.MonitoredService]) -> "list[MonitoredService]":
    """Return services as the API shows them."""
    return [MonitoredService.of(service) for service in found]


@strawberry.type(description="A thing watched: known since an alert or a dependency named it.")
class MonitoredService(Node):
    """A thing watched; what is beside it is read together with what is beside its siblings."""

    id: strawberry.ID = strawberry.field(description="Opaque.")
    name: str = strawberry.field(description="The name that alerts carry.")
    open_alert_count: int = strawberry.field(description="How many open alerts name it.")
    worst_severity: Severity | None = strawberry.field(
        description="Severity of the worst open alert; null where none is open."
    )

    @computed(
        "What it needs to work.",
        page_size_default=BESIDE_COUNT_DEFAULT,
        batch=relation(attrgetter("name"), needed_by_name, shown_services, missing=list),
    )
    @reads(Role.VIEWER)
    async def depends_on(self, info: Info, first: Beside = BESIDE_COUNT_DEFAULT) -> list["MonitoredService"]:
        """Return what the service needs, by name."""
        loader = info.context.loaders.services_beside(page_of(first, None, None, None).size, dependents=False)
        return shown_services(info, await loader.load(self.name) or ())

    @computed(
        "What needs it to work.",
        page_size_default=BESIDE_COUNT_DEFAULT,
        batch=relation(attrgetter("name"), dependents_by_name, shown_services, missing=list),
    )
    @reads(Role.VIEWER)
    async def dependents(self, info: Info, first: Beside = BESIDE_COUNT_DEFAULT) -> list["MonitoredService"]:
        """Return what needs the service, by name."""
        loader = info.context.loaders.services_beside(page_of(first, None, None, None).size, dependents=True)
        return shown_services(info, await loader.load(self.name) or ())

    @classmethod
    def of(cls, service: core.MonitoredService) -> Self:
        """Return a service as the API shows it."""
        return cls(
            id=strawberry.ID(encode_service_id(service.name)),
            name=service.name,
            open_alert_count=service.open_alert_count,
            worst_severity=service.worst,
        )


@strawberry.type(description="One of a page of services.")
class MonitoredServiceEdge:
    """One of a page of services."""

    cursor: str = strawberry.field(description="Its place in this list.")
    node: MonitoredService = strawberry.field(description="The thing.")


@strawberry.type(description="A page of services.")
class MonitoredServiceConnection:
    """A page of services."""

    edges: list[MonitoredServiceEdge] = strawberry.field(description="With cursors.")
    nodes: list[MonitoredService] = strawberry.field(description="Without cursors.")
    page_info: PageInfo = strawberry.field(description="Where the page lies.", metadata={"cost": 0})
    total_count: int = strawberry.field(description="How many there are in all pages.")

    @classmethod
    def of(cls, page: Page[core.MonitoredService]) -> Self:
        """Return a page of services as the API shows it."""
        assert page.total_count is not None, "lists of services are always counted"
        edges = [
            MonitoredServiceEdge(cursor=cursor, node=MonitoredService.of(service))
            for cursor, service in page.items
        ]
        return cls(
            edges=edges,
            nodes=[edge.node for edge in edges],
            page_info=PageInfo.of(page),
            total_count=page.total_count,
        )


@reads(Role.VIEWER)
async def monitored_services(
    info: Info,
    prefix: Annotated[str | None, strawberry.argument(description="Only names that begin so.")] = UNSET,
    first: First = UNSET,
    after: After = UNSET,
) -> MonitoredServiceConnection:
    """Return a page of things watched, by name."""
    wanted = given(prefix) or ""
    if len(wanted) > FILTER_TEXT_LENGTH_MAX:
        raise InputError(f"prefix has at most {FILTER_TEXT_LENGTH_MAX:,} characters.", "prefix")
    page = await info.context.reading.service_page(wanted, page_of(first, after, None, None))
    return MonitoredServiceConnection.of(page)


# ------------------------------------------------------------------------------------------ changes


@strawberry.input(description="What one service needs to work.")
class ServiceDependencyInput:
    """What one service needs to work."""

    service: str = strawberry.field(description="Name.")
    depends_on: list[str] = strawberry.field(description="Names; replaces what it had, empty for none.")


@strawberry.input(description="Dependencies, as many as 1,000 services.")
class SetServiceDependenciesInput:
    """Dependencies of some services, or of all there are."""

    dependencies: list[ServiceDependencyInput] = strawberry.field(description="One per service.")
    replace_all: bool = strawberry.field(
        default=False, description="Also forget those of services not named here."
    )


@strawberry.type(description="Answer.")
class ServiceDependenciesPayload:
    """What became of dependencies."""

    dependency_count: int = strawberry.field(description="How many dependencies there are now.")
    errors: list[MutationError] = strawberry.field(
        description="What the caller can mend; empty on success.", metadata={"cost": 0}
    )


@writes(Role.ADMIN)
async def set_service_dependencies(
    info: Info, input: Annotated[SetServiceDependenciesInput, strawberry.argument(description="What.")]
) -> ServiceDependenciesPayload:
    """Say what depends on what."""
    context = info.context
    named = [(each.service, each.depends_on) for each in input.dependencies]
    try:
        count = await context.services.dependencies.set(context.principal, named, replace_all=input.replace_all)
    except RefusedError as error:
        # What there is stays as it was.
        count = await context.services.dependencies.count(context.principal)
        return ServiceDependenciesPayload(dependency_count=count, errors=errors_of(error))
    return ServiceDependenciesPayload(dependency_count=count, errors=[])
