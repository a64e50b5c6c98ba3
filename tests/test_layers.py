"""Imports go one way: a stage knows the stages to its left and the single files at the top, but not the commands."""

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
#: Modules that know every stage, and that no stage knows.
COMMANDS = ["commands", "collect_commands"]


def imported(path: Path) -> Iterator[str]:
    """Yield the dotted names below bball_pl that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_no_module_imports_from_a_stage_to_its_right() -> None:
    found = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
    assert set(found) <= set(STAGES)
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path == PACKAGE / "__init__.py":
            continue  # the public names, imported on first use
        parts = path.relative_to(PACKAGE).parts
        order = [*STAGES, *COMMANDS]
        rank = order.index(parts[0].removesuffix(".py")) if parts[0].removesuffix(".py") in order else -1
        if path.name == "cli.py":
            continue  # it finds the commands when a command line is read
        for name in imported(path):
            names = name.split(".")
            if path.stem in COMMANDS and names[1:2] in [[command] for command in COMMANDS]:
                continue
            if names[0] == "bball_pl" and len(names) > 1 and names[1] in order and order.index(names[1]) > rank:
                wrong.append(f"{'/'.join(parts)} imports {name}")
    assert not wrong, "\n".join(wrong)
