"""Networks that converters misread are mended, and those that they cannot express are refused in one line, at once."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coremltools.models import datatypes
from coremltools.models.neural_network import NeuralNetworkBuilder
from torch import Tensor, nn
from torch.nn import functional as F

from bball_pl import cli
from bball_pl.errors import ConfigError
from bball_pl.export import coreml
from bball_pl.export.conversion import in_one_line, mend_coremltools
from bball_pl.export.conversion_speed import libraries_are_no_garbage, speed_up_coremltools
from bball_pl.export.coreml import check_coreml, finish, write_coreml
from bball_pl.export.metadata import About, Interface, interface_for
from bball_pl.export.onnx import DeployModel, write_onnx
from bball_pl.export.options import Route
from bball_pl.model.classifier import MoveClassifier
from bball_pl.verify.model_file import read_spec
from bball_pl.verify.runners import quietly, runner_for

NAMES = ["shoot", "dribble", "layup"]
TARGETS: Any = {"mlprogram": ("mlpackage", "iOS16"), "neuralnetwork": ("mlmodel", "iOS14")}


class Windows(nn.Module):
    """What Swin, ConvNeXt V2 and EdgeNeXt do: arithmetic on shapes, addcmul, tiles, and a value called softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 6, 3, 4, 1), nn.Linear(6, 3)
        self.shift, self.scale = (nn.Parameter(torch.randn(6, 1, 1)) for _ in range(2))

    def forward(self, images: Tensor) -> Tensor:
        maps = self.stem(images) / 100
        maps = F.pad(maps, (0, (3 - maps.shape[3] % 3) % 3, 0, (3 - maps.shape[2] % 3) % 3))
        batch, channels, height, width = maps.shape
        maps = maps.view(batch * channels, height // 3, 3, width // 3, 3).mean((1, 3)).view(batch, channels, 3, 3)
        maps = torch.addcmul(self.shift, self.scale, maps, value=0.5)
        attention = maps.flatten(2).softmax(-1)
        total = attention.norm(dim=-1, keepdim=True).expand_as(attention)
        result: Tensor = self.head((attention / total * maps.flatten(2)).mean(-1))
        return result


class Smaller(nn.Module):
    """What CrossViT does: a second branch sees the photo at another size."""

    def __init__(self, corners: bool) -> None:
        super().__init__()
        self.corners, self.head = corners, nn.Conv2d(3, 3, (28, 45))

    def forward(self, images: Tensor) -> Tensor:
        smaller = F.interpolate(images, size=(28, 45), mode="bicubic", align_corners=self.corners)
        result: Tensor = self.head(smaller).flatten(1)
        return result / 100


class Bessel(nn.Module):
    """An op that no converter has."""

    def forward(self, images: Tensor) -> Tensor:
        result: Tensor = torch.special.bessel_j0(images)
        return result.mean((2, 3))


def deployed(network: nn.Module) -> DeployModel:
    torch.manual_seed(0)
    classifier = MoveClassifier(NAMES, "test_resnet", "none", 32)
    model = DeployModel(classifier).eval()
    model.network = network.eval()  # type: ignore[assignment]
    return model


def about(model: DeployModel) -> tuple[Interface, About]:
    spec = model.spec
    return interface_for(NAMES), About("a", "l", "d", NAMES, spec, "x", 1.0, None, "2026-11-26", "0", None, "1")


@pytest.mark.parametrize("form", list(TARGETS))
@pytest.mark.parametrize("route", ["trace", "export", "onnx"])
def test_ops_that_converters_lack_or_misread_are_mended(tmp_path: Path, form: Any, route: Route) -> None:
    model = deployed(Windows())
    suffix, target = TARGETS[form]
    photo = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    with torch.inference_mode():
        expected = model(torch.tensor(photo).permute(2, 0, 1)[None].float()).numpy()[0]
    onnx_file = tmp_path / "model.onnx"
    if route == "onnx":
        write_onnx(model, onnx_file, *about(model))
    path = tmp_path / f"model.{suffix}"
    write_coreml(model, path, *about(model), form, target, route, "fp32", onnx_file)
    np.testing.assert_allclose(runner_for(path).probabilities(photo), expected, atol=1e-5)


@pytest.mark.parametrize("form", list(TARGETS))
@pytest.mark.parametrize(("route", "corners"), [("trace", False), ("export", True), ("trace", True)])
def test_bicubic_resizing_is_written_as_products(tmp_path: Path, form: Any, route: Route, corners: bool) -> None:
    model = deployed(Smaller(corners))
    suffix, target = TARGETS[form]
    photo = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    with torch.inference_mode():
        expected = model(torch.tensor(photo).permute(2, 0, 1)[None].float()).numpy()[0]
    path = tmp_path / f"model.{suffix}"
    write_coreml(model, path, *about(model), form, target, route, "fp32")
    assert expected.max() < 0.9
    np.testing.assert_allclose(runner_for(path).probabilities(photo), expected, atol=1e-5)


class Convolutions(nn.Module):
    """Each kind of layer with many weights: grouped, over several pixels, transposed, and a matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Sequential(
            nn.Conv2d(3, 8, (3, 5), 4), nn.ReLU(), nn.Conv2d(8, 6, 1, groups=2), nn.ConvTranspose2d(6, 4, 2, 2)
        )
        self.head = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        result: Tensor = self.head(self.maps(images / 255).mean((2, 3)))
        return result


def test_a_neural_network_has_the_bytes_that_it_would_have_with_its_weights_from_the_start(tmp_path: Path) -> None:
    model = deployed(Convolutions())
    interface, facts = about(model)
    path, whole = (tmp_path / f"{name}.mlmodel" for name in ("model", "whole"))
    write_coreml(model, path, interface, facts, "neuralnetwork", "iOS14")
    with quietly():
        converted = coreml._converted(model, interface, "iOS14", "trace", None, convert_to="neuralnetwork")
        finish(converted, whole, interface, facts)
    assert path.read_bytes() == whole.read_bytes()
    kinds = [layer.WhichOneof("layer") for layer in read_spec(path).neuralNetworkClassifier.layers]
    assert kinds.count("convolution") == 3
    assert kinds.count("innerProduct") == 1


def test_one_reading_of_a_network_serves_its_check_and_every_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced: list[Any] = []
    trace = torch.jit.trace

    def counted(model: Any, *given: Any, **options: Any) -> Any:
        traced.append(model)
        return trace(model, *given, **options)

    monkeypatch.setattr(torch.jit, "trace", counted)
    network = Windows()
    model = deployed(network)
    for form, (suffix, target) in TARGETS.items():
        check_coreml(model, about(model)[0], form, target, "trace")
        write_coreml(model, tmp_path / f"first.{suffix}", *about(model), form, target, compute="fp32")
    assert len(traced) == 1
    again = deployed(network)
    photo = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    for form, (suffix, target) in reversed(TARGETS.items()):
        write_coreml(again, tmp_path / f"alone.{suffix}", *about(again), form, target, compute="fp32")
        first, alone = (runner_for(tmp_path / f"{name}.{suffix}").probabilities(photo) for name in ("first", "alone"))
        np.testing.assert_array_equal(first, alone)


@pytest.mark.parametrize("form", list(TARGETS))
@pytest.mark.parametrize("route", ["trace", "export"])
def test_an_op_that_core_ml_lacks_is_named_before_anything_is_written(tmp_path: Path, form: Any, route: Route) -> None:
    model = deployed(Bessel())
    suffix, target = TARGETS[form]
    path = tmp_path / f"model.{suffix}"
    for refuse in (
        lambda: check_coreml(model, about(model)[0], form, target, route),
        lambda: write_coreml(model, path, *about(model), form, target, route),
    ):
        with pytest.raises(ConfigError) as raised:
            refuse()
        said = str(raised.value)
        assert said.startswith("test_resnet cannot be converted to ")
        assert "bessel_j0" in said
        assert f"leave {suffix} out of --formats" in said
        assert "\n" not in said
    assert list(tmp_path.iterdir()) == []


def test_an_op_that_onnx_lacks_is_named(tmp_path: Path) -> None:
    model = deployed(Bessel())
    with pytest.raises(ConfigError, match=r"cannot be converted to ONNX: .*bessel_j0.*; leave onnx out of --formats"):
        write_onnx(model, tmp_path / "model.onnx", *about(model))
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_reading_of_shapes_is_what_is_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the mended ops the network above is refused: the test above tests them."""
    from coremltools.converters.mil.frontend.torch import ops
    from coremltools.converters.mil.frontend.torch.torch_op_registry import _TORCH_OPS_REGISTRY

    table = _TORCH_OPS_REGISTRY.name_to_func_mapping
    monkeypatch.setattr(coreml, "mend_coremltools", lambda: None)
    model = deployed(Windows())
    for name, function in (("int", ops._int), ("addcmul", None)):
        with monkeypatch.context() as patch:
            if function is None:
                patch.delitem(table, name, raising=False)
            else:
                patch.setitem(table, name, function)
            with pytest.raises(ConfigError, match=f"at the op {name} "):
                check_coreml(model, about(model)[0], "mlprogram", "iOS16", "trace")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError(), ConfigError("one")])
def test_what_is_no_fault_of_the_network_stays_what_it_is(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised, in_one_line("ONNX", "resnet18", "advice"):
        raise error
    assert raised.value is error


def test_an_export_is_refused_before_its_photos(
    exported: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from coremltools.converters.mil.frontend.torch.torch_op_registry import _TORCH_OPS_REGISTRY

    monkeypatch.delitem(_TORCH_OPS_REGISTRY.name_to_func_mapping, "softmax")

    def run(*options: str) -> str:
        # There are no photos in this folder: whoever looks for them first would say so.
        words = ["export", "--run", str(exported.run), "--root", str(tmp_path), "--out", str(tmp_path / "out")]
        with pytest.raises(SystemExit) as ended:
            cli.main(words=[*words, *options])
        assert ended.value.code == 2
        return capsys.readouterr().err

    said = run()
    assert "error: test_resnet cannot be converted to an ML Program by the route trace: " in said
    assert "at the op softmax" in said
    assert "softmax" not in run("--formats", "onnx"), "what is said then is about the photos"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_that_are_stored_at_once_are_those_that_are_stored_one_by_one(dtype: Any) -> None:
    mend_coremltools()
    random = np.random.default_rng(0)
    kernel, matrix = random.standard_normal((3, 2, 4, 6)).astype(dtype), random.standard_normal((5, 70)).astype(dtype)
    builders = [
        NeuralNetworkBuilder(
            [("image", datatypes.Array(8, 9, 9))], [("result", None)], disable_rank5_shape_mapping=True
        )
        for _ in range(2)
    ]
    at_once: Any = NeuralNetworkBuilder
    for builder, convolve, multiply in (
        (builders[0], at_once.add_convolution, at_once.add_inner_product),
        (builders[1], at_once.add_convolution.__wrapped__, at_once.add_inner_product.__wrapped__),
    ):
        sizes, window = (4, 6, 3, 2), (1, 2, "valid", 2)
        convolve(builder, "grouped", *sizes, *window, kernel, np.arange(6), True, input_name="image", output_name="a")
        convolve(
            builder, "turned", *sizes, *window, kernel, None, False, is_deconv=True, input_name="a", output_name="b"
        )
        convolve(builder, "given", *sizes, *window, None, None, False, input_name=["a", "b"], output_name="c")
        multiply(builder, "matrix", matrix, None, 70, 5, False, "c", "result")
    layers = builders[0].spec.neuralNetwork.layers
    assert list(layers[3].innerProduct.weights.floatValue) == matrix.astype(np.float32).ravel().tolist()
    assert list(layers[0].convolution.weights.floatValue) != list(layers[1].convolution.weights.floatValue)
    assert builders[0].spec == builders[1].spec


@pytest.mark.parametrize("version", ["9.1", "10.0"])
def test_a_coremltools_of_another_age_is_left_as_it_is(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = NeuralNetworkBuilder.add_convolution
    monkeypatch.setattr("coremltools.__version__", version)
    speed_up_coremltools()
    assert NeuralNetworkBuilder.add_convolution is before


@pytest.mark.parametrize("already", [False, True])
def test_what_was_frozen_before_a_conversion_is_frozen_after_it_and_no_more(already: bool) -> None:
    gc.unfreeze()
    try:
        if already:
            gc.freeze()
        before = gc.get_freeze_count()
        with libraries_are_no_garbage():
            inside = gc.get_freeze_count()
        assert inside > 100_000
        # Frozen objects that nobody refers to any more are freed like others.
        assert (gc.get_freeze_count() > 100_000) is already
        assert gc.get_freeze_count() <= before
    finally:
        gc.freeze()  # as for all tests
