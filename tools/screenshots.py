"""Takes pictures of the console for the documentation, from `alertgraph demo`: make screenshots.

    python tools/screenshots.py                takes them all, into docs/images/
    python tools/screenshots.py --only list    one of them
    python tools/screenshots.py --list         says which there are

It needs Debian's Chromium, and the console built (`make web`). The demo plays from a seed, so that two runs show
the same companies and the same storm; times on them differ.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

FOLDER: Final = Path(__file__).parents[1] / "docs" / "images"
SEED: Final = 7
SPEED: Final = 2
# Until the storm is at its height.
PLAYED_SECONDS: Final = 23
START_SECONDS: Final = 90
SIZE: Final = (1280, 800)
PHONE: Final = (390, 844)
COLOUR_COUNT: Final = 256
CHROMIUM: Final = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")


@dataclass(frozen=True)
class Picture:
    """One picture: which page, how large, and what is done before it is taken."""

    name: str
    path: str
    size: tuple[int, int] = SIZE
    prepare: Callable[[Page], None] = lambda _: None


def open_first_alert(page: Page) -> None:
    """Go from the list, without its groups, to the page of the alert that the storm began with."""
    page.get_by_label("By incident").uncheck()
    page.get_by_role("link", name=re.compile("Primary is unreachable")).first.click()
    page.get_by_role("heading", level=1, name=re.compile("Primary is unreachable")).wait_for()


PICTURES: Final = (
    Picture("list", ""),
    Picture("alert", "", size=(1280, 1000), prepare=open_first_alert),
    Picture("list-phone", "", size=PHONE),
    Picture("rules", "rules"),
    Picture("on-call", "on-call"),
    Picture("figures", "figures"),
)


def main(arguments: list[str]) -> int:
    """Take the pictures that are asked for; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", action="append", choices=[each.name for each in PICTURES], help="may be repeated"
    )
    parser.add_argument("--list", action="store_true", help="say which there are")
    options = parser.parse_args(arguments)
    chosen = [each for each in PICTURES if not options.only or each.name in options.only]
    if options.list:
        sys.stdout.write("".join(f"{each.name}\n" for each in chosen))
        return 0
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.stderr.write("Debian's chromium is missing; make debian installs it.\n")
        return 1
    with demo() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM))
        time.sleep(PLAYED_SECONDS)
        for picture in chosen:
            kept = FOLDER / f"console-{picture.name}.png"
            kept.write_bytes(smaller(taken(browser, address, picture)))
            sys.stdout.write(f"{kept.relative_to(FOLDER.parents[1])}: {kept.stat().st_size // 1024} kB\n")
        browser.close()
    return 0


@contextmanager
def demo() -> Iterator[str]:
    """Play the demo in a folder that is thrown away; yield the first company's address, with a key.

    Raises:
        RuntimeError: It did not start.
    """
    command = Path(sys.executable).parent / "alertgraph"
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(  # noqa: S603  (our own program)
            [str(command), "demo", "--port", "0", "--seed", str(SEED), "--speed", str(SPEED)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=folder,
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                found = re.search(r"http://\S+/#key=\S+", line)
                if found:
                    yield found[0]
                    return
            raise RuntimeError("The demo did not start; `alertgraph demo` says why.")
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(START_SECONDS)


def taken(browser: Browser, address: str, picture: Picture) -> bytes:
    """Return a picture as the browser takes it."""
    width, height = picture.size
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="light",
        reduced_motion="reduce",
        locale="en-GB",
    )
    page = context.new_page()
    page.goto(address)
    page.get_by_text("Live", exact=True).first.wait_for()
    if picture.path:
        page.goto(f"{address.partition('#')[0]}{picture.path}")
        page.get_by_role("heading").first.wait_for()
    picture.prepare(page)
    page.wait_for_load_state("networkidle")
    shot = page.screenshot()
    context.close()
    return shot


def smaller(shot: bytes) -> bytes:
    """Return a picture with few colours, rare ones among them: a third of the room, and it looks the same."""
    image = Image.open(io.BytesIO(shot)).convert("RGB")
    out = io.BytesIO()
    image.quantize(COLOUR_COUNT, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        out, "PNG", optimize=True
    )
    return out.getvalue()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
