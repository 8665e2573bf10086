"""Locks and lock files, without an environment."""

from __future__ import annotations

import json
import string
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fractal_jupyter.environments.lock import (
    Distribution,
    Lock,
    LockFile,
    WheelFile,
    parse_lock,
    read_lock_file,
    write_lock_file,
)
from fractal_jupyter.environments.on_host.contents import content
from fractal_jupyter.environments.on_host.exact import read_compiled, read_report
from fractal_jupyter.errors import InvalidDocument

A, B = (f"sha256:{letter * 64}" for letter in "ab")
NUMPY = Distribution("numpy", "1.26.4", (A, B), content=A)
SIX = Distribution("six", "1.16.0", (A,), content=B)
LOCK = Lock("3.11.7", "linux-x86_64-glibc", (NUMPY, SIX))
FILE = LockFile(package="numpy", version="1.26.4", origin="pypi", python_version="3.11", lock=LOCK)

WORDS = st.text(string.ascii_letters + string.digits, min_size=1, max_size=8)
VERSIONS = st.from_regex(
    r"[0-9]{1,2}(\.[0-9]{1,2}){0,2}((rc|\.dev|\+)[a-z0-9]{1,3})?", fullmatch=True
)
HASHES = st.from_regex(r"sha(256|512):[0-9a-f]{64}", fullmatch=True)
URLS = st.one_of(
    WORDS.map("https://example.org/{}.zip?a=b#subdirectory=x".format),
    WORDS.map("git+https://example.org/{}@0123abc".format),
    WORDS.map("{}-1.0-py3-none-any.whl".format),
)
COPIES = st.builds(
    Distribution,
    WORDS,
    VERSIONS,
    st.lists(HASHES, max_size=3).map(tuple),
    st.none() | HASHES,
    st.none() | URLS,
)
EDITABLE = st.builds(
    Distribution, WORDS, VERSIONS, url=WORDS.map("file:///src/{}".format), editable=st.just(True)
)
LOCKS = st.builds(
    Lock,
    st.just("3.11.7"),
    WORDS,
    st.lists(COPIES | EDITABLE, max_size=4).map(tuple),
    st.none() | st.text(max_size=60),
)
LOCK_FILES = st.builds(
    LockFile,
    package=WORDS,
    extras=st.lists(WORDS, max_size=2).map(tuple),
    version=VERSIONS,
    origin=st.sampled_from(["pypi", "wheel", "editable", "pixi", "custom"]),
    python_version=st.just("3.11"),
    wheel=st.none() | st.just(WheelFile("x-1.0-py3-none-any.whl", "0" * 64)),
    lock=LOCKS,
)


@given(LOCKS)
def test_a_lock_survives_as_a_document(lock: Lock) -> None:
    again = parse_lock(json.loads(json.dumps(lock.to_document())))
    assert again == lock
    assert again.digest == lock.digest
    assert lock.differences(again) == []


@given(LOCK_FILES)
def test_a_lock_file_survives(lock_file: LockFile) -> None:
    text = write_lock_file(lock_file)
    assert read_lock_file(text) == lock_file
    assert read_lock_file(text.replace("\n", "\r\n")) == lock_file


@given(LOCK_FILES, st.data())
def test_a_lock_file_without_one_of_its_lines_is_refused(
    lock_file: LockFile, data: st.DataObject
) -> None:
    lines = write_lock_file(lock_file).split("\n")
    number = data.draw(st.sampled_from([at for at, line in enumerate(lines) if line]))
    with pytest.raises(InvalidDocument, match="Export the task group again"):
        read_lock_file("\n".join(lines[:number] + lines[number + 1 :]))


def test_a_lock_file_that_was_cut_off_between_two_packages_is_refused() -> None:
    both = (Distribution("a", "1"), Distribution("b", "1"))
    lock = Lock(python="3.11.7", platform="linux-x86_64-glibc", distributions=both)
    text = write_lock_file(
        LockFile(package="a", version="1", origin="pypi", python_version="3.11", lock=lock)
    )
    with pytest.raises(InvalidDocument, match="lists 1 packages, which are not those"):
        read_lock_file(text[: text.index("# b 1")])


def test_a_lock_file_is_a_requirements_file() -> None:
    wheel = Distribution("mine", "1.0", (B,), url="mine-1.0-py3-none-any.whl")
    editable = Distribution("theirs", "2.0", url="file:///src/theirs", editable=True)
    lock = replace(LOCK, distributions=(wheel, SIX, editable), pixi="version: 6\n")
    text = write_lock_file(replace(FILE, lock=lock, extras=("one", "two")))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines == [
        "./mine-1.0-py3-none-any.whl \\",
        f"    --hash={B}",
        "six==1.16.0 \\",
        f"    --hash={A}",
    ]
    assert "# extras: one,two" in text
    assert "# editable: file:///src/theirs" in text


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("# A Fractal", "# Another", "expected the title of a lock file"),
        ("# python: 3.11.7", "# python: old", "'old' is not the version of a Python"),
        ("# origin: pypi", "# origin: somewhere", "'somewhere' is none of pypi"),
        ("six==1.16.0", "six==1.17.0", "expected the requirement of six, found 'six==1.17.0"),
        ("six==1.16.0", "six>=1.16.0", "expected the requirement of six"),
        (f"--hash={B}", "--hash=sha256:xyz", "'sha256:xyz' is not a hash"),
        (f"--hash={B}", "--hash=", "expected the requirement of numpy"),
        ("# six 1.16.0", "-r other.txt\n# six 1.16.0", "found '-r other.txt'"),
    ],
)
def test_what_was_changed_is_refused(old: str, new: str, words: str) -> None:
    text = write_lock_file(FILE)
    assert old in text
    with pytest.raises(InvalidDocument, match=words) as caught:
        read_lock_file(text.replace(old, new))
    assert "Export the task group again" in str(caught.value)


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(InvalidDocument, match="found 'its end'"):
        read_lock_file("")


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "-r x"},
        {"version": "1.0 --pre"},
        {"hashes": ("md5",)},
        {"url": "https://x/ --pre"},
        {"url": "https://x/\\"},
        {"content": "abc"},
        {"editable": True},
    ],
)
def test_what_could_be_an_option_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidDocument):
        replace(SIX, **fields)


@pytest.mark.parametrize("document", [{}, {**LOCK.to_document(), "distributions": [{"name": "x"}]}])
def test_other_documents_are_refused(document: dict[str, object]) -> None:
    with pytest.raises(InvalidDocument, match="not the lock of an environment"):
        parse_lock(document)


def with_six(**fields: Any) -> Lock:
    return replace(LOCK, distributions=(NUMPY, replace(SIX, **fields)))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (replace(LOCK, python="3.11.9"), "Python is 3.11.9, and was 3.11.7"),
        (replace(LOCK, platform="x"), "the platform is x, and was linux-x86_64-glibc"),
        (replace(LOCK, distributions=(NUMPY,)), "six 1.16.0 is missing"),
        (with_six(name="seven"), "seven 1.16.0 is there in addition"),
        (replace(LOCK, pixi="x"), "pixi.lock has changed"),
        (with_six(version="1.17.0", content=A), "six is 1.17.0, and was 1.16.0"),
        (with_six(content=A), "six 1.16.0 has other files than it had"),
        (with_six(hashes=(B,)), "six 1.16.0 comes from other archives than it did"),
        (with_six(url="x.whl"), "six 1.16.0 comes from x.whl, and came from the package index"),
        (
            with_six(hashes=(), content=None, url="file:///x", editable=True),
            "six 1.16.0 is in editable mode, and was installed as a copy",
        ),
    ],
)
def test_differences_in_words(other: Lock, words: str) -> None:
    assert LOCK.differences(other)[0] == words
    assert other.differences(LOCK)
    assert other.digest != LOCK.digest


@pytest.mark.parametrize(
    "other", [with_six(name="Six"), with_six(hashes=(A, B)), with_six(hashes=(), content=None)]
)
def test_what_is_no_difference(other: Lock) -> None:
    assert LOCK.differences(other) == []


def test_freeze() -> None:
    lock = with_six(url="six.whl")
    assert lock.freeze == ("numpy==1.26.4", "six @ six.whl")


def test_content_is_what_both_installers_agree_on() -> None:
    files = "x/__init__.py,sha256=abc,3\nx/data.bin,sha256=def,4\n"
    info = "x-1.0.dist-info/entry_points.txt,sha256=ghi,5\n"
    uv = "../../../bin/x,sha256=1,2\nx-1.0.dist-info/INSTALLER,sha256=5,2\n" + files + info
    pip = info + files + "x/__pycache__/__init__.cpython-311.pyc,,\nx-1.0.dist-info/REQUESTED,,\n"
    assert content(uv) == content(pip) != content(files.replace("def", "xyz") + info)
    assert content(None) is None


def test_reads_what_uv_resolves() -> None:
    text = (
        "my-tasks @ file:///folder/my%20tasks.whl \\\n    --hash=sha256:aa\n"
        "six==1.16.0 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n"
        "# a comment\nno.hash_here==2.0\n"
    )
    assert read_compiled(text) == {
        "my-tasks": ("my-tasks @ file:///folder/my%20tasks.whl", ["sha256:aa"]),
        "six": ("six==1.16.0", ["sha256:bb", "sha256:cc"]),
        "no-hash-here": ("no.hash_here==2.0", []),
    }


def test_reads_reports_of_old_and_new_versions_of_pip() -> None:
    report = {
        "install": [
            {
                "metadata": {"name": "My_Tasks"},
                "download_info": {"archive_info": {"hash": "sha256=aa"}},
            },
            {
                "metadata": {"name": "six"},
                "download_info": {"archive_info": {"hash": "sha256=b", "hashes": {"sha256": "b"}}},
            },
            {"metadata": {"name": "there"}, "download_info": {"dir_info": {}}},
        ]
    }
    found = read_report(report)
    assert found == {"my-tasks": ["sha256:aa"], "six": ["sha256:b"], "there": []}
