"""Answers of the Try view: the answer of each engine to a photo, with its timings and pictures."""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np
from fastapi import HTTPException

from bball_pl.errors import BballError
from bball_pl.evaluate.calibration import UNSURE, Answer
from bball_pl.evaluate.explain import grad_cam
from bball_pl.evaluate.trained_model import TrainedModel
from bball_pl.studio.pictures import decode_upload, room_for, shrink
from bball_pl.studio.state import Context
from bball_pl.studio.try_.engines import Engine, EngineCache, TimedAnswer, largest_difference
from bball_pl.studio.try_.try_routes import ExportedFile

#: Id of the checkpoint among the engines.
CHECKPOINT = "checkpoint"
#: Long side of the photo on the page, in pixels.
_PREVIEW = 960
_QUALITY = 82
#: As in the report; its lightness rises evenly, so it also reads correctly in greyscale.
_COLOURS = mpl.colormaps["inferno"]


def preview(photo: np.ndarray) -> str:
    """Return a photo, RGB uint8 `[H, W, 3]`, as a JPEG data URI of at most 960 pixels."""
    return _uri("jpeg", shrink(photo, _PREVIEW)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])


def network_input(square: np.ndarray) -> str:
    """Return the input of the network, RGB uint8 `[S, S, 3]`, as a PNG data URI."""
    return _uri("png", square[..., ::-1], [])


def heat_overlay(heat: np.ndarray) -> str:
    """Return a heat map as a PNG data URI to lay over the photo, transparent where the values are low.

    Args:
        heat: float32 `[h, w]`, 0–1, in the photo's proportions; the browser enlarges it smoothly.
    """
    values = np.nan_to_num(heat).clip(0, 1)
    colours = _COLOURS(values)
    colours[..., 3] = values
    return _uri("png", np.rint(255 * colours[..., [2, 1, 0, 3]]).astype(np.uint8), [])


def _uri(form: str, pixels: np.ndarray, options: list[int]) -> str:
    good, encoded = cv2.imencode(f".{form}", np.ascontiguousarray(pixels), options)
    if not good:
        raise ValueError(f"a picture of {pixels.shape} cannot be written as {form}")
    return f"data:image/{form};base64,{base64.b64encode(encoded.tobytes()).decode('ascii')}"


class Responder:
    """Answers photos; its methods run in the compute thread.

    Args:
        context: state of the studio.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._engines = EngineCache(context.models)

    def prepare(self, checkpoint: Path) -> None:
        """Load a checkpoint in advance.

        Raises:
            RunError: if the checkpoint cannot be read.
        """
        self._engines.checkpoint(checkpoint)

    def answer(self, content: bytes, checkpoint: Path, files: Sequence[ExportedFile], pictures: bool) -> dict[str, Any]:
        """Answer a photo with the checkpoint and some exported files.

        Args:
            content: bytes of the photo's file.
            checkpoint: reference for the other engines.
            files: further engines; one that fails is listed with the reason.
            pictures: whether to return the photo and the network's input; the webcam needs neither.

        Raises:
            HTTPException: 422 if the bytes are not a photo.
            RunError: if the checkpoint cannot be read.
        """
        # The checkpoint first, so that the decoded photo is not in memory while it loads.
        reference = self._engines.checkpoint(checkpoint)
        # In a method of its own, so that the decoded photo is freed before its memory is given back.
        with room_for(content):
            return self._answer(content, reference, files, pictures)

    def explain(self, content: bytes, checkpoint: Path, class_name: str) -> dict[str, Any]:
        """Return the heat map of a class in a photo, as an overlay; the predicted class for an empty name.

        Raises:
            HTTPException: 404 if the checkpoint has no such class; 422 if the bytes are not a photo.
            RunError: if the checkpoint cannot be read.
            ConfigError: if the backbone has no feature maps.
        """
        model = self._context.models.load(checkpoint)
        names = model.class_names
        if class_name and class_name not in names:
            raise HTTPException(404, f"this model has no class {class_name}")
        with room_for(content):
            name, heat, duration = _heat(model, content, class_name)
        return {"class": name, "nothing": not bool(heat.any()), "overlay": heat_overlay(heat), "ms": duration}

    def _answer(
        self, content: bytes, reference: Engine, files: Sequence[ExportedFile], pictures: bool
    ) -> dict[str, Any]:
        started = time.perf_counter()
        photo = decode_upload(content)
        decode_ms = 1e3 * (time.perf_counter() - started)
        timed = reference.answer(photo)
        answers = [_answer_json(CHECKPOINT, reference, timed, reference, timed.answer)]
        for file in files:
            try:
                engine = self._engines.file(file)
                answers.append(_answer_json(file.id, engine, engine.answer(photo), reference, timed.answer))
            except BballError as error:
                answers.append({"engine": file.id, "error": self._context.clean(str(error))})
        height, width = photo.shape[:2]
        spec = reference.spec
        return {
            "width": width,
            "height": height,
            "bytes": len(content),
            "decode_ms": decode_ms,
            "answers": answers,
            "input": {"size": spec.size, "fit": spec.fit},
            "pictures": {"photo": preview(photo), "input": network_input(spec.resize(photo))} if pictures else None,
        }


def _heat(model: TrainedModel, content: bytes, class_name: str) -> tuple[str, np.ndarray, float]:
    """Return the explained class, its heat map, and the time of computing it in ms; arguments as in `explain`."""
    photo = decode_upload(content)
    name = class_name or next(model.predict(photo)).predicted
    started = time.perf_counter()
    (heat,) = grad_cam(model.classifier, [photo], [model.class_names.index(name)])
    return name, heat, 1e3 * (time.perf_counter() - started)


def _answer_json(name: str, engine: Engine, timed: TimedAnswer, reference: Engine, expected: Answer) -> dict[str, Any]:
    answer = timed.answer
    if not math.isfinite(answer.confidence):
        return {"engine": name, "error": "the probabilities are not numbers: the file is damaged"}
    sha256 = engine.checkpoint_sha256
    return {
        "engine": name,
        "probabilities": [{"name": label, "share": share} for label, share in answer.probabilities.items()],
        "predicted": answer.predicted,
        "confidence": answer.confidence,
        "unsure": answer.label == UNSURE,
        "threshold": engine.rule.threshold,
        "calibration": engine.calibration,
        # From the file's metadata: parity.json beside it could belong to another file.
        "matches": sha256 == reference.checkpoint_sha256 if sha256 else None,
        "difference": None if name == CHECKPOINT else largest_difference(answer, expected),
        "preprocess_ms": timed.preprocess_ms,
        "forward_ms": timed.forward_ms,
        "load_seconds": engine.load_seconds,
    }
