"""README.md of an export: its code is cut out, run on photo bytes, and compared with the checkpoint's answers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bball_pl.export.handover.readme import write_readme
from bball_pl.export.metadata import About, interface_for
from bball_pl.photos.decode import decode
from bball_pl.photos.preprocess import PreprocessSpec
from bball_pl.verify.parity import FileParity

from helpers.browser import chromium
from helpers.export_files import Exported, edge_photo
from helpers.ios_swift import tree_of, walk
from helpers.node_packages import node_packages
from helpers.painting import COLOURS

ABOUT = About(
    author="A. Coach",
    licence="CC BY 4.0",
    description="Says which move a photo shows.",
    class_names=["shoot", "dribble", "layup", "none"],
    spec=PreprocessSpec(32),
    backbone="test_resnet",
    temperature=1.25,
    threshold=0.625,
    trained="2026-11-20",
    dataset_sha256="cd" * 32,
    test=None,
    checkpoint_sha256="ef" * 32,
)
ONNX = FileParity("BasketballMoves.onnx", 1.5, "onnxruntime", 1e-6, 1.0, 1.0, 0.01, 9.0)


def blocks(readme: Path, language: str) -> dict[str, str]:
    """The code of one language by the name of its file, which is in the first line."""
    found = re.findall(rf"^```{language}\n(.*?)^```", readme.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return {code.split()[1]: code for code in found}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twenty JPEG files, landscape and portrait, of sizes above and below the network's."""
    folder = tmp_path_factory.mktemp("photos")
    paths = []
    for index in range(20):
        colour = list(COLOURS.values())[index % 3]
        size = (96 + 37 * index, 60 + 23 * index) if index % 4 else (40 + 11 * index, 96 + 17 * index)
        paths.append(folder / f"{index:02d} 球.jpg")
        Image.fromarray(edge_photo(colour, 500 + index)).resize(size).save(paths[-1], quality=90)
    return paths


def difference(exported: Exported, photos: list[Path], answers: Mapping[str, Mapping[str, float]]) -> float:
    """Largest difference of a probability from the checkpoint's."""
    found = 0.0
    for path, answer in zip(photos, exported.model().predict(photos), strict=True):
        assert list(answers[str(path)]) == ["shoot", "dribble", "layup"]
        shares = list(answers[str(path)].values())
        found = max(found, float(np.abs(np.array(shares) - np.array(list(answer.probabilities.values()))).max()))
    return found


def lines(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, float]]:
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines())


def test_the_python_code_answers_as_the_checkpoint(exported: Exported, photos: list[Path], tmp_path: Path) -> None:
    code = blocks(exported.folder / "README.md", "python")["classify.py"]
    assert set(re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE)) == {
        *("io", "json", "sys"),
        *("numpy", "onnxruntime", "PIL"),
    }
    (tmp_path / "classify.py").write_text(code)
    command = [sys.executable, str(tmp_path / "classify.py"), *map(str, photos)]
    done = subprocess.run(command, cwd=exported.folder, capture_output=True, text=True, check=False)
    assert difference(exported, photos, lines(done)) <= 1e-4


def test_the_example_of_the_readme_is_right(exported: Exported, tmp_path: Path) -> None:
    text = (exported.folder / "README.md").read_text(encoding="utf-8")
    found = re.search(r"the answer to `(parity_kit/originals/\S+)` is (.*?)\. Python", text)
    assert found is not None
    expected = dict(re.findall(r"`(\w+)` (\d\.\d{4})", found[2]))
    (answer,) = exported.model().predict([exported.folder / found[1]])
    assert {label: f"{share:.4f}" for label, share in answer.probabilities.items()} == expected


def test_the_python_code_reads_photos_as_training_does(exported: Exported, tmp_path: Path) -> None:
    turned, clear = tmp_path / "turned.jpg", tmp_path / "clear.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = Image.fromarray(edge_photo((200, 40, 40), 7))
    photo.save(turned, exif=exif, quality=95)
    see_through = photo.convert("RGBA")
    see_through.putalpha(90)
    see_through.save(clear)
    code = blocks(exported.folder / "README.md", "python")["classify.py"]
    start, end = code.index("def read("), code.index("def resize(")
    found: dict[str, Any] = {}
    exec("import io\nfrom PIL import Image, ImageCms, ImageOps\n" + code[start:end], found)
    for path in (turned, clear):
        np.testing.assert_array_equal(np.asarray(found["read"](path)), decode(path))


def test_the_javascript_code_answers_as_the_checkpoint(exported: Exported, photos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(node_packages())
    for name, code in blocks(exported.folder / "README.md", "js").items():
        (tmp_path / name).write_text(code)
    command = ["node", str(tmp_path / "node.mjs"), *map(str, photos)]
    done = subprocess.run(command, cwd=exported.folder, capture_output=True, text=True, check=False)
    # jpeg-js computes its pixels a little differently from libjpeg.
    assert difference(exported, photos, lines(done)) <= 0.02


PAGE = """<!DOCTYPE html>
<script type="importmap">{"imports": {"onnxruntime-web": "./node_modules/onnxruntime-web/dist/ort.min.mjs"}}</script>
<script type="module">
import { answer } from "./browser.mjs";
window.answers = async (names) => {
  const found = [];
  for (const name of names) found.push([name, await answer(await (await fetch(encodeURIComponent(name))).blob())]);
  return found;
};
</script>
"""


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_the_code_for_a_browser_answers_as_the_checkpoint(
    exported: Exported, photos: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "node_modules").symlink_to(node_packages())
    shutil.copyfile(exported.folder / "BasketballMoves.onnx", tmp_path / "BasketballMoves.onnx")
    for name, code in blocks(exported.folder / "README.md", "js").items():
        (tmp_path / name).write_text(code)
    (tmp_path / "index.html").write_text(PAGE)
    for photo in photos:
        shutil.copyfile(photo, tmp_path / photo.name)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(tmp_path))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with chromium() as browser:
            page = browser.new_page()
            page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
            page.wait_for_function("typeof window.answers === 'function'")
            found = page.evaluate("names => window.answers(names)", [photo.name for photo in photos])
        server.shutdown()
    answers = {str(photo): answer for photo, (_, answer) in zip(photos, found, strict=True)}
    assert difference(exported, photos, answers) <= 0.02


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
def test_the_resizing_in_javascript_is_that_of_training(tmp_path: Path, fit: Any, interpolation: Any) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    spec = PreprocessSpec(32, fit, interpolation=interpolation)
    about = replace(ABOUT, spec=spec)
    readme = write_readme(tmp_path, about, interface_for(about.class_names), [ONNX], [])
    (tmp_path / "moves.mjs").write_text(blocks(readme, "js")["moves.mjs"])
    (tmp_path / "resize.mjs").write_text(
        'import { readFileSync, writeFileSync } from "node:fs";\n'
        'import { toInput } from "./moves.mjs";\n'
        'for (const size of process.argv.slice(2)) {\n  const [width, height] = size.split("x").map(Number);\n'
        "  writeFileSync(`${size}.out`, toInput({ data: readFileSync(`${size}.rgba`), width, height }));\n}\n"
    )
    generator = np.random.default_rng(3)
    sizes = [(96, 48), (641, 480), (33, 32), (20, 17), (51, 97), (48, 97)]
    photos = {size: generator.integers(0, 256, (size[1], size[0], 4)).astype(np.uint8) for size in sizes}
    names = {size: f"{size[0]}x{size[1]}" for size in sizes}
    for size, photo in photos.items():
        (tmp_path / f"{names[size]}.rgba").write_bytes(photo.tobytes())
    subprocess.run(["node", "resize.mjs", *names.values()], cwd=tmp_path, check=True)
    for size, photo in photos.items():
        found = np.fromfile(tmp_path / f"{names[size]}.out", np.float32).reshape(3, 32, 32).transpose(1, 2, 0)
        pixels = np.ascontiguousarray(photo[..., :3])
        np.testing.assert_array_equal(found, width_first(pixels, spec), names[size])
        if size[0] >= size[1]:
            np.testing.assert_array_equal(found, spec.resize(pixels), names[size])


def width_first(photo: np.ndarray, spec: PreprocessSpec) -> np.ndarray:
    """`PreprocessSpec.resize` in two steps: Pillow 13 reduces the height of some portrait photos first."""
    filters = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
    height, width = photo.shape[:2]
    box, size = (0.0, 0.0, float(width), float(height)), (spec.size, spec.size)
    if spec.fit == "crop":
        side = min(width, height)
        box = ((width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2)
    if spec.fit == "pad":
        scale = spec.size / max(height, width)
        size = (round(width * scale), round(height * scale))
    image = Image.fromarray(photo).resize((size[0], height), filters[spec.interpolation], (box[0], 0, box[2], height))
    image = image.resize(size, filters[spec.interpolation], (0, box[1], size[0], box[3]))
    square = Image.new("RGB", (spec.size, spec.size))
    square.paste(image, ((spec.size - size[0]) // 2, (spec.size - size[1]) // 2))
    return np.asarray(square)


@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
def test_the_swift_code_parses_and_crops_as_training_does(exported: Exported, tmp_path: Path, fit: Any) -> None:
    shutil.copytree(exported.folder / "BasketballMoves.mlpackage", tmp_path / "BasketballMoves.mlpackage")
    about = replace(ABOUT, spec=PreprocessSpec(32, fit))
    program = replace(ONNX, name="BasketballMoves.mlpackage")
    readme = write_readme(tmp_path, about, interface_for(about.class_names), [program], []).read_text(encoding="utf-8")
    found = re.findall(r"^```swift\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    assert len(found) == 2
    for code in found:
        assert [node for node in walk(tree_of(code)) if node.is_error or node.is_missing] == []
    option, action = {
        "squash": ("scaleFill", "scaleToFill"),
        "crop": ("centerCrop", "centerCrop"),
        "pad": ("scaleFit", "scaleToFit"),
    }[fit]
    assert f"imageCropAndScaleOption = .{option}\n" in found[0]
    assert f"cropAndScaleAction = .{action}\n" in found[1]
    assert "threshold: Float? = 0.625" in found[0]
    assert "never compiled" in readme
    assert "```python" not in readme, "there is no ONNX file"


def test_the_readme_is_about_this_model(exported: Exported, tmp_path: Path) -> None:
    text = (exported.folder / "README.md").read_text(encoding="utf-8")
    for path in exported.folder.iterdir():
        assert path.name == "README.md" or f"`{path.name}" in text
    assert "iOS 16 and macOS 13 or newer" in text
    assert "iOS 13 and macOS 10.15 or newer" in text
    assert "CC BY 4.0" in text
    assert "there is no label for them" in text
    readme = write_readme(tmp_path, ABOUT, interface_for(ABOUT.class_names, labels="bilingual"), [ONNX], ["A note."])
    other = readme.read_text(encoding="utf-8")
    assert "> A note." in other.split("##")[0]
    assert "`none 無動作` | the photo shows none of the moves" in other
    assert "below a probability of 0.62" in other
    assert 'LABELS = ["shoot 投籃", "dribble 運球", "layup 上籃", "none 無動作"]' in other
    assert "```swift" not in other, "there is no Core ML file"
    assert not re.search(r"\{[{%]|[}%]\}[^`]*$", other.split("```")[0])


def test_what_is_not_proven_says_so(tmp_path: Path) -> None:
    from bball_pl.verify.inspection import Gate

    bad = replace(ONNX, gates=[Gate("labels", "x", "y", False)])
    readme = write_readme(tmp_path, ABOUT, interface_for(ABOUT.class_names), [bad], [])
    assert "do not ship" in readme.read_text(encoding="utf-8").split("##")[0]


def test_node_is_found_by_the_tests_of_the_pipeline() -> None:
    """Where the pipeline has installed the packages, the JavaScript must not be skipped."""
    if "BBALL_NODE_PACKAGES" not in os.environ:
        pytest.skip("BBALL_NODE_PACKAGES is not set")
    assert node_packages().is_dir()
