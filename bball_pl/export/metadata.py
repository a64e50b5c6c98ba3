"""Metadata and interface of an exported file: origin, preprocessing, figures, feature names and labels."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bball_pl import __version__, project
from bball_pl.errors import ConfigError
from bball_pl.evaluate.calibration import Calibration, file_sha256
from bball_pl.model.outcomes import read_checkpoint
from bball_pl.moves import MOVES, display_name
from bball_pl.photos.preprocess import PreprocessSpec

InterfaceName = Literal["default", "seed_2018"]
Labels = Literal["name", "bilingual"]


@dataclass(frozen=True)
class Interface:
    """Names of the features and labels of an exported classifier.

    Attributes:
        image: name of the input.
        label: name of the output with the most probable label.
        probabilities: name of the output with a probability for each label.
        labels: one for each class, in the order of the network's outputs.
    """

    image: str
    label: str
    probabilities: str
    labels: list[str]


def interface_for(class_names: Sequence[str], name: InterfaceName = "default", labels: Labels = "name") -> Interface:
    """Return an interface by its name.

    Args:
        class_names: in the order of the network's outputs.
        name: `default`, or `seed_2018` for the app of 2018, which takes the new file unchanged.
        labels: `name` (shoot) or `bilingual` (shoot 投籃); the app of 2018 has its own (投籃(shoot)).

    Raises:
        ConfigError: if `seed_2018` is asked of other classes than the three moves, or two labels would be the same.
    """
    if name == "seed_2018":
        chinese = {move.name: move.chinese for move in MOVES}
        if set(class_names) != set(chinese):
            raise ConfigError(
                f"--interface seed_2018 is for {', '.join(chinese)}; this model has {', '.join(class_names)}. "
                "Leave it out."
            )
        texts = [f"{chinese[class_name]}({class_name})" for class_name in class_names]
        return Interface("image", "classLabel", "BasketballBConfidence", texts)
    texts = [display_name(class_name) if labels == "bilingual" else class_name for class_name in class_names]
    if len(set(texts)) < len(texts):
        # Core ML takes such a list, and its dictionary of probabilities then has a label less.
        raise ConfigError(f"two classes have the same label ({', '.join(texts)}). Rename a class folder and fit again.")
    return Interface("image", "classLabel", "probabilities", texts)


#: Core ML's names of the fit policies (`VNImageCropAndScaleOption`).
CROP_POLICY = {"squash": "scaleFill", "crop": "centerCrop", "pad": "scaleFit"}


@dataclass(frozen=True)
class About:
    """Facts of a trained model that every exported file carries.

    Attributes:
        author: who trained it.
        licence: under which it may be used.
        description: one sentence.
        class_names: in the order of the network's outputs.
        spec: how a photo becomes the input.
        backbone: timm's name.
        temperature: by which the logits are divided.
        threshold: confidence from which on an answer is given; None if there is no calibration, or none suffices.
        trained: date of the checkpoint, ISO 8601.
        dataset_sha256: of the photos' names, classes and contents; empty if not recorded.
        test: figures of the test split as in metrics.json, or None if there are none for this checkpoint.
        checkpoint_sha256: of the file.
    """

    author: str
    licence: str
    description: str
    class_names: list[str]
    spec: PreprocessSpec
    backbone: str
    temperature: float
    threshold: float | None
    trained: str
    dataset_sha256: str
    test: dict[str, Any] | None
    checkpoint_sha256: str

    @property
    def test_accuracy(self) -> str:
        """The accuracy on test photos as text, with its interval."""
        if self.test is None:
            return "not measured"
        low, high = self.test["accuracy_ci95"]
        return f"{self.test['accuracy']:.1%} (95 % interval {low:.1%}–{high:.1%}) of {self.test['n']} photos"

    def user_defined(self) -> dict[str, str]:
        """Return the facts as the text fields of a Core ML or ONNX file."""
        return {
            "bball_pl.version": __version__,
            "bball_pl.classes": json.dumps(self.class_names, ensure_ascii=False),
            "bball_pl.preprocess": json.dumps(self.spec.to_dict()),
            "bball_pl.fit": self.spec.fit,
            "bball_pl.crop_policy": CROP_POLICY[self.spec.fit],
            "bball_pl.backbone": self.backbone,
            "bball_pl.temperature": repr(self.temperature),
            "bball_pl.threshold": "" if self.threshold is None else repr(self.threshold),
            "bball_pl.trained": self.trained,
            "bball_pl.dataset_sha256": self.dataset_sha256,
            "bball_pl.test_accuracy": self.test_accuracy,
            "bball_pl.checkpoint_sha256": self.checkpoint_sha256,
        }


def about_checkpoint(
    checkpoint: Path, calibration: Calibration | None, author: str, licence: str, description: str
) -> About:
    """Gather what is known of a checkpoint.

    Args:
        checkpoint: the file.
        calibration: of this checkpoint.
        author: who trained it.
        licence: under which it may be used.
        description: one sentence.

    Raises:
        RunError: if the checkpoint cannot be read.
    """
    saved = read_checkpoint(checkpoint)["bball_pl"]
    modified = datetime.datetime.fromtimestamp(checkpoint.stat().st_mtime, datetime.UTC).date().isoformat()
    return About(
        author=author,
        licence=licence,
        description=description,
        class_names=list(saved["class_names"]),
        spec=PreprocessSpec.from_dict(saved["spec"]),
        backbone=saved["backbone"],
        temperature=calibration.temperature if calibration is not None else 1.0,
        threshold=calibration.threshold if calibration is not None else None,
        trained=saved.get("created", modified),
        dataset_sha256=saved.get("data", {}).get("sha256", ""),
        test=_test_figures(checkpoint),
        checkpoint_sha256=file_sha256(checkpoint),
    )


def _test_figures(checkpoint: Path) -> dict[str, Any] | None:
    # The figures in a run's folder are those of its best checkpoint.
    run = project.run_of_checkpoint(checkpoint)
    if run is None or checkpoint.name != project.BEST or not (run / project.METRICS).is_file():
        return None
    metrics: dict[str, Any] = json.loads((run / project.METRICS).read_text(encoding="utf-8"))
    return metrics if metrics.get("split") == "test" else None
