#!/bin/bash -l
#SBATCH --job-name=fractal-1-0-abcd
#SBATCH --partition=main,long
#SBATCH --account=lab
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=16000M
#SBATCH --time=1-00:00:00
#SBATCH --constraint=avx2&ssd
#SBATCH --gres=gpu:v100:1
#SBATCH --gpus=1
#SBATCH --nodelist=node[1-4]
#SBATCH --exclude=node3
#SBATCH --qos=low
#SBATCH --comment="two words"
#SBATCH --array=0-9%5
#SBATCH --chdir="/jobs/2026 100% \"new\"/it's"
#SBATCH --output="/jobs/2026 100%% \"new\"/it's/slurm-%A_%a.out"
#SBATCH --open-mode=append
#SBATCH --export=ALL
#SBATCH --requeue
trap 'echo "worker_init has ended the shell, with exit status $?."' 0
module load gcc
export INIT='1'
trap - 0
test -x '/opt/py thon/bin/python3' || echo 'The worker could not start: its interpreter, /opt/py thon/bin/python3, named in jobs_slurm_python_worker, is not there (or is no program) on node' `uname -n`
test -x '/opt/py thon/bin/python3' || exit 127
exec '/opt/py thon/bin/python3' -I -S -c 'import sys;a=sys.argv;v=sys.version_info;v<(3,8) and (sys.stderr.write("Python %d.%d is too old for the worker, which needs 3.8 or later: name another interpreter in jobs_slurm_python_worker.\n" % v[:2]),sys.exit(126));exec("".join(l[3:] for l in open(a[1],encoding="latin-1").read().rpartition("\n"+a[2]+"\n")[2].splitlines(True) if l[:2]=="#:"))' "$0" '#--- not for the shell: how the worker is started, and its payload ---'
#--- not for the shell: how the worker is started, and its payload ---
#: """Puts the worker and a batch into their folder on a compute node, and runs the worker on it.
#: It travels as text in job scripts, behind what the shell reads (`slurm_script` puts it there), and
#: is run by the interpreter of the worker: standard library only, Python 3.8 or later. Its arguments
#: are the path of the job script, and the line behind which it finds itself and the payload.
#: Exit statuses are those of the worker (66: there is no such batch, 74: files cannot be written),
#: and 126 for an interpreter that cannot be used.
#: """
#: from __future__ import annotations
#: import base64
#: import json
#: import os
#: import sys
#: from typing import Any, NoReturn
#: NO_BATCH, CANNOT_WRITE, UNSUITABLE = 66, 74, 126
#: STARTED_AGAIN = "SLURM has started the job again"
#: STARTS = "The worker starts on"
#: COULD_NOT_START = "The worker could not start on"
#: def main(script: str, mark: str) -> None:
#:     """Run the batch that this element of the job array is for."""
#:     if os.environ.get("SLURM_RESTART_COUNT", "0") != "0":
#:         # The output goes on in the same file: what stands above is about an earlier start.
#:         sys.stderr.write(f"{STARTED_AGAIN} on {os.uname().nodename}.\n")
#:         sys.stderr.flush()
#:     try:
#:         settings, payload = read_script(script, mark)
#:         number = settings["first_batch"] + int(os.environ["SLURM_ARRAY_TASK_ID"])
#:         header, worker, document = unpack(payload, number)
#:     except OSError as error:
#:         end(NO_BATCH, f"The batch cannot be read: {error}.")
#:     except (KeyError, ValueError) as error:
#:         end(NO_BATCH, f"The job script or its payload is damaged: {error!r}.")
#:     folder = os.path.join(settings["folder"], f"batch-{number:04d}")
#:     archive = os.path.join(settings["folder"], header["archive"])
#:     try:
#:         os.makedirs(folder, 0o700, exist_ok=True)
#:         place(archive, worker)
#:         place(os.path.join(folder, "batch.json"), document)
#:     except OSError as error:
#:         where = f"{folder}: {error.strerror} ({error.filename})"
#:         end(CANNOT_WRITE, f"The batch cannot be written into {where}.")
#:     sys.stderr.write(f"{STARTS} {os.uname().nodename}.\n")
#:     sys.stderr.flush()
#:     os.execv(sys.executable, [sys.executable, "-I", "-S", archive, "run", folder])
#: def read_script(script: str, mark: str) -> tuple[dict[str, Any], bytes]:
#:     """Return the settings and the packed payload that stand in the script."""
#:     with open(script, "rb") as file:
#:         tail = file.read().rpartition(b"\n" + mark.encode() + b"\n")[2].splitlines()
#:     settings = json.loads(b"".join(line[3:] for line in tail if line[:2] == b"#="))
#:     if settings["payload"] is None:
#:         return settings, base64.b64decode(b"".join(line[2:] for line in tail if line[:2] == b"#+"))
#:     with open(settings["payload"], "rb") as file:
#:         return settings, file.read()
#: def unpack(payload: bytes, number: int) -> tuple[dict[str, Any], bytes, bytes]:
#:     """Return the header of a payload, the worker's archive, and the document of a batch."""
#:     try:
#:         import zlib
#:     except ImportError:
#:         name_another = "name another interpreter in jobs_slurm_python_worker"
#:         end(UNSUITABLE, f"{sys.executable} has no module zlib: {name_another}.")
#:     try:
#:         head, _, content = zlib.decompress(payload).partition(b"\n")
#:     except zlib.error as error:
#:         raise ValueError(str(error)) from error
#:     header = json.loads(head)
#:     start, size = header["batches"][str(number)]
#:     return header, content[: header["archive_size"]], content[start : start + size]
#: def place(path: str, content: bytes) -> None:
#:     """Write a file at once, unless it is there with that content: others may be reading it."""
#:     try:
#:         with open(path, "rb") as file:
#:             if file.read() == content:
#:                 return
#:     except FileNotFoundError:
#:         pass
#:     partial = f"{path}.{os.uname().nodename}-{os.getpid()}"
#:     descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
#:     with os.fdopen(descriptor, "wb") as file:
#:         file.write(content)
#:         file.flush()
#:         os.fsync(file.fileno())
#:     os.replace(partial, path)
#: def end(status: int, words: str) -> NoReturn:
#:     """Say why nothing was run, and on which node."""
#:     sys.stderr.write(f"{COULD_NOT_START} {os.uname().nodename}. {words}\n")
#:     sys.exit(status)
#: if __name__ == "__main__":
#:     main(sys.argv[1], sys.argv[2])
#= {"folder": "/jobs/2026 100% \"new\"/it's", "first_batch": 20, "payload": null}
#+cGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRw
#+YXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWRwYXlsb2FkcGF5bG9hZHBheWxvYWQ=
