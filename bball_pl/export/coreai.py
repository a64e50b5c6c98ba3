"""A classifier as a Core AI asset (`.aimodel`, iOS 27, beta)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from bball_pl.export.conversion import in_one_line
from bball_pl.export.metadata import About, Interface
from bball_pl.export.onnx import DeployModel
from bball_pl.verify.runners import quietly, require_coreai, start_deep_thread

_ADVICE = "leave aimodel out of --formats, or fit another --model.backbone"


def write_coreai(model: DeployModel, path: Path, interface: Interface, about: About) -> Path:
    """Write a Core AI asset: RGB float32 `[1, 3, S, S]`, 0–255 → probabilities float32 `[1, classes]`.

    The format knows no labels: they are in its metadata, in the order of the outputs.

    Args:
        model: in evaluation mode.
        path: ends in .aimodel; it must not exist.
        interface: names of input and output, and the labels.
        about: the facts.

    Returns:
        `path`.

    Raises:
        ConfigError: if the package is not installed, or its converter cannot express the network.
    """
    require_coreai()
    from coreai.authoring import AIModelAsset

    with in_one_line("Core AI", model.backbone, _ADVICE), quietly():
        _on_a_deep_stack(lambda: _read(model, interface).to_coreai().save_asset(path))

    def describe(metadata: Any) -> None:
        metadata.author, metadata.license = about.author, about.licence
        metadata.model_description = about.description
        for name, value in (about.user_defined() | {"labels": "\n".join(interface.labels)}).items():
            metadata.set_custom(name, value)

    AIModelAsset.load(path).update_metadata(describe)
    return path


def check_coreai(model: DeployModel, interface: Interface) -> None:
    """Let the converter read the network, and write nothing.

    Raises:
        ConfigError: if the package is not installed, or its converter cannot express the network.
    """
    require_coreai()
    with in_one_line("Core AI", model.backbone, _ADVICE), quietly():
        _on_a_deep_stack(lambda: _read(model, interface))


def _read(model: DeployModel, interface: Interface) -> Any:
    from coreai_torch import TorchConverter, get_decomp_table

    program = torch.export.export(model, (model.example,)).run_decompositions(get_decomp_table())
    return TorchConverter().add_exported_program(
        program, input_names=[interface.image], output_names=[interface.probabilities]
    )


def _on_a_deep_stack(work: Callable[[], object]) -> None:
    failed: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # raised again where the caller waits
            failed.append(error)

    start_deep_thread(guarded).join()
    if failed:
        raise failed[0]
