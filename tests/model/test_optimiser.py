"""Which parameters move how fast, and when."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from bball_pl.model.network import MoveNet
from bball_pl.model.recipe import learning_rate_schedule, parameter_groups


@pytest.mark.parametrize("auxiliary", [False, True])
@pytest.mark.parametrize("layer_decay", [0.7, 1.0])
@pytest.mark.parametrize("weight_decay", [0.05, 0.0])
def test_every_trainable_parameter_is_in_exactly_one_group(
    auxiliary: bool, layer_decay: float, weight_decay: float
) -> None:
    net = MoveNet("inception_v3", 3, 299, auxiliary=auxiliary).net
    groups = parameter_groups(net, 1e-3, layer_decay, weight_decay)
    listed = [id(value) for group in groups for value in group["params"]]
    assert len(listed) == len(set(listed))
    assert set(listed) == {id(value) for value in net.parameters()}
    assert len({group["name"] for group in groups}) == len(groups), "a name per group: TensorBoard shows a curve each"
    torch.optim.AdamW(groups)


@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit", "tf_efficientnet_lite0"])
def test_norms_and_biases_do_not_decay_and_rates_fall_with_depth(backbone: str) -> None:
    net = MoveNet(backbone, 3, 160).net
    groups = parameter_groups(net, 1e-3, 0.5, 0.05)
    place = {id(value): group for group in groups for value in group["params"]}
    exempt = net.no_weight_decay() if hasattr(net, "no_weight_decay") else set()
    for name, value in net.named_parameters():
        decays = value.ndim > 1 and name not in exempt
        assert place[id(value)]["weight_decay"] == (0.05 if decays else 0.0), name
    for group in groups:
        depth = int(group["name"][5:7])
        assert group["lr"] == pytest.approx(1e-3 * 0.5**depth)
    head = net.get_classifier()
    assert {place[id(value)]["name"] for value in head.parameters()} == {"depth00", "depth00_no_decay"}
    first = next(value for value in net.parameters() if value.ndim == 4)
    assert place[id(first)]["lr"] == min(group["lr"] for group in groups) < 1e-3 / 4


def course(head_steps: int, warmup_steps: int, total: int = 100, schedule: str = "cosine") -> list[tuple[float, float]]:
    """Return the rates of head and body at every step."""
    head, body = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD(
        [{"params": [head], "lr": 1.0, "name": "depth00"}, {"params": [body], "lr": 0.5, "name": "depth03"}], lr=1.0
    )
    scheduler = learning_rate_schedule(optimiser, total, warmup_steps, head_steps, schedule)  # type: ignore[arg-type]
    rates = []
    for _ in range(total):
        rates.append((optimiser.param_groups[0]["lr"], optimiser.param_groups[1]["lr"]))
        optimiser.step()
        scheduler.step()
    return rates


def test_the_rate_warms_up_and_falls_along_a_cosine_to_nearly_nothing() -> None:
    rates = course(head_steps=0, warmup_steps=10)
    heads = [head for head, _ in rates]
    assert 0 < heads[0] < heads[5] < heads[10] == 1.0 == max(heads)
    assert all(later < earlier for earlier, later in itertools.pairwise(heads[10:]))
    assert heads[55] == pytest.approx(0.5 * (1 + math.cos(math.pi * 45 / 90)))
    assert heads[-1] < 0.001
    assert all(body == pytest.approx(head / 2) for head, body in rates), "without a head phase all move together"


def test_in_the_heads_phase_the_body_stands_still_and_then_warms_up() -> None:
    rates = course(head_steps=30, warmup_steps=10)
    bodies = [body for _, body in rates]
    assert all(body == 0 for body in bodies[:30])
    assert 0 < bodies[30] < bodies[35] < bodies[40]
    assert all(head > 0 for head, _ in rates)
    assert all(body == pytest.approx(head / 2) for head, body in rates[40:])
    assert bodies[-1] < 0.001


def test_constant_keeps_the_rate_after_the_warm_up() -> None:
    rates = course(head_steps=5, warmup_steps=4, total=20, schedule="constant")
    assert all(head == 1.0 for head, _ in rates[4:])
    assert all(body == 0.5 for _, body in rates[9:])


def test_a_run_of_one_step_moves_the_network() -> None:
    assert course(head_steps=0, warmup_steps=0, total=1) == [(1.0, 0.5)]
