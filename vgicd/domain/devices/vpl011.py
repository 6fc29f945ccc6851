"""vPL011: the guest's UART at 0x22000000, SPI 32 (spec 6.5; ARM DDI 0183).

Its FIFOs are always on, as in an SBSA UART.  What the guest writes goes to the console at once, so the transmit FIFO
is always empty and TXI is raised by every byte.  The line is re-driven after every change of raw status or mask.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from vgicd.hw.events import EventKind
from vgicd.registers import Field, Frame, Layout, Register, block

if TYPE_CHECKING:
    from vgicd.vgic.vgic import Vgic

INTID: Final = 32
FIFO_DEPTH: Final = 32
RX_TRIGGER: Final = 16
CONSOLE_LIMIT: Final = 64 * 1024  # bytes kept for a console that nobody reads
RXI, TXI, RTI = 0x10, 0x20, 0x40
TXFE, RXFF, RXFE = 0x80, 0x40, 0x10

INTERRUPTS: Final = Layout(
    "UART interrupts",
    32,
    Field("RTI", 6, doc="received bytes are waiting"),
    Field("TXI", 5, doc="the transmit FIFO has room"),
    Field("RXI", 4, doc="the receive FIFO is half full"),
)
FLAGS: Final = Layout(
    "UARTFR",
    32,
    Field("TXFE", 7, doc="transmit FIFO empty", access="RO"),
    Field("RXFF", 6, doc="receive FIFO full", access="RO"),
    Field("TXFF", 5, doc="transmit FIFO full", access="RO"),
    Field("RXFE", 4, doc="receive FIFO empty", access="RO"),
    Field("BUSY", 3, access="RO"),
)


class Vpl011:
    """One UART."""

    # Registers that keep what is written and do nothing (baud rates and line control of a virtual wire): offset, mask.
    CONTROLS: Final = {
        "ilpr": (0x020, 0xFF),
        "ibrd": (0x024, 0xFFFF),
        "fbrd": (0x028, 0x3F),
        "lcr_h": (0x02C, 0xFF),
        "cr": (0x030, 0xFF87),
        "ifls": (0x034, 0x3F),
        "dmacr": (0x048, 0x07),
    }

    def __init__(self, vgic: Vgic) -> None:
        self.vgic = vgic
        self.rx: deque[int] = deque()
        self.tx = bytearray()
        self.lost = 0  # transmitted bytes dropped for want of a reader
        self.ris = 0
        self.imsc = 0
        self.controls = dict.fromkeys(self.CONTROLS, 0) | {"cr": 0x300, "ifls": 0x12}

    def level_at_exit(self, _vcpu_id: int, _intid: int) -> bool:
        return bool(self.ris & self.imsc)

    def drive(self) -> None:
        """Put the masked status on the line."""
        self.vgic.inject(None, INTID, bool(self.ris & self.imsc), owner=self)

    def receive(self, data: bytes) -> int:
        """Bytes from the console.  How many fitted the receive FIFO."""
        accepted = data[: FIFO_DEPTH - len(self.rx)]
        if accepted:
            self.rx.extend(accepted)
            self.ris |= RTI
            if len(self.rx) >= RX_TRIGGER:
                self.ris |= RXI
            self.drive()
        return len(accepted)

    def take_output(self) -> bytes:
        """What the guest transmitted since the last call."""
        data = bytes(self.tx)
        self.tx.clear()
        return data

    def read_dr(self) -> int:
        """The oldest byte, 0 when there is none.

        Reading ends RXI below the trigger level and RTI with the last byte; what was cleared before stays so.
        """
        if not self.rx:
            return 0
        value = self.rx.popleft()
        if len(self.rx) < RX_TRIGGER:
            self.ris &= ~RXI
        if not self.rx:
            self.ris &= ~RTI
        self.drive()
        return value

    def peek_dr(self) -> int:
        return self.rx[0] if self.rx else 0

    def write_dr(self, value: int) -> None:
        if len(self.tx) >= CONSOLE_LIMIT:
            del self.tx[0]
            self.lost += 1
        self.tx.append(value & 0xFF)
        self.vgic.note(EventKind.CONSOLE, 0, 0, value & 0xFF)
        self.ris |= TXI
        self.drive()

    def flags(self) -> int:
        return TXFE | (0 if self.rx else RXFE) | (RXFF if len(self.rx) == FIFO_DEPTH else 0)

    def write_imsc(self, value: int) -> None:
        self.imsc = value & INTERRUPTS.mask
        self.drive()

    def write_icr(self, value: int) -> None:
        self.ris &= ~value
        self.drive()

    def save(self) -> dict[str, tuple[int, ...]]:
        return {
            "vpl011.rx": tuple(self.rx),
            "vpl011.tx": tuple(self.tx),
            "vpl011.status": (self.ris, self.imsc, self.lost),
            "vpl011.controls": tuple(self.controls[name] for name in self.CONTROLS),
        }

    def load(self, words: dict[str, tuple[int, ...]]) -> None:
        if len(words["vpl011.rx"]) > FIFO_DEPTH:
            raise ValueError(f"the receive FIFO holds {FIFO_DEPTH} bytes, not {len(words['vpl011.rx'])}")
        ris, imsc, lost = words["vpl011.status"]
        if (ris | imsc) & ~INTERRUPTS.mask:
            raise ValueError(f"the UART's interrupts are {INTERRUPTS.mask:#x}, not {ris | imsc:#x}")
        controls = dict(zip(self.CONTROLS, words["vpl011.controls"], strict=True))
        for name, (_, mask) in self.CONTROLS.items():
            if controls[name] & ~mask:
                raise ValueError(f"UART{name.upper()} holds bits of {mask:#x}, not {controls[name]:#x}")
        tx = bytearray(words["vpl011.tx"])
        if len(tx) > CONSOLE_LIMIT:
            raise ValueError(f"the console holds {CONSOLE_LIMIT} bytes, not {len(tx)}")
        self.rx = deque(bytes(words["vpl011.rx"]))
        self.tx, self.lost = tx, lost
        self.ris, self.imsc, self.controls = ris, imsc, controls


_WIDTHS: Final = 1 | 2 | 4


def _control(key: str, offset: int, mask: int) -> Register:
    def read(uart: Vpl011) -> int:
        return uart.controls[key]

    def write(uart: Vpl011, value: int) -> None:
        uart.controls[key] = value & mask

    return block(f"UART{key.upper()}", offset, _WIDTHS, read, write, writable=mask)


_IDS: Final = (0x11, 0x10, 0x14, 0x00, 0x0D, 0xF0, 0x05, 0xB1)  # PrimeCell PL011

VPL011: Final = Frame(
    "VPL011",
    0x1000,
    (
        block("UARTDR", 0x000, _WIDTHS, Vpl011.read_dr, Vpl011.write_dr, peek=Vpl011.peek_dr, effect="command",
              doc="Data: a read takes a byte from the receive FIFO"),
        block("UARTRSR", 0x004, _WIDTHS, lambda _: 0, lambda _uart, _value: None, effect="command",
              doc="Receive status: there are no errors"),
        block("UARTFR", 0x018, _WIDTHS, Vpl011.flags, fields=FLAGS, reset=0x90, doc="Flags"),
        *(_control(key, offset, mask) for key, (offset, mask) in Vpl011.CONTROLS.items()),
        block("UARTIMSC", 0x038, _WIDTHS, lambda uart: uart.imsc, Vpl011.write_imsc, fields=INTERRUPTS,
              writable=INTERRUPTS.mask, doc="Interrupt mask: 1 lets an interrupt through"),
        block("UARTRIS", 0x03C, _WIDTHS, lambda uart: uart.ris, fields=INTERRUPTS, doc="Raw interrupt status"),
        block("UARTMIS", 0x040, _WIDTHS, lambda uart: uart.ris & uart.imsc, fields=INTERRUPTS,
              doc="Masked interrupt status"),
        block("UARTICR", 0x044, _WIDTHS, None, Vpl011.write_icr, fields=INTERRUPTS, effect="command",
              doc="Interrupt clear"),
        *(
            block(f"UARTID{index}", 0xFE0 + 4 * index, _WIDTHS, lambda _, value=value: value, reset=value)
            for index, value in enumerate(_IDS)
        ),
    ),
)  # fmt: skip
