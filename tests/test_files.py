"""Files that are whole or not there."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bball_pl.files import atomic_path, write_bytes, write_text


def _write_half(path: Path, failure: type[BaseException]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        raise failure


def test_an_exception_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_text(path, "old")
    for failure in (ValueError, KeyboardInterrupt):
        with pytest.raises(failure):
            _write_half(path, failure)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_is_whole_in_new_folders_with_the_umask_of_the_process(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "names.csv"
    program = "import sys; from bball_pl.files import write_text; write_text(sys.argv[1], '運球\\n投籃\\n')"
    subprocess.run([sys.executable, "-c", program, str(path)], check=True, umask=0o027)
    assert path.read_bytes() == "運球\n投籃\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    write_bytes(path, b"\r\n\x00")
    assert path.read_bytes() == b"\r\n\x00"
    assert list(path.parent.iterdir()) == [path]


def test_the_temporary_file_keeps_the_suffix_that_decides_the_format(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "weights.safetensors") as temporary:
        assert temporary.suffix == ".safetensors"
        assert temporary.parent == tmp_path
        temporary.write_bytes(b"x")
