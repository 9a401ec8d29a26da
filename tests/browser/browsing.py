"""A browser before a running service: Debian's Chromium, and what it must have to be asked."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.running import RunningService

ROOT = Path(__file__).parent.parent.parent
BUILT = ROOT / "src" / "alertgraph" / "console"
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A window that nobody sees is a window all the same.
    "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling",
)
DESKTOP = {"width": 1360, "height": 860}
PHONE = {"width": 390, "height": 800}


@contextmanager
def chromium() -> Iterator[Any]:
    """Lend a browser; skip where there is none, or nothing was built for it to show."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("there is no Chromium: make debian")
    if not (BUILT / "index.html").exists():
        pytest.skip("the console is not built: make web")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


class Window:
    """One page of the console, signed in.

    Attributes:
        page: Playwright's.
        strangers: Addresses on other hosts that it asked for.
        complaints: What it could not do, as its console has it.
    """

    def __init__(self, context: Any, service: RunningService) -> None:
        self.page = context.new_page()
        self.strangers: list[str] = []
        self.complaints: list[str] = []
        self._service = service
        self._host = urlsplit(service.url).netloc
        self.page.on("request", self._requested)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._said)

    def open(self, path: str = "", *, wait: bool = True) -> Window:
        """Go to a page of the console; return once it is live."""
        self.page.goto(f"{self._service.url}/{path}#key={self._service.admin_key}")
        if wait:
            self.page.wait_for_selector('[data-connection="live"]', timeout=30_000)
        return self

    def row(self, alert_id: str) -> Any:
        """Return an alert's line in the list."""
        return self.page.locator(f'[data-alert="{alert_id}"]')

    def faults(self) -> list[str]:
        """Return what axe finds wrong with what is shown, after WCAG 2.2 AA."""
        # Evaluated by the debugger, to which the page's policy does not apply.
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate(
            "() => axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})"
        )
        return [
            f"{rule['id']}: {node['html'][:160]} ({node['failureSummary'][:200]})"
            for rule in found["violations"]
            for node in rule["nodes"]
        ]

    def _requested(self, request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and parts.netloc != self._host:
            self.strangers.append(request.url)

    def _said(self, message: Any) -> None:
        # What is cut on purpose is told by the browser, too.
        if message.type == "error" and "ERR_CONNECTION" not in message.text and "WebSocket" not in message.text:
            self.complaints.append(message.text)
