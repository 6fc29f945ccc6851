"""What becomes of an access that the guest may not make, foretold from the register description.

A read of such a place answers 0 and a write to it does nothing, unless the domain aborts it; nothing in the reply says
so.  The rules are those of the daemon's own gate (a test holds them against its counters).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from vgicd_client import regs
from vgicd_protocol.frames import Space
from vgicd_protocol.session import Window

_FAULT: Final = "fault."
_PRIVATE: Final = 32


def resolve(space: int, address: int, windows: Iterable[Window]) -> tuple[str, int] | None:
    """The described frame that `address` of `space` reaches, and the offset in it; None when there is none.

    A physical address is looked up in `windows`, and resolved where its window is exactly a frame.
    """
    if space != Space.PHYSICAL:
        name = Space(space).name
        return (name, address) if name in regs.frames() else None
    for name, base, size in windows:
        if name in regs.frames() and size == regs.frames()[name].size and base <= address < base + size:
            return name, address - base
    return None


def reachable(windows: Iterable[Window]) -> list[Window]:
    """Those of the daemon's `windows` in which a guest's access is answered: GICH is the hypervisor's."""
    return [window for window in windows if window.name != Space.GICH.name]


def verdict(frame: str, offset: int, size: int, spis: int, *, write: bool) -> str:
    """Why the access does not do what it says, "" when it does.

    "reserved", "width", "alignment" and "range" are refused by the frame and count as guest faults; "read-only" is a
    write that is ignored, "write-only" a read that answers 0.
    """
    row = regs.frames()[frame].at(offset)
    if row is None:
        return "reserved"
    if size not in row.widths:
        return "width"
    if offset % size:
        return "alignment"
    if row.bits and frame == Space.GICD.name and (offset - row.offset) * 8 // row.bits >= _PRIVATE + spis:
        return "range"
    if write:
        return "" if "W" in row.access else "read-only"
    return "" if row.readable else "write-only"


def counted(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """The kind of guest fault that STATS counted in between ("width", "unmapped", ...); "" for none."""
    for name, count in after.items():
        if name.startswith(_FAULT) and count > before.get(name, 0):
            return name.removeprefix(_FAULT).partition(".")[0]
    return ""


def sentence(kind: str, *, write: bool) -> str:
    """`kind` of `verdict` or `counted`, with what it means for the guest, in parentheses."""
    match kind:
        case "read-only" | "unmapped" if write:
            return f"({kind}: ignored)"
        case "unmapped":
            return "(unmapped)"
        case "write-only":
            return "(write-only; the guest reads 0)"
    return f"(refused: {kind}; {'ignored' if write else 'the guest reads 0'})"
