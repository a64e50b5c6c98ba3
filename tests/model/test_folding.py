"""Batch norm that is folded into convolutions leaves the function, and in training its gradients, as it was."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from bball_pl.model import folding
from bball_pl.model.classifier import MoveClassifier
from bball_pl.model.folding import fold_batch_norm, fold_frozen_batch_norm, folded
from bball_pl.model.network import MoveNet
from bball_pl.model.recipe import apply_policy, batch_norm_layers


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


def gradients(network: MoveNet, photos: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the logits in training, and the gradient of each parameter."""
    network.train()
    apply_policy(network, "frozen")
    logits = network(photos)
    logits.square().mean().backward()
    found = {name: value.grad for name, value in network.named_parameters() if value.grad is not None}
    return {"logits": logits.detach(), **found}


@pytest.mark.parametrize(
    ("backbone", "size", "left"),
    [("tf_efficientnet_lite0", 64, 0), ("test_resnet", 64, 1), ("inception_v3", 96, 0), ("test_efficientnet", 64, 0)],
)
def test_frozen_batch_norm_is_trained_within_the_convolutions(backbone: str, size: int, left: int) -> None:
    plain = trained(backbone, size)
    network = copy.deepcopy(plain)
    fold_frozen_batch_norm(network, size)
    assert len(batch_norm_layers(network)) == left
    photos = torch.randn(2, 3, size, size)
    wanted, found = gradients(plain, photos), gradients(network, photos)
    assert found.keys() == wanted.keys()
    assert any("bn" in name for name in wanted)
    for name, value in wanted.items():
        limit = 1e-3 * float(value.abs().max())
        torch.testing.assert_close(found[name], value, rtol=1e-2, atol=limit, msg=name)
    before, after = plain.state_dict(), network.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items()), "statistics stay frozen"
    # A copy, as the average of the weights is one, answers with its own weights.
    other = copy.deepcopy(network).eval()
    with torch.no_grad():
        answer = network.eval()(photos)
        for parameter in network.parameters():
            parameter.zero_()
        torch.testing.assert_close(other(photos), answer)
        MoveNet(backbone, 3, size).load_state_dict(other.state_dict())
    assert answer.std() > 0


def test_a_batch_norm_without_weights_and_one_elsewhere() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.zeroth = nn.Conv2d(3, 3, 1)
            self.of_the_batch = nn.BatchNorm2d(3, track_running_stats=False)
            self.first = nn.Conv2d(3, 4, 1)
            self.second = nn.BatchNorm2d(4, affine=False)
            self.elsewhere = nn.BatchNorm2d(4)  # follows a convolution in this list alone
            self.channels_last = False

        def forward(self, photos: torch.Tensor) -> torch.Tensor:
            photos = self.of_the_batch(self.zeroth(photos))
            answer: torch.Tensor = self.second(self.first(photos)).mean((2, 3))
            return answer

    class Crossed(Net):
        def forward(self, photos: torch.Tensor) -> torch.Tensor:
            answer: torch.Tensor = self.second(self.first(photos).relu()).mean((2, 3))
            return answer

    for kind, left in ((Net, 2), (Crossed, 3)):
        torch.manual_seed(0)
        network = kind()
        network.second.running_mean.uniform_(-0.5, 0.5)  # type: ignore[union-attr]
        plain = copy.deepcopy(network).eval()
        fold_frozen_batch_norm(network, 8)  # type: ignore[arg-type]
        assert len(batch_norm_layers(network)) == left
        photos = torch.randn(2, 3, 8, 8)
        torch.testing.assert_close(network.eval()(photos), plain(photos))


@pytest.mark.parametrize(
    ("policy", "weights", "device", "left"),
    # Any device that is not the CPU stands for a GPU.
    [("frozen", "court", "cpu", 0), ("slow", "court", "cpu", 49), ("frozen", "court", "meta", 49)],
)
def test_only_frozen_statistics_are_folded_and_on_a_cpu_alone(
    policy: str, weights: str, device: str, left: int
) -> None:
    classifier = MoveClassifier(
        ["shoot", "dribble", "layup"],
        backbone="tf_efficientnet_lite0",
        weights=weights,
        image_size=64,
        probe=False,
        batch_norm=policy,  # type: ignore[arg-type]
    )
    classifier.to(device)
    classifier.setup("fit")
    assert len(batch_norm_layers(classifier.network)) == left
