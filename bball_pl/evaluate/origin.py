"""Origin of a model's photos: rendered scenes or photos of people, as sentences for the first lines of a page."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bball_pl.court.album import COURTS
from bball_pl.errors import DatasetError
from bball_pl.model.court_weights import is_court_checkpoint
from bball_pl.moves import display_name
from bball_pl.photos.photos_csv import PHOTOS_CSV, read_photos_csv
from bball_pl.wording import LANGUAGES, Language, counted, picked, thousands

_RENDERED = frozenset(court.source for court in COURTS.values())


@dataclass(frozen=True)
class Origin:
    """Shares of rendered scenes among the photos of a model, 0–1; 0 where nothing is known.

    Attributes:
        trained: among the photos of the training dataset.
        tested: among the photos that the page is about.
    """

    trained: float
    tested: float

    @property
    def rendered_only(self) -> bool:
        """Whether there is no photo of a person among them."""
        return self.trained == self.tested == 1

    def lines(self, language: Language = "en") -> list[str]:
        """Return sentences for the first lines; none for photos that are not known to be rendered."""
        say = picked(language)
        if self.rendered_only:
            return [
                say(
                    "Trained and tested on rendered scenes: this model has seen no real photo of a move, and its "
                    "figures say nothing about real photos.",
                    "訓練和測試用的都是電腦繪製的場景：這個模型沒看過任何真實照片，它的數字不能代表真實照片。",
                )
            ]
        lines = []
        if self.trained == 1:
            lines.append(
                say(
                    "Trained on rendered scenes: this model has seen no real photo of a move.",
                    "用電腦繪製的場景訓練：這個模型沒看過任何真實照片。",
                )
            )
        elif self.trained > 0:
            lines.append(
                say(
                    f"{self.trained:.0%} of the photos of the training dataset are rendered scenes.",
                    f"訓練用的照片有 {self.trained:.0%} 是電腦繪製的場景。",
                )
            )
        if self.tested == 1:
            lines.append(
                say(
                    "Tested on rendered scenes: the figures say nothing about real photos.",
                    "用電腦繪製的場景測試：這些數字不能代表真實照片。",
                )
            )
        elif self.tested > 0:
            lines.append(
                say(
                    f"{self.tested:.0%} of the test photos are rendered scenes.",
                    f"測試照片有 {self.tested:.0%} 是電腦繪製的場景。",
                )
            )
        return lines


def sources_of(root: Path) -> dict[str, str]:
    """Return the source of each photo by its path, as the photos.csv of a dataset names it; empty without one.

    Raises:
        DatasetError: if the table is damaged.
    """
    table = root / PHOTOS_CSV
    if not table.is_file():
        return {}
    return {record.path: record.source for record in read_photos_csv(table) if record.source}


def origin_of(checkpoint: Path, data: Mapping[str, Any], tested: Collection[str]) -> Origin:
    """Return the origin of a model's photos.

    Args:
        checkpoint: the model; the shipped one is known to be trained on rendered scenes.
        data: the training dataset, as in `TrainedModel`; may be empty.
        tested: `source` of each tested photo, as in photos.csv; empty texts where it is not known.
    """
    trained: Collection[str] = ()
    if is_court_checkpoint(checkpoint):
        trained = _RENDERED
    elif data:
        try:
            trained = sources_of(Path(data["root"])).values()
        except DatasetError:
            trained = ()
    return origin_of_sources(trained, tested)


def origin_of_sources(trained: Collection[str], tested: Collection[str]) -> Origin:
    """Return the origin of photos with these sources, as photos.csv names them."""
    return Origin(_rendered_share(trained), _rendered_share(tested))


def seen_photos(checkpoint: Path, data: Mapping[str, Any], trained: str) -> dict[Language, dict[str, str]]:
    """Return what a model was trained on, by language: `training`, date and counts, and `origin`, rendered or not.

    Args:
        checkpoint: the model.
        data: the training dataset, as in `TrainedModel`; may be empty.
        trained: date of the training, ISO 8601; may be empty.

    Returns:
        Sentences; an empty text for what is not known.
    """
    origin = origin_of(checkpoint, data, ())
    return {
        language: {"training": _training(data, trained, language), "origin": " ".join(origin.lines(language))}
        for language in LANGUAGES
    }


def _training(data: Mapping[str, Any], trained: str, language: Language) -> str:
    counts = {name: count for name, count in data.get("counts", {}).get("train", {}).items() if count}
    if not counts:
        return ""
    say, number, root = picked(language), sum(counts.values()), Path(str(data.get("root", ""))).name
    classes = [f"{display_name(name)} {thousands(count)}" for name, count in counts.items()]
    scenes = data.get("scenes", 0)
    more = own_more = ""
    if scenes:
        more = f", and with {counted(scenes, 'rendered scene')} without a move"
        own_more = f"，另有 {thousands(scenes)} 張電腦繪製的無動作場景"
    day, own_day = (f" on {trained[:10]}", f"{trained[:10]} ") if trained else ("", "")
    return say(
        f"Trained{day} with {counted(number, 'photo')} of {root} ({', '.join(classes)}){more}.",
        f"{own_day}用 {root} 的 {thousands(number)} 張照片訓練（{'、'.join(classes)}）{own_more}。",
    )


def _rendered_share(sources: Collection[str]) -> float:
    return sum(source in _RENDERED for source in sources) / len(sources) if sources else 0.0
