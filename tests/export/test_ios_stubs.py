"""The app against declarations of Apple's API: every symbol is in a table of versions, and the types fit."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.ios_stubs import STUBS, module_of, symbols, versions
from helpers.ios_swift import APP, IOS, app_files, code, of_type, swift_files, text, tree, walk

#: The version that the app is for.
MINIMUM = 16.0
FROM_LINUX = {"Foundation", "Dispatch"}
swiftc = shutil.which("swiftc")
needs_swift = pytest.mark.skipif(
    swiftc is None or sys.platform == "darwin", reason="there is no Swift on this machine, or Apple's own"
)


def test_the_table_has_every_symbol_with_its_version() -> None:
    table, declared = versions(), symbols()
    assert set(table) == declared
    assert len(declared) > 400
    modules = {path.stem for path in STUBS.glob("*.swift")}
    imported = {
        text(node).split()[-1] for path in app_files() for node in of_type(tree(path), "import_declaration")
    } - FROM_LINUX
    assert imported <= modules, "what the app imports is declared"


def test_newer_symbols_are_used_behind_a_check_only() -> None:
    newer = {symbol: ios for symbol, ios in versions().items() if ios > MINIMUM}
    assert newer, "there are some, so that this test looks at something"
    names = {}
    for (_, symbol), ios in newer.items():
        names[symbol.partition("(")[0].rpartition(".")[2]] = ios
    names.pop("init", None)
    used = set()
    for path in app_files():
        for node in walk(tree(path)):
            if node.type == "simple_identifier" and text(node) in names:
                used.add(text(node))
                assert names[text(node)] <= _checked_for(node), f"{path.name}: {text(node)} is newer than iOS 16"
    assert {"RotationCoordinator", "videoRotationAngle"} <= used


def _checked_for(node: object) -> float:
    """The version of iOS that is known to be there around a node."""
    inner, around = node, node.parent  # type: ignore[attr-defined]
    while around is not None:
        if around.type == "if_statement":
            found = re.match(r"if #available\(iOS (\d+\.\d+), \*\) \{", text(around))
            first = next(child for child in around.children if child.type == "{")
            otherwise = [child for child in around.children if text(child) == "else"]
            before_else = not otherwise or inner.start_byte < otherwise[0].start_byte  # type: ignore[attr-defined]
            if found and inner.start_byte > first.start_byte and before_else:  # type: ignore[attr-defined]
                return float(found[1])
        inner, around = around, around.parent
    return MINIMUM


def test_the_check_of_versions_notices_a_missing_one(tmp_path: Path) -> None:
    guarded = tmp_path / "a.swift"
    guarded.write_text(
        "func f() {\n    if #available(iOS 17.0, *) {\n        newer()\n    } else {\n        older()\n    }\n}\n"
    )
    versions_of = {text(node): _checked_for(node) for node in walk(tree(guarded)) if text(node) in {"newer", "older"}}
    assert versions_of == {"newer": 17.0, "older": MINIMUM}


def test_modules_are_compiled_in_an_order_that_works() -> None:
    script = (IOS / "check-types.sh").read_text(encoding="utf-8")
    order = [*re.findall(r"for name in ([\w \\\n]+);", script)[0].replace("\\", "").split(), "SwiftUI", "PhotosUI"]
    assert set(order) == {module_of(path) for path in STUBS.glob("*.swift")}
    for path in STUBS.glob("*.swift"):
        for node in of_type(tree(path), "import_declaration"):
            module = text(node).split()[-1]
            assert module in FROM_LINUX or order.index(module) < order.index(module_of(path)), path.name


@pytest.fixture(scope="module")
def ios(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the folder, with the stubs compiled."""
    copy = tmp_path_factory.mktemp("ios") / "ios"
    shutil.copytree(IOS, copy, ignore=shutil.ignore_patterns(".build", "Export"))
    done = _check(copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning:" not in done.stderr
    return copy


def _check(ios: Path) -> subprocess.CompletedProcess[str]:
    command = [str(ios / "check-types.sh"), str(ios.parent / "modules")]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=os.environ)


#: File, what stands there, a slip, and a word of the compiler's message.
SLIPS = [
    ("Camera/LiveModel.swift", "outcome = .startFailed", "outcome = .startedTwice", "startedTwice"),
    ("Screens/AboutScreen.swift", "Fact(L(", "Fact(1, L(", "Int"),
    ("Model/Classifier.swift", ".scaleFill: return .scaleFill", ".scaleFill: return .stretch", "stretch"),
]


def test_the_slips_can_be_planted() -> None:
    for file, old, _, _ in SLIPS:
        assert old in (APP / file).read_text(encoding="utf-8"), file


@needs_swift
@pytest.mark.parametrize(("file", "old", "new", "word"), SLIPS)
def test_the_app_fits_the_declarations_and_slips_are_noticed(
    ios: Path, file: str, old: str, new: str, word: str
) -> None:
    path = ios / APP.name / file
    source = path.read_text(encoding="utf-8")
    path.write_text(source.replace(old, new, 1), encoding="utf-8")
    try:
        done = _check(ios)
        assert done.returncode != 0
        assert word in done.stderr
    finally:
        path.write_text(source, encoding="utf-8")


@needs_swift
def test_swift_format_has_nothing_to_say() -> None:
    swift = shutil.which("swift")
    assert swift is not None
    command = [swift, "format", "lint", "--strict", "--configuration", str(IOS / ".swift-format")]
    found = subprocess.run([*command, *map(str, swift_files())], capture_output=True, text=True, check=False)
    if "unable to find" in found.stderr or "unknown subcommand" in found.stderr:
        pytest.skip("this Swift has no swift-format")
    assert found.returncode == 0, found.stderr


def test_no_stub_gets_into_the_app() -> None:
    assert "Stubs" not in code(APP / "Package.swift")
    assert not (APP / "Stubs").exists()
