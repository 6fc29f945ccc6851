"""The bridge: what the guest asks of its GIC, what vgicd answers, and the wires between.

Order: what the timer outputs did before a request is told before it (both come over one socket, or are there before
the stop is told); the CPU's inputs have what an access changed before the instruction is finished.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from enum import Enum
from importlib.resources import files
from typing import Final

from vgicd_bridge import instruction, stage2, whereabouts
from vgicd_bridge.devices import HIDDEN as QEMU_GIC
from vgicd_bridge.devices import IAR, Devices
from vgicd_bridge.emulator import HIDDEN, RAM_BASE, Emulator
from vgicd_bridge.errors import EmulatorLost, GuestFault, TimeLimit
from vgicd_bridge.gic import Gic
from vgicd_bridge.instruction import Access
from vgicd_bridge.mailbox import PAGE, TRAP_POINT, Mailbox
from vgicd_bridge.stage2 import Span
from vgicd_bridge.statistics import Statistics

BELL: Final = 2
"""CNTHP's output, of which only the stub makes use."""
TIMERS: Final = {0: 30, 1: 27, 3: 29}
"""QEMU's timer outputs and their PPIs on machine `virt`: physical, virtual, secure."""

_TABLES: Final = 0x4000
_ABOVE_RAM: Final = 256 << 30  # where machine `virt` goes on behind its RAM
_SIGN_OF_LIFE: Final = 1.0  # seconds
_LAST_WORDS: Final = 0.5
_TYPED: Final = 256  # bytes at a time
_BUS: Final = 4  # bytes: what is wider becomes two accesses, as QEMU makes of it for a device
_DATA_ABORT: Final = 0x24
_INSTRUCTION_ABORT: Final = 0x20
_IL: Final = 1 << 25
_WNR: Final = 1 << 6
_EXTERNAL: Final = 0x10


class Trap(Enum):
    """How the bridge learns that the guest has accessed its GIC."""

    BELL = "bell"
    """By CNTHP's output, told over qtest: the machine is not stopped."""
    GDB = "gdb"
    """By a breakpoint of QEMU's gdbstub."""


class Bridge:
    """A machine that stands still before its first instruction, and its GIC. `run` starts it."""

    def __init__(
        self, emulator: Emulator, gic: Gic, console: Callable[[bytes], object], *, trap: Trap = Trap.BELL
    ) -> None:
        self.statistics = Statistics()
        self._emulator = emulator
        self._wires = emulator.wires
        self._gic = gic
        self._console = console
        self._trap = trap
        self._stub = RAM_BASE + emulator.size
        self._mailbox = Mailbox(emulator.memory, emulator.size + PAGE)
        self.devices = Devices(self._wires, gic)

    def run(self, *, seconds: float | None = None, keyboard: int | None = None) -> str:
        """Until the guest switches off; QEMU's word for the way it ended, such as "guest-shutdown".

        `keyboard` is a file descriptor of what is typed into the guest's first serial port.  Raises `GicLost`,
        `EmulatorLost`, `TimeLimit` and `GuestFault`; QEMU still runs then, and is the caller's to end.
        """
        emulator = self._emulator
        try:
            self._prepare()
            self._loop(None if seconds is None else time.monotonic() + seconds, keyboard)
        except EmulatorLost as error:
            self._last_words()
            if not emulator.control.ending:
                raise emulator.lost(error) from error
        return emulator.control.ending

    def where(self) -> str:
        """Stop the guest; for people, where it is. Raises `EmulatorLost`."""
        control = self._emulator.control
        control.command("stop")
        place = whereabouts.place(control.monitor)
        if self._stub <= place.pc < self._stub + HIDDEN:
            return f"at PC {self._mailbox.pc:#x}, in an access to its GIC"
        return str(place)

    def _prepare(self) -> None:
        """Put the stub and its tables into memory, and have the CPU begin there."""
        emulator, stub = self._emulator, self._stub
        debugger = emulator.debugger
        holes = (*self._gic.windows.values(), *QEMU_GIC, Span(stub, _ABOVE_RAM))
        tables = stage2.tables(stub + _TABLES, holes, RAM_BASE)
        code = files(__package__).joinpath("stub.bin").read_bytes()
        for offset, data in ((0, code), (_TABLES, tables)):
            emulator.memory[emulator.size + offset : emulator.size + offset + len(data)] = data
        emulator.hide_memory()
        control = (stage2.HCR, stage2.VTCR, stub + _TABLES)
        self._mailbox.prepare(entry=debugger.pc, stops=self._trap is Trap.GDB, control=control, iar=IAR)
        self.devices.start()
        self._wires.drive(self._gic.outputs)
        debugger.pc = stub
        if self._trap is Trap.GDB:
            debugger.break_at(stub + TRAP_POINT)
            debugger.go()
        else:
            debugger.detach()

    def _loop(self, deadline: float | None, keyboard: int | None) -> None:
        emulator = self._emulator
        handlers: dict[int, Callable[[], None]] = {
            self._wires.channel.fileno(): self._on_wires,
            emulator.control.channel.fileno(): emulator.control.take,
            emulator.console.fileno(): self._on_console,
        }
        if self._trap is Trap.GDB:
            handlers[emulator.debugger.channel.fileno()] = self._on_debugger
        poll = select.poll()
        for descriptor in handlers:
            poll.register(descriptor, select.POLLIN)
        gic = self._gic.fileno()
        poll.register(gic, select.POLLIN)
        console = emulator.console.fileno()
        typed = b""
        if keyboard is not None:
            poll.register(keyboard, select.POLLIN)
        look = time.monotonic() + _SIGN_OF_LIFE
        while True:
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                raise TimeLimit("the guest still runs at the end of the time it was given")
            if now >= look:  # whatever else happens: a guest that only prints asks the daemon nothing
                self._gic.check()
                look = time.monotonic() + _SIGN_OF_LIFE
            until = look if deadline is None else min(look, deadline)
            for descriptor, happened in poll.poll(max(0.0, until - now) * 1000):
                if descriptor == gic:
                    self._gic.take()
                elif descriptor == keyboard:
                    poll.unregister(keyboard)
                    if typed := os.read(keyboard, _TYPED):  # no more of it before the guest has taken this
                        poll.modify(console, select.POLLIN | select.POLLOUT)
                else:
                    if descriptor == console and happened & select.POLLOUT:
                        typed = emulator.console.offer(typed)
                        if not typed and keyboard is not None:
                            poll.modify(console, select.POLLIN)
                            poll.register(keyboard, select.POLLIN)
                    handlers[descriptor]()
            self._settle(time.perf_counter())
            if emulator.console.kept:
                self._on_console()

    def _on_wires(self) -> None:
        begun = time.perf_counter()
        self._wires.take()
        self._settle(begun)

    def _settle(self, begun: float) -> None:
        """Do what the CPU's outputs have told, and drive its inputs, until neither leads to more of the other."""
        notices = self._wires.notices
        while True:
            while notices:
                notice = notices.popleft()
                if notice.output == BELL:
                    self._serve(begun)
                elif (intid := TIMERS.get(notice.output)) is not None:
                    self.statistics.timer_changes += 1
                    self._gic.ppi(intid, notice.level)
                begun = time.perf_counter()
            self._wires.drive(self._gic.outputs)
            begun = time.perf_counter()
            if not notices:
                return

    def _on_debugger(self) -> None:
        begun = time.perf_counter()
        debugger = self._emulator.debugger
        if not debugger.stopped():
            return
        self._on_wires()
        if self._mailbox.pending:
            self._serve(begun)
        else:  # the guest itself has come to a virtual address like the stub's
            debugger.step_past(self._stub + TRAP_POINT)
        debugger.go()

    def _on_console(self) -> None:
        self._console(self._emulator.console.take())

    def _last_words(self) -> None:
        """What QEMU has said before it closed its sockets."""
        control = self._emulator.control
        for channel, take in ((self._emulator.console, self._on_console), (control.channel, control.take)):
            try:
                while select.select([channel], [], [], _LAST_WORDS)[0]:
                    take()
            except EmulatorLost:
                continue  # the end of it

    def _serve(self, begun: float) -> None:
        """Answer the request in the mailbox."""
        mailbox = self._mailbox
        intid = mailbox.intid
        if intid is not None:
            self.devices.signal(intid)
        else:
            self._carry_out(begun)
        self._wires.drive(self._gic.outputs)
        mailbox.answer()
        if self._trap is Trap.BELL:
            self.devices.wake()

    def _carry_out(self, begun: float) -> None:
        mailbox = self._mailbox
        syndrome = mailbox.syndrome
        kind = syndrome >> 26
        place = f"at PC {mailbox.pc:#x}"
        if kind not in (_DATA_ABORT, _INSTRUCTION_ABORT):
            raise GuestFault(f"an exception {place} comes to EL2 that nothing was told to send there: {syndrome:#x}")
        address = mailbox.physical
        if instruction.during_walk(syndrome):
            raise GuestFault(f"the guest's translation tables lead to {address:#x}, {place}, where it has no memory")
        window = self._window(address)
        if kind == _INSTRUCTION_ABORT or window is None:
            self._abort(kind, syndrome)
            return
        access = instruction.from_syndrome(syndrome) or instruction.from_word(mailbox.instruction)
        if access is None:
            raise GuestFault(
                f"the instruction {mailbox.instruction:#010x} {place} accesses the GIC at {address:#x}, and is none "
                "that the bridge carries out: those are loads and stores of one general register or a pair"
            )
        self.devices.look()
        if self._transfer(access, address):
            mailbox.step_over()
            if access.base is not None:
                mailbox.set_base_register(access.base, mailbox.base_register(access.base) + access.step)
        else:
            self._abort(kind, syndrome)
        if access.write and window == "GICD":
            self.devices.written(address)
        self.statistics.access(access.write, begun)

    def _transfer(self, access: Access, address: int) -> bool:
        """Load or store the registers; False if the GIC aborts."""
        mailbox, gic = self._mailbox, self._gic
        for index, register in enumerate(access.registers):
            at = address + index * access.size
            part = min(access.size, _BUS)
            value = mailbox.register(register)
            for shift in range(0, access.size, part):
                if access.write:
                    gic.write(at + shift, part, value >> 8 * shift & (1 << 8 * part) - 1)
                else:
                    keep = ~(((1 << 8 * part) - 1) << 8 * shift)
                    value = value & keep | gic.read(at + shift, part) << 8 * shift
                if gic.aborted:
                    return False
            if not access.write:
                mailbox.set_register(register, access.loaded(value))
        return True

    def _window(self, address: int) -> str | None:
        return next((name for name, span in self._gic.windows.items() if span.start <= address < span.end), None)

    def _abort(self, kind: int, syndrome: int) -> None:
        """The guest takes a synchronous external abort (DDI 0487 D17.2.37), as where no device answers."""
        self.statistics.aborts += 1
        kind |= not self._mailbox.el0
        self._mailbox.abort(kind << 26 | _IL | syndrome & _WNR | _EXTERNAL)
