"""A classifier that answers photos: every one once, in order, as a direct pass of the network would."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from bball_pl.errors import ConfigError, PhotoError
from bball_pl.evaluate.trained_model import Engine
from bball_pl.model.classifier import MoveClassifier
from bball_pl.model.trainer import best_precision

NAMES = ["shoot", "dribble", "layup"]
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
    """Logits of one photo without an engine."""
    spec = classifier.spec if size is None else replace(classifier.spec, size=size)
    batch = torch.from_numpy(spec.resize(image).copy()).permute(2, 0, 1)[None]
    with torch.inference_mode():
        return np.asarray(classifier.eval()(spec.normalise(batch))[0].numpy())


def logits(engine: Engine, *photos: np.ndarray) -> np.ndarray:
    """Logits of photos of which none is bad."""
    answers = [answer for _, answer in engine.run(photos, lambda image: image)]
    return np.stack([answer for answer in answers if isinstance(answer, np.ndarray)])


@pytest.mark.parametrize("batch_size", [1, 3, 11, 64])
def test_every_photo_is_answered_once_in_order_whatever_the_batch(classifier: MoveClassifier, batch_size: int) -> None:
    engine = Engine(classifier, batch_size=batch_size, device="cpu")
    answered = list(engine.run(range(11), photo))
    assert [number for number, _ in answered] == list(range(11))
    wanted = [direct(classifier, photo(number)) for number in range(11)]
    assert np.ptp(wanted, axis=0).min() > 0.05, "photos that can be told apart"
    for (_, answer), own in zip(answered, wanted, strict=True):
        assert isinstance(answer, np.ndarray)
        assert answer.dtype == np.float32
        assert answer.shape == (3,)
        np.testing.assert_allclose(answer, own, atol=1e-5)
    assert (engine.class_names, engine.spec) == (NAMES, classifier.spec)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_a_bad_photo_is_an_answer_of_its_own(classifier: MoveClassifier, batch_size: int) -> None:
    def load(number: int) -> np.ndarray:
        if number in BAD:
            raise PhotoError(BAD[number])
        return photo(number)

    # With two photos in a batch, 3 and 4 lie in different ones; with one, whole batches are bad.
    answered = list(Engine(classifier, batch_size=batch_size, device="cpu").run(range(10), load))
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
        list(Engine(classifier, batch_size=2, device="cpu").run(range(9), load))


def test_no_photos_no_answers(classifier: MoveClassifier) -> None:
    assert list(Engine(classifier, device="cpu").run([], photo)) == []


def test_sources_are_taken_only_as_fast_as_they_are_answered(classifier: MoveClassifier) -> None:
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        for number in itertools.count():
            taken += 1
            yield number % 7

    before = threading.active_count()
    answers = Engine(classifier, batch_size=4, device="cpu").run(endless(), photo)
    assert taken == 0
    for done in range(1, 30):
        next(answers)
        assert done <= taken < done + 2 * 4
    answers.close()
    assert threading.active_count() == before, "no thread stays behind"
    assert taken <= 30 + 2 * 4


def test_training_mode_is_left(classifier: MoveClassifier) -> None:
    wanted = direct(classifier, photo(1))
    classifier.train()
    engine = Engine(classifier, device="cpu")
    assert not classifier.training
    np.testing.assert_allclose(logits(engine, photo(1), photo(2))[0], wanted, atol=1e-5)


def test_flip_is_the_mean_over_a_photo_and_its_mirror_image(classifier: MoveClassifier) -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    mirrored = np.ascontiguousarray(image[:, ::-1])
    engine = Engine(classifier, tta="flip", device="cpu")
    own, other = logits(engine, image, mirrored)
    np.testing.assert_allclose(own, other, atol=1e-6)
    one, two = direct(classifier, image), direct(classifier, mirrored)
    assert np.abs(one - two).max() > 1e-3, "which answers differently without"
    np.testing.assert_allclose(own, (one + two) / 2, atol=1e-5)


def test_scales_is_the_mean_over_three_sizes_of_both(classifier: MoveClassifier) -> None:
    image = photo(0)
    engine = Engine(classifier, tta="scales", device="cpu")
    # Mirrored after resizing, as the engine does: resizing rounds, and not quite alike from left and right.
    wanted = []
    for size in (32, 27, 37):
        square = replace(classifier.spec, size=size).resize(image)
        wanted += [direct(classifier, square, size), direct(classifier, np.ascontiguousarray(square[:, ::-1]), size)]
    np.testing.assert_allclose(logits(engine, image, photo(1))[0], np.mean(wanted, axis=0), atol=1e-5)


def test_scales_needs_a_network_of_any_size() -> None:
    fixed = MoveClassifier(class_names=NAMES, backbone="test_vit", weights="none", image_size=96)
    with pytest.raises(ConfigError, match="test_vit takes photos of one size only; pass --tta flip"):
        Engine(fixed, tta="scales", device="cpu")
    assert logits(Engine(fixed, tta="flip", device="cpu"), photo(0)).shape == (1, 3)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_of_nothing_is_refused(classifier: MoveClassifier, batch_size: int) -> None:
    with pytest.raises(ConfigError, match=f"the batch size is {batch_size}; expected 1 or more"):
        Engine(classifier, batch_size=batch_size, device="cpu")


@pytest.mark.parametrize("device", ["graphics", "cuda:99", "", "cpu:one"])
def test_a_device_that_is_not_there_is_refused(classifier: MoveClassifier, device: str) -> None:
    with pytest.raises(ConfigError, match=rf"device '{device}' cannot be used here \(.+\); pass cpu"):
        Engine(classifier, device=device)


def test_bfloat16_is_close_to_32_bits(classifier: MoveClassifier) -> None:
    photos = [photo(number) for number in range(6)]
    exact = logits(Engine(classifier, device="cpu"), *photos)
    rough = logits(Engine(classifier, device="cpu", precision="bf16"), *photos)
    assert rough.dtype == np.float32
    assert 0 < np.abs(rough - exact).max() < 0.03 * np.abs(exact).max() + 0.02
    chosen = logits(Engine(classifier, device="cpu", precision="auto"), *photos)
    np.testing.assert_array_equal(chosen, rough if best_precision("cpu") == "bf16-mixed" else exact)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_answers_as_the_cpu_does(classifier: MoveClassifier) -> None:
    photos = [photo(number) for number in range(11)]
    on_cpu = logits(Engine(classifier, tta="scales", device="cpu"), *photos)
    engine = Engine(classifier, tta="scales", batch_size=4)
    assert engine.device.type == "cuda"
    on_gpu = logits(engine, *photos)
    rough = logits(Engine(classifier, tta="scales", precision="auto"), *photos)
    classifier.cpu()
    # A GPU's convolutions round 32 bits to 10 bits of mantissa (TF32).
    np.testing.assert_allclose(on_gpu, on_cpu, atol=0.02)
    np.testing.assert_allclose(rough, on_cpu, atol=0.2)
