"""Quotas of control groups, on made-up systems."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from fractal_jupyter.runner.processors import usable_processors

SLICE = "sys/fs/cgroup/user.slice"


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="of Linux")
@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("", {}, 16),
        ("0::/", {"sys/fs/cgroup/cpu.max": "400000 100000\n"}, 4),
        ("0::/user.slice/me", {f"{SLICE}/me/cpu.max": "max 100000\n"}, 16),
        ("0::/user.slice/me", {f"{SLICE}/me/cpu.max": "50000 100000\n"}, 1),
        (
            "0::/user.slice/me",
            {f"{SLICE}/me/cpu.max": "800000 100000\n", f"{SLICE}/cpu.max": "300000 100000\n"},
            3,
        ),
        # of another user
        ("0::/user.slice/me", {f"{SLICE}/you/cpu.max": "100000 100000\n"}, 16),
        (
            "5:memory:/a\n4:cpu,cpuacct:/docker/a",
            {
                "sys/fs/cgroup/cpu/docker/a/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/docker/a/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu/docker/cpu.cfs_quota_us": "250000\n",
                "sys/fs/cgroup/cpu/docker/cpu.cfs_period_us": "100000\n",
            },
            2,
        ),
        # a container that does not see its own group: the top is its own
        (
            "4:cpu,cpuacct:/docker/a",
            {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "600000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            6,
        ),
    ],
)
def test_the_least_quota_from_the_own_group_upwards_counts(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    groups: str,
    files: Mapping[str, str],
    expected: int,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(16)))
    for name, text in {"proc/self/cgroup": groups, **files}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert usable_processors(system=tmp_path) == expected


def test_there_is_one_at_least() -> None:
    assert 1 <= usable_processors() <= (os.cpu_count() or 1)
