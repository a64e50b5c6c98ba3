"""TrainedModel: a checkpoint with its calibration, run and data facts, read once; answers photos in batches."""

from __future__ import annotations

import datetime
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from bball_pl import project
from bball_pl.errors import ConfigError, PhotoError, RunError
from bball_pl.evaluate.calibration import Answer, Calibration, DecisionRule, file_sha256, read_calibration
from bball_pl.model.checkpoint import Classifier, read_checkpoint
from bball_pl.model.court_weights import CAUTION, answering_checkpoint, is_court_checkpoint
from bball_pl.model.folding import folded
from bball_pl.model.network import best_precision
from bball_pl.photos.decode import decode

Tta = Literal["none", "flip", "scales"]
Precision = Literal["32", "bf16", "auto"]

#: Input sizes of test-time augmentation relative to the network's: smaller shows the scene, larger the ball.
_SCALES = (1.0, 0.85, 1.15)
#: Photos in one pass. On a CPU the maps of more of them fit no cache, and glibc takes the large blocks that hold them
#: from the system and gives them back each time: tf_efficientnet_lite0 at 288 px took twice as long in passes of 32.
_BATCH, _BATCH_ON_CPU = 32, 4
#: Threads that read photos and answer them. On a CPU each holds the maps of a pass.
_WORKERS, _WORKERS_ON_CPU = 8, 4

Source = TypeVar("Source")

#: A photo's file, or its pixels: RGB uint8 `[H, W, 3]`, 0–255, upright.
PhotoInput: TypeAlias = str | os.PathLike[str] | np.ndarray


class AnsweringModel(Protocol):
    """What prediction and evaluation ask of a model: a `TrainedModel`, or an exported file opened like one.

    The attributes are those of `TrainedModel`.
    """

    class_names: list[str]
    rule: DecisionRule
    tta: Tta
    calibration: Calibration | None
    checkpoint: Path
    sha256: str
    run: Path | None
    data: dict[str, Any]
    held_out: dict[str, Any] | None

    def logits(
        self, sources: Iterable[Source], load: Callable[[Source], np.ndarray]
    ) -> Generator[tuple[Source, np.ndarray | PhotoError], None, None]:
        """Answer photos in their order, as `TrainedModel.logits` does."""


class TrainedModel:
    """A trained classifier ready to answer photos, with the facts of its checkpoint and run.

    `TrainedModel.open` reads one from disk. The constructor takes a classifier in memory, without checkpoint, run and
    calibration.

    Example:
        >>> from bball_pl import TrainedModel
        >>> model = TrainedModel.open("lightning_logs/demo/version_0")
        >>> for answer in model.predict(["photo.jpg"]):
        ...     print(answer.label, answer.confidence)

    Args:
        classifier: moved to the device and put into evaluation mode; it must not change afterwards.
        rule: decision rule. Default: temperature 1, never "unsure".
        tta: test-time augmentation: none; flip averages the logits of the photo and its mirror image; scales averages
            those of both at 0.85, 1 and 1.15 times the network's input size.
        batch_size: photos in one pass of the network. Default: 4 on a CPU, 32 elsewhere.
        device: a torch device such as cpu or cuda:0; auto takes a GPU where there is one.
        precision: 32 gives the same figures everywhere, rounding aside; bf16 is faster on devices with bfloat16
            hardware; auto takes bf16 on those and 32 elsewhere.

    Attributes:
        classifier: network, classes and preprocessing, in evaluation mode, on `device`.
        network: what answers, the classifier's network with folded batch norm.
        class_names: in the order of the logits.
        spec: how a photo becomes the network's input.
        rule: temperature and threshold.
        calibration: what the validation photos said; None if there is no calibration of this checkpoint.
        checkpoint: file of the checkpoint.
        sha256: SHA-256 of that file, 64 hex digits.
        run: folder of the run; None for a checkpoint outside a run.
        data: the training dataset: `root, class_names, counts, groups, sha256`; empty if it was not recorded.
        held_out: `logits` and `targets` of photos that the kept linear probe had not seen when it answered them; None
            for a fine-tuned network, which is calibrated on its validation photos.
        trained: date of the training, ISO 8601.

    Raises:
        ConfigError: if the batch size is below 1, the device is missing, or `scales` is asked of a network with a fixed
            input size.
    """

    def __init__(
        self,
        classifier: Classifier,
        rule: DecisionRule | None = None,
        *,
        tta: Tta = "none",
        batch_size: int | None = None,
        device: str = "auto",
        precision: Precision = "32",
    ) -> None:
        if batch_size is not None and batch_size < 1:
            raise ConfigError(f"the batch size is {batch_size}; expected 1 or more")
        if tta == "scales" and classifier.network.description.fixed_input_size:
            raise ConfigError(f"{classifier.backbone} takes photos of one size only; pass --tta flip")
        self.device = _device(device)
        self.classifier = classifier.to(self.device).eval()
        self.network = folded(classifier.network, classifier.spec.size)
        self.class_names, self.spec = classifier.class_names, classifier.spec
        self.rule = rule or DecisionRule(self.class_names)
        self.tta = tta
        self.batch_size = batch_size or (_BATCH_ON_CPU if self.device.type == "cpu" else _BATCH)
        self.calibration: Calibration | None = None
        self.checkpoint, self.sha256, self.trained = Path(), "", ""
        self.run: Path | None = None
        self.data: dict[str, Any] = {}
        self.held_out: dict[str, Any] | None = None
        scales = _SCALES if tta == "scales" else (1.0,)
        self._specs = [replace(self.spec, size=round(scale * self.spec.size)) for scale in scales]
        fastest = best_precision("gpu" if self.device.type == "cuda" else self.device.type)
        self._bf16 = precision == "bf16" or (precision == "auto" and fastest == "bf16-mixed")
        # A GPU holds the maps of one pass at a time.
        self._turn: AbstractContextManager[Any] = nullcontext() if self.device.type == "cpu" else Lock()

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        threshold: float | None = None,
        tta: Tta = "none",
        batch_size: int | None = None,
        device: str = "auto",
        precision: Precision = "32",
    ) -> TrainedModel:
        """Read a trained model from disk, with the calibration beside its checkpoint.

        Args:
            path: a checkpoint, or a run's folder, whose best checkpoint is read. Default: the newest run, or before
                there is one the model in the package, which has seen no real photo.
            threshold: confidence below which the answer is "unsure", 0–1. Default: that of the calibration.
            tta: as in the constructor.
            batch_size: as in the constructor.
            device: as in the constructor.
            precision: as in the constructor.

        Raises:
            RunError: if there is no such run or checkpoint, or the checkpoint or its calibration cannot be read.
            ConfigError: if `threshold` is out of range, and as in the constructor.
        """
        checkpoint = checkpoint_of(path)
        saved = read_checkpoint(checkpoint)
        sha256 = file_sha256(checkpoint)
        calibration = read_calibration(checkpoint, sha256)
        classifier = Classifier.from_checkpoint(saved)
        rule = DecisionRule.of_calibration(classifier.class_names, calibration, threshold)
        if is_court_checkpoint(checkpoint):
            rule = replace(rule, note=CAUTION)
        model = cls(classifier, rule, tta=tta, batch_size=batch_size, device=device, precision=precision)
        facts = saved["bball_pl"]
        modified = datetime.datetime.fromtimestamp(checkpoint.stat().st_mtime, datetime.UTC).date().isoformat()
        model.calibration, model.checkpoint, model.sha256 = calibration, checkpoint, sha256
        model.run, model.data = project.run_of_checkpoint(checkpoint), facts.get("data", {})
        model.held_out, model.trained = facts.get("held_out"), facts.get("created", modified)
        return model

    def predict(self, photos: PhotoInput | Iterable[PhotoInput]) -> Iterator[Answer]:
        """Answer photos in their order; they are decoded in threads and pass the network in batches.

        Args:
            photos: files, or RGB uint8 arrays `[H, W, 3]`, 0–255, upright; also a single one of these.

        Yields:
            An answer for each photo. Its `label` is "unsure" where the confidence is below the threshold.

        Raises:
            PhotoError: when a photo's turn comes that cannot be decoded, or an array of another shape or type.
        """
        single = isinstance(photos, str | os.PathLike) or (isinstance(photos, np.ndarray) and photos.ndim == 3)
        inputs = cast("Iterable[PhotoInput]", [photos] if single else photos)
        with closing(self.logits(inputs, _pixels)) as results:
            for photo, logits in results:
                if isinstance(logits, PhotoError):
                    name = "array" if isinstance(photo, np.ndarray) else os.fspath(photo)
                    raise PhotoError(f"{name}: {logits}") from logits
                yield self.rule.answer(self.rule.probabilities(logits))

    def logits(
        self, sources: Iterable[Source], load: Callable[[Source], np.ndarray]
    ) -> Generator[tuple[Source, np.ndarray | PhotoError], None, None]:
        """Pass photos through the network in their order; several passes are read and computed at the same time.

        Args:
            sources: anything that `load` takes; consumed only as fast as the network answers.
            load: returns a photo as RGB uint8 `[H, W, 3]`, 0–255, upright; called in threads.

        Yields:
            Each source with its logits, float32 `[classes]`, or with the `PhotoError` that `load` raised.

        Raises:
            RunError: if a logit is not a finite number.
        """
        iterator = iter(sources)
        batch = list(islice(iterator, self.batch_size))
        if len(batch) == 1 < self.batch_size:
            # A photo alone, as of a camera: all cores for its pass.
            yield from self._answer(batch, load)
            return
        pending: deque[Future[list[tuple[Source, np.ndarray | PhotoError]]]] = deque()
        # Reading is done on one core, and leaves the others to the passes of the other threads.
        count = min(torch.get_num_threads(), _WORKERS_ON_CPU) if self.device.type == "cpu" else _WORKERS
        with ThreadPoolExecutor(count, "photo") as pool:
            try:
                while True:
                    while len(pending) <= count and (batch := batch or list(islice(iterator, self.batch_size))):
                        pending.append(pool.submit(self._answer, batch, load))
                        batch = []
                    if not pending:
                        return
                    yield from pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()

    def pixel_logits(self, pixels: np.ndarray) -> np.ndarray:
        """Pass photos of the network's own size through the network, without decoding and resizing.

        Args:
            pixels: RGB uint8 `[N, S, S, 3]`, 0–255.

        Returns:
            float32 `[N, classes]`, without test-time augmentation by size.

        Raises:
            RunError: if a logit is not a finite number.
        """
        parts = [pixels[start : start + self.batch_size] for start in range(0, len(pixels), self.batch_size)]
        return np.concatenate([self._batch_logits([part]) for part in parts])

    def _answer(
        self, batch: list[Source], load: Callable[[Source], np.ndarray]
    ) -> list[tuple[Source, np.ndarray | PhotoError]]:
        problems: dict[int, PhotoError] = {}
        good: list[list[np.ndarray]] = []
        for index, source in enumerate(batch):
            try:
                photo = load(source)
                good.append([spec.resize(photo) for spec in self._specs])
            except PhotoError as error:
                problems[index] = error
        rows = iter(self._batch_logits([np.stack(view) for view in zip(*good, strict=True)]) if good else ())
        return [(source, problems[index] if index in problems else next(rows)) for index, source in enumerate(batch)]

    @torch.inference_mode()
    def _batch_logits(self, views: list[np.ndarray]) -> np.ndarray:
        with self._turn:
            return self._mean_logits(views)

    def _mean_logits(self, views: list[np.ndarray]) -> np.ndarray:
        total = sum((self._view_logits(torch.from_numpy(view)) for view in views), torch.zeros((), device=self.device))
        mean: np.ndarray = (total / len(views)).cpu().numpy()
        if not np.isfinite(mean).all():
            raise RunError(
                f"{self.checkpoint.name or 'the network'} answers with what is no number: its weights are damaged. "
                "Take another checkpoint, or train again"
            )
        return mean

    def _view_logits(self, photos: Tensor) -> Tensor:
        # [B, S, S, 3] seen as [B, 3, S, S] is channels_last already.
        images = self.spec.normalise(photos.permute(0, 3, 1, 2).to(self.device))
        precision: AbstractContextManager[object] = (
            torch.autocast(self.device.type, torch.bfloat16) if self._bf16 else nullcontext()
        )
        with precision:
            logits = self.network(images).float()
            if self.tta != "none":
                logits = (logits + self.network(images.flip(3)).float()) / 2
        return torch.as_tensor(logits)


def checkpoint_of(path: str | os.PathLike[str] | None) -> Path:
    """Return the absolute path of a checkpoint: the file itself, a run's best one, or for None as in `open`.

    Raises:
        RunError: if the folder has no best checkpoint.
    """
    if path is None:
        return answering_checkpoint().absolute()
    named = Path(path)
    is_checkpoint = named.is_file() or (named.suffix == ".ckpt" and not named.is_dir())
    return (named if is_checkpoint else project.best_checkpoint(named)).absolute()


def _pixels(photo: PhotoInput) -> np.ndarray:
    if not isinstance(photo, np.ndarray):
        return decode(photo)
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or 0 in photo.shape:
        raise PhotoError(f"found {photo.dtype} {list(photo.shape)}; expected RGB uint8 [H, W, 3], 0–255")
    return photo


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
