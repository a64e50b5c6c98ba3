"""A classifier that answers photos: every one once, in order, as a direct pass of the network would."""

from __future__ import annotations

import copy
import itertools
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import bball_pl
from bball_pl import project
from bball_pl.errors import ConfigError, PhotoError, RunError
from bball_pl.evaluate.calibration import UNSURE, file_sha256
from bball_pl.evaluate.trained_model import PhotoInput, TrainedModel, checkpoint_of
from bball_pl.model.classifier import MoveClassifier
from bball_pl.model.network import best_precision

from helpers.forked import run_python
from helpers.painting import COLOURS
from helpers.predict_runs import ROOT, calibrated, colour_checkpoint, environment

NAMES = ["shoot", "dribble", "layup"]
#: Pages of which one has the example of the Python interface; the README comes first.
PAGES = ("README.md", "docs/predict.md")
#: What load finds wrong with a photo, by its number.
BAD = {3: "photo 3 is truncated", 4: "photo 4 is empty", 8: "photo 8 is a film"}


@pytest.fixture(scope="module")
def classifier() -> MoveClassifier:
    torch.manual_seed(0)
    made = MoveClassifier(class_names=NAMES, backbone="test_resnet", weights="none", image_size=32)
    # As after training: untrained statistics of batch norm would answer every photo nearly alike.
    made.train()
    with torch.no_grad():
        for _ in range(30):
            made(torch.randn(16, 3, 32, 32))
    return made.eval()


def photo(number: int) -> np.ndarray:
    """A photo of its own size and colours."""
    generator = np.random.default_rng(number)
    shape = (20 + 3 * number, 45 - number, 3)
    return (generator.integers(0, 80, shape) + generator.integers(0, 170, 3)).astype(np.uint8)


def direct(classifier: MoveClassifier, image: np.ndarray, size: int | None = None) -> np.ndarray:
    """Logits of one photo without batches or threads."""
    spec = classifier.spec if size is None else replace(classifier.spec, size=size)
    batch = torch.from_numpy(spec.resize(image).copy()).permute(2, 0, 1)[None]
    with torch.inference_mode():
        return np.asarray(classifier.eval()(spec.normalise(batch))[0].numpy())


def logits(model: TrainedModel, *photos: np.ndarray) -> np.ndarray:
    """Logits of photos of which none is bad."""
    answers = [answer for _, answer in model.logits(photos, lambda image: image)]
    return np.stack([answer for answer in answers if isinstance(answer, np.ndarray)])


@pytest.mark.parametrize("batch_size", [1, 3, 11, 64])
def test_every_photo_is_answered_once_in_order_whatever_the_batch(classifier: MoveClassifier, batch_size: int) -> None:
    model = TrainedModel(classifier, batch_size=batch_size, device="cpu")
    answered = list(model.logits(range(11), photo))
    assert [number for number, _ in answered] == list(range(11))
    wanted = [direct(classifier, photo(number)) for number in range(11)]
    assert np.ptp(wanted, axis=0).min() > 0.05, "photos that can be told apart"
    for (_, answer), own in zip(answered, wanted, strict=True):
        assert isinstance(answer, np.ndarray)
        assert answer.dtype == np.float32
        assert answer.shape == (3,)
        np.testing.assert_allclose(answer, own, atol=1e-5)
    assert (model.class_names, model.spec) == (NAMES, classifier.spec)


def test_by_default_few_photos_pass_a_cpu_at_once(classifier: MoveClassifier) -> None:
    model, passed = TrainedModel(classifier, device="cpu"), []
    hook = model.network.register_forward_pre_hook(lambda _, given: passed.append(len(given[0])))
    photos = [photo(number) for number in range(11)]
    found = logits(model, *photos)
    hook.remove()
    assert passed == [4, 4, 3], "the maps of more take the processor's memory, not its caches"
    np.testing.assert_allclose(
        found, logits(TrainedModel(classifier, batch_size=32, device="cpu"), *map(photo, range(11))), atol=1e-5
    )


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_a_bad_photo_is_an_answer_of_its_own(classifier: MoveClassifier, batch_size: int) -> None:
    def load(number: int) -> np.ndarray:
        if number in BAD:
            raise PhotoError(BAD[number])
        return photo(number)

    # With two photos in a batch, 3 and 4 lie in different ones; with one, whole batches are bad.
    answered = list(TrainedModel(classifier, batch_size=batch_size, device="cpu").logits(range(10), load))
    assert [number for number, _ in answered] == list(range(10))
    for number, answer in answered:
        if number in BAD:
            assert isinstance(answer, PhotoError)
            assert str(answer) == BAD[number]
        else:
            assert isinstance(answer, np.ndarray)
            np.testing.assert_allclose(answer, direct(classifier, photo(number)), atol=1e-5)


def test_another_fault_of_a_photo_is_not_hidden(classifier: MoveClassifier) -> None:
    def load(number: int) -> np.ndarray:
        if number == 5:
            raise ZeroDivisionError("a fault of the program")
        return photo(number)

    with pytest.raises(ZeroDivisionError):
        list(TrainedModel(classifier, batch_size=2, device="cpu").logits(range(9), load))


def test_what_is_no_number_is_no_answer(classifier: MoveClassifier) -> None:
    damaged = copy.deepcopy(classifier)
    with torch.no_grad():
        next(damaged.network.parameters())[0] = torch.nan
    model = TrainedModel(damaged, device="cpu")
    with pytest.raises(RunError, match="the network answers with what is no number"):
        next(model.predict([photo(0), photo(1)]))
    with pytest.raises(RunError, match="no number"):
        model.pixel_logits(np.zeros((2, 32, 32, 3), np.uint8))


def test_no_photos_no_answers(classifier: MoveClassifier) -> None:
    assert list(TrainedModel(classifier, device="cpu").logits([], photo)) == []


def test_sources_are_taken_only_as_fast_as_they_are_answered(classifier: MoveClassifier) -> None:
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        for number in itertools.count():
            taken += 1
            yield number % 7

    # A pass of four for each thread, and one that waits.
    ahead = 4 * (min(4, torch.get_num_threads()) + 1)
    before = threading.active_count()
    answers = TrainedModel(classifier, batch_size=4, device="cpu").logits(endless(), photo)
    assert taken == 0
    for done in range(1, 30):
        next(answers)
        assert done <= taken < done + ahead
    answers.close()
    assert threading.active_count() == before, "no thread stays behind"
    assert taken <= 30 + ahead


def test_photos_are_answered_in_threads_and_one_alone_in_this_one(classifier: MoveClassifier) -> None:
    seen = set()

    def noted(number: int) -> np.ndarray:
        seen.add(threading.get_ident())
        return photo(number)

    model = TrainedModel(classifier, batch_size=2, device="cpu")
    answers = np.array([found for _, found in model.logits(range(40), noted)])
    assert threading.get_ident() not in seen
    np.testing.assert_allclose(answers[11], direct(classifier, photo(11)), atol=1e-5)
    seen.clear()
    ((_, alone),) = model.logits([7], noted)
    assert seen == {threading.get_ident()}
    np.testing.assert_allclose(np.array(alone), answers[7], atol=1e-5)


def test_training_mode_is_left(classifier: MoveClassifier) -> None:
    wanted = direct(classifier, photo(1))
    classifier.train()
    model = TrainedModel(classifier, device="cpu")
    assert not classifier.training
    np.testing.assert_allclose(logits(model, photo(1), photo(2))[0], wanted, atol=1e-5)


def test_flip_is_the_mean_over_a_photo_and_its_mirror_image(classifier: MoveClassifier) -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    mirrored = np.ascontiguousarray(image[:, ::-1])
    model = TrainedModel(classifier, tta="flip", device="cpu")
    own, other = logits(model, image, mirrored)
    np.testing.assert_allclose(own, other, atol=1e-6)
    one, two = direct(classifier, image), direct(classifier, mirrored)
    assert np.abs(one - two).max() > 1e-3, "which answers differently without"
    np.testing.assert_allclose(own, (one + two) / 2, atol=1e-5)


def test_scales_is_the_mean_over_three_sizes_of_both(classifier: MoveClassifier) -> None:
    image = photo(0)
    model = TrainedModel(classifier, tta="scales", device="cpu")
    # Mirrored after resizing, as the model does: resizing rounds, and not quite alike from left and right.
    wanted = []
    for size in (32, 27, 37):
        square = replace(classifier.spec, size=size).resize(image)
        wanted += [direct(classifier, square, size), direct(classifier, np.ascontiguousarray(square[:, ::-1]), size)]
    np.testing.assert_allclose(logits(model, image, photo(1))[0], np.mean(wanted, axis=0), atol=1e-5)


def test_scales_needs_a_network_of_any_size() -> None:
    fixed = MoveClassifier(class_names=NAMES, backbone="test_vit", weights="none", image_size=96)
    with pytest.raises(ConfigError, match="test_vit takes photos of one size only; pass --tta flip"):
        TrainedModel(fixed, tta="scales", device="cpu")
    assert logits(TrainedModel(fixed, tta="flip", device="cpu"), photo(0)).shape == (1, 3)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_of_nothing_is_refused(classifier: MoveClassifier, batch_size: int) -> None:
    with pytest.raises(ConfigError, match=f"the batch size is {batch_size}; expected 1 or more"):
        TrainedModel(classifier, batch_size=batch_size, device="cpu")


@pytest.mark.parametrize("device", ["graphics", "cuda:99", "", "cpu:one"])
def test_a_device_that_is_not_there_is_refused(classifier: MoveClassifier, device: str) -> None:
    with pytest.raises(ConfigError, match=rf"device '{device}' cannot be used here \(.+\); pass cpu"):
        TrainedModel(classifier, device=device)


def test_bfloat16_is_close_to_32_bits(classifier: MoveClassifier) -> None:
    photos = [photo(number) for number in range(6)]
    exact = logits(TrainedModel(classifier, device="cpu"), *photos)
    rough = logits(TrainedModel(classifier, device="cpu", precision="bf16"), *photos)
    assert rough.dtype == np.float32
    assert 0 < np.abs(rough - exact).max() < 0.03 * np.abs(exact).max() + 0.02
    chosen = logits(TrainedModel(classifier, device="cpu", precision="auto"), *photos)
    np.testing.assert_array_equal(chosen, rough if best_precision("cpu") == "bf16-mixed" else exact)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_answers_as_the_cpu_does(classifier: MoveClassifier) -> None:
    photos = [photo(number) for number in range(11)]
    on_cpu = logits(TrainedModel(classifier, tta="scales", device="cpu"), *photos)
    model = TrainedModel(classifier, tta="scales", batch_size=4)
    assert model.device.type == "cuda"
    on_gpu = logits(model, *photos)
    rough = logits(TrainedModel(classifier, tta="scales", precision="auto"), *photos)
    classifier.cpu()
    # A GPU's convolutions round 32 bits to 10 bits of mantissa (TF32).
    np.testing.assert_allclose(on_gpu, on_cpu, atol=0.02)
    np.testing.assert_allclose(rough, on_cpu, atol=0.2)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that knows the colours of painted photos, calibrated, in `lightning_logs/demo` of a working folder."""
    folder = tmp_path_factory.mktemp("project") / "lightning_logs/demo/version_0"
    (folder / project.CHECKPOINTS).mkdir(parents=True)
    (folder / project.CONFIG).write_text("seed_everything: 0\n")
    calibrated(colour_checkpoint(folder / project.CHECKPOINTS / project.BEST), 1.3, 0.8)
    return folder


def colour(name: str, other: str = "", share: float = 0.0) -> np.ndarray:
    """A photo of the colour of a class, mixed with that of another."""
    mixed = (1 - share) * np.array(COLOURS[name]) + share * np.array(COLOURS[other or name])
    return np.broadcast_to(mixed, (40, 60, 3)).astype(np.uint8)


def test_a_model_is_opened_by_its_checkpoint_or_its_run(run: Path, tmp_path: Path) -> None:
    best = run / project.CHECKPOINTS / project.BEST
    for path in (run, str(run), best):
        model = TrainedModel.open(path, device="cpu")
        assert (model.checkpoint, model.run, model.sha256) == (best, run, file_sha256(best))
        assert (model.class_names, model.spec.size) == (list(COLOURS), 32)
        assert model.calibration is not None
        assert (model.rule.temperature, model.rule.threshold, model.rule.note) == (1.3, 0.8, "")
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", model.trained)
    assert TrainedModel.open(run, threshold=0.5, device="cpu").rule.threshold == 0.5
    alone = colour_checkpoint(tmp_path / "alone.ckpt")
    model = TrainedModel.open(alone, device="cpu")
    assert (model.run, model.calibration, model.rule.threshold) == (None, None, 0)
    assert "not calibrated" in model.rule.note


@pytest.mark.parametrize(
    ("path", "found"),
    [("nowhere", "no checkpoints/best.ckpt"), ("nowhere.ckpt", "there is no checkpoint"), (".", "no")],
)
def test_what_is_neither_a_run_nor_a_checkpoint_is_named(tmp_path: Path, path: str, found: str) -> None:
    with pytest.raises(RunError, match=found):
        TrainedModel.open(tmp_path / path)


def test_without_a_path_the_newest_run_is_opened(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project, "newest_run", lambda: run)
    assert checkpoint_of(None) == run / project.CHECKPOINTS / project.BEST


def test_a_threshold_outside_0_to_1_is_refused(run: Path) -> None:
    with pytest.raises(ConfigError, match="threshold is 95"):
        TrainedModel.open(run, threshold=95)


def test_files_and_arrays_are_answered_in_order(run: Path, tmp_path: Path) -> None:
    model = TrainedModel.open(run, device="cpu", batch_size=2)
    Image.fromarray(colour("layup")).save(tmp_path / "layup.png")
    photos: list[PhotoInput] = [
        colour("shoot"),
        tmp_path / "layup.png",
        str(tmp_path / "layup.png"),
        colour("dribble", "layup", 0.5),
    ]
    answers = list(model.predict(photos))
    assert [answer.label for answer in answers] == ["shoot", "layup", "layup", UNSURE]
    for answer in answers:
        assert answer.confidence == max(answer.probabilities.values()) == answer.probabilities[answer.predicted]
        assert sum(answer.probabilities.values()) == pytest.approx(1)
    one: PhotoInput
    for one in (tmp_path / "layup.png", str(tmp_path / "layup.png"), colour("layup")):
        assert [answer.label for answer in model.predict(one)] == ["layup"]
    assert list(model.predict(np.stack([colour("shoot"), colour("layup")]))) != []


def test_a_photo_that_cannot_be_answered_is_named_when_its_turn_comes(run: Path, tmp_path: Path) -> None:
    model = TrainedModel.open(run, device="cpu", batch_size=1)
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    answers = model.predict([colour("shoot"), tmp_path / "broken.jpg", colour("shoot")])
    assert next(answers).label == "shoot"
    with pytest.raises(PhotoError, match=r"broken\.jpg: not an image"):
        next(answers)
    with pytest.raises(PhotoError, match=r"found float64 \[40, 60, 3\]; expected RGB uint8 \[H, W, 3\]"):
        list(model.predict([colour("shoot") / 255]))
    with pytest.raises(PhotoError, match=r"found uint8 \[40, 60\]"):
        list(model.predict([colour("shoot")[..., 0]]))


def example() -> str:
    """Return the first block of Python that opens a trained model, from the README or else the page on predicting."""
    for page in PAGES:
        for block in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL):
            if "TrainedModel.open" in block:
                return str(block)
    raise AssertionError(f"no example in {' or '.join(PAGES)}")


def test_the_documented_example_works_as_it_stands(run: Path) -> None:
    working_folder = run.parents[2]
    Image.fromarray(colour("layup")).save(working_folder / "photo.jpg")
    done = run_python(["-c", example()], cwd=working_folder, env=environment())
    assert done.returncode == 0, done.stderr
    label, confidence = done.stdout.split()
    assert (label, 0.8 < float(confidence) <= 1) == ("layup", True)


def test_importing_the_package_alone_imports_no_torch() -> None:
    code = "import sys, bball_pl; print(bball_pl.__version__, 'torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment())
    assert done.stdout.split() == [bball_pl.__version__, "False", "False"]
    assert bball_pl.TrainedModel is TrainedModel
    with pytest.raises(AttributeError, match="has no attribute 'Engine'"):
        bball_pl.Engine  # noqa: B018


@pytest.mark.parametrize("command", ["evaluate", "export"])
def test_a_command_reads_its_checkpoint_once(run: Path, tmp_path: Path, command: str) -> None:
    for place, name in enumerate(COLOURS):
        for split in ("train", "val", "test"):
            (tmp_path / "photos" / split / name).mkdir(parents=True)
            Image.fromarray(colour(name) ^ np.uint8(place)).save(tmp_path / "photos" / split / name / "0.png")
    options = {
        "evaluate": ["--recalibrate"],
        "export": ["--formats", "onnx", "--photos", "3"],
    }[command]
    # Counted in the command's process, which runs as a user would start it.
    counting = (
        "import runpy, sys, torch\n"
        "whole, read = torch.load, []\n"
        "torch.load = lambda file, *rest, **more: (read.append(str(file)), whole(file, *rest, **more))[1]\n"
        "try:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally:\n    print('read:', len(read), file=sys.stderr)\n"
    )
    script = ROOT / "scripts" / f"{command}.py"
    common = ["--run", str(run), "--root", str(tmp_path / "photos"), "--out", str(tmp_path / "out")]
    done = run_python(
        ["-c", f"import sys; sys.argv = {[str(script), *common, *options]!r}\n{counting}"],
        env=environment() | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'scripts'}"},
    )
    assert done.returncode == 0, done.stderr
    assert "read: 1" in done.stderr.splitlines()[-1]
