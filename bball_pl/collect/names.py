"""Safe names and table cells made from foreign text, and secrets that no output shows."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from html.parser import HTMLParser
from urllib.parse import quote, urlsplit, urlunsplit

from bball_pl.collect.source import CollectError

_HIDDEN = "***"

# Tokens of others, too: an answer may quote a link that carries one, and Facebook quotes a malformed token back.
_LOOKS_SECRET = re.compile(
    r"(?i)\b((?:access_token|token|client_secret|appsecret_proof|signature|api_key|authorization)\b[\"']?\s*[=:]\s*[\"']?)"
    r"(?:bearer\s+)?[^\s&\"'<>]+"
)
_FACEBOOK_TOKEN = re.compile(r"\bEAA[0-9A-Za-z]{16,}")

_known: set[str] = set()


class Secret:
    """A token, known to `redact` from now on; printing it shows three stars.

    Args:
        value: the token.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        _known.update({value, quote(value, safe="")})

    def reveal(self) -> str:
        """Return the token, for a request's header and for nothing else."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({_HIDDEN})"


def secret_from_environment(name: str, how: str) -> Secret:
    """Return the secret in an environment variable; surrounding white space is dropped.

    Args:
        name: of the variable.
        how: a sentence that says how to get one.

    Raises:
        CollectError: if the variable is not set, or holds what cannot be a token.
    """
    value = os.environ.get(name, "").strip()
    if not value:
        raise CollectError(f"the environment variable {name} is not set. {how}")
    # HTTP libraries quote a header that they refuse, and so would the message about it.
    if len(value) < 8 or not re.fullmatch(r"[\x21-\x7e]+", value):
        raise CollectError(f"the environment variable {name} holds no token: expected 8 or more letters. {how}")
    return Secret(value)


def redact(text: str) -> str:
    """Return `text` without any secret: those that this process knows, and what looks like one."""
    for value in sorted(_known, key=len, reverse=True):
        text = text.replace(value, _HIDDEN)
    return _FACEBOOK_TOKEN.sub(_HIDDEN, _LOOKS_SECRET.sub(rf"\1{_HIDDEN}", text))


_LONGEST_CELL = 500
# File systems allow 255 bytes; a Chinese letter has three.
_LONGEST_NAME = 80
# Windows opens a device for these, whatever follows the dot.
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(10))})


def file_stem(source: str, key: str, title: str) -> str:
    """Return the name of a photo's file without its suffix: the same for the same photo, another for any other.

    Args:
        source: name of the source.
        key: names the photo within its source; any text.
        title: what the name begins with; any text.
    """
    digest = hashlib.sha256(f"{source}\n{key}".encode(errors="surrogatepass")).hexdigest()
    return f"{folder_name(title)}-{digest[:12]}"


def folder_name(text: str) -> str:
    """Return `text` as the name of one folder or file: letters, digits, `-` and `_`; "unnamed" if nothing is left."""
    kept = re.sub(r"[^\w]+", "-", unicodedata.normalize("NFC", text))
    kept = kept.encode("utf-8", "ignore")[:_LONGEST_NAME].decode("utf-8", "ignore").strip("-_")
    if not kept or kept.lower() in _DEVICES:
        kept = f"unnamed-{kept}".strip("-")
    return kept


def cell(text: object) -> str:
    """Return `text` as one cell of a table: one line, no control characters, no secret, at most 500 letters."""
    printable = "".join(
        " " if letter.isspace() or unicodedata.category(letter) == "Cc" else letter
        for letter in unicodedata.normalize("NFC", str(text))
        # Direction marks can make a name look like another; lone surrogates cannot be written as UTF-8.
        if unicodedata.category(letter) not in {"Cf", "Cs"}
    )
    line = redact(" ".join(printable.split()))[:_LONGEST_CELL]
    # A spreadsheet takes these for a formula. The space is dropped again when the table is read.
    return f" {line}" if line[:1] in {"=", "+", "-", "@"} else line


def link_cell(url: object) -> str:
    """Return a page's address as a cell, without password and fragment; empty if it is not http or https."""
    try:
        parts = urlsplit(str(url).strip())
        host = parts.hostname or ""
        if parts.scheme not in {"http", "https"} or not host:
            return ""
        netloc = f"[{host}]" if ":" in host else host
        netloc += f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    return cell(urlunsplit((parts.scheme, netloc, parts.path, parts.query, "")))


def html_text(html: object) -> str:
    """Return the text of a piece of HTML, on one line."""
    parser = _Text()
    parser.feed(str(html))
    parser.close()
    return " ".join("".join(parser.pieces).split())


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._inside = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside += tag in {"script", "style"}

    def handle_endtag(self, tag: str) -> None:
        self._inside -= tag in {"script", "style"} and self._inside > 0

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.pieces.append(data)
