"""Accuracy of the linear probe, the default recipe and a plain fine-tune on a dataset and on subsets of it.

python benchmarks/recipe_table.py --root data/demo --sizes "[60, 250, 900]"
python benchmarks/recipe_table.py --root data/photos --image_size 224
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from jsonargparse import auto_cli

from bball_pl import project
from bball_pl.data.datamodule import PhotoDataModule
from bball_pl.errors import exit_on_error
from bball_pl.model.classifier import MoveClassifier
from bball_pl.model.fit.trainer import FitTrainer
from bball_pl.photos.photos_csv import PhotoRecord, write_photos_csv
from bball_pl.photos.tree import Photo

#: What a tutorial does: a random head, one learning rate, batch statistics.
PLAIN = {
    "--model.probe": "false",
    "--model.answer_size": "null",
    "--model.layer_decay": "1",
    "--model.batch_norm": "train",
    "--model.dropout": "0",
    "--model.label_smoothing": "0",
    "--model.weight_decay": "0",
    "--model.ema_decay": "0",
}


def recipe_table(
    root: Path = project.ROOT / "data" / "demo",
    sizes: list[int] | None = None,
    image_size: int = 160,
    seeds: list[int] | None = None,
    extra: list[str] | None = None,
) -> None:
    """Print a Markdown table of test accuracy for each number of training photos.

    Args:
        root: the dataset.
        sizes: numbers of training photos, spread evenly over the dataset's own; none takes all.
        image_size: side of the network's input in pixels.
        seeds: one run each; the table has their mean.
        extra: further arguments for scripts/fit.py, the same for every run.
    """
    data = PhotoDataModule(root)
    data.prepare_data()
    train = sorted(data.photos["train"] + data.photos["val"], key=lambda photo: photo.relative)
    print("| training photos | linear probe | fine-tuned from it (what is kept) | plain fine-tune |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes or [len(train)]:
            subset = _subset(train, data.photos["test"], size, Path(folder) / str(size))
            rows = [_compare(subset, image_size, seed, extra or [], Path(folder)) for seed in seeds or [7]]
            means = [sum(column) / len(column) for column in zip(*rows, strict=True)]
            print(f"| {size} | " + " | ".join(f"{value:.1%}" for value in means) + " |", flush=True)


def _subset(train: list[Photo], test: list[Photo], size: int, folder: Path) -> Path:
    # Evenly over classes and games, as a smaller album of the same league would be.
    by_class = {name: [photo for photo in train if photo.class_name == name] for name in {p.class_name for p in train}}
    records = []
    for name, photos in by_class.items():
        number = min(len(photos), round(size / len(by_class)))
        chosen = [photos[round(place * len(photos) / number)] for place in range(number)]
        for photo in chosen + [photo for photo in test if photo.class_name == name]:
            target = folder / photo.relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(photo.path, target)
            if photo.group:
                records.append(PhotoRecord(path=photo.relative, class_name=name, group=photo.group))
    if records:
        write_photos_csv(folder / "photos.csv", records)
    return folder


def _compare(root: Path, image_size: int, seed: int, extra: list[str], folder: Path) -> tuple[float, float, float]:
    options = [f"--data.root={root}", f"--model.image_size={image_size}", f"--seed_everything={seed}", *extra]
    ours = _fit(options, folder / "ours")
    plain = _fit([*options, *(f"{name}={value}" for name, value in PLAIN.items())], folder / "plain")
    return _probe_accuracy(ours, root), _accuracy(ours), _accuracy(plain)


def _fit(options: list[str], folder: Path) -> Path:
    script, config = project.ROOT / "scripts" / "fit.py", project.ROOT / "configs" / "demo.yaml"
    quiet = ["--pictures=false", "--trainer.enable_progress_bar=false", f"--trainer.default_root_dir={folder}"]
    command = [sys.executable, str(script), f"--config={config}", *quiet, *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return project.newest_run(folder / project.LOGS)


def _accuracy(run: Path) -> float:
    return float(json.loads((run / project.METRICS).read_text(encoding="utf-8"))["accuracy"])


def _probe_accuracy(run: Path, root: Path) -> float:
    probe = MoveClassifier.from_checkpoint(run / project.CHECKPOINTS / project.PROBE)
    data = PhotoDataModule(root, probe.spec)
    data.prepare_data()
    trainer = FitTrainer(logger=False, enable_progress_bar=False, enable_checkpointing=False)
    trainer.test(probe, data, verbose=False)
    return float(probe.outcomes["test"].correct.float().mean())


if __name__ == "__main__":
    with exit_on_error():
        auto_cli(recipe_table)
