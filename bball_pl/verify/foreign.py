"""Classifiers that this project did not write: what they take and give, whether they run here, how they compare.

Their files state neither preprocessing nor temperature. A photo as input leaves nothing open; for an array the usual
scalings are tried on a few photos, and the one that agrees best is named and used.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import softmax

from bball_pl.errors import VerificationError
from bball_pl.moves import MOVES, display_name
from bball_pl.photos.decode import decode_file
from bball_pl.photos.preprocess import PreprocessSpec
from bball_pl.verify.inspection import Gate
from bball_pl.verify.model_file import (
    network_weights,
    onnx_labels,
    onnx_texts,
    onnx_weights,
    program_weights,
    read_onnx,
    read_spec,
    reason_of,
    size_on_disk,
)
from bball_pl.verify.parity import FP16_LIMIT, FP32_LIMIT, NEAR_TIE, SUM_LIMIT, FileParity, Reference
from bball_pl.verify.runners import TorchExecutor

#: Photos that scalings and temperatures are chosen on.
_TRIED = 3
_IMAGENET = (np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]))


@dataclass
class ForeignModel:
    """A classifier from elsewhere, opened.

    Attributes:
        path: the file.
        engine: the runtime or executor that runs it.
        labels: names of its classes in the order of its values; empty if it states none.
        size: width and height of the photo, in pixels; None if it takes any.
        takes_photo: whether its input is a photo of 0–255; otherwise an array of unknown scaling.
        limit: largest difference of a probability that its precision explains.
        values: answers a picture, float32 `[1, 3, H, W]`, RGB, in the file's scaling → float64 `[classes]`.
    """

    path: Path
    engine: str
    labels: list[str]
    size: tuple[int, int] | None
    takes_photo: bool
    limit: float
    values: Callable[[np.ndarray], np.ndarray]


def open_foreign(path: Path) -> ForeignModel:
    """Open a classifier that need not be one of this project's.

    Args:
        path: ends in .onnx, .mlpackage or .mlmodel.

    Raises:
        VerificationError: if it cannot be read, does not go from one colour photo, or one array of three channels, to
            one value for each class, or has an op that cannot be run here; the message names it.
    """
    if path.suffix == ".onnx":
        return _open_onnx(path)
    if path.suffix in (".mlpackage", ".mlmodel"):
        return _open_core_ml(path)
    raise VerificationError(f"{path.name} cannot be run here; expected .onnx, .mlpackage or .mlmodel")


def runs_here(path: Path) -> str:
    """Say in one line whether a file can be run here, and by what, or which op or property it lacks."""
    try:
        model = open_foreign(path)
        width, height = model.size or (224, 224)
        values = model.values(np.full((1, 3, height, width), 0.5, np.float32))
    except VerificationError as error:
        return f"no: {str(error).removeprefix(f'{path}: ').removeprefix(f'{path} ')}"
    kind = "a photo" if model.takes_photo else "an array"
    return f"yes, with {model.engine}: {kind} of {width} × {height} → {len(values)} values"


# --- opening ---------------------------------------------------------------------------------------------------------


def _open_core_ml(path: Path) -> ForeignModel:
    from bball_pl.verify.executors.mil_program import MilProgram
    from bball_pl.verify.executors.neuralnetwork import NeuralNetwork

    spec = read_spec(path)
    kind = spec.WhichOneof("Type")
    executor: TorchExecutor
    if kind == "mlProgram":
        executor = MilProgram(path, "fp16", foreign=True)
        (function,) = spec.mlProgram.functions.values()
        stored = program_weights(function.block_specializations[function.opset])
    elif kind in ("neuralNetworkClassifier", "neuralNetwork"):
        executor = NeuralNetwork(path, foreign=True)
        stored = network_weights(getattr(spec, kind))
    else:
        raise VerificationError(f"{path} holds {_kind(spec)}; expected an ML Program or a NeuralNetwork")
    takes_photo = executor.colour != "array"

    def values(picture: np.ndarray) -> np.ndarray:
        return np.asarray(executor.values(torch.from_numpy(picture)), np.float64)

    labels = executor.class_names or stated_labels(executor.metadata)
    exact = set(stored) <= {"float32"}
    return ForeignModel(
        path, "executor", labels, executor.size, takes_photo, FP32_LIMIT if exact else FP16_LIMIT, values
    )


def _kind(spec: Any) -> str:
    """Return the type of a Core ML model, and of the parts of a pipeline."""
    kind = str(spec.WhichOneof("Type"))
    holder = getattr(spec, kind)
    models = getattr(getattr(holder, "pipeline", holder), "models", [])
    parts = ", ".join(str(part.WhichOneof("Type")) for part in models)
    return f"a {kind} of {parts}" if parts else f"a model of type {kind}"


def _open_onnx(path: Path) -> ForeignModel:
    import onnxruntime

    message = read_onnx(path)
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class of exception per status, none of them public
        raise VerificationError(f"{path.name}: onnxruntime refuses it ({reason_of(error)})") from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise VerificationError(
            f"{path.name} has {len(inputs)} inputs and {len(outputs)} outputs; expected one of each"
        )
    (given,) = inputs
    kinds = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
    sides = [side if isinstance(side, int) else None for side in given.shape]
    if given.type not in kinds or len(sides) != 4 or sides[1] not in (3, None) or sides[0] not in (1, None):
        raise VerificationError(f"{path.name} takes {given.name} {given.type} {given.shape}; expected [N, 3, H, W]")
    width, height = sides[3], sides[2]

    def values(picture: np.ndarray) -> np.ndarray:
        try:
            (answer,) = session.run(None, {given.name: picture.astype(kinds[given.type])})
        except Exception as error:
            raise VerificationError(f"{path.name} cannot be run: {reason_of(error)}") from error
        return np.asarray(answer, np.float64).reshape(-1)

    exact = set(onnx_weights(message.graph)) <= {"float32"}
    return ForeignModel(
        path=path,
        engine="onnxruntime",
        labels=onnx_labels(message) or stated_labels(onnx_texts(message)),
        size=None if width is None or height is None else (width, height),
        takes_photo=given.type == "tensor(uint8)",
        limit=FP32_LIMIT if exact else FP16_LIMIT,
        values=values,
    )


def stated_labels(fields: Mapping[str, str]) -> list[str]:
    """Return the labels in a file's text fields, as Ultralytics (`names`) and others write them; empty without any."""
    for name in ("names", "labels", "classes", "class_names", "id2label"):
        text = fields.get(name, "").strip()
        if not text:
            continue
        try:
            found = json.loads(text)
        except ValueError:
            try:
                found = ast.literal_eval(text)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                found = [part.strip() for part in text.replace("\n", ",").split(",") if part.strip()]
        if isinstance(found, dict):
            try:
                found = [found[key] for key in sorted(found, key=int)]
            except (TypeError, ValueError):
                continue
        if isinstance(found, list | tuple):
            return [str(label) for label in found]
    return []


# --- comparing -------------------------------------------------------------------------------------------------------


def compare_foreign(
    path: Path,
    spec: PreprocessSpec,
    reference: Reference,
    uncalibrated: np.ndarray,
    progress: Callable[[], None] = lambda: None,
) -> FileParity:
    """Compare a classifier from elsewhere with the trained model, on every photo.

    Args:
        path: ends in .onnx, .mlpackage or .mlmodel.
        spec: how the trained model takes a photo; the file's size replaces the spec's.
        reference: the trained model's answers at the calibrated temperature.
        uncalibrated: the same at temperature 1, float32 `[N, classes]`.
        progress: called after each photo.

    Raises:
        VerificationError: as in `open_foreign`; or if its input or labels do not match the trained model's.
    """
    model = open_foreign(path)
    columns = _columns(model, reference.class_names)
    width, height = model.size or (spec.size, spec.size)
    if width != height:
        raise VerificationError(f"{path.name} takes photos of {width} × {height}; the checkpoint takes square ones")
    spec = replace(spec, size=width)
    pictures = (
        np.ascontiguousarray(spec.resize(decode_file(photo.path)).transpose(2, 0, 1)[None], np.float32)
        for photo in reference.photos
    )
    first = [next(pictures) for _ in range(min(_TRIED, len(reference.photos)))]
    scalings = {"0–255": _unchanged} if model.takes_photo else _scalings(spec)
    expected = {"the calibrated temperature": reference.probabilities, "temperature 1": uncalibrated}
    trials = []
    for scaling, function in scalings.items():
        raw = np.stack([_checked(model, function(picture), columns) for picture in first])
        shares, gives = _shares(raw)
        trials += [
            (float(np.abs(shares - answers[: len(first)]).max()), scaling, temperature, gives)
            for temperature, answers in expected.items()
        ]
    # Not-a-number is no difference at all for min.
    _, scaling, temperature, gives = min(trials, key=lambda trial: (not np.isfinite(trial[0]), trial[0]))
    rows = []
    for picture in (*first, *pictures):
        rows.append(_checked(model, scalings[scaling](picture), columns))
        progress()
    raw, answers = np.stack(rows), expected[temperature]
    shares = raw if gives == "probabilities" else softmax(raw, axis=1)
    gates = _gates(model, shares, answers)
    gates.insert(0, Gate("compared", f"input {scaling}, {gives}, {temperature}", "the best match", True))
    predicted = np.where(np.isfinite(shares).all(1), shares.argmax(1), -1)
    return FileParity(
        name=path.name,
        megabytes=size_on_disk(path) / 1e6,
        engine=model.engine,
        largest_difference=float(np.abs(shares - answers).max()),
        same_answers=float((predicted == answers.argmax(1)).mean()),
        accuracy=float((predicted == reference.targets).mean()),
        seconds_per_photo=0.0,
        largest_activation=0.0,
        gates=gates,
    )


def _columns(model: ForeignModel, class_names: Sequence[str]) -> list[int]:
    """Return which of the file's values belongs to each class."""
    name = model.path.name
    if not model.labels:
        raise VerificationError(f"{name} states no labels; expected {', '.join(class_names)}")
    chinese = {move.name: move.chinese for move in MOVES}
    places: list[int] = []
    for class_name in class_names:
        forms = {class_name, display_name(class_name), f"{chinese.get(class_name, '')}({class_name})"}
        known = {form.casefold() for form in forms}
        places += [index for index, label in enumerate(model.labels) if label.strip().casefold() in known]
    if sorted(places) != list(range(len(class_names))) or len(model.labels) != len(class_names):
        listed = ", ".join(model.labels[:5]) + (f" and {len(model.labels) - 5} more" if len(model.labels) > 5 else "")
        raise VerificationError(f"{name} has the labels {listed}; the checkpoint has {', '.join(class_names)}")
    return places


def _checked(model: ForeignModel, picture: np.ndarray, columns: Sequence[int]) -> np.ndarray:
    values = model.values(picture)
    if len(values) != len(columns):
        raise VerificationError(f"{model.path.name} gives {len(values)} values for {len(columns)} labels")
    return np.asarray(values[list(columns)])


def _shares(values: np.ndarray) -> tuple[np.ndarray, str]:
    """Return values as probabilities, and what they were."""
    if values.min() >= 0 and np.abs(values.sum(1) - 1).max() <= 10 * SUM_LIMIT:
        return values, "probabilities"
    return softmax(values, axis=1), "logits"


def _unchanged(picture: np.ndarray) -> np.ndarray:
    return picture


def _scalings(spec: PreprocessSpec) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    def by(mean: Any, std: Any) -> Callable[[np.ndarray], np.ndarray]:
        middle, scale = (np.asarray(part, np.float32).reshape(1, 3, 1, 1) for part in (mean, std))
        return lambda picture: (picture / 255 - middle) / scale

    return {
        "0–255": _unchanged,
        "0–1": lambda picture: picture / 255,
        "−1–1": by([0.5] * 3, [0.5] * 3),
        "by ImageNet's mean and deviation": by(*_IMAGENET),
        "by the checkpoint's mean and deviation": by(spec.mean, spec.std),
    }


def _gates(model: ForeignModel, shares: np.ndarray, answers: np.ndarray) -> list[Gate]:
    finite = bool(np.isfinite(shares).all())
    ranked = np.sort(answers, axis=1)
    clear = ranked[:, -1] - ranked[:, -2] >= NEAR_TIE
    changed = int((clear & (shares.argmax(1) != answers.argmax(1))).sum())
    off = float(np.abs(shares.sum(1) - 1).max())
    difference = float(np.abs(shares - answers).max())
    return [
        Gate("probabilities sum to 1", f"{off:.1e} off", f"≤ {SUM_LIMIT:.1e}", finite and off <= SUM_LIMIT),
        Gate("same answers, near-ties aside", f"{changed} changed", "0 changed", finite and changed == 0),
        Gate("largest difference", f"{difference:.1e}", f"≤ {model.limit:.1e}", finite and difference <= model.limit),
    ]
