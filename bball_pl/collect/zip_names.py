"""Names in zip files that do not state their encoding: UTF-8 of a Mac, and the code pages of Windows."""

from __future__ import annotations

import codecs
import zipfile
from collections.abc import Sequence

from bball_pl.collect.source import CollectError

#: Bit of a member's flags that says that its name is UTF-8.
_UTF8_FLAG = 0x800
#: Encoding by which Python reads the other names; it maps every byte, so that the bytes can be had again.
_STATED = "cp437"

#: Code pages of Windows, with the first and last two-byte codes of the characters that nearly all texts consist of:
#: Big5's frequently used characters, GB 2312's first level, and JIS X 0208's kana and first level.
_CODE_PAGES = {
    "cp950": ((0xA440, 0xC67E),),
    "gbk": ((0xB0A1, 0xD7F9),),
    "cp932": ((0x829F, 0x8396), (0x889F, 0x9872)),
}
#: Share of the two-byte characters that must be frequent ones.
_MIN_FREQUENT = 0.7


def check_encoding(encoding: str) -> None:
    """Refuse an encoding that Python does not know.

    Raises:
        CollectError: if it is neither `auto` nor a known encoding.
    """
    try:
        codecs.lookup("utf-8" if encoding == "auto" else encoding)
    except LookupError:
        raise CollectError(f"--zip-encoding is {encoding}; expected auto, big5, gbk, shift_jis or the like.") from None


def member_names(opened: zipfile.ZipFile, encoding: str = "auto") -> dict[str, str]:
    """Return the names of a zip file's members, by the names that Python read.

    A Mac writes UTF-8 and does not say so. Windows writes its code page, which a zip file cannot state.

    Args:
        opened: The file.
        encoding: Encoding of the names whose encoding is not stated; auto takes UTF-8 if all are valid in it, else the
            code page in which most characters are frequent ones, else the code page of DOS, as Python does.
    """
    infos = opened.infolist()
    # Names that another field of the member states as UTF-8 cannot be encoded, or are ASCII.
    raw = {info.filename: _bytes(info.filename) for info in infos if not info.flag_bits & _UTF8_FLAG}
    unstated = {name: content for name, content in raw.items() if content is not None and not content.isascii()}
    chosen = _guessed(list(unstated.values())) if encoding == "auto" else encoding
    names = {info.filename: info.filename for info in infos}
    return names | {name: content.decode(chosen, "replace") for name, content in unstated.items()}


def _bytes(name: str) -> bytes | None:
    try:
        return name.encode(_STATED)
    except UnicodeEncodeError:
        return None


def _guessed(names: Sequence[bytes]) -> str:
    if all(_decodes(name, "utf-8") for name in names):
        return "utf-8"
    shares = {page: _frequent(names, page) for page in _CODE_PAGES if all(_decodes(name, page) for name in names)}
    best = max(shares, key=lambda page: shares[page], default=_STATED)
    return best if shares.get(best, 0.0) >= _MIN_FREQUENT else _STATED


def _decodes(name: bytes, encoding: str) -> bool:
    try:
        name.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _frequent(names: Sequence[bytes], page: str) -> float:
    """Return the share of frequent characters among those beyond ASCII; 0 if none stand side by side.

    Single ones between Latin letters are far more often accented letters in the code page of DOS.
    """
    frequent = count = 0
    pairs = False
    for name in names:
        before = False
        for char in name.decode(page):
            code = char.encode(page)
            beyond = not code.isascii()
            count += beyond
            frequent += any(first <= int.from_bytes(code, "big") <= last for first, last in _CODE_PAGES[page])
            pairs |= beyond and before
            before = beyond
    return frequent / count if pairs else 0.0
