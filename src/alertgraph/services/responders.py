"""People who can be notified: added, changed, removed, and who may read what is personal about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from alertgraph.core.action import UNSET, Unset
from alertgraph.core.alert import check_text
from alertgraph.core.catalog import Catalog, Item
from alertgraph.core.channel import ChannelKind
from alertgraph.core.errors import ConflictError, ErrorCode, InputError, Problem, RefusedError
from alertgraph.core.flush import TenantConfig
from alertgraph.core.ids import ChannelId, ResponderId
from alertgraph.core.responder import ContactMethod, Responder, check_email
from alertgraph.core.rule import ResponderTarget
from alertgraph.core.tenant import Principal, Role
from alertgraph.core.time_zone import check_time_zone
from alertgraph.services.catalog_changes import (
    CatalogChanges,
    Decided,
    Secret,
    check_name,
    refuse_use,
    require_unscoped,
)
from alertgraph.services.ports import Vault
from alertgraph.services.sealed import Opened, with_opened

EMAIL_PURPOSE = "responder"
ADDRESS_PURPOSE = "contact"
CONTACT_METHOD_COUNT_MAX = 10
CONTACT_DELAY_MAX = timedelta(hours=24)
ADDRESS_LENGTH_MAX = 256


@dataclass(frozen=True, slots=True)
class ContactWish:
    """One way to reach a person, as a caller says it.

    Attributes:
        address: In plain text; empty for the channel's own.
        delay: Used this long after the first.
    """

    channel_id: ChannelId
    address: str = ""
    delay: timedelta = timedelta(0)


class ResponderService:
    """Changes who can be notified, and opens what is personal for those who may read it.

    Every change raises RefusedError for what the caller can mend; paths are relative to the input.
    """

    def __init__(self, changes: CatalogChanges, vault: Vault) -> None:
        self._changes = changes
        self._vault = vault

    async def create(
        self,
        principal: Principal,
        *,
        name: str,
        email: str | None = None,
        time_zone: str = "UTC",
        contact_methods: Sequence[ContactWish] = (),
        idempotency_key: str | None = None,
    ) -> Responder:
        """Return a new person. ADMIN."""
        _require(principal, Role.ADMIN)
        check_name(name)
        check_time_zone(time_zone)
        if email is not None:
            check_email(email, "email")
        _check_contacts(contact_methods)
        responder = Responder(
            id=ResponderId(self._changes.new_id()),
            name=name,
            time_zone=time_zone,
            email=await self._sealed(principal, EMAIL_PURPOSE, email),
            contact_methods=await self._sealed_contacts(principal, contact_methods),
        )

        async def change(opened: Opened) -> Responder:
            def decide(config: TenantConfig, wanted: Responder) -> Decided[Responder]:
                _check_channels(config.catalog, contact_methods)
                if email is not None:
                    _check_unique(config.catalog, opened, wanted.id, email)
                return Decided(wanted)

            return await self._changes.create(
                principal,
                responder,
                operation="createResponder",
                contents=[name, email, time_zone, list(contact_methods)],
                told=_told,
                decide=decide,
                idempotency_key=idempotency_key,
            )

        return await with_opened(self._vault, principal.tenant.id, change)

    async def update(
        self,
        principal: Principal,
        responder_id: ResponderId,
        *,
        name: str | Unset = UNSET,
        email: str | Unset | None = UNSET,
        time_zone: str | Unset = UNSET,
        contact_methods: Sequence[ContactWish] | Unset = UNSET,
        expected_version: int | None = None,
    ) -> Responder:
        """Return a person after a patch. ADMIN, or the person."""
        _require(principal, Role.VIEWER if principal.responder_id == responder_id else Role.ADMIN)
        if not isinstance(name, Unset):
            check_name(name)
        if not isinstance(time_zone, Unset):
            check_time_zone(time_zone)
        if isinstance(email, str):
            check_email(email, "email")
        new_email = await self._sealed(principal, EMAIL_PURPOSE, email) if isinstance(email, str) else None
        new_contacts: tuple[ContactMethod, ...] = ()
        if not isinstance(contact_methods, Unset):
            _check_contacts(contact_methods)
            new_contacts = await self._sealed_contacts(principal, contact_methods)

        async def change(opened: Opened) -> Responder:
            def decide(config: TenantConfig, before: Responder) -> Decided[Responder]:
                after = before
                if not isinstance(name, Unset):
                    after = replace(after, name=name)
                if not isinstance(time_zone, Unset):
                    after = replace(after, time_zone=time_zone)
                if email is None:
                    after = replace(after, email=None)
                elif not isinstance(email, Unset):
                    _check_unique(config.catalog, opened, before.id, email)
                    kept = opened.texts(EMAIL_PURPOSE, [before.email])[0] if before.email is not None else None
                    # The same text sealed anew would look like a change.
                    after = replace(after, email=before.email if kept == email else new_email)
                if not isinstance(contact_methods, Unset):
                    _check_channels(config.catalog, contact_methods)
                    after = replace(
                        after, contact_methods=_kept_contacts(before, contact_methods, new_contacts, opened)
                    )
                return Decided(after)

            return await self._changes.update(
                principal, Responder, responder_id, told=_told, decide=decide, expected_version=expected_version
            )

        return await with_opened(self._vault, principal.tenant.id, change)

    async def delete(
        self, principal: Principal, responder_id: ResponderId, *, expected_version: int | None = None
    ) -> None:
        """Remove a person whom no rule and no schedule needs. ADMIN."""
        _require(principal, Role.ADMIN)
        now = self._changes.now()

        def decide(config: TenantConfig, before: Responder) -> Decided[Responder]:
            catalog = config.catalog
            users: list[Item | str] = [
                rule
                for rule in catalog.rules
                if any(ResponderTarget(before.id) in level.targets for level in rule.levels)
            ]
            standing_in = {
                override.schedule_id
                for override in catalog.overrides
                if override.responder_id == before.id and override.ends_at > now
            }
            users += [
                schedule
                for schedule in catalog.schedules.values()
                if schedule.id in standing_in
                or any(before.id in rotation.responder_ids for rotation in schedule.rotations)
            ]
            refuse_use(before, users)
            return Decided(before)

        await self._changes.delete(
            principal, Responder, responder_id, told=_told, decide=decide, expected_version=expected_version
        )

    async def email(self, principal: Principal, responder: Responder) -> str | None:
        """Return a person's e-mail address; None where there is none or it was made unreadable. RESPONDER."""
        principal.require(Role.RESPONDER)
        if responder.email is None:
            return None
        return await self._vault.open(principal.tenant.id, EMAIL_PURPOSE, responder.email)

    async def addresses(self, principal: Principal, responder: Responder) -> list[str]:
        """Return the address of each contact method; empty for the channel's own, or unreadable. RESPONDER."""
        principal.require(Role.RESPONDER)
        return [
            await self._vault.open(principal.tenant.id, ADDRESS_PURPOSE, method.address) or ""
            if method.address is not None
            else ""
            for method in responder.contact_methods
        ]

    async def _sealed(self, principal: Principal, purpose: str, text: str | None) -> str | None:
        return await self._changes.seal(principal, purpose, text) if text is not None else None

    async def _sealed_contacts(
        self, principal: Principal, wishes: Sequence[ContactWish]
    ) -> tuple[ContactMethod, ...]:
        return tuple(
            [
                ContactMethod(
                    wish.channel_id,
                    await self._sealed(principal, ADDRESS_PURPOSE, wish.address or None),
                    wish.delay,
                )
                for wish in wishes
            ]
        )


def found_by_email(catalog: Catalog, opened: Opened) -> Mapping[str, Responder]:
    """Return everybody who has an e-mail address, by that address in small letters.

    Raises:
        UnopenedError: Addresses were not opened yet.
    """
    people = [(responder, responder.email) for responder in catalog.responders.values()]
    known = [(responder, sealed) for responder, sealed in people if sealed is not None]
    texts = opened.texts(EMAIL_PURPOSE, [sealed for _, sealed in known])
    return {text.lower(): responder for (responder, _), text in zip(known, texts, strict=True) if text is not None}


def _require(principal: Principal, role: Role) -> None:
    principal.require(role)
    require_unscoped(principal)


def _check_contacts(wishes: Sequence[ContactWish]) -> None:
    if len(wishes) > CONTACT_METHOD_COUNT_MAX:
        raise InputError(
            f"There are at most {CONTACT_METHOD_COUNT_MAX} contact methods; these are {len(wishes):,}.",
            "contactMethods",
        )
    problems: list[Problem] = []
    for index, wish in enumerate(wishes):
        faults = check_text(wish.address, "address", ADDRESS_LENGTH_MAX, one_line=True)
        if not timedelta(0) <= wish.delay <= CONTACT_DELAY_MAX:
            faults.append(Problem(ErrorCode.INVALID_INPUT, f"delay is PT0S to {_HOURS_MAX}.", ("delay",)))
        problems += [fault.below("contactMethods", str(index)) for fault in faults]
    if problems:
        raise RefusedError(problems)


_HOURS_MAX = f"PT{CONTACT_DELAY_MAX // timedelta(hours=1)}H"


def _check_channels(catalog: Catalog, wishes: Sequence[ContactWish]) -> None:
    """Let contact methods pass whose channels exist and can take their addresses."""
    for index, wish in enumerate(wishes):
        path = ("contactMethods", str(index))
        channel = catalog.channels.get(wish.channel_id)
        if channel is None:
            raise RefusedError([Problem(ErrorCode.NOT_FOUND, "There is no such channel.", (*path, "channelId"))])
        if channel.kind is ChannelKind.EMAIL and wish.address:
            check_email(wish.address, *path, "address")


def _check_unique(catalog: Catalog, opened: Opened, responder_id: ResponderId, email: str) -> None:
    other = found_by_email(catalog, opened).get(email.lower())
    if other is not None and other.id != responder_id:
        raise ConflictError("Somebody else has this e-mail address.", "email")


def _kept_contacts(
    before: Responder, wishes: Sequence[ContactWish], sealed: Sequence[ContactMethod], opened: Opened
) -> tuple[ContactMethod, ...]:
    """Return the contact methods wished for, with the ciphertexts of those addresses that were there before."""
    known = [(method, method.address) for method in before.contact_methods]
    texts = opened.texts(ADDRESS_PURPOSE, [address for _, address in known if address is not None])
    ciphertexts = dict(zip(texts, (address for _, address in known if address is not None), strict=True))
    return tuple(
        replace(method, address=ciphertexts.get(wish.address, method.address) if wish.address else None)
        for wish, method in zip(wishes, sealed, strict=True)
    )


def _told(responder: Responder) -> Mapping[str, Any]:
    """Return what the log tells of a person; of what is personal, only whether it changed."""
    return {
        "name": responder.name,
        "email": Secret(responder.email) if responder.email is not None else None,
        "timeZone": responder.time_zone,
        "contactMethods": Secret(responder.contact_methods) if responder.contact_methods else None,
    }
