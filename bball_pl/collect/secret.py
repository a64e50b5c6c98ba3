"""Secrets that can be used and not read: nothing that a person or a file gets to see holds one."""

from __future__ import annotations

import os
import re
from urllib.parse import quote

from bball_pl.collect.finds import CollectError

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
