"""A classifier as one ONNX file."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch

from bball_pl.export.deploy import DeployModel
from bball_pl.export.metadata import About, Interface
from bball_pl.files import atomic_path
from bball_pl.verify.runners import quietly


def write_onnx(model: DeployModel, path: Path, interface: Interface, about: About) -> Path:
    """Write an ONNX file: RGB float32 `[batch, 3, S, S]`, 0–255 → probabilities float32 `[batch, classes]`.

    Weights are inside the file, the batch is of any size, classes, preprocessing and origin are in its metadata.

    Args:
        model: in evaluation mode.
        path: the file; written whole or not at all.
        interface: names of input and output, and the labels.
        about: the facts.

    Returns:
        `path`.
    """
    # Two photos: an example of one would make the exporter believe that the batch is always one.
    example = model.example.repeat(2, 1, 1, 1)
    with atomic_path(path) as temporary:
        with quietly():
            torch.onnx.export(
                model,
                (example,),
                temporary,
                input_names=[interface.image],
                output_names=[interface.probabilities],
                dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=4096)},),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        proto = onnx.load(temporary)
        proto.producer_name, proto.producer_version = "bball_pl", about.user_defined()["bball_pl.version"]
        proto.doc_string = about.description
        fields = about.user_defined() | {"author": about.author, "licence": about.licence}
        onnx.helper.set_model_props(proto, fields | {"labels": "\n".join(interface.labels)})
        _forget_places(proto)
        onnx.checker.check_model(proto, full_check=True)
        temporary.write_bytes(proto.SerializeToString(deterministic=True))
    return path


def _forget_places(proto: onnx.ModelProto) -> None:
    # torch writes the source lines of every node into the file: paths of this machine, a tenth of a small model.
    for node in proto.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in [*proto.graph.value_info, *proto.graph.input, *proto.graph.output, *proto.graph.initializer]:
        del value.metadata_props[:]
    del proto.graph.metadata_props[:]
