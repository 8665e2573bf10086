from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fractal_jupyter.errors import InvalidDocument
from fractal_jupyter.models.profile import (
    LocalProfile,
    SlurmSSHProfile,
    SlurmSudoProfile,
    parse_profile,
)

DATA = Path(__file__).parent / "data"
BASES: dict[str, dict[str, Any]] = {
    kind: json.loads((DATA / f"profile_{kind}.json").read_text(encoding="utf-8"))
    for kind in ("local", "slurm_sudo", "slurm_ssh")
}
CLASSES = {"local": LocalProfile, "slurm_sudo": SlurmSudoProfile, "slurm_ssh": SlurmSSHProfile}
GONE = "<the field is not there>"
FOR_SSH_ONLY = ("ssh_key_path", "jobs_remote_dir", "tasks_remote_dir", "pixi_cache_dir")

Edits = dict[str, Any]

# What fractal-server 2.26 accepts, and so does this package.
ACCEPTED: list[tuple[str, Edits]] = [
    *((kind, {}) for kind in BASES),
    *((kind, {"id": 3, "resource_id": 7}) for kind in BASES),
    ("local", dict.fromkeys(("username", *FOR_SSH_ONLY))),
    ("slurm_sudo", dict.fromkeys(FOR_SSH_ONLY)),
    ("local", {"name": "  Läb «1» <b>  "}),
    *(
        (kind, {"username": name})
        for kind in ("slurm_sudo", "slurm_ssh")
        for name in ("anna", "_fractal", "a.b-c_d", "UNI\\anna", "anna@uni.example", "host$", "u1")
    ),
    ("slurm_ssh", {"pixi_cache_dir": None}),
    ("slurm_ssh", {"pixi_cache_dir": "/cache/pixi"}),
    ("slurm_ssh", {"jobs_remote_dir": "/with space//jobs/"}),
]

# What fractal-server 2.26 refuses, and so does this package; with the field that is told.
REFUSED: list[tuple[str, Edits, str]] = [
    *((kind, {"name": name}, "name") for kind in BASES for name in (GONE, "", " ", None, 5)),
    *(
        (kind, {"resource_type": value}, "resource_type")
        for kind in BASES
        for value in (GONE, "slurm", None, 5, ["local"])
    ),
    ("local", {"username": "anna"}, "username"),
    *(
        (kind, {field: "/somewhere"}, field)
        for kind in ("local", "slurm_sudo")
        for field in FOR_SSH_ONLY
    ),
    *(
        (kind, {"username": name}, "username")
        for kind in ("slurm_sudo", "slurm_ssh")
        for name in (GONE, None, "", " ", 1000)
    ),
    *(
        ("slurm_ssh", {field: path}, field)
        for field in FOR_SSH_ONLY
        for path in ("", "relative", "~/home", "/a/../b", 5)
    ),
    *(("slurm_ssh", {field: value}, field) for field in FOR_SSH_ONLY[:3] for value in (GONE, None)),
]

# What fractal-server 2.26 accepts or does not look at, and this package refuses on purpose.
STRICTER: list[tuple[str, Edits, str]] = [
    *((kind, {"user_name": "anna"}, "user_name") for kind in BASES),
    ("local", {"timestamp_created": "2026-01-01T00:00:00Z"}, "timestamp_created"),
    ("local", {"name": "two\nlines"}, "name"),
    *(
        (kind, {"username": name}, "username")
        for kind in ("slurm_sudo", "slurm_ssh")
        for name in ("-u", "#0", "two words", "a\nb", "a;id", "a:b", "$(id)")
    ),
    ("slurm_ssh", {"ssh_key_path": "/two\nlines"}, "ssh_key_path"),
    ("slurm_ssh", {"jobs_remote_dir": "/tab\tbed"}, "jobs_remote_dir"),
]


def edited(kind: str, edits: Edits) -> dict[str, Any]:
    """A document of the reference with some fields set, or gone."""
    document = {**BASES[kind], **edits}
    return {name: value for name, value in document.items() if value is not GONE}


def named(case: tuple[Any, ...]) -> str:
    return f"{case[0]}: {json.dumps(case[1])[:80]}"


@pytest.mark.parametrize("kind", BASES)
def test_documents_of_the_reference_come_back_identical(kind: str) -> None:
    path = DATA / f"profile_{kind}.json"
    text = path.read_text(encoding="utf-8")
    for given in (BASES[kind], text, path, str(path)):
        profile = parse_profile(given)
        assert isinstance(profile, CLASSES[kind])
        assert json.dumps(profile.to_document()) == json.dumps(json.loads(text))


@pytest.mark.parametrize("case", ACCEPTED, ids=named)
def test_accepted_and_the_same_afterwards(case: tuple[str, Edits]) -> None:
    document = edited(*case)
    profile = parse_profile(document)
    assert profile.to_document() == document
    assert parse_profile(profile.to_document()) == profile


@pytest.mark.parametrize("case", REFUSED + STRICTER, ids=named)
def test_refused_with_the_field(case: tuple[str, Edits, str]) -> None:
    kind, edits, field = case
    with pytest.raises(InvalidDocument) as caught:
        parse_profile(edited(kind, edits))
    title, *lines = str(caught.value).splitlines()
    assert title.startswith("The profile")
    assert [line.split(":")[0].strip() for line in lines] == [field]
    assert " found " in lines[0]
    assert "; allowed: " in lines[0]


def test_a_field_of_another_type_is_told() -> None:
    with pytest.raises(InvalidDocument) as caught:
        parse_profile(edited("local", {"username": "anna"}))
    assert str(caught.value) == (
        "The profile ('Local profile') cannot be used:\n"
        "  username: found 'anna' (a string); "
        "allowed: null; the field has no meaning for this type"
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ssh_key_path", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END"),
        ("ssh_key", {"text": "-----BEGIN PRIVATE KEY-----b3BlbnNzaC1rZXktdjEA"}),
        ("ssh_passphrase", "b3BlbnNzaC1rZXktdjEA"),
        ("api_token", "b3BlbnNzaC1rZXktdjEA"),
    ],
)
def test_a_secret_that_was_pasted_is_not_repeated(field: str, value: object) -> None:
    document = edited("slurm_ssh", {field: value})
    for given in (document, json.dumps(document)):
        with pytest.raises(InvalidDocument) as caught:
            parse_profile(given)
        assert f"{field}: found 'what looks like a secret" in str(caught.value)
        assert "b3BlbnNz" not in str(caught.value)
        assert "BEGIN" not in str(caught.value)


def test_the_text_of_a_key_is_no_document() -> None:
    with pytest.raises(InvalidDocument) as caught:
        parse_profile("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n")
    assert "b3Blbn" not in str(caught.value)
