"""What one start of the studio is told: where things lie, where it listens, and who may come in."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from bball_pl.classes import MOVES
from bball_pl.errors import ConfigError
from bball_pl.runs import LOGS, ROOT

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
    moves: Path = ROOT / "docs" / "moves.md"
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
