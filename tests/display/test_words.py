from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fractal_jupyter.display import words
from fractal_jupyter.printable import printable, without_colors

TEXT = st.text(st.characters(), max_size=60)


@given(TEXT)
def test_printable_text_can_be_written_and_stays_on_its_line(text: str) -> None:
    shown = printable(text)
    shown.encode()
    assert len(shown.splitlines()) <= 1
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert printable(shown) == shown


def test_printable_text_shows_what_it_leaves_out() -> None:
    assert printable("a\x1b[2Jb\udcff\u202e\n") == "a\\x1b[2Jb\\udcff\\u202e "
    assert printable("a\r\n\tb\rc", lines=True) == "a\n\tb\\x0dc"


def test_colors_are_dropped() -> None:
    assert without_colors("\x1b[1;32mok\x1b[0m \x1b]0;title\x07done") == "ok done"


@given(TEXT, st.integers(0, 80))
def test_a_text_fits_into_its_columns(text: str, columns: int) -> None:
    shown = printable(text)
    for cut in (words.shorten, words.shorten_middle):
        assert words.width(words.fit(shown, columns, cut=cut)) <= columns
    if words.width(shown) <= columns:
        assert words.fit(shown, columns) == shown


def test_paths_lose_their_middle() -> None:
    path = "/a/very/long/path/to/plate.zarr/B/03/0"
    assert words.shorten_middle(path, 20) == "/a/ver…te.zarr/B/03/0"[:6] + "…" + path[-13:]
    assert words.shorten(path, 10) == "/a/very/l…"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0:00"),
        (-1, "0:00"),
        (7.9, "0:07"),
        (3723, "1:02:03"),
        (2 * 86400 + 3723, "2 d 1:02:03"),
    ],
)
def test_clock(seconds: float, shown: str) -> None:
    assert words.clock(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 ms"),
        (0.04, "40 ms"),
        (0.0999, "0.1 s"),
        (9.949, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (12_000, "3 h 20 min"),
        (200_000, "2 d 7 h"),
    ],
)
def test_duration(seconds: float, shown: str) -> None:
    assert words.duration(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (1, "a few seconds left"),
        (12, "about 10 s left"),
        (44, "about 40 s left"),
        (58, "about 1 min left"),
        (130, "about 2 min left"),
        (1000, "about 15 min left"),
        (3500, "about 1 h left"),
        (5500, "about 1.5 h left"),
        (20 * 3600, "about 20 h left"),
        (72 * 3600, "about 3 days left"),
    ],
)
def test_time_left_is_no_more_exact_than_it_is_known(seconds: float, shown: str) -> None:
    assert words.time_left(seconds) == shown


@given(st.floats(0, 1e7))
def test_time_left_never_grows_while_time_goes_by(seconds: float) -> None:
    assert "left" in words.time_left(seconds)
    assert not words.time_left(seconds).startswith("about 0")


@pytest.mark.parametrize(
    ("per_second", "shown"),
    [(4.21, "4.2/s"), (71.4, "71/s"), (0.5, "30/min"), (0.01, "36/h"), (0, "0.0/h")],
)
def test_pace(per_second: float, shown: str) -> None:
    assert words.pace(per_second) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (180e6, "180 MB"), (1.42e9, "1.4 GB")],
)
def test_size(count: float, shown: str) -> None:
    assert words.size(count) == shown


def test_counts_agree_with_their_nouns() -> None:
    assert words.counted(1, "batch", "batches") == "1 batch"
    assert words.counted(100_000, "image") == "100,000 images"


@pytest.mark.parametrize(
    ("value", "shown"),
    [("a b", "a b"), ({"a": [1, None]}, '{"a": [1, null]}'), (True, "true"), ({1, 2}, "{1, 2}")],
)
def test_values(value: object, shown: str) -> None:
    assert words.value_text(value) == shown


def test_paths_below_a_folder_are_relative() -> None:
    assert words.below("/data/out/a", "/data/out/") == "a"
    assert words.below("/data/other/a", "/data/out") == "/data/other/a"
    assert words.below("/data/out", "/data/out") == "/data/out"
