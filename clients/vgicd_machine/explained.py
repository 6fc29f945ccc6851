"""Which scenarios of the tour Xen's own defects make fail in variant xen: they show the variant, not a broken demo."""

from __future__ import annotations

from typing import Final, NamedTuple

MANY: Final = 64
"""As many list registers as there can be."""


class Explained(NamedTuple):
    """`scenario` fails by `numbers` with at least `cpus` CPUs and at most `lrs` list registers.

    D1 to D21 are defects that `xen_without` mends, all of `numbers` being needed; F7 and F22 are corrections made to
    KVM that Xen's code lacks, and stay.
    """

    scenario: str
    numbers: tuple[str, ...]
    cpus: int = 1
    lrs: int = MANY


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


def explained(variant: str, cpus: int, lrs: int) -> dict[str, tuple[str, ...]]:
    """The scenarios that must fail with this geometry, each with the numbers of what makes it fail."""
    found: dict[str, tuple[str, ...]] = {}
    for row in XEN if variant == "xen" else ():
        if cpus >= row.cpus and lrs <= row.lrs:
            found[row.scenario] = tuple(dict.fromkeys(found.get(row.scenario, ()) + row.numbers))
    return found
