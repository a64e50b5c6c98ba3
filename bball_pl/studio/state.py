"""Application state of the studio: the settings of one start, and what its views share while it runs."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from fastapi import HTTPException

from bball_pl import project
from bball_pl.errors import ConfigError
from bball_pl.moves import MOVES, MOVES_FILE
from bball_pl.photos.labels_csv import home_of
from bball_pl.project import LOGS, ROOT
from bball_pl.studio.history import Ledger
from bball_pl.studio.models import Models
from bball_pl.studio.pictures import Pictures, Registry

#: Variable of the environment that a token may be given in.
TOKEN_VARIABLE = "BBALL_STUDIO_TOKEN"
#: A token that somebody thought of must be so long at least; a generated one has 43 signs.
SHORTEST_TOKEN = 16
#: Classes that have a key: 1 to 9.
MOST_CLASSES = 9


@dataclass(frozen=True)
class Settings:
    """Settings of one start.

    Attributes:
        inbox: folder of the photos to sort.
        logs: folder of the runs.
        data: folder of the datasets; the studio's cache is in it.
        exports: folder of the exports, whose files can answer in Try.
        checkpoint: suggests classes in Sort and answers first in Try; None if there is none.
        host: name or address to listen on.
        port: likewise.
        token: who does not know it is not let in; empty lets everybody in who can reach the port.
        language: en or zh-Hant; empty takes the browser's.
        class_names: of the keys 1, 2, 3 …
        moves: the page with the definitions of the classes, Markdown; moves.zh-Hant.md beside it is its translation.
        suggest: look at the photos of the inbox with a network, in the background.
    """

    inbox: Path = ROOT / "data" / "inbox"
    logs: Path = ROOT / LOGS
    data: Path = ROOT / "data"
    exports: Path = ROOT / "exports"
    checkpoint: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8765
    token: str = field(default="", repr=False)
    language: str = ""
    class_names: tuple[str, ...] = tuple(move.name for move in MOVES)
    moves: Path = MOVES_FILE
    suggest: bool = True

    def __post_init__(self) -> None:
        if not is_loopback(self.host) and not self.token:
            raise ConfigError(f"{self.host} can be reached from other machines, and there is no token. Give one")
        if self.token and (len(self.token) < SHORTEST_TOKEN or not self.token.isascii()):
            raise ConfigError(
                f"the token in {TOKEN_VARIABLE} has {len(self.token)} signs; expected {SHORTEST_TOKEN} or more "
                "letters and digits, such as `openssl rand -hex 16` prints"
            )
        names = self.class_names
        if not 2 <= len(names) <= MOST_CLASSES or len(set(names)) < len(names):
            raise ConfigError(
                f"--class_names gives {', '.join(names) or 'nothing'}; expected 2 to {MOST_CLASSES} different names"
            )
        for name in names:
            # A class is the name of a folder, and these would not be one of their own.
            if name in {"", "unsorted", "quarantine"} or name[0] in ".-" or set(name) & set('/\\:\0\n\r*?"<>|'):
                raise ConfigError(f"--class_names has {name!r}, which cannot be the name of a class folder")


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach what listens on `host`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


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
        run = project.run_of_checkpoint(checkpoint)
        return checkpoint.name if run is None else f"{run.parent.name}/{run.name}"

    def clean(self, text: str) -> str:
        """Return a text for the page: paths as they are below the studio's folders, and only what is a sign."""
        own = self.settings
        for folder in (own.inbox, own.logs, own.data, project.ROOT):
            for form in {str(folder), str(folder.absolute()), str(folder.resolve())}:
                if len(form) > 1:
                    text = text.replace(f"{form}/", "" if folder == project.ROOT else f"{folder.name}/")
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
