"""The list register word GICH_LRn (IHI 0048B 5.3.9).

The same bits mean two things: with HW = 1 bits [19:10] are the physical INTID to deactivate; with HW = 0 bit 19 asks
for a maintenance interrupt at EOI and bits [12:10] name the CPU that sent an SGI.
"""

from __future__ import annotations

from typing import Final

from vgicd.registers import Field, Layout

_COMMON: Final = (
    Field("HW", 31, doc="the interrupt is tied to a physical one"),
    Field("Grp1", 30, doc="group of the virtual interrupt"),
    Field("State", 28, 2, "state", values={0: "invalid", 1: "pending", 2: "active", 3: "pending and active"}),
    Field("Priority", 23, 5, "bits [7:3] of the priority"),
    Field("VirtualID", 0, 10, "INTID that the guest acknowledges"),
)
SOFTWARE: Final[Layout] = Layout(
    "GICH_LR (HW=0)",
    32,
    *_COMMON,
    Field("EOI", 19, doc="maintenance interrupt when the interrupt is deactivated"),
    Field("CPUID", 10, 3, "requesting CPU of an SGI"),
)
HARDWARE: Final[Layout] = Layout("GICH_LR (HW=1)", 32, *_COMMON, Field("PhysicalID", 10, 10, "physical INTID"))

HW: Final = SOFTWARE["HW"].mask
GROUP1: Final = SOFTWARE["Grp1"].mask
STATE: Final = SOFTWARE["State"].mask
PENDING: Final = SOFTWARE["State"].put(1)
ACTIVE: Final = SOFTWARE["State"].put(2)
PRIORITY: Final = SOFTWARE["Priority"].mask
PRIORITY_SHIFT: Final = SOFTWARE["Priority"].lsb
GROUP_SHIFT: Final = SOFTWARE["Grp1"].lsb
EOI: Final = SOFTWARE["EOI"].mask
CPUID: Final = SOFTWARE["CPUID"].mask
SOURCE_SHIFT: Final = SOFTWARE["CPUID"].lsb  # of the physical INTID, too
VIRTUAL_ID: Final = SOFTWARE["VirtualID"].mask


def writable(word: int) -> int:
    """`word` without its reserved bits, which read as zero."""
    return word & (HARDWARE.mask if word & HW else SOFTWARE.mask)


def is_free(word: int) -> bool:
    """GICH_ELRSR: invalid, and not waiting to report an EOI."""
    return not word & STATE and bool(word & HW or not word & EOI)


def reports_eoi(word: int) -> bool:
    """GICH_EISR: invalid since its EOI, which asked for a maintenance interrupt."""
    return word & (STATE | HW | EOI) == EOI
