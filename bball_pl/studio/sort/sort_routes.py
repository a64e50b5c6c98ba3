"""HTTP routes of the view Sort."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, StringConstraints

from bball_pl.moves import read_definitions
from bball_pl.photos.journal import Entry
from bball_pl.studio.history import ConflictError, Trail
from bball_pl.studio.sort.queue import Deck, Order
from bball_pl.studio.sort.suggestions import Scorer
from bball_pl.studio.state import Context

Name = Annotated[str, StringConstraints(max_length=64)]

#: Similar photos beside one.
_SIMILAR = 6
_MOST_AT_ONCE = 24


class Wanted(BaseModel):
    """A tab asks for photos."""

    tab: Name
    have: list[Name] = []
    count: int = 8
    order: Order = "album"


class Decision(BaseModel):
    """A key was pressed on a photo, which the tab had last seen changed by `seen`."""

    tab: Name
    photo: Name
    action: Literal["label", "quarantine", "skip"]
    class_name: str = ""
    seen: int = 0


class Undoing(BaseModel):
    """A change is taken back; 0 for the last one."""

    tab: Name
    number: int = 0


class Leaving(BaseModel):
    """A tab was closed."""

    tab: Name


def router(context: Context) -> APIRouter:
    """Return the routes below /api/sort."""
    routes = APIRouter(prefix="/api/sort")

    desk = context.once(lambda: Desk(context))

    @routes.get("")
    def begin() -> dict[str, Any]:
        return desk().begin()

    @routes.post("/next")
    def following(wanted: Wanted) -> dict[str, Any]:
        return desk().following(wanted)

    @routes.post("/leave")
    def leave(leaving: Leaving) -> dict[str, Any]:
        desk().deck.leave(leaving.tab)
        return {}

    @routes.get("/skipped")
    def skipped() -> dict[str, Any]:
        return desk().skipped()

    @routes.get("/beside/{photo}")
    def beside(photo: str) -> dict[str, Any]:
        return desk().beside(photo)

    @routes.post("/decide")
    def decide(decision: Decision) -> dict[str, Any]:
        return desk().decide(decision)

    @routes.post("/undo")
    def undo(undoing: Undoing) -> dict[str, Any]:
        return desk().undo(undoing)

    @routes.get("/definitions")
    def definitions(language: Literal["en", "zh-Hant"] = "en") -> Any:
        path = context.settings.moves
        translated = path.with_suffix(f".{language}{path.suffix}")
        found = read_definitions(translated if translated.is_file() else path)
        rank = {name: place for place, name in enumerate(context.settings.class_names)}
        return [
            asdict(own) | {"name": own.name} for own in sorted(found, key=lambda own: rank.get(own.name, len(rank)))
        ]

    return routes


class Desk:
    """The deck and what the model says of it.

    Args:
        context: of this start.
    """

    def __init__(self, context: Context) -> None:
        own = context.settings
        self._context = context
        self.deck = Deck(context.ledger(own.inbox), own.inbox, own.class_names)
        self.scorer = Scorer(self.deck, context.photos, context.models, context.compute, own.data / ".cache")
        context.at_end(self.scorer.end)
        self._score()

    def begin(self) -> dict[str, Any]:
        """Look at the tree again, and say what is in it."""
        self.deck.look()
        self._score()
        return {
            "inbox": self._context.clean(str(self.deck.inbox)),
            "exists": self.deck.inbox.is_dir(),
            "links": self.deck.links,
            "suggests": self._context.settings.suggest and self._context.settings.checkpoint is not None,
            **self._progress(),
        }

    def following(self, wanted: Wanted) -> dict[str, Any]:
        """Hand out photos, and begin to make their pictures."""
        count = max(0, min(wanted.count, _MOST_AT_ONCE))
        found = self.deck.next(wanted.tab, wanted.have, count, wanted.order, self.scorer.margins)
        if not found and not wanted.have:
            self.deck.look()
            self._score()
            found = self.deck.next(wanted.tab, wanted.have, count, wanted.order, self.scorer.margins)
        for trail in found:
            self._context.pictures.prepare(trail.photo)
        return {"photos": [self._photo(trail) for trail in found], **self._progress()}

    def skipped(self) -> dict[str, Any]:
        """Return the photos that were put off."""
        return {"photos": [self._photo(trail) for trail in self.deck.skipped()], **self._progress()}

    def beside(self, photo: str) -> dict[str, Any]:
        """Return what stands beside a photo: the model's suggestion, and sorted photos that look like it."""
        if not self._context.photos.known(photo):
            raise HTTPException(404, "there is no such photo")
        self.scorer.first(photo)
        suggestion = self.scorer.suggestion(photo)
        similar = self.scorer.similar(photo, _SIMILAR)
        for one, _ in similar:
            self._context.pictures.prepare(one, "thumb")
        return {
            "probabilities": None if suggestion is None else suggestion.probabilities,
            "similar": [{"id": one, "class": name} for one, name in similar],
            "waiting": suggestion is None and self.scorer.open() > 0,
        }

    def decide(self, decision: Decision) -> dict[str, Any]:
        """Write down what a key said."""
        if decision.action == "label" and decision.class_name not in self.deck.class_names:
            raise HTTPException(422, "there is no such class")
        class_name = decision.class_name if decision.action == "label" else ""
        try:
            trail, entry = self.deck.decide(decision.photo, decision.action, class_name, decision.seen)
        except ConflictError as conflict:
            raise self._conflict(conflict) from None
        return {"number": entry.number, "photo": self._photo(trail), **self._progress()}

    def undo(self, undoing: Undoing) -> dict[str, Any]:
        """Take a change back."""
        try:
            undone = self.deck.undo(undoing.number)
        except ConflictError as conflict:
            raise self._conflict(conflict) from None
        if undone is None:
            return {"photo": None, **self._progress()}
        trail, entry = undone
        # The tab that took it back shows it: no other tab is handed it now.
        self.deck.hold(undoing.tab, trail.photo)
        return {"photo": self._photo(trail), "undone": _entry(entry), **self._progress()}

    def _score(self) -> None:
        if not self._context.settings.suggest:
            return
        # What waits comes first, and from all albums: the most doubtful photos are not all in the first one.
        waiting = self.deck.waiting()
        spread = [photo for start in range(16) for photo in waiting[start::16]]
        self.scorer.begin([*spread, *self.deck.labelled()])

    def _progress(self) -> dict[str, Any]:
        own = self.deck.progress()
        return {
            "left": own.left,
            "skipped": own.skipped,
            "quarantined": own.quarantined,
            "counts": own.counts,
            "scoring": self.scorer.open(),
            "problem": self._context.clean(self.scorer.problem),
        }

    def _photo(self, trail: Trail) -> dict[str, Any]:
        suggestion = self.scorer.suggestion(trail.photo)
        return {
            "id": trail.photo,
            "name": self._context.clean(trail.place.rpartition("/")[2]),
            "album": self._context.clean(self.deck.album(trail)),
            "seen": trail.number,
            "state": self.deck.state(trail.photo),
            "there": self._context.photos.path(trail.photo) is not None,
            "probabilities": None if suggestion is None else suggestion.probabilities,
        }

    def _conflict(self, conflict: ConflictError) -> HTTPException:
        state = None if conflict.trail is None else self._photo(conflict.trail)
        return HTTPException(409, {"message": str(conflict), "code": "conflict", "state": state})


def _entry(entry: Entry) -> dict[str, Any]:
    return {"number": entry.number, "action": entry.action, "class": entry.class_name}
