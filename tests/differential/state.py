"""The part of vgicd's state on which the divergences' conditions depend, in one shape for all three cases.

Both systems agree on everything compared so far, so what holds for vgicd's state holds for QEMU's.
"""

from __future__ import annotations

from typing import NamedTuple

IDLE = 0x100
ACK_CTL = 0x004
CBPR = 0x010
EOI_MODE = 0x200


class Pending(NamedTuple):
    """An interrupt that could be signalled to a CPU were its group, PMR and the running priority to allow it."""

    priority: int
    group: int
    intid: int


class Interface(NamedTuple):
    """One CPU's interface. `pending` is sorted, most urgent first; `running` is `IDLE` with nothing active."""

    ctlr: int
    pmr: int
    bpr: int
    abpr: int
    running: int
    pending: tuple[Pending, ...]
    active: frozenset[int]
    latched: frozenset[int] = frozenset()  # pending by their latch (edge, or set by software), whatever the line

    @property
    def best(self) -> Pending | None:
        """The most urgent pending interrupt of either group, enabled or not."""
        return self.pending[0] if self.pending else None

    @property
    def hides(self) -> bool:
        """Is the most urgent pending interrupt of a disabled group, while the other group is enabled?"""
        return self.best is not None and self.ctlr & 3 in (1, 2) and not self.ctlr >> self.best.group & 1

    @property
    def preempts_within_group(self) -> bool:
        """Does the candidate's group priority beat the running priority although its own priority does not?"""
        candidate = next((item for item in self.pending if self.ctlr >> item.group & 1), None)
        if candidate is None:
            return False
        own_point = candidate.group and not self.ctlr & CBPR
        shift = self.abpr if own_point else self.bpr + 1
        return candidate.priority & 0xFF << shift < self.running <= candidate.priority


class State(NamedTuple):
    """All CPUs' interfaces, by CPU number. `high` are the SPIs whose line is high, `edge` those edge-triggered."""

    cpus: tuple[Interface, ...]
    high: frozenset[int] = frozenset()
    edge: frozenset[int] = frozenset()
