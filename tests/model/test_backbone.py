"""timm networks with our head, and the preprocessing they were trained with."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bball_pl.errors import ConfigError
from bball_pl.model.classifier import MoveClassifier
from bball_pl.model.network import ChannelsLast, MoveNet, spec_for, suits_channels_last

from helpers.fit_runs import environment
from helpers.forked import run_python

NAMES = ["shoot", "dribble", "layup"]


def test_preprocessing_comes_from_timms_description_of_the_weights() -> None:
    spec = spec_for("inception_v3")
    assert (spec.size, spec.fit, spec.interpolation) == (299, "squash", "bicubic")
    assert spec.mean == spec.std == (0.5, 0.5, 0.5)
    assert spec_for("inception_v3.gluon_in1k").mean == pytest.approx((0.485, 0.456, 0.406))
    changed = spec_for("inception_v3", 96, "pad", [0, 0.1, 0.2], [1, 1, 1])
    assert (changed.size, changed.fit, changed.mean, changed.std) == (96, "pad", (0, 0.1, 0.2), (1, 1, 1))


def test_an_unknown_backbone_names_its_neighbours() -> None:
    for build in (lambda: spec_for("inception_v33"), lambda: MoveNet("inception_v33", 3, 75)):
        with pytest.raises(ConfigError, match=r"'inception_v33'.*inception_v3"):
            build()
    with pytest.raises(ConfigError, match=r"no_such_tag.*inception_v3\.gluon_in1k"):
        spec_for("inception_v3.no_such_tag")
    with pytest.raises(ConfigError, match="timm has no backbone ''"):
        spec_for("")


@pytest.mark.parametrize("size", [0, -5, 8])
def test_an_image_size_that_is_no_size_is_refused(size: int) -> None:
    with pytest.raises(ConfigError, match=f"{size} px"):
        spec_for("test_resnet", size)


@pytest.mark.parametrize(
    ("backbone", "size"),
    [("test_resnet", 40), ("test_vit", 96), ("test_efficientnet", 48), ("tf_efficientnet_lite0", 64)],
)
def test_any_backbone_answers_with_a_logit_per_class_at_any_size(backbone: str, size: int) -> None:
    network = MoveNet(backbone, 4, size).eval()
    images = torch.randn(2, 3, size, size)
    with torch.inference_mode():
        logits = network(images)
        features = network.features(images)
        head: Any = network.head
        torch.testing.assert_close(head(features), logits)
    assert logits.shape == (2, 4)


def test_dropout_acts_before_the_head_in_training_only() -> None:
    torch.manual_seed(0)
    network = MoveNet("test_resnet", 3, 32, dropout=0.5)
    images = torch.randn(2, 3, 32, 32)
    network.eval()
    assert torch.equal(network(images), network(images))
    network.train()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()
    assert not torch.equal(network(images), network(images))


def test_the_auxiliary_head_learns_and_takes_no_part_in_the_answers() -> None:
    torch.manual_seed(0)
    network = MoveNet("inception_v3", 3, 299, auxiliary=True)
    images = torch.randn(2, 3, 299, 299)
    logits, auxiliary = network.forward_with_auxiliary(images)
    assert logits.shape == auxiliary.shape == (2, 3)
    auxiliary.sum().backward()
    reached = {name for name, value in network.net.named_parameters() if value.grad is not None}
    assert {"AuxLogits.fc.weight", "AuxLogits.conv0.conv.weight", "Conv2d_1a_3x3.conv.weight"} <= reached
    assert "fc.weight" not in reached, "the auxiliary loss does not reach the head"
    for mode in (True, False):
        network.train(mode)
        assert isinstance(network(images), Tensor)
    with torch.inference_mode():
        before = network.eval()(images)
        network.net.AuxLogits.fc.weight.fill_(100)
        assert torch.equal(network(images), before)


def test_other_backbones_have_no_auxiliary_head() -> None:
    with pytest.raises(ConfigError, match=r"--model\.auxiliary.*inception_v3, not test_resnet"):
        MoveNet("test_resnet", 3, 32, auxiliary=True)
    with pytest.raises(ConfigError, match=r"--model\.image_size 299 or more, not 298"):
        MoveNet("inception_v3", 3, 298, auxiliary=True)
    with pytest.raises(ConfigError, match="without an auxiliary head"):
        MoveNet("test_resnet", 3, 32).forward_with_auxiliary(torch.zeros(2, 3, 32, 32))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_names": ["shoot"]}, "two classes or more, found 1"),
        ({"lr": 0.0}, r"--model\.lr is 0.0"),
        ({"lr": float("nan")}, r"--model\.lr is nan"),
        ({"dropout": 1.5}, r"--model\.dropout is 1.5"),
        ({"dropout": 1.0}, "dropout 1"),
        ({"mixup": -1.0}, r"--model\.mixup is -1"),
        ({"label_smoothing": float("nan")}, r"--model\.label_smoothing is nan"),
        ({"weight_decay": float("inf")}, r"--model\.weight_decay is inf"),
        ({"std": [0.5, 0.5, 0.0]}, "positive"),
        ({"mean": [0.5]}, "expected 3"),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(options: dict[str, Any], message: str) -> None:
    settings: dict[str, Any] = {"class_names": NAMES, "backbone": "test_resnet", "weights": "none", "image_size": 32}
    with pytest.raises(ConfigError, match=message):
        MoveClassifier(**(settings | options))


@pytest.mark.parametrize(
    "backbone", ["resnetv2_50x1_bit", "dla34", "efficientformerv2_s0", "deit_tiny_distilled_patch16_224"]
)
def test_a_backbone_without_a_linear_head_is_refused_unless_there_is_no_probe(backbone: str) -> None:
    settings: dict[str, Any] = {"class_names": NAMES, "backbone": backbone, "weights": "none", "image_size": 224}
    with torch.device("meta"):
        with pytest.raises(ConfigError, match=f"linear head, and {backbone} ends in .*--model.probe false"):
            MoveClassifier(**settings)
        MoveClassifier(**settings, probe=False)


class _Stem(nn.Module):
    def __init__(self, channels: int, stride: int, kernel: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(channels, 48, kernel, stride, groups=groups))


@pytest.mark.parametrize(
    ("stem", "suits"),
    [
        (_Stem(3, 2), False),
        (_Stem(15, 2), False),
        (_Stem(16, 2), True),
        (_Stem(3, 1), True),
        (_Stem(3, 2, kernel=3), True),
        (_Stem(8, 2, groups=8), True),
    ],
)
def test_the_convolution_that_corrupts_memory_is_found(stem: nn.Module, suits: bool) -> None:
    assert suits_channels_last(stem) is suits


@pytest.mark.parametrize("switch", ["auto", True, False])
@pytest.mark.parametrize("backbone", ["test_resnet", "mobileone_s0"])
def test_photos_and_weights_are_in_one_memory_format(backbone: str, switch: ChannelsLast) -> None:
    classifier = MoveClassifier(NAMES, backbone, "none", 32, channels_last=switch)
    expected = backbone == "test_resnet" if switch == "auto" else switch
    formats = {True: torch.channels_last, False: torch.contiguous_format}
    seen = []
    stem = next(module for module in classifier.modules() if isinstance(module, nn.Conv2d) and module.in_channels == 3)
    stem.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    classifier.eval()(classifier.spec.normalise(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)))
    assert seen[0].is_contiguous(memory_format=formats[expected])
    assert not seen[0].is_contiguous(memory_format=formats[not expected])
    weights = [module.weight for module in classifier.modules() if isinstance(module, nn.Conv2d)]
    assert all(weight.is_contiguous(memory_format=formats[expected]) for weight in weights)


_STEPS = """
import sys, torch
from bball_pl.model.classifier import MoveClassifier
torch.set_num_threads(1)
for backbone in sys.argv[1:]:
    classifier = MoveClassifier(["a", "b"], backbone, "none", 96, probe=False).train()
    optimiser = torch.optim.AdamW(classifier.parameters(), lr=1e-3)
    photos = torch.randint(0, 256, (4, 96, 96, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    for _ in range(2):
        logits = classifier(classifier.spec.normalise(photos))
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 0, 1]))
        loss.backward()
        optimiser.step()
    print(backbone, loss.isfinite().item())
"""


def test_a_step_of_networks_with_a_strided_stem_ends_without_a_signal() -> None:
    """In a process of its own: in channels_last these end in "double free" or SIGSEGV on AVX2 and AVX-512."""
    names = ["fastvit_t8", "mobileone_s0", "repvgg_a0"]
    done = run_python(["-c", _STEPS, *names], env=environment())
    assert done.returncode == 0, f"{done.returncode}: {done.stderr[-500:]}"
    assert done.stdout.split() == [word for name in names for word in (name, "True")]
