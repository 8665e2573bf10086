"""The cluster of the tests, from Python: what the script `cluster` beside this file does."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.toy import wait_until

SCRIPT = Path(__file__).parent / "cluster"
NODES = 2
# Of an environment, what would steer SLURM's commands.
_STEERING = ("SLURM_", "SBATCH_", "SQUEUE_", "SCANCEL_", "SACCT_", "SINFO_")


class ClusterError(Exception):
    """What a command for the cluster said when it failed."""


@dataclass(frozen=True)
class ClusterJob:
    """A job, or an element of a job array, as squeue shows it.

    `id` is `12` or `12_3`, `state` and `reason` are SLURM's words, `node` is empty before it runs.
    """

    id: str
    state: str
    reason: str
    node: str
    user: str
    name: str


def run(*argv: str | Path, stdin: str | None = None) -> str:
    """Run a command as the cluster's administrator: its output, stripped.

    Raises:
        ClusterError: It failed; has its words.
    """
    done = subprocess.run(
        [str(word) for word in argv],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=120,
        cwd="/",
        env={key: value for key, value in os.environ.items() if not key.startswith(_STEERING)},
    )
    if done.returncode:
        command = " ".join([Path(argv[0]).name, *(str(word) for word in argv[1:])])
        raise ClusterError(f"{command}: {done.stderr.strip() or f'exit {done.returncode}'}")
    return done.stdout.strip()


class Cluster:
    """The one cluster of this machine."""

    def why_not(self, *, accounting: bool = False) -> str | None:
        """What keeps this machine from having a cluster, in words; nothing if nothing does."""
        try:
            run(SCRIPT, "check", *(["--accounting"] if accounting else []))
        except (ClusterError, OSError) as error:
            return str(error).partition("cluster: ")[2] or str(error)
        return None

    def up(
        self,
        *,
        nodes: int = NODES,
        cpus: int = 8,
        mem: int = 16000,
        accounting: bool = False,
        cgroups: bool = True,
        settings: Mapping[str, str | int] | None = None,
    ) -> None:
        """Make it a healthy cluster with just these options, whatever it was before.

        Args:
            nodes: How many: `node1`, `node2`, …
            cpus: That each node declares.
            mem: That each node declares, in MB.
            accounting: With slurmdbd, and limits that are enforced.
            cgroups: Let the kernel limit memory, where it can.
            settings: Other lines of slurm.conf, in place of those that would be there.
        """
        words = ["--nodes", nodes, "--cpus", cpus, "--mem", mem]
        words += ["--accounting"] * accounting + ["--no-cgroups"] * (not cgroups)
        for key, value in (settings or {}).items():
            words += ["--set", f"{key}={value}"]
        run(SCRIPT, "up", *(str(word) for word in words))

    def down(self) -> None:
        """Stop everything."""
        run(SCRIPT, "down")

    def clear(self) -> None:
        """Cancel all jobs, whoever's, and wait until none is left."""
        run(SCRIPT, "clear")

    @property
    def is_up(self) -> bool:
        """Whether the controller answers."""
        try:
            return "is UP" in run("scontrol", "ping")
        except (ClusterError, OSError):
            return False

    @property
    def has_cgroups(self) -> bool:
        """Whether the kernel limits the memory of jobs."""
        return self.setting("TaskPlugin") == "task/cgroup"

    @property
    def has_devices(self) -> bool:
        """Whether jobs are told which GPUs are theirs; there are none, but files that stand in."""
        return Path("/var/tmp/slurm-cluster/gpu0").is_char_device()

    @property
    def has_accounting(self) -> bool:
        """Whether it runs with slurmdbd."""
        return self.setting("AccountingStorageType") == "accounting_storage/slurmdbd"

    def setting(self, key: str) -> str:
        """The value of a line of its configuration, as SLURM has understood it."""
        for line in run("scontrol", "show", "config").splitlines():
            found, _, value = line.partition("=")
            if found.strip() == key:
                return value.strip()
        raise KeyError(key)

    def account(self, user: str, **limits: int) -> None:
        """Let a user submit where there is accounting, with limits: `MaxSubmitJobs=5`; -1: none."""
        run(SCRIPT, "account", user, *(f"{key}={value}" for key, value in limits.items()))

    @contextmanager
    def limited(self, user: str, **limits: int) -> Iterator[None]:
        """Limits of a user for a while."""
        self.account(user, **limits)
        try:
            yield
        finally:
            self.account(user, **dict.fromkeys(limits, -1))

    # Faults

    @contextmanager
    def paused(self) -> Iterator[None]:
        """A controller that hangs: it accepts connections and answers nothing."""
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def pause(self) -> None:
        """Let the controller hang."""
        run(SCRIPT, "pause")

    def resume(self) -> None:
        """Let it go on, and wait until it answers."""
        run(SCRIPT, "resume")

    def kill_controller(self) -> None:
        """Kill it; jobs run on. It forgets what it has not saved, see `wait_until_saved`."""
        run(SCRIPT, "kill-ctld")

    def start_controller(self) -> None:
        """Start it, and wait until it answers."""
        run(SCRIPT, "start-ctld")

    @contextmanager
    def without_accounting(self, *, hangs: bool) -> Iterator[None]:
        """Accounting that hangs for a while, or is gone; it hears later of what has happened."""
        run(SCRIPT, "pause-dbd" if hangs else "kill-dbd")
        try:
            yield
        finally:
            run(SCRIPT, "start-dbd")

    @contextmanager
    def forgetting(self) -> Iterator[None]:
        """A controller that is killed at the end, and comes back with the state of the beginning.

        Jobs of this time run on, unknown to it.
        """
        run(SCRIPT, "keep-state")
        try:
            yield
        finally:
            run(SCRIPT, "lose-state")

    def restart_nodes(self) -> None:
        """Start the daemons of all nodes anew.

        They refuse jobs whose numbers they have seen, and a controller that forgets uses numbers
        again.
        """
        for name in sorted(set(run("sinfo", "--noheader", "--Node", "--format=%N").split())):
            self.kill_node(name)
            self.start_node(name)

    def kill_node(self, name: str) -> None:
        """Kill the daemon of a node; its jobs run on, and nobody hears of them."""
        run(SCRIPT, "kill-node", name)

    def crash_node(self, name: str) -> None:
        """Kill the daemon of a node and its jobs, as when the power fails."""
        run(SCRIPT, "crash-node", name)

    def start_node(self, name: str) -> None:
        """Start the daemon of a node."""
        run(SCRIPT, "start-node", name)

    def lose_node(self, name: str) -> None:
        """Let the controller give a node up at once; its jobs fail, or are queued again."""
        run("scontrol", "update", f"nodename={name}", "state=down", "reason=test")

    # Jobs

    def submit(self, script: str, *options: str) -> str:
        """Submit a script as the current user; the job's id."""
        script = f"#!/bin/sh\n{script}\n"
        return run("sbatch", "--parsable", "--output=/dev/null", *options, stdin=script)

    def jobs(self, *, states: str = "all") -> list[ClusterJob]:
        """What squeue shows; finished jobs too, for as long as the controller remembers them."""
        columns = "%i|%T|%r|%N|%u|%j"
        table = run("squeue", "--noheader", "--array", f"--states={states}", f"--format={columns}")
        return [ClusterJob(*line.split("|", 5)) for line in table.splitlines()]

    def job(self, job_id: str) -> ClusterJob:
        """One job that the controller knows."""
        return next(job for job in self.jobs() if job.id == job_id)

    def start_now(self, job_id: str) -> None:
        """Let a job that was queued again start at once; SLURM would wait two minutes."""
        run("scontrol", "update", f"jobid={job_id}", "starttime=now")

    def wait_until_saved(self, job_id: str) -> None:
        """Wait until the controller has written a job down, as it does every few seconds."""
        comment = f"saved {job_id} {time.monotonic_ns()}"
        run("scontrol", "update", f"jobid={job_id}", f"comment={comment}")
        state = Path(self.setting("StateSaveLocation"), "job_state")
        wait_until(lambda: comment.encode() in state.read_bytes())

    def wait_for(self, job_id: str, *states: str, seconds: float = 30.0) -> ClusterJob:
        """Wait until a job is in one of these states."""
        wait_until(lambda: self.job(job_id).state in states, seconds=seconds)
        return self.job(job_id)
