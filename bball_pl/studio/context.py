"""What all parts of the studio share while it runs."""

from __future__ import annotations

import asyncio
import re
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from fastapi import HTTPException

from bball_pl import runs
from bball_pl.curate.journal import home_of
from bball_pl.studio.ledger import Ledger
from bball_pl.studio.models import Models
from bball_pl.studio.pictures import Pictures
from bball_pl.studio.registry import Registry
from bball_pl.studio.settings import Settings

_Made = TypeVar("_Made")

_RUN = re.compile(r"[^/\\\0]+/version_[0-9]+")
#: A path from the root of the disk, and the part of it that a reader needs.
_ABSOLUTE = re.compile(r"(?<![\w.:/<])/(?:[^\s/:'\"]+/)+(?=[^\s/])")


class Context:
    """One start of the studio.

    Args:
        settings: of this start.

    Attributes:
        settings: likewise.
        csrf: secret of this start; a request that changes something must name it.
        models: checkpoints, loaded when they are needed.
        compute: the one thread in which networks run, so that requests do not fight for the cores.
        photos: which photos may be shown, by an id that says nothing about the disk.
        pictures: their pixels, made small for a page.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.csrf = secrets.token_urlsafe(24)
        self.models = Models(settings.checkpoint)
        self.compute = ThreadPoolExecutor(1, "compute")
        self.photos = Registry()
        self.pictures = Pictures(self.photos)
        self._ledgers: dict[Path, Ledger] = {}
        self._ends: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def ledger(self, root: Path) -> Ledger:
        """Return the ledger of the home that a tree of photos belongs to; trees of one home share it."""
        home = home_of(root)
        with self._lock:
            if home not in self._ledgers:
                self._ledgers[home] = Ledger(home, self.photos)
            return self._ledgers[home]

    def once(self, make: Callable[[], _Made]) -> Callable[[], _Made]:
        """Return a function that returns the same thing every time, made when it is asked for first."""
        made: list[_Made] = []
        lock = threading.Lock()

        def get() -> _Made:
            with lock:
                if not made:
                    made.append(make())
                return made[0]

        return get

    def at_end(self, action: Callable[[], None]) -> None:
        """Have something done when the studio ends."""
        self._ends.append(action)

    async def computed(self, function: Callable[..., _Made], *args: object) -> _Made:
        """Run `function` in the thread of the networks and return what it returns; the event loop goes on."""
        return await asyncio.get_running_loop().run_in_executor(self.compute, function, *args)

    def safe_run(self, name: str) -> Path:
        """Return the folder of a run by its id.

        Args:
            name: `<experiment>/version_<N>`.

        Raises:
            HTTPException: 404, if that is no such id, or there is no such folder below the folder of the runs.
        """
        logs = self.settings.logs.resolve()
        if _RUN.fullmatch(name) and not name.startswith("."):
            folder = self.settings.logs / name
            # Resolved: a link must not lead out of the folder of the runs.
            if folder.is_dir() and folder.resolve().is_relative_to(logs):
                return folder
        raise HTTPException(404, "there is no such run")

    def checkpoint_run(self) -> str:
        """Return the id of the run that the current checkpoint is of, else the file's name; empty without one."""
        checkpoint = self.settings.checkpoint
        if checkpoint is None:
            return ""
        run = runs.run_of_checkpoint(checkpoint)
        return checkpoint.name if run is None else f"{run.parent.name}/{run.name}"

    def clean(self, text: str) -> str:
        """Return a text for the page: paths as they are below the studio's folders, and only what is a sign."""
        own = self.settings
        for folder in (own.inbox, own.logs, own.data, runs.ROOT):
            for form in {str(folder), str(folder.absolute()), str(folder.resolve())}:
                if len(form) > 1:
                    text = text.replace(f"{form}/", "" if folder == runs.ROOT else f"{folder.name}/")
        return printable(_ABSOLUTE.sub("…/", text))

    def close(self) -> None:
        """Let the threads end; what they are at is finished, what waits is not begun."""
        for action in self._ends:
            action()
        for ledger in self._ledgers.values():
            ledger.close()
        self.pictures.close()
        self.compute.shutdown(wait=False, cancel_futures=True)


def printable(text: str) -> str:
    """Return a file's name or a message as text that JSON can hold: bytes that are none become a replacement sign."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
