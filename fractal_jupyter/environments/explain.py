"""Why an installation failed, in words: from the output of uv and pip.

A pure function. The outputs that it was written for, of old and new versions of both, are in
tests/environments/data.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence

from fractal_jupyter.environments.spec import BuildRequest, normal_name
from fractal_jupyter.errors import (
    CollectionError,
    PackageNotFound,
    ResolverConflict,
    UnsupportedPython,
)

__all__ = ["explain", "fits", "last_lines"]

_Rule = Callable[[str, BuildRequest], CollectionError | None]


def explain(output: str, request: BuildRequest) -> CollectionError:
    """Return the error that says why the packages could not be installed.

    Args:
        output: everything that uv or pip wrote.
        request: what was wanted.

    Returns:
        The error: of the class for its kind, `CollectionError` itself where there is none.
    """
    text = _flat(output)
    for rule in _RULES:
        error = rule(text, request)
        if error is not None:
            return error
    return CollectionError(
        f"{request.package} could not be installed; the installer says:\n{last_lines(output)}"
    )


def fits(version: str, wanted: str) -> bool:
    """Tell whether a Python version, "3.12", satisfies specifiers like ">=3.11,<3.15,!=3.13.1".

    Only the first two numbers count: of "3.12" there is always a release that is new enough.
    """
    found = _numbers(version)[:2]
    for specifier in wanted.split(","):
        match = re.match(r"\s*(===|==|~=|!=|>=|<=|>|<)\s*([0-9]+(?:\.[0-9]+)*)", specifier)
        if match and not _satisfies(found, match[1], _numbers(match[2])):
            return False
    return True


def last_lines(output: str, count: int = 12) -> str:
    """Return the last lines of an output that say something."""
    lines = [line for line in output.splitlines() if line.strip()]
    return "\n".join(lines[-count:]) or "nothing at all"


# The rules, the most certain signs first.


def _disk_full(text: str, request: BuildRequest) -> CollectionError | None:
    if not re.search(r"No space left on device|Disk quota exceeded", text):
        return None
    return CollectionError(
        f"The disk is full, or your quota used up: {request.package} could not be installed into "
        f"{request.folder}. Free some space there or in the folder of the package cache, or "
        "choose another folder in the resource (tasks_local_dir, tasks_remote_dir)."
    )


def _wrong_python(text: str, request: BuildRequest) -> CollectionError | None:
    for pattern in _PYTHON_PATTERNS:
        match = re.search(pattern, text)
        if match:
            found = match.groupdict()
            needing = found["package"].replace("==", " ")
            return UnsupportedPython(_python_sentence(needing, found["wanted"], request))
    return None


_PYTHON_PATTERNS = (
    # uv
    r"(?P<package>\S+==\S+) requires Python (?P<wanted>\S+?),? (?:and|we)",
    r"does not satisfy Python(?P<wanted>\S+) and (?P<package>\S+) depends on Python",
    # pip: a wheel file, or a version that it chose
    r"Package '(?P<package>[^']+)' requires a different Python: \S+ not in '(?P<wanted>[^']+)'",
    # pip: every version there is, or the only one that was asked for
    r"different python version: [^:]*?Requires-Python (?P<wanted>[^;]+?)(?:;[^:]*)? "
    r"ERROR: Could not find a version that satisfies the requirement (?P<package>\S+) "
    r"[^:]*?from versions: none",
)


def _python_sentence(needing: str, wanted: str, request: BuildRequest) -> str:
    sentence = f"{needing} needs Python {wanted}, and not {request.python_version}."
    if not request.configured:
        return f"{sentence} Choose another Python version (python=)."
    fitting = [version for version in request.configured if fits(version, wanted)]
    if fitting:
        return f'{sentence} Of the configured ones these fit: {", ".join(fitting)} (python="…").'
    return (
        f"{sentence} None of the configured ones ({', '.join(request.configured)}) fits: add one "
        "to tasks_python_config of the resource."
    )


def _conflict(text: str, request: BuildRequest) -> CollectionError | None:
    match = re.search(r"The conflict is caused by: (.*?)(?= To fix| Additionally,|$)", text)
    if match:
        clauses = re.split(
            r" (?=The user requested |[\w.-]+(?:\[\S+\])? [\w.]+ depends on )", match[1]
        )
        reason = "; ".join(list(dict.fromkeys(clauses))[:6])
    else:
        match = re.search(r"No solution found.*?([Bb]ecause .* unsatisfiable\.)", text)
        if not match or re.search(r"no version of|was not found in", match[1]):
            return None
        reason = match[1]
    advice = " Change what is pinned." if request.pins_before else ""
    return ResolverConflict(
        f"What {request.package} needs cannot be installed together: {reason}{advice}"
    )


def _unreachable(text: str, request: BuildRequest) -> CollectionError | None:
    signs = (re.search(pattern, text) for pattern in _NETWORK_PATTERNS)
    sign = next((match[0].strip(" :`'") for match in signs if match), None)
    if sign is None:
        return None
    return CollectionError(
        f"{request.package} could not be fetched, because a package index does not answer as it "
        f"should: {sign}. Check the network, the proxy (https_proxy), the certificates "
        "(SSL_CERT_FILE) and the configured index (UV_INDEX_URL, pip.conf), then try again."
    )


# The most telling ones first.
_NETWORK_PATTERNS = (
    r"lack of valid authentication credentials \(\d+ \w+\)",
    r"network was disabled",
    r"HTTP status \w+ error \(\d+ [^)]*\)",
    r"(?:40[13]|5\d\d) (?:Client |Server )?Error[^.]{0,60}",
    r"failed to lookup address information",
    r"Failed to (?:resolve|establish a new connection)[^)]{0,90}",
    r"invalid peer certificate: \w+",
    r"certificate verify failed[^()]{0,60}",
    r"Connection refused",
    r"Read timed out|operation timed out",
    r"connection broken by '[^']{0,90}",
    r"could not be queried[^.]{0,80}",
    r"Failed to (?:fetch|download)\b[^()]{0,60}",
)


def _not_found(text: str, request: BuildRequest) -> CollectionError | None:
    uv_package = re.search(r"[Bb]ecause (\S+) was not found in", text)
    if uv_package:
        return _no_package(uv_package[1], request)
    uv_version = re.search(r"there is no version of (\S+?)==(\S+?),? and", text)
    if uv_version:
        newest = re.search(r"The newest version of (\S+) that fits here is (\S+)", text)
        known = [newest[2]] if newest else []
        return _no_version(uv_version[1], uv_version[2], known, request)
    pip = re.search(r"satisfies the requirement ([\w.-]+)(\S*) .*?from versions: ([^)]*)\)", text)
    if not pip:
        return None
    if pip[3] == "none":
        return _no_package(pip[1], request)
    return _no_version(pip[1], pip[2].removeprefix("=="), pip[3].split(", "), request)


def _no_package(name: str, request: BuildRequest) -> CollectionError:
    if request.lock is not None:
        return _no_longer(name, request)
    return PackageNotFound(
        f"There is no package {name}{_asked_by(name, request)} in the package index that is used "
        "here. Check the spelling, and the configured index (UV_INDEX_URL, pip.conf); a package "
        "that is not published can be collected from its wheel file."
    )


def _no_version(
    name: str, version: str, versions: Sequence[str], request: BuildRequest
) -> CollectionError:
    if request.lock is not None:
        return _no_longer(f"{name} {version}", request)
    sentence = (
        f"There is no version {version} of {name}{_asked_by(name, request)} in the package index "
        "that is used here."
    )
    near = difflib.get_close_matches(version, versions, 3, 0.75)
    newest = [each for each in versions if re.fullmatch(r"[0-9.]+", each)][-3:]
    known = ", ".join(dict.fromkeys([*near, *reversed(newest)]))
    if len(versions) == 1:
        advice = f"The newest that fits here is {versions[0]}."
    else:
        advice = f"There are, among others: {known}." if known else "Ask for another one."
    return PackageNotFound(f"{sentence} {advice}")


def _no_longer(what: str, request: BuildRequest) -> CollectionError:
    return PackageNotFound(
        f"The environment of {request.package} was recorded with {what}, which the package index "
        "that is used here does not have any more. Ask who runs the index (UV_INDEX_URL, "
        "pip.conf), or use another one; or collect the package anew, without that exactness."
    )


def _asked_by(name: str, request: BuildRequest) -> str:
    """Return a clause that says who asks for a package, if it is not the user."""
    pinned = {*request.pins_before, *request.pins_after, request.package.name}
    if normal_name(name) in {normal_name(each) for each in pinned}:
        return ""
    return f", which {request.package} needs,"


def _other_content(text: str, request: BuildRequest) -> CollectionError | None:
    match = re.search(
        r"Hash mismatch for `(?P<uv>[^`]+)`"
        r"|DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.*?tampered with them\. (?P<pip>\S+)",
        text,
    )
    if not match:
        return None
    package = (match["uv"] or match["pip"]).replace("==", " ")
    return CollectionError(
        f"{package} is not what it was: its archive in the package index has another hash than "
        f"the one that the environment of {request.package} was recorded with. Somebody has "
        "replaced it; ask who runs the index before you use it."
    )


def _bad_wheel(text: str, request: BuildRequest) -> CollectionError | None:
    match = re.search(
        r"Wheel '\S+' located at \S+ is invalid|Failed to read from zip file.{0,80}"
        r"|\S+ is not a supported wheel on this platform"
        r"|no wheels? with a matching [^()]{0,80}|is not compatible with [^.]{0,80}",
        text,
    )
    if not match:
        return None
    return CollectionError(
        f"The wheel file of {request.package} cannot be used: {match[0].strip()}. It is damaged, "
        "or made for another platform or Python version."
    )


def _build_failed(text: str, request: BuildRequest) -> CollectionError | None:
    match = re.search(r"Failed (?:to build|building wheel for) `?([\w.=-]+)", text)
    if not match:
        return None
    package = match[1].replace("==", " ")
    return CollectionError(
        f"{package} comes as source code, and could not be built here; a compiler or a library "
        "may be missing, the log says which. Another version of it may come ready-made for "
        f"Python {request.python_version}: pin that one, or choose another Python version."
    )


_RULES: tuple[_Rule, ...] = (
    _disk_full,
    _other_content,
    _wrong_python,
    _build_failed,
    _bad_wheel,
    _unreachable,
    _conflict,
    _not_found,
)


def _flat(output: str) -> str:
    """Return an output on one line, without the boxes that some versions draw around it."""
    return " ".join(re.sub(r"[│├╰─▶×>]+(?=\s)", " ", output).split())


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split(".") if number.isdigit())


def _satisfies(found: tuple[int, ...], operator: str, bound: tuple[int, ...]) -> bool:
    series, exact = bound[:2], len(bound) > 2
    return {
        ">=": found >= series,
        # 3.12.1 is later than "3.12", and an early release of 3.12 is not what there is
        ">": found >= series,
        "<": found < series or (exact and found == series),
        "<=": found < series or (exact and found == series),
        "==": found[: len(series)] == series,
        "===": found == series,
        "!=": exact or found[: len(series)] != series,
        "~=": found == series if exact else found >= series and found[0] == series[0],
    }[operator]
