"""Batch norm that is folded into convolutions leaves the function as it was."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from bball_pl.model import folding
from bball_pl.model.folding import fold_batch_norm, folded
from bball_pl.model.network import MoveNet
from bball_pl.model.recipe import batch_norm_layers


def trained(backbone: str, size: int = 64) -> MoveNet:
    """Return a network whose batch norm has statistics."""
    torch.manual_seed(0)
    network = MoveNet(backbone, 3, size).eval()
    for layer in batch_norm_layers(network):
        nn.init.uniform_(layer.weight, 0.5, 1.5)
        nn.init.uniform_(layer.bias, -1, 1)
        layer.running_mean.uniform_(-0.5, 0.5)  # type: ignore[union-attr]
        layer.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return network


@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "test_efficientnet"])
def test_a_folded_network_answers_as_before(backbone: str) -> None:
    network = trained(backbone)
    plain = copy.deepcopy(network)
    fold_batch_norm(network)
    assert batch_norm_layers(network) == []
    photos = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        wanted = plain.feature_maps(photos)
        torch.testing.assert_close(
            network.feature_maps(photos), wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max())
        )
    assert wanted.std() > 0


def test_a_batch_norm_elsewhere_stays() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)).eval()
    fold_batch_norm(network)
    assert [type(layer).__name__ for layer in network] == ["BatchNorm2d", "Conv2d", "ReLU", "BatchNorm2d"]


@pytest.mark.parametrize(
    ("backbone", "size", "left"),
    # The stem of that ResNet ends in a convolution whose batch norm stands outside of it.
    [("tf_efficientnet_lite0", 64, 0), ("test_resnet", 64, 1), ("inception_v3", 96, 0)],
)
def test_the_copy_answers_the_same_and_the_network_stays(backbone: str, size: int, left: int) -> None:
    network = trained(backbone, size)
    layers = len(batch_norm_layers(network))
    photos = torch.randn(2, 3, size, size)
    with torch.inference_mode():
        wanted = network(photos)
        short = folded(network, size)
        torch.testing.assert_close(short(photos), wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max()))
    assert (len(batch_norm_layers(short)), len(batch_norm_layers(network))) == (left, layers)


def test_what_has_no_batch_norm_is_copied_as_it_is() -> None:
    network = MoveNet("test_vit", 3, 96).eval()
    photos = torch.randn(1, 3, 96, 96)
    with torch.inference_mode():
        assert torch.equal(folded(network, 96)(photos), network(photos))


def bend(network: nn.Module) -> None:
    """Change one convolution by a hundredth, as folding in a wrong order would by more."""
    first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    first.weight.data.mul_(1.01)


def fail(network: nn.Module) -> None:
    raise RuntimeError("The size of tensor a (3) must match the size of tensor b (4)")


@pytest.mark.parametrize("wrong", [bend, fail])
def test_a_copy_that_answers_otherwise_is_not_taken(wrong: object, monkeypatch: pytest.MonkeyPatch) -> None:
    network = trained("test_resnet")
    monkeypatch.setattr(folding, "fold_batch_norm", wrong)
    assert folded(network, 64) is network
