from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

np = pytest.importorskip("numpy", reason="the extra ml is not installed")
pytest.importorskip("torch", reason="the extra ml is not installed")
pytest.importorskip("sklearn", reason="the extra ml is not installed")

from alertgraph.ml.artifact import (  # noqa: E402
    Artifact,
    ArtifactError,
    Manifest,
    Source,
    artifact_from_bytes,
    read_artifact,
)
from alertgraph.ml.attribution import Baseline  # noqa: E402
from alertgraph.ml.blend import Blend  # noqa: E402
from alertgraph.ml.calibration import Platt  # noqa: E402
from alertgraph.ml.companions import TreeFitting, fit_linear, fit_trees  # noqa: E402
from alertgraph.ml.model import Fitting, NeuralModel  # noqa: E402
from tests.unit.ml.small import SCHEMA  # noqa: E402
from tests.unit.ml.test_model import SHAPE, examples  # noqa: E402

LOG = Source("a log", "CC BY 4.0", 0.0, 10.0, 1_200)


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    some = examples(400)
    network = NeuralModel(SHAPE, seed=1)
    network.fit(some, Fitting(epochs=1))
    trees = {
        question: fit_trees(some.numbers, some.answers[:, place], some.weights, TreeFitting(tree_count=3))
        for place, question in enumerate(SHAPE.questions)
    }
    linear = {
        question: fit_linear(some.numbers, some.tokens, some.answers[:, place], some.weights, SHAPE.bucket_count)
        for place, question in enumerate(SHAPE.questions)
    }
    blend = Blend({"network": 0.5, "trees": 0.25, "linear": 0.25}, Platt(0.9, 0.1, 300.0))
    return Artifact(
        Manifest("torch_v1", (LOG,), {"late AUROC": 0.9}, SCHEMA, SHAPE),
        network,
        trees,
        linear,
        dict.fromkeys(SHAPE.questions, blend),
        Baseline.of(some.numbers),
    )


def forged(kept: bytes, change: Callable[[dict[str, object]], None]) -> bytes:
    """Return the file with another header, under a checksum that holds."""
    (size,) = struct.unpack_from("<Q", kept, 40)
    header = orjson.loads(kept[48 : 48 + size])
    change(header)
    written = orjson.dumps(header)
    body = struct.pack("<Q", len(written)) + written + kept[48 + size :]
    return kept[:8] + hashlib.sha256(body).digest() + body


def test_a_model_read_back_answers_bit_by_bit_the_same(artifact: Artifact, tmp_path: Path) -> None:
    some = examples(50, seed=3)
    artifact.write(tmp_path / "torch_v1.agm")

    read = read_artifact(tmp_path / "torch_v1.agm", SCHEMA)

    assert read.manifest == artifact.manifest
    assert read.to_bytes() == artifact.to_bytes()
    assert read.version() == artifact.version()
    one, other = (model.answers(some.numbers, some.tokens) for model in (artifact, read))
    assert all((one.probabilities[name] == other.probabilities[name]).all() for name in SHAPE.questions)
    assert (one.survival == other.survival).all()
    assert [path.name for path in tmp_path.iterdir()] == ["torch_v1.agm"]


def test_a_model_for_other_features_is_refused_by_name(artifact: Artifact) -> None:
    with pytest.raises(ArtifactError, match=r"other features: half_lives, kind_windows$"):
        artifact_from_bytes(artifact.to_bytes(), replace(SCHEMA, half_lives=(60.0, 90.0), kind_windows=(1.0,)))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda kept: b"PK" + kept[2:], "no model"),
        (lambda kept: b"", "no model"),
        (lambda kept: kept[:-4], "damaged"),
        (lambda kept: kept[:300] + b"\x00" + kept[301:], "damaged"),
    ],
)
def test_what_is_damaged_is_refused(artifact: Artifact, spoil: Callable[[bytes], bytes], says: str) -> None:
    with pytest.raises(ArtifactError, match=says):
        artifact_from_bytes(spoil(artifact.to_bytes()))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda header: header["manifest"].update(feature_format="AGFS0000"), "features of format AGFS0000"),
        (lambda header: header["manifest"]["schema"].update(token_count=4), "the schema has 4 words"),
        (lambda header: header["manifest"]["schema"].update(outcome_strength=3.0), "not the one that the digest"),
        (lambda header: header["manifest"]["schema"].update(fields=["closed_code"] * 4), "closed_code"),
        (lambda header: header["manifest"]["shape"].update(hidden_size=64), "another size: .*middle"),
        (lambda header: header["arrays"].pop("network/out"), "another size: out"),
        (lambda header: header["arrays"]["network/out"].update(dtype="|O8"), "type |O8"),
        (lambda header: header["arrays"]["network/out"].update(at=10**9), "outside the file"),
        (lambda header: header["arrays"]["network/out"].update(shape=[-1, 4]), "outside the file"),
        (lambda header: header["blends"].pop("late"), "late"),
        (lambda header: header["manifest"].pop("sources"), "sources"),
        (lambda header: header.update(manifest=[]), "hold together"),
    ],
)
def test_what_does_not_match_is_named(
    artifact: Artifact, change: Callable[[dict[str, object]], None], says: str
) -> None:
    with pytest.raises(ArtifactError, match=says):
        artifact_from_bytes(forged(artifact.to_bytes(), change))


def test_weights_that_are_no_numbers_are_refused(artifact: Artifact) -> None:
    spoilt = NeuralModel(SHAPE)
    spoilt.network.out.data[0, 0, 0] = float("nan")

    with pytest.raises(ArtifactError, match="network/out has values that are no numbers"):
        artifact_from_bytes(replace(artifact, network=spoilt).to_bytes())


def test_a_blend_needs_the_models_that_it_weighs(artifact: Artifact) -> None:
    with pytest.raises(ArtifactError, match="late needs trees"):
        artifact_from_bytes(replace(artifact, trees={}).to_bytes())


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"nowhere\.agm cannot be read"):
        read_artifact(tmp_path / "nowhere.agm")


def test_what_may_not_be_given_on_is_not(artifact: Artifact) -> None:
    artifact.check_given_on()
    tainted = replace(
        artifact, manifest=replace(artifact.manifest, sources=(LOG, Source("AIT-ADS", "GPL-3.0", 0.0, 1.0, 5)))
    )

    with pytest.raises(ArtifactError, match=r"AIT-ADS \(GPL-3.0\)"):
        tainted.check_given_on()
