"""Metadata and interface of an exported file: origin, preprocessing, figures, feature names and labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bball_pl import __version__, project
from bball_pl.errors import ConfigError
from bball_pl.evaluate.metrics import interval_words
from bball_pl.export.options import InterfaceName, Labels
from bball_pl.moves import MOVES, display_name
from bball_pl.photos.preprocess import PreprocessSpec

if TYPE_CHECKING:
    from bball_pl.evaluate.trained_model import TrainedModel


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
        labels: `name` (shoot) or `bilingual` (shoot 投籃); `seed_2018` has labels such as 投籃(shoot).

    Raises:
        ConfigError: if the classes are not the three moves for `seed_2018`, or two labels would be the same.
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
        # Core ML accepts equal labels, but its dictionary of probabilities then lacks one.
        raise ConfigError(f"two classes have the same label ({', '.join(texts)}). Rename a class folder and fit again.")
    return Interface("image", "classLabel", "probabilities", texts)


#: Core ML's names of the fit policies (`VNImageCropAndScaleOption`).
CROP_POLICY = {"squash": "scaleFill", "crop": "centerCrop", "pad": "scaleFit"}


@dataclass(frozen=True)
class About:
    """Facts of a trained model, stored in every exported file.

    Attributes:
        author: name of whoever trained it.
        licence: licence that it may be used under.
        description: one sentence.
        class_names: in the order of the network's outputs.
        spec: how a photo becomes the input.
        backbone: timm name of the backbone.
        temperature: divisor of the logits before the softmax.
        threshold: lowest confidence that is answered, 0–1; None without a calibration or if no threshold suffices.
        trained: date of the training, ISO 8601.
        dataset_sha256: SHA-256 of the photos' names, classes and contents; empty if not recorded.
        test: figures of the test split as in metrics.json; None if there are none for this checkpoint.
        checkpoint_sha256: SHA-256 of the checkpoint.
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

    @classmethod
    def of_model(cls, model: TrainedModel, author: str, licence: str, description: str) -> About:
        """Collect the facts of a trained model.

        Args:
            model: the model.
            author: name of whoever trained it.
            licence: licence that it may be used under.
            description: one sentence.
        """
        return cls(
            author=author,
            licence=licence,
            description=description,
            class_names=list(model.class_names),
            spec=model.spec,
            backbone=model.classifier.backbone,
            temperature=model.rule.temperature,
            threshold=None if model.calibration is None else model.calibration.threshold,
            trained=model.trained,
            dataset_sha256=model.data.get("sha256", ""),
            test=_test_figures(model),
            checkpoint_sha256=model.sha256,
        )

    @property
    def test_accuracy(self) -> str:
        """The accuracy on test photos as text, with its interval."""
        if self.test is None:
            return "not measured"
        text = f"{self.test['accuracy']:.1%} ({interval_words(self.test)}) of {self.test['n']} photos"
        # Figures of an older version have no such entry.
        before = self.test.get("relabelled")
        if not before:
            return text
        return f"{text}; {before['accuracy']:.1%} of {before['n']} under the labels before people changed them"

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


def _test_figures(model: TrainedModel) -> dict[str, Any] | None:
    # The figures in a run's folder are those of its best checkpoint.
    if model.run is None or model.checkpoint.name != project.BEST or not (model.run / project.METRICS).is_file():
        return None
    metrics: dict[str, Any] = json.loads((model.run / project.METRICS).read_text(encoding="utf-8"))
    return metrics if metrics.get("split") == "test" else None
