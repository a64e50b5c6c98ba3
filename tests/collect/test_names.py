from __future__ import annotations

import csv
import io

import pytest

from bball_pl.collect.names import (
    Secret,
    cell,
    file_stem,
    folder_name,
    html_text,
    link_cell,
    redact,
    secret_from_environment,
)
from bball_pl.collect.source import CollectError, check_kinds, commons_licence, licence_problem, openverse_licence

HOSTILE = [
    "../../etc/passwd",
    "..\\..\\windows",
    "/absolute",
    "C:\\a",
    "a/b",
    "a\0b",
    "..",
    ".",
    "",
    "con",
    "NUL.jpg",
    ".hidden",
    "a" * 500,
    "籃" * 300,
    "line\nbreak",
    "trailing. ",
    "\u202egpj.exe",
    "\udcff",
    "-rf",
    "~root",
    "$(id)",
    "%2e%2e%2f",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_names_stay_in_their_folder(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("names")
    for name in (folder_name(text), file_stem("commons", text, text) + ".jpg"):
        path = folder / name
        path.write_bytes(b"")
        assert path.resolve().parent == folder.resolve()
        assert [entry.name for entry in folder.iterdir()] == [name]
        assert not name.startswith((".", "-"))
        assert len(name.encode()) < 120
        assert name.partition(".")[0].lower() not in {"con", "nul"}
        path.unlink()


def test_the_same_photo_has_the_same_name_and_no_other_has() -> None:
    stem = file_stem("facebook", "123", "Final")
    assert stem == file_stem("facebook", "123", "Final")
    others = {file_stem("commons", "123", "Final"), file_stem("facebook", "124", "Final")}
    assert stem.startswith("Final-")
    assert stem not in others
    assert len(others) == 2
    # These differ only in what the name of a file cannot show.
    assert file_stem("facebook", "a/b", "x") != file_stem("facebook", "a_b", "x")


def test_a_cell_is_one_line_without_secrets_and_no_formula() -> None:
    token = Secret("EAABsecret1234567890")
    text = cell(f"=cmd|'/c calc'\r\n\tby \u202eevil\0 {token.reveal()}")
    assert text == " =cmd|'/c calc' by evil ***"
    assert cell("@nba") == " @nba"
    assert cell('Ann, "A" Lee') == 'Ann, "A" Lee'
    assert len(cell("x" * 10_000)) == 500
    table = io.StringIO()
    csv.writer(table).writerow([text, cell("a\nb")])
    assert len(table.getvalue().splitlines()) == 1


def test_links_keep_no_password_and_no_other_scheme() -> None:
    assert link_cell("https://me:word@example.org:8443/a?b=1#c") == "https://example.org:8443/a?b=1"
    assert (
        link_cell("https://example.org/a?access_token=EAABwhatever123456") == "https://example.org/a?access_token=***"
    )
    for bad in ("javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "", None, "http://[::1", "https://"):
        assert link_cell(bad) == ""


def test_the_text_of_html() -> None:
    html = '<a href="//commons.wikimedia.org/wiki/User:Ann"\ntitle="x">Ann &amp; Bo</a><script>evil()</script> <b>Lee'
    assert html_text(html) == "Ann & Bo Lee"


def test_a_secret_shows_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", " abc+def/12345 \n")
    secret = secret_from_environment("A_TOKEN", "Make one.")
    assert secret.reveal() == "abc+def/12345"
    assert "abc" not in f"{secret} {secret!r}"
    assert redact("x abc+def/12345 y abc%2Bdef%2F12345 z") == "x *** y *** z"
    # Those of others, too.
    for text in ("?access_token=qwerty123&a=1", '{"access_token": "qwerty123"}', "Authorization: Bearer qwerty123"):
        assert "qwerty" not in redact(text)
    assert redact("Malformed access token EAAG0123456789abcdefXYZ") == "Malformed access token ***"
    assert redact("a token of thanks, 3 tokens") == "a token of thanks, 3 tokens"


@pytest.mark.parametrize("value", ["", "   ", "short", "with space inside", "line\nbreak12", "“quoted-token”"])
def test_what_cannot_be_a_token_is_refused_and_not_shown(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", value)
    with pytest.raises(CollectError, match="A_TOKEN") as caught:
        secret_from_environment("A_TOKEN", "Make one.")
    assert not value.strip() or value.strip() not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "name", "kind", "spdx"),
    [
        ("cc-by-sa-4.0", "CC BY-SA 4.0", "by-sa", "CC-BY-SA-4.0"),
        ("cc-by-2.0", "CC BY 2.0", "by", "CC-BY-2.0"),
        ("cc-by-sa-3.0-de", "CC BY-SA 3.0 de", "by-sa", "CC-BY-SA-3.0-DE"),
        ("cc-by-sa-4.0,3.0,2.5,2.0,1.0", "CC BY-SA 4.0-3.0-2.5-2.0-1.0", "by-sa", "CC-BY-SA-4.0"),
        ("", "CC BY-SA 2.5", "by-sa", "CC-BY-SA-2.5"),
        ("cc-zero", "CC0", "cc0", "CC0-1.0"),
        ("", "CC0", "cc0", "CC0-1.0"),
        ("pd", "Public domain", "pdm", "LicenseRef-public-domain"),
        ("cc-by-nc-4.0", "CC BY-NC 4.0", "by-nc", "CC-BY-NC-4.0"),
        ("cc-by-nc-sa-2.0", "", "by-nc-sa", "CC-BY-NC-SA-2.0"),
        ("cc-by-nd-4.0", "", "by-nd", "CC-BY-ND-4.0"),
        ("gfdl", "GFDL", "", "GFDL"),
        ("", "", "", ""),
        ("cc-sa-1.0", "CC SA 1.0", "", "CC SA 1.0"),
        ("cc-by-4.00", "", "", "cc-by-4.00"),
    ],
)
def test_licences_of_commons(code: str, name: str, kind: str, spdx: str) -> None:
    licence = commons_licence(code, name)
    assert (licence.kind, licence.spdx) == (kind, spdx)


def test_licences_of_openverse() -> None:
    assert openverse_licence("by-sa", "2.0").spdx == "CC-BY-SA-2.0"
    assert openverse_licence("cc0", "1.0").spdx == "CC0-1.0"
    assert openverse_licence("pdm", "1.0").spdx == "CC-PDM-1.0"
    assert openverse_licence("sampling+", "1.0").kind == ""


def test_licences_that_bar_training_are_left_out_unless_they_are_named() -> None:
    wanted = check_kinds(["CC0", "by"])
    assert licence_problem(commons_licence("cc-by-4.0", ""), wanted) == ""
    assert licence_problem(commons_licence("cc-by-nc-4.0", ""), wanted) == "its licence is CC-BY-NC-4.0"
    assert licence_problem(commons_licence("", ""), wanted) == "its licence is unknown"
    for bad in ([], ["by", "bye"]):
        with pytest.raises(CollectError, match="--licences"):
            check_kinds(bad)
