"""Examples of a tenant as Parquet files in a folder: what was looked at, what was said, and what came of it.

For training where the service does not run, and for looking at with other tools. The folder is whole once it
holds `examples.json`, which names every file with its checksum: what was cut off, changed, or written with other
features is refused. There is no name and no text in it: features are numbers and keyed hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from alertgraph.core.learning import SaidExample
from alertgraph.ml import live
from alertgraph.ml.container import write_bytes
from alertgraph.ml.features import FeatureRow, StateMismatchError

Floats = NDArray[np.float64]
FORMAT = "alertgraph examples 1"
MANIFEST = "examples.json"
PART_ROWS_MAX = 100_000
GROUP_ROWS_MAX = 20_000
CHUNK_SIZE = 1 << 20


class ExportError(Exception):
    """A folder holds no examples, not all of them, or not those of today's features; the message says which."""


def _columns() -> pa.Schema:
    """Return what a file holds, the names of features beside it."""
    instant = pa.timestamp("us", tz="UTC")
    fields = [
        pa.field("alert_id", pa.binary(16), nullable=False),
        pa.field("predicted_at", instant, nullable=False),
        pa.field("model_version", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        *(pa.field(f"said_{question}", pa.float64(), nullable=False) for question in live.QUESTIONS),
        pa.field("abstained", pa.bool_(), nullable=False),
        pa.field("needed_person", pa.bool_(), nullable=False),
        pa.field("breached", pa.bool_(), nullable=False),
        pa.field("self_resolved", pa.bool_(), nullable=False),
        pa.field("acknowledged_after", pa.float64()),
        pa.field("resolved_after", pa.float64()),
        pa.field("matured_at", instant, nullable=False),
        pa.field("numbers", pa.list_(pa.float32(), len(live.NUMBER_NAMES)), nullable=False),
        pa.field("tokens", pa.list_(pa.int32(), len(live.SCHEMA.token_names())), nullable=False),
    ]
    told = {
        "alertgraph.format": FORMAT,
        "alertgraph.features": live.SCHEMA.digest(),
        "alertgraph.numbers": orjson.dumps(live.NUMBER_NAMES).decode(),
        "alertgraph.tokens": orjson.dumps(live.SCHEMA.token_names()).decode(),
    }
    return pa.schema(fields, metadata=told)


@dataclass(frozen=True, slots=True)
class Part:
    """A file of an export.

    Attributes:
        name: In the folder.
        row_count: How many examples it holds.
        sha256: Of its bytes.
    """

    name: str
    row_count: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ExportManifest:
    """What is told of an export.

    Attributes:
        tenant: Whose examples these are, by id.
        features: The digest of their features.
        began_at: When the first one became known, in seconds since 1970; 0 where there is none.
        ended_at: When the last one did.
        row_count: How many there are.
        left_out: How many more there were, of other features: kept by another release.
        parts: The files, in order.
    """

    tenant: str
    features: str
    began_at: float
    ended_at: float
    row_count: int
    left_out: int
    parts: tuple[Part, ...]
    format: str = FORMAT

    def digest(self) -> str:
        """Return a hash of all that it tells: two exports with the same one hold the same examples."""
        return hashlib.sha256(orjson.dumps(asdict(self), option=orjson.OPT_SORT_KEYS)).hexdigest()


class ExportWriter:
    """Writes examples into a folder, a file at a time; whole when it is left without an error."""

    def __init__(self, folder: Path, tenant: str) -> None:
        """Begin in a folder that is empty or not there yet.

        Raises:
            ExportError: There is something in it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ExportError(f"{folder} is not empty; an export takes a folder of its own")
        self.folder = folder
        self.tenant = tenant
        self._schema = _columns()
        self._parts: list[Part] = []
        self._file: pq.ParquetWriter | None = None
        self._part_rows = 0
        self._left_out = 0
        self._began_at = self._ended_at = 0.0
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def write(self, examples: Sequence[SaidExample]) -> None:
        """Add examples, in the order in which they became known."""
        rows: list[tuple[SaidExample, FeatureRow]] = []
        for each in examples:
            try:
                rows.append((each, live.unpacked(each.example.features)))
            except StateMismatchError:
                self._left_out += 1
        for start in range(0, len(rows), GROUP_ROWS_MAX):
            self._write_group(rows[start : start + GROUP_ROWS_MAX])

    def _write_group(self, rows: Sequence[tuple[SaidExample, FeatureRow]]) -> None:
        if self._file is not None and self._part_rows + len(rows) > PART_ROWS_MAX:
            self._close_part()
        if self._file is None:
            self._file = pq.ParquetWriter(self._path, self._schema, compression="zstd")
        self._file.write_table(_table(rows, self._schema))
        outcomes = [each.example.outcome for each, _ in rows]
        if not self._count:
            self._began_at = outcomes[0].matured_at.timestamp()
        self._ended_at = outcomes[-1].matured_at.timestamp()
        self._part_rows += len(rows)
        self._count += len(rows)

    @property
    def _path(self) -> Path:
        return self.folder / f"examples-{len(self._parts):05}.parquet"

    def _close_part(self) -> None:
        if self._file is None:
            return
        self._file.close()
        self._parts.append(Part(self._path.name, self._part_rows, _sha256(self._path)))
        self._file, self._part_rows = None, 0

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close_part()
        if kind is None:
            write_bytes(self.folder / MANIFEST, orjson.dumps(asdict(self.manifest()), option=orjson.OPT_INDENT_2))

    def manifest(self) -> ExportManifest:
        """Return what is told of the files that are whole."""
        return ExportManifest(
            self.tenant,
            live.SCHEMA.digest(),
            self._began_at,
            self._ended_at,
            sum(part.row_count for part in self._parts),
            self._left_out,
            tuple(self._parts),
        )


@dataclass(frozen=True, slots=True)
class ExportedRows:
    """Some rows of an export.

    Attributes:
        at: (n,) when each became known, in seconds since 1970.
        numbers: (n, number_count) float32.
        tokens: (n, token_count) int32.
        answers: (n, question_count) 0 or 1.
        acknowledged_after: (n,) seconds; nan where nobody acknowledged it.
        resolved_after: (n,) seconds; nan where it is open still.
    """

    at: Floats
    numbers: NDArray[np.float32]
    tokens: NDArray[np.int32]
    answers: Floats
    acknowledged_after: Floats
    resolved_after: Floats

    def __len__(self) -> int:
        return len(self.at)

    def every(self, stride: int, first: int) -> ExportedRows:
        """Return every so manyth row, from a place on."""
        chosen = slice(first, None, stride)
        return ExportedRows(
            self.at[chosen],
            self.numbers[chosen],
            self.tokens[chosen],
            self.answers[chosen],
            self.acknowledged_after[chosen],
            self.resolved_after[chosen],
        )

    @staticmethod
    def joined(parts: Sequence[ExportedRows]) -> ExportedRows:
        """Return rows one after another; there must be a part."""
        names = ("at", "numbers", "tokens", "answers", "acknowledged_after", "resolved_after")
        return ExportedRows(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


class Export:
    """An export to be read, any number of times."""

    def __init__(self, folder: Path, manifest: ExportManifest) -> None:
        self.folder = folder
        self.manifest = manifest

    @classmethod
    def open(cls, folder: Path, *, check: bool = True) -> Export:
        """Return the export in a folder.

        Args:
            folder: Where it is.
            check: Whether files are read whole to see that they are what was written; one of several processes
                that read the same folder is enough.

        Raises:
            ExportError: There is none, not all of it, or not of today's features.
        """
        try:
            manifest = _manifest(orjson.loads((folder / MANIFEST).read_bytes()))
        except OSError as error:
            raise ExportError(
                f"{folder} holds no examples, or was not written to the end: {MANIFEST}: {error.strerror}"
            ) from error
        except (KeyError, TypeError, ValueError) as error:
            raise ExportError(f"{folder / MANIFEST} does not hold together: {error}") from error
        if manifest.format != FORMAT:
            raise ExportError(f"{folder} is of format {manifest.format!r}; this release reads {FORMAT!r}")
        if manifest.features != live.SCHEMA.digest():
            raise ExportError(f"{folder} was written with other features than this release has: export it anew")
        if sum(part.row_count for part in manifest.parts) != manifest.row_count:
            raise ExportError(f"{folder / MANIFEST} counts its rows otherwise than its files do")
        for part in manifest.parts if check else ():
            path = folder / part.name
            try:
                found = _sha256(path)
            except OSError as error:
                raise ExportError(f"{path} cannot be read: {error.strerror}") from error
            if found != part.sha256:
                raise ExportError(f"{path} is not what was exported: its checksum differs")
        return cls(folder, manifest)

    def __len__(self) -> int:
        return self.manifest.row_count

    def rows(self, *, stride: int = 1, start: int = 0, end: int | None = None) -> ExportedRows:
        """Return every so manyth row from a place on, and before another one.

        Raises:
            ExportError: A file is not what it should be.
        """
        until = len(self) if end is None else end
        found = [_NOTHING]
        for place, rows in self._groups(start, until):
            found.append(rows.every(stride, (start - place) % stride))
        return ExportedRows.joined(found)

    def dealt(self, count: int, chosen: Sequence[int]) -> list[ExportedRows]:
        """Return some of the blocks that all rows are dealt into, one row each in turn.

        Only these rows, and one group of a file, are in memory.

        Args:
            count: How many blocks there are.
            chosen: Which of them.

        Raises:
            ExportError: A file is not what it should be.
        """
        found: list[list[ExportedRows]] = [[_NOTHING] for _ in chosen]
        for place, rows in self._groups(0, len(self)):
            for block, own in zip(chosen, found, strict=True):
                own.append(rows.every(count, (block - place) % count))
        return [ExportedRows.joined(own) for own in found]

    def _groups(self, start: int, end: int) -> Iterator[tuple[int, ExportedRows]]:
        """Yield each group of rows that begins before the end, with its place, cut to what is asked for."""
        begins = 0
        for part in self.manifest.parts:
            if begins + part.row_count <= start or begins >= end:
                begins += part.row_count
                continue
            path = self.folder / part.name
            try:
                # One thread: processes that read beside one another have a core each.
                for batch in pq.ParquetFile(path).iter_batches(GROUP_ROWS_MAX, columns=READ, use_threads=False):
                    rows = _rows(batch)
                    low, high = max(start - begins, 0), min(end - begins, len(rows))
                    if low < high:
                        yield begins + low, _cut(rows, low, high)
                    begins += len(rows)
            except (OSError, pa.ArrowException, KeyError, ValueError) as error:
                raise ExportError(f"{path} cannot be read: {error}") from error


READ = [
    "needed_person",
    "breached",
    "self_resolved",
    "acknowledged_after",
    "resolved_after",
    "matured_at",
    "numbers",
    "tokens",
]
_NOTHING = ExportedRows(
    np.zeros(0),
    np.zeros((0, len(live.NUMBER_NAMES)), np.float32),
    np.zeros((0, len(live.SCHEMA.token_names())), np.int32),
    np.zeros((0, len(live.QUESTIONS))),
    np.zeros(0),
    np.zeros(0),
)


def _cut(rows: ExportedRows, low: int, high: int) -> ExportedRows:
    names = ("at", "numbers", "tokens", "answers", "acknowledged_after", "resolved_after")
    return ExportedRows(*(getattr(rows, name)[low:high] for name in names))


def _rows(batch: Any) -> ExportedRows:
    """Return a group of rows of a file as arrays.

    Raises:
        ValueError: It holds what no alert has.
    """
    count = batch.num_rows

    def told(name: str) -> Floats:
        return np.asarray(batch.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)

    def wide(name: str, width: int) -> NDArray[Any]:
        return np.asarray(batch.column(name).flatten().to_numpy(zero_copy_only=False)).reshape(count, width)

    numbers = wide("numbers", len(live.NUMBER_NAMES)).astype(np.float32)
    tokens = wide("tokens", len(live.SCHEMA.token_names())).astype(np.int32)
    if count and (not np.isfinite(numbers).all() or tokens.min() < 0 or tokens.max() >= live.SCHEMA.bucket_count):
        raise ValueError("it holds features that no alert has")
    return ExportedRows(
        np.asarray(batch.column("matured_at").cast(pa.int64()).to_numpy(zero_copy_only=False)) / 1e6,
        numbers,
        tokens,
        np.column_stack([told(name) for name in ("needed_person", "breached", "self_resolved")]),
        told("acknowledged_after"),
        told("resolved_after"),
    )


def _table(rows: Sequence[tuple[SaidExample, FeatureRow]], schema: pa.Schema) -> pa.Table:
    told = [each for each, _ in rows]
    outcomes = [each.example.outcome for each in told]
    numbers = np.concatenate([row.numbers for _, row in rows])
    tokens = np.concatenate([row.tokens for _, row in rows])
    columns: dict[str, Any] = {
        "alert_id": [outcome.alert_id.bytes for outcome in outcomes],
        "predicted_at": [each.example.triggered_at for each in told],
        "model_version": pa.array([each.model_version for each in told], pa.string()).dictionary_encode(),
        **{
            f"said_{question}": [each.chances[place] for each in told]
            for place, question in enumerate(live.QUESTIONS)
        },
        "abstained": [each.abstained for each in told],
        "needed_person": [outcome.needed_person for outcome in outcomes],
        "breached": [outcome.breached for outcome in outcomes],
        "self_resolved": [outcome.self_resolved for outcome in outcomes],
        "acknowledged_after": [outcome.acknowledged_after for outcome in outcomes],
        "resolved_after": [outcome.resolved_after for outcome in outcomes],
        "matured_at": [outcome.matured_at for outcome in outcomes],
        "numbers": pa.FixedSizeListArray.from_arrays(pa.array(numbers), len(live.NUMBER_NAMES)),
        "tokens": pa.FixedSizeListArray.from_arrays(pa.array(tokens), len(live.SCHEMA.token_names())),
    }
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, schema.field(name).type)
        for name, column in columns.items()
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _manifest(told: Mapping[str, Any]) -> ExportManifest:
    return ExportManifest(
        tenant=str(told["tenant"]),
        features=str(told["features"]),
        began_at=float(told["began_at"]),
        ended_at=float(told["ended_at"]),
        row_count=int(told["row_count"]),
        left_out=int(told["left_out"]),
        parts=tuple(
            # A name, never a path: what is read lies in the folder.
            Part(Path(str(part["name"])).name, int(part["row_count"]), str(part["sha256"]))
            for part in told["parts"]
        ),
        format=str(told["format"]),
    )


def _sha256(path: Path) -> str:
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_SIZE):
            hashed.update(chunk)
    return hashed.hexdigest()
