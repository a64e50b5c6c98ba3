"""From the bytes of a photo to what the view Try shows: every engine's answer, timed, and the pictures."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bball_pl.errors import BballError
from bball_pl.evaluate.predict.judge import UNSURE, Answer
from bball_pl.studio.context import Context
from bball_pl.studio.engines import PhotoEngine, Timed, largest_difference
from bball_pl.studio.engines_exports import CHECKPOINT, ExportedFile
from bball_pl.studio.engines_open import OpenEngines
from bball_pl.studio.try_pictures import heat_overlay, network_input, preview
from bball_pl.studio.uploads import decode_upload


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
        engine = self._engines.checkpoint(checkpoint)
        photo = decode_upload(content)
        names = list(engine.judge.class_names)
        name = class_name if class_name in names else engine.answer(photo).answer.predicted
        started = time.perf_counter()
        heat = engine.explain(photo, names.index(name))
        took = 1e3 * (time.perf_counter() - started)
        return {"class": name, "nothing": not bool(heat.any()), "overlay": heat_overlay(heat), "ms": took}

    def _row(self, name: str, engine: PhotoEngine, timed: Timed, own: PhotoEngine, reference: Answer) -> dict[str, Any]:
        answer = timed.answer
        if not math.isfinite(answer.confidence):
            return {"engine": name, "error": "the probabilities are not numbers: the file is damaged"}
        return {
            "engine": name,
            "probabilities": [{"name": label, "share": share} for label, share in answer.probabilities.items()],
            "predicted": answer.predicted,
            "confidence": answer.confidence,
            "unsure": answer.text == UNSURE,
            "threshold": engine.judge.threshold,
            "calibration": engine.calibration,
            # By what the file itself says: parity.json beside it could be of another.
            "own": engine.checkpoint_sha256 == own.checkpoint_sha256 if engine.checkpoint_sha256 else None,
            "difference": None if name == CHECKPOINT else largest_difference(answer, reference),
            "preprocess_ms": timed.preprocess_ms,
            "forward_ms": timed.forward_ms,
            "load_seconds": engine.load_seconds,
        }
