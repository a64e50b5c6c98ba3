"""Batch norm's policies, and batch norm over several processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from bball_pl.model.network import MoveNet
from bball_pl.model.recipe import (
    BatchNormPolicy,
    SyncBatchNorm,
    SyncBatchNormPlugin,
    apply_policy,
    batch_norm_layers,
)

from helpers.fit_runs import ROOT, environment
from helpers.forked import start_python


def example() -> nn.Sequential:
    """A net with timm's fused layer, plain batch norm and one without weight and bias."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3),
        BatchNormAct2d(6, act_layer=nn.ReLU6),
        nn.Conv2d(6, 4, 3, stride=2),
        nn.BatchNorm2d(4, momentum=0.3),
        nn.Conv2d(4, 4, 1),
        nn.BatchNorm2d(4, affine=False),
    )
    for layer in batch_norm_layers(net):
        if layer.affine:
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -1, 1)
    return net


def photos() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return 3 + 2 * torch.randn(10, 3, 12, 12, generator=generator)


def pass_through(net: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Two training steps' worth of statistics, and the gradients of a loss that weighs every output differently."""
    images = images.clone().requires_grad_()
    net(images.detach() * 2)
    outputs = net(images)
    weights = torch.linspace(-1, 1, outputs[0].numel()).view_as(outputs[0])
    (outputs * weights).square().sum().backward()
    assert images.grad is not None
    found = {"outputs": outputs.detach(), "inputs": images.grad}
    found |= {f"grad {name}": value.grad for name, value in net.named_parameters() if value.grad is not None}
    return found | {f"stat {name}": value.clone() for name, value in net.named_buffers()}


def _one_of_two(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    net = SyncBatchNormPlugin().apply(example())
    # Uneven parts: the last batch of an evaluation pass may be one, and sums must be weighed by their count.
    part = photos()[:4] if rank == 0 else photos()[4:]
    found = pass_through(net, part)
    net.eval()
    found["evaluation"] = net(part).detach()
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_answer_as_one_with_the_joined_batch(tmp_path: Path) -> None:
    program = "import runpy, sys; runpy.run_path(sys.argv[1])['_one_of_two'](int(sys.argv[2]), sys.argv[3])"
    paths = {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests")))}
    words = ["-c", program, __file__]
    ranks = [start_python([*words, rank, tmp_path], env=environment() | paths) for rank in (0, 1)]
    for process in ranks:
        _, errors = process.communicate(timeout=900)
        assert process.returncode == 0, errors
    parts = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    plain = example()
    whole = pass_through(plain, photos())
    whole["evaluation"] = plain.eval()(photos()).detach()
    assert parts[0].keys() == whole.keys()
    for name, wanted in whole.items():
        if name.startswith("stat"):
            got = parts[0][name]
            torch.testing.assert_close(parts[1][name], got, msg=f"{name} differs between the processes")
        elif name.startswith("grad"):
            got = parts[0][name] + parts[1][name]
        else:
            got = torch.cat([parts[0][name], parts[1][name]])
        torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-3, msg=name)
    assert whole["outputs"].std() > 0.1


def test_in_one_process_the_shared_layer_is_plain_batch_norm_with_timms_activation() -> None:
    plain, shared = example(), SyncBatchNormPlugin().apply(example())
    layers = [layer for layer in shared.modules() if isinstance(layer, SyncBatchNorm)]
    assert len(layers) == 3
    assert isinstance(layers[0].act, nn.ReLU6)
    wanted, got = pass_through(plain, photos()), pass_through(shared, photos())
    assert plain.state_dict().keys() == shared.state_dict().keys(), "checkpoints fit both"
    for name, value in wanted.items():
        torch.testing.assert_close(got[name], value)


def test_the_plugin_reaches_every_layer_of_a_real_backbone() -> None:
    net = MoveNet("tf_efficientnet_lite0", 3, 32)
    names = net.state_dict().keys()
    count = len(batch_norm_layers(net))
    SyncBatchNormPlugin().apply(net)
    assert all(isinstance(layer, SyncBatchNorm) for layer in batch_norm_layers(net))
    assert len(batch_norm_layers(net)) == count > 40
    assert net.state_dict().keys() == names


@pytest.mark.parametrize(("policy", "share"), [("train", 0.1), ("slow", 0.01), ("frozen", 0.0)])
def test_the_policy_decides_what_the_statistics_follow(policy: BatchNormPolicy, share: float) -> None:
    net = nn.Sequential(nn.BatchNorm2d(3))
    net.train()
    apply_policy(net, policy)
    images = photos()
    outputs = net(images)
    mean = net.get_buffer("0.running_mean")
    torch.testing.assert_close(mean, share * images.mean((0, 2, 3)))
    normalised = abs(outputs.detach().mean().item()) < 1e-3
    assert normalised == (policy != "frozen"), "frozen statistics serve training as they serve evaluation"
    outputs.square().sum().backward()
    assert net.get_parameter("0.weight").grad is not None, "weight and bias are trained under every policy"


def test_a_policy_ends_the_frozen_phase_before_it() -> None:
    net = nn.Sequential(nn.BatchNorm2d(3))
    apply_policy(net, "frozen")
    # Nothing calls train() in between: Lightning gives every layer back the mode it had before validation.
    apply_policy(net, "slow")
    net(photos())
    assert net.get_buffer("0.running_mean").abs().max() > 0
