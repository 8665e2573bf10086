"""Resources: where computing happens.

Documents are those of Fractal's page "Computational integrations", and whatever fractal-server
2.26 accepts for a resource. This package is stricter with values that would be shell or SLURM
syntax, and with unknown fields: a misspelt one is told, not ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple, TypeAlias

from pydantic import AfterValidator, Field

from fractal_jupyter.errors import NotFound
from fractal_jupyter.models.documents import Document, parse_variant
from fractal_jupyter.models.python_config import OptionalPixiConfig, PixiConfig, PythonConfig
from fractal_jupyter.models.runner_config import LocalRunnerConfig, SlurmRunnerConfig
from fractal_jupyter.models.types import AbsolutePath, HostName, LocalPath, OneLine


class Interpreter(NamedTuple):
    """A Python interpreter of a resource: its version ("3.12") and absolute path."""

    version: str
    path: str


class _Resource(Document):
    """What every resource has.

    Attributes:
        name: Unique among the resources of a store.
        tasks_local_dir: Folder of task environments.
        tasks_python_config: Interpreters that task environments are made with.
        tasks_pixi_config: Pixi settings, None where pixi is not used.
        tasks_pip_cache_dir: pip's cache; `pip_cache_dir` in `tasks_python_config` outranks it.
        jobs_local_dir: Folder of the jobs' folders.
        jobs_poll_interval: Seconds between two questions about the state of jobs.
        prevent_new_submissions: Whether new jobs are refused.
    """

    # what a server adds when it exports a resource
    passed_over: ClassVar[frozenset[str]] = frozenset({"id", "timestamp_created"})

    name: OneLine
    tasks_local_dir: LocalPath
    tasks_python_config: PythonConfig
    tasks_pixi_config: OptionalPixiConfig
    tasks_pip_cache_dir: AbsolutePath | None = None
    jobs_local_dir: LocalPath
    jobs_poll_interval: Annotated[int, Field(ge=0)] = 5
    prevent_new_submissions: bool = False

    @property
    def pip_cache_dir(self) -> str | None:
        """The folder of pip's cache, None for where pip has it by itself."""
        return self.tasks_python_config.pip_cache_dir or self.tasks_pip_cache_dir

    def python_interpreter(self, version: str | None = None) -> Interpreter:
        """Return the configured interpreter of a Python version.

        Args:
            version: "3.12", for instance; None for the resource's default version.

        Raises:
            NotFound: No interpreter of that version is configured; the message lists those that
                are.
        """
        config = self.tasks_python_config
        interpreters = {str(known): path for known, path in config.versions.items()}
        wanted = version or config.default_version
        if wanted not in interpreters:
            raise NotFound(
                f"The resource {self.name!r} has no Python {wanted}; it has "
                f"{', '.join(interpreters)}. Take one of these, or add the path of an interpreter "
                f'to "tasks_python_config.versions" of the resource.'
            )
        return Interpreter(wanted, interpreters[wanted])


class LocalResource(_Resource):
    """This machine.

    Attributes:
        type: "local".
        jobs_runner_config: How many units run side by side.
        jobs_slurm_python_worker: None.
        host: None.
    """

    type: Literal["local"]
    jobs_runner_config: LocalRunnerConfig
    jobs_slurm_python_worker: None = None
    host: None = None


class SlurmSudoResource(_Resource):
    """A SLURM cluster that this machine belongs to; jobs are submitted through `sudo`.

    Attributes:
        type: "slurm_sudo".
        jobs_runner_config: SLURM options and packing of units.
        jobs_slurm_python_worker: The interpreter that runs the worker on compute nodes.
        host: None.
    """

    type: Literal["slurm_sudo"]
    jobs_runner_config: SlurmRunnerConfig
    jobs_slurm_python_worker: AbsolutePath
    host: None = None


def _built_in_a_job(config: PixiConfig | None) -> PixiConfig | None:
    if config is not None and config.SLURM_CONFIG is None:
        raise ValueError(
            'an object with a "SLURM_CONFIG": on a slurm_ssh resource, pixi runs in a SLURM job'
        )
    return config


class SlurmSSHResource(_Resource):
    """A SLURM cluster that is reached through SSH.

    Attributes:
        type: "slurm_ssh".
        jobs_runner_config: SLURM options and packing of units.
        jobs_slurm_python_worker: The interpreter that runs the worker on compute nodes.
        host: Name or address of the cluster's login node.
        tasks_pixi_config: Pixi settings with a `SLURM_CONFIG`, None where pixi is not used.
    """

    type: Literal["slurm_ssh"]
    jobs_runner_config: SlurmRunnerConfig
    jobs_slurm_python_worker: AbsolutePath
    host: HostName
    tasks_pixi_config: Annotated[OptionalPixiConfig, AfterValidator(_built_in_a_job)]


Resource: TypeAlias = LocalResource | SlurmSudoResource | SlurmSSHResource

RESOURCES: Final[Mapping[str, type[Resource]]] = {
    "local": LocalResource,
    "slurm_sudo": SlurmSudoResource,
    "slurm_ssh": SlurmSSHResource,
}


def parse_resource(document: Mapping[str, Any] | str | Path) -> Resource:
    """Check the document of a resource.

    Args:
        document: A mapping, JSON text, or the path of a JSON file.

    Returns:
        The resource; its `to_document()` is what was given.

    Raises:
        InvalidDocument: It cannot be read, or fields are wrong; the message lists each of them.
    """
    return parse_variant(RESOURCES, document, noun="resource", field="type")
