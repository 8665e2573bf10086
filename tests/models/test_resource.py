from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from fractal_jupyter.errors import InvalidDocument, NotFound
from fractal_jupyter.models.resource import (
    LocalResource,
    SlurmSSHResource,
    SlurmSudoResource,
    parse_resource,
)

DATA = Path(__file__).parent / "data"
BASES = {
    kind: json.loads((DATA / f"resource_{kind}.json").read_text(encoding="utf-8"))
    for kind in ("local", "slurm_sudo", "slurm_ssh")
}
CLASSES = {
    "local": LocalResource,
    "slurm_sudo": SlurmSudoResource,
    "slurm_ssh": SlurmSSHResource,
}
WRONG_MEMORY: list[Any] = [
    0,
    -1,
    "",
    "M100",
    "100m",
    "3g",
    "3GB",
    "1.5G",
    "1 G",
    "100K",
    "-5",
    [],
    1.5,
]
GONE = "<the field is not there>"

PIXI = {"default_version": "0.50.1", "versions": {"0.50.1": "/opt/pixi/0.50.1"}}
PIXI_TWO = {
    "default_version": "0.47.0",
    "versions": {"0.47.0": "/opt/pixi/0.47.0", "0.50.1": "/opt/pixi/0.50.1"},
    "PIXI_CONCURRENT_SOLVES": 1,
    "PIXI_CONCURRENT_DOWNLOADS": 2,
    "TOKIO_WORKER_THREADS": 3,
    "DEFAULT_ENVIRONMENT": "gpu",
    "DEFAULT_PLATFORM": "osx-arm64",
}
PIXI_JOB = {
    "partition": "main",
    "cpus": 4,
    "mem": "8G",
    "time": "01:00:00",
    "preamble": ["module load git", ""],
}
PIXI_JOB_PER_CPU = {"partition": "main", "cpus": 1, "mem_per_cpu": "100K", "time": "60"}

SLURM = "jobs_runner_config.default_slurm_config"
GPU = "jobs_runner_config.gpu_slurm_config"
BATCHING = "jobs_runner_config.batching_config"
EXPORTS = "jobs_runner_config.user_local_exports"

Edits = dict[str, Any]

# What fractal-server 2.26 accepts, and so does this package.
ACCEPTED: list[tuple[str, Edits]] = [
    *((kind, {}) for kind in BASES),
    *((kind, {"prevent_new_submissions": True}) for kind in BASES),
    *((kind, {"tasks_pip_cache_dir": "/cache"}) for kind in BASES),
    *((kind, {"tasks_pip_cache_dir": GONE}) for kind in BASES),
    *((kind, {"tasks_python_config.pip_cache_dir": "/cache/pip"}) for kind in BASES),
    *((kind, {"tasks_python_config.pip_cache_dir": None}) for kind in BASES),
    *((kind, {"jobs_poll_interval": GONE}) for kind in BASES),
    *((kind, {"id": 7, "timestamp_created": "2026-01-01T00:00:00Z"}) for kind in BASES),
    ("local", {"jobs_runner_config": {}}),
    ("local", {"jobs_runner_config.parallel_tasks_per_job": None}),
    ("local", {"jobs_runner_config.parallel_tasks_per_job": 64}),
    ("local", {"host": None, "jobs_slurm_python_worker": None}),
    ("local", {"name": "  Läb «1» <b>  "}),
    ("local", {"jobs_local_dir": "/with space/and//slashes/"}),
    ("local", {"tasks_pixi_config": PIXI}),
    ("local", {"tasks_pixi_config": PIXI_TWO}),
    ("local", {"tasks_pixi_config": {**PIXI, "SLURM_CONFIG": None}}),
    (
        "local",
        {
            "tasks_python_config": {
                "default_version": "3.14",
                "versions": {
                    version: f"/opt/python{version}"
                    for version in ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")
                },
            }
        },
    ),
    ("slurm_sudo", {"host": None}),
    ("slurm_sudo", {"tasks_pixi_config": PIXI}),
    ("slurm_sudo", {GPU: None}),
    ("slurm_sudo", {GPU: GONE, EXPORTS: GONE}),
    ("slurm_sudo", {EXPORTS: {}}),
    ("slurm_sudo", {EXPORTS: {" NAME_2 ": "below/it", "_x": "models"}}),
    ("slurm_sudo", {SLURM: {}}),
    ("slurm_sudo", {SLURM: {"partition": None, "mem": None, "time": None}}),
    (
        "slurm_sudo",
        {
            SLURM: {
                "partition": "short,long",
                "cpus_per_task": 4,
                "mem": 4000,
                "constraint": "[rack1*2&rack2*4]|(intel&!old)",
                "gres": "gpu:v100:1,craynetwork:1",
                "gpus": "1",
                "time": "1-12:00:00",
                "account": "lab.grant-7",
                "nodelist": "node[01-10,12],other",
                "nodes": 1,
                "exclude": "/etc/slurm/bad_nodes",
                "extra_lines": [
                    "#SBATCH --qos=long --mail-type=END",
                    "#SBATCH -C avx512",
                    '#SBATCH --comment="two words"',
                    "#SBATCH --ntasks-per-core=1",
                ],
                "shebang_line": "#!/bin/bash -l",
                "use_mem_per_cpu": True,
            }
        },
    ),
    *(("slurm_sudo", {f"{SLURM}.mem": mem}) for mem in (1, "1", "93", "71M", "93G", "71T", " 5G ")),
    *(
        ("slurm_sudo", {f"{SLURM}.time": time})
        for time in ("30", "30:00", "8:30:00", "2-0", "2-12:30", "UNLIMITED", "infinite")
    ),
    *(
        ("slurm_sudo", {f"{SLURM}.shebang_line": line})
        for line in ("#!/bin/sh", "#! /bin/bash", "#!/usr/bin/env bash")
    ),
    ("slurm_sudo", {f"{BATCHING}.max_mem_per_job": "2T", f"{BATCHING}.max_num_jobs": "8"}),
    *(
        ("slurm_ssh", {"host": host})
        for host in ("login1", "10.0.0.7", "2001:db8::1", "fe80::1%eth0", "cluster.example.org:22")
    ),
    ("slurm_ssh", {"tasks_pixi_config": {**PIXI, "SLURM_CONFIG": PIXI_JOB}}),
    ("slurm_ssh", {"tasks_pixi_config": {**PIXI_TWO, "SLURM_CONFIG": PIXI_JOB_PER_CPU}}),
]

# What fractal-server 2.26 refuses, and so does this package; with the field that is told.
REFUSED: list[tuple[str, Edits, str]] = [
    *((kind, {field: GONE}, field) for kind in BASES for field in ("type", "name")),
    *((kind, {"type": "slurm"}, "type") for kind in BASES),
    ("local", {"type": ["local"]}, "type"),
    *(
        (kind, {field: GONE}, field)
        for kind in BASES
        for field in (
            "jobs_local_dir",
            "jobs_runner_config",
            "tasks_local_dir",
            "tasks_python_config",
            "tasks_pixi_config",
        )
    ),
    *((kind, {"name": name}, "name") for kind in BASES for name in ("", "  ", 5, None)),
    *(
        (kind, {field: path}, field)
        for kind in BASES
        for field in ("jobs_local_dir", "tasks_local_dir")
        for path in ("", "jobs", "~/jobs", "/data/../jobs", None, 5)
    ),
    ("local", {"host": "cluster.example.org"}, "host"),
    ("local", {"jobs_slurm_python_worker": "/usr/bin/python3"}, "jobs_slurm_python_worker"),
    ("slurm_sudo", {"host": "cluster.example.org"}, "host"),
    ("slurm_sudo", {"jobs_slurm_python_worker": GONE}, "jobs_slurm_python_worker"),
    ("slurm_sudo", {"jobs_slurm_python_worker": None}, "jobs_slurm_python_worker"),
    ("slurm_sudo", {"jobs_slurm_python_worker": "python3"}, "jobs_slurm_python_worker"),
    ("slurm_ssh", {"host": GONE}, "host"),
    ("slurm_ssh", {"host": " "}, "host"),
    ("slurm_ssh", {"jobs_slurm_python_worker": GONE}, "jobs_slurm_python_worker"),
    ("local", {"jobs_poll_interval": "often"}, "jobs_poll_interval"),
    ("local", {"jobs_poll_interval": 0.5}, "jobs_poll_interval"),
    ("local", {"jobs_poll_interval": None}, "jobs_poll_interval"),
    ("local", {"prevent_new_submissions": "perhaps"}, "prevent_new_submissions"),
    ("local", {"prevent_new_submissions": None}, "prevent_new_submissions"),
    (
        "local",
        {"jobs_runner_config": {"parallel_task_per_job": 1}},
        "jobs_runner_config.parallel_task_per_job",
    ),
    ("local", {"jobs_runner_config": []}, "jobs_runner_config"),
    (
        "local",
        {"jobs_runner_config.parallel_tasks_per_job": 1.5},
        "jobs_runner_config.parallel_tasks_per_job",
    ),
    ("slurm_sudo", {"jobs_runner_config": {}}, SLURM),
    ("slurm_sudo", {BATCHING: GONE}, BATCHING),
    ("slurm_sudo", {f"{BATCHING}.max_num_jobs": GONE}, f"{BATCHING}.max_num_jobs"),
    ("slurm_sudo", {f"{BATCHING}.max_num_jobs": 0}, f"{BATCHING}.max_num_jobs"),
    ("slurm_sudo", {f"{BATCHING}.max_num_jobs": None}, f"{BATCHING}.max_num_jobs"),
    ("slurm_sudo", {f"{BATCHING}.target_cpus_per_job": -1}, f"{BATCHING}.target_cpus_per_job"),
    ("slurm_sudo", {f"{BATCHING}.max_num_job": 1}, f"{BATCHING}.max_num_job"),
    ("slurm_sudo", {f"{BATCHING}.max_mem_per_job": "plenty"}, f"{BATCHING}.max_mem_per_job"),
    *(("slurm_sudo", {f"{SLURM}.mem": mem}, f"{SLURM}.mem") for mem in WRONG_MEMORY),
    ("slurm_sudo", {f"{SLURM}.partition": ""}, f"{SLURM}.partition"),
    ("slurm_sudo", {f"{SLURM}.partitions": "main"}, f"{SLURM}.partitions"),
    ("slurm_sudo", {f"{SLURM}.cpus_per_task": 0}, f"{SLURM}.cpus_per_task"),
    ("slurm_sudo", {f"{SLURM}.nodes": "two"}, f"{SLURM}.nodes"),
    ("slurm_sudo", {f"{SLURM}.gpus": 1}, f"{SLURM}.gpus"),
    ("slurm_sudo", {f"{SLURM}.time": 60}, f"{SLURM}.time"),
    ("slurm_sudo", {f"{SLURM}.extra_lines": "#SBATCH --gres=gpu:1"}, f"{SLURM}.extra_lines"),
    ("slurm_sudo", {f"{SLURM}.extra_lines": [""]}, f"{SLURM}.extra_lines[0]"),
    ("slurm_sudo", {f"{SLURM}.extra_lines": None}, f"{SLURM}.extra_lines"),
    ("slurm_sudo", {f"{SLURM}.shebang_line": None}, f"{SLURM}.shebang_line"),
    ("slurm_sudo", {f"{SLURM}.use_mem_per_cpu": "often"}, f"{SLURM}.use_mem_per_cpu"),
    ("slurm_sudo", {f"{GPU}.job_name": "mine"}, f"{GPU}.job_name"),
    ("slurm_sudo", {GPU: "gpu"}, GPU),
    ("slurm_sudo", {EXPORTS: {"NAME": ""}}, f"{EXPORTS}.NAME"),
    ("slurm_sudo", {EXPORTS: {"NAME": 1}}, f"{EXPORTS}.NAME"),
    ("slurm_sudo", {EXPORTS: {" ": "x"}}, EXPORTS),
    ("slurm_sudo", {EXPORTS: {"NAME": "x", "NAME ": "y"}}, EXPORTS),
    ("slurm_sudo", {EXPORTS: None}, EXPORTS),
    *(
        ("slurm_sudo", {EXPORTS: {"NAME": path}}, f"{EXPORTS}.NAME")
        for path in ("../up", "/abs", "a/../../b", "~/x")
    ),
    *(
        ("slurm_sudo", {EXPORTS: {name: "x"}}, EXPORTS)
        for name in ("PATH", "LD_PRELOAD", "FRACTAL_CACHE_DIR", "SLURM_CONF", "PYTHONPATH")
    ),
    ("local", {"tasks_python_config": {}}, "tasks_python_config.versions"),
    ("local", {"tasks_python_config.versions": {}}, "tasks_python_config.default_version"),
    (
        "local",
        {"tasks_python_config.default_version": "3.10"},
        "tasks_python_config.default_version",
    ),
    *(
        ("local", {"tasks_python_config.versions": {version: "/p"}}, "tasks_python_config.versions")
        for version in ("3.8", "3", "3.12.1", "python3.12", "")
    ),
    (
        "local",
        {"tasks_python_config.versions": {"3.12": "python3.12"}},
        "tasks_python_config.versions['3.12']",
    ),
    (
        "local",
        {"tasks_python_config.pip_cache_dir": "cache"},
        "tasks_python_config.pip_cache_dir",
    ),
    ("local", {"tasks_pixi_config": None}, "tasks_pixi_config"),
    ("local", {"tasks_pixi_config": []}, "tasks_pixi_config"),
    ("local", {"tasks_pixi_config": ""}, "tasks_pixi_config"),
    ("local", {"tasks_pixi_config": {"versions": {}}}, "tasks_pixi_config.default_version"),
    (
        "local",
        {"tasks_pixi_config": {**PIXI, "default_version": "1"}},
        "tasks_pixi_config.default_version",
    ),
    (
        "local",
        {"tasks_pixi_config": {**PIXI, "versions": {"0.50.1": "/opt/pixi"}}},
        "tasks_pixi_config.versions",
    ),
    (
        "local",
        {
            "tasks_pixi_config": {
                **PIXI,
                "versions": {"0.50.1": "/opt/pixi/0.50.1", "0.47.0": "/opt/old/0.47.0"},
            }
        },
        "tasks_pixi_config.versions",
    ),
    (
        "local",
        {"tasks_pixi_config": {**PIXI, "TOKIO_WORKER_THREADS": "many"}},
        "tasks_pixi_config.TOKIO_WORKER_THREADS",
    ),
    ("slurm_ssh", {"tasks_pixi_config": PIXI}, "tasks_pixi_config"),
    *(
        (
            "slurm_ssh",
            {"tasks_pixi_config": {**PIXI, "SLURM_CONFIG": {**PIXI_JOB, **change}}},
            f"tasks_pixi_config.SLURM_CONFIG{path}",
        )
        for change, path in (
            ({"mem": "8"}, ".mem"),
            ({"mem": None}, ""),
            ({"mem_per_cpu": "1G"}, ""),
            ({"cpus": 0}, ".cpus"),
            ({"time": None}, ".time"),
            ({"partition": ""}, ".partition"),
            ({"preamble": "module load git"}, ".preamble"),
        )
    ),
]

# What fractal-server 2.26 accepts or does not look at, and this package refuses on purpose.
STRICTER: list[tuple[str, Edits, str]] = [
    ("local", {"jobs_local_dri": "/jobs"}, "jobs_local_dri"),
    ("local", {"resource_id": 1}, "resource_id"),
    ("local", {"tasks_python_config.pip_cache": "/x"}, "tasks_python_config.pip_cache"),
    ("local", {"tasks_pixi_config": {**PIXI, "SLURM": 1}}, "tasks_pixi_config.SLURM"),
    (
        "slurm_ssh",
        {"tasks_pixi_config": {**PIXI, "SLURM_CONFIG": {**PIXI_JOB, "gpus": "1"}}},
        "tasks_pixi_config.SLURM_CONFIG.gpus",
    ),
    *(
        (
            "slurm_ssh",
            {"tasks_pixi_config": {**PIXI, "SLURM_CONFIG": {**PIXI_JOB, field: value}}},
            f"tasks_pixi_config.SLURM_CONFIG.{field}",
        )
        for field, value in (
            ("mem", "someG"),
            ("time", "soon"),
            ("partition", "main --array=1-9"),
        )
    ),
    ("local", {"tasks_pip_cache_dir": "cache"}, "tasks_pip_cache_dir"),
    ("local", {"name": "two\nlines"}, "name"),
    ("local", {"jobs_local_dir": "/two\nlines"}, "jobs_local_dir"),
    ("local", {"jobs_poll_interval": -1}, "jobs_poll_interval"),
    *(
        (
            "local",
            {"jobs_runner_config.parallel_tasks_per_job": count},
            "jobs_runner_config.parallel_tasks_per_job",
        )
        for count in (0, -1)
    ),
    *(
        ("local", {"tasks_pixi_config": {**PIXI, field: value}}, f"tasks_pixi_config.{field}")
        for field, value in (
            ("PIXI_CONCURRENT_SOLVES", 0),
            ("DEFAULT_ENVIRONMENT", "--help"),
            ("DEFAULT_PLATFORM", "a b"),
        )
    ),
    (
        "local",
        {
            "tasks_pixi_config": {
                "default_version": "0.50.1",
                "versions": {"0.50.1": "pixi/0.50.1"},
            }
        },
        "tasks_pixi_config.versions['0.50.1']",
    ),
    *(
        ("slurm_ssh", {"host": host}, "host")
        for host in ("-oProxyCommand=touch /tmp/x", "user@host", "two words", "a\nb")
    ),
    *(
        ("slurm_sudo", {f"{SLURM}.{field}": value}, f"{SLURM}.{field}")
        for field, value in (
            ("partition", "main\n#SBATCH --array=1-9"),
            ("partition", "main --array=1-9"),
            ("partition", "-x"),
            ("partition", "$(id)"),
            ("constraint", '"a|b"'),
            ("account", "lab # comment"),
            ("gres", "gpu;id"),
            ("nodelist", "node1, node2"),
            ("exclude", "`id`"),
            ("gpus", "1\\"),
            ("mem", "0"),
            ("mem", "5GG"),
            ("mem", True),
            ("nodes", 0),
            ("time", "soon"),
            ("time", "1:2:3:4"),
            ("time", "60\n#SBATCH -a 1"),
            ("shebang_line", ""),
            ("shebang_line", "echo hello"),
            ("shebang_line", "#!bash"),
            ("shebang_line", "#!/bin/sh\nid"),
        )
    ),
    *(
        (
            "slurm_sudo",
            {f"{SLURM}.extra_lines": ["#SBATCH --qos=x", line]},
            f"{SLURM}.extra_lines[1]",
        )
        for line in (
            "export TOKEN=1",
            "module load cuda",
            "#SBATCH",
            "#SBATCH gres=gpu:1",
            "#SBATCH hetjob",
            "#SBATCHx --gres=gpu:1",
            "# SBATCH --gres=gpu:1",
            "#SBATCH --gres=gpu:1\nid",
            "#SBATCH --gres=gpu:1\rid",
            '#SBATCH --comment="open',
            "#SBATCH --comment=a\\ b",
            "#SBATCH --array=1-9",
            "#SBATCH --arr 1-9",
            '#SBATCH --"arr"ay=1-9',
            "#SBATCH --qos=x -a1-9",
            "#SBATCH -a 1",
            "#SBATCH -Hn4",
            "#SBATCH --job-name=mine",
            "#SBATCH -J mine",
            "#SBATCH --output=/tmp/x",
            "#SBATCH --out=/tmp/x",
            "#SBATCH -o /tmp/x",
            "#SBATCH --error=/tmp/x",
            "#SBATCH -e/tmp/x",
            "#SBATCH --requeue",
            "#SBATCH --no-requeue",
            "#SBATCH --ntasks=4",
            "#SBATCH -n 4",
            "#SBATCH --export=ALL",
            "#SBATCH --wait",
        )
    ),
    *(
        ("slurm_sudo", {EXPORTS: {name: "x"}}, EXPORTS)
        for name in ("A B", "A=B", "1A", "A;id", "A\nB", "ä", "A-B")
    ),
    ("slurm_sudo", {EXPORTS: {"NAME": "x\nid"}}, f"{EXPORTS}.NAME"),
]


def edited(kind: str, edits: Edits) -> dict[str, Any]:
    """A document of the reference with some fields (dotted paths) set, or gone."""
    document: dict[str, Any] = copy.deepcopy(BASES[kind])
    for path, value in edits.items():
        *parents, last = re.split(r"\.", path)
        place = document
        for parent in parents:
            place = place[parent]
        if value is GONE:
            place.pop(last, None)
        else:
            place[last] = copy.deepcopy(value)
    return document


def named(case: tuple[Any, ...]) -> str:
    return f"{case[0]}: {json.dumps(case[1])[:80]}"


@pytest.mark.parametrize("kind", BASES)
def test_documents_of_the_reference_come_back_identical(kind: str) -> None:
    path = DATA / f"resource_{kind}.json"
    text = path.read_text(encoding="utf-8")
    for given in (BASES[kind], text, path, str(path)):
        resource = parse_resource(given)
        assert isinstance(resource, CLASSES[kind])
        assert json.dumps(resource.to_document()) == json.dumps(json.loads(text))


@pytest.mark.parametrize("case", ACCEPTED, ids=named)
def test_accepted_and_the_same_afterwards(case: tuple[str, Edits]) -> None:
    document = edited(*case)
    resource = parse_resource(document)
    assert resource.to_document() == document
    assert parse_resource(resource.to_document()) == resource


@pytest.mark.parametrize("case", REFUSED + STRICTER, ids=named)
def test_refused_with_the_field(case: tuple[str, Edits, str]) -> None:
    kind, edits, field = case
    with pytest.raises(InvalidDocument) as caught:
        parse_resource(edited(kind, edits))
    title, *lines = str(caught.value).splitlines()
    assert title.startswith("The resource")
    assert any(line.startswith(f"  {field}: found ") and "; allowed: " in line for line in lines)
    assert "pydantic" not in str(caught.value)


def test_each_wrong_field_has_a_line() -> None:
    document = edited(
        "slurm_sudo",
        {
            "jobs_local_dir": GONE,
            "jobs_local_dri": "/jobs",
            "jobs_poll_interval": "often",
            f"{BATCHING}.max_num_jobs": 0,
            f"{SLURM}.mem": "3g",
            "tasks_python_config.versions": {"3.8": "/usr/bin/python3.8", "3.12": "python"},
            "jobs_slurm_python_worker": 5,
        },
    )
    with pytest.raises(InvalidDocument) as caught:
        parse_resource(document)
    path = 'an absolute path without "..", such as "/data/jobs"'
    assert str(caught.value).splitlines()[0] == ("The resource ('SLURM cluster') cannot be used:")
    assert sorted(str(caught.value).splitlines()[1:]) == sorted(
        [
            f"  jobs_local_dir: found nothing; allowed: {path}; the field is required",
            "  jobs_local_dri: found '/jobs' (a string); allowed: no field of this name; "
            'did you mean "jobs_local_dir"?',
            "  jobs_poll_interval: found 'often' (a string); allowed: a whole number",
            f"  {BATCHING}.max_num_jobs: found 0 (an integer); allowed: a whole number, at least 1",
            f"  {SLURM}.mem: found '3g' (a string); allowed: memory in MB, such as 200, "
            '"200M", "3G" or "1T", at least 1 MB',
            "  tasks_python_config.versions: found '3.8' (a string); allowed: as names "
            "'3.9', '3.10', '3.11', '3.12', '3.13', '3.14' or '3.15'",
            f"  tasks_python_config.versions['3.12']: found 'python' (a string); allowed: {path}",
            f"  jobs_slurm_python_worker: found 5 (an integer); allowed: {path}",
        ]
    )


def test_a_wrong_type_is_told_with_those_there_are() -> None:
    with pytest.raises(InvalidDocument, match='"local", "slurm_sudo", "slurm_ssh"'):
        parse_resource(edited("local", {"type": "slurm"}))


def test_values_are_in_one_spelling() -> None:
    resource = parse_resource(
        edited(
            "slurm_sudo",
            {"name": " cluster ", "jobs_local_dir": "//jobs/", f"{SLURM}.mem": "3G"},
        )
    )
    assert isinstance(resource, SlurmSudoResource)
    assert resource.name == "cluster"
    assert resource.jobs_local_dir == "/jobs"
    assert resource.jobs_runner_config.default_slurm_config.mem == 3000


def test_changing_what_came_back_changes_nothing_else() -> None:
    resource = parse_resource(BASES["slurm_sudo"])
    resource.to_document()["jobs_runner_config"]["default_slurm_config"]["partition"] = "other"
    assert resource.to_document() == BASES["slurm_sudo"]


def test_python_interpreter() -> None:
    resource = parse_resource(BASES["slurm_sudo"])
    assert resource.python_interpreter() == ("3.12", "/some/venv/bin/python3.12")
    assert resource.python_interpreter("3.11") == ("3.11", "/some/venv/bin/python3.11")
    with pytest.raises(NotFound, match=r"'SLURM cluster' has no Python 3.10; it has 3.11, 3.12"):
        resource.python_interpreter("3.10")


@pytest.mark.parametrize(
    ("inside", "beside", "expected"),
    [(None, None, None), ("/in", None, "/in"), (None, "/by", "/by"), ("/in", "/by", "/in")],
)
def test_pip_cache_dir(inside: str | None, beside: str | None, expected: str | None) -> None:
    edits = {"tasks_python_config.pip_cache_dir": inside, "tasks_pip_cache_dir": beside}
    assert parse_resource(edited("local", edits)).pip_cache_dir == expected


def test_no_pixi_is_none() -> None:
    assert parse_resource(BASES["local"]).tasks_pixi_config is None
    resource = parse_resource(edited("local", {"tasks_pixi_config": PIXI}))
    assert resource.tasks_pixi_config is not None
    assert resource.tasks_pixi_config.DEFAULT_PLATFORM == "linux-64"
