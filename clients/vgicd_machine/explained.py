"""Which scenarios of a guest fail in variant xen by Xen's own defects: they show the variant, not a broken machine."""

from __future__ import annotations

from typing import Final, NamedTuple

MANY: Final = 64
"""As many list registers as there can be."""


class Explained(NamedTuple):
    """`scenario` fails by `numbers` with at least `cpus` CPUs and from `least_lrs` to `lrs` list registers.

    D1 to D21 are defects that `xen_without` mends; without an F among `numbers` mending them all lets the scenario
    pass.  F4, F7, F17 and F22 are corrections made to KVM that Xen's code lacks, and stay.  `why` is a sentence for
    people, "" where the scenario says it all.
    """

    scenario: str
    numbers: tuple[str, ...]
    cpus: int = 1
    lrs: int = MANY
    least_lrs: int = 1
    why: str = ""

    def applies(self, cpus: int, lrs: int) -> bool:
        """Does it fail with this geometry?"""
        return cpus >= self.cpus and self.least_lrs <= lrs <= self.lrs


XEN: Final = (
    Explained("sgi", ("D6",), cpus=3),  # two senders of one SGI
    Explained("nested-priorities", ("D6",), cpus=3),  # the SGIs that `sgi` leaves behind come here
    Explained("nested-priorities", ("D14", "F22"), lrs=2),  # what is active keeps out, or is forgotten if it is not
    Explained("eoimode1", ("F22",), cpus=2),  # GICC_DIR does not reach another CPU's list registers
    Explained("eoimode1", ("F22",), lrs=1),
    Explained("masking", ("D10",)),
    Explained("spi-targets", ("D11", "D12"), cpus=2),
    Explained("fiq-groups", ("F7",)),
)
"""Of the tour."""

_NESTED: Final = (
    "what is active fills the list registers, as its end would go unnoticed elsewhere, and keeps others out"
)
_EQUAL: Final = "the only list register holds what is active, so nothing else is pending"
_SOURCES: Final = "after the first source's end nothing asks for the next one's turn"
_IGNORED: Final = "GICD_ISACTIVER and GICD_ICACTIVER are ignored"
_STALE: Final = "nobody makes the CPU exit whose list register is stale"
_MIGRATED: Final = "the CPU that it moves to is not told"
_WITHHELD: Final = "what was off the lists while the distributor was off stays off"
_DISABLED: Final = "what is active and pending is shown so, though disabled, and comes at its end"

SUITE: Final = (
    Explained("active-bits", ("D13",), why=_IGNORED),
    Explained("highest-and-running", ("D14", "F22"), lrs=1, why=_EQUAL),
    Explained("active-priorities", ("D14", "F22"), lrs=1, why=_EQUAL),
    Explained("sgi-once-for-each-source", ("D6",), cpus=2, why=_SOURCES),
    Explained("sgi-while-active", ("D6",), cpus=2, why=_SOURCES),
    Explained("sgi-pending-registers", ("D2",), why="the SGI is taken for SPI 784 and up, which an assertion refuses"),
    Explained(
        "sgi-pending-bits", ("D3",), why="GICD_ISPENDR0 sets an SGI without a source, which an assertion refuses"
    ),
    Explained("active-by-register", ("D13",), why=_IGNORED),
    Explained("inactive-by-register", ("D13",), why=_IGNORED),
    Explained("inactive-by-another-cpu", ("D13",), why=_IGNORED),
    Explained("inactive-by-another-cpu", ("F17",), cpus=2, why="the list register of the CPU that took it is not seen"),
    Explained("level-falls-before-acknowledge", ("D12",), why=_STALE),
    Explained("timer-falls-before-acknowledge", ("D12",), why=_STALE),
    Explained("level-pended-by-another-cpu", ("D16",), cpus=2, why="the fold of what was acknowledged clears it"),
    Explained("overflow-nested", ("D14", "F22"), lrs=19, why=_NESTED),
    Explained("overflow-nested-and-pending", ("D14", "F22"), lrs=19, why=_NESTED),
    Explained("drop-lets-others-in", ("D14", "F22"), lrs=1, why=_EQUAL),
    Explained("deactivate-out-of-order", ("D14", "F22"), lrs=17, why=_NESTED),
    Explained("split-and-nested", ("D14", "F22"), lrs=3, why=_NESTED),
    Explained(
        "deactivate-on-another-cpu", ("D14", "F22"), cpus=2, why="its GICC_DIR misses, which is counted and ignored"
    ),
    Explained("preemption", ("D14", "F22"), lrs=1, why=_EQUAL),
    Explained("handlers-nest", ("D14", "F22"), lrs=15, why=_NESTED),
    Explained("priority-changed-elsewhere", ("D12",), cpus=2, least_lrs=2, why=_STALE),
    Explained("disabled-while-active", ("D8",), why=_DISABLED),
    Explained("level-disabled-while-active", ("D8",), why=_DISABLED),
    Explained("disabled-by-another-cpu", ("D12",), cpus=2, why=_STALE),
    Explained("cleared-by-another-cpu", ("D12", "F17"), cpus=2, why=f"{_STALE}, and its fold undoes the clearing"),
    Explained("distributor-off-when-pending", ("D10",), why=_WITHHELD),
    Explained("pending-when-distributor-off", ("D10",), why=_WITHHELD),
    Explained("active-when-distributor-off", ("D8", "D10"), why=_DISABLED),
    Explained("spi-goes-to-its-target", ("D11", "D12"), cpus=3, why="its last holder, where it is listed, is not told"),
    Explained("edge-moves-while-pending", ("D11",), cpus=2, why=_MIGRATED),
    Explained("level-moves-while-pending", ("D11",), cpus=2, why=_MIGRATED),
    Explained(
        "active-does-not-move", ("D11", "F4"), cpus=2, why="its end leaves it pending on its old CPU until an exit"
    ),
    Explained("target-comes-late", ("D9",), why="nobody queues it when it gets its target"),
    Explained("many-move-at-once", ("D11",), cpus=2, why=_MIGRATED),
    Explained("round-trip", ("D11",), cpus=2, why=_MIGRATED),
    Explained("spi-for-a-cpu-that-is-off", ("D11",), cpus=2, why=_MIGRATED),
)
"""Of the suite."""

GUESTS: Final = {"tour": XEN, "suite": SUITE}


def rows(variant: str, cpus: int, lrs: int, guest: str = "tour") -> tuple[Explained, ...]:
    """What explains the failures of `guest` with this geometry. Raises KeyError for a guest without scenarios."""
    return tuple(row for row in GUESTS[guest] if row.applies(cpus, lrs)) if variant == "xen" else ()


def explained(variant: str, cpus: int, lrs: int, guest: str = "tour") -> dict[str, tuple[str, ...]]:
    """The scenarios that must fail with this geometry, each with the numbers of what makes it fail."""
    found: dict[str, tuple[str, ...]] = {}
    for row in rows(variant, cpus, lrs, guest):
        found[row.scenario] = tuple(dict.fromkeys(found.get(row.scenario, ()) + row.numbers))
    return found
