"""What is exported is read back as it was, and what is not whole is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

np = pytest.importorskip("numpy", reason="the extra ml is not installed")
pq = pytest.importorskip("pyarrow.parquet", reason="the extra ml is not installed")
pytest.importorskip("torch", reason="the extra ml is not installed")

from alertgraph.ml import export as exports  # noqa: E402
from alertgraph.ml import live  # noqa: E402
from alertgraph.ml.export import Export, ExportError, ExportWriter  # noqa: E402
from tests.unit.ml.exported import TENANT, an_export, some_examples  # noqa: E402

COUNT = 250


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an export of several files and groups."""
    monkeypatch.setattr(exports, "PART_ROWS_MAX", 120)
    monkeypatch.setattr(exports, "GROUP_ROWS_MAX", 50)
    return an_export(tmp_path / "kept", COUNT)


def test_rows_come_back_as_they_were(folder: Path) -> None:
    export = Export.open(folder)
    rows = export.rows()
    told = some_examples(COUNT)

    assert len(export) == len(rows) == COUNT
    assert export.manifest.tenant == TENANT
    assert [part.row_count for part in export.manifest.parts] == [100, 100, 50]
    for place in (0, 49, 50, 120, COUNT - 1):
        example, outcome = told[place].example, told[place].example.outcome
        row = live.unpacked(example.features)
        assert (rows.numbers[place] == row.numbers).all()
        assert (rows.tokens[place] == row.tokens).all()
        assert rows.answers[place].tolist() == [outcome.needed_person, outcome.breached, outcome.self_resolved]
        assert rows.at[place] == pytest.approx(outcome.matured_at.timestamp(), abs=1e-6)
        for kept, was in (
            (rows.acknowledged_after[place], outcome.acknowledged_after),
            (rows.resolved_after[place], outcome.resolved_after),
        ):
            assert np.isnan(kept) if was is None else kept == was


def test_blocks_hold_each_row_once_in_turn(folder: Path) -> None:
    export = Export.open(folder)
    whole = export.rows()

    blocks = export.dealt(8, range(8))

    for place, block in enumerate(blocks):
        assert (block.at == whole.at[place::8]).all()
        assert (block.numbers == whole.numbers[place::8]).all()
    assert (export.dealt(8, [3])[0].tokens == blocks[3].tokens).all()


@pytest.mark.parametrize(
    ("stride", "start", "end"), [(1, 0, 250), (7, 0, 250), (3, 55, 201), (4, 130, 130), (9, 249, 250)]
)
def test_a_part_of_the_rows_is_what_slicing_gives(folder: Path, stride: int, start: int, end: int) -> None:
    export = Export.open(folder)

    assert (export.rows(stride=stride, start=start, end=end).at == export.rows().at[start:end:stride]).all()


def test_other_tools_can_read_it(folder: Path) -> None:
    table = pq.read_table(folder / "examples-00000.parquet")

    assert table.column("model_version").to_pylist()[0] == "torch_v1"
    assert table.column("said_incident").to_pylist()[0] == 0.5
    assert table.schema.metadata[b"alertgraph.features"].decode() == live.SCHEMA.digest()


def _without_manifest(folder: Path) -> None:
    (folder / "examples.json").unlink()


def _without_a_file(folder: Path) -> None:
    (folder / "examples-00001.parquet").unlink()


def _with_a_bit_flipped(folder: Path) -> None:
    kept = bytearray((folder / "examples-00001.parquet").read_bytes())
    kept[len(kept) // 2] ^= 1
    (folder / "examples-00001.parquet").write_bytes(kept)


def _with(old: str, new: str) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        told = (folder / "examples.json").read_text()
        assert old in told
        (folder / "examples.json").write_text(told.replace(old, new))

    return changed


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_without_manifest, "was not written to the end"),
        (_without_a_file, "cannot be read"),
        (_with_a_bit_flipped, "its checksum differs"),
        (_with(live.SCHEMA.digest(), "0" * 64), "other features"),
        (_with("alertgraph examples 1", "alertgraph examples 9"), "of format"),
        (_with('"row_count": 250', '"row_count": 249'), "counts its rows otherwise"),
        (_with('"parts"', '"ports"'), "does not hold together"),
        (_with("{", "["), "does not hold together"),
        (_with("examples-00001.parquet", "../kept/../../etc/passwd"), "cannot be read"),
    ],
)
def test_what_is_not_whole_is_refused(folder: Path, spoil: Callable[[Path], None], says: str) -> None:
    spoil(folder)

    with pytest.raises(ExportError, match=says):
        Export.open(folder)


def test_a_folder_with_something_in_it_is_left_alone(folder: Path) -> None:
    with pytest.raises(ExportError, match="not empty"):
        ExportWriter(folder, TENANT)


def test_an_export_that_failed_is_none(tmp_path: Path) -> None:
    def fails() -> None:
        with ExportWriter(tmp_path / "cut", TENANT) as writer:
            writer.write(some_examples(30))
            raise ConnectionError

    with pytest.raises(ConnectionError):
        fails()

    with pytest.raises(ExportError, match="not written to the end"):
        Export.open(tmp_path / "cut")


def test_examples_of_another_release_are_left_out_and_counted(tmp_path: Path) -> None:
    some = some_examples(20)
    strange = replace(some[0], example=replace(some[0].example, features=b"of another release"))

    with ExportWriter(tmp_path / "mixed", TENANT) as writer:
        writer.write([strange, *some])

    manifest = Export.open(tmp_path / "mixed").manifest
    assert (manifest.row_count, manifest.left_out) == (20, 1)


def test_an_export_of_nothing_is_whole(tmp_path: Path) -> None:
    with ExportWriter(tmp_path / "none", TENANT):
        pass

    assert len(Export.open(tmp_path / "none").rows()) == 0
