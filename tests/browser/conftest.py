"""What tests in a browser may ask for: Debian's Chromium, and pages that tell what went wrong in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import RunningService

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Beside other tests a page may take its time; what is measured has limits of its own.
PATIENCE_MS = 20_000
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
# Whoever looks at pictures of the pages names a folder for them.
SHOTS = os.environ.get("ALERTGRAPH_SHOTS")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@dataclass
class Visit:
    """A page in a browser of its own, and what it complained of or asked of others."""

    page: Page
    url: str
    problems: list[str] = field(default_factory=list)

    def open(self, path: str = "") -> Page:
        """Go to a page of the console; the key is known from before."""
        self.page.goto(f"{self.url}/{path}")
        return self.page

    def violations(self) -> list[str]:
        """Return what axe says is in the way of somebody, as it stands."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate(
            "tags => axe.run(document, {runOnly: tags}).then(done => done.violations.map("
            "each => each.id + ': ' + each.nodes.map(node => node.target.join(' ')).join('; ')))",
            WCAG,
        )
        return list(found)

    def shot(self, name: str) -> None:
        """Keep a picture, where somebody wants pictures."""
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=f"{SHOTS}/{name}.png")


@pytest.fixture(scope="session")
def built_console() -> None:
    """The console and GraphiQL as they are now, built."""
    command = [sys.executable, ROOT / "tools" / "console.py", "build"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        pytest.skip(f"the console can't be built: {(done.stderr.strip().splitlines() or ['?'])[-1]}")


@pytest.fixture(scope="module")
def chromium(built_console: None, shared_service: tuple[str, dict[str, str]]) -> Iterator[Browser]:
    """A browser for the tests of a module.

    The service comes first: while Playwright is there, its loop runs in this thread, and no other one can. So it
    is gone before another module makes a database.
    """
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("Chromium is not installed; `make debian` installs it")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(CHROMIUM_FLAGS))
        yield browser
        browser.close()


Visitor = Callable[..., Visit]


@pytest.fixture
def visit(chromium: Browser, built_console: None) -> Iterator[Visitor]:
    """Signs in with a key: `visit(service, path, key=…, color_scheme="dark")`; in the end nothing went wrong."""
    with ExitStack() as open_visits:

        def sign_in(service: RunningService, path: str = "", *, key: str | None = None, **options: Any) -> Visit:
            return open_visits.enter_context(
                _visit(chromium, service.url, key or service.admin_key, path, options)
            )

        yield sign_in


@contextmanager
def _visit(browser: Browser, url: str, key: str, path: str, options: dict[str, Any]) -> Iterator[Visit]:
    context = browser.new_context(**{"locale": "en-GB", "viewport": {"width": 1280, "height": 800}, **options})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    visit = Visit(page, url)
    page.on("pageerror", lambda error: visit.problems.append(f"error: {error}"))
    page.on("console", lambda said: visit.problems.append(said.text) if said.type == "error" else None)

    def look(asked: Any) -> None:
        if not asked.url.startswith((url, "data:", "blob:")):
            visit.problems.append(f"asked another host: {asked.url}")

    page.on("request", look)
    try:
        page.goto(f"{url}/{path}#key={key}")
        yield visit
    finally:
        context.close()
    assert visit.problems == []
