"""Try, asked over HTTP: the answers are those of bball predict, and nothing hostile gets through."""

from __future__ import annotations

import base64
import io
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from bball_pl import project
from bball_pl.evaluate.calibration import UNSURE, DecisionRule, read_calibration
from bball_pl.evaluate.explain import grad_cam
from bball_pl.evaluate.trained_model import TrainedModel
from bball_pl.export.export import export_model
from bball_pl.export.options import ExportSettings
from bball_pl.model.classifier import MoveClassifier
from bball_pl.photos.decode import decode
from bball_pl.studio.state import Models
from bball_pl.studio.try_.engines import EngineCache
from bball_pl.verify.parity import FP32_LIMIT

from helpers.painting import COLOURS, paint_photo
from helpers.predict_runs import calibrated, predict, rows_of
from helpers.studio_views import Studio, studio
from helpers.try_runs import OWN, RAW, make_run, mixture, png

FILES = [f"tiny/BasketballMoves.{suffix}" for suffix in ("onnx", "mlpackage", "mlmodel")]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, an export of the first in all formats, and what exports should not be."""
    base = tmp_path_factory.mktemp("try")
    logs = base / "lightning_logs"
    checkpoint = calibrated(make_run(logs, OWN, 5.0), 1.3, 0.8)
    make_run(logs, RAW, 2.0)
    (logs / "tiny/version_2").mkdir()
    for place, (name, colour) in enumerate(COLOURS.items()):
        for split, more in (("train", 50), ("test", 0)):
            paint_photo(base / "photos" / split / name / "0.png", colour, place + more)
    settings = ExportSettings(photos=3)
    model = TrainedModel.open(checkpoint, device="cpu")
    exported = export_model(model, base / "exports/tiny", settings, base / "photos", Console(quiet=True))
    assert exported.passed
    for name in ("broken", ".partial"):
        (base / "exports" / name).mkdir()
        (base / "exports" / name / "BasketballMoves.onnx").write_bytes(b"no model")
    shutil.copy(base / "exports/tiny/BasketballMoves.onnx", base / "exports/broken/Unknown.onnx")
    return base


@pytest.fixture(scope="module")
def own(base: Path) -> Iterator[Studio]:
    with studio(base / "lightning_logs", base / "lightning_logs" / OWN / project.CHECKPOINTS / project.BEST) as running:
        yield running


def shares(answer: dict[str, Any]) -> dict[str, float]:
    return {row["name"]: row["share"] for row in answer["probabilities"]}


def picture(uri: str) -> np.ndarray:
    """The pixels of a data URI, in OpenCV's order."""
    content = base64.b64decode(uri.partition("base64,")[2])
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    return pixels


def test_it_answers_as_predict_does(
    own: Studio, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = {f"{share:.2f}.png": mixture("shoot", "layup", share) for share in (0.0, 0.2, 0.25, 0.3, 0.7, 1.0)}
    for name, pixels in photos.items():
        (tmp_path / name).write_bytes(png(pixels))
    out, _ = predict([tmp_path, "--run", base / "lightning_logs" / OWN, "--format", "csv"], monkeypatch, capsys)
    rows = {Path(row["path"]).name: row for row in rows_of(out)}
    calibration = read_calibration(base / "lightning_logs" / OWN / "checkpoints/best.ckpt")
    rule = DecisionRule.of_calibration(list(COLOURS), calibration)
    said = set()
    for name in photos:
        (answer,) = own.post("/api/try/answer", (tmp_path / name).read_bytes(), model=OWN).json["answers"]
        row = rows[name]
        for label, share in shares(answer).items():
            assert share == pytest.approx(float(row[f"prob_{label}"]), abs=2e-6)
        text = UNSURE if answer["unsure"] else answer["predicted"]
        assert text == row["answer"]
        assert text == rule.answer(np.array(list(shares(answer).values()))).label
        assert answer["threshold"] == 0.8
        assert answer["calibration"] == "fitted"
        said.add(text)
    assert said == {"shoot", "layup", UNSURE}


def test_engines_agree(own: Studio) -> None:
    listed = own.get("/api/try/engines", model=OWN).json["engines"]
    assert [row["id"] for row in listed if row["matches"]] == FILES
    assert all(row["proven"] and row["available"] for row in listed if row["matches"])
    assert [row["fp16"] for row in listed if row["matches"]] == [False, True, False]
    for share in (0.0, 0.4, 1.0):
        found = own.post("/api/try/answer", png(mixture("dribble", "shoot", share)), model=OWN, engine=FILES).json
        first, *others = found["answers"]
        assert [row["engine"] for row in others] == FILES
        assert first["difference"] is None
        for row in others:
            gap = max(abs(share - shares(first)[name]) for name, share in shares(row).items())
            assert row["difference"] == pytest.approx(gap, abs=1e-12)
            # Rounding to 16 bits is what an ML Program for a phone does.
            assert gap <= (5e-3 if row["engine"].endswith("mlpackage") else FP32_LIMIT)
            assert (row["predicted"], row["threshold"]) == (first["predicted"], 0.8)
        assert all(row["forward_ms"] > 0 and row["preprocess_ms"] > 0 for row in found["answers"])
        assert found["decode_ms"] > 0


def test_an_export_of_another_checkpoint_is_marked(own: Studio) -> None:
    listed = {row["id"]: row for row in own.get("/api/try/engines", model=RAW).json["engines"]}
    assert [listed[name]["matches"] for name in FILES] == [False] * 3
    assert "broken/Unknown.onnx" in listed
    assert listed["broken/Unknown.onnx"]["matches"] is None
    assert listed["broken/Unknown.onnx"]["proven"] is False
    assert not any(name.startswith(".") for name in listed)
    found = own.post("/api/try/answer", png(mixture("shoot", "layup", 0.8)), model=RAW, engine=FILES[0]).json
    assert found["answers"][1]["difference"] > 0.01
    assert [row["matches"] for row in found["answers"]] == [True, False], "as the file itself says"


def test_a_file_that_cannot_answer_does_not_silence_the_others(own: Studio, base: Path) -> None:
    asked = ["broken/BasketballMoves.onnx", FILES[0]]
    found = own.post("/api/try/answer", png(mixture("shoot", "layup", 1)), model=OWN, engine=asked)
    assert found.status == 200
    checkpoint, broken, onnx = found.json["answers"]
    assert "BasketballMoves.onnx" in broken["error"]
    assert str(base) not in broken["error"]
    assert checkpoint["predicted"] == onnx["predicted"] == "shoot"


def test_uncalibrated_and_calibrated_since(own: Studio, base: Path) -> None:
    photo = png(mixture("shoot", "layup", 0.5))
    (raw,) = own.post("/api/try/answer", photo, model=RAW).json["answers"]
    assert (raw["calibration"], raw["threshold"], raw["unsure"]) == ("none", 0.0, False)
    checkpoint = base / "lightning_logs" / RAW / project.CHECKPOINTS / project.BEST
    try:
        calibrated(checkpoint, 2.0, 0.9)
        (answer,) = own.post("/api/try/answer", photo, model=RAW).json["answers"]
        assert (answer["calibration"], answer["threshold"], answer["unsure"]) == ("fitted", 0.9, True)
        assert max(shares(answer).values()) < max(shares(raw).values())
        calibrated(checkpoint, 2.0, None)
        (answer,) = own.post("/api/try/answer", photo, model=RAW).json["answers"]
        assert (answer["calibration"], answer["unsure"]) == ("no threshold", False)
    finally:
        checkpoint.with_suffix(".calibration.json").unlink()


def test_pictures_are_what_the_network_had(own: Studio, base: Path) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (90, 60, 3), dtype=np.uint8)
    found = own.post("/api/try/answer", png(pixels), model=OWN).json
    classifier = MoveClassifier.from_checkpoint(
        base / "lightning_logs" / OWN / project.CHECKPOINTS / project.BEST
    ).eval()
    np.testing.assert_array_equal(picture(found["pictures"]["input"])[..., ::-1], classifier.spec.resize(pixels))
    assert found["input"] == {"size": 32, "fit": classifier.spec.fit}
    assert (found["width"], found["height"]) == (60, 90)
    assert picture(found["pictures"]["photo"]).shape == pixels.shape
    without = own.post("/api/try/answer", png(pixels), model=OWN, pictures=False).json
    assert without["pictures"] is None
    explained = own.post("/api/try/explain", png(pixels), model=OWN, class_name="layup").json
    heat = grad_cam(classifier, [decode(png(pixels))], [classifier.class_names.index("layup")])[0]
    overlay = picture(explained["overlay"])
    assert overlay.shape == (64, 43, 4)
    assert np.abs(overlay[..., 3] / 255 - heat).max() < 0.01
    assert explained["class"] == "layup"
    unnamed = own.post("/api/try/explain", png(pixels), model=OWN).json
    assert unnamed["class"] == found["answers"][0]["predicted"]
    assert own.post("/api/try/explain", png(pixels), model=OWN, class_name="zzz").status == 404


def bomb() -> bytes:
    """A PNG of 60,000 × 60,000 pixels in a few bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def jpeg_cut_short() -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)).save(content, "JPEG")
    return content.getvalue()[:900]


@pytest.mark.parametrize("route", ["answer", "explain"])
@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (lambda: b"<!doctype html><script>alert(1)</script>", 422, "not an image"),
        (jpeg_cut_short, 422, "truncated"),
        (bomb, 422, "megapixels"),
        (lambda: b"", 422, "empty"),
        (lambda: bytes(30_000_001), 413, "30 MB"),
    ],
    ids=["html", "truncated", "bomb", "empty", "31 MB"],
)
def test_what_is_no_photo_is_refused_in_words(
    own: Studio, route: str, content: Callable[[], bytes], status: int, said: str
) -> None:
    answer = own.post(f"/api/try/{route}", content(), model=OWN)
    assert answer.status == status
    assert said in answer.json["message"]
    again = own.post("/api/try/answer", png(mixture("shoot", "layup", 1)), model=OWN)
    assert again.status == 200, "the next photo is answered"


@pytest.mark.parametrize(
    "query",
    [
        {"model": "../tiny/version_0"},
        {"model": "tiny/version_0/../version_1"},
        {"model": "tiny/version_2"},
        {"model": "tiny/version_9"},
        {"model": OWN, "engine": "../exports/tiny/BasketballMoves.onnx"},
        {"model": OWN, "engine": "/etc/passwd"},
        {"model": OWN, "engine": [FILES[0], "tiny/parity.json"]},
    ],
)
def test_only_what_is_listed_can_be_asked(own: Studio, query: dict[str, Any]) -> None:
    answer = own.post("/api/try/answer", png(mixture("shoot", "layup", 1)), **query)
    assert answer.status == 404
    assert answer.json["message"]


def test_models_are_the_runs_with_a_checkpoint(own: Studio) -> None:
    found = own.get("/api/try/models").json
    assert {model["id"] for model in found["models"]} == {OWN, RAW}
    assert found["current"] == OWN
    assert found["file"] == ""


def test_a_checkpoint_of_no_run(base: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "some.ckpt"
    shutil.copy(base / "lightning_logs" / OWN / project.CHECKPOINTS / project.BEST, checkpoint)
    with studio(tmp_path / "lightning_logs", checkpoint) as running:
        assert running.get("/api/try/models").json == {"models": [], "current": "", "file": "some.ckpt"}
        (answer,) = running.post("/api/try/answer", png(mixture("shoot", "layup", 1))).json["answers"]
        assert answer["predicted"] == "shoot"
        engines = running.get("/api/try/engines").json
        assert engines == {"engines": [], "export": f"bball export --ckpt {checkpoint}"}


def test_without_a_checkpoint_it_says_how_to_get_one(tmp_path: Path) -> None:
    with studio(tmp_path / "lightning_logs") as running:
        assert running.get("/api/try/models").json == {"models": [], "current": "", "file": ""}
        answer = running.post("/api/try/answer", png(mixture("shoot", "layup", 1)))
        assert answer.status == 404
        assert "bball fit" in answer.json["message"]


def test_two_checkpoints_stay_open(base: Path, tmp_path: Path) -> None:
    paths = []
    for number in range(3):
        paths.append(tmp_path / f"{number}.ckpt")
        shutil.copy(base / "lightning_logs" / OWN / project.CHECKPOINTS / project.BEST, paths[-1])
    engines = EngineCache(Models(None))
    first, second = engines.checkpoint(paths[0]), engines.checkpoint(paths[1])
    assert engines.checkpoint(paths[0]) is first
    engines.checkpoint(paths[2])
    assert engines.checkpoint(paths[0]) is first
    assert engines.checkpoint(paths[1]) is not second, "the one that was not used for longest is dropped"
