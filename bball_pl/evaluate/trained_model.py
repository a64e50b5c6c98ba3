"""A classifier that answers photos: decoding in threads, the network in batches, every photo once and in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import islice
from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from bball_pl.errors import ConfigError, PhotoError
from bball_pl.model.classifier import MoveClassifier
from bball_pl.model.trainer import best_precision

Tta = Literal["none", "flip", "scales"]
Precision = Literal["32", "bf16", "auto"]

#: Sizes of test-time augmentation relative to the network's own: smaller ones see the scene, larger ones the ball.
_SCALES = (1.0, 0.85, 1.15)

Source = TypeVar("Source")


class Engine:
    """Answers photos with one classifier on one device.

    Args:
        classifier: moved to the device and put into evaluation mode.
        tta: test-time augmentation: none; flip averages the logits over the photo and its mirror image; scales over
            both of them at 0.85, 1 and 1.15 times the network's size.
        batch_size: photos in one pass of the network.
        device: a torch device such as cpu or cuda:0; auto takes a GPU where there is one.
        precision: 32 gives the same figures everywhere, but for rounding; bf16 is faster where the device has it in
            hardware; auto takes bf16 there and 32 elsewhere.

    Raises:
        ConfigError: if the batch size is below 1, the device is not there, or `scales` is asked of a network with a
            fixed input size.
    """

    def __init__(
        self,
        classifier: MoveClassifier,
        tta: Tta = "none",
        batch_size: int = 32,
        device: str = "auto",
        precision: Precision = "32",
    ) -> None:
        if batch_size < 1:
            raise ConfigError(f"the batch size is {batch_size}; expected 1 or more")
        if tta == "scales" and classifier.network.description.fixed_input_size:
            raise ConfigError(f"{classifier.hparams['backbone']} takes photos of one size only; pass --tta flip")
        self.device = _device(device)
        self.classifier = classifier.to(self.device).eval()
        self.class_names, self.spec = classifier.class_names, classifier.spec
        self.tta, self.batch_size = tta, batch_size
        scales = _SCALES if tta == "scales" else (1.0,)
        self._specs = [replace(self.spec, size=round(scale * self.spec.size)) for scale in scales]
        wanted = best_precision("gpu" if self.device.type == "cuda" else self.device.type)
        self._bf16 = precision == "bf16" or (precision == "auto" and wanted == "bf16-mixed")

    def run(
        self, sources: Iterable[Source], load: Callable[[Source], np.ndarray]
    ) -> Generator[tuple[Source, np.ndarray | PhotoError], None, None]:
        """Answer photos in their order, reading at most two batches ahead.

        Args:
            sources: anything that `load` takes; consumed only as fast as the network answers.
            load: returns a photo as RGB uint8 `[H, W, 3]`, 0–255, upright; called in threads.

        Yields:
            Each source with its logits, float32 `[classes]`, or with the `PhotoError` that `load` raised.
        """
        iterator = iter(sources)
        waiting: deque[tuple[Source, Future[list[np.ndarray]]]] = deque()
        # Pillow and OpenCV let go of the interpreter while they decode; two threads are ahead of any CPU's network.
        with ThreadPoolExecutor(2 if self.device.type == "cpu" else 8, "photo") as threads:
            try:
                while True:
                    for source in islice(iterator, 2 * self.batch_size - len(waiting)):
                        waiting.append((source, threads.submit(self._views, source, load)))
                    if not waiting:
                        return
                    batch = [waiting.popleft() for _ in range(min(self.batch_size, len(waiting)))]
                    yield from self._answer(batch)
            finally:
                for _, future in waiting:
                    future.cancel()

    def _views(self, source: Source, load: Callable[[Source], np.ndarray]) -> list[np.ndarray]:
        photo = load(source)
        return [spec.resize(photo) for spec in self._specs]

    def _answer(
        self, batch: list[tuple[Source, Future[list[np.ndarray]]]]
    ) -> Iterator[tuple[Source, np.ndarray | PhotoError]]:
        answers: list[np.ndarray | PhotoError | None] = []
        good: list[list[np.ndarray]] = []
        for _, future in batch:
            try:
                good.append(future.result())
                answers.append(None)
            except PhotoError as error:
                answers.append(error)
        rows = iter(self._logits([np.stack(view) for view in zip(*good, strict=True)]) if good else ())
        for (source, _), answer in zip(batch, answers, strict=True):
            yield source, next(rows) if answer is None else answer

    @torch.inference_mode()
    def _logits(self, views: list[np.ndarray]) -> np.ndarray:
        total = sum((self._view_logits(torch.from_numpy(view)) for view in views), torch.zeros((), device=self.device))
        mean: np.ndarray = (total / len(views)).cpu().numpy()
        return mean

    def _view_logits(self, photos: Tensor) -> Tensor:
        # [B, S, S, 3] seen as [B, 3, S, S] is channels_last already.
        images = self.spec.normalise(photos.permute(0, 3, 1, 2).to(self.device))
        precision: AbstractContextManager[object] = (
            torch.autocast(self.device.type, torch.bfloat16) if self._bf16 else nullcontext()
        )
        with precision:
            logits = self.classifier(images).float()
            if self.tta != "none":
                logits = (logits + self.classifier(images.flip(3)).float()) / 2
        return torch.as_tensor(logits)


def _device(name: str) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {name!r} cannot be used here ({str(error).splitlines()[0]}); pass cpu") from error
    return device
