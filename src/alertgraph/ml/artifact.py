"""A trained model as one file: weights, what they were trained on, and what they reached.

The file is a header of JSON and plain arrays of numbers behind it, under one checksum. Nothing in it is code and
nothing is unpickled: scikit-learn's and torch's own formats hold pickles, which run what they like when they are
loaded; here the worst that a forged file can do is to answer badly. What does not match is refused, and named.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import torch
from numpy.typing import NDArray

from alertgraph import __version__
from alertgraph.ml.attribution import Baseline
from alertgraph.ml.blend import Blend
from alertgraph.ml.calibration import Platt
from alertgraph.ml.companions import Linear, Trees
from alertgraph.ml.features import FORMAT as FEATURE_FORMAT
from alertgraph.ml.features import FeatureSchema
from alertgraph.ml.model import Answers, ModelShape, NeuralModel

Floats = NDArray[np.float64]

MAGIC = b"AGMODEL1"
HEADER_SIZE_MAX = 4 * 1024 * 1024
FILE_SIZE_MAX = 256 * 1024 * 1024
DTYPES = {"<f4": np.float32, "<f8": np.float64, "<i4": np.int32}
NETWORK, TREES, LINEAR = "network", "trees", "linear"
# What a model that is given to everyone may be trained on.
LICENCES_GIVEN_ON = frozenset({"MIT", "CC BY 4.0"})


class ArtifactError(Exception):
    """A file is no model of ours, or not one for this schema or version; the message names what differs."""


@dataclass(frozen=True, slots=True)
class Source:
    """Data that a model was trained on.

    Attributes:
        name: "UCI ServiceNow incident log".
        licence: "CC BY 4.0".
        began_at: The first alert, in seconds since 1970, or of the data's own clock.
        ended_at: The last one.
        alert_count: How many.
    """

    name: str
    licence: str
    began_at: float
    ended_at: float
    alert_count: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is told of a model without loading it.

    Attributes:
        name: "torch_v1".
        sources: Everything that it was trained on.
        evaluation: What it reached: "late24 AUROC" → 0.86, on alerts later than those it was trained on.
        schema: Its features, in order.
        shape: The sizes of its network.
        code_version: Of alertgraph, when it was trained.
        feature_format: Of the states it was trained with.
    """

    name: str
    sources: tuple[Source, ...]
    evaluation: Mapping[str, float]
    schema: FeatureSchema
    shape: ModelShape
    code_version: str = __version__
    feature_format: str = FEATURE_FORMAT.decode("ascii")

    def __post_init__(self) -> None:
        """Refuse sizes that the features do not have.

        Raises:
            ArtifactError: A size differs.
        """
        schema, shape = self.schema, self.shape
        for what, has, needs in (
            ("numbers", len(schema.number_names()), shape.number_count),
            ("properties", len(schema.fields) + len(schema.crosses), shape.field_count),
            ("words", schema.token_count, shape.word_count),
            ("buckets", schema.bucket_count, shape.bucket_count),
        ):
            if has != needs:
                raise ArtifactError(f"the schema has {has} {what}, the network takes {needs}")


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model with everything that it needs to answer.

    Attributes:
        manifest: What is told of it.
        network: Answers all questions.
        trees: By question; empty where it has none.
        linear: By question; empty where it has none.
        blends: By question.
        baseline: The usual alert, which explanations start from.
    """

    manifest: Manifest
    network: NeuralModel
    trees: Mapping[str, Trees]
    linear: Mapping[str, Linear]
    blends: Mapping[str, Blend]
    baseline: Baseline

    def members(
        self, numbers: NDArray[np.float32], tokens: NDArray[np.int32]
    ) -> tuple[dict[str, dict[str, Floats]], Answers]:
        """Return what each model says of rows, by question and model, and all that the network says."""
        told = self.network.answers(numbers, tokens)
        each: dict[str, dict[str, Floats]] = {}
        for question in self.blends:
            each[question] = {NETWORK: told.probabilities[question]}
            if question in self.trees:
                each[question][TREES] = self.trees[question].probabilities(numbers)
            if question in self.linear:
                each[question][LINEAR] = self.linear[question].probabilities(numbers, tokens)
        return each, told

    def answers(self, numbers: NDArray[np.float32], tokens: NDArray[np.int32]) -> Answers:
        """Return what all models together say of rows."""
        each, told = self.members(numbers, tokens)
        together = {question: blend(each[question]) for question, blend in self.blends.items()}
        return Answers(together, told.survival, told.survivals)

    def to_bytes(self) -> bytes:
        """Return the file; the same model gives the same bytes."""
        arrays: dict[str, NDArray[Any]] = {"baseline": self.baseline.numbers}
        for name, tensor in self.network.network.state_dict().items():
            arrays[f"{NETWORK}/{name}"] = tensor.detach().numpy()
        for kind, models in ((TREES, self.trees), (LINEAR, self.linear)):
            for question, model in models.items():
                arrays.update({f"{kind}/{question}/{name}": array for name, array in model.arrays().items()})
        told, parts, offset = {}, [], 0
        for name in sorted(arrays):
            array = np.ascontiguousarray(arrays[name])
            kept = array.astype(array.dtype.newbyteorder("<")).tobytes()
            told[name] = {
                "dtype": f"<{array.dtype.kind}{array.dtype.itemsize}",
                "shape": array.shape,
                "at": offset,
            }
            parts.append(kept)
            offset += len(kept)
        header = orjson.dumps(
            {
                "manifest": asdict(self.manifest),
                "schema_digest": self.manifest.schema.digest(),
                "blends": {
                    question: {"weights": dict(blend.weights), "platt": asdict(blend.platt)}
                    for question, blend in self.blends.items()
                },
                "arrays": told,
            },
            option=orjson.OPT_SORT_KEYS,
        )
        body = struct.pack("<Q", len(header)) + header + b"".join(parts)
        return MAGIC + hashlib.sha256(body).digest() + body

    def version(self) -> str:
        """Return the hash that names exactly this model."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def write(self, path: Path) -> None:
        """Write the file whole or not at all."""
        beside = path.with_name(f"{path.name}.part")
        beside.write_bytes(self.to_bytes())
        beside.replace(path)

    def check_given_on(self) -> None:
        """Refuse to give a model to everyone that was trained on what may not be given on.

        Raises:
            ArtifactError: A source's licence does not allow it.
        """
        for source in self.manifest.sources:
            if source.licence not in LICENCES_GIVEN_ON:
                raise ArtifactError(f"a model trained on {source.name} ({source.licence}) cannot be given on")


def read_artifact(path: Path, schema: FeatureSchema | None = None) -> Artifact:
    """Return the model in a file.

    Args:
        path: The file.
        schema: The features that it will be given; None takes those it was trained with.

    Raises:
        ArtifactError: It is not there, damaged, of another format, or for other features.
    """
    try:
        size = path.stat().st_size
        if size > FILE_SIZE_MAX:
            raise ArtifactError(f"{path} has {size} bytes; no model of ours is that large")
        kept = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
    try:
        return artifact_from_bytes(kept, schema)
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from error


def artifact_from_bytes(kept: bytes, schema: FeatureSchema | None = None) -> Artifact:
    """Return the model that `Artifact.to_bytes` gave.

    Raises:
        ArtifactError: It is damaged, of another format, or for other features.
    """
    if kept[:8] != MAGIC:
        raise ArtifactError("this is no model, or one of another format")
    body = kept[40:]
    if hashlib.sha256(body).digest() != kept[8:40]:
        raise ArtifactError("the file is damaged: its checksum differs")
    (header_size,) = struct.unpack_from("<Q", body)
    if header_size > min(HEADER_SIZE_MAX, len(body) - 8):
        raise ArtifactError("the header is longer than the file")
    try:
        header = orjson.loads(body[8 : 8 + header_size])
        manifest = _manifest(header["manifest"])
        arrays = _arrays(header["arrays"], body[8 + header_size :])
        return _assembled(header, manifest, arrays, schema)
    except (KeyError, TypeError, ValueError, RuntimeError, struct.error) as error:
        # The checksum holds, so whoever wrote this wrote it so.
        raise ArtifactError(f"the file does not hold together: {error}") from error


def _assembled(
    header: Mapping[str, Any],
    manifest: Manifest,
    arrays: Mapping[str, NDArray[Any]],
    schema: FeatureSchema | None,
) -> Artifact:
    if manifest.feature_format != FEATURE_FORMAT.decode("ascii"):
        raise ArtifactError(f"features of format {manifest.feature_format}; this version makes {FEATURE_FORMAT!r}")
    if header["schema_digest"] != manifest.schema.digest():
        raise ArtifactError("the schema is not the one that the digest was made of")
    if schema is not None and schema != manifest.schema:
        raise ArtifactError(f"it was trained with other features: {_difference(manifest.schema, schema)}")
    shape = manifest.shape
    model = NeuralModel(shape)
    weights = _below(arrays, NETWORK)
    expected = {name: tuple(tensor.shape) for name, tensor in model.network.state_dict().items()}
    if {name: array.shape for name, array in weights.items()} != expected:
        wrong = sorted(
            {name for name in expected.keys() | weights.keys() if name not in weights or name not in expected}
            | {name for name in expected.keys() & weights.keys() if weights[name].shape != expected[name]}
        )
        raise ArtifactError(f"weights that the network does not have, or of another size: {', '.join(wrong)}")
    model.network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})
    model.network.eval()
    trees, linear, blends = {}, {}, {}
    for question in shape.questions:
        told = header["blends"][question]
        blends[question] = Blend(dict(told["weights"]), Platt(**told["platt"]))
        own_trees, own_linear = (_below(arrays, f"{kind}/{question}") for kind in (TREES, LINEAR))
        if own_trees:
            trees[question] = Trees.from_arrays(own_trees, shape.number_count)
        if own_linear:
            linear[question] = Linear.from_arrays(own_linear, shape.number_count, shape.bucket_count)
        for kind, has in ((TREES, own_trees), (LINEAR, own_linear)):
            if told["weights"].get(kind) and not has:
                raise ArtifactError(f"the blend for {question} needs {kind}, which the file does not have")
    baseline = arrays["baseline"]
    if baseline.shape != (shape.number_count,):
        raise ArtifactError("the usual alert has other numbers")
    return Artifact(manifest, model, trees, linear, blends, Baseline(baseline.astype(np.float32)))


def _manifest(told: Mapping[str, Any]) -> Manifest:
    return Manifest(
        name=str(told["name"]),
        sources=tuple(Source(**source) for source in told["sources"]),
        evaluation={str(name): float(value) for name, value in told["evaluation"].items()},
        schema=FeatureSchema(**{name: _tuples(value) for name, value in told["schema"].items()}),
        shape=ModelShape(**{name: _tuples(value) for name, value in told["shape"].items()}),
        code_version=str(told["code_version"]),
        feature_format=str(told["feature_format"]),
    )


def _tuples(value: Any) -> Any:
    """Return JSON's lists as the tuples that they were."""
    return tuple(_tuples(part) for part in value) if isinstance(value, list) else value


def _arrays(told: Mapping[str, Mapping[str, Any]], parts: bytes) -> dict[str, NDArray[Any]]:
    arrays = {}
    for name, about in told.items():
        if about["dtype"] not in DTYPES:
            raise ArtifactError(f"{name} is of type {about['dtype']}, which no model has")
        kind = np.dtype(about["dtype"])
        count = math.prod(about["shape"])
        if (
            about["at"] < 0
            or min(about["shape"], default=0) < 0
            or about["at"] + count * kind.itemsize > len(parts)
        ):
            raise ArtifactError(f"{name} lies outside the file")
        array = (
            np.frombuffer(parts, kind, count, about["at"]).reshape(about["shape"]).astype(DTYPES[about["dtype"]])
        )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ArtifactError(f"{name} has values that are no numbers")
        arrays[name] = array
    return arrays


def _below(arrays: Mapping[str, NDArray[Any]], name: str) -> dict[str, NDArray[Any]]:
    return {key.removeprefix(f"{name}/"): array for key, array in arrays.items() if key.startswith(f"{name}/")}


def _difference(theirs: FeatureSchema, ours: FeatureSchema) -> str:
    """Return the names of what differs."""
    names: Sequence[str] = [each.name for each in fields(FeatureSchema)]
    return ", ".join(name for name in names if getattr(theirs, name) != getattr(ours, name))
