"""One CPU: its turns on the engine, and all that Unicorn leaves to its user: exceptions, interrupts and waiting.

The interrupt inputs are sampled before each slice.  A slice ends early when an access makes one of them rise; while
one is asserted and masked the CPU advances by basic blocks, because nothing tells when it unmasks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from vgicd_machine.board.board import Board
from vgicd_machine.board.timers import Timers
from vgicd_machine.core import arm64, engine
from vgicd_machine.core.arm64 import SystemRegister
from vgicd_machine.core.engine import Engine, Hole, Trap
from vgicd_machine.errors import BusAbort, GuestFault

EARLY_TICKS: Final = 32
"""What a slice that ended early costs in virtual time: the engine does not say how much of it was executed."""

COUNTER_READ_TICKS: Final = 64
"""How far the counter moves with each read within a slice: about a microsecond, so that polling it gets somewhere."""

SPIN_SLICE: Final = 64  # instructions, for a CPU found in a loop around WFE
PATIENCE: Final = 3000  # basic blocks with an interrupt masked, before the steps become longer
IMPATIENT_SLICE: Final = 500  # instructions
_BLOCK: Final = 32  # instructions that are searched for the end of a basic block
_PAGE: Final = 0x1000
_LOOP: Final = 0x40  # bytes; a CPU found twice within them is taken to be in a loop
_COUNTERS: Final = {SystemRegister(3, 3, 14, 0, 1), SystemRegister(3, 3, 14, 0, 2)}  # CNTPCT_EL0, CNTVCT_EL0


class _Abort(NamedTuple):
    """A refused access, and the registers before it: the instruction will not have happened."""

    pc: int
    address: int
    write: bool
    registers: tuple[int, ...]
    stack: int


class Cpu:
    """CPU `index`, switched off until `switch_on`.

    `hypercall(function, arguments)` carries out an HVC or SMC; `maintained(crn, crm)` hears of broadcast maintenance.
    """

    def __init__(
        self,
        index: int,
        board: Board,
        timers: Timers,
        hypercall: Callable[[int, int, tuple[int, int, int]], int],
        maintained: Callable[[int, int, int], None] | None = None,
    ) -> None:
        self.index = index
        self._memories = board.memories
        self._bus = board.bus
        self._timers = timers
        self._hypercall = hypercall
        self._maintained = maintained
        self._engine: Engine | None = None
        self.halted = False
        """In WFI: an asserted input, masked or not, ends it."""
        self.late_stops = 0
        """Accesses that made an input rise but could not end their slice: the interrupt came with the slice's end."""
        self._spinning = False
        self._last_pc = 0  # at the end of the last slice that was executed in full
        self._masked_steps = 0
        self._lines = 0  # the inputs as last seen within the slice
        self._stopped = False
        self._done = False  # the turn has to end
        self._abort: _Abort | None = None
        self._now = 0
        self._limit = 0
        self._reads = 0
        self._stale_code = self._stale_tlb = False
        self._vector = -1  # of the synchronous exception last delivered

    @property
    def on(self) -> bool:
        return self._engine is not None

    @property
    def lines(self) -> int:
        """Bit 0 the IRQ, bit 1 the FIQ input."""
        return self._bus.outputs >> 2 * self.index & 3

    def switch_on(self, entry: int, context: int) -> None:
        """Begin at `entry` in EL1 with the MMU off, interrupts masked and `context` in X0."""
        core = Engine()
        for memory in self._memories:
            core.map_ram(memory.base, memory.size, memory.host_address)
        for window in self._bus.windows:
            core.map_device(window.base, window.size, self._load, self._store)
        core.set_system(arm64.SCR_EL3, arm64.SCR_BOOT)
        core.set_system(arm64.HCR_EL2, arm64.HCR_RW | arm64.HCR_TDZ | arm64.HCR_TWI)
        core.set_system(arm64.VMPIDR_EL2, 0x8000_0000 | self.index)
        core.set_system(arm64.CNTHCTL_EL2, 3)
        core.on_msr(self._msr)
        core.on_mrs(self._mrs)
        if self._maintained is not None:
            core.on_sys(partial(self._maintained, self.index))
        core.write(engine.X0, context)
        core.write(engine.PC, entry)
        self._engine = core
        self.halted = self._spinning = False
        self._masked_steps = 0

    def switch_off(self) -> None:
        """Forget everything; `switch_on` begins anew."""
        self._engine = None

    def invalidate(self, *, code: bool) -> None:
        """Another CPU has broadcast an invalidation of the TLBs, or of the instruction caches: before the next slice.

        Systems broadcast thousands in a row, and a flush of the engine is expensive.
        """
        self._stale_code = self._stale_code or code
        self._stale_tlb = self._stale_tlb or not code

    def turn(self, now: int, limit: int) -> int:
        """Execute for about `limit` ticks from `now`; yields the ticks spent, 0 when there is nothing to execute.

        The turn ends early when the CPU waits, or has changed what the machine as a whole does next.
        """
        spent = 0
        self._done = False
        while not self._done and spent < limit and (core := self._engine) is not None:
            lines = self.lines
            if self.halted:
                if not lines:
                    break
                self.halted = False
                self._masked_steps = 0
            count = SPIN_SLICE if self._spinning else limit
            if lines:
                self._interrupt(core, lines)
                count = self._masked_step(core)  # masked by now, if only by the exception's entry
            spent += self._slice(core, now + spent, min(limit - spent, count), lines)
            if not lines:
                break
        return spent

    # -- a slice

    def _slice(self, core: Engine, now: int, count: int, lines: int) -> int:
        if self._stale_code or self._stale_tlb:
            self._flush(core)
        self._lines, self._stopped, self._abort = lines, False, None
        self._now, self._limit, self._reads = now, now + count, 0
        core.run(core.read(engine.PC), count)
        early = True
        if self._abort is not None:
            self._take_abort(core, self._abort)
        elif core.trap is not None:
            self._take_trap(core, core.trap)
        elif core.hole is not None:
            self._take_hole(core, core.hole)
        elif not self._stopped:
            early = False
            self._spinning = not lines and self._waits_for_event(core)
        spent = min(count, EARLY_TICKS) if early else count
        return max(spent, self._counter() - now)

    def _flush(self, core: Engine) -> None:
        if self._stale_code:
            core.flush_code()
        if self._stale_tlb:
            core.flush_tlb()
        self._stale_code = self._stale_tlb = False

    def _waits_for_event(self, core: Engine) -> bool:
        last, self._last_pc = self._last_pc, core.read(engine.PC)
        return abs(self._last_pc - last) < _LOOP and arm64.waits_for_event(core.instruction, self._last_pc)

    def _masked_step(self, core: Engine) -> int:
        self._masked_steps += 1
        if self._masked_steps > PATIENCE:
            return IMPATIENT_SLICE
        pc = core.read(engine.PC)
        block = core.instructions(pc, min(_BLOCK, (_PAGE - pc % _PAGE) // 4))
        return next((n for n, word in enumerate(block, 1) if arm64.ends_block(word)), max(1, len(block)))

    # -- what the engine calls within a slice

    def _load(self, address: int, size: int) -> int:
        try:
            value = self._bus.read(self.index, address, size)
        except BusAbort:
            self._refused(address, write=False)
            return 0
        self._accessed()
        return value

    def _store(self, address: int, size: int, value: int) -> None:
        try:
            self._bus.write(self.index, address, size, value)
        except BusAbort:
            self._refused(address, write=True)
        else:
            self._accessed()

    def _accessed(self) -> None:
        lines = self.lines
        rose = lines & ~self._lines
        self._lines = lines
        core = self._engine
        if not rose or self._stopped or core is None:
            return
        pc = core.read(engine.PC)
        word = core.instruction(pc)
        if word is not None and arm64.is_simple_access(word):
            self._stopped = True
            core.stop_at(pc + 4)
        else:
            self.late_stops += 1

    def _refused(self, address: int, *, write: bool) -> None:
        core = self._engine
        if core is None or self._abort is not None:
            return
        pc = core.read(engine.PC)
        registers = tuple(core.read(register) for register in engine.GENERAL)
        self._abort = _Abort(pc, address, write, registers, core.read(engine.SP))
        core.stop_at(pc)

    def _msr(self, register: SystemRegister, value: int) -> bool:
        if not self._timers.owns(register):
            return False
        self._timers.write(self.index, register, value, self._counter())
        self._stopped = self._done = (
            True  # its line may have risen, and the next deadline may be nearer than the slice's end
        )
        if self._engine is not None:
            self._engine.stop()
        return True

    def _mrs(self, register: SystemRegister) -> int | None:
        if register in _COUNTERS:
            self._reads += 1
            value = self._counter()
            if value == self._limit and self._engine is not None:
                self._stopped = True
                self._engine.stop()
            return value
        if self._timers.owns(register):
            return self._timers.read(self.index, register, self._counter())
        return None

    def _counter(self) -> int:
        """The time within a slice, as far as it can be told: it moves with each look and never beyond the slice."""
        return min(self._now + self._reads * COUNTER_READ_TICKS, self._limit)

    # -- exceptions

    def _interrupt(self, core: Engine, lines: int) -> None:
        pstate = core.read(engine.PSTATE)
        if lines & 2 and not pstate & arm64.PSTATE_F:
            self._deliver(core, arm64.VECTOR_FIQ)
        elif lines & 1 and not pstate & arm64.PSTATE_I:
            self._deliver(core, arm64.VECTOR_IRQ)

    def _deliver(self, core: Engine, vector: int) -> None:
        """Enter EL1 through `vector`: PSTATE, the stack pointer's bank and the link are this method's to change."""
        pstate = core.read(engine.PSTATE)
        core.set_system(arm64.SPSR_EL1, pstate)
        core.set_system(arm64.ELR_EL1, core.read(engine.PC))
        if not (arm64.exception_level(pstate) and pstate & 1):
            core.set_system(arm64.SP_EL0, core.read(engine.SP))
            core.write(engine.SP, core.system(arm64.SP_EL1))
        core.write(engine.PSTATE, arm64.PSTATE_BOOT)
        # Any such write makes Unicorn rebuild what it derives from PSTATE; writing PSTATE alone does not.
        core.set_system(arm64.CONTEXTIDR_EL1, core.system(arm64.CONTEXTIDR_EL1))
        core.write(engine.PC, core.system(arm64.VBAR_EL1) + arm64.vector_group(pstate) + vector)
        self._masked_steps = 0
        self._spinning = False

    def _synchronous(self, core: Engine, syndrome: int, address: int | None = None) -> None:
        core.set_system(arm64.ESR_EL1, syndrome)
        if address is not None:
            core.set_system(arm64.FAR_EL1, address)
        self._deliver(core, arm64.VECTOR_SYNC)
        self._vector = core.read(engine.PC)

    def _take_trap(self, core: Engine, trap: Trap) -> None:
        match trap.number:
            case engine.UNDEFINED if trap.syndrome >> 26 == arm64.EC_TRAPPED_WFX:
                core.write(engine.PC, core.read(engine.PC) + 4)
                self.halted = True
                self._masked_steps = 0
            case engine.HYPERVISOR_CALL | engine.MONITOR_CALL:
                function, *arguments = (core.read(register) for register in engine.GENERAL[:4])
                one, two, three = arguments
                self._done = True
                answer = self._hypercall(self.index, function & 0xFFFF_FFFF, (one, two, three))
                core.write(engine.X0, answer & (1 << 64) - 1)
            case engine.UNDEFINED if trap.target == 2:
                self._synchronous(core, arm64.ESR_IL)  # DC ZVA; the guest knows nothing of EL2: an unknown reason
            case engine.UNDEFINED | engine.SUPERVISOR_CALL | engine.BREAKPOINT:
                self._synchronous(core, trap.syndrome)
            case engine.PREFETCH_ABORT | engine.DATA_ABORT:
                self._synchronous(core, trap.syndrome, trap.address)
            case _:
                raise GuestFault(
                    f"CPU {self.index}: exception {trap.number} of the engine at {core.read(engine.PC):#x}"
                )

    def _take_abort(self, core: Engine, abort: _Abort) -> None:
        for register, value in zip(engine.GENERAL, abort.registers, strict=True):
            core.write(register, value)
        core.write(engine.SP, abort.stack)
        core.write(engine.PC, abort.pc)
        self._external(core, abort.address, arm64.EC_DATA_ABORT, arm64.ISS_WNR if abort.write else 0)

    def _take_hole(self, core: Engine, hole: Hole) -> None:
        pc = core.read(engine.PC)
        if hole.fetch and pc == self._vector:
            raise GuestFault(f"CPU {self.index}: an exception, and no memory at its vector {pc:#x}")
        kind = arm64.EC_INSTRUCTION_ABORT if hole.fetch else arm64.EC_DATA_ABORT
        self._external(core, hole.address, kind, arm64.ISS_WNR if hole.write else 0)

    def _external(self, core: Engine, address: int, kind: int, iss: int) -> None:
        """A synchronous external abort; with the MMU on its virtual address is not known, which FnV says."""
        same_level = arm64.exception_level(core.read(engine.PSTATE)) != 0
        translated = core.system(arm64.SCTLR_EL1) & arm64.SCTLR_M
        iss |= arm64.EXTERNAL_ABORT | (arm64.ISS_FNV if translated else 0)
        syndrome = kind + same_level << 26 | arm64.ESR_IL | iss
        self._synchronous(core, syndrome, 0 if translated else address)
