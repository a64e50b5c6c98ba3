"""Evaluations for the tests of the report, made up without a network, and a reader of the pages they become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from bball_pl.evaluate.calibration import Calibration
from bball_pl.evaluate.evaluation import Evaluation
from bball_pl.evaluate.metrics import compute_metrics, probability_figures
from bball_pl.evaluate.predictions import Answers

MOVES = ["shoot", "dribble", "layup"]
#: Tags of HTML that have no end tag.
_VOID = {"br", "img", "input", "link", "meta"}


def evaluation(
    root: Path,
    targets: Sequence[int],
    said: Sequence[int],
    confidence: Sequence[float] | float = 0.8,
    class_names: Sequence[str] = MOVES,
    groups: Sequence[str] | None = None,
    run: Path | None = None,
    calibration: Calibration | None = None,
    sources: Mapping[str, str] | None = None,
    command: str = "",
) -> Evaluation:
    """Make up an evaluation: what each photo shows, what was answered and how confidently."""
    number, classes = len(targets), len(class_names)
    sure = np.broadcast_to(np.asarray(confidence, np.float32), (number,))
    shares = np.repeat(((1 - sure) / (classes - 1))[:, None], classes, axis=1).astype(np.float32)
    shares[np.arange(number), list(said)] = sure
    paths = [f"test/{class_names[target]}/{row:05}.png" for row, target in enumerate(targets)]
    answers = Answers(list(class_names), paths, list(groups or [""] * number), np.array(targets, np.int64), shares)
    counts = {name: int((answers.targets == label).sum()) for label, name in enumerate(class_names)}
    # Calibration made the answers a little less sure here: the temperature was above 1.
    before = shares**1.3 / (shares**1.3).sum(1, keepdims=True)
    uncalibrated = shares if calibration is None else before
    metrics = compute_metrics("test", answers) | {"relabelled": None, "seeds": None}
    metrics |= {"uncalibrated": probability_figures(uncalibrated, answers.targets)}
    return Evaluation(
        split="test",
        answers=answers,
        metrics=metrics,
        checkpoint=(run or root) / "checkpoints" / "best.ckpt",
        run=run,
        root=root,
        calibration=calibration,
        uncalibrated=uncalibrated,
        sources=dict(sources or {}),
        data={"root": str(root), "counts": {"test": counts}, "groups": {"test": 0}, "sha256": "5a" * 32},
        command=command,
    )


def calibrated(threshold: float | None = 0.7) -> Calibration:
    """Return a calibration as `scripts/evaluate.py` would have found it."""
    accuracy = None if threshold is None else 0.97
    return Calibration(1.3, threshold, 0.95, 0.9 if threshold else 0.0, accuracy, 40, 0.31, 0.27, "c5" * 32)


def paint_all(evaluation: Evaluation, rows: Sequence[int], size: tuple[int, int] = (60, 40)) -> None:
    """Write a small photo for each of some rows."""
    for row in rows:
        path = evaluation.root / evaluation.answers.paths[row]
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(row).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)


def log(run: Path, figures: Sequence[Mapping[str, float]], first_epoch: int = 0, steps: int = 10) -> None:
    """Write an event file as a run does: figures by epoch, and the number of the epoch at the same step."""
    with SummaryWriter(str(run)) as writer:
        for epoch, own in enumerate(figures, start=first_epoch):
            step = (epoch + 1) * steps - 1
            for tag, value in own.items():
                writer.add_scalar(tag, value, step)
            writer.add_scalar("epoch", epoch, step)


def epochs(val_losses: Sequence[float], gap: float = 0.2) -> list[dict[str, float]]:
    """Return what a run logs in epochs with these validation losses."""
    return [
        {
            "train/loss_epoch": 0.9 - 0.1 * epoch,
            "train/acc": 0.7 + 0.02 * epoch,
            "val/loss": loss,
            "val/acc": 0.75,
            "gap/loss": -0.1,
            "gap/acc": gap,
        }
        for epoch, loss in enumerate(val_losses)
    ]


@dataclass
class Element:
    """An element of a page: its name, its attributes, and the text inside of it, all white space as one blank."""

    tag: str
    attributes: dict[str, str]
    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join("".join(self.parts).split())


class Page(HTMLParser):
    """A page's elements in their order; ends with an error if tags do not close in order."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.source = path.read_text(encoding="utf-8")
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(self.source)
        self.close()
        assert not self._open, [element.tag for element in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        element = self._open.pop()
        assert element.tag == tag, f"<{element.tag}> ends as </{tag}>"

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.parts.append(data)

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Return the elements with a tag whose attributes hold all the given words (`class_` for class)."""
        return [
            element
            for element in self.elements
            if element.tag == tag
            and all(
                set(words.split()) <= set(element.attributes.get(name.rstrip("_"), "").split())
                for name, words in attributes.items()
            )
        ]

    def ids(self) -> list[str]:
        """Return all ids."""
        return [element.attributes["id"] for element in self.elements if "id" in element.attributes]

    @property
    def text(self) -> str:
        """What a reader sees."""
        return self.all("body")[0].text
