"""One vCPU as the VGIC knows it: its private interrupts, its ap_list and its virtual interface."""

from __future__ import annotations

from vgicd.hw.gich import Gich
from vgicd.vgic.ap_list import ApList
from vgicd.vgic.irq import NR_PRIVATE, VgicIrq


class Vcpu:
    """vCPU `id` (0..7) over the virtual interface `gich`.

    List registers 0..used_lrs-1 were filled at the last entry; none while it is out of the guest.  `dirty` is set
    when leaving and entering the guest again would change something.
    """

    __slots__ = (
        "ap_list",
        "dirty",
        "gich",
        "groups",
        "id",
        "inside",
        "last_lr_irq",
        "loaded",
        "pcpu",
        "powered",
        "private",
        "shadow",
        "used_lrs",
    )

    def __init__(self, vcpu_id: int, gich: Gich) -> None:
        self.id = vcpu_id
        self.gich = gich
        self.private = [VgicIrq(intid, self) for intid in range(NR_PRIVATE)]
        self.ap_list = ApList(self)
        self.used_lrs = 0
        self.loaded: list[VgicIrq] = []  # what each of them was filled with
        self.shadow = [0] * gich.nr_lrs  # the list registers as loaded: what differs now, the guest has changed
        self.last_lr_irq: VgicIrq | None = None  # the last one placed in a list register at entry
        self.groups = 0  # GICV_CTLR's group enables as of the last entry
        self.pcpu = vcpu_id
        self.inside = False
        self.powered = True
        self.dirty = False

    def __repr__(self) -> str:
        return f"<vCPU {self.id}>"
