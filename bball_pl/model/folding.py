"""Batch norm folded into the convolution before it, for networks that only answer."""

from __future__ import annotations

from timm.layers import BatchNormAct2d
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norm(network: nn.Module) -> None:
    """Fold batch norm into convolutions, in place: the same function, rounding aside, without a pass over each map.

    Measured on the late features of tf_efficientnet_lite0 at 320 px, one thread: 0.6 times the time.

    Args:
        network: in evaluation mode, of a family whose modules run their children in the order in which they hold them,
            as timm's EfficientNets do.
    """
    before: tuple[str, nn.Module | None] = ("", None)
    for name, child in list(network.named_children()):
        convolution = before[1]
        if isinstance(child, nn.BatchNorm2d) and isinstance(convolution, nn.Conv2d):
            setattr(network, before[0], fuse_conv_bn_eval(convolution, child))
            rest = child.act if isinstance(child, BatchNormAct2d) else nn.Identity()
            setattr(network, name, rest)
        else:
            fold_batch_norm(child)
        before = (name, child)
