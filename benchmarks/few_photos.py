"""Accuracy on folds of a few hundred photos: `fit`, its linear probe, a plain fine-tune and ten lines of scikit-learn.

python benchmarks/few_photos.py --root data/photos
python benchmarks/few_photos.py --root albums --classes "[dribble, layup, shoot]" --subset a_
"""

import csv
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jsonargparse import auto_cli
from recipe_table import PLAIN
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bball_pl import project
from bball_pl.data.datamodule import PhotoDataModule
from bball_pl.data.validation import cross_validation_folds
from bball_pl.errors import exit_on_error
from bball_pl.evaluate.metrics import Share, percentile_interval
from bball_pl.model.classifier import MoveClassifier
from bball_pl.model.fit.trainer import FitTrainer
from bball_pl.model.network import MoveNet, load_weights, spec_for
from bball_pl.photos.decode import decode
from bball_pl.photos.photos_csv import PhotoRecord, write_photos_csv
from bball_pl.photos.tree import Photo


class Setting(NamedTuple):
    """What all methods share: backbone, weights, options of `fit`, a folder for datasets and runs, the classes."""

    backbone: str
    weights: str
    extra: list[str]
    folder: Path
    class_names: list[str]


#: Photos to learn from and photos to answer → probabilities `[N, classes]` of one or more methods by name.
Method = Callable[[Setting, list[Photo], list[Photo]], dict[str, np.ndarray]]


def few_photos(
    root: Path = project.ROOT / "data" / "demo",
    classes: list[str] | None = None,
    folds: int = 5,
    seed: int = 7,
    backbone: str = "tf_efficientnet_lite0",
    weights: str = "pip",
    subset: str = "",
    methods: list[str] | None = None,
    extra: list[str] | None = None,
) -> None:
    """Print a Markdown table: every photo is answered once, by models that have not seen its group.

    Args:
        root: a dataset with `train`, or a folder of class folders.
        classes: class folders; all of them by default.
        folds: number of folds.
        seed: random seed of the folds and of every run.
        backbone: timm name.
        weights: as in `fit`.
        subset: beginning of file names; adds the accuracy on these photos alone.
        methods: some of regression, plain, fit; all of them by default.
        extra: further options of `fit`.
    """
    known: dict[str, Method] = {"regression": _regression, "plain": _plain, "fit": _fit}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = PhotoDataModule(_dataset(root, folder / "all", classes), class_names=classes, cache=False)
        data.prepare_data()
        photos = sorted((p for split in data.photos.values() for p in split), key=lambda photo: photo.relative)
        setting = Setting(backbone, weights, [f"--seed_everything={seed}", *(extra or [])], folder, data.class_names)
        parts = cross_validation_folds(photos, folds, seed)
        answers: dict[str, np.ndarray] = {}
        seconds: dict[str, float] = {}
        for method in methods or list(known):
            started = time.perf_counter()
            for learned, judged in parts:
                train, test = [photos[position] for position in learned], [photos[position] for position in judged]
                for row, probabilities in known[method](setting, train, test).items():
                    empty = np.zeros((len(photos), len(setting.class_names)))
                    answers.setdefault(row, empty)[judged] = probabilities
                    seconds[row] = (time.perf_counter() - started) / len(parts)
                print(f"{method}: {len(judged)} photos answered", file=sys.stderr, flush=True)
    _print(photos, answers, seconds, subset)


def _dataset(root: Path, folder: Path, classes: list[str] | None) -> Path:
    if (root / "train").is_dir():
        return root
    names = classes or sorted(path.name for path in root.iterdir() if path.is_dir())
    (folder / "train").mkdir(parents=True)
    for name in names:
        (folder / "train" / name).symlink_to((root / name).absolute())
    return folder


def _regression(setting: Setting, train: list[Photo], test: list[Photo]) -> dict[str, np.ndarray]:
    """The ten lines: features of photo and mirror image, standardised, C = 0.003, classes weighted."""
    features = [np.stack([_features(setting, photo) for photo in photos]) for photos in (train, test)]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, class_weight="balanced", max_iter=1000))
    model.fit(features[0], [photo.target for photo in train])
    return {"ten lines of scikit-learn": model.predict_proba(features[1])}


_KNOWN: dict[str, np.ndarray] = {}
_NETWORK: list[MoveNet] = []


def _features(setting: Setting, photo: Photo) -> np.ndarray:
    if photo.sha256 not in _KNOWN:
        spec = spec_for(setting.backbone)
        if not _NETWORK:
            _NETWORK.append(MoveNet(setting.backbone, 2, spec.size).eval())
            load_weights(_NETWORK[0], setting.backbone, setting.weights)
        pixels = torch.tensor(spec.resize(decode(photo.path))).permute(2, 0, 1)
        images = spec.normalise(torch.stack([pixels, pixels.flip(2)]))
        with torch.inference_mode():
            _KNOWN[photo.sha256] = _NETWORK[0].features(images).mean(0).double().numpy()
    return _KNOWN[photo.sha256]


def _plain(setting: Setting, train: list[Photo], test: list[Photo]) -> dict[str, np.ndarray]:
    run = _run(setting, train, test, [f"{name}={value}" for name, value in PLAIN.items()])
    return {"plain fine-tune": _predictions(run, test, setting.class_names)}


def _fit(setting: Setting, train: list[Photo], test: list[Photo]) -> dict[str, np.ndarray]:
    run = _run(setting, train, test, [])
    probe = MoveClassifier.from_checkpoint(run / project.CHECKPOINTS / project.PROBE)
    data = PhotoDataModule(setting.folder / "fold", probe.spec, setting.class_names, cache=False)
    data.prepare_data()
    trainer = FitTrainer(logger=False, enable_progress_bar=False, enable_checkpointing=False)
    trainer.test(probe, data, verbose=False)
    # Scenes without a move may have added a class that no photo has.
    columns = [probe.class_names.index(name) for name in setting.class_names]
    probabilities = probe.outcomes["test"].probabilities[:, columns]
    rows = {photo.sha256: row for photo, row in zip(data.photos["test"], probabilities, strict=True)}
    return {
        "its linear probe": np.stack([rows[photo.sha256].numpy() for photo in test]),
        "`fit`": _predictions(run, test, setting.class_names),
    }


def _run(setting: Setting, train: list[Photo], test: list[Photo], options: list[str]) -> Path:
    root, out = setting.folder / "fold", setting.folder / "out"
    for old in (root, out):
        shutil.rmtree(old, ignore_errors=True)
    records = []
    for split, photos in (("train", train), ("test", test)):
        for photo in photos:
            relative = f"{split}/{photo.class_name}/{photo.sha256[:16]}{photo.path.suffix}"
            (root / relative).parent.mkdir(parents=True, exist_ok=True)
            (root / relative).symlink_to(photo.path.absolute())
            records.append(PhotoRecord(path=relative, class_name=photo.class_name, group=photo.group))
    write_photos_csv(root / "photos.csv", records)
    command = [
        *(
            sys.executable,
            str(project.ROOT / "scripts" / "fit.py"),
            "--config",
            str(project.ROOT / "configs/demo.yaml"),
        ),
        *(f"--data.root={root}", f"--data.cache_dir={setting.folder / 'cache'}"),
        f"--data.class_names=[{','.join(setting.class_names)}]",
        *(f"--model.backbone={setting.backbone}", f"--model.weights={setting.weights}", "--pictures=false"),
        *(f"--trainer.default_root_dir={out}", "--trainer.enable_progress_bar=false", *setting.extra, *options),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    for line in (done.stdout + done.stderr).splitlines():
        if "linear probe" in line:
            print(f"  {line}", file=sys.stderr)
    return project.newest_run(out / project.LOGS)


def _predictions(run: Path, test: list[Photo], class_names: list[str]) -> np.ndarray:
    with (run / project.predictions_file("test")).open(newline="", encoding="utf-8") as file:
        rows = {Path(row["path"]).stem: row for row in csv.DictReader(file)}
    return np.array([[float(rows[p.sha256[:16]][f"prob_{name}"]) for name in class_names] for p in test])


def _print(photos: list[Photo], answers: dict[str, np.ndarray], seconds: dict[str, float], subset: str) -> None:
    targets = np.array([photo.target for photo in photos])
    chosen = np.array([photo.path.name.startswith(subset) for photo in photos])
    columns = ["", "accuracy (Wilson 95 %)", "balanced (bootstrap 95 %)", "NLL", "s per fold"]
    if subset:
        columns[3:3] = [f"`{subset}` alone: accuracy", "balanced"]
    print("| " + " | ".join(columns) + " |\n|---|" + "---:|" * (len(columns) - 1))
    for name, probabilities in answers.items():
        right = probabilities.argmax(1) == targets
        low, high = Share(int(right.sum()), len(right)).interval
        generator = np.random.default_rng(0)
        draws = [generator.integers(0, len(right), len(right)) for _ in range(2000)]
        spread = percentile_interval(np.array([_balanced(right[rows], targets[rows]) for rows in draws])) or [0.0, 1.0]
        loss = -np.log(np.maximum(probabilities[np.arange(len(right)), targets], 1e-12)).mean()
        cells = [
            f"{right.mean():.3f} ({low:.3f}–{high:.3f})",
            f"{_balanced(right, targets):.3f} ({spread[0]:.3f}–{spread[1]:.3f})",
            f"{loss:.3f}",
            f"{seconds[name]:.0f}",
        ]
        if subset:
            cells[2:2] = [f"{right[chosen].mean():.3f}", f"{_balanced(right[chosen], targets[chosen]):.3f}"]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def _balanced(right: np.ndarray, targets: np.ndarray) -> float:
    return float(np.mean([right[targets == target].mean() for target in np.unique(targets)]))


if __name__ == "__main__":
    with exit_on_error():
        auto_cli(few_photos)
