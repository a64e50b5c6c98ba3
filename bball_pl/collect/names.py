"""File names and table cells from untrusted text, with secrets redacted."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from html.parser import HTMLParser
from urllib.parse import quote, urlsplit, urlunsplit

from bball_pl.collect.source import CollectError

_HIDDEN = "***"

# Unknown tokens as well: a reply may quote a link that contains one, and Facebook quotes a malformed token back.
_LOOKS_SECRET = re.compile(
    r"(?i)\b((?:access_token|token|client_secret|appsecret_proof|signature|api_key|authorization)\b[\"']?\s*[=:]\s*[\"']?)"
    r"(?:bearer\s+)?[^\s&\"'<>]+"
)
_FACEBOOK_TOKEN = re.compile(r"\bEAA[0-9A-Za-z]{16,}")

_known: set[str] = set()


class Secret:
    """A token that is registered with `redact` and prints as three stars.

    Args:
        value: The token.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        _known.update({value, quote(value, safe="")})

    def reveal(self) -> str:
        """Return the token, for a request header only."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({_HIDDEN})"


def secret_from_environment(name: str, instructions: str) -> Secret:
    """Return the secret in an environment variable, without surrounding white space.

    Args:
        name: Name of the variable.
        instructions: Sentence on how to obtain a token.

    Raises:
        CollectError: if the variable is not set, or its value cannot be a token.
    """
    value = os.environ.get(name, "").strip()
    if not value:
        raise CollectError(f"the environment variable {name} is not set. {instructions}")
    # HTTP libraries quote an invalid header in their error message.
    if len(value) < 8 or not re.fullmatch(r"[\x21-\x7e]+", value):
        raise CollectError(
            f"the environment variable {name} holds no token: expected 8 or more letters. {instructions}"
        )
    return Secret(value)


def redact(text: str) -> str:
    """Return `text` with every registered secret, and everything that looks like a token, replaced by stars."""
    for value in sorted(_known, key=len, reverse=True):
        text = text.replace(value, _HIDDEN)
    return _FACEBOOK_TOKEN.sub(_HIDDEN, _LOOKS_SECRET.sub(rf"\1{_HIDDEN}", text))


_LONGEST_CELL = 500
# File systems allow 255 bytes; a Chinese character takes three.
_LONGEST_NAME = 80
# Windows opens a device under these names, with any suffix.
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(10))})


def file_stem(source: str, key: str, title: str) -> str:
    """Return a photo's file name without suffix, unique and the same in every run.

    Args:
        source: Name of the source.
        key: Identifies the photo within its source; any text.
        title: Beginning of the name; any text.
    """
    digest = hashlib.sha256(f"{source}\n{key}".encode(errors="surrogatepass")).hexdigest()
    return f"{folder_name(title)}-{digest[:12]}"


def folder_name(text: str) -> str:
    """Return `text` as a safe folder or file name of letters, digits, `-` and `_`; "unnamed" if none remain."""
    kept = re.sub(r"[^\w]+", "-", unicodedata.normalize("NFC", text))
    kept = kept.encode("utf-8", "ignore")[:_LONGEST_NAME].decode("utf-8", "ignore").strip("-_")
    if not kept or kept.lower() in _DEVICES:
        kept = f"unnamed-{kept}".strip("-")
    return kept


def cell(text: object) -> str:
    """Return `text` as a table cell: one line, no control characters, no secret, at most 500 characters."""
    printable = "".join(
        " " if letter.isspace() or unicodedata.category(letter) == "Cc" else letter
        for letter in unicodedata.normalize("NFC", str(text))
        # Direction marks can disguise a name; lone surrogates cannot be encoded as UTF-8.
        if unicodedata.category(letter) not in {"Cf", "Cs"}
    )
    line = redact(" ".join(printable.split()))[:_LONGEST_CELL]
    # Spreadsheets read these as a formula. Readers of the table strip the space.
    return f" {line}" if line[:1] in {"=", "+", "-", "@"} else line


def link_cell(url: object) -> str:
    """Return the URL of a page as a cell, without password and fragment; empty if it is not http or https."""
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
    """Return the text of an HTML fragment on one line."""
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
