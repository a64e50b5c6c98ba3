"""A timm backbone with a head for our classes, and the preprocessing that its weights were trained with."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

import timm
import torch
from timm.models import PretrainedCfg, get_pretrained_cfg
from torch import Tensor, nn

from bball_pl.errors import ConfigError
from bball_pl.preprocess import Fit, PreprocessSpec, triple

#: Side of the photos from which Inception v3's auxiliary head sees the 17 × 17 features that it was built for.
_AUXILIARY_PIXELS = 299


def spec_for(
    backbone: str,
    image_size: int | None = None,
    fit: Fit = "squash",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> PreprocessSpec:
    """Derive the preprocessing from timm's own description of a backbone's weights.

    Args:
        backbone: timm name, with or without a weight tag (`inception_v3`, `inception_v3.gluon_in1k`).
        image_size: side of the input in pixels; None takes the size that the weights were trained at.
        fit: how a photo that is not square becomes square.
        mean: RGB means in units of 0–1 for weights that want others than timm's description says; None keeps timm's.
        std: the same for the standard deviations.

    Raises:
        ConfigError: if timm does not know the backbone, or a number is out of range.
    """
    description = _description(backbone)
    return PreprocessSpec(
        size=description.input_size[-1] if image_size is None else image_size,
        fit=fit,
        mean=triple(mean or description.mean, "mean"),
        std=triple(std or description.std, "std"),
        interpolation="bicubic" if description.interpolation == "bicubic" else "bilinear",
    )


class MoveNet(nn.Module):
    """A timm network that answers with one logit per class.

    Args:
        backbone: timm name, with or without a weight tag.
        classes: number of classes, 2 or more.
        image_size: side of the input in pixels; transformers fix their position embedding to it.
        dropout: probability of dropping a feature before the head, 0–1.
        auxiliary: adds Inception v3's second, earlier classifier; it only acts in training.

    Raises:
        ConfigError: if timm does not know the backbone, or `auxiliary` is asked of one without an auxiliary head.
    """

    def __init__(self, backbone: str, classes: int, image_size: int, dropout: float = 0.0, auxiliary: bool = False):
        super().__init__()
        description = _description(backbone)
        options: dict[str, Any] = {"num_classes": classes, "drop_rate": dropout}
        if auxiliary:
            if not backbone.startswith("inception_v3"):
                raise ConfigError(
                    f"--model.auxiliary true needs a backbone with an auxiliary head: inception_v3, not {backbone}"
                )
            if image_size < _AUXILIARY_PIXELS:
                raise ConfigError(
                    f"--model.auxiliary true needs --model.image_size {_AUXILIARY_PIXELS} or more, not {image_size}: "
                    "the auxiliary head's last convolution has no room on smaller photos"
                )
            options["aux_logits"] = True
        if description.fixed_input_size:
            options["img_size"] = image_size
        self.net: Any = timm.create_model(backbone, pretrained=False, **options)
        self.options = options
        self.description = description
        self.auxiliary = auxiliary

    @property
    def head(self) -> nn.Module:
        """The last layer, from features to logits."""
        head: nn.Module = self.net.get_classifier()
        return head

    def features(self, images: Tensor) -> Tensor:
        """Return what the head sees: images `[B, 3, S, S]` → float `[B, features]`."""
        features: Tensor = self.net.forward_head(self.feature_maps(images), pre_logits=True)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Return logits: images `[B, 3, S, S]`, normalised → float `[B, classes]`; no auxiliary head, in any mode."""
        return self.logits_of_maps(self.feature_maps(images))

    def logits_of_maps(self, maps: Tensor) -> Tensor:
        """Return logits `[B, classes]` of what `feature_maps` returned."""
        logits: Tensor = self.net.forward_head(maps)
        return logits

    def feature_maps(self, images: Tensor) -> Tensor:
        """Return what is pooled before the head: images `[B, 3, S, S]` → float `[B, channels, h, w]` for a CNN.

        Transformers answer with tokens or with channels last, as timm does.
        """
        # timm's forward of an Inception with an auxiliary head answers with a tuple, in evaluation mode too.
        if self.auxiliary:
            return torch.as_tensor(self.net.forward_postaux(self.net.forward_preaux(images)))
        return torch.as_tensor(self.net.forward_features(images))

    def forward_with_auxiliary(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits of the head and of the auxiliary head, each `[B, classes]`.

        Raises:
            ConfigError: if the network was built without an auxiliary head.
        """
        if not self.auxiliary:
            raise ConfigError("this network was built without an auxiliary head")
        maps, auxiliary_logits = self.net.forward_features(images)
        return self.net.forward_head(maps), auxiliary_logits


def _description(backbone: str) -> PretrainedCfg:
    description = None
    if timm.is_model(backbone):
        with suppress(RuntimeError):  # a weight tag that timm does not know
            description = get_pretrained_cfg(backbone)
    if description is None:
        name = backbone.split(".", maxsplit=1)[0]
        near = timm.list_models(f"{name}.*", include_tags=True) or get_close_matches(name, timm.list_models(), n=4)
        hint = f" (near it: {', '.join(near)})" if near else ""
        raise ConfigError(f"timm has no backbone {backbone!r}{hint}; timm.list_models() lists them all")
    return description
