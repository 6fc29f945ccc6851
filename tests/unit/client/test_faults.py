"""What is foretold of an access is what the daemon's gate does with it."""

from __future__ import annotations

import pytest

from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain
from vgicd_client import Space, faults, regs
from vgicd_protocol.frames import SIZES
from vgicd_protocol.session import Window

WINDOWS = (
    Window("GICD", 0x0800_0000, 0x1000),
    Window("GICC", 0x0801_0000, 0x10000),
    Window("GICH", 0x0803_0000, 0x1000),
)
IGNORED = ("", "read-only", "write-only")


@pytest.mark.parametrize("space", [Space.GICD, Space.GICC])
@pytest.mark.parametrize("write", [False, True], ids=["read", "write"])
def test_every_refused_access_is_foretold(space: Space, write: bool) -> None:
    domain = Domain(DomainConfig(vcpus=1, spis=64))
    frame = regs.frames()[space.name]
    for offset in range(frame.size):
        for size in SIZES:
            domain.faults.clear()  # else comparing them takes longer with every new name
            domain.apply(op.Write(0, space, offset, size, 0) if write else op.Read(0, space, offset, size))
            counted = faults.counted({}, {f"fault.{name}": count for name, count in domain.faults.items()})
            foretold = faults.verdict(space.name, offset, size, 64, write=write)
            assert (offset, size, counted) == (offset, size, "" if foretold in IGNORED else foretold)


def test_registers_that_go_one_way_only() -> None:
    assert faults.verdict("GICD", 0x004, 4, 64, write=True) == "read-only"
    assert faults.verdict("GICD", 0x004, 4, 64, write=False) == ""
    assert faults.verdict("GICC", 0x010, 4, 64, write=False) == "write-only"
    assert faults.verdict("GICC", 0x010, 4, 64, write=True) == ""


@pytest.mark.parametrize(
    ("space", "address", "found"),
    [
        (Space.GICD, 0x104, ("GICD", 0x104)),
        (Space.DEVICE, 0x104, None),
        (Space.PHYSICAL, 0x0800_0104, ("GICD", 0x104)),
        (Space.PHYSICAL, 0x0801_0000, None),  # a window that is larger than the frame may be an alias
        (Space.PHYSICAL, 0x0803_0004, ("GICH", 4)),
        (Space.PHYSICAL, 0x0900_0000, None),
    ],
)
def test_addresses_reach_frames(space: Space, address: int, found: tuple[str, int] | None) -> None:
    assert faults.resolve(space, address, WINDOWS) == found


def test_no_guest_reaches_gich() -> None:
    assert [window.name for window in faults.reachable(WINDOWS)] == ["GICD", "GICC"]


@pytest.mark.parametrize(
    ("kind", "write", "text"),
    [
        ("width", False, "(refused: width; the guest reads 0)"),
        ("reserved", True, "(refused: reserved; ignored)"),
        ("read-only", True, "(read-only: ignored)"),
        ("write-only", False, "(write-only; the guest reads 0)"),
        ("unmapped", False, "(unmapped)"),
        ("unmapped", True, "(unmapped: ignored)"),
    ],
)
def test_sentences(kind: str, write: bool, text: str) -> None:
    assert faults.sentence(kind, write=write) == text
