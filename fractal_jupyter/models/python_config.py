"""What builds task environments on a resource: Python interpreters, and pixi.

The fields are those of fractal-server 2.26.
"""

from __future__ import annotations

import posixpath
import re
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ValidationInfo,
    WrapValidator,
    field_validator,
    model_validator,
)

from fractal_jupyter.models.documents import Section, no_twins
from fractal_jupyter.models.types import (
    AbsolutePath,
    OneLine,
    PositiveInt,
    SlurmTime,
    SlurmValue,
)

PythonVersion = Literal["3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15"]
"""Python versions that task environments may have."""

_PIXI_MEMORY = re.compile("[1-9][0-9]{0,14}[KMGT]")
_PIXI_NAME = re.compile(r"\w[\w.-]*", re.ASCII)


def _pixi_memory(memory: str) -> str:
    if not _PIXI_MEMORY.fullmatch(memory):
        raise ValueError('memory with its unit, K, M, G or T, such as "10G"')
    return memory


def _pixi_name(name: str) -> str:
    if not _PIXI_NAME.fullmatch(name):
        raise ValueError("letters, digits, underscores, dots and dashes, no dash at the start")
    return name


PixiMemory = Annotated[OneLine, AfterValidator(_pixi_memory)]
PixiName = Annotated[OneLine, AfterValidator(_pixi_name)]


class PythonConfig(Section):
    """The Python interpreters that task environments are made with (`tasks_python_config`).

    Attributes:
        versions: Path of the interpreter, by version.
        default_version: The version to take when none is asked for.
        pip_cache_dir: pip's cache, if not where pip has it by itself.
    """

    versions: dict[PythonVersion, AbsolutePath]
    default_version: OneLine
    pip_cache_dir: AbsolutePath | None = None

    @field_validator("default_version")
    @classmethod
    def _is_configured(cls, default: str, info: ValidationInfo) -> str:
        return _in_versions(default, info)


class PixiSlurmConfig(Section):
    """The SLURM job in which pixi builds an environment.

    Attributes:
        partition: Partition.
        cpus: CPUs.
        mem: Memory of the job, with its unit; this or `mem_per_cpu`.
        mem_per_cpu: Memory for each CPU, with its unit.
        time: Time limit.
        preamble: Shell lines at the start of the job's script, as the resource's owner wrote them.
    """

    partition: SlurmValue
    cpus: PositiveInt
    mem: PixiMemory | None = None
    mem_per_cpu: PixiMemory | None = None
    time: SlurmTime
    preamble: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _memory_is_said_once(self) -> PixiSlurmConfig:
        if (self.mem is None) == (self.mem_per_cpu is None):
            raise ValueError('an object with either "mem" or "mem_per_cpu"')
        return self


class PixiConfig(Section):
    """The pixi versions of a resource, and how they are run (`tasks_pixi_config`).

    Attributes:
        versions: Folder of each version, named like it, all in one folder: `/opt/pixi/0.47.0`
            has the binary `/opt/pixi/0.47.0/bin/pixi`.
        default_version: The version to take when none is asked for.
        PIXI_CONCURRENT_SOLVES: `pixi install --concurrent-solves`.
        PIXI_CONCURRENT_DOWNLOADS: `pixi install --concurrent-downloads`.
        TOKIO_WORKER_THREADS: Environment variable of the same name.
        DEFAULT_ENVIRONMENT: Name of the pixi environment to use.
        DEFAULT_PLATFORM: Platform that environments are made for.
        SLURM_CONFIG: The job that builds environments on a `slurm_ssh` resource.
    """

    versions: Annotated[dict[OneLine, AbsolutePath], WrapValidator(no_twins)]
    default_version: OneLine
    PIXI_CONCURRENT_SOLVES: PositiveInt = 4
    PIXI_CONCURRENT_DOWNLOADS: PositiveInt = 4
    TOKIO_WORKER_THREADS: PositiveInt = 2
    DEFAULT_ENVIRONMENT: PixiName = "default"
    DEFAULT_PLATFORM: PixiName = "linux-64"
    SLURM_CONFIG: PixiSlurmConfig | None = None

    @field_validator("versions")
    @classmethod
    def _side_by_side(cls, versions: dict[str, str]) -> dict[str, str]:
        in_one_folder = len({posixpath.dirname(folder) for folder in versions.values()}) <= 1
        if not in_one_folder or any(posixpath.basename(f) != v for v, f in versions.items()):
            raise ValueError(
                'folders named like their versions, all in one folder: {"0.47.0": '
                '"/opt/pixi/0.47.0", "0.50.1": "/opt/pixi/0.50.1"}'
            )
        return versions

    @field_validator("default_version")
    @classmethod
    def _is_configured(cls, default: str, info: ValidationInfo) -> str:
        return _in_versions(default, info)


def _in_versions(default: str, info: ValidationInfo) -> str:
    # `versions` comes first among the fields; it is not there when it is wrong itself
    versions = info.data.get("versions")
    if versions is not None and default not in versions:
        raise ValueError(f'a key of "versions": {", ".join(versions) or "there is none yet"}')
    return default


def _unused(config: object) -> object:
    if config is None:
        raise ValueError("an object, {} where pixi is not used")
    return None if config == {} else config


OptionalPixiConfig = Annotated[PixiConfig | None, BeforeValidator(_unused)]
"""Pixi settings; the document's `{}` is None here."""
