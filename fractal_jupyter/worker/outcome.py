"""What became of a unit, in words: from how its process ended, what it wrote and what it logged."""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
import signal
from typing import List, NamedTuple, Optional

MOST_WORDS = 2000
# Deeper JSON than that is refused, so that whoever reads a record can decode it.
DEEPEST = 200

_INDENTATION = re.compile(rb"\n[ \t\r\n]*")
_TRACEBACK = "Traceback (most recent call last):"
_GROUP_TRACEBACK = "  + Exception Group " + _TRACEBACK


class Outcome(NamedTuple):
    """What is recorded of a unit.

    Attributes:
        status: `done`, `failed`, `cancelled` or `interrupted`.
        message: Why, for people; empty when done.
        problem: What kind of thing went wrong, for programs.
        exit_code: None when it was killed or not started.
        signal: What it was killed by.
        output: JSON on one line; only when done.
    """

    status: str
    message: str = ""
    problem: Optional[str] = None
    exit_code: Optional[int] = None
    signal: Optional[int] = None
    output: bytes = b"null"


class InvalidOutput(Exception):
    """A unit has written what is no JSON; the text says what is wrong with it."""


def compact(data: bytes) -> bytes:
    """Check that `data` is JSON and return it on one line.

    Raises:
        InvalidOutput: It is not, or it is nested too deeply.
    """
    if not data.strip():
        raise InvalidOutput("its output file is empty: it ended while writing it")
    try:
        value = json.loads(data.decode())
    except UnicodeDecodeError as error:
        raise InvalidOutput("its output file is no UTF-8 text: %s" % error) from error
    except (ValueError, RecursionError) as error:
        raise InvalidOutput("its output file is not JSON: %s" % error) from error
    if data.count(b"[") + data.count(b"{") > DEEPEST and _is_deep(value):
        raise InvalidOutput("its output is nested more than %d levels deep" % DEEPEST)
    # No string in JSON holds a line break: whatever is around one is layout.
    return _INDENTATION.sub(b"", data)


def _is_deep(value: object) -> bool:
    level: List[object] = [value]
    for _ in range(DEEPEST):
        level = [
            child
            for node in level
            if isinstance(node, (list, dict))
            for child in (node.values() if isinstance(node, dict) else node)
        ]
    return any(isinstance(node, (list, dict)) for node in level)


def ended(status: int, output: Optional[bytes], tail: bytes) -> Outcome:
    """Judge a unit that ended by itself.

    Args:
        status: How its process ended, as `wait` tells it.
        output: What it wrote; None when it wrote nothing.
        tail: The end of its log.
    """
    if os.WIFSIGNALED(status):
        return _killed(os.WTERMSIG(status), tail)
    code = os.WEXITSTATUS(status)
    if code:
        return Outcome("failed", _gave_up(code, tail)[:MOST_WORDS], exit_code=code)
    if output is None:
        return Outcome("done", exit_code=0)
    try:
        return Outcome("done", exit_code=0, output=compact(output))
    except InvalidOutput as error:
        message = "It ended with exit status 0, but %s" % error
        return Outcome("failed", message[:MOST_WORDS], "invalid_output", exit_code=0)


# Of Python, when it could not write at its end what it had printed.
UNWRITTEN = 120
_UNWRITTEN = (
    "Python ends with it when what was printed cannot be written: see that the disk of the job's "
    "folder is not full, and retry."
)


def _gave_up(code: int, tail: bytes) -> str:
    """Why a unit ended with an exit status: its exception says all, another last line does not."""
    said = last_words(tail)
    if code == 1 and _TRACEBACK.encode() in tail:
        return said
    message = "It ended with exit status %d%s" % (
        code,
        ". The last it logged: " + said if said else " and logged nothing.",
    )
    return message + " " + _UNWRITTEN if code == UNWRITTEN else message


def _killed(number: int, tail: bytes) -> Outcome:
    hint = _HINTS.get(number, "")
    said = last_words(tail)
    message = "It was killed by %s.%s" % (signal_name(number), " " + hint if hint else "")
    if said:
        message += " The last it logged: " + said
    return Outcome("failed", message[:MOST_WORDS], "killed", signal=number)


_HINTS = {
    int(signal.SIGSEGV): "A library that it uses has crashed.",
    int(signal.SIGABRT): "A library that it uses has given up.",
    int(signal.SIGFPE): "A library that it uses has crashed in a calculation.",
}
if os.name == "posix":
    _HINTS.update(
        {
            int(signal.SIGBUS): "A file that it had mapped was cut short, or its disk is full.",
            int(signal.SIGXCPU): "It used more processor time than is allowed here.",
            int(signal.SIGXFSZ): "It wrote a larger file than is allowed here.",
            int(signal.SIGKILL): "Somebody or something outside of this job did it: a person, or "
            "a system that ends processes to save memory.",
        }
    )


def out_of_memory(number: int, peak: int, advice: str) -> Outcome:
    """The system has run out of memory and chosen this unit.

    Args:
        number: The signal that ended it.
        peak: Bytes that it used at most, as far as that was seen.
        advice: Who gives how much memory, and what to change.
    """
    message = "It was killed because memory ran out, when it used %s. %s" % (_size(peak), advice)
    return Outcome("failed", message, "out_of_memory", signal=number)


def over_limit(used: int, limit: int, number: int) -> Outcome:
    """The unit has used more memory than it may."""
    message = (
        "It was stopped when it used %s of memory; the limit of a unit is %s. Raise the limit "
        "(`memory_limit=` of submit), or let it work on smaller pieces."
        % (_size(used), _size(limit))
    )
    return Outcome("failed", message, "memory_limit", signal=number)


def cancelled(status: int) -> Outcome:
    """The unit was told to end because the batch was cancelled."""
    return _stopped("cancelled", "It was cancelled while it was running.", "cancelled", status)


def superseded(status: int) -> Outcome:
    """The unit was stopped because a later attempt has taken over the batch."""
    message = (
        "It was stopped while it was running, because the scheduler has started its batch again."
    )
    return _stopped("interrupted", message, "superseded", status)


def worker_failed() -> Outcome:
    """The unit was stopped because the worker could not go on."""
    message = "It was stopped while it was running, because its worker could not go on."
    return Outcome("interrupted", message, "worker_failed")


def unkillable() -> Outcome:
    """The unit was told to end, then killed, and still has not ended."""
    message = (
        "It was told to end and did not, even when it was killed: most likely it waits for a file "
        "system that does not answer."
    )
    return Outcome("interrupted", message, "unkillable")


def forker_died(how: str, ran_out: bool) -> Outcome:
    """The unit went down with the process that it was forked from.

    Args:
        how: How that process ended, after "which".
        ran_out: Whether memory has run out meanwhile.
    """
    message = "It went down with the process that units are forked from, which %s%s. %s" % (
        how,
        " because memory ran out" if ran_out else "",
        _UNKNOWN,
    )
    return Outcome("interrupted", message, "forker_died", signal=int(signal.SIGKILL))


def abandoned() -> Outcome:
    """An earlier attempt had started the unit and never recorded its end."""
    message = "It was running when its worker was killed, or the machine that it ran on went down. "
    return Outcome("interrupted", message + _UNKNOWN, "worker_died")


_UNKNOWN = "What the unit had done until then is not known."


def unreadable(error: OSError) -> Outcome:
    """The unit ended, but what it has written cannot be read."""
    message = "Its output file cannot be read: %s." % error.strerror
    return Outcome("failed", message, "invalid_output", exit_code=0)


def not_started(number: int, what: str) -> Outcome:
    """The process of the unit could not be started.

    Args:
        number: The error number; 0 if `what` says it all.
        what: The file that is to blame.
    """
    why = "%s: %s" % (what, os.strerror(number)) if number else what
    cure = _CURES.get(number, "")
    message = "It could not be started: %s.%s" % (why, " " + cure if cure else "")
    return Outcome("failed", message[:MOST_WORDS], "could_not_start")


def not_forked(number: int) -> Outcome:
    """The unit could not be forked; `number` is the error number."""
    of_process = number in (errno.EAGAIN, errno.ENOMEM)
    return not_started(number, "a new process" if of_process else "its log or working directory")


_CURES = {
    errno.ENOENT: "If that is the task's environment, it was removed or cannot be seen from this "
    "machine: collect the package again.",
    errno.EACCES: "See that it may be read and executed by the user who runs the job.",
    errno.EAGAIN: "This user has as many processes as are allowed: run fewer units side by side.",
    errno.ENOMEM: "Memory has run out: run fewer units side by side.",
    errno.ENOSPC: "The disk is full: make room and retry.",
    errno.ENOEXEC: "It is no program that this machine can run.",
}


def _stopped(status: str, message: str, problem: str, waited: int) -> Outcome:
    if os.WIFSIGNALED(waited):
        return Outcome(status, message, problem, signal=os.WTERMSIG(waited))
    return Outcome(status, message, problem, exit_code=os.WEXITSTATUS(waited))


def last_words(tail: bytes) -> str:
    """What a log says about the end: the exception of its last traceback, or its last line."""
    lines = tail.decode(errors="replace").replace("\0", "").splitlines()
    lines = [line.rstrip() for line in lines]
    starts = [n for n, line in enumerate(lines) if line in (_TRACEBACK, _GROUP_TRACEBACK)]
    if starts:
        words = _exception(
            lines[starts[-1] + 1 :], "  | " if lines[starts[-1]] != _TRACEBACK else ""
        )
        if words:
            return words[:MOST_WORDS]
    said = [line for line in lines if line]
    return said[-1].strip()[:MOST_WORDS] if said else ""


def _exception(lines: List[str], margin: str) -> str:
    """The lines that follow the frames of a traceback: the exception, which may take several.

    Those of a group have a margin, and what is in the group comes after it.
    """
    if margin:
        own = list(itertools.takewhile(lambda line: line.startswith(margin), lines))
        lines = [line[len(margin) :] for line in own]
    for position, line in enumerate(lines):
        if line and not line.startswith(" "):
            return "\n".join(lines[position:]).strip()
    return ""


def signal_name(number: int) -> str:
    """`SIGSEGV (11)`, or `signal 35`."""
    try:
        return "%s (%d)" % (signal.Signals(number).name, number)
    except ValueError:
        return "signal %d" % number


def how_it_ended(status: int) -> str:
    """How a process ended, in words, after "which"."""
    if os.WIFSIGNALED(status):
        return "was killed by %s" % signal_name(os.WTERMSIG(status))
    return "ended with exit status %d" % os.WEXITSTATUS(status)


def _size(count: int) -> str:
    if count >= 10**9:
        return "%.1f GB" % (count / 10**9)
    return "%.0f MB" % (count / 10**6)
