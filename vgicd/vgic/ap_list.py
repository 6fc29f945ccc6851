"""The ordered queue of the interrupts that may need one vCPU's attention.

Invariants: every member's `vcpu` is the owner; arrivals go to the tail; the order changes only when `sort` is called,
and then stably.  Between world switches, members whose destination or rank may have changed are `touched`, so that a
switch looks at those only; touching too much costs time and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vgicd.vgic.irq import VgicIrq
    from vgicd.vgic.vcpu import Vcpu

_by_rank = attrgetter("rank")

# `VgicIrq.deliverable`
NOT, PENDING, ACTIVE = 0, 1, 2


class ApList:
    """The ap_list of `owner`.

    `counts` holds how many members are undeliverable, pending-deliverable and active-deliverable, as of the last
    `refresh` of each.
    """

    __slots__ = ("counts", "irqs", "owner", "sorted", "touched")

    def __init__(self, owner: Vcpu) -> None:
        self.owner = owner
        self.irqs: list[VgicIrq] = []
        self.touched: list[VgicIrq] = []
        self.counts = [0, 0, 0]
        self.sorted = False

    def __len__(self) -> int:
        return len(self.irqs)

    def __iter__(self) -> Iterator[VgicIrq]:
        return iter(self.irqs)

    def append(self, irq: VgicIrq) -> None:
        """`irq`, on no list until now, joins at the tail."""
        irq.vcpu = self.owner
        irq.deliverable = NOT
        self.counts[NOT] += 1
        self.irqs.append(irq)
        self.sorted = False
        if not irq.touched:
            irq.touched = True
            self.touched.append(irq)

    def remove(self, irq: VgicIrq) -> None:
        """`irq` leaves; its state stays in the interrupt."""
        self.irqs.remove(irq)
        self.counts[irq.deliverable] -= 1
        irq.vcpu = None
        if irq.touched:
            irq.touched = False
            self.touched.remove(irq)

    def touch(self, irq: VgicIrq) -> None:
        """The destination or rank of member `irq` may have changed."""
        if not irq.touched:
            irq.touched = True
            self.touched.append(irq)

    def touch_all(self) -> None:
        """The destination or rank of every member may have changed."""
        for irq in self.irqs:
            irq.touched = True
        self.touched = list(self.irqs)

    def in_order(self, irqs: list[VgicIrq]) -> list[VgicIrq]:
        """`irqs`, members all, in list order."""
        if len(irqs) < 2:
            return list(irqs)
        wanted = set(map(id, irqs))
        return [irq for irq in self.irqs if id(irq) in wanted]

    def refresh(self, assess: Callable[[VgicIrq, Vcpu], tuple[int, int]]) -> None:
        """Reassess the touched: `assess` answers (rank, deliverable).

        Touched stays what is undeliverable: only the next exit can take it off or move it.
        """
        counts, owner = self.counts, self.owner
        strays: list[VgicIrq] = []
        for irq in self.touched:
            rank, deliverable = assess(irq, owner)
            if rank != irq.rank:
                irq.rank = rank
                self.sorted = False
            if deliverable != irq.deliverable:
                counts[irq.deliverable] -= 1
                counts[deliverable] += 1
                irq.deliverable = deliverable
            irq.touched = deliverable == NOT
            if irq.touched:
                strays.append(irq)
        self.touched = strays

    def sort(self) -> None:
        """Order by rank; equal ranks keep their order."""
        if not self.sorted:
            self.irqs.sort(key=_by_rank)
            self.sorted = True
