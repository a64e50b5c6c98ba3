"""How the tests start scripts/studio.py: the real server in a process of its own, and what they ask it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from helpers.forked import start_python

ROOT = Path(__file__).resolve().parents[2]
STUDIO = ROOT / "scripts" / "studio.py"


@dataclass
class Reply:
    """An answer of the server."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Studio:
    """A studio of its own process; use it as a context manager."""

    folder: Path
    options: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    said: list[str] = field(default_factory=list)

    def __enter__(self) -> Studio:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def start(self) -> None:
        """Start it, on the port of an earlier start if there was one."""
        options = [f"--{name}={self.folder / name}" for name in ("data", "logs", "exports")]
        options.append(f"--port={self.port}")
        (self.folder / "data").mkdir(exist_ok=True)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("BBALL_STUDIO")}
        self.process = start_python(
            [STUDIO, *options, "--no-suggest", *self.options],
            env=environment | {"OMP_NUM_THREADS": "1"} | dict(self.variables),
            merge=True,
        )
        for line in self.process.stdout:
            self.said.append(line)
            if match := re.search(r"http://(?:[^/\s:]+|\[[^]]+\]):(\d+)/", line):
                self.port = int(match[1])
                break
        else:
            raise AssertionError("".join(self.said))
        # What else it says must not fill the pipe.
        threading.Thread(target=self.said.extend, args=(self.process.stdout,), daemon=True).start()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Reply:
        """Send one request exactly as given; a header of None is left out."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        wanted = {"Host": f"127.0.0.1:{self.port}"} | dict(headers or {})
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in wanted.items():
                if value is not None:
                    connection.putheader(name, value)
            if body is not None and "Content-Length" not in wanted:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            reply = connection.getresponse()
            found = {name.lower(): value for name, value in reply.getheaders()}
            return Reply(reply.status, found, reply.read())
        finally:
            connection.close()

    def get(self, path: str, headers: Mapping[str, str | None] | None = None) -> Any:
        """Return the JSON of an address, which must be there."""
        reply = self.ask("GET", path, headers=headers)
        assert reply.status == 200, reply
        return reply.json

    def post(self, path: str, content: object, expect: int = 200, **headers: str | None) -> Any:
        """Send JSON as the page does, and return the JSON of the answer."""
        own = {"Content-Type": "application/json", "X-Studio-CSRF": self.csrf, "Origin": self.url}
        changed = {name.replace("_", "-"): value for name, value in headers.items()}
        reply = self.ask("POST", path, json.dumps(content).encode(), own | changed)
        assert reply.status == expect, reply
        return reply.json

    @property
    def csrf(self) -> str:
        return str(self.get("/api/session")["csrf"])


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def paint_inbox(folder: Path, count: int, source: str = "league", albums: int = 2) -> list[Path]:
    """Paint photos that wait to be sorted; no two are alike."""
    paths = []
    for number in range(count):
        path = folder / "data" / "inbox" / source / "unsorted" / f"game {number % albums}" / f"p{number:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((48, 64, 3), ((number * 7) % 256, (number * 53) % 256, (number * 101) % 256), np.uint8)
        Image.fromarray(pixels).save(path, quality=90)
        paths.append(path)
    return paths


def photos_below(folder: Path) -> list[str]:
    """Return the names of all photos, wherever they are."""
    return sorted(path.name for path in folder.rglob("*.jpg") if "labels" not in path.name)
