"""Converters of other projects: ops that they lack or read wrongly, and their failures in one line."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from bball_pl.errors import BballError, ConfigError
from bball_pl.export.conversion_speed import speed_up_coremltools
from bball_pl.files import write_problem
from bball_pl.verify.model_file import reason_of


@contextmanager
def in_one_line(what: str, backbone: str, advice: str) -> Iterator[None]:
    """Turn what a converter raises within the body into a `ConfigError` that names the op.

    coremltools, onnx2coreml, torch.onnx and coreai-torch share no class of exception: an op that they lack or misread
    ends in a TypeError, NotImplementedError, ValueError, SerdeError and others.

    Args:
        what: the format and route that is written, for the message.
        backbone: the timm name, for the message.
        advice: how to go on.

    Raises:
        ConfigError: if the body raised anything but an error that a user can mend, a failure to write, or a lack of
            memory.
    """
    try:
        yield
    except (BballError, OSError, MemoryError):
        raise
    except Exception as error:
        if write_problem(error, Path()) is not None:
            raise
        op = failed_op(error)
        at = f" at the op {op}" if op else ""
        raise ConfigError(
            f"{backbone} cannot be converted to {what}: the converter fails{at} "
            f"({type(error).__name__}: {reason_of(error)}); {advice}"
        ) from error


#: Local variables of the converters' loops over a graph, with the attribute that is the op's name.
_LOOPS = (("node", "kind"), ("node", "op_type"), ("op", "op_type"), ("op_spec", "type"), ("node", "target"))
_IN_MESSAGES = re.compile(
    r"convert function for op '([^']+)'|ATen ops: ([\w.]+)|\(op ([\w:]+)\)|^  ([\w:]+) \(\d", re.M
)


def failed_op(error: BaseException) -> str:
    """Return the op that a converter was at when it failed, or nothing if that cannot be seen.

    Most messages leave it out, so it is taken from the innermost frame of a loop over the graph.
    """
    named = _IN_MESSAGES.search(str(error))
    if named:
        return next(group for group in named.groups() if group).rstrip(".")
    cause: BaseException | None = error
    while cause is not None:
        frames = [frame.f_locals for frame, _ in traceback.walk_tb(cause.__traceback__)]
        for variable, attribute in _LOOPS:
            for variables in reversed(frames):
                if name := getattr(variables.get(variable), attribute, None):
                    return str(name)
        cause = cause.__cause__
    return ""


@cache
def mend_coremltools() -> None:
    """Register ops of torch through coremltools' public decorator: `int`, `addcmul`, `alias`, bicubic resizing.

    coremltools 9.0 calls Python's `int` on the value, which numpy 2.4 refuses for arrays with a dimension: every
    network that computes with its shapes (Swin, EdgeNeXt) would fail with a TypeError. It has no `addcmul`, which
    ConvNeXt V2 needs, no `upsample_bicubic2d`, with which CrossViT resizes the photo for its second branch, and no
    `alias`, which torch.export leaves there.

    Besides, it checks a program after each of 90 passes, which takes 45 % of a conversion; here once after all of them.
    What else takes time and changes nothing is left out: see `speed_up_coremltools`.
    """
    import torch
    from coremltools.converters.mil import Builder, register_torch_op
    from coremltools.converters.mil.frontend.torch.ops import _int as original

    def _int(context: Any, node: Any) -> None:
        value = context[node.inputs[0]].val
        if value is not None and getattr(value, "size", 0) == 1:
            context.add(Builder.const(val=int(value.item()), name=node.name), node.name)
        else:
            original(context, node)

    def addcmul(context: Any, node: Any) -> None:
        start, first, second, *rest = (context[name] for name in node.inputs)
        # The factor is the fourth input of a trace, and a named number of an exported program.
        factor = float(rest[0].val) if rest else float((node.kwinputs or {}).get("value", [1.0])[0])
        product = Builder.mul(x=first, y=second)
        if factor != 1:
            product = Builder.mul(x=product, y=factor)
        context.add(Builder.add(x=start, y=product, name=node.name), node.name)

    def upsample_bicubic2d(context: Any, node: Any) -> None:
        # A trace has names of constants, an exported program the values themselves.
        first, *others = node.inputs
        values = [getattr(context[other], "val", None) if isinstance(other, str) else other for other in others]
        wanted, corners, scales = values
        x = context[first]

        def along(axis: int) -> Any:
            """Return the matrix `[side before, side after]` that resizes along the height (0) or the width (1)."""
            side = int(x.shape[2 + axis])
            resized = torch.ops.aten.upsample_bicubic2d.vec(
                torch.eye(side).reshape(1, side, side, 1),
                None if wanted is None else [int(wanted[axis]), 1],
                bool(corners),
                None if scales is None else [float(scales[axis]), 1.0],
            )
            return resized.reshape(side, -1)

        # Bicubic resizing of a known size is a product with one matrix for rows and one for columns.
        rows = Builder.matmul(x=along(0).T.contiguous().numpy(), y=x)
        context.add(Builder.matmul(x=rows, y=along(1).numpy(), name=node.name), node.name)

    def alias(context: Any, node: Any) -> None:
        context.add(Builder.identity(x=context[node.inputs[0]], name=node.name), node.name)

    speed_up_coremltools()
    register: Callable[..., Any] = register_torch_op
    register(alias, override=True)
    register(upsample_bicubic2d, torch_alias=["upsample_bicubic2d.vec"], override=True)
    register(_int, torch_alias=["int"], override=True)
    register(addcmul, override=True)
