"""The ordered queue of the interrupts that may need one vCPU's attention.

Invariants: every member's `vcpu` is the owner; arrivals go to the tail; the order changes only when `sort` is called,
and then stably.  Between world switches, members whose destination or rank may have changed are `touched`, so that a
switch looks at those only; touching too much costs time and nothing else.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from vgicd.vgic.irq import VgicIrq
    from vgicd.vgic.vcpu import Vcpu

_by_rank = attrgetter("rank")

# `VgicIrq.deliverable`
NOT, PENDING, ACTIVE = 0, 1, 2

_ARRIVED: Final = 1 << 30  # in place of a former rank: behind all others
_FEW: Final = 8  # so many are put in their places one by one; more are worth a sort


class ApList:
    """The ap_list of `owner`.

    `counts` holds how many members are undeliverable, pending-deliverable and active-deliverable, as of the last
    `refresh` of each.  `moved` are the members that are not where their rank belongs, while `sorted` says that the
    others are in order.
    """

    __slots__ = ("counts", "irqs", "moved", "owner", "sorted", "touched")

    def __init__(self, owner: Vcpu) -> None:
        self.owner = owner
        self.clear()

    def clear(self) -> None:
        """Forget all members, whose `vcpu` is then somebody else's to set."""
        self.irqs: list[VgicIrq] = []
        self.touched: list[VgicIrq] = []
        self.moved: dict[VgicIrq, int] = {}
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
        self.moved[irq] = _ARRIVED
        if not irq.touched:
            irq.touched = True
            self.touched.append(irq)

    def remove(self, irq: VgicIrq) -> None:
        """`irq` leaves; its state stays in the interrupt."""
        self.irqs.remove(irq)
        self.counts[irq.deliverable] -= 1
        irq.vcpu = None
        self.moved.pop(irq, None)
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

    def in_order(self, irqs: Iterable[VgicIrq]) -> list[VgicIrq]:
        """`irqs`, members all, in list order."""
        chosen = set(irqs)
        return [irq for irq in self.irqs if irq in chosen] if len(chosen) > 1 else list(chosen)

    def refresh(self, assess: Callable[[VgicIrq, Vcpu], tuple[int, int]]) -> None:
        """Reassess the touched: `assess` answers (rank, deliverable).

        Touched stays what is undeliverable: only the next exit can take it off or move it.
        """
        counts, owner = self.counts, self.owner
        strays: list[VgicIrq] = []
        for irq in self.touched:
            rank, deliverable = assess(irq, owner)
            if rank != irq.rank:
                if irq not in self.moved:
                    self.moved[irq] = irq.rank
                irq.rank = rank
            if deliverable != irq.deliverable:
                counts[irq.deliverable] -= 1
                counts[deliverable] += 1
                irq.deliverable = deliverable
            if deliverable == NOT:
                strays.append(irq)
            else:
                irq.touched = False
        self.touched = strays

    def sort(self) -> None:
        """Order by rank; equal ranks keep their order."""
        moved = self.moved
        if not self.sorted or len(moved) > _FEW:
            self.irqs.sort(key=_by_rank)
            self.sorted = True
        elif moved:
            self._replace(self.in_order(irq for irq, rank in moved.items() if irq.rank != rank))
        moved.clear()

    def _replace(self, moved: list[VgicIrq]) -> None:
        """Put the few in `moved`, in list order, where a stable sort would.

        All equals of a rank that grew stood behind, and of one that shrank before it; arrivals stood behind all.
        """
        irqs = self.irqs
        for irq in moved:
            irqs.remove(irq)
        for irq in reversed(moved):
            if irq.rank > self.moved[irq]:
                irqs.insert(bisect_left(irqs, irq.rank, key=_by_rank), irq)
        for irq in moved:
            if irq.rank <= self.moved[irq]:
                irqs.insert(bisect_right(irqs, irq.rank, key=_by_rank), irq)
