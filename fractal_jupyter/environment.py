"""Which environment variables may reach a command: an allow-list, in this one place.

A notebook's environment holds what must not reach tasks or job folders (the API token of a hub,
passwords, the settings of the allocation that the notebook itself runs in), and what breaks them
(`PYTHONPATH`, `MPLBACKEND`). So nothing is passed on unless it is named here. What a task needs
beyond this comes from its resource (`user_local_exports`) or its submission (`worker_init`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

__all__ = ["build_environment", "job_environment"]

_PROXIES = tuple(
    spelled
    for name in ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
    for spelled in (name, name.upper())
)

_FOR_JOBS = frozenset(
    {
        *("HOME", "USER", "LOGNAME", "SHELL", "PATH", "TMPDIR", "TZ", "LANG", "LANGUAGE"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        *_PROXIES,
        *(
            f"LC_{name}"
            for name in (
                *("ALL", "ADDRESS", "COLLATE", "CTYPE", "IDENTIFICATION", "MEASUREMENT"),
                *("MESSAGES", "MONETARY", "NAME", "NUMERIC", "PAPER", "TELEPHONE", "TIME"),
            )
        ),
        *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"),
        # the libraries and modules that a site loads for its users
        *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "MODULEPATH", "MODULESHOME"),
        # where the cluster is; nothing else of SLURM's, which would be of the notebook's own job
        "SLURM_CONF",
        # which GPUs, and how many threads, a process may take
        *("CUDA_HOME", "CUDA_PATH", "CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES"),
        *("NVIDIA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"),
        *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
        # without these, programs do not start on Windows
        *("SYSTEMROOT", "SYSTEMDRIVE", "COMSPEC", "PATHEXT", "TEMP", "TMP"),
        *("USERPROFILE", "USERNAME", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA"),
    }
)

# Where packages come from, and how they are fetched and compiled. Nothing that says where they
# go (UV_TARGET, PIP_PREFIX, UV_PYTHON, UV_CACHE_DIR, …): that is the builder's to say.
_FOR_BUILDS = frozenset(
    {
        *("NETRC", "GIT_SSL_CAINFO", "CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS"),
        "PKG_CONFIG_PATH",
        *(
            f"UV_{name}"
            for name in (
                *("INDEX", "INDEX_URL", "DEFAULT_INDEX", "EXTRA_INDEX_URL", "INDEX_STRATEGY"),
                *("FIND_LINKS", "NO_INDEX", "OFFLINE", "CONFIG_FILE", "NO_CONFIG"),
                *("CONSTRAINT", "BUILD_CONSTRAINT", "OVERRIDE", "EXCLUDE", "EXCLUDE_NEWER"),
                *("KEYRING_PROVIDER", "CREDENTIALS_DIR", "INSECURE_HOST"),
                *("SYSTEM_CERTS", "NATIVE_TLS", "HTTP_TIMEOUT", "HTTP_RETRIES"),
                *("CONCURRENT_DOWNLOADS", "CONCURRENT_BUILDS", "CONCURRENT_INSTALLS"),
                *("LINK_MODE", "PRERELEASE", "RESOLUTION", "TORCH_BACKEND", "NO_BINARY"),
                *("NO_BUILD", "NO_BUILD_ISOLATION"),
            )
        ),
        *(
            f"PIP_{name}"
            for name in (
                *("INDEX_URL", "EXTRA_INDEX_URL", "FIND_LINKS", "NO_INDEX", "CONFIG_FILE"),
                *("TRUSTED_HOST", "CERT", "CLIENT_CERT", "PROXY", "KEYRING_PROVIDER", "CACHE_DIR"),
                *("CONSTRAINT", "TIMEOUT", "DEFAULT_TIMEOUT", "RETRIES", "PRE"),
                *("PREFER_BINARY", "NO_BINARY", "ONLY_BINARY"),
            )
        ),
    }
)
_FOR_BUILDS_PATTERN = re.compile(r"UV_INDEX_[A-Z0-9_]+_(USERNAME|PASSWORD)")

# The name or password in front of the host of a URL.
_CREDENTIALS = re.compile(r"://[^/\s@]*@")


def job_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables of `environ` that commands and tasks may see.

    A value that holds credentials (a proxy with a password in its URL) is left out as well:
    the environment of a job is written into its folder.

    Args:
        environ: the environment to choose from.

    Returns:
        A new dictionary, without a variable that is not allow-listed.
    """
    return {
        name: value
        for name, value in environ.items()
        if name in _FOR_JOBS and not _CREDENTIALS.search(value)
    }


def build_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables of `environ` that commands which install packages may see.

    These are the ones of `job_environment`, and what tells uv, pip and compilers where packages
    come from. They may hold the credentials of a proxy or of a package index, so this is given
    to the installing processes and written nowhere.

    Args:
        environ: the environment to choose from.

    Returns:
        A new dictionary.
    """
    return {
        name: value
        for name, value in environ.items()
        if name in _FOR_JOBS or name in _FOR_BUILDS or _FOR_BUILDS_PATTERN.fullmatch(name)
    }
