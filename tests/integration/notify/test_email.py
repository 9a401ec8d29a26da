"""Mail as a real server takes it: what is written, and what each of its answers comes to."""

from __future__ import annotations

import asyncio
import email
import ipaddress
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import default as policy
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from alertgraph.core.alert import Alert
from alertgraph.core.channel import Channel, ChannelKind, EmailConfig
from alertgraph.core.delivery import Purpose
from alertgraph.core.errors import InputError
from alertgraph.core.ids import ChannelId, DeliveryId, NodeKind, encode_id
from alertgraph.core.message import Message, SendResult
from alertgraph.core.severity import Severity
from alertgraph.notify.email import EmailAdapter
from tests.factories import ADA, T0, an_alert, an_id
from tests.servers import free_port

SENDER = "Alerts of Acme <alerts@acme.example>"
CHANNEL = Channel(
    ChannelId(UUID(int=1)), "mail", ChannelKind.EMAIL, EmailConfig(("ops@acme.example", "boss@acme.example"))
)
ACTIONS = {name: f"https://alerts.example/act/{name}-token" for name in ("acknowledge", "resolve", "silence")}


@dataclass
class MailBox:
    """Plays the server: keeps what it takes, and answers as it is told.

    Attributes:
        answers: To MAIL, by recipient to RCPT, and to DATA; where absent it takes everything.
        hang: Which command it never answers.
    """

    answers: dict[str, str] = field(default_factory=dict)
    hang: str = ""
    taken: list[Envelope] = field(default_factory=list)
    was_tls: list[bool] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        await self._maybe_hang("MAIL")
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self.answers.get("MAIL", "250 OK")

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.answers.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        await self._maybe_hang("DATA")
        answer = self.answers.get("DATA", "250 OK")
        if answer.startswith("250"):
            self.taken.append(envelope)
            self.was_tls.append(session.ssl is not None)
        return answer

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        await self._maybe_hang("QUIT")
        return "221 Bye"

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append(f"{data.login.decode()} {data.password.decode()}")
        return AuthResult(success=data.password == b"pass w@rd", handled=False)

    async def _maybe_hang(self, command: str) -> None:
        if self.hang == command:
            await asyncio.sleep(60)

    def mail(self) -> EmailMessage:
        """The one mail it took, read again."""
        (envelope,) = self.taken
        assert isinstance(envelope.content, bytes)
        return cast("EmailMessage", email.message_from_bytes(envelope.content, policy=policy))

    def text(self) -> str:
        """Its text part."""
        part = self.mail().get_body(("plain",))
        assert part is not None
        return str(part.get_content()).replace("\r\n", "\n")

    def html(self) -> str:
        """Its HTML part."""
        part = self.mail().get_body(("html",))
        assert part is not None
        return str(part.get_content()).replace("\r\n", "\n")


@contextmanager
def serving(box: MailBox, **options: Any) -> Iterator[str]:
    """Run a server on a port of its own; yield host and port."""
    controller = Controller(box, hostname="127.0.0.1", port=free_port(), **options)
    controller.start()
    try:
        yield f"127.0.0.1:{controller.port}"
    finally:
        controller.stop()


@pytest.fixture
def box() -> MailBox:
    return MailBox()


@pytest.fixture
def url(box: MailBox) -> Iterator[str]:
    with serving(box) as address:
        yield f"smtp://{address}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that we signed ourselves, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    path, key_path = folder / "cert.pem", folder / "key.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key_path)
    return path, context


def a_page(*alerts: Alert, **fields: Any) -> Message:
    page = Message(
        DeliveryId(UUID(int=77)),
        "Acme",
        Purpose.PAGE,
        alerts or (an_alert(severity=Severity.CRITICAL, description="p99 is 3 s."),),
        T0,
        level=2,
        responder="Ada",
        timeline=("prometheus triggered the alert.", "Level 1 was reached."),
        actions=ACTIONS,
        link="https://alerts.example/alerts/1",
    )
    return replace(page, **fields)


async def sent(
    url: str | None, message: Message, *, channel: Channel = CHANNEL, to: str | None = None
) -> SendResult:
    return await EmailAdapter(url, SENDER).send(channel, {}, to, message)


# ------------------------------------------------------------------------------------------- contents


async def test_a_page_arrives_with_all_that_somebody_needs_at_night(url: str, box: MailBox) -> None:
    result = await sent(url, a_page())

    assert (result.delivered, result.status_code, result.error) == (True, 250, None)
    assert box.taken[0].mail_from == "alerts@acme.example"
    assert box.taken[0].rcpt_tos == ["ops@acme.example", "boss@acme.example"]
    assert box.mail()["Subject"] == "[CRITICAL] High latency (checkout)"
    assert box.mail()["From"] == SENDER
    assert box.mail()["To"] == "ops@acme.example, boss@acme.example"
    assert box.mail()["Importance"] == "high"
    assert box.mail().get_content_type() == "multipart/alternative"
    for part in (box.text(), box.html()):
        for wanted in ("High latency", "checkout", "p99 is 3 s.", "Level 1 was reached.", *ACTIONS.values()):
            assert wanted in part
    assert "Ada" in box.text()
    assert "https://alerts.example/alerts/1" in box.text()


async def test_every_attempt_has_the_same_id_and_every_mail_of_an_alert_the_same_thread(
    url: str, box: MailBox
) -> None:
    page = a_page()
    news = replace(
        page, id=DeliveryId(UUID(int=78)), purpose=Purpose.UPDATE, change="RESOLVED", level=0, receipt="{}"
    )
    for message in (page, page, news, a_page(an_alert(id=an_id(2)), id=DeliveryId(UUID(int=79)))):
        assert (await sent(url, message)).delivered

    mails = [email.message_from_bytes(cast("bytes", item.content), policy=policy) for item in box.taken]
    ids = [mail["Message-ID"] for mail in mails]
    threads = [mail["References"] for mail in mails]
    assert ids[0] == ids[1] == f"<delivery.{page.id}@acme.example>"
    assert len(set(ids)) == 3
    assert threads[0] == threads[1] == threads[2] == f"<alert.{an_id()}@acme.example>"
    assert threads[3] != threads[0]
    assert [mail["In-Reply-To"] for mail in mails] == threads
    # Mail programs thread by the subject as well.
    assert mails[2]["Subject"] == f"Re: {mails[0]['Subject']}"


async def test_machines_are_told_that_a_machine_wrote(url: str, box: MailBox) -> None:
    await sent(url, a_page())

    headers = {name: box.mail()[name] for name in box.mail()}
    assert headers["Auto-Submitted"] == "auto-generated"
    assert headers["List-Id"] == "<alertgraph.acme.example>"
    assert headers["X-Alertgraph-Alert"] == encode_id(NodeKind.ALERT, an_id())
    assert headers["X-Alertgraph-Severity"] == "CRITICAL"
    assert headers["X-Alertgraph-Tenant"] == "Acme"


@pytest.mark.parametrize(
    "title",
    [
        "Down\r\nBcc: everybody@example.com\r\n\r\nbody",
        "Down\nBcc: everybody@example.com",
        "Down\rBcc: everybody@example.com",
        "Zu langsam: Überlast 🔥 在東京",
        "half \ud83d of a character",
        "\u2028Bcc: everybody@example.com",
        "x" * 1024,
        "=?utf-8?q?Bcc:_x?=",
        "\x00\x1b[31m",
        "",
    ],
)
async def test_a_title_is_one_line_of_the_subject_and_nothing_else(url: str, box: MailBox, title: str) -> None:
    tenant = title[:100]
    result = await sent(url, a_page(an_alert(title=title), tenant=tenant), to="ada@acme.example")

    assert result.delivered
    assert box.mail()["Bcc"] is None
    assert box.taken[0].rcpt_tos == ["ada@acme.example"]
    subject = str(box.mail()["Subject"])
    assert len(subject) <= 200
    assert subject.isprintable()
    if title.startswith("Zu"):
        assert title in subject
    # As it went over the wire: header lines are ASCII, and short enough for any server (RFC 5322).
    head = cast("bytes", box.taken[0].content).split(b"\r\n\r\n")[0]
    assert head.isascii()
    assert max(map(len, head.split(b"\r\n"))) <= 998


async def test_html_shows_what_it_is_told_and_runs_none_of_it(url: str, box: MailBox) -> None:
    bad = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    alert = an_alert(title=bad, description=bad, labels={bad: bad}, monitored_service=bad)
    await sent(url, a_page(alert, timeline=(bad,), responder=bad, tenant=bad))

    assert "<script" not in box.html()
    assert "<img" not in box.html()
    assert box.html().count("&lt;script&gt;") >= 5


async def test_a_template_makes_the_text_and_the_links_are_there_all_the_same(url: str, box: MailBox) -> None:
    channel = replace(CHANNEL, template="Hello {{ responder }}: <b>{{ title }}</b>")
    await sent(url, a_page(), channel=channel)

    assert box.text().startswith("Hello Ada: <b>High latency</b>\n\nAcknowledge: https://alerts.example/act/")
    assert "Hello Ada: &lt;b&gt;High latency&lt;/b&gt;" in box.html()
    assert "p99 is 3 s." not in box.text() + box.html()


async def test_a_template_that_fails_holds_no_page_up(url: str, box: MailBox) -> None:
    channel = replace(CHANNEL, template="{{ labels.absent }}")

    assert (await sent(url, a_page(), channel=channel)).delivered
    assert "High latency" in box.text()
    with pytest.raises(InputError, match="line 1"):
        EmailAdapter(url, SENDER).render(channel, a_page())


async def test_a_bundle_names_every_alert_and_offers_no_links(url: str, box: MailBox) -> None:
    alerts = [an_alert(id=an_id(number), title=f"Alert {number}.") for number in range(40)]
    await sent(url, a_page(*alerts))

    for number in range(40):
        assert f"Alert {number}." in box.text()
        assert f"Alert {number}." in box.html()
    assert "/act/" not in box.text() + box.html()
    assert box.mail()["References"] is None


async def test_a_closed_alert_offers_no_links(url: str, box: MailBox) -> None:
    await sent(
        url,
        a_page(an_alert(resolved_at=T0, resolved_by=ADA), purpose=Purpose.UPDATE, change="RESOLVED", receipt="{}"),
    )

    assert "/act/" not in box.text() + box.html()


async def test_of_what_changes_only_what_matters_is_told_and_only_to_those_who_know_of_it(
    url: str, box: MailBox
) -> None:
    for change, receipt in (("ACKNOWLEDGED", None), ("REPEATED", "{}"), ("ESCALATED", "{}"), (None, "{}")):
        result = await sent(url, a_page(purpose=Purpose.UPDATE, change=change, receipt=receipt))
        assert result == SendResult(delivered=True, receipt=receipt)
    assert box.taken == []

    await sent(url, a_page(purpose=Purpose.UPDATE, change="ACKNOWLEDGED", receipt="{}"))
    assert "Acknowledged" in box.text()


async def test_a_channel_can_be_tried_with_no_alert_at_hand(url: str, box: MailBox) -> None:
    message = Message(DeliveryId(UUID(int=1)), "Acme", Purpose.TEST, (), T0)

    assert (await sent(url, message)).delivered
    assert "nothing to do" in box.text()
    assert "nothing to do" in box.html()


def test_a_preview_is_what_would_be_sent() -> None:
    rendered = EmailAdapter(None, SENDER).render(CHANNEL, a_page())

    assert rendered.subject == "[CRITICAL] High latency (checkout)"
    assert "p99 is 3 s." in rendered.text
    assert isinstance(rendered.payload, dict)
    assert rendered.payload["to"] == ["ops@acme.example", "boss@acme.example"]
    assert "<html" in rendered.payload["html"]


# -------------------------------------------------------------------------------------------- answers


async def test_without_a_server_nothing_can_be_sent_and_it_is_said_why() -> None:
    error = "no mail server is set: the operator does, by CRITICAL_ALERT_SMTP_URL"
    assert await sent(None, a_page()) == SendResult(delivered=False, error=error)


@pytest.mark.parametrize(("answer", "retryable"), [("451 try later", True), ("550 no such user", False)])
@pytest.mark.parametrize("command", ["MAIL", "DATA", "RCPT"])
async def test_4xx_is_tried_again_and_5xx_is_not(
    url: str, box: MailBox, answer: str, retryable: bool, command: str
) -> None:
    for place in CHANNEL.config.to if command == "RCPT" else [command]:  # type: ignore[union-attr]  # it is e-mail
        box.answers[place] = answer

    result = await sent(url, a_page())

    assert (result.delivered, result.retryable, result.status_code) == (False, retryable, int(answer[:3]))
    assert answer[4:] in str(result.error)
    assert box.taken == []


async def test_where_one_of_all_may_be_taken_later_it_is_tried_again(url: str, box: MailBox) -> None:
    box.answers = {"ops@acme.example": "550 no such user", "boss@acme.example": "450 busy"}

    result = await sent(url, a_page())

    assert (result.delivered, result.retryable) == (False, True)


async def test_who_was_refused_is_told_while_others_have_the_mail(url: str, box: MailBox) -> None:
    box.answers = {"boss@acme.example": "550 no such user"}

    result = await sent(url, a_page())

    assert result.delivered
    assert box.taken[0].rcpt_tos == ["ops@acme.example"]
    assert result.error == "the mail server took it, but not for boss@acme.example: 550 no such user"


async def test_a_persons_address_is_in_no_error(url: str, box: MailBox) -> None:
    box.answers = {"ada@home.example": "550 <ada@home.example>: no such user"}

    result = await sent(url, a_page(), to="ada@home.example")

    assert not result.delivered
    assert "ada@home" not in str(result.error)
    assert "no such user" in str(result.error)


@pytest.mark.parametrize("command", ["MAIL", "DATA"])
async def test_a_server_that_hangs_is_left_in_time(url: str, box: MailBox, command: str) -> None:
    box.hang = command
    adapter = EmailAdapter(url, SENDER, timeout=timedelta(seconds=0.3))

    async with asyncio.timeout(3):
        result = await adapter.send(CHANNEL, {}, None, a_page())

    assert (result.delivered, result.retryable) == (False, True)
    assert result.error == "the mail server does not answer in time"


async def test_a_mail_that_was_taken_is_sent_whatever_the_server_does_afterwards(url: str, box: MailBox) -> None:
    box.hang = "QUIT"
    adapter = EmailAdapter(url, SENDER, timeout=timedelta(seconds=3))

    async with asyncio.timeout(3):
        result = await adapter.send(CHANNEL, {}, None, a_page())

    assert result.delivered
    assert len(box.taken) == 1


async def test_a_server_that_is_away_is_tried_again() -> None:
    result = await sent(f"smtp://127.0.0.1:{free_port()}", a_page())

    assert (result.delivered, result.retryable) == (False, True)
    assert result.error == "the mail server can't be reached or hung up"


async def test_a_server_that_hangs_up_is_tried_again() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        result = await sent(f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}", a_page())

    assert (result.delivered, result.retryable) == (False, True)


@pytest.mark.parametrize(
    "address", ["", "ada", "ada@", "@acme.example", "a\r\nRCPT TO:<b@c.example>@d.example", "a b@c.example", "<>"]
)
async def test_what_is_no_address_is_not_tried(url: str, box: MailBox, address: str) -> None:
    result = await sent(url, a_page(), to=address)

    assert (result.delivered, result.retryable) == (False, False)
    assert result.error == "the address is no e-mail address"
    assert box.taken == []


# ---------------------------------------------------------------------------------- encryption, login


async def test_a_connection_is_encrypted_where_the_server_can(
    box: MailBox, certificate: tuple[Path, ssl.SSLContext]
) -> None:
    path, context = certificate
    with serving(box, tls_context=context) as address:
        result = await sent(f"smtp://{address}?ca={path}", a_page())

    assert result.delivered
    assert box.was_tls == [True]


async def test_a_server_that_nobody_vouches_for_gets_nothing(
    box: MailBox, certificate: tuple[Path, ssl.SSLContext]
) -> None:
    with serving(box, tls_context=certificate[1]) as address:
        result = await sent(f"smtp://{address}", a_page())

    assert (result.delivered, result.retryable) == (False, False)
    assert "can't be encrypted" in str(result.error)
    assert box.taken == []


async def test_where_encryption_is_required_a_server_without_it_gets_nothing(url: str, box: MailBox) -> None:
    result = await sent(f"{url}?starttls=required", a_page())

    assert (result.delivered, result.retryable) == (False, False)
    assert "STARTTLS" in str(result.error)
    assert box.taken == []


async def test_login_with_a_password_that_has_to_be_escaped(
    box: MailBox, certificate: tuple[Path, ssl.SSLContext]
) -> None:
    path, context = certificate
    options = {"tls_context": context, "authenticator": box.authenticate, "auth_required": True}
    with serving(box, **options) as address:
        result = await sent(f"smtp://us%40er:pass%20w%40rd@{address}?ca={path}", a_page())
        wrong = await sent(f"smtp://us%40er:secret-and-wrong@{address}?ca={path}", a_page())

    assert result.delivered
    assert box.logins[0] == "us@er pass w@rd"
    assert (wrong.delivered, wrong.retryable, wrong.status_code) == (False, False, 535)
    assert "secret-and-wrong" not in str(wrong.error)


async def test_a_password_is_never_sent_in_the_clear_unasked(box: MailBox) -> None:
    with serving(box, authenticator=box.authenticate, auth_require_tls=False) as address:
        result = await sent(f"smtp://user:pass%20w%40rd@{address}", a_page())
        asked = await sent(f"smtp://user:pass%20w%40rd@{address}?starttls=never", a_page())

    assert not result.delivered
    assert asked.delivered
    assert box.logins == ["user pass w@rd"]


@pytest.mark.parametrize(
    "url",
    [
        "http://mail.example",
        "smtp://",
        "smtp:mail.example",
        "smtp://mail.example/path",
        "smtp://mail.example:port",
        "smtp://mail.example:99999",
        "smtp://mail.example?starttls=perhaps",
        "smtp://mail.example?tls=yes",
        "smtps://mail.example?starttls=required",
        "smtp://mail.example?ca=/no/such/file",
        "smtp://[mail.example",
    ],
)
def test_a_url_that_can_not_be_used_is_refused_without_telling_it(url: str) -> None:
    with pytest.raises(InputError) as caught:
        EmailAdapter(url.replace("mail.example", "user:hunter2@mail.example"), SENDER)
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize("sender", ["", "alerts", "alerts@", "a\r\nb@c.example"])
def test_a_sender_that_is_no_address_is_refused(sender: str) -> None:
    with pytest.raises(InputError):
        EmailAdapter(None, sender)
