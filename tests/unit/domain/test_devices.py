"""The devices of profile xen-guest: the UART's receive interrupts, and what a state image may say of them."""

from __future__ import annotations

import pytest

from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.devices.vpl011 import RTI, RX_TRIGGER, RXI
from vgicd.domain.domain import Domain
from vgicd.domain.errors import Code, RequestError

UART = 0x22000000
DR, FR, RIS, ICR = 0x00, 0x18, 0x3C, 0x44


@pytest.fixture
def domain() -> Domain:
    return Domain(DomainConfig(profile="xen-guest"))


def uart(domain: Domain, offset: int) -> int:
    return int(domain.apply(op.Read(0, op.Space.PHYSICAL, UART + offset, 4)).value)


def test_receive_interrupts_end_with_what_asked_for_them(domain: Domain) -> None:
    """DDI 0183 3.4: RXI at the trigger level, until reads bring the FIFO below it; RTI until it is empty."""
    domain.apply(op.Console(bytes(RX_TRIGGER - 1)))
    assert uart(domain, RIS) == RTI
    domain.apply(op.Console(b"x"))
    assert uart(domain, RIS) == RXI | RTI
    uart(domain, DR)
    assert uart(domain, RIS) == RTI
    for _ in range(RX_TRIGGER - 1):
        uart(domain, DR)
    assert uart(domain, RIS) == 0
    assert uart(domain, FR) & 0x10


def test_a_cleared_receive_interrupt_does_not_come_back_by_reading(domain: Domain) -> None:
    """Only what arrives asks anew, as long as the FIFO is above the trigger level."""
    domain.apply(op.Console(bytes(RX_TRIGGER + 4)))
    domain.apply(op.Write(0, op.Space.PHYSICAL, UART + ICR, 4, RXI | RTI))
    uart(domain, DR)
    assert uart(domain, RIS) == 0
    domain.apply(op.Console(b"x"))
    assert uart(domain, RIS) == RXI | RTI


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("vpl011.status", (0x80, 0, 0)),
        ("vpl011.status", (0, 0x8, 0)),
        ("vpl011.controls", (0x100, 0, 0, 0, 0, 0, 0)),
        ("vpl011.rx", (256,)),
        ("vpl011.rx", (0,) * 33),
        ("vtimer27.ctl", (4,)),
        ("vtimer30.ctl", (8,)),
        ("event_channel.flags", (2,)),
    ],
)
def test_an_image_with_bits_that_no_device_has_is_refused(domain: Domain, name: str, words: tuple[int, ...]) -> None:
    before = domain.apply(op.Snapshot()).value
    with pytest.raises(RequestError) as refused:
        domain.apply(op.Restore(before | {name: words}))
    assert refused.value.code == Code.BAD_IMAGE
    assert domain.apply(op.Snapshot()).value == before
