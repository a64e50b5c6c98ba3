"""What of the teaching court carries over to real photos: small pretraining runs, each measured without a real photo.

python benchmarks/court_ablation.py --photos data/real                          # every row that is not there yet
python benchmarks/court_ablation.py --photos data/real --rows "[teaching_1k]"
python benchmarks/court_ablation.py --photos data/real --checkpoints "[court]"  # only look at checkpoints

The photos are folders shoot, dribble, layup and none, or a folder test of them. They measure; nothing is trained on
them but the regressions of the last columns, in folds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jsonargparse import auto_cli
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bball_pl import project
from bball_pl.court.demo_dataset import write_demo
from bball_pl.errors import ConfigError, exit_on_error
from bball_pl.evaluate.metrics import Share
from bball_pl.files import write_text
from bball_pl.model.classifier import MoveClassifier
from bball_pl.model.court_weights import court_checkpoint
from bball_pl.moves import MOVES
from bball_pl.photos.decode import decode

NAMES = tuple(move.name for move in MOVES)
SEED = 7


@dataclass(frozen=True)
class Row:
    """A small pretraining run.

    Attributes:
        says: how it differs from the first row of the teaching court.
        court: which court renders the scenes.
        scenes: number of them.
        options: Options of fit, beside --config pretrain.
    """

    says: str
    court: str = "teaching"
    scenes: int = 1000
    options: tuple[str, ...] = ()


#: The common ground is 1,000 scenes at 160 px, four epochs, a third of the layers frozen, heavy augmentation.
_BASE = ("--model.image_size", "160", "--trainer.max_epochs", "4")
_DEMO = ("--data.class_names", "[shoot,dribble,layup]")
ROWS: dict[str, Row] = {
    "demo_1k": Row("framing of the demo court, no class none", "demo", 1000, (*_BASE, *_DEMO)),
    "teaching_1k": Row("1,000 scenes of the teaching court", options=_BASE),
    "teaching_3k": Row("3,000 scenes", scenes=3000, options=_BASE),
    "teaching_10k": Row("10,000 scenes", scenes=10_000, options=_BASE),
    "light": Row("light augmentation", options=(*_BASE, "--data.augment", "light")),
    "none": Row("no augmentation", options=(*_BASE, "--data.augment", "none")),
    "all_layers": Row("no layer frozen", options=(*_BASE, "--model.frozen", "0")),
    "frozen_half": Row("half of the layers frozen", options=(*_BASE, "--model.frozen", "0.5")),
    "pixels_224": Row("224 px", options=("--model.image_size", "224", "--trainer.max_epochs", "4")),
    "pixels_288": Row("288 px", options=("--model.image_size", "288", "--trainer.max_epochs", "4")),
    "epochs_8": Row("eight epochs", options=("--model.image_size", "160", "--trainer.max_epochs", "8")),
    "head": Row("the head alone: features stay ImageNet's", options=(*_BASE, "--model.layer_decay", "0.001")),
}


@dataclass(frozen=True)
class Photos:
    """Real photos.

    Attributes:
        images: RGB uint8, `[H, W, 3]` each.
        classes: class name of each.
        names: file name of each.
    """

    images: list[np.ndarray]
    classes: np.ndarray
    names: list[str]


def load(root: Path) -> Photos:
    """Read a folder of class folders.

    Raises:
        ConfigError: if there is no photo of a move in it.
    """
    base = root / "test" if (root / "test").is_dir() else root
    found = [(name, path) for name in (*NAMES, "none") for path in sorted((base / name).glob("*")) if path.is_file()]
    if not any(name in NAMES for name, _ in found):
        raise ConfigError(f"--photos {root}: expected folders {', '.join(NAMES)} and none with photos")
    images = [decode(path) for _, path in found]
    return Photos(images, np.array([name for name, _ in found]), [path.name for _, path in found])


@torch.inference_mode()
def answers(classifier: MoveClassifier, photos: Photos, flip: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities `[N, classes]` and features `[N, F]`, averaged over the photo and its mirror if `flip`."""
    probabilities, features = [], []
    spec = classifier.spec
    for start in range(0, len(photos.images), 32):
        batch = np.stack([spec.resize(image) for image in photos.images[start : start + 32]])
        images = spec.normalise(torch.from_numpy(batch).permute(0, 3, 1, 2))
        views = (images, images.flip(3)) if flip else (images,)
        seen = [classifier.network.features(view) for view in views]
        head = classifier.network.head
        probabilities.append(torch.stack([head(part).softmax(1) for part in seen]).mean(0))
        features.append(torch.stack(seen).mean(0))
    return torch.cat(probabilities).numpy(), torch.cat(features).numpy()


def figures(classifier: MoveClassifier, photos: Photos, flip: bool = True, marked: str = "a_") -> dict[str, float]:
    """Return what a classifier gets right without having seen a real photo; regressions on its features besides.

    Args:
        classifier: with the three moves among its classes.
        photos: real ones.
        flip: averages the answers to a photo and its mirror image.
        marked: prefix of the file names of one source, which is reported alone as well.
    """
    probabilities, features = answers(classifier, photos, flip)
    columns = [classifier.class_names.index(name) for name in NAMES]
    moves = probabilities[:, columns]
    of_move = photos.classes != "none"
    # Of the three moves: whether it is one at all is the other question.
    predicted = np.array(NAMES)[moves.argmax(1)]
    right = predicted == photos.classes
    # As predict answers: "none" is an answer as well, and wrong for a move.
    answered = np.array(classifier.class_names)[probabilities.argmax(1)]
    one = of_move & np.array([name.startswith(marked) for name in photos.names])
    result: dict[str, float] = {}
    for label, chosen in (("all", of_move), (marked.strip("_"), one)):
        if chosen.any():
            number, hits = int(chosen.sum()), int(right[chosen].sum())
            low, high = Share(hits, number).interval
            result |= {
                f"{label}_n": number, f"{label}_accuracy": hits / number, f"{label}_low": low, f"{label}_high": high,
                f"{label}_balanced": float(balanced_accuracy_score(photos.classes[chosen], predicted[chosen])),
                f"{label}_answered": float(np.mean(answered[chosen] == photos.classes[chosen])),
                f"{label}_answered_balanced": float(
                    np.mean([np.mean(answered[chosen & (photos.classes == name)] == name) for name in NAMES])
                ),
            }  # fmt: skip
    if (~of_move).any():
        confidence = moves.max(1)
        result["auroc"] = float(roc_auc_score(of_move, confidence))
        result["none_sure"] = float(np.mean(confidence[~of_move] >= 0.9))
        result["moves_sure"] = float(np.mean(confidence[of_move] >= 0.9))
    result |= regression(features[of_move], photos.classes[of_move])
    return result


def regression(features: np.ndarray, classes: np.ndarray, strength: float = 0.003) -> dict[str, float]:
    """Return accuracy and balanced accuracy of a logistic regression on features in five stratified folds."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, class_weight="balanced", max_iter=500))
    folds = StratifiedKFold(5, shuffle=True, random_state=SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        predicted = cross_val_predict(model, features, classes, cv=folds)
    return {
        "probe_accuracy": float(np.mean(predicted == classes)),
        "probe_balanced": float(balanced_accuracy_score(classes, predicted)),
    }


def interpolated(start: MoveClassifier, end: MoveClassifier, share: float) -> MoveClassifier:
    """Change `end` into the mean of both networks' weights, `share` (0–1) of it its own (WiSE-FT, 2109.01903)."""
    first, last = start.state_dict(), end.state_dict()
    mixed = {
        name: torch.lerp(first[name], value, share) if value.is_floating_point() else value
        for name, value in last.items()
    }
    end.load_state_dict(mixed)
    return end


def line(says: str, got: dict[str, float]) -> str:
    """Return a row of the Markdown table."""

    def pair(first: str, second: str) -> str:
        return f"{got[first]:.2f} / {got[second]:.2f}" if first in got else "–"

    interval = f" ({got['all_low']:.2f}–{got['all_high']:.2f})" if "all_low" in got else ""
    rest = f"{got['auroc']:.2f} | {100 * got['none_sure']:.0f} %" if "auroc" in got else "– | –"
    return (
        f"| {says} | {pair('all_accuracy', 'all_balanced')}{interval} | {pair('a_accuracy', 'a_balanced')} "
        f"| {pair('all_answered', 'all_answered_balanced')} | {rest} | "
        f"{pair('probe_accuracy', 'probe_balanced')} |"
    )


HEADER = (
    "| | accuracy / balanced, all (95 % interval) | source a alone | none counted as wrong | AUROC moves against none "
    "| none answered with ≥ 0.9 | regression on features, 5 folds |\n|---|---|---|---|---|---|---|"
)


def train(name: str, row: Row, folder: Path) -> Path:
    """Render a row's scenes, run fit on them, return the run; what is there already is taken as it is."""
    logs = project.ROOT / project.LOGS / f"ablation_{name}"
    done = [path.parent for path in sorted(logs.glob(f"version_*/{project.METRICS}"))]
    if done:
        return done[-1]
    scenes = folder / f"{row.court}_{row.scenes}"
    write_demo(scenes, row.scenes, max(60, row.scenes // 20), SEED, court=row.court)
    command = [
        sys.executable, "-m", "bball_pl", "fit", "--config", "pretrain", "--name", f"ablation_{name}",
        "--data.root", str(scenes),
        "--seed_everything", str(SEED), "--pictures", "false", *row.options,
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return project.newest_run(project.ROOT / project.LOGS)


def court_ablation(
    photos: Path,
    rows: list[str] | None = None,
    checkpoints: list[str] | None = None,
    folder: Path = project.ROOT / "data" / "ablation",
    out: Path = project.ROOT / "exports" / "court_ablation.json",
    flip: bool = True,
    mix: list[float] | None = None,
) -> None:
    """Print a Markdown table: how well networks that saw rendered scenes only answer real photos.

    Args:
        photos: folder with shoot, dribble, layup and none.
        rows: names of the runs to make or to look at; all unless given.
        checkpoints: looks at these instead: files, or court for the shipped weights.
        folder: where the scenes are rendered.
        out: the figures as JSON, added to those that are there.
        flip: averages the answers to a photo and its mirror image.
        mix: also looks at means of the probe's weights and the trained ones, with these shares of the latter.
    """
    real = load(photos)
    kept: dict[str, dict[str, float]] = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}
    print(HEADER, flush=True)
    if checkpoints is not None:
        for name in checkpoints:
            path = court_checkpoint() if name == "court" else Path(name)
            print(line(name, figures(MoveClassifier.from_checkpoint(path), real, flip)), flush=True)
        return
    for name in rows or list(ROWS):
        if name not in ROWS:
            raise ConfigError(f"--rows {name}: expected some of {', '.join(ROWS)}")
        run = train(name, ROWS[name], folder)
        network = MoveClassifier.from_checkpoint(project.best_checkpoint(run))
        kept[name] = figures(network, real, flip)
        print(line(ROWS[name].says, kept[name]), flush=True)
        for share in mix or []:
            start = MoveClassifier.from_checkpoint(run / project.CHECKPOINTS / project.PROBE)
            end = MoveClassifier.from_checkpoint(project.best_checkpoint(run))
            kept[f"{name}_mix_{share}"] = got = figures(interpolated(start, end, share), real, flip)
            print(line(f"{ROWS[name].says}, {share:.0%} of the trained weights", got), flush=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        write_text(out, json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    with exit_on_error():
        auto_cli(court_ablation, as_positional=False)
