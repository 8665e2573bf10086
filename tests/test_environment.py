from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fractal_jupyter.environment import build_environment, job_environment

NEVER = re.compile(
    r"JUPYTER|JPY_|SLURM_|SBATCH_|SQUEUE_|SALLOC_|SRUN_|TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY"
    r"|PYTHON|VIRTUAL_ENV|CONDA|MPLBACKEND|SSH_AUTH|AWS_",
    re.IGNORECASE,
)
SECRETS = (
    "JUPYTERHUB_API_TOKEN",
    "JPY_API_TOKEN",
    "JUPYTER_TOKEN",
    "SLURM_JOB_ID",
    "SBATCH_ACCOUNT",
    "SQUEUE_FORMAT",
    "AWS_SECRET_ACCESS_KEY",
    "GITHUB_TOKEN",
    "UV_PUBLISH_TOKEN",
    "XDG_TOKEN",
    "LC_PASSWORD",
    "PYTHONPATH",
    "MPLBACKEND",
    "LD_PRELOAD",
)
names = st.one_of(
    st.sampled_from([*SECRETS, "PATH", "LC_ALL", "XDG_CACHE_HOME", "UV_INDEX_URL", "https_proxy"]),
    st.from_regex(r"[A-Z_]{1,20}", fullmatch=True),
    st.from_regex(r"(LC_|XDG_|UV_|PIP_|SLURM_|SSL_)[A-Z_]{1,15}", fullmatch=True),
)
values = st.one_of(st.text(), st.just("http://user:word@proxy.example.org:3128"))
environments = st.dictionaries(names, values)


@given(environments)
def test_jobs_see_only_what_is_named(environ: dict[str, str]) -> None:
    passed = job_environment(environ)
    assert passed.items() <= environ.items()
    assert not [name for name in passed if NEVER.search(name)]
    assert not [value for value in passed.values() if "user:word@" in value]


@given(environments)
def test_builds_see_more_but_no_secret_of_the_notebook(environ: dict[str, str]) -> None:
    passed = build_environment(environ)
    assert job_environment(environ).items() <= passed.items() <= environ.items()
    credentials_of_indexes = re.compile(r"UV_INDEX_\w+_PASSWORD")
    assert not [
        name
        for name in passed
        if NEVER.search(name)
        and not credentials_of_indexes.fullmatch(name)
        and name != "UV_CREDENTIALS_DIR"
    ]


@given(environments)
def test_choosing_twice_changes_nothing(environ: dict[str, str]) -> None:
    assert job_environment(job_environment(environ)) == job_environment(environ)
    assert build_environment(build_environment(environ)) == build_environment(environ)


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_reach_nobody(name: str) -> None:
    assert job_environment({name: "x"}) == build_environment({name: "x"}) == {}


@pytest.mark.parametrize(
    "name",
    [
        *("HOME", "PATH", "LC_ALL", "LC_TIME", "TZ", "SSL_CERT_FILE", "no_proxy", "NO_PROXY"),
        *("XDG_CACHE_HOME", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"),
    ],
)
def test_what_jobs_need_is_passed_on(name: str) -> None:
    assert job_environment({name: "value"}) == {name: "value"}


def test_a_proxy_with_a_password_is_for_builds_only() -> None:
    environ = {"https_proxy": "http://user:word@proxy.example.org", "no_proxy": "localhost"}
    assert job_environment(environ) == {"no_proxy": "localhost"}
    assert build_environment(environ) == environ


def test_builds_know_the_package_index_but_not_where_to_install() -> None:
    index = {
        "UV_INDEX_URL": "https://user:word@index.example.org/simple",
        "UV_INDEX_OURS_PASSWORD": "word",
        "PIP_INDEX_URL": "https://index.example.org/simple",
        "UV_SYSTEM_CERTS": "1",
    }
    places = {"UV_TARGET": "/x", "UV_PYTHON": "3.9", "PIP_PREFIX": "/x", "PIP_USER": "1"}
    assert build_environment({**index, **places}) == index
    assert job_environment({**index, **places}) == {}


def test_the_environment_of_this_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_TIME", "C")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "x")
    assert job_environment()["LC_TIME"] == "C"
    assert "JUPYTERHUB_API_TOKEN" not in job_environment()
