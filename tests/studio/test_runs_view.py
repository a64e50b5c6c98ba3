"""Runs, asked over HTTP: figures, curves and comparisons are those of the files and of bball evaluate."""

from __future__ import annotations

import json
import os
import runpy
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
import yaml  # type: ignore[import-untyped]

from bball_pl import project
from bball_pl.evaluate.report.curves import read_curves
from bball_pl.photos.photos_csv import PhotoRecord, write_photos_csv

from helpers.finished_runs import CONFIG, A, B, make_run
from helpers.fit_runs import ROOT, here
from helpers.report_evaluations import epochs, log
from helpers.studio_views import Studio, studio


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    logs = tmp_path_factory.mktemp("runs") / "lightning_logs"
    targets = [0] * 20 + [1] * 20 + [2] * 20
    # B is right where A is wrong, eleven times; once it is the other way round.
    said_a = [0] * 14 + [2] * 6 + [1] * 14 + [2] * 6 + [2] * 20
    said_b = [0] * 20 + [1] * 20 + [2] * 19 + [0]
    log(make_run(logs, A, targets, said_a), epochs([0.9, 0.7, 0.8]))
    log(make_run(logs, B, targets, said_b, lr=0.001, probe=False), epochs([0.8, float("nan"), 0.6]))
    make_run(logs, "others/version_0", targets[:30], said_a[:30])
    return logs


@pytest.fixture(scope="module")
def own(logs: Path) -> Iterator[Studio]:
    with studio(logs) as running:
        yield running


def test_the_table_has_the_figures_of_the_files(own: Studio, logs: Path) -> None:
    found = {run["id"]: run for run in own.get("/api/runs").json["runs"]}
    assert {A, B, "others/version_0"} <= set(found)
    metrics = json.loads((logs / A / project.METRICS).read_text())
    for key in ("accuracy", "accuracy_ci95", "macro_f1", "ece", "n"):
        assert found[A][key] == metrics[key]
    assert (found[A]["backbone"], found[A]["dataset"], found[A]["state"]) == ("test_resnet", "photos", "finished")
    assert (found[A]["epoch"], found[A]["max_epochs"], found[A]["calibrated"]) == (3, 3, True)
    assert found[A]["missing"] == ["checkpoint", "calibration", "report"]
    assert "confusion" not in found[A], "the table is small"
    assert own.get(f"/api/runs/{A}").json["confusion"] == metrics["confusion"]


def test_rendered_photos_are_named(tmp_path: Path) -> None:
    make_run(tmp_path / "lightning_logs", A, [0, 1, 2], [0, 1, 2])
    rows = [PhotoRecord(f"{split}/shoot/a.jpg", "shoot", source="demo court") for split in ("train", "test")]
    with studio(tmp_path / "lightning_logs") as running:
        assert running.get(f"/api/runs/{A}").json["origin"] is None, "nothing is said of what is not known"
    write_photos_csv(tmp_path / "photos/photos.csv", rows)
    with studio(tmp_path / "lightning_logs") as running:
        os.utime(tmp_path / "lightning_logs" / A / project.CONFIG, (1, 1))  # what was read of the run is kept
        (run,) = running.get("/api/runs").json["runs"]
        assert run["origin"]["en"].startswith(
            "Trained and tested on rendered scenes: this model has seen no real photo"
        )
        assert "沒看過任何真實照片" in running.get(f"/api/runs/{A}").json["origin"]["zh-Hant"]


def test_curves_are_those_of_the_event_files(own: Studio, logs: Path) -> None:
    for name in (A, B):
        shown = own.get(f"/api/runs/{name}").json["curves"]
        read = read_curves(logs / name, logs / name / project.CHECKPOINTS / project.BEST)
        assert read is not None
        assert shown["last_epoch"] == read.last_epoch == 3
        for tag, curve in read.curves.items():
            assert shown["curves"][tag]["epochs"] == curve.epochs
            # Not a number is null: JSON has no word for it.
            assert shown["curves"][tag]["values"] == [None if np.isnan(value) else value for value in curve.values]
    assert shown["curves"]["val/loss"]["values"][1] is None


def test_compare_says_what_the_script_says(
    own: Studio, logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = ROOT / "scripts" / "evaluate.py"
    monkeypatch.setattr(sys, "argv", [str(script), "--compare", str(logs / A), str(logs / B), "--out", str(tmp_path)])
    runpy.run_path(str(script), run_name="__main__")
    assert "B is better" in capsys.readouterr().out
    wanted = json.loads((tmp_path / "comparison.json").read_text())
    found = own.get("/api/runs/compare", a=A, b=B).json
    comparison = found["comparison"]
    assert {key: comparison[key] for key in wanted} == wanted
    assert comparison["winner"] == "B"
    assert comparison["agrees"] is True
    changed = (tmp_path / "changed.csv").read_text().splitlines()[1:]
    assert [f"{row['path']},{row['class_name']}" for row in comparison["photos"]] == [
        ",".join(line.split(",")[:2]) for line in changed
    ]
    assert found["uncalibrated"] == []
    assert {row["name"]: (row["a"], row["b"]) for row in found["settings"]} == {
        "model.lr": ("0.0003", "0.001"),
        "model.probe": ("", "false"),
    }


def test_the_other_way_round_and_with_itself(own: Studio) -> None:
    swapped = own.get("/api/runs/compare", a=B, b=A).json["comparison"]
    assert swapped["winner"] == "A"
    assert {row["photo"] for row in swapped["photos"]} == {""}, "photos that are gone have no picture"
    itself = own.get("/api/runs/compare", a=A, b=A).json["comparison"]
    assert (itself["photos"], itself["p_value"], itself["winner"]) == ([], 1.0, None)


def test_what_cannot_be_compared_says_why(own: Studio, logs: Path) -> None:
    found = own.get("/api/runs/compare", a=A, b="others/version_0").json
    assert found["comparison"] is None
    assert "photos are not the same" in found["reason"]
    (logs / "others/version_1").mkdir()
    found = own.get("/api/runs/compare", a=A, b="others/version_1").json
    assert "predictions_test.csv" in found["reason"]
    assert found["settings"] is None
    assert str(logs) not in json.dumps(found)


def test_half_and_damaged_runs(own: Studio, logs: Path) -> None:
    empty, broken, cut = (logs / "odd" / f"version_{number}" for number in range(3))
    for run in (empty, broken, cut):
        run.mkdir(parents=True)
    (broken / project.CONFIG).write_text("model: [no end\n")
    (broken / project.METRICS).write_text('{"accuracy": 0.5')
    log(cut, epochs([0.9, 0.8]))
    (cut / project.CONFIG).write_text(yaml.safe_dump(CONFIG))
    (cut / project.METRICS).write_text('{"accuracy": NaN, "n": 3}')
    event = next(cut.glob("events.*"))
    event.write_bytes(event.read_bytes()[:-20])
    found = {run["id"]: run for run in own.get("/api/runs").json["runs"]}
    assert found["odd/version_0"]["state"] == "empty"
    assert [problem["file"] for problem in found["odd/version_1"]["problems"]] == [project.CONFIG, project.METRICS]
    assert found["odd/version_1"]["accuracy"] is None
    page = own.get("/api/runs/odd/version_1").json
    assert (page["settings"], page["curves"], page["confusion"]) == (None, None, None)
    assert "again" not in page["commands"]
    assert found["odd/version_2"]["epoch"] in {1, 2}, "what was written before the damage is shown"
    assert found["odd/version_2"]["problems"][0]["file"] == project.METRICS


def test_a_run_that_trains_is_followed(own: Studio, logs: Path) -> None:
    run = logs / "live" / "version_0"
    log(run, epochs([0.9]))
    (run / project.CONFIG).write_text(yaml.safe_dump(CONFIG))
    first = own.get("/api/runs/live/version_0").json
    assert (first["state"], first["epoch"], first["missing"]) == ("training", 1, ["checkpoint"])
    log(run, epochs([0.9, 0.5])[1:], first_epoch=1)
    second = own.get("/api/runs/live/version_0").json
    assert (second["epoch"], second["curves"]["curves"]["val/loss"]["values"]) == (2, [pytest.approx(0.9), 0.5])
    (run / project.CHECKPOINTS).mkdir()
    (run / project.CHECKPOINTS / project.LAST).write_bytes(b"")
    long_ago = time.time() - 4000
    for path in run.rglob("*"):
        os.utime(path, (long_ago, long_ago))
    stopped = own.get("/api/runs/live/version_0").json
    assert stopped["state"] == "stopped"
    assert stopped["commands"]["resume"].startswith("bball fit --resume ")
    assert "metrics" in stopped["missing"]


def test_figures_older_than_the_checkpoint_are_told(own: Studio, logs: Path) -> None:
    run = make_run(logs, "late/version_0", [0, 1, 2], [0, 1, 2])
    (run / project.CHECKPOINTS).mkdir()
    (run / project.CHECKPOINTS / project.BEST).write_bytes(b"new")
    assert own.get("/api/runs/late/version_0").json["stale"] is False
    long_ago = time.time() - 4000
    os.utime(run / project.METRICS, (long_ago, long_ago))
    assert own.get("/api/runs/late/version_0").json["stale"] is True


def test_settings_that_differ(
    own: Studio, logs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = here(["--model.lr=0.001", "--data.augment=light", "--print_config"], 0, monkeypatch, capsys)
    run = logs / "settings" / "version_0"
    run.mkdir(parents=True)
    (run / project.CONFIG).write_text(out)
    # Every other setting of the real command line equals its default.
    assert own.get("/api/runs/settings/version_0").json["settings"] == [
        {"name": "model.lr", "value": "0.001", "default": "0.0003"},
        {"name": "data.augment", "value": "light", "default": "heavy"},
    ]


def test_the_report_runs_in_a_sandbox(own: Studio, logs: Path) -> None:
    assert own.get(f"/api/runs/{A}/report").status == 404
    page = "<!doctype html><style>p {color: red}</style><p>球</p><script>document.title = 'ran'</script>"
    (logs / B / "report.html").write_text(page, encoding="utf-8")
    answer = own.get(f"/api/runs/{B}/report")
    assert answer.body.decode() == page
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
    assert policy["sandbox"] == "allow-scripts"
    assert policy["default-src"] == "'none'"
    assert "connect-src" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    (logs / B / "report.html").unlink()
    (logs / B / "report.html").symlink_to(ROOT / "README.md")
    assert own.get(f"/api/runs/{B}/report").status == 404, "a link is not a report"
    (logs / B / "report.html").unlink()


@pytest.mark.parametrize("name", ["moves/version_9", "..%2f..%2fetc/version_0", "moves/version_0%2f..", "moves/%2e%2e"])
def test_only_runs_can_be_asked(own: Studio, name: str) -> None:
    for path in (f"/api/runs/{name}", f"/api/runs/{name}/report"):
        answer = own.get(path)
        assert answer.status == 404
        assert "message" in answer.json


def test_names_that_are_no_text_or_no_plain_text(own: Studio, logs: Path) -> None:
    for name in (b"\xff\xfe", "籃球 #1 & <b>".encode()):
        run = logs / os.fsdecode(name) / "version_0"
        run.mkdir(parents=True)
        (run / project.CONFIG).write_text(yaml.safe_dump(CONFIG))
    names = [run["id"] for run in own.get("/api/runs").json["runs"]]
    assert "籃球 #1 & <b>/version_0" in names
    assert not any("\ufffd" in name for name in names)
    assert own.get(f"/api/runs/{quote('籃球 #1 & <b>')}/version_0").json["commands"]["again"].count("'") == 2


def test_a_run_that_a_link_leads_out_to_is_not_listed(own: Studio, logs: Path, tmp_path: Path) -> None:
    outside = make_run(tmp_path / "lightning_logs", "x/version_0", [0, 1, 2], [0, 1, 2])
    (logs / "linked").mkdir()
    (logs / "linked" / "version_0").symlink_to(outside)
    assert "linked/version_0" not in {run["id"] for run in own.get("/api/runs").json["runs"]}
    assert own.get("/api/runs/linked/version_0").status == 404
