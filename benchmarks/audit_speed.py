"""How long an audit of many photos takes, and how much memory; with or without the doubt about labels.

    python benchmarks/audit_speed.py
    python benchmarks/audit_speed.py --scenes data/s10000 --counts [1000,3000,10000]
    python benchmarks/audit_speed.py --labels true --counts [1000,3000]

Scenes of the demo court, JPEG of 640 × 427 pixels and the like. Each size is audited in a process of its own with an
empty store, the whole of `scripts/audit.py` with its report; then once more, when everything is known.
Wanted on 2 cores: 10,000 photos in at most 6 minutes without labels and 15 with them, 2 GB, growing about linearly.
CPU seconds (user + system) hardly depend on what else the machine does; over the number of cores, they are the least
that a quiet machine needs.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import auto_cli
from rich.console import Console
from rich.table import Table

from bball_pl.court.demo_dataset import write_demo
from bball_pl.photos.dataset_layout import scan_dataset
from bball_pl.photos.photos_csv import read_photos_csv, write_photos_csv
from bball_pl.project import ROOT

#: Demo court that has nothing to do with the one of `scripts/demo.py`.
_RENDERED = 12


def main(scenes: Path | None = None, counts: Sequence[int] = (1000, 3000, 10000), labels: bool = False) -> None:
    """Audit so many photos and print a table.

    Args:
        scenes: folder of a rendered demo court of that many scenes; rendered into it if it is not there, which takes
            minutes, and anew each time unless given.
        counts: numbers of photos.
        labels: looks for doubtful labels as well, which takes most of an audit's time.
    """
    table = Table("photos", "wall s", "CPU s", "CPU ms/photo", "memory MB", "again, wall s", "page MB")
    for column in table.columns:
        column.justify = "right"
    with tempfile.TemporaryDirectory() as folder:
        root = scenes or Path(folder) / "scenes"
        if not (root / "photos.csv").is_file():
            most = max(counts)
            write_demo(root, most - most // 5, most // 5, _RENDERED, None)
        for count in counts:
            part = _part(root, Path(folder) / f"of-{count}", count)
            out, cache = Path(folder) / f"out-{count}", Path(folder) / f"cache-{count}"
            wall, cpu, memory = _audit(part, out, cache, labels)
            again, _, _ = _audit(part, out, cache, labels)
            page = (out / "audit.html").stat().st_size
            figures = f"{wall:.0f}", f"{cpu:.0f}", f"{1000 * cpu / count:.0f}", f"{memory / 1e6:.0f}"
            table.add_row(f"{count:,}", *figures, f"{again:.0f}", f"{page / 1e6:.1f}")
    console = Console()
    console.print(table)
    console.print(f"{os.cpu_count()} cores")


def _part(root: Path, out: Path, count: int) -> Path:
    """Link the first photos of both splits into a dataset of `count`, in their shares."""
    photos = scan_dataset(root).photos
    chosen = {photos[place * len(photos) // count].relative for place in range(min(count, len(photos)))}
    for relative in chosen:
        (out / relative).parent.mkdir(parents=True, exist_ok=True)
        (out / relative).symlink_to((root / relative).absolute())
    write_photos_csv(out / "photos.csv", [own for own in read_photos_csv(root / "photos.csv") if own.path in chosen])
    return out


def _audit(root: Path, out: Path, cache: Path, labels: bool) -> tuple[float, float, int]:
    """Run the script; return wall and CPU seconds, and the most memory of any audit until now in bytes."""
    script = ROOT / "scripts" / "audit.py"
    command = [sys.executable, script, root, "--out", out, "--cache_dir", cache, *([] if labels else ["--no-labels"])]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    # Linux counts in kB, macOS in bytes.
    return wall, cpu, after.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
