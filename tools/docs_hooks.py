"""What MkDocs is told besides mkdocs.yml: decisions are found, and nothing of another host is loaded."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

DECISIONS = "decisions/"
# What a browser loads by itself, by element and attribute; a link to follow (`a`) is none of it.
LOADED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "embed": "src",
    "object": "data",
    "link": "href",
}
# Links that only tell; nothing is loaded for them.
TELLING = {"canonical", "prev", "next", "alternate"}


def on_config(config: Any) -> Any:
    """Put a page for each decision in the place of their folder: the next one needs no line in mkdocs.yml."""
    folder = Path(config["docs_dir"]) / DECISIONS
    pages = [DECISIONS + path.name for path in sorted(folder.glob("[0-9]*.md"))]

    def expanded(part: Any) -> Any:
        if isinstance(part, list):
            return [expanded(each) for each in part]
        if isinstance(part, dict):
            return {name: pages if value == DECISIONS else expanded(value) for name, value in part.items()}
        return part

    config["nav"] = expanded(config["nav"])
    return config


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Refuse a page that would load something of another host.

    Raises:
        PluginError: It would, and the build ends.
    """
    reader = _Reader()
    reader.feed(output)
    if reader.outside:
        raise PluginError(f"{page.file.src_path} loads {', '.join(sorted(reader.outside))}")
    return output


class _Reader(HTMLParser):
    """Gathers what a page loads from other hosts."""

    def __init__(self) -> None:
        super().__init__()
        self.outside: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at one element."""
        values = {name: value or "" for name, value in attrs}
        if tag == "link" and TELLING & set(values.get("rel", "").split()):
            return
        address = values.get(LOADED.get(tag, ""), "")
        if "://" in address or address.startswith("//"):
            self.outside.add(address)
