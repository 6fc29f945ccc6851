"""Which scenarios of a guest fail in variant xen by Xen's own defects: they show the variant, not a broken machine."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from vgicd_machine.host.console import Verdict

MANY: Final = 64
"""As many list registers as there can be."""


class Explained(NamedTuple):
    """`scenario` fails by `numbers`, and says `text`, with `cpus` to `most_cpus` CPUs and from `least_lrs` to `lrs`
    list registers.

    D1 to D21 are defects that `xen_without` mends; without an F among `numbers` mending them all lets the scenario
    pass.  F4, F7, F17 and F22 are corrections made to KVM that Xen's code lacks, and stay.  `text` is a regular
    expression of all that the guest says after `FAIL scenario: `, in which the geometry stands in braces: {lrs},
    {last_cpu}, {third} (the third CPU's number, or the last's if there are but two), {others:#x} (every CPU but the
    first, a bit for each) and {kept_out:#x} (the INTID for which no list register is left, when each holds an SPI from
    34 up).  A failure that says anything else is another.  `why` is a
    sentence for people, "" where the scenario says it all.
    """

    scenario: str
    numbers: tuple[str, ...]
    text: str
    cpus: int = 1
    most_cpus: int = 8
    lrs: int = MANY
    least_lrs: int = 1
    why: str = ""

    def applies(self, cpus: int, lrs: int) -> bool:
        """Does it fail with this geometry?"""
        return self.cpus <= cpus <= self.most_cpus and self.least_lrs <= lrs <= self.lrs

    def pattern(self, cpus: int, lrs: int) -> str:
        """`text` with this geometry, as a regular expression of the whole reason."""
        return self.text.format(
            lrs=lrs, last_cpu=cpus - 1, third=min(cpus - 1, 2), others=(1 << cpus) - 2, kept_out=_FIRST_SPI + lrs
        )


_FIRST_SPI: Final = 34
_NESTING: Final = "[+]2 [+]3 [+]4 -4 -3 -2 [+]1 -1 "
_NOT_SPLIT: Final = "[+]0 [.]0 -0 [+]0 [.]0 -0 [+]1 [.]1 -1 , not [+]0 [.]0 [+]1 [.]1 -1 -0 [+]0 [.]0 -0 "

XEN: Final = (
    # two senders of one SGI
    Explained("sgi", ("D6",), "the sources seen are 0x2, not {others:#x}", cpus=3),
    # the SGIs that `sgi` leaves behind come here, each as one more +4 -4
    Explained("nested-priorities", ("D6",), "cpu 0 ran ([+]4 -4 )+[+]1 -1 , not [+]1 [+]5 -5 -1 ", cpus=3),
    # with three list registers one of them comes while the first nest is still open
    Explained(
        "nested-priorities",
        ("D6",),
        f"cpu 0 ran [+]2 [+]3 [+]4 -4 -3 ([+]4 -4 )+-2 [+]1 -1 , not {_NESTING}",
        cpus=3,
        lrs=3,
        least_lrs=3,
    ),
    # what is active keeps out, or is forgotten if it is not
    Explained(
        "nested-priorities",
        ("D14", "F22"),
        f"cpu 0 ran [+]2 -2 [+]3 -3 ([+]4 -4 )+[+]1 -1 , not {_NESTING}",
        lrs=1,
    ),
    Explained(
        "nested-priorities",
        ("D14", "F22"),
        f"cpu 0 ran [+]2 [+]3 -3 ([+]4 -4 )+-2 [+]1 -1 , not {_NESTING}",
        lrs=2,
        least_lrs=2,
    ),
    # GICC_DIR does not reach another CPU's list registers
    Explained("eoimode1", ("F22",), "GICC_DIR of cpu 1 did not let it come again", cpus=2, least_lrs=2),
    Explained("eoimode1", ("F22",), f"ran {_NOT_SPLIT}", lrs=1),
    Explained("masking", ("D10",), "lost by GICD_CTLR 0"),
    Explained("spi-targets", ("D11", "D12"), "targeted at cpu {third}, taken 0 times by cpu {third}", cpus=2),
    Explained("fiq-groups", ("F7",), "group 1 came 0 times as IRQ, 2 FIQs in all"),
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
_UNQUEUED: Final = "nobody queues it when it gets its target"
_DISABLED: Final = "what is active and pending is shown so, though disabled, and comes at its end"

SUITE: Final = (
    Explained("active-bits", ("D13",), "GICD_ISACTIVER1 is 0x0, not 0xa5a50ff0", why=_IGNORED),
    Explained("highest-and-running", ("D14", "F22"), "GICC_HPPIR is 0x3ff", lrs=1, why=_EQUAL),
    Explained(
        "active-priorities", ("D14", "F22"), "of what preempts GICC_IAR reads 0x3ff, not 0x22", lrs=1, why=_EQUAL
    ),
    Explained("sgi-once-for-each-source", ("D6",), r"\d SGIs came of \d+ that were sent", cpus=2, why=_SOURCES),
    Explained("sgi-while-active", ("D6",), "GICC_IAR reads 0x3ff after sources 0x1", cpus=2, why=_SOURCES),
    Explained(
        "sgi-pending-registers",
        ("D2",),
        "a read of GICD_SPENDSGIR was refused",
        why="the SGI is taken for SPI 784 and up, which an assertion refuses",
    ),
    Explained(
        "sgi-pending-bits",
        ("D3",),
        "a write of an SGI's bit in GICD_ISPENDR0 was refused",
        why="GICD_ISPENDR0 sets an SGI without a source, which an assertion refuses",
    ),
    Explained("active-by-register", ("D13",), "GICD_ISACTIVER does not make 34 active", why=_IGNORED),
    Explained("inactive-by-register", ("D13",), "GICD_ICACTIVER does not end it", why=_IGNORED),
    Explained(
        "inactive-by-another-cpu",
        ("D13",),
        "after another CPU's GICD_ICACTIVER GICC_IAR reads 0x3ff, not 0x22",
        why=_IGNORED,
    ),
    Explained(
        "inactive-by-another-cpu",
        ("F17",),
        "after another CPU's GICD_ICACTIVER GICC_IAR reads 0x3ff, not 0x22",
        cpus=2,
        why="the list register of the CPU that took it is not seen",
    ),
    Explained(
        "level-falls-before-acknowledge",
        ("D12",),
        "when the line has fallen GICC_IAR reads 0x21, not 0x3ff",
        why=_STALE,
    ),
    Explained(
        "timer-falls-before-acknowledge", ("D12",), "PPI 27 is acknowledged when its line has fallen", why=_STALE
    ),
    Explained(
        "level-pended-by-another-cpu",
        ("D16",),
        "for another CPU's GICD_ISPENDR while it was active GICC_IAR reads 0x3ff, not 0x21",
        cpus=2,
        why="the fold of what was acknowledged clears it",
    ),
    Explained(
        "overflow-nested",
        ("D14", "F22"),
        "for each that preempts GICC_IAR reads 0x3ff, not {kept_out:#x}",
        lrs=19,
        why=_NESTED,
    ),
    Explained(
        "overflow-nested-and-pending",
        ("D14", "F22"),
        "for each that preempts GICC_IAR reads 0x3ff, not {kept_out:#x}",
        lrs=19,
        why=_NESTED,
    ),
    Explained(
        "drop-lets-others-in",
        ("D14", "F22"),
        "for an equal after the drop GICC_IAR reads 0x3ff, not 0x23",
        lrs=1,
        why=_EQUAL,
    ),
    Explained(
        "deactivate-out-of-order",
        ("D14", "F22"),
        "for each GICC_IAR reads 0x3ff, not {kept_out:#x}",
        lrs=17,
        why=_NESTED,
    ),
    Explained(
        "split-and-nested",
        ("D14", "F22"),
        "for each that preempts GICC_IAR reads 0x3ff, not {kept_out:#x}",
        lrs=3,
        why=_NESTED,
    ),
    Explained(
        "deactivate-on-another-cpu",
        ("D14", "F22"),
        "after another CPU's GICC_DIR GICC_IAR reads 0x3ff, not 0x22",
        cpus=2,
        why="its GICC_DIR misses, which is counted and ignored",
    ),
    Explained(
        "preemption", ("D14", "F22"), "for one of the next group GICC_IAR reads 0x3ff, not 0x24", lrs=1, why=_EQUAL
    ),
    Explained("handlers-nest", ("D14", "F22"), "{lrs} handlers nested of 16", lrs=15, why=_NESTED),
    Explained(
        "priority-changed-elsewhere",
        ("D12",),
        "for what another CPU has raised above it GICC_IAR reads 0x22, not 0x23",
        cpus=2,
        least_lrs=2,
        why=_STALE,
    ),
    Explained(
        "disabled-while-active",
        ("D8",),
        "when it has ended, but is disabled GICC_IAR reads 0x22, not 0x3ff",
        why=_DISABLED,
    ),
    Explained(
        "level-disabled-while-active",
        ("D8",),
        "when it has ended, but is disabled GICC_IAR reads 0x21, not 0x3ff",
        why=_DISABLED,
    ),
    Explained(
        "disabled-by-another-cpu",
        ("D12",),
        "when another CPU has disabled it GICC_IAR reads 0x22, not 0x3ff",
        cpus=2,
        why=_STALE,
    ),
    Explained(
        "cleared-by-another-cpu",
        ("D12", "F17"),
        "when another CPU has written GICD_ICPENDR GICC_IAR reads 0x22, not 0x3ff",
        cpus=2,
        why=f"{_STALE}, and its fold undoes the clearing",
    ),
    Explained(
        "distributor-off-when-pending",
        ("D10",),
        "with the distributor on again GICC_IAR reads 0x3ff, not 0x22",
        why=_WITHHELD,
    ),
    Explained(
        "pending-when-distributor-off",
        ("D10",),
        "with the distributor on GICC_IAR reads 0x3ff, not 0x21",
        why=_WITHHELD,
    ),
    Explained(
        "active-when-distributor-off",
        ("D8", "D10"),
        "with the distributor off GICC_IAR reads 0x22, not 0x3ff",
        why=_DISABLED,
    ),
    Explained(
        "spi-goes-to-its-target",
        ("D11", "D12"),
        "targeted 34 does not come to cpu 2",
        cpus=3,
        why="its last holder, where it is listed, is not told",
    ),
    Explained(
        "edge-moves-while-pending",
        ("D11", "D12"),
        "moved, 34 does not come to cpu 1",
        cpus=2,
        why=f"{_MIGRATED}, or {_STALE}",
    ),
    Explained(
        "level-moves-while-pending",
        ("D11", "D12"),
        "moved, 33 does not come to cpu 1",
        cpus=2,
        why=f"{_MIGRATED}, or {_STALE}",
    ),
    Explained(
        "active-does-not-move",
        ("D11", "F4"),
        "active on cpu 0 before, 34 does not come to cpu {last_cpu}",
        cpus=2,
        why="its end leaves it pending on its old CPU until an exit",
    ),
    Explained("target-comes-late", ("D9",), "with a target GICC_IAR reads 0x3ff, not 0x22", most_cpus=1, why=_UNQUEUED),
    Explained(
        "target-comes-late", ("D9",), "with a target at last 34 does not come to cpu {last_cpu}", cpus=2, why=_UNQUEUED
    ),
    Explained(
        "many-move-at-once", ("D11", "D12"), "cpu {last_cpu} took 0 of 20", cpus=2, why=f"{_MIGRATED}, or {_STALE}"
    ),
    Explained("round-trip", ("D11",), r"it came 1 times of \d+", cpus=2, why=_MIGRATED),
    Explained(
        "spi-for-a-cpu-that-is-off",
        ("D12",),
        "with a target that is on GICC_IAR reads 0x3ff, not 0x22",
        cpus=2,
        why=_STALE,
    ),
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


def is_explained(verdict: Verdict, variant: str, cpus: int, lrs: int, guest: str = "tour") -> bool:
    """Is this a failure that must be with this geometry, with the very text that it then has?"""
    return not verdict.passed and any(
        row.scenario == verdict.name and re.fullmatch(row.pattern(cpus, lrs), verdict.why)
        for row in rows(variant, cpus, lrs, guest)
    )
