"""Saved ML Programs: that they answer as the network does, and that what cannot be proven is refused by name."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import coremltools as ct
import coremltools.optimize.coreml as cto
import numpy as np
import pytest
import torch
from coremltools.converters.mil import Builder as mb  # noqa: N813
from torch import Tensor

from bball_pl.errors import VerificationError
from bball_pl.export.onnx import DeployModel
from bball_pl.verify.executors.mil_ops import OPS
from bball_pl.verify.executors.mil_program import MilProgram

from helpers.mil_programs import (
    NAMES,
    answer,
    as_batch,
    photo,
    sane_network,
    save_network,
    save_program,
    scaled,
    smooth_photos,
)

#: Sides in pixels: as small as each network takes.
PRESETS = {
    "inception_v3": 96,
    "resnet18": 64,
    "mobilenetv3_small_100": 64,
    "tf_efficientnet_lite0": 64,
    "convnext_atto": 64,
    "fastvit_t8": 64,
    "vit_tiny_patch16_224": 64,
}

#: fp16 has 11 significant bits: rounding some hundred layers of these untrained networks, with answers of middling
#: confidence, moved a probability by 0.020 at most (inception_v3; tf_efficientnet_lite0 0.011, all others below 0.004).
FP16_BOUND = 0.04

INNER = Path("Data") / "com.apple.CoreML"
WEIGHT = np.random.default_rng(3).standard_normal((16, 3, 5, 5)).astype(np.float32)


@torch.no_grad()
def wanted(model: DeployModel, photos: np.ndarray) -> np.ndarray:
    probabilities: np.ndarray = model(as_batch(photos)).numpy()
    return probabilities


def answers(program: MilProgram, photos: np.ndarray) -> np.ndarray:
    return np.stack([program.probabilities(pixels) for pixels in photos])


@pytest.fixture(scope="module")
def small() -> DeployModel:
    return sane_network("test_resnet", 32)


@pytest.fixture
def convolution(tmp_path: Path) -> Path:
    return save_program(tmp_path, convolve)


def convolve(x: Any) -> Any:
    return mb.relu(x=mb.conv(x=x, weight=WEIGHT, name="edges"))


# --- it answers as the network does ----------------------------------------------------------------------------------


@pytest.mark.parametrize("backbone", PRESETS)
def test_presets_answer_as_the_network(tmp_path: Path, backbone: str) -> None:
    size = PRESETS[backbone]
    model = sane_network(backbone, size)
    photos = smooth_photos(4, size, seed=5)
    expected = wanted(model, photos)
    assert expected.max() < 0.9999, "a saturated answer would hide differences"
    exact = MilProgram(save_network(model, tmp_path / "32.mlpackage", "fp32"))
    assert exact.class_names == NAMES
    np.testing.assert_allclose(answers(exact, photos), expected, atol=1e-4)
    assert (exact.largest_activation, exact.largest_activation_at) == (0, "")
    top = np.sort(expected, 1)
    sure = top[:, -1] - top[:, -2] > 2 * FP16_BOUND
    assert sure.any()
    path = save_network(model, tmp_path / "16.mlpackage", "fp16")
    for mode in ("fp32", "fp16"):
        program = MilProgram(path, mode)
        found = answers(program, photos)
        assert 0 < np.abs(found - expected).max() < FP16_BOUND
        assert (found.argmax(1) == expected.argmax(1))[sure].all()
        assert photos.max() <= program.largest_activation < 65504


@pytest.mark.parametrize("target", ["iOS15", "iOS17", "iOS18", "iOS26"])
def test_targets_answer_as_the_network(tmp_path: Path, target: str) -> None:
    model = sane_network("test_vit", 64)
    photos = smooth_photos(2, 64)
    program = MilProgram(save_network(model, tmp_path / "a.mlpackage", "fp16", target), "fp16")
    np.testing.assert_allclose(answers(program, photos), wanted(model, photos), atol=0.01)


def test_the_photo_goes_in_as_the_package_says(tmp_path: Path, small: DeployModel) -> None:
    pixels = smooth_photos(1, 32)[0]
    other = wanted(small, pixels[None, :, :, ::-1].copy())
    assert np.abs(other - wanted(small, pixels[None])).max() > 0.01
    program = MilProgram(save_network(small, tmp_path / "a.mlpackage", "fp32", color_layout=ct.colorlayout.BGR))
    assert (program.colour, program.size, program.input_name) == ("BGR", (32, 32), "image")
    np.testing.assert_allclose(program.probabilities(pixels)[None], other, atol=1e-5)


def test_scale_and_bias_of_the_package_are_obeyed(tmp_path: Path, small: DeployModel) -> None:
    pixels = smooth_photos(1, 32)[0]
    path = save_network(small, tmp_path / "a.mlpackage", "fp32", scale=0.5, bias=[10.0, 20.0, 30.0])
    with torch.no_grad():
        expected = small(as_batch(pixels[None]) * 0.5 + torch.tensor([10.0, 20.0, 30.0]).view(1, 3, 1, 1))
    np.testing.assert_allclose(answer(path, pixels), expected[0].numpy(), atol=1e-5)


def test_the_weights_are_those_on_disk(convolution: Path) -> None:
    before = answer(convolution, photo())
    file = convolution / INNER / "weights" / "weight.bin"
    content = bytearray(file.read_bytes())
    place = content.find(WEIGHT.tobytes())
    content[place : place + 4] = np.float32(WEIGHT[0, 0, 0, 0] + 8).tobytes()
    file.write_bytes(content)
    changed = answer(convolution, photo()) != before
    assert changed[:16].any()
    assert not changed[16:].any()


def test_labels_may_be_numbers(tmp_path: Path) -> None:
    path = save_program(tmp_path, lambda x: mb.reduce_mean(x=x, axes=[2, 3]), labels=[7, 5, 6])
    program = MilProgram(path)
    assert program.class_names == ["7", "5", "6"]
    assert program.outputs == ["classLabel", "classLabel_probs"]
    np.testing.assert_allclose(program.probabilities(photo()), scaled(photo()).mean((0, 2, 3)), atol=1e-6)


# --- compressed weights ----------------------------------------------------------------------------------------------


def quantised(weight: np.ndarray) -> np.ndarray:
    scale = np.abs(weight).max((1, 2, 3), keepdims=True) / 127
    rounded: np.ndarray = np.round(weight / scale).clip(-128, 127) * scale
    return rounded


def palettised(weight: np.ndarray) -> np.ndarray:
    table = np.linspace(weight.min(), weight.max(), 64)
    nearest: np.ndarray = table[np.abs(weight[..., None] - table).argmin(-1)]
    return nearest


def pruned(weight: np.ndarray) -> np.ndarray:
    return np.where(np.abs(weight) > np.median(np.abs(weight)), weight, 0)


Compress = Callable[[Any, Any], Any]


def config(option: Any) -> Any:
    return cto.OptimizationConfig(global_config=option)


COMPRESSED: dict[str, tuple[Compress, Any, Callable[[np.ndarray], np.ndarray]]] = {
    "int8": (cto.linear_quantize_weights, cto.OpLinearQuantizerConfig(weight_threshold=0), quantised),
    "6 bits": (
        cto.palettize_weights,
        cto.OpPalettizerConfig(mode="uniform", nbits=6, weight_threshold=0),
        palettised,
    ),
    "half of them": (
        cto.prune_weights,
        cto.OpMagnitudePrunerConfig(target_sparsity=0.5, weight_threshold=0),
        pruned,
    ),
}


@pytest.mark.parametrize("target", ["iOS16", "iOS18"])
@pytest.mark.parametrize("name", COMPRESSED)
def test_compressed_weights_count_as_they_are_stored(tmp_path: Path, name: str, target: str) -> None:
    compress, option, formula = COMPRESSED[name]
    path = save_program(tmp_path, lambda x: mb.conv(x=x, weight=WEIGHT), target=target)
    model = compress(ct.models.MLModel(str(path), skip_model_load=True), config(option))
    stored = tmp_path / "small.mlpackage"
    model.save(str(stored))
    kinds = {operation.type for operation in block_of(model.get_spec()).operations}
    assert any(kind.startswith("constexpr_") for kind in kinds)
    pixels = torch.tensor(scaled(photo()))
    expected, full = (
        torch.conv2d(pixels, torch.tensor(weight, dtype=torch.float64)).numpy().ravel()
        for weight in (formula(WEIGHT), WEIGHT)
    )
    found = answer(stored, photo())
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.abs(found - full).max() > 0.01


# --- the largest value -----------------------------------------------------------------------------------------------


def test_an_overflow_of_fp16_is_seen(tmp_path: Path) -> None:
    def overflow(x: Any) -> Any:
        x = mb.mul(x=mb.mul(x=x, y=np.float16(20000)), y=np.float16(4), name="too_large")
        return mb.mul(x=x, y=np.float16(2**-14))

    path = save_program(tmp_path, overflow, precision="fp16")
    largest = np.abs(scaled(photo())).max() * 80000
    wide = MilProgram(path)
    assert np.isfinite(wide.probabilities(photo())).all()
    assert wide.largest_activation == pytest.approx(largest)
    narrow = MilProgram(path, "fp16")
    assert np.isinf(narrow.probabilities(photo())).any()
    assert narrow.largest_activation == math.inf
    assert wide.largest_activation_at == narrow.largest_activation_at == "too_large (mul)"


def test_the_largest_value_is_of_all_photos_so_far(tmp_path: Path) -> None:
    program = MilProgram(save_program(tmp_path, lambda x: mb.mul(x=x, y=np.float16(3), name="a"), precision="fp16"))
    for pixel, largest in ((128, 0), (64, 3), (0, 6), (64, 6)):
        program.probabilities(np.full((8, 8, 3), pixel, np.uint8))
        assert program.largest_activation == largest
    assert program.largest_activation_at == "a (mul)"


def test_what_is_not_a_number_counts_as_an_overflow(tmp_path: Path) -> None:
    program = MilProgram(save_program(tmp_path, lambda x: mb.sqrt(x=x, name="root"), precision="fp16"))
    assert np.isnan(program.probabilities(photo())).any()
    assert (program.largest_activation, program.largest_activation_at) == (math.inf, "root (sqrt)")


# --- refused by name -------------------------------------------------------------------------------------------------


def block_of(spec: Any) -> Any:
    function = spec.mlProgram.functions["main"]
    return function.block_specializations[function.opset]


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Change what the package says, on disk."""
    file = path / INNER / "model.mlmodel"
    spec = ct.proto.Model_pb2.Model.FromString(file.read_bytes())
    change(spec)
    file.write_bytes(spec.SerializeToString())


def refusal(path: Path) -> str:
    with pytest.raises(VerificationError) as caught:
        MilProgram(path).probabilities(photo())
    assert str(path.name) in str(caught.value)
    return str(caught.value)


def test_unknown_ops_are_named(tmp_path: Path) -> None:
    path = save_program(tmp_path, lambda x: mb.cumsum(x=mb.sinh(x=x, name="a"), axis=1, name="b"))
    assert refusal(path).endswith("has ops that cannot be checked here: cumsum (gives b), sinh (gives a)")


def test_unknown_values_of_parameters_are_named(tmp_path: Path) -> None:
    def backwards(x: Any) -> Any:
        return mb.slice_by_index(x=x, begin=[0, 2, 0, 0], end=[1, 0, 8, 8], stride=[1, -1, 1, 1], name="a")

    assert "a (slice_by_index): cannot be run here: stride is [1, -1, 1, 1]" in refusal(
        save_program(tmp_path, backwards)
    )


def test_unknown_parameters_are_named(convolution: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def conv(x: Tensor, weight: Tensor) -> Tensor:
        return x

    monkeypatch.setitem(OPS, "conv", conv)
    assert "edges (conv): has a parameter strides that cannot be checked" in refusal(convolution)


def test_computed_parameters_are_named(tmp_path: Path) -> None:
    def moving(x: Any) -> Any:
        begin = mb.cast(x=mb.slice_by_size(x=mb.relu(x=x), begin=[0, 0, 0, 0], size=[1, 1, 1, 4]), dtype="int32")
        return mb.slice_by_size(x=x, begin=mb.reshape(x=begin, shape=[4]), size=[1, 1, 2, 2], name="a")

    assert "a (slice_by_size): computes its parameter begin" in refusal(save_program(tmp_path, moving))


def test_another_shape_than_the_program_states_is_named(convolution: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def relu(x: Tensor) -> Tensor:
        return x[..., :2]

    monkeypatch.setitem(OPS, "relu", relu)
    assert "(relu): gives torch.float32 [1, 16, 4, 2]; the file states fp32 [1, 16, 4, 4]" in refusal(convolution)


def test_another_type_than_the_program_states_is_named(convolution: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def relu(x: Tensor) -> Tensor:
        return x.int()

    monkeypatch.setitem(OPS, "relu", relu)
    assert "(relu): gives torch.int32 [1, 16, 4, 4]; the file states fp32" in refusal(convolution)


def test_a_file_that_states_an_impossible_shape_is_refused_by_op(convolution: Path) -> None:
    def widen(spec: Any) -> None:
        (operation,) = (operation for operation in block_of(spec).operations if operation.type == "conv")
        operation.outputs[0].type.tensorType.dimensions[3].constant.size = 5

    edit(convolution, widen)
    assert ": edges (conv) cannot be read (Mismatch between var types" in refusal(convolution)


def two_functions(spec: Any) -> None:
    spec.mlProgram.functions["second"].CopyFrom(spec.mlProgram.functions["main"])


def a_state(spec: Any) -> None:
    spec.description.state.add().name = "memory"


def two_inputs(spec: Any) -> None:
    spec.description.input.add().name = "mask"


def a_grey_photo(spec: Any) -> None:
    spec.description.input[0].type.imageType.colorSpace = ct.proto.FeatureTypes_pb2.ImageFeatureType.GRAYSCALE


def another_size(spec: Any) -> None:
    spec.description.input[0].type.imageType.width = 9


def no_classify(spec: Any) -> None:
    del block_of(spec).operations[-1]
    block_of(spec).outputs[:] = [block_of(spec).operations[-1].outputs[0].name]


def another_output(spec: Any) -> None:
    spec.description.output[1].name = "shares"


def another_kind(spec: Any) -> None:
    spec.neuralNetwork.layers.add().name = "a"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (two_functions, "has 2 functions (main, second); expected one"),
        (a_state, "keeps state between photos (memory)"),
        (two_inputs, "takes image (imageType), mask (None); expected one image"),
        (a_grey_photo, "takes photos of colour GRAYSCALE; expected RGB or BGR"),
        (another_size, "the package takes image, 9 × 8 pixels, and its program image (1, 3, 8, 8)"),
        (no_classify, "expected the two results of classify"),
        (another_output, "gives classLabel, classLabel_probs and the package classLabel, shares;"),
        (another_kind, "holds a model of type neuralNetwork; expected mlProgram"),
    ],
)
def test_other_programs_are_refused_by_name(convolution: Path, change: Callable[[Any], None], message: str) -> None:
    edit(convolution, change)
    assert message in refusal(convolution)


def test_two_classes_with_one_label_are_refused(tmp_path: Path) -> None:
    path = save_program(tmp_path, lambda x: mb.reduce_mean(x=x, axes=[2, 3]), labels=["a", "b", "a"])
    assert "Core ML's answer would lack a class: a labels two" in refusal(path)


@pytest.mark.parametrize("kept", [0, 40, 1 / 2, -1])
def test_cut_off_weights_are_refused(convolution: Path, kept: float) -> None:
    file = convolution / INNER / "weights" / "weight.bin"
    size = file.stat().st_size
    os.truncate(file, int(size * kept) if 0 < kept < 1 else int(kept) % size)
    assert "(const) cannot be read (" in refusal(convolution)


@pytest.mark.parametrize(
    "gone", [INNER / "weights" / "weight.bin", INNER / "model.mlmodel", Path("Manifest.json"), Path()]
)
def test_missing_files_are_refused(convolution: Path, gone: Path) -> None:
    path = convolution / gone
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    assert "cannot be read (" in refusal(convolution)


def test_a_damaged_description_is_refused(convolution: Path) -> None:
    os.truncate(convolution / INNER / "model.mlmodel", 300)
    assert "cannot be read (" in refusal(convolution)


@pytest.mark.parametrize("shown", [photo(9), photo()[..., 0], photo().astype(np.float32)])
def test_a_photo_of_another_kind_is_refused(convolution: Path, shown: np.ndarray) -> None:
    with pytest.raises(VerificationError, match=r"takes photos uint8 \[8, 8, 3\]; found"):
        MilProgram(convolution).probabilities(shown)
