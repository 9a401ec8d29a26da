"""A trained model as one file: weights, what they were trained on, and what they reached.

Nothing in the file is code (see `container`): the worst that a forged one can do is to answer badly. What does not
match is refused, and named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from alertgraph import __version__
from alertgraph.ml.attribution import Baseline
from alertgraph.ml.blend import Blend
from alertgraph.ml.calibration import Platt
from alertgraph.ml.companions import Linear, Trees
from alertgraph.ml.container import ContainerError, contained, read_bytes, taken_out, write_bytes
from alertgraph.ml.features import FORMAT as FEATURE_FORMAT
from alertgraph.ml.features import FeatureSchema
from alertgraph.ml.model import Answers, ModelShape, NeuralModel

Floats = NDArray[np.float64]

MAGIC = b"AGMODEL1"
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
        header = {
            "manifest": asdict(self.manifest),
            "schema_digest": self.manifest.schema.digest(),
            "blends": {
                question: {"weights": dict(blend.weights), "platt": asdict(blend.platt)}
                for question, blend in self.blends.items()
            },
        }
        return contained(MAGIC, header, arrays)

    def version(self) -> str:
        """Return the hash that names exactly this model."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def write(self, path: Path) -> None:
        """Write the file whole or not at all."""
        write_bytes(path, self.to_bytes())

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
        return artifact_from_bytes(read_bytes(path), schema)
    except ContainerError as error:
        raise ArtifactError(f"{path} {error}") from error
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from error


def artifact_from_bytes(kept: bytes, schema: FeatureSchema | None = None) -> Artifact:
    """Return the model that `Artifact.to_bytes` gave.

    Raises:
        ArtifactError: It is damaged, of another format, or for other features.
    """
    try:
        header, arrays = taken_out(MAGIC, kept, "model")
        return _assembled(header, _manifest(header["manifest"]), arrays, schema)
    except ContainerError as error:
        raise ArtifactError(str(error)) from error
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
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


def _below(arrays: Mapping[str, NDArray[Any]], name: str) -> dict[str, NDArray[Any]]:
    return {key.removeprefix(f"{name}/"): array for key, array in arrays.items() if key.startswith(f"{name}/")}


def _difference(theirs: FeatureSchema, ours: FeatureSchema) -> str:
    """Return the names of what differs."""
    names: Sequence[str] = [each.name for each in fields(FeatureSchema)]
    return ", ".join(name for name in names if getattr(theirs, name) != getattr(ours, name))
