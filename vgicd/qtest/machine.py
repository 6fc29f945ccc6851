"""The machine that one qtest client drives: memory as a vCPU sees it, the GIC's inputs, the clock.

An access goes to guest-physical addresses as the guest's own does, in pieces of at most a word.  Where nothing is
mapped reads are 0, and an abort shows as 0 too, because qtest is not told of bus errors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from vgicd.domain import operations as op
from vgicd.domain.domain import Domain
from vgicd.domain.errors import RequestError
from vgicd.domain.events import Event
from vgicd.qtest.blocks import WORD, pieces
from vgicd.qtest.clock import Clock
from vgicd.qtest.interception import Interception
from vgicd.qtest.text import Refused
from vgicd.qtest.wiring import Device, Wiring

_PHYSICAL: Final = int(op.Space.PHYSICAL)

Names = Callable[[], Wiring]


class Machine:
    """`notify` takes notices as they come, `spread` is told the outputs after each operation (for other clients)."""

    def __init__(
        self,
        domain: Domain,
        clock: Clock,
        wiring: Names,
        block_limit: int,
        notify: Callable[[bytes], None],
        spread: Callable[[int], None],
    ) -> None:
        self.domain = domain
        self.clock = clock
        self.block_limit = block_limit
        self.vcpu = 0  # that makes the accesses
        self.interception: Interception | None = None
        self._driving = False
        self._wiring = wiring
        self._notify = notify
        self._spread = spread

    @property
    def wiring(self) -> Wiring:
        """That of the domain as it is now."""
        return self._wiring()

    # --- operations -------------------------------------------------------------------------------------------------

    def apply(self, operation: Any, *, looks: bool = False) -> op.Result:
        """Carry out `operation`, which `looks` if a GIC would not look at its outputs after it; Refused if it cannot.

        Notices of what it caused have been given when this returns.
        """
        before = self.domain.outputs
        try:
            result = self.domain.apply(operation)
        except RequestError as error:
            raise Refused(f"{error.text[:1].upper()}{error.text[1:]}.") from None
        self.applied(before, result.outputs, looks=looks)
        return result

    def applied(self, before: int, outputs: int, *, looks: bool) -> None:
        """An operation has been applied, with `outputs` after it and other ones, perhaps, `before`."""
        self._spread(outputs)
        if not looks or outputs != before:
            self.see_outputs(outputs)

    def see_outputs(self, outputs: int) -> None:
        """Somebody's operation may have changed the outputs to these."""
        if self.interception is not None:
            notices = self.interception.outputs(outputs)
            if notices:
                self._notify(notices)

    def see_event(self, event: Event) -> None:
        """An event of one of the interception's kinds has happened."""
        if self.interception is not None and not self._driving:
            notices = self.interception.event(event)
            if notices:
                self._notify(notices)

    # --- memory -----------------------------------------------------------------------------------------------------

    def read(self, address: int, size: int) -> int:
        """`size` bytes as a little-endian number."""
        value = shift = 0
        for place, width in pieces(address, size):
            value |= self._read(place, width) << shift
            shift += 8 * width
        return value

    def write(self, address: int, size: int, value: int) -> None:
        """The low `size` bytes of `value`, little-endian."""
        for place, width in pieces(address, size):
            self.apply(op.Write(self.vcpu, _PHYSICAL, place, width, value & (1 << 8 * width) - 1))
            value >>= 8 * width

    def _read(self, address: int, width: int) -> int:
        value: int = self.apply(op.Read(self.vcpu, _PHYSICAL, address, width), looks=True).value
        return value if self.domain.address_map.decode(address) is not None else 0

    def prepare(self, key: Any, operation: op.Read | op.Write) -> None:
        """Keep the prepared form of `operation`, which was just carried out, if it is one single access."""
        if operation.size <= WORD and operation.address % operation.size == 0:
            self.domain.prepare(key, operation)

    def check_block(self, address: int, size: int) -> None:
        """Refused unless `size` bytes at `address` are all within one frame, and not too many."""
        if size > self.block_limit:
            raise Refused(f"A block has at most {self.block_limit} bytes here.")
        region = self.domain.address_map.find(address)
        if region is None or not region.guest:
            raise Refused(f"There is no memory at {address:#x}: blocks reach what the GIC has there, and no RAM.")
        if address + size > region.base + region.size:
            raise Refused(f"The block leaves {region.name}, which ends at {region.base + region.size:#x}.")

    # --- wires ------------------------------------------------------------------------------------------------------

    def device(self, path: bytes) -> Device:
        """The device at `path`, refused as QEMU refuses it."""
        device = self.wiring.find(path)
        if device is None:
            raise Refused("Unknown device")
        return device

    def drive(self, index: int, level: int) -> None:
        """Drive input `index` of the GIC; every level but 0 is high."""
        intid, vcpu = self.wiring.line(index)
        self._driving = True
        try:
            self.apply(op.Line(intid, int(level != 0), op.NO_VCPU if vcpu is None else vcpu))
        finally:
            self._driving = False
        if self.interception is not None:
            notices = self.interception.driven(index, level)
            if notices:
                self._notify(notices)

    # --- time -------------------------------------------------------------------------------------------------------

    def advance(self, now: int) -> int:
        """Let the clock reach nanosecond `now`, if it has not; the nanosecond at which it is then."""
        clock = self.clock
        if now > clock.now:
            ticks = clock.ticks(now)
            if ticks > self.domain.now:
                self.apply(op.Time(ticks))
            clock.reached(now)
        return clock.now
