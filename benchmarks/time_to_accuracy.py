"""Accuracy on test photos over the seconds of training: this project, the recipe of 2018 and timm's own train.py.

git clone https://github.com/huggingface/pytorch-image-models
python benchmarks/time_to_accuracy.py --root data/demo --timm pytorch-image-models/train.py

All train the same backbone from the same weights on the same photos, in turns, each in a process of its own; the clock
runs from the start of that process, and what it validates by itself is in it. Keras is not among them: it has no
tf_efficientnet_lite0, and another network would say nothing about the recipe (`train_speed.py` compares the steps).
"""

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from jsonargparse import auto_cli

from bball_pl import project
from bball_pl.data.datamodule import PhotoDataModule
from bball_pl.errors import exit_on_error
from bball_pl.model.checkpoint import read_checkpoint
from bball_pl.model.classifier import MoveClassifier
from bball_pl.model.fit.trainer import FitTrainer

#: Seconds between two looks at the files of a run.
_INTERVAL = 0.5


@dataclass(frozen=True)
class Point:
    """A network that exists some time after the start.

    Attributes:
        seconds: since the start of the process.
        accuracy: on the test photos, 0-1.
        name: what it is, such as an epoch.
    """

    seconds: float
    accuracy: float
    name: str


def time_to_accuracy(
    root: Path = project.ROOT / "data" / "demo",
    timm: Path | None = None,
    image_size: int = 224,
    epochs: int = 8,
    weights: str = "court",
    imagenet_epochs: int = 0,
    out: Path = project.ROOT / "exports" / "time_to_accuracy.png",
) -> None:
    """Train in each way, print the points, and draw them.

    Args:
        root: dataset with the splits train and test.
        timm: timm's train.py, from its repository; without it that curve is left out.
        image_size: side of the input in pixels, for all.
        epochs: epochs of the other two; this project has those of its demo settings.
        weights: court or pip, the start of all.
        imagenet_epochs: epochs of one more curve, the recipe of 2018 from ImageNet's weights, where it started in 2018.
        out: the picture; the points lie beside it as .json.
    """
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        options = [f"--data.root={root}", f"--model.weights={weights}", "--pictures=false"]
        ours = [*options, "--config=demo", f"--model.image_size=[{image_size}]"]
        seed = [*options, "--config=seed_2018", "--model.backbone=tf_efficientnet_lite0", "--data.batch_size=16"]
        seed += [f"--model.image_size={image_size}", "--trainer.precision=32-true"]
        curves = {
            "bball_pl": _fit(ours, root, home / "ours"),
            "the recipe of 2018": _fit([*seed, f"--trainer.max_epochs={epochs}"], root, home / "seed"),
        }
        if imagenet_epochs:
            more = [*seed, "--model.weights=pip", f"--trainer.max_epochs={imagenet_epochs}"]
            curves["the recipe of 2018 from ImageNet's weights"] = _fit(more, root, home / "imagenet")
        if timm is not None:
            curves["timm's train.py"] = _timm(timm, root, image_size, epochs, weights, home / "timm")
    out.parent.mkdir(parents=True, exist_ok=True)
    points = {name: [asdict(point) for point in curve] for name, curve in curves.items()}
    out.with_suffix(".json").write_text(json.dumps(points, indent=1), encoding="utf-8")
    for name, curve in curves.items():
        print(f"\n| {name} | seconds | test accuracy |\n|---|---:|---:|")
        for point in curve:
            print(f"| {point.name} | {point.seconds:.0f} | {point.accuracy:.1%} |", flush=True)
    _draw(curves, out)


def _fit(options: Sequence[str], root: Path, folder: Path) -> list[Point]:
    """Run `bball fit`, copy each checkpoint as it appears, and test the copies afterwards."""
    copies = folder / "copies"
    copies.mkdir(parents=True)
    found: dict[tuple[str, int], tuple[float, Path]] = {}

    def look(seconds: float) -> None:
        for name in (project.PROBE, project.LAST):
            for path in folder.glob(f"lightning_logs/*/version_0/checkpoints/{name}"):
                key = (name, path.stat().st_mtime_ns)
                if key not in found:
                    found[key] = seconds, Path(shutil.copy(path, copies / f"{len(found)}-{name}"))

    command = [sys.executable, "-m", "bball_pl", "fit", *options, f"--trainer.default_root_dir={folder}"]
    total = _watched(command, look, folder / "log")
    points = []
    for (name, _), (seconds, path) in found.items():
        step = read_checkpoint(path)["global_step"]
        if name == project.PROBE or step:  # last.ckpt of the start is the probe's network
            points.append(Point(seconds, _accuracy(path, root), "probe" if name == project.PROBE else f"step {step}"))
    (best,) = folder.glob(f"lightning_logs/*/version_0/checkpoints/{project.BEST}")
    return [*points, Point(total, _accuracy(best, root), "best.ckpt, after the test")]


def _accuracy(checkpoint: Path, root: Path) -> float:
    classifier = MoveClassifier.from_checkpoint(checkpoint)
    data = PhotoDataModule(root, classifier.spec, court=0)
    trainer = FitTrainer(logger=False, enable_progress_bar=False, enable_checkpointing=False, precision="32-true")
    trainer.test(classifier, data, verbose=False)
    return float(classifier.outcomes["test"].correct.float().mean())


def _timm(script: Path, root: Path, image_size: int, epochs: int, weights: str, folder: Path) -> list[Point]:
    """Run timm's script with AdamW, light augmentation and the batch of the demo settings; it tests each epoch."""
    folder.mkdir(parents=True)
    classifier = MoveClassifier(["a", "b", "c"], "tf_efficientnet_lite0", weights)
    # The script takes a head of another size away by itself.
    torch.save(
        classifier.network.net.state_dict() | {"classifier.weight": torch.zeros(1000, 1280)}, folder / "start.pth"
    )
    classes = len([path for path in (root / "train").iterdir() if path.is_dir()])
    command = [
        sys.executable, str(script), "--data-dir", str(root), "--train-split", "train", "--val-split", "test",
        "--model", "tf_efficientnet_lite0", "--pretrained", "--pretrained-path", str(folder / "start.pth"),
        "--num-classes", str(classes), "--img-size", str(image_size), "--batch-size", "16", "--device", "cpu",
        "--no-prefetcher", "--channels-last", "--workers", "1", "--opt", "adamw", "--lr", "5e-4",
        "--weight-decay", "0.05", "--sched", "cosine", "--warmup-epochs", "1", "--epochs", str(epochs),
        "--clip-grad", "1", "--scale", "0.6", "1", "--color-jitter", "0.2", "--smoothing", "0.1",
        "--output", str(folder), "--experiment", "run",
    ]  # fmt: skip
    summary = folder / "run" / "summary.csv"
    times: list[float] = []

    def look(seconds: float) -> None:
        rows = len(summary.read_text(encoding="utf-8").splitlines()) - 1 if summary.is_file() else 0
        times.extend([seconds] * (rows - len(times)))

    _watched(command, look, folder / "log")
    rows = csv.DictReader(summary.read_text(encoding="utf-8").splitlines())
    return [
        Point(seconds, float(row["eval_top1"]) / 100, f"epoch {int(row['epoch']) + 1}")
        for seconds, row in zip(times, rows, strict=True)
    ]


def _watched(command: Sequence[str], look: Callable[[float], None], log: Path) -> float:
    """Run a command, look at its files twice a second, and return the seconds that it took."""
    started = time.perf_counter()
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=os.environ | {"COLUMNS": "100"})
        while process.poll() is None:
            look(time.perf_counter() - started)
            time.sleep(_INTERVAL)
    total = time.perf_counter() - started
    look(total)
    if process.returncode:
        sys.exit(f"{' '.join(command)}\n{log.read_text(encoding='utf-8')[-3000:]}")
    return total


def _draw(curves: dict[str, list[Point]], out: Path) -> None:
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for name, curve in curves.items():
        axes.plot(
            [point.seconds / 60 for point in curve], [100 * point.accuracy for point in curve], marker="o", label=name
        )
    axes.set(xlabel="minutes from the start of the command", ylabel="right of the test photos, %")
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(out, dpi=150)


if __name__ == "__main__":
    with exit_on_error():
        auto_cli(time_to_accuracy)
