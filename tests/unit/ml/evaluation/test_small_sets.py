"""Tasks over small sets of the same layout, made here: any root will do, and no value is believed unseen."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pytest

np = pytest.importorskip("numpy", reason="the extra ml is not installed")
pytest.importorskip("torch", reason="the extra ml is not installed")

from alertgraph.ml.evaluation import anomalies, causality, grouping, roots  # noqa: E402
from alertgraph.ml.evaluation.registry import DataMissingError, Options  # noqa: E402

OPTIONS = Options(resamplings=5)
ANCHORS = {
    "T3_grouping": {"val_harrison_santos": {"time_delta": {"excl": 0.7, "incl": 0.8}}},
    "T4_alarm_causal_graph_f1": {"published": {"9V": {"THP": 0.5}}},
    "T6_anomaly": {
        "nab_published": {"RCF": [51.7], "KNN_CAD": [58.0]},
        "nab_18_series_vus_pr": {"measured_causal_knn": 0.398},
        "cloud_monitoring_dev_ap_27_series": {"seasonal_median": 0.535},
    },
    "T8_root_cause": {
        "petshop_low_traffic_traversal_published": {
            f"{metric}_top{count}": 0.5 for metric in ("latency", "availability") for count in (1, 3)
        }
    },
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "anchors.json").write_text(json.dumps(ANCHORS), encoding="utf-8")
    return tmp_path


def table(path: Path, names, rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", newline="") if path.suffix == ".gz" else path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(rows)


def value_of(result, target: str, method: str, measure: str) -> float:
    (figure,) = [
        one for one in result.figures if (one.target, one.method, one.measure) == (target, method, measure)
    ]
    return figure.value


def a_stream(path: Path, seed: int, attacks: int = 4) -> None:
    """Noise all the time, and now and then two attacks at once, each of its own kinds on its own hosts."""
    draw = np.random.default_rng(seed)
    rows = [(float(at), "n", f"N-{at % 3}", f"host{at % 4}", "-", "-") for at in range(0, 4000, 20)]
    for number in range(attacks):
        start = 900 * (number + 1)
        for attack, host, kinds in (("scan", "host1", "AB"), ("crack", "host2", "CD")):
            for step in range(6):
                at = start + 4 * step + float(draw.random())
                rows.append((at, "n", f"{kinds[step % 2]}-1", host, attack, f"{attack}.{number}.0"))
    table(
        path,
        ("t", "name", "short", "host", "event_label", "group"),
        sorted(rows),
    )


def test_overlapping_attacks_of_a_small_set_are_told_apart(root) -> None:
    for seed, name in enumerate(("train_a", "train_b", "val_c")):
        a_stream(root / "ait_ads_simul" / f"{name}.csv.gz", seed)

    result = grouping.run(root, OPTIONS)

    target = "overlapping attacks"
    assert value_of(result, target, grouping.SCORER, "ROC-AUC with noise") > 0.95
    # Each attack keeps to a host of its own here, so that grouping by host is as good as it gets.
    assert value_of(result, target, grouping.HOST_WINDOW, "ROC-AUC without noise") > 0.99
    assert value_of(result, target, grouping.WINDOW, "B-cubed F") < 0.5
    assert value_of(result, target, grouping.WIRED, "B-cubed F") > 0.9
    assert {figure.method for figure in result.figures} == {*grouping.CUTS, grouping.WIRED}


def test_causes_of_a_small_network_are_found(root) -> None:
    rows = []
    for turn in range(80):
        start, device = turn * 4000, turn % 4
        rows += [(0, device, start, start + 2000), (1, device, start + 20, start + 60)]
        rows += [(2, device, start + 90, start + 95), (3, device, start + 2500, start + 2501)]
    folder = root / "telecom_alarms" / "9V_4N_Toy"
    table(folder / "alarm.csv.gz", ("alarm_id", "device_id", "start_timestamp", "end_timestamp"), rows)
    table(folder / "causal_edges.csv", ("cause", "effect"), [(0, 1), (1, 2), (0, 2)])
    table(folder / "topology_edges.csv", ("device_a", "device_b"), [(0, 1)])

    result = causality.run(root, OPTIONS)

    assert value_of(result, "9V", causality.OURS, "F1") == 1.0
    assert result.passed
    assert [check.against for check in result.checks] == ["THP (published)"]


def test_anomalies_of_a_few_small_series_are_found(root) -> None:
    draw = np.random.default_rng(0)
    stamps = np.datetime64("2020-01-01T00:00:00") + np.arange(1500) * np.timedelta64(300, "s")
    values = 50 + 10 * np.sin(2 * np.pi * np.arange(1500) / 288) + draw.normal(size=1500)
    values[1200:1240] += 60
    window = [str(stamps[1180]).replace("T", " "), str(stamps[1280]).replace("T", " ")]
    rows = [(str(stamp).replace("T", " "), value) for stamp, value in zip(stamps, values, strict=True)]
    nab = root / "nab"
    table(nab / "data" / "toy" / "spike.csv.gz", ("timestamp", "value"), rows)
    (nab / "combined_windows.json").write_text(json.dumps({"toy/spike.csv": [window]}), encoding="utf-8")
    (nab / "published_scores.json").write_text(json.dumps({"null": {"standard": 0.0}}), encoding="utf-8")
    names = ["file", "POLY", "Sub-PCA", "KShapeAD", "SAND", "MatrixProfile", "Sub-KNN", "IForest", "ts_len"]
    table(
        root / "tsb_ad_tables" / "tsb_ad_u_vus_pr.csv",
        names,
        [("001_NAB_id_1_Toy_tr_500_1st_1180.csv", *[0.1] * 7, 1500)],
    )
    labels = [1 if 1200 <= place < 1240 else 0 for place in range(1500)]
    table(
        root / "cloud_monitoring" / "kind" / "one.csv.gz",
        ("TimeStamp", "Value", "Label"),
        [
            (f"{stamp}Z", "" if place == 700 else value, label)
            for place, (stamp, value, label) in enumerate(zip(stamps, values, labels, strict=True))
        ],
    )

    result = anomalies.run(root, OPTIONS)

    assert value_of(result, "NAB", anomalies.OURS, "score, standard") > 60
    assert value_of(result, "NAB", f"{anomalies.OURS}, rule of sensitivity NORMAL", "score, standard") > 60
    told = [
        value_of(result, "NAB", f"{anomalies.OURS}, rule of sensitivity {name}", "reports a series")
        for name in ("LOW", "NORMAL", "HIGH")
    ]
    assert told == sorted(told)
    assert value_of(result, "NAB 18 series", anomalies.OURS, "VUS-PR") > 0.4
    assert value_of(result, "Cloud Monitoring", anomalies.OURS, "average precision") > 0.8
    assert value_of(result, "Cloud Monitoring", "chance", "average precision") < 0.2
    assert value_of(result, "NAB 18 series", "POLY (TSB-AD's table)", "VUS-PR") == pytest.approx(0.1)


def metrics(path: Path, slow: dict[str, float], row_count: int, seed: int) -> None:
    """Latency and requests of three services; those named are slower by so many seconds."""
    draw = np.random.default_rng(seed)
    services = ("web", "cart", "db")
    columns = [
        ("unix_timestamp", "", "", range(row_count)),
        *(
            (name, "latency", "Average", 0.1 + slow.get(name, 0.0) + 0.002 * draw.normal(size=row_count))
            for name in services
        ),
        *((name, "requests", "Sum", np.full(row_count, 100.0)) for name in services),
    ]
    heads = list(zip(*[column[:3] for column in columns], strict=True))
    rows = [["unix_timestamp", *[""] * 6], *zip(*[column[3] for column in columns], strict=True)]
    table(path, ["microservice", *heads[0][1:]], [["metric", *heads[1][1:]], ["statistic", *heads[2][1:]], *rows])


def test_roots_of_a_small_shop_are_named(root) -> None:
    folder = root / "petshop" / "low_traffic"
    table(folder / "graph.csv", ("", "web", "cart", "db"), [("web", 0, 1, 0), ("cart", 0, 0, 1), ("db", 0, 0, 0)])
    metrics(folder / "noissue" / "metrics.csv.gz", {}, 200, 0)
    troubles = {"db": {"db": 1.0, "cart": 1.1, "web": 1.2}, "cart": {"cart": 0.5, "web": 0.6}}
    for place, (cause, slow) in enumerate(troubles.items()):
        issue = folder / "test" / f"issue_{place}"
        metrics(issue / "metrics.csv.gz", slow, 5, place + 1)
        told = {
            "target": {"node": "web", "metric": "latency", "agg": "Average", "timestamp": 0},
            "root_cause": {"node": cause, "metric": None},
        }
        (issue / "target.json").write_text(json.dumps(told), encoding="utf-8")
    (folder / "train").mkdir()

    result = roots.run(root, OPTIONS)

    assert value_of(result, "low traffic, latency", roots.OURS, "top-1") == 1.0
    assert value_of(result, "low traffic, latency", "most frequent root", "top-1") == 0.0
    assert result.passed


@pytest.mark.parametrize("task", [grouping, causality, anomalies, roots])
def test_a_root_without_the_set_is_told(root, task) -> None:
    with pytest.raises(DataMissingError, match="is not there"):
        task.run(root, OPTIONS)
