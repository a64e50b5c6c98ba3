"""Weights shipped with the package: ImageNet, then rendered scenes of the teaching court."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bball_pl import project
from bball_pl.errors import RunError, WeightsError
from bball_pl.files import write_bytes

if TYPE_CHECKING:
    # Torch takes seconds to import, and where the file lies can be said without it.
    from torch import Tensor

#: Backbone of the shipped weights (7 MB): its ImageNet weights are a pip package.
BACKBONE = "tf_efficientnet_lite0"
#: Note shown with every answer of the shipped model.
CAUTION = "this model has seen rendered scenes only, no real photo of a move"

_PREFIX = "network.net."
_KEY = "bball_pl"


def court_checkpoint() -> Path:
    """Return the file of the shipped model, which `read_checkpoint` reads like a run's checkpoint.

    Raises:
        RunError: if the installed package lacks it.
    """
    path = Path(__file__).parent / "weights_data" / f"{BACKBONE}.court.safetensors"
    if not path.is_file():
        raise RunError(f"{path} is missing; install the package again, or make it with bball pretrain")
    return path


def is_court_checkpoint(path: str | os.PathLike[str]) -> bool:
    """Return whether a checkpoint is the shipped model."""
    shipped = Path(__file__).parent / "weights_data"
    return Path(path).resolve().parent == shipped.resolve()


def answering_checkpoint(run: Path | None = None, ckpt: Path | None = None) -> Path:
    """Return the checkpoint to predict with: `ckpt`, the best one of `run` or of the newest run, or the shipped one.

    Raises:
        RunError: if the named run has no best checkpoint.
    """
    if ckpt is not None:
        return ckpt
    if run is not None:
        return project.best_checkpoint(run)
    try:
        return project.best_checkpoint(project.newest_run())
    except RunError:
        return court_checkpoint()


def write_weights(
    checkpoint: dict[str, Any],
    out: Path,
    facts: dict[str, Any],
    temperature: float = 1.0,
    offsets: Mapping[str, float] | None = None,
) -> None:
    """Write a checkpoint as a safetensors file: float16 weights, classes and preprocessing as metadata.

    Tensors of one dimension (norms, biases) stay float32: they are small, and variances can exceed the float16 range.

    Args:
        checkpoint: Content of a checkpoint, as `read_checkpoint` returns it.
        out: File to write, .safetensors.
        facts: Origin of the weights (command, seed, scenes), JSON values.
        temperature: Divides the logits; folded into the head, so that the file needs no calibration.
        offsets: class name -> number added to its logit, before the temperature.

    Raises:
        WeightsError: if the head is not one linear layer of the network.
    """
    import torch
    from safetensors.torch import save

    about = {**checkpoint["bball_pl"], "court": facts}
    about.pop("data", None)
    state = {
        name.removeprefix(_PREFIX): value
        for name, value in checkpoint["state_dict"].items()
        if name.startswith(_PREFIX)
    }
    classes = len(about["class_names"])
    head = [name for name in ("classifier", "fc", "head", "head.fc") if f"{name}.weight" in state]
    if len(head) != 1 or state[f"{head[0]}.weight"].shape[0] != classes:
        raise WeightsError(
            f"{out.name}: the network has no linear head for {classes} classes to write the temperature to"
        )
    added = torch.tensor([(offsets or {}).get(name, 0.0) for name in about["class_names"]])
    state[f"{head[0]}.weight"] = state[f"{head[0]}.weight"].float() / temperature
    state[f"{head[0]}.bias"] = (state[f"{head[0]}.bias"].float() + added) / temperature
    tensors = {
        name: (value.to(torch.float16) if value.ndim > 1 else value).contiguous() for name, value in state.items()
    }
    # The file that training started from is not part of the model, and its path means nothing elsewhere.
    about["hyper_parameters"] = {**checkpoint["hyper_parameters"], "weights": "none"}
    # One entry: safetensors writes several in any order, and the same weights are to give the same bytes.
    metadata = {_KEY: json.dumps(about, sort_keys=True)}
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, save(tensors, metadata))


def read_weights(path: Path) -> dict[str, Any]:
    """Read a file of `write_weights` in the form of a run's checkpoint, with float32 weights.

    Raises:
        RunError: if the file cannot be read, or holds weights without this project's description.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = json.loads(metadata[_KEY])
        parameters = about.pop("hyper_parameters")
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path} cannot be read as a checkpoint ({str(error).splitlines()[0]}); is it whole?") from error
    except (KeyError, ValueError) as error:
        raise RunError(
            f"{path} is not a checkpoint of this project: it names no classes and no preprocessing"
        ) from error
    state = {
        f"{_PREFIX}{name}": value.float() if value.dtype == torch.float16 else value for name, value in tensors.items()
    }
    return {"bball_pl": about, "hyper_parameters": parameters, "state_dict": state}


def court_state(backbone: str, class_names: list[str], head: tuple[str, ...]) -> dict[str, Tensor]:
    """Return the shipped tensors under timm's names, with the head rows of `class_names` if it knows all of them.

    Args:
        backbone: timm name of the network to fill.
        class_names: Classes in the order of the logits.
        head: Name prefixes of the head, such as `classifier.`.

    Raises:
        WeightsError: if there are no such weights for the backbone.
    """
    if backbone.split(".", maxsplit=1)[0] != BACKBONE:
        raise WeightsError(
            f"--model.weights court has weights for {BACKBONE} only, not for {backbone}: pass --model.backbone "
            f"{BACKBONE}, or make such weights with bball pretrain --backbone {backbone}"
        )
    content = read_weights(court_checkpoint())
    known: list[str] = content["bball_pl"]["class_names"]
    state = {name.removeprefix(_PREFIX): value for name, value in content["state_dict"].items()}
    if set(class_names) <= set(known):
        rows = [known.index(name) for name in class_names]
        return {name: value[rows] if name.startswith(head) else value for name, value in state.items()}
    return {name: value for name, value in state.items() if not name.startswith(head)}
