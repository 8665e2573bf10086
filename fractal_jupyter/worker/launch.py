"""How units are started: forked from a warm process if that can be, else as processes of their own.

This is where it is decided which of the two, and what happens when a forker is unfit or dies.
"""

from __future__ import annotations

import os
import select
import signal
import time
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

from . import cold, linux, warm
from .batch import Batch
from .journal import Journal
from .outcome import how_it_ended
from .processes import Exit
from .processors import Shares
from .segments import Segments
from .slots import Kept, keep_file
from .warm import Forked, Forker, GaveUp, Ready, Refused, Returned

# So often is a forker that was killed replaced; then something is wrong with forking itself.
MOST_RESTARTS = 3
# Imports that take longer, in seconds, are hanging.
IMPORT_PATIENCE = 300.0


class Lost(NamedTuple):
    """The unit in a slot went down with its forker; `how` completes "which …"."""

    slot: int
    how: str


Event = Union[Exit, Refused, Returned, Lost]


class Launcher:
    """Starts units, and tells when they have ended.

    Attributes:
        warm: Whether units are forked.
        wake: When `tick` has something to do, as `time.monotonic()`.
    """

    def __init__(
        self,
        batch: Batch,
        *,
        folder: str,
        slots: str,
        shares: Shares,
        units: int,
        preload: Sequence[str],
        journal: Journal,
        logs: Segments,
        poll: select.poll,
    ) -> None:
        """Start getting ready.

        Args:
            batch: Whose units.
            folder: The folder of the attempt.
            slots: The folder of the slots.
            shares: The processors, dealt out to units.
            units: How many units there are.
            preload: Modules that a forker imports beyond what the script names.
            journal: Is told how units are started.
            logs: Gets what a forker wrote that did not work.
            poll: Where forkers are listened to.
        """
        self.warm = False
        self.wake = float("inf")
        self._batch = batch
        self._folder = folder
        self._slots = slots
        self._units = units
        self._preload = tuple(preload)
        self._journal = journal
        self._logs = logs
        self._poll = poll
        self._cold = cold.Starter(batch, slots, shares)
        self._forkers: Dict[int, Forker] = {}  # by pid
        self._by_fd: Dict[int, Forker] = {}
        self._current: Optional[Forker] = None
        self._learning: Tuple[str, ...] = ()
        self._deaths = 0
        self._children = linux.Children()
        self._used: List[Forker] = []
        reason = batch.cold or warm.unfit(batch, units)
        if reason is None:
            self._start_forker()
        else:
            self._go_cold(reason)

    @property
    def ready(self) -> bool:
        """Whether units can be started now."""
        return self._current.ready if self._current is not None else not self.warm

    # units

    def start(self, slot: int, share: int, *, report: bool) -> None:
        """Start the unit in a slot.

        Args:
            slot: Where its arguments are.
            share: Which processors it runs on.
            report: Whether it is to list the modules that it loads; only done when forked.

        Raises:
            OSError: It could not be started; there will be no event.
        """
        if self._current is not None:
            self._current.start(slot, share, report=report)
        else:
            self._cold.start(slot, share)

    def kill(self, slot: int, number: int) -> None:
        """Send a signal to the processes of the unit in a slot."""
        starter = self._starter(slot)
        if starter is not None:
            starter.kill(slot, number)

    def pid(self, slot: int) -> int:
        """The process of the unit in a slot; 0 if it is not known (yet)."""
        starter = self._starter(slot)
        return 0 if starter is None else starter.slots[slot]

    def strangers(self) -> List[int]:
        """Children of this process that it has not started: orphans of units."""
        children = self._children.list()
        known = len(self._forkers) + len(self._cold.slots)
        if len(children) <= known:
            return []
        ours = {*self._forkers, *self._cold.slots.values()}
        return [pid for pid in children if pid not in ours]

    def _starter(self, slot: int) -> Union[cold.Starter, Forker, None]:
        if slot in self._cold.slots:
            return self._cold
        return next((forker for forker in self._forkers.values() if slot in forker.slots), None)

    # forkers

    def listen(self, fd: int) -> Iterator[Event]:
        """Yield what a forker has said of units."""
        forker = self._by_fd.get(fd)
        if forker is None:
            return
        try:
            for message in forker.messages():
                if isinstance(message, Ready):
                    self._is_ready(forker, message)
                elif isinstance(message, GaveUp):
                    self._gave_up(forker, message.reason)
                elif not isinstance(message, Forked):
                    yield message
            if forker is not self._current and not forker.slots:
                self._end(forker)  # that was its last unit
        except EOFError:
            self._hang_up(forker)
            self._end(forker)  # should it live, it is of no use; `reap` notices its end

    def learn(self, modules: List[str]) -> None:
        """Import modules into the process that units are forked from."""
        if self._current is not None and modules:
            self._learning = tuple(modules)
            self._current.learn(modules)

    def tick(self, now: float) -> None:
        """Give up on imports that hang."""
        if now >= self.wake:
            self.wake = float("inf")
            if self._current is not None and not self._current.ready:
                self._gave_up(
                    self._current, "imports did not end within %d seconds" % IMPORT_PATIENCE
                )

    def reap(self) -> Iterator[Event]:
        """Wait for children that have ended; yield the units among them."""
        if not linux.LINUX:
            yield from self._cold.all_ended()
            return
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            unit = self._cold.ended(ended.si_pid)
            if unit is not None:
                yield unit
                continue
            _, status = os.waitpid(ended.si_pid, 0)
            if ended.si_pid in self._forkers:
                yield from self._died(self._forkers.pop(ended.si_pid), status)

    def close(self) -> None:
        """End the forkers and everything that units have left."""
        for pid in self._forkers:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._forkers = {}
        self._kill_strangers()
        for forker in self._used:
            forker.remove_files()

    def _start_forker(self) -> None:
        try:
            forker = Forker(
                self._batch,
                folder=self._folder,
                slots=self._slots,
                preload=self._preload,
                units=self._units,
                number=len(self._used) + 1,
            )
        except OSError as error:
            self._go_cold("%s cannot be started: %s" % (error.filename, error.strerror))
            return
        self.warm = True
        self._current = self._forkers[forker.pid] = self._by_fd[forker.fd] = forker
        self._used.append(forker)
        self._poll.register(forker.fd, select.POLLIN)
        self.wake = time.monotonic() + IMPORT_PATIENCE

    def _is_ready(self, forker: Forker, facts: Ready) -> None:
        if forker is not self._current:
            return
        if forker.served:  # what it has learned is fine, for the next forker as well
            self._preload += self._learning
        forker.ready = forker.served = True
        self.wake = float("inf")
        self._journal.record(
            event="mode",
            warm=True,
            reason="units are forked from a process that has imported what they need",
            seconds=round(facts.seconds, 3),
            modules=facts.modules,
        )

    def _gave_up(self, forker: Forker, reason: str) -> None:
        """A forker is unfit; that may be because of modules that it was to import in advance."""
        if forker is not self._current:
            return
        if not forker.slots:
            self._end(forker)
        self._replace(forker, reason)

    def _died(self, forker: Forker, status: int) -> Iterator[Event]:
        forker.ready = False
        if forker.slots:
            self._kill_strangers()  # its units, should they not be dead yet
        yield from self.listen(forker.fd) if forker.fd in self._by_fd else ()
        self._hang_up(forker)
        how = how_it_ended(status)
        for slot in list(forker.slots):
            yield Lost(slot, how)
        if forker is self._current:
            self._deaths += 1
            why = "the process that units are forked from " + how
            self._replace(forker, why)

    def _replace(self, forker: Forker, reason: str) -> None:
        """Start another forker instead of one that cannot be used any more, or go cold."""
        self._current = None
        if self._deaths > MOST_RESTARTS or not (forker.served or self._preload):
            self._go_cold(reason, said=forker.output)
            return
        if not forker.served:
            self._preload = ()
        self._start_forker()

    def _hang_up(self, forker: Forker) -> None:
        if self._by_fd.pop(forker.fd, None) is not None:
            self._poll.unregister(forker.fd)
            forker.close()

    def _end(self, forker: Forker) -> None:
        if forker.pid in self._forkers:
            os.kill(forker.pid, signal.SIGKILL)

    def _go_cold(self, reason: str, said: Optional[str] = None) -> None:
        self.warm = False
        self.wake = float("inf")
        kept = self._keep(said) if said is not None else None
        self._journal.record(event="mode", warm=False, reason=reason, log=kept and kept[:3])

    def _keep(self, said: str) -> Optional[Kept]:
        try:
            return keep_file(said, self._batch.log_limit, self._logs)
        except OSError:
            return None

    def _kill_strangers(self) -> None:
        """Kill orphans until none is left: each may leave more."""
        while True:
            killed = [pid for pid in self.strangers() if _kill(pid)]
            if not killed:
                return
            for pid in killed:
                os.waitpid(pid, 0)


def _kill(pid: int) -> bool:
    """Kill a process; return whether that is allowed."""
    try:
        os.kill(pid, signal.SIGKILL)
    except PermissionError:
        return False
    return True
