"""The site is built strictly: a link that leads nowhere, or a page that asks another host, ends the build."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MKDOCS = Path(sys.executable).parent.parent / "docs" / "bin" / "mkdocs"
CONFIG = """\
INHERIT: {root}/mkdocs.yml
docs_dir: {docs}
site_dir: {docs}/../site
hooks: [{root}/tools/docs_hooks.py]
nav: [index.md, {{Decisions: decisions/}}]
"""


def built(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Build a site of one page and one decision with our configuration."""
    docs = folder / "docs"
    (docs / "decisions").mkdir(parents=True)
    (docs / "images").mkdir()
    (docs / "images" / "favicon.svg").write_text("<svg/>")
    (docs / "index.md").write_text(text)
    (docs / "decisions" / "0001-one.md").write_text("# One\n")
    (folder / "mkdocs.yml").write_text(CONFIG.format(root=ROOT, docs=docs))
    if not MKDOCS.exists():
        pytest.skip("the documentation's environment is not made; make docs makes it")
    return subprocess.run(
        [str(MKDOCS), "build", "--config-file", str(folder / "mkdocs.yml")],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_page_with_links_of_its_own_is_built(tmp_path: Path) -> None:
    done = built(tmp_path, "# Page\n\n[one](decisions/0001-one.md#one), <https://example.com>\n")

    assert done.returncode == 0, done.stderr
    assert "0001-one.html" in (tmp_path / "site" / "index.html").read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[gone](gone.md)", "gone.md"),
        ("[part](decisions/0001-one.md#gone)", "gone"),
        ('--8<-- "docs/examples/gone.py"', "gone.py"),
        ('<script src="https://cdn.example.com/x.js"></script>', "cdn.example.com"),
        ("![picture](https://pictures.example.com/x.png)", "pictures.example.com"),
        ('<link rel="stylesheet" href="//fonts.example.com/x.css">', "fonts.example.com"),
    ],
)
def test_what_leads_nowhere_or_outside_ends_the_build(tmp_path: Path, text: str, said: str) -> None:
    done = built(tmp_path, f"# Page\n\n{text}\n")

    assert done.returncode != 0
    assert said in done.stderr + done.stdout
