"""Every error that `fractal_jupyter` raises on purpose.

    FractalError
    ├── InvalidDocument           a resource, profile, workflow or image document is wrong
    │   └── InvalidManifest       a task package's manifest is wrong
    ├── InvalidArguments          arguments that a task's schema refuses
    ├── NotFound                  nothing has that name or id
    ├── AlreadyExists             the name or id is taken
    ├── Ambiguous                 several things have that name
    ├── InUse                     something else still needs it
    ├── NotAllowed                the configuration or the state of the thing forbids it
    ├── ImageListError            filters that select nothing, or outputs that do not fit together
    │   └── InvalidTaskOutput     a task wrote what the contract does not allow
    ├── PlanError                 units that no batch can hold
    ├── CollectionError           an environment could not be built
    │   ├── PackageNotFound       no such package or version
    │   ├── UnsupportedPython     the package does not run on the chosen Python
    │   ├── ResolverConflict      requirements that exclude each other
    │   ├── ManifestMissing       the package is no Fractal task package
    │   ├── ManifestBroken        the manifest, or a script that it names, cannot be used
    │   ├── InterpreterError      the Python interpreter is missing or of another version
    │   ├── BuildInProgress       another process is building the same environment
    │   └── EnvironmentDiffers    what was built is not what was recorded
    ├── ActivityStopped           what was being done to a task group has not come to its end
    │   ├── ActivityCancelled     somebody cancelled it
    │   └── ActivityLost          the process that did it has died
    ├── HostError                 a command or a file operation on a host went wrong
    │   ├── FileMissing           a file or folder is not there
    │   ├── CommandFailed         a command ended with an error
    │   ├── CommandTimeout        a command did not end in time
    │   ├── HostUnreachable       the host does not answer
    │   │   └── SchedulerUnreachable   its scheduler does not
    │   ├── UnsupportedOnHost     this kind of host cannot do that
    │   ├── AccessDenied          sudo or SSH does not let us be that user
    │   ├── HostKeyUnknown        an SSH host whose key nobody has vouched for yet
    │   └── HostKeyChanged        an SSH host with another key than the known one
    ├── SchedulerError            the scheduler refused, or gave an answer that makes no sense
    │   └── SubmissionRejected    it does not accept what was submitted
    ├── SupervisorFailed          the process that drives jobs could not start
    ├── StoreError                the database cannot be used
    │   ├── StoreTooNew           written by a newer version of this package
    │   ├── StoreUnavailable      locked, full, damaged, or not to be reached
    │   └── LeaseLost             another supervisor has taken over
    └── JobFailed                 raised by `job.raise_for_status()`

And one warning:

    AdministratorsFileWarning     a file of the administrator cannot be used

Each carries one sentence for the user that says what happened, where, and what to do about it.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from fractal_jupyter.printable import printable, without_colors


class FractalError(Exception):
    """Base of all errors of this package.

    `problems` has the wrong values one by one (`models.problems.Problem`), where there are some.
    Messages have names, paths and output of others in them, and end up in terminals.
    """

    def __init__(self, message: str = "", *, problems: Sequence[Any] = ()) -> None:
        super().__init__(printable(without_colors(message), lines=True))
        self.problems = tuple(problems)

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: the lines of the caller, and what is wrong.

        Where in this package it was found is no news, and a screen long. `%xmode Verbose` shows it.
        """
        formatter: Any = sys.modules["IPython.core.getipython"].get_ipython().InteractiveTB
        if formatter.mode == "Verbose":
            shown, lines = self, self.__traceback__
        else:
            shown, lines = copy.copy(self), _before_this_package(self.__traceback__)
        formatted: list[str] = formatter.structured_traceback(type(self), shown, lines)
        return formatted


def _before_this_package(lines: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that comes before the first line of this package."""
    package = __name__.partition(".")[0]
    if lines is None or lines.tb_frame.f_globals.get("__name__", "").split(".")[0] == package:
        return None
    later = _before_this_package(lines.tb_next)
    return TracebackType(later, lines.tb_frame, lines.tb_lasti, lines.tb_lineno)


class InvalidDocument(FractalError):
    """A document is wrong; the message lists each field, what was found and what is allowed."""


class InvalidManifest(InvalidDocument):
    """The manifest of a task package breaks the contract."""


class InvalidArguments(FractalError):
    """Arguments do not fit the schema of a task; the message lists the path of each wrong value."""


class NotFound(FractalError, LookupError):
    """Nothing has the given name or id."""


class AlreadyExists(FractalError):
    """The name or id is taken."""


class Ambiguous(FractalError, LookupError):
    """Several things have the given name; the message says how to choose."""


class InUse(FractalError):
    """Something else still needs the thing; the message names it."""


class NotAllowed(FractalError):
    """The configuration, or the state that the thing is in, forbids the action."""


class ImageListError(FractalError):
    """Filters that select nothing, or outputs of units that do not fit together."""


class InvalidTaskOutput(ImageListError):
    """A task wrote what the task contract does not allow."""


class PlanError(FractalError):
    """The units of a step cannot be packed into batches."""


class CollectionError(FractalError):
    """The environment of a task group could not be built."""


class PackageNotFound(CollectionError):
    """There is no such package, or no such version of it."""


class UnsupportedPython(CollectionError):
    """The package does not run on the chosen Python version."""


class ResolverConflict(CollectionError):
    """The requirements of the packages exclude each other."""


class ManifestMissing(CollectionError):
    """The installed package has no manifest: it is not a Fractal task package."""


class ManifestBroken(CollectionError):
    """The manifest of the installed package is wrong, or names scripts that are not there."""


class InterpreterError(CollectionError):
    """The Python interpreter is missing, broken, or of another version than configured."""


class BuildInProgress(CollectionError):
    """Another process is building the same environment."""


class EnvironmentDiffers(CollectionError):
    """An environment that was built again is not what was recorded; the message says where."""


class ActivityStopped(FractalError):
    """What was being done to a task group, or the like, has not come to its end."""


class ActivityCancelled(ActivityStopped):
    """Somebody cancelled it; everything is as it was before."""


class ActivityLost(ActivityStopped):
    """The process that did it has died; everything is as it was, or as it was to be."""


class HostError(FractalError):
    """A command or a file operation on a host went wrong."""


class FileMissing(HostError):
    """A file or folder that was to be read or written into is not there."""


class CommandFailed(HostError):
    """A command ended with a non-zero exit status."""


class CommandTimeout(HostError):
    """A command did not end within its time limit."""


class HostUnreachable(HostError):
    """The host does not answer; whether the command ran is not known."""


class SchedulerUnreachable(HostUnreachable):
    """The scheduler does not answer; whether it has accepted something is not known."""


class UnsupportedOnHost(HostError):
    """This kind of host cannot do what was asked."""


class AccessDenied(HostError):
    """Neither sudo nor SSH lets us act as the user of the profile; it takes a person to mend it."""


class HostKeyUnknown(HostError):
    """Nobody has vouched for the key of an SSH host; the message has it, and how to trust it.

    `fingerprint` is that of the key that the host shows.
    """

    def __init__(self, message: str = "", *, fingerprint: str = "") -> None:
        super().__init__(message)
        self.fingerprint = fingerprint


class HostKeyChanged(HostError):
    """An SSH host shows another key than the one that is known: it may be somebody else."""


class SchedulerError(FractalError):
    """The scheduler refused a request, or answered in a way that makes no sense."""


class SubmissionRejected(SchedulerError):
    """The scheduler does not accept what was submitted, and never would."""


class SupervisorFailed(FractalError):
    """The process that drives jobs could not start; the message has its last words."""


class StoreError(FractalError):
    """The database cannot be used."""


class StoreTooNew(StoreError):
    """The database was written by a newer version of this package."""


class StoreUnavailable(StoreError):
    """The database does not work, perhaps for a while: locked, full, damaged, not reachable."""


class LeaseLost(StoreError):
    """Another supervisor drives the jobs of this store now."""


class JobFailed(FractalError):
    """A job did not end well; raised by `job.raise_for_status()`."""


class AdministratorsFileWarning(UserWarning):
    """A file of the administrator cannot be used; the message names it, and what is wrong there."""
