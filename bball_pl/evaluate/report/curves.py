"""Learning curves of a run, read from its TensorBoard event files."""

from __future__ import annotations

import filecmp
import math
import os
import struct
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[import-untyped]

from bball_pl import project

#: Records of more bytes hold pictures; a scalar takes about 50.
_LARGEST = 1 << 16
_TAGS = ("train/loss_epoch", "train/acc", "val/loss", "val/acc", "gap/loss", "gap/acc")


@dataclass(frozen=True)
class Curve:
    """A figure by epoch.

    Attributes:
        epochs: K numbers, counted from 1, rising.
        values: K values.
    """

    epochs: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def at(self, epoch: int) -> float | None:
        """Return the value at an epoch, or None if there is none."""
        index = bisect_left(self.epochs, epoch)
        return self.values[index] if index < len(self.epochs) and self.epochs[index] == epoch else None

    def __len__(self) -> int:
        return len(self.epochs)


@dataclass(frozen=True)
class LearningCurves:
    """Learning curves of a run, and the epoch of its evaluated checkpoint.

    Attributes:
        curves: by the tags `train/loss_epoch`, `train/acc`, `val/loss`, `val/acc`, `gap/loss` and `gap/acc`; a gap is
            training photos minus validation photos, both without augmentation.
        probe_loss: validation loss of the linear probe, in nats; None without a probe.
        probe_acc: validation accuracy of the linear probe, 0–1; None without a probe.
        kept: kind of the evaluated checkpoint: `epoch`, `probe`, or empty if unknown.
        kept_epoch: epoch of the checkpoint, counted from 1; None unless `kept` is `epoch`.
    """

    curves: dict[str, Curve]
    probe_loss: float | None
    probe_acc: float | None
    kept: str
    kept_epoch: int | None

    @property
    def last_epoch(self) -> int:
        """Last epoch of any curve, counted from 1; 0 without curves."""
        return max((curve.epochs[-1] for curve in self.curves.values() if len(curve)), default=0)


def read_curves(run: str | os.PathLike[str], checkpoint: Path) -> LearningCurves | None:
    """Read the curves of a run, resumed or not; None if its event files hold none.

    TensorBoard's EventAccumulator verifies the checksums of all pictures in Python, which takes a second for every
    6 MB: a minute for a long run. This reads the scalars and skips the pictures.

    Args:
        run: folder of the run.
        checkpoint: the evaluated file.
    """
    found = [scalar for path in sorted(Path(run).glob("events.out.tfevents.*")) for scalar in _scalars(path)]
    # By time: an epoch repeated by a resumed run replaces that of the interrupted one.
    found.sort(key=lambda scalar: scalar[1])
    epochs = {step: int(value) + 1 for tag, _, step, value in found if tag == "epoch"}
    curves = {tag: _curve([(step, value) for name, _, step, value in found if name == tag], epochs) for tag in _TAGS}
    if not any(len(curve) for curve in curves.values()):
        return None
    probe = {tag: value for tag, _, _, value in found if tag.startswith("probe/")}
    kept, epoch = _kept(checkpoint, curves["val/loss"])
    return LearningCurves(curves, probe.get("probe/loss"), probe.get("probe/acc"), kept, epoch)


def _scalars(path: Path) -> Iterator[tuple[str, float, int, float]]:
    """Yield tag, time, step and value of the scalars of a file, up to the first damaged record."""
    with path.open("rb") as file:
        for record in _records(file, path.stat().st_size):
            try:
                event = Event.FromString(record)
            except DecodeError:
                return
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    yield value.tag, event.wall_time, event.step, value.simple_value


def _records(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield the small records: eight bytes of length, four of checksum, the record, four of checksum."""
    while len(head := file.read(12)) == 12:
        length = struct.unpack("<Q", head[:8])[0]
        if file.tell() + length + 4 > size:
            return
        if length <= _LARGEST:
            yield file.read(length)
            file.seek(4, os.SEEK_CUR)
        else:
            file.seek(length + 4, os.SEEK_CUR)


def _curve(points: Sequence[tuple[int, float]], epochs: dict[int, int]) -> Curve:
    curve = Curve()
    for number, (step, value) in enumerate(points, start=1):
        epoch = epochs.get(step, number)
        while curve.epochs and curve.epochs[-1] >= epoch:
            curve.epochs.pop()
            curve.values.pop()
        curve.epochs.append(epoch)
        curve.values.append(value)
    return curve


def _kept(checkpoint: Path, val_loss: Curve) -> tuple[str, int | None]:
    probe = checkpoint.with_name(project.PROBE)
    if checkpoint.name == project.LAST and len(val_loss):
        return "epoch", val_loss.epochs[-1]
    if checkpoint.name not in {project.BEST, project.PROBE}:
        return "", None
    # If no epoch beats the probe, the best checkpoint is a copy of it.
    if probe.is_file() and checkpoint.is_file() and filecmp.cmp(probe, checkpoint, shallow=False):
        return "probe", None
    finite = [pair for pair in zip(val_loss.values, val_loss.epochs, strict=True) if math.isfinite(pair[0])]
    return ("epoch", min(finite)[1]) if finite else ("", None)
