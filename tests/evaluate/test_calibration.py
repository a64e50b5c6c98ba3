"""Temperature, threshold and risk–coverage, and the file beside a checkpoint."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from bball_pl.errors import RunError
from bball_pl.evaluate.calibration import (
    Calibration,
    calibrate,
    calibration_file,
    file_sha256,
    read_calibration,
    risk_coverage,
    threshold_for,
    write_calibration,
)
from bball_pl.model.temperature import fit_temperature, nll

#: Few different confidences, so that many are equal, and some that are neighbours in 32 or in 64 bits.
SURE = st.sampled_from(
    [0.4, 0.5, 0.5 + 2**-53, 0.6, 0.75, 1 - 2**-23, 1 - 2**-24, 1 - 2**-52, 1 - 2**-53, 1.0]
) | st.floats(0.34, 1)
ANSWERED = st.lists(st.tuples(SURE, st.booleans()), min_size=1, max_size=25)
DTYPES = st.sampled_from([np.float32, np.float64])
TARGETS = st.floats(0.5, 1)


def planted(temperature: float, number: int, spread: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are too large by a factor, and classes that follow the right probabilities."""
    generator = np.random.default_rng(0)
    right = generator.normal(0, spread, (number, 3))
    targets = (softmax(right, axis=1).cumsum(1) > generator.random((number, 1))).argmax(1)
    return (right * temperature).astype(np.float32), targets


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5, 6.0])
def test_a_planted_temperature_is_found(temperature: float) -> None:
    logits, targets = planted(temperature, 20_000)
    assert fit_temperature(logits, targets) == pytest.approx(temperature, rel=0.04)


def test_a_network_that_is_too_sure_is_calibrated() -> None:
    logits, targets = planted(3, 3000)
    calibration = calibrate(logits, targets, 0.9, "x")
    assert calibration.nll_before == pytest.approx(nll(logits, targets))
    assert calibration.nll_after < calibration.nll_before - 0.2
    assert calibration.nll_after == pytest.approx(nll(logits / calibration.temperature, targets), rel=1e-5)
    confidence = softmax(logits / calibration.temperature, axis=1).max(1)
    assert confidence.mean() == pytest.approx((logits.argmax(1) == targets).mean(), abs=0.02)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.floats(0.05, 20), st.integers(0, 1000))
@example(35, 19.0, 35)
def test_no_other_temperature_fits_better(number: int, scale: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    logits, targets = generator.normal(0, scale, (number, 3)), generator.integers(0, 3, number)

    def cost(temperature: float) -> float:
        return nll(logits / temperature, targets) * number + math.log(temperature) ** 2 / 2

    temperature = fit_temperature(logits, targets)
    assert cost(temperature) <= min(cost(other) for other in np.exp(np.linspace(-3, 3, 200))) + 1e-4
    assert nll(logits / temperature, targets) <= nll(logits, targets) + 1e-6, "the prior prefers 1"


def test_a_few_photos_that_are_all_right_do_not_make_it_certain() -> None:
    logits = np.array([[4.0, 0, 0], [0, 4, 0], [0, 0, 4]], np.float32)
    few = fit_temperature(logits, np.arange(3))
    assert 0.5 < few < 1
    one = fit_temperature(logits[:1], np.array([0]))
    assert few < one < 1, "the more photos say it, the surer"
    many = fit_temperature(np.tile(logits, (300, 1)), np.tile(np.arange(3), 300))
    assert 0.1 < many < few
    calibration = calibrate(logits, np.arange(3), 0.95, "x")
    assert (calibration.threshold, calibration.coverage, calibration.selective_accuracy) == (0, 1, 1)


def test_a_few_photos_that_are_all_wrong_do_not_make_it_useless() -> None:
    logits = np.array([[4.0, 0, 0], [0, 4, 0], [0, 0, 4]], np.float32)
    assert 1 < fit_temperature(logits, np.array([1, 2, 0])) < 5
    calibration = calibrate(logits, np.array([1, 2, 0]), 0.95, "x")
    assert (calibration.threshold, calibration.coverage, calibration.selective_accuracy) == (None, 0, None)


def test_always_one_class() -> None:
    logits = np.tile(np.array([3, 0, 0], np.float32), (30, 1))
    targets = np.repeat([0, 1, 2], 10)
    calibration = calibrate(logits, targets, 0.95, "x")
    # A third is right: the likelihood alone would make all answers alike, and the prior stops it.
    assert calibration.temperature > 5
    assert calibration.nll_after == pytest.approx(np.log(3), abs=0.05)
    assert calibration.threshold is None, "equal confidences: none of them can be told from the others"
    assert calibrate(logits, targets, 0.3, "x").threshold == 0


def test_logits_of_zero_leave_the_temperature_at_one() -> None:
    assert fit_temperature(np.zeros((5, 3), np.float32), np.arange(5) % 3) == pytest.approx(1, abs=1e-3)


@given(ANSWERED, DTYPES)
def test_risk_and_coverage_are_those_of_their_definition(answered: list[tuple[float, bool]], dtype: type) -> None:
    confidence: np.ndarray = np.array([sure for sure, _ in answered], dtype)
    correct = np.array([right for _, right in answered])
    curve = risk_coverage(confidence, correct)
    assert curve.threshold.tolist() == sorted(set(confidence.tolist()), reverse=True)
    for threshold, coverage, accuracy in zip(curve.threshold, curve.coverage, curve.accuracy, strict=True):
        given_answers = confidence >= threshold
        assert coverage == pytest.approx(given_answers.mean())
        assert accuracy == pytest.approx(correct[given_answers].mean())
    assert curve.coverage[-1] == 1


@given(ANSWERED, DTYPES, TARGETS)
def test_no_lower_threshold_reaches_the_target(
    answered: list[tuple[float, bool]], dtype: type, target_accuracy: float
) -> None:
    confidence: np.ndarray = np.array([sure for sure, _ in answered], dtype)
    correct = np.array([right for _, right in answered])
    threshold = threshold_for(confidence, correct, target_accuracy)
    reaching = [cut for cut in set(confidence.tolist()) if correct[confidence >= cut].mean() >= target_accuracy]
    if not reaching:
        assert threshold is None
        return
    assert threshold is not None
    # What is answered is exactly what the lowest of all cuts that reach the target would answer.
    assert ((confidence >= threshold) == (confidence >= min(reaching))).all()
    assert (threshold == 0) == (min(reaching) == confidence.min())
    assert threshold <= min(reaching)


def test_the_threshold_lies_half_way() -> None:
    confidence = np.array([0.9, 0.8, 0.6, 0.4])
    right_but_last_two = np.array([True, True, False, False])
    assert threshold_for(confidence, right_but_last_two, 0.95) == pytest.approx(0.7)
    # Accuracy may fall and rise again: the lowest threshold counts, not the first that fails.
    assert threshold_for(confidence, np.array([False, True, True, False]), 0.6) == pytest.approx(0.5)
    assert threshold_for(confidence, np.array([False, False, True, True]), 0.75) is None


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(0, 1000), TARGETS)
def test_what_a_calibration_says_is_true_of_its_own_photos(number: int, seed: int, target_accuracy: float) -> None:
    generator = np.random.default_rng(seed)
    # Large enough to drive many confidences to 1.
    logits = generator.normal(0, 8, (number, 3)).astype(np.float32)
    targets = np.where(generator.random(number) < 0.7, logits.argmax(1), generator.integers(0, 3, number))
    calibration = calibrate(logits, targets, target_accuracy, "abc")
    assert (calibration.n, calibration.target_accuracy, calibration.checkpoint_sha256) == (
        number,
        target_accuracy,
        "abc",
    )
    # Probabilities in 32 bits, as an evaluation works them out.
    shares = softmax(logits / np.float32(calibration.temperature), axis=1)
    if calibration.threshold is None:
        assert (calibration.coverage, calibration.selective_accuracy) == (0, None)
        return
    answered = shares.max(1) >= calibration.threshold
    assert calibration.coverage == pytest.approx(answered.mean())
    assert calibration.selective_accuracy == pytest.approx((shares.argmax(1) == targets)[answered].mean())
    assert (shares.argmax(1) == targets)[answered].mean() >= target_accuracy


def checkpoint(tmp_path: Path) -> tuple[Path, Calibration]:
    path = tmp_path / "best.ckpt"
    path.write_bytes(b"weights")
    logits, targets = planted(2, 50)
    return path, calibrate(logits, targets, 0.95, file_sha256(path))


def test_a_calibration_lies_beside_its_checkpoint_and_is_read_as_it_was_written(tmp_path: Path) -> None:
    path, calibration = checkpoint(tmp_path)
    assert read_calibration(path) is None
    assert write_calibration(path, calibration) == tmp_path / "best.calibration.json" == calibration_file(path)
    assert read_calibration(path) == calibration
    assert json.loads((tmp_path / "best.calibration.json").read_text())["temperature"] == calibration.temperature
    never = calibrate(np.array([[1.0, 0.0]]), np.array([1]), 0.95, calibration.checkpoint_sha256)
    write_calibration(path, never)
    assert never.threshold is None
    assert read_calibration(path) == never
    assert calibration_file("epoch=3-loss=0.25.ckpt").name == "epoch=3-loss=0.25.calibration.json"


def test_a_calibration_of_another_checkpoint_is_not_used(tmp_path: Path) -> None:
    path, calibration = checkpoint(tmp_path)
    write_calibration(path, calibration)
    path.write_bytes(b"weights of a resumed run")
    assert read_calibration(path) is None


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"temperature": 0}, "temperature is 0"),
        ({"temperature": -1}, "temperature is -1"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": "2"}, "not supported"),
        ({"temperature": None}, "not supported"),
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"threshold": float("nan")}, "threshold is nan"),
        ({"threshold": "0.5"}, "not supported"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_calibration_with_impossible_values_is_refused(tmp_path: Path, change: dict[str, object], found: str) -> None:
    path, calibration = checkpoint(tmp_path)
    file = write_calibration(path, calibration)
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(RunError) as refused:
        read_calibration(path)
    assert f"{file} is not a calibration (" in str(refused.value)
    assert found in str(refused.value)
    assert "Delete it and run bball evaluate" in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'"text"', b"{}", b'{"temperature": 1}', b"\xff\xfe"])
def test_a_broken_calibration_is_refused(tmp_path: Path, content: bytes) -> None:
    path, _ = checkpoint(tmp_path)
    calibration_file(path).write_bytes(content)
    with pytest.raises(RunError, match=r"best\.calibration\.json is not a calibration"):
        read_calibration(path)
