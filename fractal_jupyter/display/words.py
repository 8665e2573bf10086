"""Numbers, times and hostile text, in words that fit a line: pure."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

MINUTE, HOUR, DAY = 60, 3600, 86400


def shorten(text: str, limit: int, *, mark: str = "…") -> str:
    """Cut the end off a text that is longer than `limit` characters."""
    return text if len(text) <= limit else text[: max(0, limit - len(mark))].rstrip() + mark


def shorten_middle(text: str, limit: int, *, mark: str = "…") -> str:
    """Cut the middle out of a text, such as a path, that is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    kept = max(0, limit - len(mark))
    tail = (kept * 2 + 2) // 3
    return text[: kept - tail] + mark + (text[-tail:] if tail else "")


def width(text: str) -> int:
    """The columns that a text takes in a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.combining(character) or unicodedata.category(character) in ("Cf", "Me")
        else 1 + (unicodedata.east_asian_width(character) in ("F", "W"))
        for character in text
    )


def fit(text: str, columns: int, *, cut: Callable[..., str] = shorten, mark: str = "…") -> str:
    """Cut a text so that it takes at most so many columns of a terminal."""
    columns = max(0, columns)
    if width(text) <= columns:
        return text
    limit = min(len(text), columns)
    result = cut(text, columns, mark=mark)
    while limit and width(result) > columns:
        limit -= 1
        result = cut(text, limit, mark=mark)
    return result if width(result) <= columns else ""


def number(value: int) -> str:
    """A count: `100,000`."""
    return f"{value:,}"


def counted(value: int, noun: str, plural: str | None = None) -> str:
    """A count and what is counted: `1 image`, `100,000 images`."""
    return f"{value:,} {noun if value == 1 else plural or noun + 's'}"


def clock(seconds: float) -> str:
    """A running time that keeps its width while it runs: `0:07`, `1:02:03`, `2 d 1:02:03`."""
    total = max(0, int(seconds))
    days, rest = divmod(total, DAY)
    hours, rest = divmod(rest, HOUR)
    minutes, second = divmod(rest, MINUTE)
    if days:
        return f"{days} d {hours}:{minutes:02}:{second:02}"
    return f"{hours}:{minutes:02}:{second:02}" if hours else f"{minutes}:{second:02}"


def duration(seconds: float) -> str:
    """How long something took: `40 ms`, `1.2 s`, `35 s`, `2 min 5 s`, `3 h 20 min`."""
    if seconds < 0.0995:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    total = round(seconds)
    if total < MINUTE:
        return f"{total} s"
    if total < HOUR:
        minutes, second = divmod(total, MINUTE)
        return f"{minutes} min {second} s" if second else f"{minutes} min"
    hours, minutes = divmod(round(total / MINUTE), 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} d {hours % 24} h"


def time_left(seconds: float) -> str:
    """A time to come, as roughly as it is known, so that it does not flicker."""
    if seconds < 5:
        return "a few seconds left"
    for below, step, unit, name in (
        (20, 5, 1, "s"),
        (55, 10, 1, "s"),
        (10 * MINUTE, 1, MINUTE, "min"),
        (55 * MINUTE, 5, MINUTE, "min"),
    ):
        if seconds < below:
            return f"about {max(1, round(seconds / unit / step)) * step} {name} left"
    hours = max(1.0, seconds / HOUR)
    if hours < 10:
        half = round(hours * 2) / 2
        return f"about {half:g} h left"
    return f"about {hours:.0f} h left" if hours < 48 else f"about {hours / 24:.0f} days left"


def pace(per_second: float) -> str:
    """How often something happens: `4.2/s`, `38/min`, `12/h`."""
    for factor, unit in ((1, "s"), (MINUTE, "min"), (HOUR, "h")):
        if (value := per_second * factor) >= 1 or unit == "h":
            break
    return f"{value:.1f}/{unit}" if value < 9.95 else f"{value:,.0f}/{unit}"


def size(count: float) -> str:
    """A number of bytes: `640 kB`, `1.4 GB`."""
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if count < 999.5 or unit == "PB":
            break
        count /= 1000
    return f"{count:.1f} {unit}" if count < 9.95 and unit != "B" else f"{count:.0f} {unit}"


def moment(seconds: float) -> str:
    """A point in time, in the time zone of this machine: `2031-05-06 07:08`."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")


def value_text(value: Any, limit: int = 80) -> str:
    """A JSON value as short text; strings without quotation marks."""
    if isinstance(value, str):
        return shorten_middle(value, limit)
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return shorten(text, limit)


def document_text(value: Any, limit: int = 20_000) -> str:
    """A JSON value over several lines."""
    try:
        text = json.dumps(value, ensure_ascii=False, indent=2)
    except (TypeError, ValueError):
        text = repr(value)
    return shorten(text, limit)


def below(url: str, folder: str) -> str:
    """A path relative to a folder, if it is below it."""
    prefix = folder.rstrip("/") + "/"
    return url[len(prefix) :] if url.startswith(prefix) and len(url) > len(prefix) else url


def types_text(types: Mapping[str, Any]) -> str:
    """Types of images in words: `is_3D, not projected`."""
    return ", ".join(str(name) if flag else f"not {name}" for name, flag in types.items())
