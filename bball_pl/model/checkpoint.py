"""Reading what a run saved."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from bball_pl.errors import RunError


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a checkpoint of this project on the CPU, tensors and plain values only.

    Raises:
        RunError: if the file is missing, cannot be read, or was not written by this project.
    """
    path = Path(path)
    if not path.is_file():
        raise RunError(f"there is no checkpoint {path}; pass a .ckpt file of a run, or make one with scripts/fit.py")
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch's reader finds wrong, the user needs the file's name
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunError(f"{path} cannot be read as a checkpoint ({reason}); is it whole?") from error
    if not isinstance(checkpoint, dict) or not {"bball_pl", "hyper_parameters", "state_dict"} <= set(checkpoint):
        raise RunError(f"{path} is not a checkpoint of this project: it names no classes and no preprocessing")
    return checkpoint
