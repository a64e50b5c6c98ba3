"""Drawings of the app's screens from its own texts; `python tests/helpers/ios_drawings.py` writes them to docs/images/.

The layout is that of the Swift files by hand. Every word on a screen is looked up in Localizable.strings, so a text
that changes changes the drawing; figures and classes are invented.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.fit_runs import ROOT
from helpers.ios_swift import APP, strings_table

IMAGES = ROOT / "docs" / "images"
_WIDTH, _MARGIN = 300, 16
_LIGHT = {"back": "#ffffff", "box": "#f2f2f7", "text": "#000000", "grey": "#6c6c70", "line": "#d1d1d6"}
_DARK = {"back": "#000000", "box": "#1c1c1e", "text": "#ffffff", "grey": "#a1a1a6", "line": "#38383a"}
_TINT = "#c25700"
_TABS = ("live", "photo", "history", "about")
_SYMBOLS = {"ok": "✓", "no": "✕", "warn": "⚠", "heat": "▲"}


class Screen:
    """One screen, drawn from the top.

    Args:
        name: of the file.
        tab: tab that is chosen.
        about: title of the drawing, for readers that do not see it.
        language: en or zh-Hant.
        dark: dark colours.
    """

    def __init__(self, name: str, tab: str, about: str, language: str = "en", dark: bool = False) -> None:
        self.name, self._tab, self._about = name, tab, about
        self._texts = strings_table(language)
        self._colours = _DARK if dark else _LIGHT
        self._parts: list[str] = []
        self._y = 20.0

    def say(self, key: str, *values: Any) -> str:
        """Return the app's text for a key, filled in."""
        text = self._texts[key].replace('\\"', '"')
        for number, value in enumerate(values, start=1):
            text = re.sub(rf"%{number}\$(?:@|ld)|%(?:@|ld)", str(value), text, count=1)
        assert "%@" not in text, f"{key}: a value is missing"
        return text

    def text(self, text: str, size: int = 14, colour: str = "text", weight: int = 400, middle: bool = False) -> None:
        """Add a text, broken into lines that fit."""
        x, anchor = (_WIDTH / 2, "middle") if middle else (_MARGIN, "start")
        for line in _lines(text, size):
            self._y += size * 1.35
            self._add(line, x, self._y, size, self._colours.get(colour, colour), weight, anchor)
        self._y += 5

    def title(self, key: str) -> None:
        """Add the title of the navigation bar."""
        self.text(self.say(key), 15, weight=600, middle=True)

    def pair(self, name: str, value: str, weight: int = 400) -> None:
        """Add a name and its value, side by side if they fit."""
        if _length(name + "  " + value, 13) > _WIDTH - 2 * _MARGIN:
            self.text(name, 13)
            self._y -= 5
            self.text(value, 13, "grey")
            return
        self._y += 18
        self._add(name, _MARGIN, self._y, 13, self._colours["text"], weight, "start")
        self._add(value, _WIDTH - _MARGIN, self._y, 13, self._colours["grey"], 400, "end")
        self._y += 5

    def share(self, name: str, share: int, is_answer: bool) -> None:
        """Add a class with its bar."""
        self.pair(name, f"{share}%", 600 if is_answer else 400)
        width = _WIDTH - 2 * _MARGIN
        self._rect(_MARGIN, self._y, width, 5, self._colours["line"], 2.5)
        self._rect(_MARGIN, self._y, width * share / 100, 5, _TINT if is_answer else self._colours["grey"], 2.5)
        self._y += 10

    def button(self, text: str, strong: bool = False) -> None:
        """Add a button."""
        self._rect(_MARGIN, self._y + 4, _WIDTH - 2 * _MARGIN, 32, _TINT if strong else self._colours["box"], 8)
        self._add(text, _WIDTH / 2, self._y + 25, 14, "#ffffff" if strong else _TINT, 400, "middle")
        self._y += 42

    def toggle(self, text: str, is_on: bool) -> None:
        """Add a switch."""
        self._y += 20
        self._add(text, _MARGIN, self._y, 13, self._colours["text"], 400, "start")
        x = _WIDTH - _MARGIN - 34
        self._rect(x, self._y - 14, 34, 20, _TINT if is_on else self._colours["line"], 10)
        self._parts.append(f'<circle cx="{x + (24 if is_on else 10)}" cy="{self._y - 4:g}" r="8" fill="#ffffff"/>')
        self._y += 8

    def field(self, text: str) -> None:
        """Add an empty text field."""
        self._rect(_MARGIN, self._y + 4, _WIDTH - 2 * _MARGIN, 28, "none", 6, self._colours["line"])
        self._add(text, _MARGIN + 8, self._y + 22, 12, self._colours["grey"], 400, "start")
        self._y += 38

    def picture(self, height: int = 150, box: bool = False, small: bool = False) -> None:
        """Add a court with a player: the camera's picture or a photo, with the box that is classified."""
        x, width = (_MARGIN, 44) if small else (0, _WIDTH)
        top, floor = self._y + 4, self._y + 4 + 0.7 * height
        scale = height / 150
        self._rect(x, top, width, height, "#dfe3e8", 6 if small else 0)
        self._rect(x, floor, width, 0.3 * height, "#e3c196", 6 if small else 0)
        middle = x + width * 0.45
        self._parts.append(
            f'<g transform="translate({middle:g} {floor - 10 * scale:g}) scale({scale:g})" stroke="#6c6c70" '
            'stroke-width="7" stroke-linecap="round" fill="none"><circle cx="0" cy="-44" r="9" fill="#6c6c70"/>'
            '<path d="M0-32 0 8M0 8-14 40M0 8 16 38M0-24 22-46M0-22-16-4"/>'
            '<circle cx="26" cy="-62" r="9" fill="#d9772b" stroke="none"/></g>'
        )
        if box:
            self._rect(middle - 40, top + 12, 90, height - 22, "none", 0, _TINT, 3)
        self._y += 0 if small else height + 8

    def row(self, title: str, *lines: str) -> None:
        """Add a row of the history."""
        self.picture(44, small=True)
        for number, line in enumerate((title, *lines)):
            self._add(
                line, _MARGIN + 54, self._y + 18 + 16 * number, 12, self._colours["grey" if number else "text"],
                400 if number else 600, "start",
            )  # fmt: skip
        self._y += 62

    def heading(self, key: str) -> None:
        """Add the heading of a section of a list."""
        self._y += 8
        self.text(self.say(key).upper(), 11, "grey")

    def space(self, height: float) -> None:
        """Leave some room."""
        self._y += height

    def svg(self) -> str:
        """Return the drawing."""
        height = max(560, self._y + 70)
        tabs = "".join(
            f'<text x="{37 + 75 * place}" y="{height - 18:g}" font-size="11" text-anchor="middle" '
            f'fill="{_TINT if tab == self._tab else self._colours["grey"]}">{escape(self.say(f"tab.{tab}"))}</text>'
            for place, tab in enumerate(_TABS)
        )
        bar = f'<rect y="{height - 50:g}" width="300" height="50" fill="{self._colours["box"]}"/>{tabs}'
        inner = "\n  ".join(self._parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="340" height="{height + 72:g}" '
            f'viewBox="-20 -24 340 {height + 72:g}" font-family="system-ui, -apple-system, \'Noto Sans\', '
            "'Noto Sans CJK TC', 'PingFang TC', sans-serif\">\n"
            f"  <title>{escape(self._about)} (a drawing, not a screenshot)</title>\n"
            f'  <rect x="-19" y="-23" width="338" height="{height + 70:g}" fill="#ffffff"/>\n'
            f'  <rect x="-12" y="-12" width="324" height="{height + 24:g}" rx="30" fill="#3a3a3c"/>\n'
            f'  <clipPath id="{self.name}"><rect width="300" height="{height:g}" rx="20"/></clipPath>\n'
            f'  <g clip-path="url(#{self.name})">\n'
            f'  <rect width="300" height="{height:g}" fill="{self._colours["back"]}"/>\n'
            f"  {inner}\n  {bar}</g>\n"
            f'  <text x="150" y="{height + 34:g}" font-size="12" fill="#6c6c70" text-anchor="middle">'
            "Drawing, not a screenshot</text>\n</svg>\n"
        )

    def _add(self, text: str, x: float, y: float, size: int, colour: str, weight: int, anchor: str) -> None:
        self._parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size}" font-weight="{weight}" fill="{colour}" '
            f'text-anchor="{anchor}">{escape(text)}</text>'
        )

    def _rect(
        self, x: float, y: float, width: float, height: float, fill: str, round_by: float = 0, edge: str = "none",
        thick: int = 1,
    ) -> None:  # fmt: skip
        self._parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{round_by:g}" fill="{fill}" '
            f'stroke="{edge}" stroke-width="{thick}"/>'
        )


def _length(text: str, size: int) -> float:
    wide = sum(unicodedata.east_asian_width(sign) in "WF" for sign in text)
    return size * (wide + 0.54 * (len(text) - wide))


def _lines(text: str, size: int) -> list[str]:
    # Chinese may be broken anywhere, English between words.
    words = re.findall(r"[\u2e80-\uffef]|[^\s\u2e80-\uffef]+\s*|\s+", text)
    lines = [""]
    for word in words:
        if lines[-1] and _length(lines[-1] + word.rstrip(), size) > _WIDTH - 2 * _MARGIN:
            lines.append("")
        lines[-1] += word
    return [line.rstrip() for line in lines]


def _live(screen: Screen, shares: list[tuple[str, int]], unsure: bool, box: bool) -> None:
    say = screen.say
    screen.title("tab.live")
    screen.picture(160, box=box)
    screen.text(say("answer.unsure") if unsure else shares[0][0], 22, weight=700)
    if unsure:
        screen.text(say("answer.perhaps", shares[0][0]), colour="grey")
    for place, (name, share) in enumerate(shares):
        screen.share(name, share, place == 0 and not unsure)
    screen.text(say("live.speed", 24, 11), 12, "grey")
    screen.button(say("live.keep"))
    screen.text(f"{_SYMBOLS['ok']} {say('live.kept', 2)}", 12)
    screen.text(say("live.zoom", "2.5"), 12, "grey")
    screen.text(f"{say('live.lens.ultraWide')}   |   {say('live.lens.wide')}   |   {say('live.lens.telephoto')}", 12)
    screen.toggle(say("live.region"), box)
    screen.toggle(say("live.torch"), False)
    screen.text(say("live.compute.asked", say("compute.all")) + "  ⌄", colour=_TINT)


def _notice(screen: Screen, title: str, text: str, *buttons: str, picker: bool = False) -> None:
    screen.space(60)
    screen.text(_SYMBOLS["warn"], 30, "grey", middle=True)
    screen.text(screen.say(title), 15, weight=600, middle=True)
    screen.text(screen.say(text), 13, "grey", middle=True)
    if picker:
        screen.text(screen.say("live.compute.asked", screen.say("compute.cpu")) + "  ⌄", colour=_TINT, middle=True)
    for place, button in enumerate(buttons):
        screen.button(screen.say(button), strong=place == 0)


def _photo(screen: Screen) -> None:
    say = screen.say
    screen.title("tab.photo")
    screen.button(say("photo.library"), strong=True)
    screen.button(say("photo.file"))
    screen.text(say("photo.drop"), 11, "grey")
    screen.text(say("photo.working", 3, 5), 12)
    screen.picture(130)
    screen.text("layup", 22, weight=700)
    for name, share in (("layup", 71), ("shoot", 26), ("dribble", 3)):
        screen.share(name, share, name == "layup")
    screen.text(say("entry.truth"), 14, weight=600)
    screen.text(say("entry.shows", say("entry.none")) + "  ⌄", colour=_TINT)
    screen.text(f"{_SYMBOLS['no']} {say('entry.wrong')}", 13)
    screen.button(say("entry.share"))


def _video(screen: Screen) -> None:
    say = screen.say
    screen.title("tab.photo")
    screen.button(say("photo.library"), strong=True)
    screen.button(say("photo.file"))
    screen.text("game-3.mov", 15, weight=600)
    screen.text(say("video.length", "0:12.5", 50), 12, "grey")
    for start, end, share, name in (
        ("0:00.0", "0:03.5", 88, "dribble"),
        ("0:03.5", "0:04.2", 52, say("answer.unsure")),
        ("0:04.2", "0:06.0", 79, "layup"),
        ("0:06.0", "0:12.5", 91, "dribble"),
    ):
        screen.pair(f"{say('video.span', start, end)}   {name}", f"{share}%")
    screen.button(say("video.share"))


def _history(screen: Screen) -> None:
    say = screen.say
    screen.title("tab.history")
    screen.text(f"{say('history.export')}   {say('history.removeAll')}", 13, _TINT)
    screen.row(say("history.sure", "投籃", "87%"), "2026-11-23", say("entry.right"))
    screen.row(say("history.unsure", "上籃", "48%"), "2026-11-23", say("history.corrected", say("entry.none")))
    screen.row(say("history.sure", "運球", "93%"), "2026-11-22")


def _export(screen: Screen) -> None:
    say = screen.say
    screen.title("history.export")
    screen.text(say("export.what"), 13)
    screen.text(say("export.consent"), 12, "grey")
    screen.field(say("export.author"))
    screen.field(say("export.licence"))
    screen.text(say("export.rights"), 11, "grey")
    screen.button(say("export.write"))
    screen.text(say("export.ready", 20, "9.8 MB"), 14, weight=600)
    missing = say("export.unreadable.photo", "2026-11-22", "dribble")
    screen.text(f"{_SYMBOLS['warn']} {say('export.unreadable', missing)}", 12)
    screen.button(say("export.share"), strong=True)


def _about(screen: Screen) -> None:
    say = screen.say
    screen.title("tab.about")
    screen.heading("about.privacy")
    screen.text(say("about.privacy.text"), 13)
    screen.heading("about.here")
    screen.text(f"{_SYMBOLS['ok']} {say('check.title')}  ›", 14, _TINT)
    screen.button(say("import.choose"))
    screen.heading("about.model")
    screen.pair(say("about.author"), "A. Coach")
    screen.pair(say("about.licence"), "CC BY 4.0")
    screen.heading("about.accuracy")
    screen.pair(say("about.accuracy.value", 300), "86.0%")
    screen.pair(say("about.accuracy.interval"), say("about.range", "81.6%", "89.5%"))
    screen.heading("about.proof")
    screen.text(say("about.proof.text", 60, "100.0%"), 13)
    screen.heading("about.limits")
    screen.text(say("about.limits.moves"), 12)


def _check(screen: Screen) -> None:
    say = screen.say
    screen.title("check.title")
    screen.text(say("check.what"), 12)
    screen.text(f"{_SYMBOLS['ok']} {say('check.start')}", 14, _TINT)
    screen.text(f"{_SYMBOLS['ok']} {say('check.pass', 20)}", 16, weight=600)
    screen.pair(say("check.device"), "iPhone17,1")
    screen.pair(say("check.tolerance"), "0.020")
    screen.button(say("check.share"))
    screen.text(say("compute.neuralEngine").upper(), 11, "grey")
    screen.pair(say("check.verdict"), say("check.verdict.pass"))
    screen.pair(say("check.difference"), "0.0041")
    screen.pair(say("check.same"), "100%")
    screen.pair(say("check.vision.difference"), "0.0310")
    screen.pair(say("check.vision.same"), "95%")
    screen.pair(say("check.load"), say("check.milliseconds.two", "812.0", "96.3"))
    screen.pair(say("check.answer"), say("check.milliseconds.two", "8.5", "11.3"))
    screen.pair(say("check.heat"), say("heat.nominal"))


def drawings() -> dict[str, str]:
    """Return the drawings by the names of their files."""
    made: list[tuple[Screen, Callable[[Screen], None]]] = [
        (
            Screen("ios_live", "live", "Live: camera picture with the box that is classified, answer, speed, controls"),
            lambda screen: _live(screen, [("shoot", 87), ("layup", 11), ("dribble", 2)], unsure=False, box=True),
        ),
        (
            Screen("ios_unsure", "live", "Live in Traditional Chinese, dark, unsure", "zh-Hant", dark=True),
            lambda screen: _live(screen, [("上籃", 48), ("投籃", 45), ("運球", 7)], unsure=True, box=False),
        ),
        (
            Screen("ios_too_hot", "live", "Live when the device is too hot: it goes on by itself"),
            lambda screen: _notice(screen, "live.tooHot.title", "live.tooHot.text"),
        ),
        (Screen("ios_photo", "photo", "Photo: one of several photos, its answer, its correction"), _photo),
        (Screen("ios_video", "photo", "Photo: the timeline of a video"), _video),
        (Screen("ios_history", "history", "History in Traditional Chinese", "zh-Hant"), _history),
        (Screen("ios_export", "history", "Export of checked photos: photographer, licence, what is left out"), _export),
        (Screen("ios_about", "about", "About: privacy, this device, model card, limits"), _about),
        (Screen("ios_check", "about", "Check this phone: PASS, differences, times, heat"), _check),
        (
            Screen("ios_no_model", "live", "A model that does not load: other units, another try, another model"),
            lambda screen: _notice(
                screen, "problem.compiling.title", "problem.compiling.advice", "notice.retry", "import.choose",
                picker=True,
            ),
        ),
    ]  # fmt: skip
    found = {}
    for screen, draw in made:
        draw(screen)
        found[f"{screen.name}.svg"] = screen.svg()
    return found


if __name__ == "__main__":
    assert APP.is_dir()
    for name, svg in drawings().items():
        (IMAGES / name).write_text(svg, encoding="utf-8")
