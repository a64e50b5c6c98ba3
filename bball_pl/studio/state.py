"""Application state: the settings of one start, and what the views share."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

from fastapi import Depends, HTTPException, Request

from bball_pl import project
from bball_pl.errors import ConfigError, RunError
from bball_pl.files import folder_name_problem
from bball_pl.moves import MOVES, MOVES_FILE, NO_MOVE, UNSORTED
from bball_pl.photos.labels_csv import home_of
from bball_pl.photos.photos_csv import QUARANTINE
from bball_pl.project import LOGS, ROOT
from bball_pl.studio.history import History
from bball_pl.studio.pictures import PhotoIds, Pictures

if TYPE_CHECKING:
    from bball_pl.evaluate.trained_model import TrainedModel

#: Environment variable for the access token.
TOKEN_VARIABLE = "BBALL_STUDIO_TOKEN"
#: Fewest characters of a token that a user chose; a generated one has 43.
MIN_TOKEN = 16
#: Most classes: keys 1 to 9.
MAX_CLASSES = 9
#: Models in memory at once: two that are compared in Try, and the one that suggests classes in Sort.
_MAX_MODELS = 3

#: Name, modification time in ns and size in bytes of each of several files: equal stamps mean equal content.
Stamp = tuple[tuple[str, int, int], ...]

_T = TypeVar("_T")
_SURROGATES = re.compile("[\ud800-\udfff]")
_RUN = re.compile(r"[^/\\\0]+/version_[0-9]+")
#: The folders of an absolute path; the match leaves the file's name.
_ABSOLUTE = re.compile(r"(?<![\w.:/<])/(?:[^\s/:'\"]+/)+(?=[^\s/])")


@dataclass(frozen=True)
class Settings:
    """Settings of one start.

    Attributes:
        inbox: folder of the photos to sort.
        logs: folder of the runs.
        data: folder of the datasets; the studio's cache is in it.
        exports: folder of the exports, whose files can answer in Try.
        checkpoint: file that suggests classes in Sort and answers first in Try; None without one.
        host: name or address to listen on.
        port: TCP port; 0 for any free one.
        token: secret that a browser must present; empty admits everyone who can reach the port.
        language: en or zh-Hant; empty for the browser's language.
        class_names: classes of the keys 1, 2, 3 …
        moves: page with the definitions of the classes, Markdown; moves.zh-Hant.md beside it is its translation.
        suggest: run a network on the photos of the inbox in the background.
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
            raise ConfigError(
                f"other machines can reach {self.host}, and there is no token; set {TOKEN_VARIABLE} or use 127.0.0.1"
            )
        if self.token and (len(self.token) < MIN_TOKEN or not self.token.isascii()):
            raise ConfigError(
                f"the token in {TOKEN_VARIABLE} has {len(self.token)} characters; expected {MIN_TOKEN} or more "
                "letters and digits, such as the output of `openssl rand -hex 16`"
            )
        names = self.class_names
        if not 2 <= len(names) <= MAX_CLASSES or len(set(names)) < len(names):
            raise ConfigError(
                f"--class_names gives {', '.join(names) or 'nothing'}; expected 2 to {MAX_CLASSES} different names"
            )
        for name in names:
            problem = folder_name_problem(name) or ("it begins with a dash" if name[0] == "-" else "")
            problem = problem or ("it means something else here" if name in {UNSORTED, QUARANTINE} else "")
            if problem:
                raise ConfigError(f"--class_names has {name!r}, which cannot be the name of a class folder: {problem}.")

    @property
    def sort_classes(self) -> dict[str, str]:
        """Key of each class in Sort: 1, 2, 3 …, and 0 for `none` where the classes are the three moves."""
        keys = {name: str(number) for number, name in enumerate(self.class_names, 1)}
        return keys | {NO_MOVE.name: "0"} if set(self.class_names) == {move.name for move in MOVES} else keys


def is_loopback(host: str) -> bool:
    """Return whether `host` can be reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Models:
    """Trained models in memory, opened on demand.

    Args:
        current: Checkpoint for requests that name none; None without one.
    """

    def __init__(self, current: Path | None) -> None:
        self.current = current
        self._opened: OrderedDict[Path, tuple[Stamp, TrainedModel]] = OrderedDict()
        self._lock = threading.Lock()

    def load(self, checkpoint: Path | None = None) -> TrainedModel:
        """Return a trained model, opened again if its checkpoint or its calibration has changed.

        Opening takes seconds: call it in the compute thread.

        Args:
            checkpoint: File of the checkpoint. Default: the current one.

        Raises:
            RunError: if there is no current checkpoint, or the checkpoint or its calibration cannot be read.
        """
        # Torch takes seconds to import; the page is served before.
        from bball_pl.evaluate.calibration import calibration_file
        from bball_pl.evaluate.trained_model import TrainedModel

        path = checkpoint or self.current
        if path is None:
            raise RunError("there is no checkpoint yet; make one with: bball fit")
        files = stamp(path, calibration_file(path))
        with self._lock:
            known = self._opened.get(path)
            if known is None or known[0] != files:
                known = files, TrainedModel.open(path)
                self._opened[path] = known
            self._opened.move_to_end(path)
            while len(self._opened) > _MAX_MODELS:
                self._opened.popitem(last=False)
            return known[1]


class Context:
    """State that the views share while the studio runs.

    Args:
        settings: settings of this start.

    Attributes:
        settings: likewise.
        csrf: secret of this start; a request that changes something must carry it.
        models: checkpoints, loaded on demand.
        compute: the one thread in which networks run, so that requests do not compete for the cores.
        photos: opaque ids of the photos that may be shown.
        pictures: JPEGs of these photos.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.csrf = secrets.token_urlsafe(24)
        self.models = Models(settings.checkpoint)
        self.compute = ThreadPoolExecutor(1, "compute")
        self.photos = PhotoIds()
        self.pictures = Pictures(self.photos)
        self._histories: dict[Path, History] = {}
        self._shared: dict[Callable[[Context], Any], Any] = {}
        self._at_end: list[Callable[[], None]] = []
        self._lock = threading.RLock()

    def history(self, root: Path) -> History:
        """Return the change history of a tree of photos; trees with the same home folder share one."""
        home = home_of(root)
        with self._lock:
            if home not in self._histories:
                self._histories[home] = History(home, self.photos)
            return self._histories[home]

    def shared(self, make: Callable[[Context], _T]) -> _T:
        """Return `make(self)`, made at the first call and the same object ever after."""
        with self._lock:
            if make not in self._shared:
                self._shared[make] = make(self)
            return cast(_T, self._shared[make])

    def at_end(self, action: Callable[[], None]) -> None:
        """Register a function to be called when the studio ends."""
        self._at_end.append(action)

    async def computed(self, function: Callable[..., _T], *args: object) -> _T:
        """Run `function` in the compute thread and return its result."""
        return await asyncio.get_running_loop().run_in_executor(self.compute, function, *args)

    def safe_run(self, name: str) -> Path:
        """Return the folder of a run.

        Args:
            name: `<experiment>/version_<N>`.

        Raises:
            HTTPException: 404 if the name is malformed or there is no such folder below the folder of the runs.
        """
        logs = self.settings.logs.resolve()
        if _RUN.fullmatch(name) and not name.startswith("."):
            folder = self.settings.logs / name
            # Resolved: a link must not lead out of the folder of the runs.
            if folder.is_dir() and folder.resolve().is_relative_to(logs):
                return folder
        raise HTTPException(404, "there is no such run")

    def checkpoint_run(self) -> str:
        """Return the id of the current checkpoint's run, or its file name outside a run; empty without one."""
        checkpoint = self.settings.checkpoint
        if checkpoint is None:
            return ""
        run = project.run_of_checkpoint(checkpoint)
        return checkpoint.name if run is None else f"{run.parent.name}/{run.name}"

    def clean(self, text: str) -> str:
        """Return a text for the page: paths relative to the studio's folders, and only characters JSON can hold."""
        settings = self.settings
        for folder in (settings.inbox, settings.logs, settings.data, project.ROOT):
            for form in {str(folder), str(folder.absolute()), str(folder.resolve())}:
                if len(form) > 1:
                    text = text.replace(f"{form}/", "" if folder == project.ROOT else f"{folder.name}/")
        return printable(_ABSOLUTE.sub("…/", text))

    def close(self) -> None:
        """End the threads after the work in progress, and close the journals."""
        for action in self._at_end:
            action()
        for history in self._histories.values():
            history.close()
        self.pictures.close()
        self.compute.shutdown(wait=False, cancel_futures=True)


def _context(request: Request) -> Context:
    return cast(Context, request.app.state.context)


#: Parameter of a route that needs the application state.
CurrentContext = Annotated[Context, Depends(_context)]


def stamp(*paths: Path) -> Stamp:
    """Return the stamp of the files that exist."""
    found = []
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue
        found.append((path.name, status.st_mtime_ns, status.st_size))
    return tuple(found)


def printable(text: str) -> str:
    """Return a text that JSON can hold: undecodable bytes and halves of signs become the replacement character."""
    return _SURROGATES.sub("\ufffd", text)
