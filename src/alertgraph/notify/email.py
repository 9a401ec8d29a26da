"""E-mail: text and HTML, one thread an alert, with signed links to act by."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, parseaddr
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib
import orjson
from jinja2 import Environment, StrictUndefined

from alertgraph.core.alert import Alert
from alertgraph.core.channel import Channel, EmailConfig
from alertgraph.core.delivery import Purpose
from alertgraph.core.errors import InputError
from alertgraph.core.message import Message, Rendered, SendResult
from alertgraph.core.severity import Severity
from alertgraph.notify.http import ATTEMPT_TIMEOUT
from alertgraph.notify.templates import (
    change_words,
    cut,
    headline,
    instant,
    plain_text,
    public_id,
    remark,
    render_text,
    send_text,
)

SUBJECT_LENGTH_MAX = 200
ERROR_LENGTH_MAX = 300
DESCRIPTION_SHOWN_MAX = 5_000
TIMELINE_SHOWN_MAX = 20
QUIT_WITHIN_SECONDS = 0.5
DEFAULT_PORTS = {"smtp": 25, "smtps": 465}
# Of all that happens to an alert after somebody was told of it, this is worth another mail.
TOLD_CHANGES = frozenset({"ACKNOWLEDGED", "UNACKNOWLEDGED", "RESOLVED", "REOPENED"})
BUTTONS: Mapping[str, str] = {
    "acknowledge": "Acknowledge",
    "escalate": "Escalate",
    "resolve": "Resolve",
    "silence": "Silence for 1 hour",
}

_HTML = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
</head>
<body style="margin:0;padding:16px;font-family:system-ui,-apple-system,'Segoe UI',Roboto,Arial,sans-serif;\
font-size:16px;line-height:1.5">
<div style="max-width:600px;margin:0 auto">
<h1 style="font-size:20px;line-height:1.3;margin:0 0 12px">{{ heading }}</h1>
{%- if text is not none %}
<p style="white-space:pre-line;margin:0 0 12px">{{ text }}</p>
{%- endif %}
{%- if facts %}
<table role="presentation" style="border-collapse:collapse;margin:0 0 16px">
{%- for name, value in facts %}
<tr><td style="padding:2px 16px 2px 0;opacity:.7;vertical-align:top">{{ name }}</td><td style="padding:2px 0">\
{{ value }}</td></tr>
{%- endfor %}
</table>
{%- endif %}
{%- for line in items %}
<p style="margin:0 0 8px">{{ line }}</p>
{%- endfor %}
{%- for name, href in buttons %}
<p style="margin:0 0 12px"><a href="{{ href }}" style="display:inline-block;min-width:220px;padding:14px 20px;\
border-radius:8px;background:#1456c4;color:#ffffff;font-weight:600;text-align:center;text-decoration:none">\
{{ name }}</a></p>
{%- endfor %}
{%- if link %}
<p style="margin:0 0 16px"><a href="{{ link }}">Look at the alert</a></p>
{%- endif %}
{%- if timeline %}
<p style="margin:16px 0 4px;opacity:.7">What has happened</p>
<ol style="margin:0 0 16px;padding-left:20px">
{%- for sentence in timeline %}
<li>{{ sentence }}</li>
{%- endfor %}
</ol>
{%- endif %}
<p style="font-size:13px;opacity:.7">{{ foot }}</p>
</div>
</body>
</html>
"""
_TEMPLATE = Environment(autoescape=True, undefined=StrictUndefined).from_string(_HTML)


@dataclass(frozen=True, slots=True, repr=False)
class MailServer:
    """Where mail is handed in.

    Attributes:
        use_tls: TLS from the first byte.
        start_tls: True where the connection must be upgraded, None where it is if the server can, False for never.
        authority: File with the certificates that the server's own is checked by; None for the system's.
    """

    host: str
    port: int
    use_tls: bool = False
    start_tls: bool | None = None
    username: str | None = None
    password: str | None = None
    authority: Path | None = None


def parse_smtp_url(url: str) -> MailServer:
    """Return what a URL says: smtp:// or smtps://, user, password, host, port, `?starttls=` and `?ca=`.

    `starttls` is required, never, or auto, which upgrades where the server can. With a password it is required
    unless it is said to be never: a password is not sent in the clear by default. `ca` names a file of
    certificates, for a server whose own is not signed by a public authority.

    Raises:
        InputError: It can't be used; the message holds nothing of it.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InputError("The mail server's URL is no URL.", "smtpUrl") from None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or parts.path not in ("", "/") or parts.fragment:
        raise InputError(
            "The mail server's URL is smtp://user:password@host:port or smtps://…, all but the host left out as "
            "you like.",
            "smtpUrl",
        )
    options = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    unknown = options.keys() - {"starttls", "ca"}
    wish = options.get("starttls", "auto")
    if unknown or wish not in ("required", "never", "auto"):
        raise InputError(
            "The mail server's URL may end in ?starttls=required, never or auto, and in ?ca= and a file.",
            "smtpUrl",
        )
    use_tls = parts.scheme == "smtps"
    if use_tls and "starttls" in options:
        raise InputError("smtps:// is encrypted from the first byte: there is no STARTTLS on it.", "smtpUrl")
    authority = Path(options["ca"]) if "ca" in options else None
    if authority is not None and not authority.is_file():
        raise InputError("There is no such file as ?ca= of the mail server's URL names.", "smtpUrl")
    password = unquote(parts.password) if parts.password is not None else None
    start_tls = {"required": True, "never": False, "auto": True if password else None}[wish]
    return MailServer(
        parts.hostname,
        port if port is not None else DEFAULT_PORTS[parts.scheme],
        use_tls,
        False if use_tls else start_tls,
        unquote(parts.username) if parts.username else None,
        password,
        authority,
    )


def _context(server: MailServer) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=server.authority)
    except (ssl.SSLError, OSError):
        raise InputError(
            "The file that ?ca= of the mail server's URL names holds no certificates.", "smtpUrl"
        ) from None


class EmailAdapter:
    """Sends mail by the installation's server. Fulfils `notify.adapter.Adapter`.

    Args:
        smtp_url: See `parse_smtp_url`; None where no server is set: then every attempt fails, and says why.
        sender: Address in From, with or without a name.
        timeout: For a whole attempt.

    Raises:
        InputError: The URL or the sender can't be used.
    """

    def __init__(self, smtp_url: str | None, sender: str, *, timeout: timedelta = ATTEMPT_TIMEOUT) -> None:
        self._timeout = timeout.total_seconds()
        self._server = parse_smtp_url(smtp_url) if smtp_url is not None else None
        self._context = _context(self._server) if self._server is not None else None
        name, address = parseaddr(sender if sender.isprintable() else "")
        try:
            self._sender = Address(name or "alertgraph", addr_spec=address)
        except (MessageError, ValueError, IndexError):
            raise InputError("The sender of mail is no address.", "mailFrom") from None
        if not self._sender.domain:
            raise InputError("The sender of mail is an address with a domain.", "mailFrom")

    async def send(
        self,
        channel: Channel,
        secrets: Mapping[str, str],  # noqa: ARG002  (what the mail server wants is the installation's)
        address: str | None,
        message: Message,
    ) -> SendResult:
        """Hand a mail in, to the person's address or to those of the channel.

        Of what changes later only what a person waits for is told, to those who had a mail before.
        """
        if message.purpose is Purpose.UPDATE and (message.receipt is None or message.change not in TOLD_CHANGES):
            return SendResult(delivered=True, receipt=message.receipt)
        if self._server is None:
            return _refused("no mail server is set: the operator does, by CRITICAL_ALERT_SMTP_URL")
        try:
            recipients = _addresses(channel, address)
        except (MessageError, ValueError, IndexError):
            return _refused("the address is no e-mail address")
        text = send_text(channel.template, message, plain_text(message))
        mail = self._mail(recipients, message, text, own_text=channel.template is not None)
        receipt = orjson.dumps({"messageId": str(mail["Message-ID"])}).decode()
        try:
            async with asyncio.timeout(self._timeout):
                refused = await self._hand_in(self._server, mail, [item.addr_spec for item in recipients])
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            return _failed(error, hidden=address)
        # Some have it. To try again would tell them twice; that others have not is told.
        return SendResult(delivered=True, status_code=250, error=_refusals(refused), receipt=receipt)

    def render(self, channel: Channel, message: Message) -> Rendered:
        """Return subject, text and HTML of a mail."""
        text = render_text(channel.template, message, plain_text(message))
        mail = self._mail(_addresses(channel, None), message, text, own_text=channel.template is not None)
        plain, html = (part.get_content() for part in mail.iter_parts())
        payload = {
            "from": str(mail["From"]),
            "to": [item.addr_spec for item in mail["To"].addresses],
            "subject": str(mail["Subject"]),
            "text": plain,
            "html": html,
        }
        return Rendered(str(mail["Subject"]), plain, payload)

    async def _hand_in(
        self, server: MailServer, mail: EmailMessage, recipients: Sequence[str]
    ) -> Mapping[str, tuple[int, str]]:
        """Return the recipients whom the server refused, while it took the mail for others."""
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            # What we call ourselves: by default it would be looked up, which can take as long as a page may wait.
            local_hostname=_ascii(self._sender.domain) or "localhost",
            timeout=self._timeout,
            use_tls=server.use_tls,
            start_tls=server.start_tls,
            username=server.username,
            password=server.password,
            tls_context=self._context,
        )
        try:
            await client.connect()
            refused, _ = await client.send_message(
                mail, sender=self._sender.addr_spec, recipients=list(recipients)
            )
        except BaseException:
            # Not politely: a server that hangs would take as long again for the farewell.
            client.close()
            raise
        await _farewell(client)
        return {address: (answer.code, answer.message) for address, answer in refused.items()}

    def _mail(self, recipients: Sequence[Address], message: Message, text: str, *, own_text: bool) -> EmailMessage:
        mail = EmailMessage(policy=SMTP_POLICY)
        mail["From"] = self._sender
        mail["To"] = recipients
        mail["Subject"] = _one_line(_subject(message), SUBJECT_LENGTH_MAX)
        mail["Date"] = format_datetime(message.at)
        domain = _ascii(self._sender.domain) or "localhost"
        # The delivery's own on every attempt: who gets a mail twice can tell that it is one.
        mail["Message-ID"] = f"<delivery.{message.id}@{domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        # Keeps Exchange from answering that somebody is on holiday.
        mail["X-Auto-Response-Suppress"] = "All"
        mail["List-Id"] = f"<alertgraph.{domain}>"
        mail["X-Alertgraph-Delivery"] = str(message.id)
        mail["X-Alertgraph-Purpose"] = message.purpose.name
        mail["X-Alertgraph-Tenant"] = _one_line(message.tenant, SUBJECT_LENGTH_MAX)
        if len(message.alerts) == 1:
            alert = message.alerts[0]
            # No mail has this id itself: it is what all about this alert answer to, in whichever order they come.
            thread = f"<alert.{alert.id}@{domain}>"
            mail["In-Reply-To"] = thread
            mail["References"] = thread
            mail["X-Alertgraph-Alert"] = public_id(alert)
            mail["X-Alertgraph-Severity"] = alert.severity.name
        if message.purpose is Purpose.PAGE and any(alert.severity >= Severity.HIGH for alert in message.alerts):
            mail["Importance"] = "high"
            mail["X-Priority"] = "1"
        mail.set_content(_text(message, text))
        mail.add_alternative(_html(message, text if own_text else None), subtype="html")
        return mail


async def _farewell(client: aiosmtplib.SMTP) -> None:
    """End a session; the mail is taken, and whatever happens here does not change that."""
    try:
        await client.quit(timeout=QUIT_WITHIN_SECONDS)
    except (aiosmtplib.SMTPException, OSError):
        client.close()


# ------------------------------------------------------------------------------------------- contents


def _subject(message: Message) -> str:
    """Return the subject: the same for all about an alert, or mail programs would not thread them."""
    if message.purpose is not Purpose.UPDATE:
        return headline(message)
    return f"Re: {headline(_as_page(message))}"


def _as_page(message: Message) -> Message:
    return Message(message.id, message.tenant, Purpose.PAGE, message.alerts, message.at)


def _buttons(message: Message) -> list[tuple[str, str]]:
    if len(message.alerts) != 1 or not message.alerts[0].is_open:
        return []
    return [(label, message.actions[name]) for name, label in BUTTONS.items() if name in message.actions]


def _text(message: Message, text: str) -> str:
    parts = [text.rstrip()]
    buttons = [f"{label}: {href}" for label, href in _buttons(message) if href not in text]
    if buttons:
        parts.append("\n".join(buttons))
    if message.timeline:
        parts.append("\n".join(("What has happened:", *(f"- {item}" for item in _recent(message)))))
    return _encodable("\n\n".join(parts)) + "\n"


def _html(message: Message, own_text: str | None) -> str:
    one = message.alerts[0] if len(message.alerts) == 1 else None
    text = own_text
    if text is None and one is not None and one.description:
        text = cut(one.description, DESCRIPTION_SHOWN_MAX)
    if not message.alerts and own_text is None:
        text = remark(message)
    several = [
        f"[{alert.severity.name}] {alert.title}" for alert in message.alerts if one is None and own_text is None
    ]
    if message.more_count and several:
        several.append(f"… and {message.more_count} more.")
    return _encodable(
        _TEMPLATE.render(
            heading=headline(message),
            text=text,
            facts=_facts(message, one) if one is not None else [],
            items=several,
            buttons=_buttons(message),
            link=message.link,
            timeline=_recent(message),
            foot=f"{message.tenant}, by alertgraph. Whoever has this mail may act by it: pass it on with care.",
        )
    )


def _facts(message: Message, alert: Alert) -> list[tuple[str, str]]:
    facts = [("Severity", alert.severity.name), ("Status", alert.status.name)]
    if message.purpose is Purpose.UPDATE:
        facts.insert(0, ("News", change_words(message.change)))
    if alert.monitored_service is not None:
        facts.append(("Service", alert.monitored_service))
    facts += [("Since", instant(alert.triggered_at)), ("Source", alert.source)]
    if message.responder is not None:
        facts.append(("To", message.responder))
    if message.level:
        facts.append(("Level", str(message.level)))
    if alert.labels:
        facts.append(("Labels", ", ".join(f"{name}={value}" for name, value in sorted(alert.labels.items()))))
    return facts


def _recent(message: Message) -> tuple[str, ...]:
    return message.timeline[-TIMELINE_SHOWN_MAX:]


def _one_line(text: str, length_max: int) -> str:
    """Return text that can stand in a header: a title with a line feed in it shall be no second header."""
    plain = "".join(character if character.isprintable() else " " for character in _encodable(text))
    return cut(" ".join(plain.split()), length_max)


def _encodable(text: str) -> str:
    """Return text without halves of characters, which no encoding can write."""
    return text.encode("utf-8", "replace").decode()


def _ascii(domain: str) -> str:
    try:
        return domain.encode("idna").decode("ascii")
    except UnicodeError:
        return ""


def _addresses(channel: Channel, address: str | None) -> list[Address]:
    """Return whom a mail goes to.

    Raises:
        ValueError, IndexError, MessageError: An address is none.
    """
    assert isinstance(channel.config, EmailConfig), "the channel is of this adapter's kind"
    given = [address] if address is not None else channel.config.to
    found = [Address(addr_spec=item.strip()) for item in given]
    if any(not item.domain or not item.username for item in found):
        raise ValueError("no domain")
    return found


# ------------------------------------------------------------------------------------------- answers


def _refused(error: str, status_code: int | None = None) -> SendResult:
    return SendResult(delivered=False, status_code=status_code, error=error)


def _failed(error: Exception, *, hidden: str | None) -> SendResult:
    """Return what came of an attempt that failed: RFC 5321's 4xx may go through later, its 5xx never."""
    code: int | None = None
    retryable = False
    match error:
        case aiosmtplib.SMTPRecipientsRefused():
            codes = [refused.code for refused in error.recipients]
            # Also where only some may be taken later: nobody was told yet.
            retryable = any(400 <= code < 500 for code in codes)
            code = codes[0]
            told = "; ".join(
                f"{refused.recipient}: {refused.code} {refused.message}" for refused in error.recipients
            )
            text = f"the mail server refuses every recipient: {told}"
        case aiosmtplib.SMTPResponseException():
            code = error.code if error.code > 0 else None
            retryable = code is None or 400 <= code < 500
            text = f"the mail server answers {error.code} {error.message}"
        case aiosmtplib.SMTPTimeoutError() | TimeoutError():
            retryable = True
            text = "the mail server does not answer in time"
        case ssl.SSLError():
            text = f"the connection to the mail server can't be encrypted: {error.reason or error}"
        case aiosmtplib.SMTPConnectError() | aiosmtplib.SMTPServerDisconnected() | OSError():
            cause = error.__cause__ or error.__context__
            if isinstance(cause, ssl.SSLError):
                text = f"the connection to the mail server can't be encrypted: {cause.reason or cause}"
            else:
                retryable = True
                text = "the mail server can't be reached or hung up"
        case aiosmtplib.SMTPException():
            text = f"the mail server can't do what is needed: {error.message}"
        case _:
            text = "the address is no e-mail address"
    if hidden is not None:
        # A person's address is theirs: it stays out of the timeline.
        text = text.replace(hidden.strip(), "the address")
    return SendResult(
        delivered=False, status_code=code, error=_one_line(text, ERROR_LENGTH_MAX), retryable=retryable
    )


def _refusals(refused: Mapping[str, tuple[int, str]]) -> str | None:
    """Return which of several recipients were refused; they are the channel's own, and no secret."""
    if not refused:
        return None
    told = "; ".join(f"{address}: {code} {text}" for address, (code, text) in refused.items())
    return _one_line(f"the mail server took it, but not for {told}", ERROR_LENGTH_MAX)
