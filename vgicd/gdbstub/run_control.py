"""Run control: which vCPUs run, why one stopped, and what is held meanwhile.

To gdb a vCPU that runs is one whose guest may go on; a stopped one is held at its next access.  Rules whose breach
makes gdb abort (gdb 13 to 18), and which are kept here:

- a step is answered for the thread that was stepped, and a step with nothing else resumed, at once: gdb only wants to
  be past a breakpoint;
- in non-stop mode no vCPU is stopped when gdb connects, and of several stops only one is told before gdb has taken it;
- a stopped vCPU reports nothing more.

In all-stop mode one stop stops everybody; what the same operation reached besides is kept, and told when gdb goes on,
if it is still set then.  So is an interrupt that came while everybody was stopped (gdb manual, "Interrupts"): gdb sends
it, too, while a stop that it will not show is on its way, such as that of a condition which does not hold.

A reset may give the domain another number of vCPUs, so that masks speak of all that there could be.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from vgicd.domain.events import Event, EventKind
from vgicd.gdbstub.breakpoints import Breakpoints, Hit, is_at, is_return
from vgicd.gdbstub.lifecycle import OTHER_END
from vgicd.gdbstub.memory import read
from vgicd.gdbstub.nesting import active_interrupts
from vgicd.gdbstub.target import EVERYTHING, REST, Refused, Target

NOTHING: Final = 0
TRAP: Final = 5
INTERRUPTED: Final = 2
FREEZES: Final = ("auto", "on", "off")
EVERYBODY: Final = EVERYTHING & ~REST
"""Mask of every vCPU that a domain can have."""


class Stop(NamedTuple):
    """vCPU `vcpu` has stopped with `signal`; `reason` is the stop reply's part for it, such as `watch:8000104;`."""

    vcpu: int
    signal: int = TRAP
    reason: str = ""


class RunControl:
    """The run state of one debugger's vCPUs.

    `report` is called with a stop that gdb must be told of now, in non-stop mode too; it is told the next one of
    those when it has taken that (`next_stop`).
    """

    def __init__(self, target: Target, breakpoints: Breakpoints, freeze: str, report: Callable[[Stop], None]) -> None:
        self._target = target
        self._breakpoints = breakpoints
        self._report = report
        self.freeze = self._first_freeze = freeze
        self.non_stop = False
        self.attached = False  # gdb has asked why we stopped: from then on it is its guest
        self._released = False  # by others, until gdb goes on by itself
        self._running = EVERYBODY
        self._stepping = 0  # mask: stop at the next access
        self._places: dict[int, int] = {}  # where a stopped vCPU is, if not idle
        self._last = Stop(0)  # all-stop: what gdb was told last
        self._interrupted = False  # all-stop: while nobody ran
        self._kept: deque[Hit] = deque()  # of the operation that stopped us, not told yet
        self._stops: deque[Stop] = deque()  # non-stop: not told yet, except the first, not taken yet

    @property
    def _all(self) -> int:
        return (1 << self._target.vcpus) - 1

    # --- what others ask ------------------------------------------------------------------------------------------

    @property
    def anybody_runs(self) -> bool:
        """Does any vCPU run, as far as gdb knows?"""
        return bool(self._running & self._all)

    def is_running(self, vcpu: int) -> bool:
        """Does vCPU `vcpu` run, as far as gdb knows?"""
        return bool((self._running & self._all) >> vcpu & 1)

    def place(self, vcpu: int) -> int:
        """$pc of `vcpu`: the breakpoint at which it stopped, else in `idle`, where it has a caller if it is nested."""
        place, innermost, layout = self._places.get(vcpu), self._innermost(vcpu), self._target.layout
        if place is None or not is_at(place, layout, innermost):
            return layout.idle if innermost is None else layout.idle + OTHER_END
        return place

    def mask(self) -> int:
        """The kinds of events that stopping needs."""
        if not self.attached or not self.anybody_runs:
            return 0
        return self._breakpoints.mask(self._target.layout) | (1 << EventKind.ACCESS if self._stepping else 0)

    def held(self) -> int:
        """Mask of what is to be held for this debugger."""
        if self.freeze == "off" or not self.attached or self._released:
            return 0
        if self.freeze == "on":
            return EVERYTHING
        stopped = self._all & ~self._running
        return EVERYTHING if stopped == self._all and not self.non_stop else stopped

    def set_freeze(self, mode: str) -> None:
        """Choose one of FREEZES."""
        self.freeze = mode
        self._released = False

    def let_go(self) -> None:
        """Hold nothing, until gdb goes on by itself."""
        self._released = True

    # --- gdb's orders ---------------------------------------------------------------------------------------------

    def attach(self) -> Stop | None:
        """gdb asks why the target stopped: all-stop mode stops it now, non-stop mode leaves it running."""
        known, self.attached = self.attached and not self.anybody_runs, True
        if self.non_stop:
            return None
        return self._last if known and self._last.vcpu < self._target.vcpus else self._stop(Stop(0))

    def resume(self, go_on: int, step: int) -> Stop | None:
        """Let the vCPUs of mask `go_on` run, and those of `step` up to their next access.

        Answers the stop to be reported at once, if there is one.  A vCPU whose stop gdb has not taken yet stays where
        it is: gdb does not mean it.
        """
        for stop in self._stops:
            go_on &= ~(1 << stop.vcpu)
            step &= ~(1 << stop.vcpu)
        resumed = go_on | step
        self._released = False
        if step and not go_on:
            return self._step_over(step)
        for vcpu in _numbers(resumed):
            self._places.pop(vcpu, None)
        self._running = self._running | resumed if self.non_stop else resumed
        self._stepping = (self._stepping & ~resumed) | step
        while self._kept:
            hit = self._kept.popleft()
            if self._breakpoints.is_set(hit) and self.is_running(hit.vcpu):
                return self._stop(self._told(hit))
        if self._interrupted:
            self._interrupted = False
            return self.halt(resumed, INTERRUPTED)
        self._breakpoints.remember(self._target.layout, self._peek)
        return None

    def _step_over(self, step: int) -> Stop | None:
        """A step with nothing else resumed: gdb is past the breakpoint as soon as it is told so."""
        stepped = _numbers(step)
        for vcpu in stepped:
            self._places.pop(vcpu, None)
        if not self.non_stop:
            return self._stop(Stop(stepped[0]))
        for vcpu in stepped:
            self._running &= ~(1 << vcpu)
            self._queue(Stop(vcpu))
        return None

    def halt(self, vcpus: int, signal: int) -> Stop | None:
        """Stop the vCPUs of mask `vcpus`; answers the stop to report in all-stop mode, if they ran."""
        found = vcpus & self._running
        if not self.non_stop:
            return self._stop(Stop(next(iter(_numbers(found & self._all)), 0), signal)) if found else None
        for vcpu in _numbers(found & self._all):
            self._running &= ~(1 << vcpu)
            self._queue(Stop(vcpu, signal))
        return None

    def interrupt(self, vcpu: int) -> Stop | None:
        """Ctrl-C in all-stop mode: answers the stop of `vcpu`, or of another if that does not run.

        Where nobody runs it is kept for the next time that somebody does.
        """
        stop = self.halt(1 << vcpu, INTERRUPTED) or self.halt(EVERYBODY, INTERRUPTED)
        self._interrupted = stop is None
        return stop

    def detach(self) -> None:
        """gdb leaves: everything runs, and nothing of it is left."""
        self.attached = self._interrupted = False
        self.freeze = self._first_freeze
        self._running = EVERYBODY
        self._stepping = 0
        self._places.clear()
        self._kept.clear()
        self._stops.clear()
        self._breakpoints.clear()

    def next_stop(self) -> Stop | None:
        """gdb has taken the stop that it was told: the next one."""
        if self._stops:
            self._stops.popleft()
        while self._stops and self._stops[0].vcpu >= self._target.vcpus:
            self._stops.popleft()  # of a vCPU that a reset took away
        return self._stops[0] if self._stops else None

    # --- what happens -----------------------------------------------------------------------------------------------

    def see(self, events: Sequence[Event]) -> Stop | None:
        """An operation of somebody else caused `events`; answers the stop to report in all-stop mode."""
        found = [hit for event in events for hit in self._reached(event)]
        layout = self._target.layout
        hits = [hit for n, hit in enumerate(found) if not (hit in found[:n] and is_return(hit.address, layout))]
        if not self.non_stop:
            hits = [hit for hit in hits if self.is_running(hit.vcpu)]
            if not hits:
                return None
            self._kept.extend(hits[1:])
            return self._stop(self._told(hits[0]))
        for hit in hits:
            if self.is_running(hit.vcpu):
                self._running &= ~(1 << hit.vcpu)
                self._stepping &= ~(1 << hit.vcpu)
                self._queue(self._told(hit))
        return None

    def _reached(self, event: Event) -> Iterable[Hit]:
        found = list(self._breakpoints.hits(event, self._target.layout, self._peek, self._innermost))
        if not found and event.kind == EventKind.ACCESS and self._stepping >> event.vcpu & 1:
            return (Hit(0, event.vcpu, "step"),)
        return found

    def _told(self, hit: Hit) -> Stop:
        """The stop that `hit` is; its vCPU is where gdb expects it."""
        if hit.reason == "step":
            return Stop(hit.vcpu)
        if hit.reason:
            return Stop(hit.vcpu, TRAP, f"{hit.reason}:{hit.address:x};")
        self._places[hit.vcpu] = hit.address
        return Stop(hit.vcpu, TRAP, f"{self._breakpoints.kind_of(hit)}:;")

    def _stop(self, stop: Stop) -> Stop:
        """All-stop mode: everybody has stopped."""
        self._running = self._stepping = 0
        self._last = stop
        return stop

    def _queue(self, stop: Stop) -> None:
        """Non-stop mode: tell it now if none is outstanding."""
        self._stops.append(stop)
        if len(self._stops) == 1:
            self._report(stop)

    def _innermost(self, vcpu: int) -> int | None:
        active = active_interrupts(self._target.domain.vgic, self._target.vcpu(vcpu))
        return active[0].intid if active else None

    def _peek(self, vcpu: int, address: int, length: int) -> bytes | None:
        try:
            return read(self._target, vcpu, address, length)
        except Refused:  # a read that would stop Xen (variant xen)
            return None


def _numbers(mask: int) -> list[int]:
    """The numbers of the bits that are set, lowest first."""
    return [n for n in range(mask.bit_length()) if mask >> n & 1]
