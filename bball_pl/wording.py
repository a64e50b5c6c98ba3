"""Words that the stages share: the language of a sentence, and numbers with their nouns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

#: Languages of what a coach reads.
Language = Literal["en", "zh-Hant"]
LANGUAGES: tuple[Language, ...] = get_args(Language)


def picked(language: Language) -> Callable[[str, str], str]:
    """Return the function that picks a language from a text in English and in Chinese."""
    return lambda english, chinese: english if language == "en" else chinese


def thousands(number: int) -> str:
    """Return a number as `10,000`."""
    return f"{number:,}"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: `1 photo`, `1,200 photos`; `plural` where that is more than an s."""
    return f"{thousands(number)} {noun if number == 1 else plural or noun + 's'}"
