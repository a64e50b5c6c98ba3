"""Origin of a model's photos: rendered scenes or photos of people, as sentences for the first lines of a page."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bball_pl.court.album import COURTS
from bball_pl.errors import DatasetError
from bball_pl.model.court_weights import is_court_checkpoint
from bball_pl.photos.photos_csv import PHOTOS_CSV, read_photos_csv

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

    @property
    def lines(self) -> list[str]:
        """Sentences for the first lines; none for photos that are not known to be rendered."""
        if self.rendered_only:
            return [
                "Trained and tested on rendered scenes: this model has seen no real photo of a move, and its figures "
                "say nothing about real photos."
            ]
        lines = []
        if self.trained == 1:
            lines.append("Trained on rendered scenes: no real photo of a move was among the training photos.")
        elif self.trained > 0:
            lines.append(f"{self.trained:.0%} of the photos of the training dataset are rendered scenes.")
        if self.tested == 1:
            lines.append("Tested on rendered scenes: the figures say nothing about real photos.")
        elif self.tested > 0:
            lines.append(f"{self.tested:.0%} of the test photos are rendered scenes.")
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
    return Origin(_rendered_share(trained), _rendered_share(tested))


def _rendered_share(sources: Collection[str]) -> float:
    return sum(source in _RENDERED for source in sources) / len(sources) if sources else 0.0
