"""Saved NeuralNetwork files: that they answer as the network does, and that what cannot be proven is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pytest
import torch
from coremltools.models.neural_network import quantization_utils

from bball_pl.errors import VerificationError
from bball_pl.export.onnx import DeployModel
from bball_pl.verify.executors.neuralnetwork import NeuralNetwork
from bball_pl.verify.graph import network_graph
from bball_pl.verify.model_file import read_spec
from bball_pl.verify.runners import quietly

from helpers.mil_programs import as_batch, sane_network, smooth_photos
from helpers.neural_networks import HEIGHT, NAMES, WIDTH, convert, photo, result, save, scaled

#: Sides in pixels: as small as each network takes.
PRESETS = {
    "inception_v3": 75,
    "resnet18": 64,
    "mobilenetv3_small_100": 64,
    "tf_efficientnet_lite0": 64,
    "convnext_atto": 64,
    "fastvit_t8": 64,
    "vit_tiny_patch16_224": 64,
}

#: fp16 has 11 significant bits; measured: 0.02 for tf_efficientnet_lite0 and inception_v3, others 0.002 at most.
FP16_BOUND = 0.05

X = scaled(photo())


@torch.no_grad()
def wanted(model: DeployModel, photos: np.ndarray) -> np.ndarray:
    probabilities: np.ndarray = model(as_batch(photos)).numpy()
    return probabilities


def answers(path: Path, photos: np.ndarray, **options: Any) -> np.ndarray:
    network = NeuralNetwork(path, **options)
    return np.stack([network.probabilities(pixels) for pixels in photos])


@pytest.fixture(scope="module")
def small() -> DeployModel:
    return sane_network("test_resnet", 32)


@pytest.fixture(scope="module")
def small_file(small: DeployModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convert(small, tmp_path_factory.mktemp("small") / "small.mlmodel")


# --- it answers as the network does ----------------------------------------------------------------------------------


@pytest.mark.parametrize("backbone", PRESETS)
def test_every_preset_answers_as_the_network(tmp_path: Path, backbone: str) -> None:
    size = PRESETS[backbone]
    model = sane_network(backbone, size)
    path = convert(model, tmp_path / "model.mlmodel")
    photos = smooth_photos(3, size, seed=7)
    truth = wanted(model, photos)
    assert np.ptp(truth, axis=0).max() > 0.01, "the photos must not all be answered alike"
    assert truth.max() < 0.995, "answers of 1 would hide any difference"
    network = NeuralNetwork(path)
    exact = np.abs(np.stack([network.probabilities(pixels) for pixels in photos]) - truth).max()
    rounded = np.abs(answers(path, photos, mode="fp16") - truth).max()
    print(f"{backbone} {size} px: fp32 {exact:.1e}, fp16 {rounded:.1e}, largest {network.largest_activation:.4g}")
    assert exact <= 1e-4
    assert exact < rounded <= FP16_BOUND
    assert network.class_names == NAMES
    assert (network.input_name, network.size, network.colour) == ("image", (size, size), "RGB")
    assert 1 < network.largest_activation < 65504
    graph = network_graph(read_spec(path).neuralNetworkClassifier)
    assert graph.unfolded() == graph.traces_of_training() == [], "inspection must not take it for an unfinished one"


def test_it_says_what_is_in_the_file(small_file: Path) -> None:
    network = NeuralNetwork(small_file)
    assert network.outputs[-1] == "classLabel"
    assert len(network.outputs) == 2
    assert network.largest_activation == 0
    assert network.probabilities(smooth_photos(1, 32)[0]).dtype == np.float32
    assert network.largest_activation_at.endswith(")")


def test_integer_labels(tmp_path: Path) -> None:
    def numbers(spec: Any) -> None:
        spec.neuralNetworkClassifier.int64ClassLabels.vector.extend([30, 10, 20])

    def build(builder: Any) -> None:
        builder.add_reduce_mean("r", "image", "result", [0, 2, 3], keepdims=False)

    network = NeuralNetwork(save(tmp_path, build, 3, change=numbers))
    assert network.class_names == ["30", "10", "20"]
    np.testing.assert_allclose(network.probabilities(photo()), X.mean((0, 2, 3)), atol=1e-6)


def test_the_same_photo_twice_has_the_same_answer(small_file: Path) -> None:
    network = NeuralNetwork(small_file)
    first, other = smooth_photos(2, 32)
    once = network.probabilities(first)
    assert np.abs(network.probabilities(other) - once).max() > 1e-4
    assert (network.probabilities(first) == once).all()


# --- weights ---------------------------------------------------------------------------------------------------------


def quantised(path: Path, bits: int, mode: str) -> Path:
    with quietly():
        spec = quantization_utils.quantize_weights(ct.models.MLModel(str(path), skip_model_load=True), bits, mode)
    spec = spec if hasattr(spec, "SerializeToString") else spec.get_spec()
    changed = path.with_name(f"{mode}-{bits}.mlmodel")
    changed.write_bytes(spec.SerializeToString())
    return changed


@pytest.mark.parametrize(
    ("bits", "mode", "bound"),
    [(16, "linear", 5e-3), (8, "linear", 0.1), (8, "linear_lut", 0.2), (6, "linear", 0.5), (5, "linear_lut", 0.6)],
)
def test_quantised_weights(small: DeployModel, small_file: Path, bits: int, mode: str, bound: float) -> None:
    path = quantised(small_file, bits, mode)
    assert path.stat().st_size < small_file.stat().st_size * (bits + 3) / 32
    photos = smooth_photos(3, 32, seed=7)
    found = answers(path, photos)
    moved = np.abs(found - wanted(small, photos)).max()
    print(f"{bits} bits {mode}: {moved:.1e}")
    assert 0 < moved < bound
    if bits < 16:
        # coremltools' own decoding of what it wrote.
        plain = ct.utils.load_spec(str(path))
        with quietly():
            quantization_utils._dequantize_nn_spec(plain.neuralNetworkClassifier)
        again = path.with_name("plain.mlmodel")
        again.write_bytes(plain.SerializeToString())
        np.testing.assert_allclose(found, answers(again, photos), atol=1e-5)


def stored(folder: Path, change: Callable[[Any], None], count: int = 6) -> np.ndarray:
    """Save a constant of two rows of three, stored as `change` says, and return what comes out."""

    def build(builder: Any) -> None:
        builder.add_load_constant_nd("c", "constant", np.zeros(6), (6,))
        builder.add_reduce_sum("z", "image", "sum", [0, 1, 2, 3], keepdims=False, reduce_all=True)
        builder.add_elementwise("n", ["sum"], "zero", "MULTIPLY", alpha=0.0)
        builder.add_add_broadcastable("a", ["constant", "zero"], "result")

    def both(spec: Any) -> None:
        weights = spec.neuralNetworkClassifier.layers[0].loadConstantND.data
        weights.Clear()
        change(weights)

    return NeuralNetwork(save(folder, build, count, change=both)).probabilities(photo())


def test_three_bits_run_across_bytes_from_the_highest_on(tmp_path: Path) -> None:
    def change(weights: Any) -> None:
        weights.quantization.numberOfBits = 3
        weights.quantization.lookupTableQuantization.floatValue.extend([0, 10, 20, 30, 40, 50, 60, 70])
        weights.rawValue = bytes([0b001_010_01, 0b1_100_101_1, 0b11_000000])  # 1 2 3 4 5 7

    assert stored(tmp_path, change).tolist() == [10, 20, 30, 40, 50, 70]


def test_half_precision_is_little_endian(tmp_path: Path) -> None:
    def change(weights: Any) -> None:
        weights.float16Value = np.array([1, -2, 0.5, 65504, 3, 4], "<f2").tobytes()

    assert stored(tmp_path, change).tolist() == [1, -2, 0.5, 65504, 3, 4]


def test_each_row_of_linear_weights_has_its_scale(tmp_path: Path) -> None:
    def build(builder: Any) -> None:
        builder.add_reduce_mean("r", "image", "means", [0, 2, 3], keepdims=False)
        builder.add_inner_product("d", np.zeros((2, 3)), None, 3, 2, False, "means", "result")

    def change(spec: Any) -> None:
        weights = spec.neuralNetworkClassifier.layers[1].innerProduct.weights
        weights.Clear()
        weights.rawValue = bytes([1, 2, 3, 100, 200, 255])
        weights.quantization.numberOfBits = 8
        weights.quantization.linearQuantization.scale.extend([1, 0.1])
        weights.quantization.linearQuantization.bias.extend([0, -10])

    matrix = np.array([[1, 2, 3], [0, 10, 15.5]])
    means = X.mean((0, 2, 3))
    found = NeuralNetwork(save(tmp_path, build, 2, change=change)).probabilities(photo())
    np.testing.assert_allclose(found, matrix @ means, atol=1e-5)


def _cut(weights: Any) -> None:
    weights.floatValue.extend([1, 2, 3])


def _odd(weights: Any) -> None:
    weights.float16Value = b"123"


def _twice(weights: Any) -> None:
    weights.floatValue.extend(range(6))
    weights.float16Value = bytes(12)


def _raw(weights: Any) -> None:
    weights.rawValue = bytes(6)


def _table(weights: Any) -> None:
    weights.rawValue = bytes(6)
    weights.quantization.numberOfBits = 8
    weights.quantization.lookupTableQuantization.floatValue.extend([1, 2])


def _short(weights: Any) -> None:
    weights.rawValue = bytes(2)
    weights.quantization.numberOfBits = 3
    weights.quantization.lookupTableQuantization.floatValue.extend(range(8))


def _scales(weights: Any) -> None:
    weights.rawValue = bytes(6)
    weights.quantization.numberOfBits = 8
    weights.quantization.linearQuantization.scale.extend([1, 2, 3, 4])


def _dynamic(weights: Any) -> None:
    weights.int8RawValue = bytes(6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_cut, r"3 values; expected \[1, 6\]"),
        (_odd, "3 bytes of fp16"),
        (_twice, "floatValue and float16Value"),
        (_raw, "rawValue"),
        (_table, "table of 2 values; expected 256"),
        (_short, "2 bytes for .* 3 bits"),
        (_scales, "4 scales and 0 biases"),
        (_dynamic, "int8RawValue"),
        (lambda weights: None, "stored as nothing"),
    ],
)
def test_weights_that_cannot_be_read(tmp_path: Path, change: Any, words: str) -> None:
    with pytest.raises(VerificationError, match=rf"c \(loadConstantND\): data: .*{words}"):
        stored(tmp_path, change)


# --- fp16 ------------------------------------------------------------------------------------------------------------


def test_fp16_rounds_photo_weights_and_blobs(tmp_path: Path) -> None:
    def build(builder: Any) -> None:
        builder.add_activation("tenth", "LINEAR", "image", "tenth", params=[0.1, 0.0])
        builder.add_scale("third", np.array([1 / 3]), None, False, "tenth", "result", (1,))

    pixels = photo().transpose(2, 0, 1)[None].astype(np.float32)
    half = (pixels * np.float32(0.1)).astype(np.float16).astype(np.float32)
    half = (half * np.float32(np.float16(1 / 3))).astype(np.float16)
    path = save(tmp_path, build, half.size, scale=1.0, biases=(0, 0, 0))
    assert (answers(path, photo()[None], mode="fp16")[0] == half.ravel()).all()
    assert np.abs(answers(path, photo()[None])[0] - half.ravel()).max() > 1e-4


def test_what_16_bits_cannot_hold_is_reported(tmp_path: Path) -> None:
    def build(builder: Any) -> None:
        builder.add_activation("big", "LINEAR", "image", "big", params=[1e5, 0.0])
        builder.add_activation("back", "LINEAR", "big", "result", params=[1e-5, 0.0])

    path = save(tmp_path, build, X.size)
    network = NeuralNetwork(path)
    np.testing.assert_allclose(network.probabilities(photo()), X.ravel(), atol=1e-5)
    assert network.largest_activation == pytest.approx(abs(X).max() * 1e5)
    assert network.largest_activation_at == "big (activation)"
    half = NeuralNetwork(path, "fp16")
    assert np.isinf(half.probabilities(photo())).any()
    assert half.largest_activation == math.inf
    assert half.largest_activation_at == "big (activation)"


def test_not_a_number_counts_as_the_largest(tmp_path: Path) -> None:
    network = NeuralNetwork(save(tmp_path, lambda b: b.add_unary("root", "image", "result", "sqrt"), X.size))
    assert np.isnan(network.probabilities(photo())).any()
    assert (network.largest_activation, network.largest_activation_at) == (math.inf, "root (unary)")


# --- what is refused -------------------------------------------------------------------------------------------------


def identity(builder: Any) -> None:
    builder.add_activation("same", "LINEAR", "image", "result", params=[1.0, 0.0])


def dense(builder: Any) -> None:
    builder.add_inner_product("dense", np.ones((3, X.size)), None, X.size, 3, False, "image", "result")


def edges(builder: Any) -> None:
    builder.add_convolution(
        "edges",
        3,
        4,
        1,
        1,
        1,
        1,
        "valid",
        1,
        np.ones((1, 1, 3, 4)),
        None,
        False,
        input_name="image",
        output_name="result",
    )


def _set(layer: int, path: str, value: Any) -> Callable[[Any], None]:
    def change(spec: Any) -> None:
        target = spec.neuralNetworkClassifier.layers[layer]
        *parents, last = path.split(".")
        for parent in parents:
            target = getattr(target, parent)
        if isinstance(value, list):
            getattr(target, last)[:] = value
        else:
            setattr(target, last, value)

    return change


def _newer_field(spec: Any) -> None:
    # Field 999 of the parameters, with the value 1: something that a later version of the format may bring.
    spec.neuralNetworkClassifier.layers[0].convolution.MergeFromString(bytes([0xB8, 0x3E, 0x01]))


def _newer_layer(spec: Any) -> None:
    layer = spec.neuralNetworkClassifier.layers[0]
    layer.ClearField("convolution")
    layer.MergeFromString(bytes([0xBA, 0x3E, 0x00]))


@pytest.mark.parametrize(
    ("build", "change", "words"),
    [
        (lambda b: b.add_lrn("l", "image", "result", 1, 1, 3), None, r"l \(lrn\): cannot be checked"),
        (edges, _newer_layer, r"edges \(of a kind that is newer than this coremltools\): cannot be checked"),
        (edges, _newer_field, r"edges \(convolution\): field 999 cannot be checked"),
        (edges, _set(0, "convolution.isDeconvolution", True), r"edges \(convolution\): isDeconvolution"),
        (edges, _set(0, "convolution.kernelChannels", 2), r"edges \(convolution\): weights: 12 values"),
        (edges, _set(0, "convolution.nGroups", 2), r"edges \(convolution\): 3 channels; expected 6"),
        (edges, _set(0, "convolution.stride", [1]), r"edges \(convolution\): stride has 1 numbers"),
        (dense, _set(0, "innerProduct.int8DynamicQuantize", True), r"dense \(innerProduct\): int8DynamicQuantize"),
        (lambda b: b.add_pooling("p", 2, 2, 1, 1, "L2", "VALID", "image", "result"), None, r"p \(pooling\): .* L2"),
        (
            lambda b: b.add_batchnorm("n", 3, *np.ones((4, 3)), "image", "result"),
            _set(0, "batchnorm.computeMeanVar", True),
            r"n \(batchnorm\): computeMeanVar",
        ),
        (lambda b: b.add_reshape_static("r", "image", "result", [5, -1]), None, r"r \(reshapeStatic\): cannot be run"),
        (lambda b: b.add_squeeze("q", "image", "result", [1]), None, r"q \(squeeze\): axes \[1\]"),
        (lambda b: b.add_slice("s", "image", "result", "width", 2, 2), None, r"s \(slice\): gives an empty blob"),
        (lambda b: b.add_softmax_nd("s", "image", "result", 4), None, r"s \(softmaxND\): cannot be run"),
        (lambda b: b.add_split("s", "image", ["a", "result"]), None, r"s \(split\): 2 parts of 3 values"),
        (lambda b: b.add_permute("p", (0, 1, 3, 2), "image", "result"), None, r"p \(permute\): .* 5 dimensions"),
        (identity, _set(0, "input", ["images"]), r"same \(activation\): takes 'images'"),
        (identity, _set(0, "input", ["image", "image"]), r"same \(activation\): 2 inputs"),
        (
            identity,
            _set(0, "output", ["image"]),
            r"same \(activation\): gives 'image', which another step gives already",
        ),
        (identity, _set(0, "output", ["other"]), "no layer gives the probabilities 'result'"),
    ],
)
def test_layers_that_cannot_be_proven(tmp_path: Path, build: Any, change: Any, words: str) -> None:
    path = save(tmp_path, build, 3, change=change or (lambda spec: None))
    with pytest.raises(VerificationError, match=words):
        NeuralNetwork(path).probabilities(photo())


def test_a_stated_shape_must_be_right(tmp_path: Path) -> None:
    def change(spec: Any) -> None:
        tensor = spec.neuralNetworkClassifier.layers[0].outputTensor.add()
        tensor.rank = 4
        tensor.dimValue.extend([1, 3, HEIGHT, WIDTH + 1])

    with pytest.raises(VerificationError, match=r"same \(activation\): gives .* the file states \[1, 3, 7, 7\]"):
        NeuralNetwork(save(tmp_path, identity, X.size, change=change)).probabilities(photo())


def _grey(spec: Any) -> None:
    spec.description.input[0].type.imageType.colorSpace = ct.proto.FeatureTypes_pb2.ImageFeatureType.GRAYSCALE


def _array(spec: Any) -> None:
    spec.description.input[0].type.multiArrayType.shape.extend([3, HEIGHT, WIDTH])


def _two_inputs(spec: Any) -> None:
    spec.description.input.add().CopyFrom(spec.description.input[0])


def _flexible(spec: Any) -> None:
    spec.description.input[0].type.imageType.imageSizeRange.widthRange.lowerBound = 1


def _mean_image(spec: Any) -> None:
    spec.neuralNetworkClassifier.preprocessing[0].meanImage.meanImage.append(1)


def _other_feature(spec: Any) -> None:
    spec.neuralNetworkClassifier.preprocessing[0].featureName = "picture"


def _black(spec: Any) -> None:
    spec.neuralNetworkClassifier.preprocessing[0].scaler.channelScale = 0


def _trains_on(spec: Any) -> None:
    spec.neuralNetworkClassifier.updateParams.epochs.defaultValue = 3


def _regressor(spec: Any) -> None:
    spec.neuralNetworkRegressor.MergeFromString(b"")


def _no_labels(spec: Any) -> None:
    spec.neuralNetworkClassifier.ClearField("ClassLabels")


def _same_labels(spec: Any) -> None:
    spec.neuralNetworkClassifier.stringClassLabels.vector[:] = ["a", "b", "a"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_grey, "colour GRAYSCALE"),
        (_array, r"image \(multiArrayType\); expected one image"),
        (_two_inputs, "expected one image"),
        (_flexible, "several sizes"),
        (_mean_image, "preprocessing: meanImage cannot be checked"),
        (_other_feature, "preprocessing: is for 'picture'; the photo is called 'image'"),
        (_black, "channelScale is 0"),
        (_trains_on, "updateParams"),
        (_regressor, "type neuralNetworkRegressor"),
        (_no_labels, "no labels"),
        (_same_labels, "a labels two"),
    ],
)
def test_files_that_cannot_be_proven(tmp_path: Path, change: Any, words: str) -> None:
    with pytest.raises(VerificationError, match=words):
        NeuralNetwork(save(tmp_path, dense, 3, change=change))


def test_a_number_of_labels_that_is_not_that_of_the_answers(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="'result' has 3 values for 4 labels"):
        NeuralNetwork(save(tmp_path, dense, 4)).probabilities(photo())


@pytest.mark.parametrize("pixels", [photo(width=5), photo()[:, :, :1], photo().astype(np.float32)])
def test_another_photo_than_the_file_takes(tmp_path: Path, pixels: np.ndarray) -> None:
    network = NeuralNetwork(save(tmp_path, dense, 3))
    with pytest.raises(VerificationError, match=r"takes photos uint8 \[7, 6, 3\]; found"):
        network.probabilities(pixels)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_truncated_file(small_file: Path, tmp_path: Path, share: float) -> None:
    whole = small_file.read_bytes()
    path = tmp_path / "cut.mlmodel"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(VerificationError, match=r"cut\.mlmodel .*bball export"):
        NeuralNetwork(path)


def test_files_of_other_kinds(tmp_path: Path) -> None:
    path = tmp_path / "picture.mlmodel"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(VerificationError, match=r"picture\.mlmodel"):
        NeuralNetwork(path)
    with pytest.raises(VerificationError, match=r"nowhere\.mlmodel"):
        NeuralNetwork(tmp_path / "nowhere.mlmodel")
    with pytest.raises(VerificationError, match="cannot be read"):
        NeuralNetwork(tmp_path)


def test_result_is_what_the_helper_says(tmp_path: Path) -> None:
    np.testing.assert_allclose(result(tmp_path, identity, X), X, atol=1e-6)
