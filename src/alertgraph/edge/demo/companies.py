"""Who plays in the demo: three companies, what they run, what needs what, and who is on call. All made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alertgraph.core.tier import Tier


@dataclass(frozen=True, slots=True)
class Company:
    """One tenant of the demo.

    Attributes:
        slug: Of the tenant.
        name: For people.
        tier: What it was promised.
        zone: In which its shifts change.
        needs: By service, what it needs to work; every service is named.
        root: The service whose failure takes down all that need it.
        flapping: The service with the check that comes and goes.
        maintained: The service that is being worked on.
        neglected: The service whose alert nobody takes at first.
        people: On call, in turn; the last one is told when nobody else reacts.
    """

    slug: str
    name: str
    tier: Tier
    zone: str
    needs: Mapping[str, Sequence[str]]
    root: str
    flapping: str
    maintained: str
    neglected: str
    people: Sequence[str]

    def distances(self) -> dict[str, int]:
        """Return how many dependencies lie between the root and each service that falls with it, nearest first."""
        found = {self.root: 0}
        ring = [self.root]
        while ring:
            ring = [name for name in self.needs if name not in found and set(self.needs[name]) & set(ring)]
            found |= dict.fromkeys(ring, max(found.values()) + 1)
        return found


COMPANIES = (
    Company(
        slug="acme",
        name="Acme Shop",
        tier=Tier.PREMIUM,
        zone="Europe/Berlin",
        needs={
            "web-shop": ("checkout",),
            "start-page": ("search", "catalogue"),
            "checkout": ("orders", "payments"),
            "orders": ("orders-db",),
            "payments": ("orders-db",),
            "catalogue": ("catalogue-db",),
            "search": ("catalogue-db",),
            "newsletter": (),
            "edge-proxy": (),
            "media": (),
            "orders-db": (),
            "catalogue-db": (),
        },
        root="orders-db",
        flapping="edge-proxy",
        maintained="media",
        neglected="newsletter",
        people=("Mira Okafor", "Jonas Lindqvist", "Aiko Tanaka", "Ruth Adler"),
    ),
    Company(
        slug="globex",
        name="Globex Bank",
        tier=Tier.ENTERPRISE,
        zone="America/New_York",
        needs={
            "mobile-app": ("gateway",),
            "gateway": ("accounts", "cards"),
            "accounts": ("ledger",),
            "cards": ("ledger", "fraud-check"),
            "ledger": ("ledger-db",),
            "ledger-db": (),
            "fraud-check": (),
            "statements": (),
            "trading": ("market-data",),
            "market-data": (),
            "branch-vpn": (),
            "reporting": (),
        },
        root="ledger-db",
        flapping="branch-vpn",
        maintained="reporting",
        neglected="statements",
        people=("Dana Whitfield", "Luis Herrera", "Priya Nair", "Tom Becker"),
    ),
    Company(
        slug="initech",
        name="Initech Cloud",
        tier=Tier.STANDARD,
        zone="Asia/Kolkata",
        needs={
            "console": ("api",),
            "api": ("identity", "scheduler"),
            "identity": ("message-bus",),
            "scheduler": ("message-bus",),
            "builds": ("scheduler",),
            "message-bus": (),
            "object-store": (),
            "billing": ("invoices-db",),
            "invoices-db": (),
            "support-desk": (),
            "dns": (),
        },
        root="message-bus",
        flapping="dns",
        maintained="object-store",
        neglected="billing",
        people=("Samir Rao", "Elena Petrova", "Kwame Mensah", "Grace Liu"),
    ),
)
