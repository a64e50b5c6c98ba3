"""HTTP routes of the Sort view."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, Field, StringConstraints

from bball_pl.moves import NO_MOVE, read_definitions
from bball_pl.studio.history import ConflictError, TrackedPhoto
from bball_pl.studio.sort.queue import Batch, Order, SortQueue
from bball_pl.studio.sort.suggestions import Scorer
from bball_pl.studio.state import Context, CurrentContext

Name = Annotated[str, StringConstraints(max_length=64)]

router = APIRouter(prefix="/api/sort")

#: Similar photos shown beside one.
_SIMILAR = 6
_MAX_PHOTOS = 24
#: Photos without a move on one page of the grid, and photos that a tab can leave out of it.
ASIDE_PAGE = 48
_MAX_KEPT = 20_000
#: The unsorted photos are scored in this many passes, so that the first pass has photos of all albums.
_PASSES = 16


class Next(BaseModel):
    """A tab's request for `count` photos in addition to those it has."""

    tab: Name
    have: list[Name] = []
    count: int = 8
    order: Order = "album"


class Decision(BaseModel):
    """A decision about a photo whose last version in the tab was `seen`."""

    tab: Name
    photo: Name
    action: Literal["label", "quarantine", "skip"]
    class_name: str = ""
    seen: int = 0


class Undo(BaseModel):
    """The number of a change to undo; 0 for the latest one. Changes of one confirmation are undone together."""

    tab: Name
    number: int = 0


class Aside(BaseModel):
    """A tab's request for photos that the model answers with `none`, without those that a person kept."""

    tab: Name
    kept: Annotated[list[Name], Field(max_length=_MAX_KEPT)] = []


class Seen(BaseModel):
    """A photo, and its last version in the tab."""

    photo: Name
    seen: int = 0


class SetAside(BaseModel):
    """The photos of a grid that a person confirmed to show no move."""

    tab: Name
    photos: Annotated[list[Seen], Field(min_length=1, max_length=ASIDE_PAGE)]


class Leave(BaseModel):
    """Message that a tab was closed."""

    tab: Name


class SortView:
    """The queue of the inbox and its scorer, and their state as JSON.

    Args:
        context: state of the studio.
    """

    def __init__(self, context: Context) -> None:
        settings = context.settings
        self._context = context
        self.queue = SortQueue(context.history(settings.inbox), settings.inbox, tuple(settings.sort_classes))
        cache = settings.data / ".cache"
        self.scorer = Scorer(self.queue, context.photos, context.models, context.compute, cache)
        context.at_end(self.scorer.end)
        self._score()

    def rescan(self) -> None:
        """Read the inbox again, and score its new photos."""
        self.queue.rescan()
        self._score()

    def _score(self) -> None:
        if self._context.settings.suggest:
            unsorted = self.queue.unsorted()
            spread = [photo_id for start in range(_PASSES) for photo_id in unsorted[start::_PASSES]]
            self.scorer.begin([*spread, *self.queue.labels()])

    def progress(self) -> dict[str, Any]:
        """Return the progress of sorting and scoring."""
        scorer = self.scorer
        problem = self._context.clean(scorer.problem)
        return {
            **asdict(self.queue.progress()),
            "scoring": scorer.pending(),
            "problem": problem,
            "seen": scorer.seen,
            "aside": self.queue.undecided(list(scorer.none)) if NO_MOVE.name in self.queue.class_names else 0,
        }

    def photo_json(self, photo: TrackedPhoto) -> dict[str, Any]:
        """Return a photo as the page needs it."""
        suggestion = self.scorer.suggestion(photo.id)
        return {
            "id": photo.id,
            "name": self._context.clean(photo.path.rpartition("/")[2]),
            "folder": self._context.clean(self.queue.folder(photo)),
            "album": self._context.clean(self.queue.album(photo)),
            "seen": photo.version,
            "state": self.queue.state(photo.id),
            "exists": self._context.photos.path(photo.id) is not None,
            "probabilities": None if suggestion is None else suggestion.probabilities,
        }

    def batch_json(self, batch: Batch) -> dict[str, Any]:
        """Return several changes as the page needs them, and the progress."""
        clean = self._context.clean
        return {
            "photos": [self.photo_json(photo) for photo in batch.photos],
            "numbers": batch.numbers,
            "conflicts": [clean(name) for name in batch.conflicts],
            # Not `problem`, which is the scorer's.
            "unsaved": clean(batch.problem),
            **self.progress(),
        }

    def conflict(self, error: ConflictError) -> HTTPException:
        """Return the response to a conflicting change, with the current state of the photo."""
        state = None if error.photo is None else self.photo_json(error.photo)
        return HTTPException(409, {"message": str(error), "code": "conflict", "state": state})


def _view(context: CurrentContext) -> SortView:
    # Made at the first request: reading a large inbox takes a second, and a damaged labels.csv ends only this view.
    return context.shared(SortView)


View = Annotated[SortView, Depends(_view)]


@router.get("")
def begin(view: View, context: CurrentContext) -> dict[str, Any]:
    """The inbox, read again."""
    view.rescan()
    return {
        "inbox": context.clean(str(view.queue.inbox)),
        "exists": view.queue.inbox.is_dir(),
        "links": view.queue.links,
        "suggests": context.settings.suggest and context.settings.checkpoint is not None,
        **view.progress(),
    }


@router.post("/next")
def next_photos(request: Next, view: View, context: CurrentContext) -> dict[str, Any]:
    """The next photos for a tab, and the progress."""
    count = max(0, min(request.count, _MAX_PHOTOS))
    found = view.queue.next(request.tab, request.have, count, request.order, view.scorer.ranks[request.order])
    if not found and not request.have:
        view.rescan()
        found = view.queue.next(request.tab, request.have, count, request.order, view.scorer.ranks[request.order])
    for photo in found:
        context.pictures.picture(photo.id)
    return {"photos": [view.photo_json(photo) for photo in found], **view.progress()}


@router.post("/leave")
def leave(request: Leave, view: View) -> dict[str, Any]:
    """Release the photos of a closed tab."""
    view.queue.release(request.tab)
    return {}


@router.get("/skipped")
def skipped(view: View) -> dict[str, Any]:
    """The skipped photos."""
    return {"photos": [view.photo_json(photo) for photo in view.queue.skipped()], **view.progress()}


@router.get("/beside/{photo}")
def beside(photo: str, view: View, context: CurrentContext) -> dict[str, Any]:
    """The model's suggestion for a photo, and sorted photos that look like it."""
    if not context.photos.known(photo):
        raise HTTPException(404, "there is no such photo")
    scorer = view.scorer
    scorer.prioritise(photo)
    suggestion = scorer.suggestion(photo)
    similar = scorer.similar(photo, _SIMILAR)
    for photo_id, _ in similar:
        context.pictures.picture(photo_id, "thumb")
    return {
        "probabilities": None if suggestion is None else suggestion.probabilities,
        "similar": [{"id": photo_id, "class": name} for photo_id, name in similar],
        "waiting": suggestion is None and scorer.pending() > 0,
    }


@router.post("/decide")
def decide(request: Decision, view: View) -> dict[str, Any]:
    """Sort, skip or quarantine a photo."""
    if request.action == "label" and request.class_name not in view.queue.class_names:
        raise HTTPException(422, "there is no such class")
    try:
        photo, entry = view.queue.decide(request.photo, request.action, request.class_name, request.seen)
    except ConflictError as error:
        raise view.conflict(error) from None
    return {"number": entry.number, "photo": view.photo_json(photo), **view.progress()}


@router.post("/undo")
def undo(request: Undo, view: View) -> dict[str, Any]:
    """Undo a change to a photo of this inbox."""
    try:
        undone = view.queue.undo(request.number)
    except ConflictError as error:
        raise view.conflict(error) from None
    # The tab that undid the changes shows the photos; no other tab gets them.
    for photo in undone.photos:
        view.queue.hold(request.tab, photo.id)
    return view.batch_json(undone)


@router.post("/aside")
def aside(request: Aside, view: View, context: CurrentContext) -> dict[str, Any]:
    """A page of the photos that the model answers with `none`, the surest first; other tabs do not get them."""
    kept = set(request.kept)
    wanted = [photo_id for photo_id in view.scorer.without_move() if photo_id not in kept]
    found = view.queue.lease(request.tab, wanted, ASIDE_PAGE)
    for photo in found:
        context.pictures.picture(photo.id, "thumb")
    return {"photos": [view.photo_json(photo) for photo in found], "of": view.queue.undecided(wanted)}


@router.post("/set-aside")
def set_aside(request: SetAside, view: View) -> dict[str, Any]:
    """Sort photos as `none`, with one undo for all."""
    if NO_MOVE.name not in view.queue.class_names:
        raise HTTPException(422, "there is no such class")
    return view.batch_json(view.queue.decide_all([(one.photo, one.seen) for one in request.photos], NO_MOVE.name))


@router.get("/definitions")
def definitions(context: CurrentContext, language: Literal["en", "zh-Hant"] = "en") -> Any:
    """The definitions of the classes, those with a key first."""
    path = context.settings.moves
    translated = path.with_suffix(f".{language}{path.suffix}")
    found = read_definitions(translated if translated.is_file() else path)
    order = {name: index for index, name in enumerate(context.settings.sort_classes)}
    found.sort(key=lambda section: order.get(section.name, len(order)))
    return [asdict(section) | {"name": section.name} for section in found]
