"""Answers for Try: every engine's answer to a photo, timed, with the pictures beside it."""

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

from bball_pl.errors import BballError
from bball_pl.evaluate.calibration import UNSURE, Answer
from bball_pl.evaluate.explain import grad_cam
from bball_pl.studio.pictures import decode_upload
from bball_pl.studio.state import Context
from bball_pl.studio.try_.engines import Engine, OpenEngines, Timed, largest_difference
from bball_pl.studio.try_.exports import CHECKPOINT, ExportedFile

#: Long side of the photo in the page, in pixels: sharp in a column of half a screen.
_PREVIEW = 960
_QUALITY = 82
#: Inferno, as in the report: its lightness rises evenly, so that it reads the same in grey.
_COLOURS = mpl.colormaps["inferno"]


def preview(photo: np.ndarray) -> str:
    """Return a photo as a JPEG in a data URI: RGB uint8 `[H, W, 3]`, 0–255, made smaller if it is large."""
    height, width = photo.shape[:2]
    scale = _PREVIEW / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        photo = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    return _uri("jpeg", photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])


def network_input(square: np.ndarray) -> str:
    """Return what the network saw, pixel by pixel, as a PNG in a data URI: RGB uint8 `[S, S, 3]`, 0–255."""
    return _uri("png", square[..., ::-1], [])


def heat_overlay(heat: np.ndarray) -> str:
    """Return a heat map as a PNG in a data URI, to be laid over the photo: as transparent as it is cold.

    Args:
        heat: float32 `[h, w]`, 0–1, in the photo's proportions; the browser makes it larger, smoothly.
    """
    values = np.nan_to_num(heat).clip(0, 1)
    colours = _COLOURS(values)
    # The photo must be seen below the hottest spot; the page's slider makes it fainter or stronger.
    colours[..., 3] = values
    pixels = np.rint(255 * colours[..., [2, 1, 0, 3]]).astype(np.uint8)
    return _uri("png", pixels, [])


def _uri(form: str, pixels: np.ndarray, options: list[int]) -> str:
    good, encoded = cv2.imencode(f".{form}", np.ascontiguousarray(pixels), options)
    if not good:
        raise ValueError(f"a picture of {pixels.shape} cannot be written as {form}")
    return f"data:image/{form};base64,{base64.b64encode(encoded.tobytes()).decode('ascii')}"


class Answering:
    """Answers photos; its methods run in the thread of the networks.

    Args:
        context: of this start of the studio.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._engines = OpenEngines(context.models)

    def prepare(self, checkpoint: Path) -> None:
        """Read a checkpoint before the first photo comes.

        Raises:
            RunError: if the checkpoint cannot be read.
        """
        self._engines.checkpoint(checkpoint)

    def answer(self, content: bytes, checkpoint: Path, files: Sequence[ExportedFile], pictures: bool) -> dict[str, Any]:
        """Answer a photo with the checkpoint and some exported files.

        Args:
            content: bytes of the photo's file.
            checkpoint: answers first; the others are compared with it.
            files: exported files that answer as well; one that cannot is listed with the reason.
            pictures: whether the photo and the network's input come back; the webcam needs neither.

        Raises:
            HTTPException: 422 if the bytes are not a photo.
            RunError: if the checkpoint cannot be read.
        """
        # First, so that a photo is not held in memory while a checkpoint loads.
        engine = self._engines.checkpoint(checkpoint)
        started = time.perf_counter()
        photo = decode_upload(content)
        decode_ms = 1e3 * (time.perf_counter() - started)
        reference = engine.answer(photo)
        answers = [self._row(CHECKPOINT, engine, reference, engine, reference.answer)]
        for file in files:
            try:
                opened = self._engines.file(file)
                answers.append(self._row(file.id, opened, opened.answer(photo), engine, reference.answer))
            except BballError as error:
                answers.append({"engine": file.id, "error": self._context.clean(str(error))})
        height, width = photo.shape[:2]
        spec = engine.spec
        return {
            "width": width,
            "height": height,
            "bytes": len(content),
            "decode_ms": decode_ms,
            "answers": answers,
            "input": {"size": spec.size, "fit": spec.fit},
            "pictures": {"photo": preview(photo), "input": network_input(spec.resize(photo))} if pictures else None,
        }

    def explain(self, content: bytes, checkpoint: Path, class_name: str) -> dict[str, Any]:
        """Say where in a photo the checkpoint saw a class; the most probable one if `class_name` is empty.

        Raises:
            HTTPException: 422 if the bytes are not a photo.
            RunError: if the checkpoint cannot be read.
            ConfigError: if the backbone has no feature maps.
        """
        model = self._context.models.load(checkpoint)
        photo = decode_upload(content)
        names = model.class_names
        name = class_name if class_name in names else next(model.predict(photo)).predicted
        started = time.perf_counter()
        (heat,) = grad_cam(model.classifier, [photo], [names.index(name)])
        took = 1e3 * (time.perf_counter() - started)
        return {"class": name, "nothing": not bool(heat.any()), "overlay": heat_overlay(heat), "ms": took}

    def _row(self, name: str, engine: Engine, timed: Timed, own: Engine, reference: Answer) -> dict[str, Any]:
        answer = timed.answer
        if not math.isfinite(answer.confidence):
            return {"engine": name, "error": "the probabilities are not numbers: the file is damaged"}
        return {
            "engine": name,
            "probabilities": [{"name": label, "share": share} for label, share in answer.probabilities.items()],
            "predicted": answer.predicted,
            "confidence": answer.confidence,
            "unsure": answer.label == UNSURE,
            "threshold": engine.rule.threshold,
            "calibration": engine.calibration,
            # By what the file itself says: parity.json beside it could be of another.
            "own": engine.checkpoint_sha256 == own.checkpoint_sha256 if engine.checkpoint_sha256 else None,
            "difference": None if name == CHECKPOINT else largest_difference(answer, reference),
            "preprocess_ms": timed.preprocess_ms,
            "forward_ms": timed.forward_ms,
            "load_seconds": engine.load_seconds,
        }
