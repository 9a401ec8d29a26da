"""A flame graph needs py-spy, and says so."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from bench import flame
from bench.installation import Installation


def test_without_py_spy_nothing_is_begun_and_it_is_said_where_it_comes_from(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(flame.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SystemExit, match="requirements-dev"):
        flame.record("writes", cast("Installation", None), tmp_path, 1000, 1, tmp_path / "into")

    assert not (tmp_path / "into").exists()
