"""One virtual interrupt: the truth about it, except what a list register of a running vCPU holds meanwhile.

Private interrupts (SGI 0-15, PPI 16-31) exist once per vCPU, SPIs once per domain.  An interrupt is on at most one
ap_list, and `vcpu` names it (invariant I1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from vgicd.vgic.vcpu import Vcpu

NR_SGIS: Final = 16
NR_PRIVATE: Final = 32
LAST_SPI: Final = 1019
PRIORITY_MASK: Final = 0xF8  # five bits are implemented


class LineOwner(Protocol):
    """A device of the domain that alone drives an interrupt's line."""

    def level_at_exit(self, vcpu_id: int, intid: int) -> bool:
        """The level to which an exit of vCPU `vcpu_id` brings the line of its PPI `intid`.  Pure."""
        ...


class VgicIrq:
    """State of one interrupt (spec 1.2), with its reset values (spec 1.9).

    `rank`, `deliverable` and `touched` belong to the ap_list that the interrupt is on.
    """

    # What a state image holds of an interrupt, with each field's greatest value.
    STATE: Final = {
        "enabled": 1,
        "is_level": 1,
        "priority": PRIORITY_MASK,
        "group": 1,
        "targets": 0xFF,
        "line_level": 1,
        "pending_latch": 1,
        "active": 1,
        "source": 0xFF,
        "active_source": 7,
        "soft": 1,
        "hw": 1,
        "hwintid": LAST_SPI,
    }
    __slots__ = (
        "active",
        "active_source",
        "deliverable",
        "enabled",
        "group",
        "hw",
        "hwintid",
        "intid",
        "is_level",
        "line_level",
        "owner",
        "pending_latch",
        "priority",
        "rank",
        "refcount",
        "slot",
        "soft",
        "source",
        "target_vcpu",
        "targets",
        "touched",
        "vcpu",
    )

    def __init__(self, intid: int, home: Vcpu | None) -> None:
        self.intid = intid
        self.vcpu: Vcpu | None = None  # whose ap_list it is on
        self.target_vcpu: Vcpu | None = home  # where it should go
        self.targets = 1 << home.id if home is not None else 0
        self.enabled = intid < NR_SGIS
        self.is_level = NR_SGIS <= intid < NR_PRIVATE
        self.priority = 0
        self.group = 0
        self.line_level = False
        self.pending_latch = False
        self.active = False
        self.source = 0  # SGI: vCPUs whose request is in no list register yet
        self.active_source = 0  # SGI: who requested the active instance
        self.soft = False  # level: the list register's pending bit carries the latch
        self.hw = False
        self.hwintid = 0
        self.owner: LineOwner | None = None  # the device of this domain that alone may drive the line
        self.refcount = 0  # LPIs only; membership of an ap_list would hold one
        self.rank = 0
        self.deliverable = 0
        self.touched = False
        self.slot = -1  # the list register of `vcpu` that holds its state; -1: all of it is here

    @property
    def pending(self) -> bool:
        """Edge: the latch.  Level: the latch or the line (spec 1.6)."""
        return self.pending_latch or (self.is_level and self.line_level)

    @property
    def is_sgi(self) -> bool:
        return self.intid < NR_SGIS

    def __repr__(self) -> str:
        flags = "".join(
            letter if on else "-"
            for letter, on in (
                ("E", self.enabled),
                ("L", self.is_level),
                ("l", self.line_level),
                ("p", self.pending_latch),
                ("A", self.active),
                ("H", self.hw),
            )
        )
        return f"<irq {self.intid} {flags} prio {self.priority:#04x}>"
