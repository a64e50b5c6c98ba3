"""Show Core ML the photos of this kit, compare its answers with those of the trained model, and time it.

python3 check_parity.py [MODEL.mlpackage | MODEL.mlmodel]
"""

import datetime
import hashlib
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import coremltools
from PIL import Image

UNITS = {"cpuOnly": "CPU_ONLY", "cpuAndNeuralEngine": "CPU_AND_NE", "all": "ALL"}
ANSWERS = 60


def fingerprint(path: Path) -> str:
    """SHA-256 of a file; of a package over a line `<sha256>  <path>` for each file, sorted, without hidden ones."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    files = (file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    found = {file.relative_to(path).as_posix(): file for file in files}
    lines = (f"{fingerprint(found[name])}  {name}\n" for name in sorted(found, key=str.encode))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def milliseconds(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what `work` returns, and how long it took."""
    started = time.perf_counter()
    result = work()
    return result, 1000 * (time.perf_counter() - started)


def device() -> str:
    """Model of this Mac, such as Mac14,2."""
    done = subprocess.run(["sysctl", "-n", "hw.model"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or platform.machine()


def check(path: Path, compute: str, expected: dict, tolerance: float) -> dict:
    """Return the measurements with one choice of compute units, and print a line per photo that differs."""

    def load() -> Any:
        return coremltools.models.MLModel(str(path), compute_units=getattr(coremltools.ComputeUnit, UNITS[compute]))

    _, cold = milliseconds(load)
    model, warm = milliseconds(load)
    items = expected["photos"]
    photos = [Image.open(here / item["photo"]).convert("RGB") for item in items]
    largest, same, failed, times = 0.0, 0, 0, []
    for number in range(max(ANSWERS, len(items))):
        item, photo = items[number % len(items)], photos[number % len(items)]
        answer, took = milliseconds(partial(model.predict, {expected["image"]: photo}))
        times.append(took)
        if number >= len(items):
            continue
        shares, wanted = answer[expected["probabilities"]], item["probabilities"]
        difference = max(abs(shares[label] - share) for label, share in wanted.items())
        said, right = max(shares, key=shares.get), max(wanted, key=wanted.get)
        first, second = sorted(wanted.values(), reverse=True)[:2]
        good = difference <= tolerance and (said == right or first - second < tolerance)
        largest, same, failed = max(largest, difference), same + (said == right), failed + (not good)
        if not good:
            print(
                f"FAIL {compute} {item['photo']}: {said} {shares[said]:.4f}, expected {right} {wanted[right]:.4f}, "
                f"largest difference {difference:.4f}"
            )
    times.sort()
    return {
        "compute": compute,
        "passed": failed == 0,
        "largest_difference": largest,
        "same_answers": same / len(items),
        "vision": None,  # only Swift can call Vision: check.swift measures it
        "cold_ms": cold,
        "warm_ms": warm,
        "p50_ms": statistics.median(times),
        "p95_ms": times[int(0.95 * (len(times) - 1))],
        "thermal": "unknown",
    }


here = Path(__file__).resolve().parent
expected = json.loads((here / "expected.json").read_text(encoding="utf-8"))
path = Path(sys.argv[1]) if len(sys.argv) > 1 else here.parent / expected["model"]
tolerance = expected["tolerances"].get(path.name, expected["tolerance"])
runs = [check(path, compute, expected, tolerance) for compute in UNITS]
for run in runs:
    print(
        f"{'ok  ' if run['passed'] else 'FAIL'} {run['compute']}: {run['same_answers']:.0%} same answers, "
        f"largest difference {run['largest_difference']:.4f}; loading {run['cold_ms']:.0f} ms, then "
        f"{run['warm_ms']:.0f} ms; an answer {run['p50_ms']:.1f} ms, 95 % below {run['p95_ms']:.1f} ms"
    )
record = {
    "schema": 1,
    "tool": "check_parity.py",
    "device": device(),
    "system": f"macOS {platform.mac_ver()[0]}" if platform.mac_ver()[0] else platform.platform(),
    "date": datetime.date.today().isoformat(),
    "model": {"file": path.name, "sha256": fingerprint(path)},
    "photos": len(expected["photos"]),
    "tolerance": tolerance,
    "runs": runs,
}
out = Path("device.json")
out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
failed = sum(not run["passed"] for run in runs)
print(f"{'FAIL' if failed else 'PASS'}: {len(runs) - failed} of {len(runs)} choices of compute units; written to {out}")
sys.exit(1 if failed else 0)
