"""Batch norm that is folded into convolutions leaves the function as it was."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from bball_pl.model.folding import fold_batch_norm
from bball_pl.model.network import MoveNet
from bball_pl.model.recipe import batch_norm_layers


@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "test_efficientnet"])
def test_a_folded_network_answers_as_before(backbone: str) -> None:
    torch.manual_seed(0)
    network = MoveNet(backbone, 3, 64).eval()
    for layer in batch_norm_layers(network):
        nn.init.uniform_(layer.weight, 0.5, 1.5)
        nn.init.uniform_(layer.bias, -1, 1)
        layer.running_mean.uniform_(-0.5, 0.5)  # type: ignore[union-attr]
        layer.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
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
