"""Files of weights as other programs write them: which of their contents is the state dict, and what is none."""

from __future__ import annotations

import argparse
import pickle
import re
import zipfile
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from bball_pl.errors import WeightsError
from bball_pl.files import LFS_POINTER

#: Keys of a checkpoint under which its weights lie, the averaged ones first, as in timm: they are the better ones.
_KEYS = (
    *("state_dict_ema", "model_ema", "ema_state_dict", "ema", "state_dict", "model_state_dict", "model_state"),
    *("model", "net", "network", "weights", "params"),
)
#: Further levels that are looked into.
_MOST_LEVELS = 3
#: Parts of names that wrappers of torch put anywhere into them.
_WRAPPERS = re.compile(r"\b(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
#: Counter of torch's AveragedModel, beside the weights that it averages.
_COUNTER = "n_averaged"
#: Share of a network's tensors that must stand behind a prefix, or it is none.
_MIN_SHARE = 0.5

#: Kinds of plain values in training checkpoints of timm and torchvision. Making one of them runs no code.
_PLAIN: list[Any] = [
    argparse.Namespace,
    np.dtype,
    *((type(np.dtype(kind)), f"numpy.dtypes.{type(np.dtype(kind)).__name__}") for kind in (float, np.float32, int)),
    *((np._core.multiarray.scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),  # type: ignore[attr-defined]
]

_ANSWERS = "it answers as it is: bball evaluate --model FILE, bball predict --model FILE, bball verify FILE --ckpt RUN"
_KERAS = (
    "is a Keras model, whose layers have other names and shapes than a timm backbone's. Train again from "
    "--model.weights auto; saved as ONNX or Core ML, the old model can be compared with the new one: bball verify FILE "
    "--ckpt RUN"
)
#: Sentences on files that hold a model and no weights to train from, by suffix.
_OTHER_MODELS = {
    ".h5": _KERAS,
    ".hdf5": _KERAS,
    ".keras": _KERAS,
    ".onnx": f"is an ONNX model, a finished graph. Pass the checkpoint that it was exported from; {_ANSWERS}",
    ".mlmodel": f"is a Core ML model, a finished graph. Pass the checkpoint that it was exported from; {_ANSWERS}",
    ".mlpackage": f"is a Core ML model, a finished graph. Pass the checkpoint that it was exported from; {_ANSWERS}",
    ".aimodel": f"is a Core AI model, a finished graph. Pass the checkpoint that it was exported from; {_ANSWERS}",
    ".tflite": "is a TensorFlow Lite model, a finished graph. Pass the weights that it was made from, as a .pth file",
    ".pb": "is a TensorFlow model, whose layers have other names than a timm backbone's. Train again from "
    "--model.weights auto",
}
_TORCHSCRIPT = (
    "is a TorchScript program. Save its weights alone: python -c \"import torch; torch.save(torch.jit.load('FILE')"
    ".state_dict(), 'weights.pth')\""
)
_PROGRAM = (
    'is a program of torch.export. Save its weights alone: python -c "import torch; torch.save(dict(torch.export.load('
    "'FILE').state_dict), 'weights.pth')\""
)
_PICKLED = (
    "holds a pickled object ({name}), and reading one runs its code. Where it was made, save the weights alone: "
    "torch.save(model.state_dict(), 'weights.pth')"
)


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Return the state dict in a .safetensors, .pth, .pt or .ckpt file, on the CPU, without the names of wrappers.

    Of a training checkpoint it is the averaged weights if there are any. Nothing in the file is run.

    Args:
        path: The file.

    Raises:
        WeightsError: If it cannot be read, is a model of another kind (the message says how to go on), or holds no
            state dict.
    """
    if other := _other_model(path):
        raise WeightsError(f"{path} {other.replace('FILE', str(path))}")
    try:
        content = load_file(path) if path.suffix == ".safetensors" else _loaded(path)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        if found := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise WeightsError(f"{path} {_PICKLED.format(name=found[1])}") from error
        # torch's own sentence on pickles recommends to run whatever is in the file.
        lines = str(error).partition("WeightsUnpickler error: ")[2] or str(error)
        reason = lines.splitlines()[0].strip() if lines.strip() else type(error).__name__
        raise WeightsError(
            f"{path} cannot be read as weights ({reason}); expected a .safetensors file or a .pth state dict of tensors"
        ) from error
    state = _state_dict(content)
    if state is None:
        keys = ", ".join(map(str, content)) if isinstance(content, Mapping) else type(content).__name__
        raise WeightsError(
            f"{path} holds no state dict (found: {keys[:200]}); expected a dictionary from names to tensors"
        )
    return {_WRAPPERS.sub("", name): value for name, value in state.items() if name != _COUNTER}


def _loaded(path: Path) -> Any:
    with torch.serialization.safe_globals(_PLAIN):
        return torch.load(path, map_location="cpu", weights_only=True)


def _other_model(path: Path) -> str:
    """Return a sentence on a file that is a model of another kind, by its content and its suffix; else an empty one."""
    start = b""
    # An .mlpackage is a folder.
    with suppress(OSError), path.open("rb") as file:
        start = file.read(64)
    if start.startswith(LFS_POINTER):
        return "is a pointer of Git LFS instead of the weights; run git lfs pull"
    names: Collection[str] = ()
    with suppress(zipfile.BadZipFile, OSError):
        if start.startswith(b"PK"):
            names = zipfile.ZipFile(path).namelist()
    if start.startswith(b"\x89HDF\r\n\x1a\n") or "model.weights.h5" in names:
        return _KERAS
    inside = {name.partition("/")[2] for name in names}
    if "archive_format" in inside or any(name.startswith("models/") for name in inside):
        return _PROGRAM
    if "constants.pkl" in inside and any(name.startswith("code/") for name in inside):
        return _TORCHSCRIPT
    return _OTHER_MODELS.get(path.suffix.lower(), "")


def _state_dict(content: Any, levels: int = _MOST_LEVELS) -> dict[str, Tensor] | None:
    """Return the dictionary of tensors in the content of a checkpoint; None if there is none, or more than one."""
    if not isinstance(content, Mapping):
        return None
    if not content:
        return {}
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    inner = {name: value for name, value in content.items() if isinstance(value, Mapping)}
    if tensors and not inner:
        return tensors  # numbers beside them are counters and settings
    if not levels:
        return None
    for key in _KEYS:
        if key in inner and (state := _state_dict(inner[key], levels - 1)):
            return state
    states = [state for value in inner.values() if (state := _state_dict(value, levels - 1))]
    # Names of weights have a module; those of an optimiser's state have none.
    states = [state for state in states if any("." in name for name in state)]
    return states[0] if len(states) == 1 else None


def without_prefix(state: Mapping[str, Tensor], names: Collection[str], source: str) -> dict[str, Tensor]:
    """Return the tensors of a network whose names have a prefix in a state dict, such as `model.` or `module.`.

    Tensors without the prefix are left out, and named: those of a loss, or of a head of its own.

    Args:
        state: State dict.
        names: Names of the network's tensors.
        source: Name of the file, for messages.

    Raises:
        WeightsError: If the network is there under several prefixes.
    """
    found = Counter(
        name[:start]
        for name in state
        for start in (0, *(match.end() for match in re.finditer(r"\.", name)))
        if name[start:] in names
    )
    most = max(found.values(), default=0)
    prefixes = sorted(prefix for prefix, count in found.items() if count == most)
    if not most or most <= found[""] or most < _MIN_SHARE * len(names):
        return dict(state)
    if len(prefixes) > 1:
        raise WeightsError(
            f"{source} holds the network {len(prefixes)} times, under {' and '.join(prefixes)}; save one of them alone"
        )
    (prefix,) = prefixes
    rest = sorted(name for name in state if not name.startswith(prefix))
    if rest:
        # Not above: as in `network`.
        from lightning.pytorch.utilities import rank_zero_info

        more = f" and {len(rest) - 3} more" if len(rest) > 3 else ""
        rank_zero_info(f"{source}: left out, without the prefix {prefix}: {', '.join(rest[:3])}{more}")
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
