"""The event channel interrupt: a level PPI whose line is a byte in memory shared with the guest (spec 6.3).

The guest lowers the line by clearing its upcall-pending flag, which nobody sees until it leaves the guest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from vgicd.vgic.vgic import Vgic

GUEST_INTID: Final = 31


class EventChannel:
    """evtchn_upcall_pending of each vCPU; `intid` is 31, or what the hardware domain was allocated."""

    def __init__(self, vcpus: int, intid: int) -> None:
        self.intid = intid
        self.flags = [False] * vcpus

    def level_at_exit(self, vcpu_id: int, _intid: int) -> bool:
        return self.flags[vcpu_id]

    def update(self, vgic: Vgic, vcpu_id: int) -> None:
        """Drive a vCPU's line to where an exit brings it."""
        vgic.inject(vgic.vcpus[vcpu_id], self.intid, self.flags[vcpu_id], owner=self)

    def set_flag(self, vgic: Vgic, vcpu_id: int, flag: bool) -> None:
        """Set the flag, raising the line if it was clear; or clear it, as the guest does."""
        raised = flag and not self.flags[vcpu_id]
        self.flags[vcpu_id] = flag
        if raised:
            vgic.inject(vgic.vcpus[vcpu_id], self.intid, True, owner=self)

    def save(self) -> dict[str, tuple[int, ...]]:
        return {"event_channel.flags": tuple(map(int, self.flags))}

    def load(self, words: dict[str, tuple[int, ...]]) -> None:
        flags = words["event_channel.flags"]
        if max(flags) > 1:
            raise ValueError(f"event_channel.flags are 0 or 1, not {max(flags)}")
        self.flags = [bool(word) for word in flags]
