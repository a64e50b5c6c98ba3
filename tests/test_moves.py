"""The written definition of the moves, as a person and a program read it."""

from __future__ import annotations

from pathlib import Path

from bball_pl.moves import MOVES, MOVES_FILE, display_name, read_definitions


def test_every_move_is_defined() -> None:
    definitions = read_definitions()
    headings = [own.heading for own in definitions]
    assert sorted(headings[:-1]) == sorted(display_name(move.name) for move in MOVES)
    assert headings[-1] == "When in doubt"
    for own in definitions:
        assert len(own.rules) >= 4
        assert all(rule[0].isupper() and rule.endswith((".", "!")) for rule in own.rules), own.heading
    text = MOVES_FILE.read_text(encoding="utf-8").lower()
    for case in ("floater", "dunk", "free throw", "tip-in", "pump fake", "pass", "one foot", "both feet"):
        assert case in text, f"nothing is said of: {case}"


def test_marks_and_line_ends_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "moves.md"
    path.write_text("# Title\n\n## jump 跳\n\nA **short**\nintroduction.\n\n- One **rule**\n  on two lines.\n- Two.\n")
    (own,) = read_definitions(path)
    assert (own.heading, own.name, own.intro) == ("jump 跳", "jump", "A short introduction.")
    assert own.rules == ["One rule on two lines.", "Two."]


def test_without_the_file_there_is_none(tmp_path: Path) -> None:
    assert read_definitions(tmp_path / "nowhere.md") == []


def test_the_translation_has_the_same_sections_and_as_many_rules() -> None:
    english = read_definitions()
    chinese = read_definitions(MOVES_FILE.with_suffix(".zh-Hant.md"))
    assert [own.heading for own in chinese[:3]] == [own.heading for own in english[:3]]
    assert [len(own.rules) for own in chinese] == [len(own.rules) for own in english]
    assert all(rule.endswith("。") for own in chinese for rule in own.rules)
