"""The npm packages that the JavaScript of an export's README needs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest


def node_packages() -> Path:
    """Return a folder node_modules with onnxruntime-web and jpeg-js, or skip the test.

    `.ci/run` installs them into the user's cache, and another folder can be named by BBALL_NODE_PACKAGES.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("BBALL_NODE_PACKAGES") or cache / "bball_pl" / "npm") / "node_modules"
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    if not (folder / "onnxruntime-web").is_dir() or not (folder / "jpeg-js").is_dir():
        pytest.skip(f"onnxruntime-web and jpeg-js are not in {folder}: npm install --prefix {folder.parent} …")
    return folder
