"""Try in a real browser: a photo is dropped, an engine ticked, the webcam looked through; quiet, and at home."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bball_pl.evaluate.trained_model import TrainedModel
from bball_pl.export.metadata import About, interface_for
from bball_pl.export.onnx import DeployModel, write_onnx

from helpers.browser import chromium
from helpers.predict_runs import calibrated
from helpers.studio_views import CAMERA, Studio, check_words, studio, visit, wait_until
from helpers.try_runs import OWN, RAW, make_run, mixture, png

if TYPE_CHECKING:
    from playwright.sync_api import Browser

#: Drops a file on the page as the desktop does.
_DROP = """([name, content]) => {
  const bytes = Uint8Array.from(atob(content), (sign) => sign.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name, { type: "image/png" }));
  for (const kind of ["dragenter", "dragover", "drop"])
    document.querySelector("main").dispatchEvent(
      new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium(CAMERA) as started:
        yield started


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """Two runs and an ONNX file of the first, as an export writes it."""
    base = tmp_path_factory.mktemp("try")
    checkpoint = calibrated(make_run(base / "lightning_logs", OWN, 5.0), 1.3, 0.8)
    make_run(base / "lightning_logs", RAW, 2.0)
    model = TrainedModel.open(checkpoint, device="cpu")
    about = About.of_model(model, "", "", "")
    deployed = DeployModel(model.classifier, about.temperature).eval()
    folder = base / "exports" / "tiny"
    folder.mkdir(parents=True)
    write_onnx(deployed, folder / "BasketballMoves.onnx", interface_for(about.class_names), about)
    files = [{"name": "BasketballMoves.onnx", "passed": True}]
    parity = {"passed": True, "checkpoint_sha256": model.sha256, "files": files}
    (folder / "parity.json").write_text(json.dumps(parity))
    with studio(base / "lightning_logs", checkpoint) as running:
        yield running


def test_photos(browser: Browser, own: Studio, tmp_path: Path) -> None:
    with visit(browser, own, "#/try") as seen:
        page = seen.page
        page.wait_for_selector(".tick >> nth=1")
        page.evaluate(_DROP, ["<b>shot</b>.png", base64.b64encode(png(mixture("shoot", "layup", 1))).decode()])
        page.wait_for_selector(".photo-card .said")
        assert page.locator(".photo-card h3").inner_text() == "<b>shot</b>.png"
        assert page.locator(".said").inner_text() == "shoot 投籃"
        assert "threshold of 80.0 %" in page.locator(".phone").inner_text()
        assert page.locator(".photo-card .probability dt").all_inner_texts() == [
            "shoot 投籃",
            "dribble 運球",
            "layup 上籃",
        ]

        page.get_by_role("button", name="Heat map").click()
        page.wait_for_selector(".overlay:not([hidden])")
        wait_until(page, "document.querySelector('.overlay').naturalWidth === 64")
        photo, overlay = (page.locator(place).bounding_box() for place in (".frame img >> nth=0", ".overlay"))
        assert photo == overlay, "the overlay lies on the photo"
        page.get_by_label("Strength of the overlay").fill("20")
        assert page.locator(".overlay").evaluate("(own) => own.style.opacity") == "0.2"

        page.get_by_label("BasketballMoves.onnx").check()
        page.wait_for_selector(".engine >> nth=1")
        assert page.locator(".engine h4").all_inner_texts() == ["Checkpoint", "BasketballMoves.onnx"]
        assert "points" in page.locator(".engine >> nth=1").inner_text()
        assert page.locator(".doubt").count() == 0

        bad = tmp_path / "page.jpg"
        bad.write_text("<script>alert(1)</script>")
        between = tmp_path / "between.png"
        between.write_bytes(png(mixture("shoot", "layup", 0.25)))
        page.set_input_files("#try-files", [str(bad), str(between)])
        page.wait_for_selector(".photo-card:first-child .unsure")
        assert page.locator(".photo-card:first-child .said").inner_text().startswith("Unsure")
        assert "not an image" in page.locator(".photo-card >> nth=1").inner_text()
        # The browser itself notes every answer of 4xx; nothing else was said.
        assert all("422" in text for text in seen.said)
        seen.said.clear()

        page.get_by_role("button", name="繁體中文").click()
        page.wait_for_selector("text=手機會說")
        assert page.locator(".photo-card").count() == 3, "photos outlive a change of the language"
        page.locator(".close").last.click()
        assert page.locator(".photo-card").count() == 2
        check_words(page, "try")


def test_another_model_answers_the_same_photos(browser: Browser, own: Studio) -> None:
    with visit(browser, own, f"#/try?model={RAW}") as seen:
        page = seen.page
        page.wait_for_selector(".tick >> nth=1")
        assert page.locator("#try-model").input_value() == RAW
        assert "from another checkpoint" in page.locator(".ticks").inner_text()
        page.set_input_files(
            "#try-files", {"name": "a.png", "mimeType": "image/png", "buffer": png(mixture("shoot", "layup", 1))}
        )
        page.wait_for_selector("text=not calibrated")
        page.select_option("#try-model", OWN)
        page.wait_for_selector("text=threshold of 80.0 %")


def test_webcam(browser: Browser, own: Studio) -> None:
    with visit(browser, own, "#/try", viewport={"width": 375, "height": 800}) as seen:
        page = seen.page
        page.wait_for_selector(".tick >> nth=1")
        # One frame at a time: never a second request before the first is answered.
        open_now, most = 0, 0

        def count(change: int) -> None:
            nonlocal open_now, most
            open_now += change
            most = max(most, open_now)

        page.on("request", lambda request: count(1) if "pictures=false" in request.url else None)
        page.on("requestfinished", lambda request: count(-1) if "pictures=false" in request.url else None)
        page.get_by_role("button", name="Webcam").click()
        page.wait_for_selector("text=answers a second")
        page.wait_for_timeout(500)
        assert most == 1
        assert page.evaluate("document.documentElement.scrollWidth") == 375
        page.get_by_role("button", name="Keep this frame").click()
        page.wait_for_selector(".photo-card .said")
        camera = page.evaluate_handle("document.querySelector('video').srcObject.getVideoTracks()[0]")
        assert camera.evaluate("(track) => track.readyState") == "live"
        page.get_by_role("link", name="Runs").click()
        page.wait_for_selector("text=Tick two runs")
        assert camera.evaluate("(track) => track.readyState") == "ended", "leaving the view gives the camera back"


def test_without_a_model(browser: Browser, own: Studio, tmp_path: Path) -> None:
    with studio(tmp_path / "lightning_logs") as empty, visit(browser, empty, "#/try") as seen:
        seen.page.wait_for_selector("text=There is no model to try yet")
        assert "bball demo" in seen.page.locator("main").inner_text()
        source = tmp_path / "lightning_logs" / "new" / "version_0" / "checkpoints"
        source.mkdir(parents=True)
        shutil.copy(_best(own), source / "best.ckpt")
        seen.page.get_by_role("button", name="Look again").click()
        seen.page.wait_for_selector("#try-model")


def _best(own: Studio) -> Path:
    return own.logs / OWN / "checkpoints" / "best.ckpt"
