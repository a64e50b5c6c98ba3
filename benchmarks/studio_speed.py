"""Milliseconds from a key to the next photo in the studio's Sort, in a real browser.

    python benchmarks/studio_speed.py data/demo
    python benchmarks/studio_speed.py ALBUM --keys 300 --ckpt lightning_logs/demo/version_0/checkpoints/best.ckpt

The photos of a folder are hard-linked (or copied) into an inbox of a temporary folder, and `scripts/studio.py` serves
it. A key is pressed as soon as the photo before is on screen; when the new photo is decoded, in the page and painted,
the clock stops, inside the browser: the test program's own way there and back is not in it. Wanted: a median below
100 ms on 10,000 photos, and 40 photos a minute, which is 1,500 ms for each.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from jsonargparse import auto_cli
from rich.console import Console
from rich.table import Table

from bball_pl.errors import ConfigError, DatasetError, exit_on_error
from bball_pl.photos.tree import IMAGE_SUFFIXES
from bball_pl.project import ROOT

#: Presses keys in the page and notes for each how long it took until another photo was shown.
_PRESS = """async ([keys, pause]) => {
  const shown = () => document.querySelector('.stage img');
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const times = [];
  for (let number = 0; number < keys; number++) {
    const before = shown();
    const start = performance.now();
    dispatchEvent(new KeyboardEvent('keydown', { key: String(1 + number % 3), code: `Digit${1 + number % 3}` }));
    while (shown() === before || !shown()?.complete || document.querySelector('.stage.loading')) await frame();
    // The second frame begins when the first one, with the photo in it, has been painted.
    await frame();
    await frame();
    times.push(performance.now() - start);
    if (pause) await new Promise((done) => setTimeout(done, pause));
  }
  return times;
}"""


def studio_speed(folder: Path, keys: int = 200, pause: int = 300, ckpt: Path | None = None) -> None:
    """Print how long it takes from a key to the next photo.

    Args:
        folder: with photos, at any depth.
        keys: how many are pressed.
        pause: between a photo and the next key, in milliseconds; 0 presses as fast as the page follows.
        ckpt: a checkpoint that looks at all photos meanwhile.
    """
    program = shutil.which("chromium")
    if program is None:
        raise ConfigError("there is no chromium on this machine; install Debian's package chromium")
    with tempfile.TemporaryDirectory(prefix="studio_speed.") as name:
        home = Path(name)
        photos = _inbox(folder, home)
        server, url, seconds = _server(home, ckpt)
        try:
            first, times = _press(program, url, min(keys, photos - 1), pause)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)
        saved = sum(1 for _ in (home / "data" / "labels.csv").open(encoding="utf-8")) - 1
    table = Table(title=f"{photos:,} photos, {len(times)} keys, {'with' if ckpt else 'without'} a model at work")
    table.add_column("")
    table.add_column("ms", justify="right")
    deciles = statistics.quantiles(times, n=20)
    rows = [
        ("from start to the address", seconds * 1000),
        ("from the address to the first photo", first * 1000),
        ("key to next photo, median", statistics.median(times)),
        ("95th percentile", deciles[18]),
        ("longest", max(times)),
    ]
    for what, value in rows:
        table.add_row(what, f"{value:,.0f}")
    Console().print(table)
    print(f"{saved} lines in labels.csv; {60_000 / (statistics.mean(times) + pause):.0f} photos a minute")


def _inbox(folder: Path, home: Path) -> int:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    if len(found) < 3:
        raise DatasetError(f"{folder} has {len(found)} photos; expected three or more")
    for number, path in enumerate(found):
        album = home / "data" / "inbox" / "bench" / "unsorted" / f"album {number // 500:03}"
        album.mkdir(parents=True, exist_ok=True)
        target = album / f"{number:06}{path.suffix.lower()}"
        try:
            os.link(path.resolve(), target)
        except OSError:
            shutil.copyfile(path, target)
    return len(found)


def _server(home: Path, ckpt: Path | None) -> tuple[subprocess.Popen[str], str, float]:
    options = [f"--data={home / 'data'}", "--port=0", *([f"--ckpt={ckpt.absolute()}"] if ckpt else ["--no-suggest"])]
    start = time.perf_counter()
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "studio.py"), *options], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    for line in server.stdout:
        if match := re.search(r"http://\S+", line):
            return server, match[0], time.perf_counter() - start
    raise ConfigError(f"the studio ended with status {server.wait()}")


def _press(program: str, url: str, keys: int, pause: int) -> tuple[float, list[float]]:
    # A dependency of the tests, not of the package.
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--headless", "--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        start = time.perf_counter()
        page.goto(url)
        page.wait_for_selector(".stage img")
        first = time.perf_counter() - start
        page.wait_for_timeout(1_000)
        times: list[float] = page.evaluate(_PRESS, [keys, pause])
        page.wait_for_selector('.view[data-saving="0"]')
        browser.close()
    return first, times


if __name__ == "__main__":
    with exit_on_error():
        auto_cli(studio_speed, as_positional=True)
