"""What a phone's code sees of an exported model: the names of its features and its labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bball_pl.classes import MOVES, display_name
from bball_pl.errors import ConfigError

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
