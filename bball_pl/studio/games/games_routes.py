"""HTTP routes of the Games view: proposals of photos of one game, accepted or refused by a person."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field, StringConstraints

from bball_pl.photos.labels_csv import decisions
from bball_pl.photos.store import PhotoStore
from bball_pl.photos.tree import Photo, PhotoTree
from bball_pl.studio.history import ConflictError
from bball_pl.studio.state import Context, CurrentContext

Name = Annotated[str, StringConstraints(max_length=64)]

router = APIRouter(prefix="/api/games")

#: Proposals in one answer, photos of a proposal, and photos of one request.
_MAX_PROPOSALS = 20
_MAX_PHOTOS = 500


class Decision(BaseModel):
    """A person's decision on a proposal.

    Attributes:
        name: Name of the proposal.
        photos: Ids of the photos that the decision is about.
        one_game: Whether they are of one game.
        game: Name of the game, so that several proposals can be of one. Default: the name of the proposal.
    """

    name: Annotated[str, StringConstraints(pattern=r"^game-[0-9a-f]{12}$")]
    photos: Annotated[list[Name], Field(min_length=2, max_length=_MAX_PHOTOS)]
    one_game: bool
    game: Annotated[str, StringConstraints(max_length=80, strip_whitespace=True)] = ""


class Undo(BaseModel):
    """The numbers of the changes to undo."""

    numbers: Annotated[list[int], Field(max_length=_MAX_PHOTOS)]


@router.get("")
async def proposals(context: CurrentContext) -> dict[str, Any]:
    """Photos of the inbox that name no game, and which of them may be of one."""
    found: dict[str, Any] = await context.computed(_propose, context)
    return found


def _propose(context: Context) -> dict[str, Any]:
    # Not above: they take a second to import, and the page is served before.
    from bball_pl.audit.games import propose_games, with_checksums

    inbox = context.settings.inbox
    history = context.history(inbox)
    history.sync()
    tree = PhotoTree.scan(inbox, home=history.home, movable=True)
    refused = {key for decision in decisions(history.home).values() for key in decision.apart}
    with PhotoStore(context.settings.data / ".cache") as store:
        tree.photos = with_checksums(tree.photos, store)
        tree.join_by_content()
        found = propose_games(tree.photos, store, refused)

    def shown(photo: Photo) -> dict[str, Any]:
        tracked = history.photo_at(photo.path, inbox)
        return {"id": tracked.id, "name": context.clean(photo.path.name), "class": photo.class_name}

    return {
        "inbox": context.clean(str(inbox)),
        "photos": len(tree.photos),
        "named": sum(bool(photo.group) for photo in tree.photos),
        "games": sorted({context.clean(photo.group) for photo in tree.photos if photo.group}),
        "more": max(0, len(found) - _MAX_PROPOSALS),
        "proposals": [
            {"name": proposal.name, "photos": [shown(photo) for photo in proposal.photos[:_MAX_PHOTOS]]}
            for proposal in found[:_MAX_PROPOSALS]
        ],
    }


@router.post("/decide")
def decide(request: Decision, context: CurrentContext) -> dict[str, Any]:
    """Write into the journal that photos are of one game, or that they are not."""
    history = context.history(context.settings.inbox)
    photos = [history.by_id(photo) for photo in request.photos]
    known = [photo for photo in photos if photo is not None and history.is_below(photo, context.settings.inbox)]
    if len(known) < len(photos):
        raise HTTPException(404, "there is no such photo")
    if not request.game.isprintable():
        raise HTTPException(422, "the name of a game has a character that no table can hold")
    game = request.game or request.name
    try:
        entries = history.group(known, game if request.one_game else request.name, request.one_game)
    except ConflictError as error:
        raise HTTPException(409, {"message": str(error), "code": "conflict", "state": None}) from None
    return {"numbers": [entry.number for entry in entries]}


@router.post("/undo")
def undo(request: Undo, context: CurrentContext) -> dict[str, Any]:
    """Take decisions back."""
    history = context.history(context.settings.inbox)
    try:
        history.ungroup(request.numbers)
    except ConflictError as error:
        raise HTTPException(409, {"message": str(error), "code": "conflict", "state": None}) from None
    return {"numbers": []}
