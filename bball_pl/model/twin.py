"""A backbone of two tf_efficientnet_lite0: one that has seen the court beside one that has seen photos alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import timm
import torch
from timm.models import generate_default_cfgs, get_pretrained_cfg, register_model
from torch import Tensor, nn
from torch.nn.functional import dropout

from bball_pl.model.court_weights import BACKBONE

#: Backbone of each half.
HALF = BACKBONE
#: Name under which timm builds the twin, in this process.
TWIN = f"{HALF}_twin"
_CLASSIFIER = "classifier"


class TwinNet(nn.Module):
    """Two backbones of one kind on the same photo, with their features side by side before one linear head.

    Networks that learnt from different pictures err on different photos, so their mean is right more often than either.
    As one network with one head it is exported and proven like any other. The methods are those of timm's networks.

    Args:
        num_classes: number of classes.
        drop_rate: probability of dropping a feature before the head, 0-1.

    Attributes:
        bodies: the two backbones, without their heads.
        feature_groups: number of features of each.
    """

    def __init__(self, num_classes: int, drop_rate: float = 0.0):
        super().__init__()
        bodies: list[Any] = [timm.create_model(HALF, pretrained=False, num_classes=0) for _ in range(2)]
        self.feature_groups: list[int] = [body.num_features for body in bodies]
        self.bodies: Any = nn.ModuleList(bodies)
        self.num_features = sum(self.feature_groups)
        self.num_classes = num_classes
        self.drop_rate = drop_rate
        self.global_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(self.num_features, num_classes)

    def forward_features(self, images: Tensor) -> Tensor:
        """Return the features before pooling: images `[B, 3, S, S]` → float `[B, 2 × channels, h, w]`."""
        return torch.cat([body.forward_features(images) for body in self.bodies], 1)

    def forward_head(self, maps: Tensor, pre_logits: bool = False) -> Tensor:
        """Return logits `[B, classes]` of the result of `forward_features`, or with `pre_logits` the head's inputs."""
        features = dropout(self.global_pool(maps), self.drop_rate, self.training)
        return features if pre_logits else self.classifier(features)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits: images `[B, 3, S, S]`, normalised → float `[B, classes]`."""
        return self.forward_head(self.forward_features(images))

    def get_classifier(self) -> nn.Module:
        """Return the head."""
        return self.classifier

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Return timm's patterns that give each parameter its depth: the same in both bodies."""
        body = r"^bodies\.\d+\."
        blocks = body + (r"blocks\.(\d+)" if coarse else r"blocks\.(\d+)\.(\d+)")
        return {
            "stem": body + "(?:conv_stem|bn1)",
            "blocks": [(blocks, None), (body + "(?:conv_head|bn2)", (99999,))],
        }


def twin_state(first: dict[str, Tensor], second: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a twin whose bodies are two networks, and whose head is the first one's, if it has one.

    Args:
        first: tensors under timm's names for one half.
        second: the same for the other; its head is left out.
    """
    state = {
        f"bodies.{number}.{name}": value
        for number, half in enumerate((first, second))
        for name, value in half.items()
        if not name.startswith(f"{_CLASSIFIER}.")
    }
    if (weight := first.get(f"{_CLASSIFIER}.weight")) is not None:
        # Nothing is known of what the second half's features say.
        state[f"{_CLASSIFIER}.weight"] = torch.cat([weight, torch.zeros_like(weight)], 1)
        state[f"{_CLASSIFIER}.bias"] = first[f"{_CLASSIFIER}.bias"]
    return state


_half = get_pretrained_cfg(HALF)
assert _half is not None
default_cfgs = generate_default_cfgs({
    TWIN: replace(_half, url="", hf_hub_id=None, first_conv="bodies.0.conv_stem", classifier=_CLASSIFIER)
    .to_dict(remove_source=False, remove_null=True)
})  # fmt: skip


@register_model
def tf_efficientnet_lite0_twin(
    pretrained: bool = False,
    num_classes: int = 1000,
    drop_rate: float = 0.0,
    **_: Any,
) -> TwinNet:
    """Build the twin for timm's `create_model`, without weights."""
    if pretrained:
        raise RuntimeError(f"{TWIN} has no weights on a hub")
    return TwinNet(num_classes, drop_rate)
