"""Memory that the studio holds while big photos are uploaded and shown, and afterwards.

    python benchmarks/studio_memory.py
    python benchmarks/studio_memory.py --uploads 40 --ckpt lightning_logs/demo/version_0/checkpoints/best.ckpt

`scripts/studio.py` serves a temporary folder. Big photos of all kinds are sent to Try one after the other, every tenth
one with its heat map; the same photos lie in the inbox, where Sort fetches them in display size and as small pictures
while the model looks at them. Wanted: at most 600 MB more than an empty studio, once the last answer is there.
"""

from __future__ import annotations

import http.client
import io
import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pillow_heif
from jsonargparse import auto_cli
from PIL import Image
from rich.console import Console
from rich.table import Table

from bball_pl.errors import ConfigError, exit_on_error
from bball_pl.model.court_weights import court_checkpoint
from bball_pl.project import ROOT

#: Format and size in pixels of the photos; the PNG is one colour, 7 kB for 149 megapixels.
_PHOTOS = (
    ("JPEG", (8064, 6048)),
    ("PNG", (12200, 12200)),
    ("JPEG", (4032, 3024)),
    ("WEBP", (6000, 4000)),
    ("HEIF", (4032, 3024)),
    ("AVIF", (6000, 4000)),
    ("PNG", (5000, 4000)),
    ("JPEG", (12000, 9000)),
)
_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "HEIF": ".heic", "AVIF": ".avif"}


def studio_memory(uploads: int = 100, ckpt: Path | None = None) -> None:
    """Print the memory of the studio before, during and after uploads of big photos.

    Args:
        uploads: photos that are sent to Try.
        ckpt: checkpoint that answers. Default: the one in the package.
    """
    pillow_heif.register_heif_opener()
    contents = [(_SUFFIXES[form], _photo(form, size)) for form, size in _PHOTOS]
    rows: list[tuple[str, int]] = []
    with tempfile.TemporaryDirectory(prefix="studio_memory.") as name:
        home = Path(name)
        inbox = home / "data" / "inbox" / "bench" / "unsorted" / "album"
        inbox.mkdir(parents=True)
        for number, (suffix, content) in enumerate(contents):
            (inbox / f"{number}{suffix}").write_bytes(content)
        server, port = _server(home, ckpt or court_checkpoint())
        client = _Client(port)
        try:
            rows.append(("page served", _held(server.pid)))
            small = io.BytesIO()
            Image.new("RGB", (640, 480), "navy").save(small, "JPEG")
            client.answer(small.getvalue())
            client.explain(small.getvalue())
            rows.append(("the model is open and has answered a small photo", _held(server.pid)))
            shown = threading.Thread(target=client.show, args=(len(contents),))
            shown.start()
            started = time.perf_counter()
            for number in range(uploads):
                content = contents[number % len(contents)][1]
                client.answer(content)
                if number % 10 == 9:
                    client.explain(content)
            shown.join()
            seconds = (time.perf_counter() - started) / uploads
            rows.append((f"after {uploads} uploads", _held(server.pid)))
            time.sleep(30)
            rows.append(("30 seconds later", _held(server.pid)))
            rows.append(("highest", _status(server.pid, "VmHWM")))
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(60)
    table = Table(title=f"{uploads} uploads, {seconds:.1f} s each")
    table.add_column("")
    table.add_column("MB", justify="right")
    for what, kilobytes in rows:
        table.add_row(what, f"{kilobytes / 1e3:,.0f}")
    Console().print(table)


def _photo(form: str, size: tuple[int, int]) -> bytes:
    if form == "PNG" and size[0] > 10_000:
        image = Image.new("1", size)
    else:
        # A photo's mixture of edges and soft areas, small enough for the limit of an upload.
        rough = np.random.default_rng(size[0]).integers(0, 256, (size[1] // 64, size[0] // 64, 3), dtype=np.uint8)
        image = Image.fromarray(rough).resize(size, Image.Resampling.BILINEAR)
    file = io.BytesIO()
    image.save(file, form, **({"speed": 9} if form == "AVIF" else {}))
    return file.getvalue()


def _server(home: Path, ckpt: Path) -> tuple[subprocess.Popen[str], int]:
    options = [f"--{name}={home / name}" for name in ("data", "logs", "exports")]
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "studio.py"), *options, "--port=0", f"--ckpt={ckpt.absolute()}"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    for line in server.stdout:
        if match := re.search(r"http://[^:]+:(\d+)/", line):
            return server, int(match[1])
    raise ConfigError(f"the studio ended with status {server.wait()}")


class _Client:
    """Requests to the studio, as its page sends them.

    Args:
        port: port of the server.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._csrf = json.loads(self._ask("GET", "/api/session"))["csrf"]

    def answer(self, content: bytes) -> None:
        """Send a photo to Try."""
        self._ask("POST", "/api/try/answer", content)

    def explain(self, content: bytes) -> None:
        """Ask for the heat map of a photo."""
        self._ask("POST", "/api/try/explain", content)

    def show(self, count: int) -> None:
        """Fetch the photos of the inbox as Sort does."""
        body = json.dumps({"tab": "bench", "count": count}).encode()
        found = json.loads(self._ask("POST", "/api/sort/next", body, "application/json"))
        for photo in found["photos"]:
            for size in ("display", "thumb"):
                self._ask("GET", f"/api/photos/{photo['id']}/{size}")

    def _ask(self, method: str, path: str, body: bytes | None = None, kind: str = "image/jpeg") -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=300)
        try:
            headers = {"X-Studio-CSRF": self._csrf, "Content-Type": kind} if body is not None else {}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise ConfigError(f"{path} answered {answer.status}: {content[:200].decode(errors='replace')}")
            return content
        finally:
            connection.close()


def _held(process: int) -> int:
    return _status(process, "VmRSS")


def _status(process: int, key: str) -> int:
    """Return a figure of a process in kB."""
    text = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace")
    return int(re.search(rf"^{key}:\s+(\d+) kB", text, re.MULTILINE)[1])  # type: ignore[index]


if __name__ == "__main__":
    with exit_on_error():
        auto_cli(studio_memory, as_positional=True)
