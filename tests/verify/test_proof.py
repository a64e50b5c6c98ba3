"""The proof on disk: every byte of an export is bound, and a change shows without a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bball_pl import cli
from bball_pl.errors import VerificationError
from bball_pl.verify.inspection import Gate
from bball_pl.verify.proof import verify_folder, write_proof


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.mlpackage" / "Data").mkdir(parents=True)
    (tmp_path / "model.mlpackage" / "Data" / "weight.bin").write_bytes(bytes(range(256)))
    (tmp_path / "model.onnx").write_bytes(b"graph")
    write_proof(tmp_path, {"passed": True, "description": "球", "files": [{"largest_difference": 1e-5}]})
    return tmp_path


def failed(folder: Path) -> dict[str, Gate]:
    return {gate.name: gate for gate in verify_folder(folder) if not gate.passed}


def test_an_unchanged_export_is_as_it_was_proven(folder: Path) -> None:
    assert failed(folder) == {}
    names = [gate.name for gate in verify_folder(folder)]
    assert names == ["parity.json", "proven", "model.mlpackage/Data/weight.bin", "model.onnx"]
    facts = json.loads((folder / "parity.json").read_text(encoding="utf-8"))
    assert facts["tools"]["python"]
    assert facts["tools"]["coremltools"]


@pytest.mark.parametrize("place", [0, 100, 255])
def test_every_changed_byte_is_reported(folder: Path, place: int) -> None:
    file = folder / "model.mlpackage" / "Data" / "weight.bin"
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    assert list(failed(folder)) == ["model.mlpackage/Data/weight.bin"]


def test_missing_and_added_files_are_reported(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    (folder / "extra.txt").write_text("new")
    (folder / ".DS_Store").write_text("of a Mac")
    gates = failed(folder)
    assert {name: gate.found for name, gate in gates.items()} == {"extra.txt": "present", "model.onnx": "missing"}


def test_a_changed_figure_is_reported(folder: Path) -> None:
    path = folder / "parity.json"
    path.write_text(path.read_text(encoding="utf-8").replace("1e-05", "1e-06"), encoding="utf-8")
    assert list(failed(folder)) == ["parity.json"]


def test_an_export_that_was_not_proven_stays_so(folder: Path) -> None:
    write_proof(folder, {"passed": False})
    assert list(failed(folder)) == ["proven"]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"passed": true}', '{"passed": true, "sha256": 3}'])
def test_what_is_no_proof_is_refused(folder: Path, content: str) -> None:
    (folder / "parity.json").write_text(content)
    with pytest.raises(VerificationError, match=r"parity\.json is no proof"):
        verify_folder(folder)
    (folder / "parity.json").unlink()
    with pytest.raises(VerificationError, match=r"has no parity\.json"):
        verify_folder(folder)


def test_the_command_lists_what_changed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(words=["verify", str(folder)])
    assert "all 2 files" in capsys.readouterr().out
    (folder / "model.onnx").write_bytes(b"Graph")
    with pytest.raises(SystemExit) as ended:
        cli.main(words=["verify", str(folder)])
    assert ended.value.code == 3
    captured = capsys.readouterr()
    assert captured.out.startswith("model.onnx: found ")
    assert "not the export that was proven" in captured.err
