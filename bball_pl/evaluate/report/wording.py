"""Numbers and lists as the report writes them."""

from __future__ import annotations

from collections.abc import Sequence

from bball_pl.classes import display_name

#: Keeps a figure and its unit on one line.
_SPACE = "\N{NO-BREAK SPACE}"
#: For a figure that does not exist.
NONE = "–"


def percent(share: float | None) -> str:
    """Return a share of 0–1 as `94.3 %`; what is not quite all is never written as 100, nor what is something as 0."""
    if share is None:
        return NONE
    return f"{_hundredths(share)}{_SPACE}%"


def percents(interval: Sequence[float] | None) -> str:
    """Return an interval of shares as `91.1–96.4 %`."""
    if interval is None:
        return NONE
    low, high = (_hundredths(share) for share in interval)
    return f"{low}–{high}{_SPACE}%"


def points(share: float | None) -> str:
    """Return a difference of shares as `8.6 points`, percentage points."""
    return NONE if share is None else f"{signed(100 * share, 1)}{_SPACE}points"


def signed(value: float, digits: int) -> str:
    """Return a figure with a minus sign instead of a hyphen."""
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def decimals(value: float | None) -> str:
    """Return a figure with three digits after the point, or a dash for None."""
    return NONE if value is None else signed(value, 3)


def decimal_interval(interval: Sequence[float] | None) -> str:
    """Return an interval as `0.911–0.964`, or a dash for None."""
    return NONE if interval is None else "–".join(f"{value:.3f}" for value in interval)


def thousands(number: int) -> str:
    """Return a number as `10,000`."""
    return f"{number:,}"


def counted(number: int, what: str, many: str | None = None) -> str:
    """Return a number and what it counts: `1 photo`, `300 photos`, `2 classes`."""
    return f"{thousands(number)} {what if number == 1 else many or f'{what}s'}"


def listed(items: Sequence[str]) -> str:
    """Return `a`, `a and b` or `a, b and c`."""
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def shown(class_name: str) -> str:
    """Return a class's display name on one line; a name without a visible sign is quoted."""
    name = " ".join(display_name(class_name).split())
    return name or f"“{class_name}”"


def _hundredths(share: float) -> str:
    text = f"{100 * share:.1f}"
    if text == "100.0" and share < 1:
        return ">99.9"
    # Wilson's lower end of 0 right answers is a rounding error above 0.
    return "<0.1" if text == "0.0" and share > 1e-9 else text
