"""How the tests call `bball verify`."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bball_pl import cli


def verified(words: Sequence[object], expect: int, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """Run `bball verify` in this process; return what it wrote to standard output and standard error."""
    status: object = 0
    capsys.readouterr()
    try:
        cli.main(words=["verify", *map(str, words)])
    except SystemExit as ended:
        status = ended.code
    captured = capsys.readouterr()
    assert status == expect, captured.out + captured.err
    return captured.out, captured.err
