"""Imports go one way: a stage knows the stages to its left and the single files at the top, and no other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import bball_pl

PACKAGE = Path(bball_pl.__file__).parent
STAGES = [
    *("photos", "collect", "court", "data", "model", "audit", "split"),
    *("evaluate", "predict", "verify", "export", "studio"),
]


def imported(path: Path) -> Iterator[str]:
    """Yield the dotted names below bball_pl that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_no_module_imports_from_a_stage_to_its_right() -> None:
    found = sorted({path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name[0] not in "_."})
    assert set(found) <= set(STAGES)
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path == PACKAGE / "__init__.py":
            continue  # the public names, imported on first use
        parts = path.relative_to(PACKAGE).parts
        own = STAGES.index(parts[0]) if len(parts) > 1 else -1
        for name in imported(path):
            names = name.split(".")
            if names[0] == "bball_pl" and len(names) > 1 and names[1] in STAGES and STAGES.index(names[1]) > own:
                wrong.append(f"{'/'.join(parts)} imports {name}")
    assert not wrong, "\n".join(wrong)
