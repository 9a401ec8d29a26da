"""The README's lines, run as they are printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import ServiceProcess, environment_of

README = Path(__file__).parents[2] / "README.md"
BIN = Path(sys.executable).parent


def printed_blocks() -> list[str]:
    """Return the shell blocks between the mark and the part that installs."""
    text = README.read_text(encoding="utf-8")
    part = text[text.index("<!-- tested:") : text.index("## Run it for real")]
    return re.findall(r"```sh\n(.*?)```", part, re.DOTALL)


@pytest.mark.timeout(180)
def test_every_printed_line_works(data_dir: Path, tmp_path: Path) -> None:
    environment = environment_of("", HOME=str(data_dir))
    for name in ("CRITICAL_ALERT_DATABASE_URL", "CRITICAL_ALERT_MASTER_KEY"):
        del environment[name]
    service = ServiceProcess(environment).start(tmp_path / "log")
    try:
        said = []
        # One shell for one terminal: what a line sets, later ones use.
        for block in printed_blocks()[1:]:
            script = (
                (printed_blocks()[0] + block)
                .replace("http://127.0.0.1:8000", service.url)
                .replace(".venv/bin/", f"{BIN}/")
            )
            run = subprocess.run(
                ["bash", "-euc", script], env=environment, capture_output=True, text=True, timeout=60, check=False
            )
            assert run.returncode == 0, run.stderr
            said.append(run.stdout)
    finally:
        assert service.stop() == 0

    created, folded, listed, taken, command_line, metrics, key = said
    assert '"title":"Disk full on db-1"' in created
    assert '"created":false' in folded
    assert '"occurrenceCount":2' in folded
    assert '"totalCount":1' in listed
    assert '"changedCount":1' in taken
    assert "every leaf and link holds" in command_line
    assert "event: next" in metrics
    assert key.startswith("ag_")
