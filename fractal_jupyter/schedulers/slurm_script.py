"""The job script of a SLURM job array: options, the user's own lines, the worker and its batches.

    #!/bin/sh
    #SBATCH …                                 what SLURM is asked for
    …                                         worker_init
    exec /usr/bin/python3 -I -S -c '…' "$0"   from here on the shell reads nothing
    #: …                                      the program that finds the payload: slurm_bootstrap
    #= {…}                                    where things are to be put
    #+ …                                      the payload: worker and batches, compressed

Nothing but the script has to reach the cluster, and `sbatch` reads it from standard input. The
shell sees one word that is not ours: the path of the interpreter. All other text travels as JSON.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from fractal_jupyter.engine.slurm_options import UnitOptions
from fractal_jupyter.errors import PlanError

MARK: Final = "#--- not for the shell: how the worker is started, and its payload ---"
INIT_ENDED: Final = "worker_init has ended the shell, with exit status"
_BOURNE: Final = re.compile(r"[/ ](ba|da|k|mk|z)?sh( |$)")
_LINE_LENGTH: Final = 1_000
_PLAIN_VALUE: Final = re.compile(r"[\w./,:=@%+*&|()\[\]-]+", re.ASCII)
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# `sbatch` takes any line with one of these words in it for the border of two jobs.
_BORDER: Final = re.compile("(het|pack)(job)", re.IGNORECASE)
# One line, without ' and !: the same in every shell, that of csh included.
_LOADER: Final = (
    "import sys;a=sys.argv;v=sys.version_info;"
    'v<(3,8) and (sys.stderr.write("Python %d.%d is too old for the worker, which needs 3.8 or '
    'later: name another interpreter in jobs_slurm_python_worker.\\n" % v[:2]),sys.exit(126));'
    'exec("".join(l[3:] for l in open(a[1],encoding="latin-1").read()'
    '.rpartition("\\n"+a[2]+"\\n")[2].splitlines(True) if l[:2]=="#:"))'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobScript:
    """One job array.

    Attributes:
        name: The jobs' name, by which they are found again.
        options: What one unit needs.
        side_by_side: How many units run at a time in a job.
        folder: The folder of the phase as the compute side sees it; made before submission.
        python: The interpreter that runs the worker, on the compute nodes.
        elements: The array's elements, `0-9` or `3,7`.
        payload: What `pack_payload` returned, or the path on the compute side of a file with it.
        first_batch: The number of the batch that element 0 runs.
        worker_init: Lines of the user's own, in the language of the script's shell.
    """

    name: str
    options: UnitOptions
    side_by_side: int
    folder: str
    python: str
    elements: str
    payload: bytes | str
    first_batch: int = 0
    worker_init: str | None = None


def render(script: JobScript) -> str:
    """Return the text of a job script, for the standard input of `sbatch`.

    Raises:
        PlanError: A value cannot be written so that SLURM and the shell take it for what it is.
    """
    shell = script.options.shebang_line
    lines = [shell, *sbatch_lines(script), *_init_lines(script.worker_init, shell)]
    lines += [*_start_lines(script), MARK, *_program_lines(), _settings_line(script)]
    if isinstance(script.payload, bytes):
        text = base64.b64encode(script.payload).decode("ascii")
        lines += [f"#+{text[i : i + _LINE_LENGTH]}" for i in range(0, len(text), _LINE_LENGTH)]
    return "\n".join(lines) + "\n"


def pack_payload(worker: bytes, documents: Mapping[int, bytes]) -> bytes:
    """Compress the worker's archive and the batches of an array.

    Args:
        worker: What `fractal_jupyter.worker.bundle.bundle` returns.
        documents: The content of `batch.json` by number of the batch.

    Returns:
        A line of JSON, the archive and the documents, compressed as one by zlib: batches have
        most of their text in common.
    """
    places, start = {}, len(worker)
    for number, document in documents.items():
        places[str(number)] = start, len(document)
        start += len(document)
    header = {
        "archive": f"worker-{hashlib.sha256(worker).hexdigest()[:16]}.pyz",
        "archive_size": len(worker),
        "batches": places,
    }
    head = json.dumps(header).encode()
    return zlib.compress(b"".join((head, b"\n", worker, *documents.values())), 6)


def sbatch_lines(script: JobScript) -> list[str]:
    """Return the `#SBATCH` lines of a script.

    Of an option that is given twice `sbatch` takes the last. So lines of the configuration come
    behind what they may change, and before what belongs to the runner.

    Raises:
        PlanError: A value cannot be written in such a line.
    """
    return [
        *(f"#SBATCH --{name}={_value(name, value)}" for name, value in _asked(script)),
        *script.options.extra_lines,
        *(f"#SBATCH --{name}={_value(name, value)}" for name, value in _owned(script)),
        "#SBATCH --requeue",
    ]


def _asked(script: JobScript) -> Iterator[tuple[str, object]]:
    options = script.options
    yield "job-name", script.name
    for name in ("partition", "account"):
        if value := getattr(options, name):
            yield name, value
    if options.nodes is None:
        yield "nodes", 1
        yield "ntasks", 1
    else:
        yield "nodes", options.nodes
    yield "cpus-per-task", options.cpus_per_task * script.side_by_side
    if not any(_is_memory(word) for word in options.extra_words()):
        yield _memory(options, script.side_by_side)
    for name in ("time", "constraint", "gres", "gpus", "nodelist", "exclude"):
        if value := getattr(options, name):
            yield name, value


def _memory(options: UnitOptions, side_by_side: int) -> tuple[str, str]:
    if options.use_mem_per_cpu:
        return "mem-per-cpu", f"{-(-options.mem_mb // options.cpus_per_task)}M"
    return "mem", f"{options.mem_mb * side_by_side}M"


def _is_memory(word: str) -> bool:
    """Whether an option asks for memory: `sbatch` refuses to be asked in two ways."""
    name = word.partition("=")[0]
    return name == "--mem" or name.startswith("--mem-p")


def _owned(script: JobScript) -> Iterator[tuple[str, object]]:
    if "\\" in script.folder:
        raise PlanError(
            f"The folder of jobs {script.folder!r} has a backslash, which SLURM drops from the "
            "names of output files. Choose another folder in the resource or the profile."
        )
    yield "array", script.elements
    yield "chdir", script.folder
    # Behind a %, SLURM expects what to put in its place.
    yield "output", f"{script.folder.replace('%', '%%')}/slurm-%A_%a.out"
    yield "open-mode", "append"
    yield "export", "ALL"


def _value(name: str, value: object) -> str:
    """Write a value so that `sbatch` reads it as one word, and as it is."""
    text = str(value)
    if _PLAIN_VALUE.fullmatch(text) and not _BORDER.search(text):
        return text
    if not text or _CONTROL.search(text):
        raise PlanError(
            f"SLURM cannot be given {text!r} as `--{name}`: it is empty, or has line breaks or "
            "other control characters."
        )
    quoted = re.sub(r'(["\\])', r"\\\1", text)
    # Two words to who looks for borders, one to who reads quotes.
    return '"' + _BORDER.sub(r'\1""\2', quoted) + '"'


def _init_lines(worker_init: str | None, shebang_line: str) -> list[str]:
    if not worker_init or not worker_init.strip():
        return []
    if "\0" in worker_init:
        raise PlanError("`worker_init` has a NUL character, which no shell can read.")
    lines = worker_init.replace("\r\n", "\n").rstrip("\n").split("\n")
    # A command comes first, since SLURM reads options until then: none may come from the lines.
    if _BOURNE.search(shebang_line):
        return [f"trap 'echo \"{INIT_ENDED} $?.\"' 0", *lines, "trap - 0"]
    return [":", *lines]


def _start_lines(script: JobScript) -> list[str]:
    """Return lines that end the script if there is no interpreter, and become it if there is."""
    if _CONTROL.search(script.python) or (
        "csh" in script.options.shebang_line and "!" in script.python
    ):
        raise PlanError(
            f"The path of the interpreter {script.python!r} cannot be written in a job script. "
            "Set `jobs_slurm_python_worker` of the resource to another path."
        )
    python = shlex.quote(script.python)
    missing = shlex.quote(
        f"The worker could not start: its interpreter, {script.python}, named in "
        "jobs_slurm_python_worker, is not there (or is no program) on node"
    )
    return [
        f"test -x {python} || echo {missing} `uname -n`",
        f"test -x {python} || exit 127",
        f"exec {python} -I -S -c '{_LOADER}' \"$0\" '{MARK}'",
    ]


@cache
def _program_lines() -> tuple[str, ...]:
    source = Path(__file__).with_name("slurm_bootstrap.py").read_text("ascii")
    lines = (line for line in source.splitlines() if line and not line.startswith("#"))
    return tuple(f"#: {line}" for line in lines)


def _settings_line(script: JobScript) -> str:
    settings = {
        "folder": script.folder,
        "first_batch": script.first_batch,
        "payload": None if isinstance(script.payload, bytes) else script.payload,
    }
    return f"#= {json.dumps(settings)}"
