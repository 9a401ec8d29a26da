"""Sets a tenant up for the demo as its administrator would, over the API; what is there already stays."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from alertgraph.core.duration import duration_text
from alertgraph.edge.demo.caller import Caller
from alertgraph.edge.demo.companies import Company
from alertgraph.edge.demo.plan import CHAT, MONITOR

PHONE = "phone"
MANAGER = "duty-manager"
# A Monday at nine, in no zone that has daylight saving then: the shifts follow from it.
FIRST_HAND_OFF = "2026-01-05T09:00:00Z"
LEVEL_DELAY = timedelta(seconds=20)
LAST_LEVEL_DELAY = timedelta(seconds=40)
DELAY_MIN = timedelta(seconds=1)

_LIST = """query Configured {
  notificationChannels(first: 100) { nodes { id name } }
  responders(first: 100) { nodes { id name } }
  onCallSchedules(first: 100) { nodes { id name } }
  escalationRules(first: 100) { nodes { id name } }
  inhibitionRules(first: 100) { nodes { id name } }
  heartbeatMonitors(first: 100) { nodes { id name } }
  savedViews(first: 100) { nodes { id name } }
  apiKeys(first: 100) { nodes { id name revokedAt } }
}"""
_SETTINGS = """mutation Settings($input: UpdateTenantSettingsInput!) {
  updateTenantSettings(input: $input) { errors { message path } }
}"""
_DEPENDENCIES = """mutation Dependencies($input: SetServiceDependenciesInput!) {
  setServiceDependencies(input: $input) { errors { message path } }
}"""
_UPDATE_CHANNEL = """mutation Channel($input: UpdateNotificationChannelInput!) {
  updateNotificationChannel(input: $input) { notificationChannel { id } errors { message path } }
}"""
_ROTATE_KEY = """mutation Key($input: RotateApiKeyInput!) {
  rotateApiKey(input: $input) { secret errors { message path } }
}"""
_CREATE_KEY = (
    """mutation Key($input: ApiKeyInput!) { createApiKey(input: $input) { secret errors { message path } } }"""
)


def furnish(caller: Caller, company: Company, inbox_url: str, speed: float) -> dict[str, str]:
    """Set up who is told what, and by which way; return each person's key.

    Args:
        caller: An administrator of the tenant.
        company: Whose tenant it is.
        inbox_url: Where all channels deliver to.
        speed: Ladders are climbed so many times as fast.

    Raises:
        ClientError: Something was refused.
    """
    return _Stage(caller, company, inbox_url, speed).furnish()


class _Stage:
    def __init__(self, caller: Caller, company: Company, inbox_url: str, speed: float) -> None:
        self._caller = caller
        self._company = company
        self._place = f"{inbox_url}/{company.slug}"
        self._speed = speed
        found = self._listed()
        self._known: dict[str, dict[str, str]] = {
            kind: {node["name"]: node["id"] for node in nodes if not node.get("revokedAt")}
            for kind, nodes in found.items()
        }

    def furnish(self) -> dict[str, str]:
        company = self._company
        self._caller.payload(_SETTINGS, {"input": {"groupingLabels": ["cluster"], "groupingWindow": "PT5M"}})
        needs = [{"service": name, "dependsOn": list(needed)} for name, needed in company.needs.items()]
        self._caller.payload(_DEPENDENCIES, {"input": {"dependencies": needs, "replaceAll": True}})
        phone = self._channel(PHONE, {"webhook": {"url": f"{self._place}/{PHONE}"}})
        chat = self._channel(
            CHAT,
            {
                "slack": {
                    "botToken": "xoxb-demo",
                    "signingSecret": "demo",
                    "channel": "on-call",
                    "apiUrl": f"{self._place}/{CHAT}",
                }
            },
            fallbackId=phone,
        )
        pager = {"routingKey": "D3M0" * 8, "eventsUrl": f"{self._place}/{MANAGER}"}
        manager = self._channel(MANAGER, {"pagerduty": pager}, fallbackId=phone)
        people = [
            self._made(
                "Responder",
                "responders",
                person,
                {
                    "email": f"{person.split()[0].lower()}@{company.slug}.example",
                    "timeZone": company.zone,
                    "contactMethods": [
                        {"channelId": chat, "address": f"U0DEM0{number}"},
                        {"channelId": phone, "address": f"+1 555 010{number}", "delay": self._after(10)},
                    ],
                },
            )
            for number, person in enumerate(company.people)
        ]
        primary, secondary = (
            self._made(
                "OnCallSchedule",
                "onCallSchedules",
                name,
                {
                    "timeZone": company.zone,
                    "rotations": [
                        {
                            # The second on call is whoever comes next.
                            "responderIds": people[shift:3] + people[:shift],
                            "startsAt": FIRST_HAND_OFF,
                            "shiftLength": "P1D",
                        }
                    ],
                },
            )
            for name, shift in (("Primary", 0), ("Secondary", 1))
        )
        levels = [
            {"delay": self._after(LEVEL_DELAY.total_seconds()), "targets": [{"scheduleId": primary}]},
            {"delay": self._after(LEVEL_DELAY.total_seconds()), "targets": [{"scheduleId": secondary}]},
            {
                "delay": self._after(LAST_LEVEL_DELAY.total_seconds()),
                "targets": [{"responderId": people[-1]}, {"channelId": manager}],
            },
        ]
        self._made(
            "EscalationRule",
            "escalationRules",
            "Customers feel it",
            {"severities": ["CRITICAL", "HIGH"], "levels": levels, "repeatCount": 1},
        )
        quiet = [{"delay": "PT30M", "targets": [{"channelId": chat}]}]
        self._made("EscalationRule", "escalationRules", "Everything else, to the chat", {"levels": quiet})
        self._made(
            "InhibitionRule",
            "inhibitionRules",
            "What is unreachable is also slow",
            {
                "sourceMatchers": [{"label": "alertname", "value": "PrimaryUnreachable"}],
                "targetMatchers": [
                    {"label": "alertname", "operator": "REGEX", "value": "ReplicationLag|ConnectionsExhausted"}
                ],
                "equalLabels": ["instance"],
            },
        )
        self._made("HeartbeatMonitor", "heartbeatMonitors", MONITOR, {"interval": "PT10S", "severity": "MEDIUM"})
        untaken = {"status": ["TRIGGERED"], "severity": ["CRITICAL", "HIGH"]}
        self._made("SavedView", "savedViews", "Urgent and untaken", {"filter": untaken, "shared": True})
        return {person: self._key(person) for person in company.people}

    def _listed(self) -> Mapping[str, list[dict[str, Any]]]:
        answer = self._caller.post("/graphql", {"query": _LIST})
        return {kind: connection["nodes"] for kind, connection in answer["data"].items()}

    def _made(self, type_name: str, kind: str, name: str, input: Mapping[str, Any]) -> str:
        """Return the id of a thing of this name, made where there is none."""
        known = self._known[kind].get(name)
        if known is not None:
            return known
        field = type_name[0].lower() + type_name[1:]
        document = f"""mutation Make($input: {type_name}Input!) {{
          create{type_name}(input: $input) {{ {field} {{ id }} errors {{ message path }} }}
        }}"""
        made = self._caller.payload(document, {"input": {"name": name, **input}})
        return str(made[field]["id"])

    def _channel(self, name: str, config: Mapping[str, Any], **more: str) -> str:
        """Return the id of a channel that delivers to where the inbox is this time."""
        known = self._known["notificationChannels"].get(name)
        if known is None:
            return self._made("NotificationChannel", "notificationChannels", name, {"config": config, **more})
        self._caller.payload(_UPDATE_CHANNEL, {"input": {"id": known, "config": config}})
        return known

    def _key(self, person: str) -> str:
        """Return a key that acts in somebody's name; its secret of before is not known any more."""
        known = self._known["apiKeys"].get(person)
        if known is None:
            made = self._caller.payload(_CREATE_KEY, {"input": {"name": person, "role": "RESPONDER"}})
        else:
            made = self._caller.payload(_ROTATE_KEY, {"input": {"id": known, "overlap": "PT0S"}})
        return str(made["secret"])

    def _after(self, seconds: float) -> str:
        return duration_text(max(DELAY_MIN, timedelta(seconds=round(seconds / self._speed))))
