"""Whether interrupts arrive as they must: what the CPUs do, held against what the interrupt controller answers.

An IRQ exception whose first acknowledge finds nothing was raised for nothing.  A virtual timer's PPI that rises while
it is enabled, is still high when its CPU next unmasks, and is not acknowledged before the CPU then next returns from
an exception was lost.  Between the rise and the verdict nothing may have held it back: the enables of distributor and
CPU interface, the priority mask, its being active, another interrupt's being handled; if something may have, the
verdict waits for the next time.  So a lost one may be missed, but none is invented.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from vgicd_machine.board.timers import VIRTUAL_PPI
from vgicd_machine.gic.port import GicPort, Window

SPECIAL: Final = 1020
"""INTIDs from here on are no interrupts (IHI 0048B 3.2.5)."""

_IRQ, _FIQ = 0, 1
_BIT: Final = 1 << VIRTUAL_PPI
_INTID: Final = 0x3FF
_PRIORITY: Final = 0xF8  # the bits of a priority that a GICv2 with virtualisation has

# Offsets in GICD and GICC.
_D_CTLR, _IGROUPR, _ISENABLER, _ICENABLER, _ISACTIVER, _ICACTIVER = 0x000, 0x080, 0x100, 0x180, 0x300, 0x380
_IPRIORITYR: Final = 0x400
_C_CTLR, _PMR, _IAR, _EOIR, _AIAR, _AEOIR, _DIR = 0x00, 0x04, 0x0C, 0x10, 0x20, 0x24, 0x1000
_ENABLE_GROUPS: Final = 0x3
_FIQ_EN: Final = 1 << 3
_EOI_MODE: Final = 1 << 9


class _Stage(Enum):
    IDLE = auto()
    RAISED = auto()  # and not unmasked yet
    UNMASKED = auto()  # while high: to be acknowledged before the next return


@dataclass(slots=True)
class CpuReport:
    """What one CPU did."""

    interrupts: list[int] = field(default_factory=lambda: [0, 0])
    """IRQs and FIQs taken."""
    spurious: list[int] = field(default_factory=lambda: [0, 0])
    """Those of them whose first read of GICC_IAR or GICC_AIAR answered 1020 or more."""
    lost: int = 0
    """Rises of PPI 27 that were lost."""
    acknowledged: Counter[int] = field(default_factory=Counter)
    """How often each INTID was read from GICC_IAR or GICC_AIAR."""


@dataclass(slots=True)
class _State:
    """What decides on one CPU whether PPI 27 is signalled, as the guest has set it; all zero after reset."""

    stage: _Stage = _Stage.IDLE
    unread: int | None = None  # the kind of interrupt that was taken, until the first acknowledge
    high: bool = False
    enabled: bool = False
    group: int = 0
    priority: int = 0
    mask: int = 0
    control: int = 0
    active: bool = False  # PPI 27
    running: list[int] = field(default_factory=list)  # acknowledged, without priority drop yet


class Audit:
    """A `GicPort` around `port`, and the `Observer` of the machine that uses it; `cpus` is their number."""

    def __init__(self, port: GicPort, cpus: int) -> None:
        self._port = port
        self.windows: Sequence[Window] = port.windows
        self.outputs = port.outputs
        self.watched = 0
        self.reports = [CpuReport() for _ in range(cpus)]
        self._states = [_State() for _ in range(cpus)]
        self._forwarding = 0  # GICD_CTLR
        bases = {window.name: (window.base, window.base + window.size) for window in port.windows}
        self._distributor, self._interface = bases["GICD"], bases["GICC"]

    def violations(self) -> Iterator[str]:
        """A sentence for each rule that was broken, and by how much."""
        for cpu, report in enumerate(self.reports):
            for kind, name in ((_IRQ, "IRQ"), (_FIQ, "FIQ")):
                if count := report.spurious[kind]:
                    yield f"CPU {cpu}: {count} of {report.interrupts[kind]} {name}s were for nothing: IAR read >= 1020"
            if report.lost:
                yield (
                    f"CPU {cpu}: {report.lost} times PPI {VIRTUAL_PPI} rose while enabled, was high when IRQs were "
                    "unmasked, and was not acknowledged before the next return from an exception"
                )

    def lines(self) -> Iterator[str]:
        """The whole report, for people."""
        for cpu, report in enumerate(self.reports):
            irqs, fiqs = report.interrupts
            counts = ", ".join(f"{intid}: {count}" for intid, count in sorted(report.acknowledged.items()))
            yield (
                f"CPU {cpu}: {irqs} IRQs ({report.spurious[_IRQ]} for nothing), {fiqs} FIQs "
                f"({report.spurious[_FIQ]} for nothing), PPI {VIRTUAL_PPI} lost {report.lost} times; "
                f"acknowledged {counts or 'none'}"
            )

    def report(self) -> dict[str, object]:
        """The same as JSON has it: INTIDs are strings."""
        cpus = [
            {
                "irqs": report.interrupts[_IRQ],
                "irqs_for_nothing": report.spurious[_IRQ],
                "fiqs": report.interrupts[_FIQ],
                "fiqs_for_nothing": report.spurious[_FIQ],
                "timer_lost": report.lost,
                "acknowledged": {str(intid): count for intid, count in sorted(report.acknowledged.items())},
            }
            for report in self.reports
        ]
        return {"cpus": cpus, "violations": list(self.violations())}

    # -- the observer

    def interrupted(self, cpu: int, *, fiq: bool) -> None:
        self.reports[cpu].interrupts[fiq] += 1
        self._states[cpu].unread = _FIQ if fiq else _IRQ

    def sampled(self, cpu: int, *, masked: int, returned: bool) -> None:
        state = self._states[cpu]
        if not self._signalled(state):
            return
        if state.stage is _Stage.UNMASKED:
            if returned:
                self.reports[cpu].lost += 1
                self._enter(cpu, _Stage.IDLE)
        elif state.stage is _Stage.RAISED and not masked >> self._kind(state) & 1:
            self._enter(cpu, _Stage.UNMASKED)

    # -- the port

    def read(self, cpu: int, address: int, size: int) -> int:
        value = self._port.read(cpu, address, size)
        self.outputs = self._port.outputs
        base, end = self._interface
        if base <= address < end and address - base in {_IAR, _AIAR}:
            self._acknowledged(cpu, value & _INTID)
        return value

    def write(self, cpu: int, address: int, size: int, value: int) -> None:
        self._port.write(cpu, address, size, value)
        self.outputs = self._port.outputs
        state = self._states[cpu]
        base, end = self._interface
        if base <= address < end:
            self._interface_written(state, address - base, value)
        elif self._distributor[0] <= address < self._distributor[1]:
            self._distributor_written(state, address - self._distributor[0], size, value)
        if state.stage is _Stage.UNMASKED and not self._signalled(state):
            self._enter(cpu, _Stage.RAISED)

    def line(self, intid: int, level: int, cpu: int | None = None) -> None:
        self._port.line(intid, level, cpu)
        self.outputs = self._port.outputs
        if intid != VIRTUAL_PPI or cpu is None:
            return
        state = self._states[cpu]
        rises, state.high = bool(level) and not state.high, bool(level)
        if rises and state.enabled:
            self._enter(cpu, _Stage.RAISED)
        elif not level:
            self._enter(cpu, _Stage.IDLE)

    def check(self) -> None:
        self._port.check()
        self.outputs = self._port.outputs

    def wait(self, seconds: float) -> bool:
        risen = self._port.wait(seconds)
        self.outputs = self._port.outputs
        return risen

    # -- what the guest has set

    def _acknowledged(self, cpu: int, intid: int) -> None:
        state, report = self._states[cpu], self.reports[cpu]
        if state.unread is not None:
            report.spurious[state.unread] += intid >= SPECIAL
            state.unread = None
        if intid >= SPECIAL:
            return
        report.acknowledged[intid] += 1
        state.running.append(intid)
        if intid == VIRTUAL_PPI:
            state.active = True
            self._enter(cpu, _Stage.IDLE)

    @staticmethod
    def _interface_written(state: _State, offset: int, value: int) -> None:
        intid = value & _INTID
        if offset == _C_CTLR:
            state.control = value
        elif offset == _PMR:
            state.mask = value & _PRIORITY
        elif offset in {_EOIR, _AEOIR}:
            if intid in state.running:
                state.running.remove(intid)
            if intid == VIRTUAL_PPI and not state.control & _EOI_MODE:
                state.active = False
        elif offset == _DIR and intid == VIRTUAL_PPI:
            state.active = False

    def _distributor_written(self, state: _State, offset: int, size: int, value: int) -> None:
        if offset == _D_CTLR:
            self._forwarding = value
        elif offset == _IGROUPR:
            state.group = value >> VIRTUAL_PPI & 1
        elif offset == _ISENABLER:
            state.enabled = state.enabled or bool(value & _BIT)
        elif offset == _ICENABLER:
            state.enabled = state.enabled and not value & _BIT
        elif offset == _ISACTIVER:
            state.active = state.active or bool(value & _BIT)
        elif offset == _ICACTIVER:
            state.active = state.active and not value & _BIT
        elif offset <= _IPRIORITYR + VIRTUAL_PPI < offset + size:
            state.priority = value >> 8 * (_IPRIORITYR + VIRTUAL_PPI - offset) & _PRIORITY

    def _signalled(self, state: _State) -> bool:
        """True when nothing that is known here holds PPI 27 back."""
        return (
            state.high
            and state.enabled
            and not state.active
            and not state.running
            and bool(self._forwarding & _ENABLE_GROUPS)
            and bool(state.control >> state.group & 1)
            and state.priority < state.mask
        )

    @staticmethod
    def _kind(state: _State) -> int:
        return _FIQ if state.group == 0 and state.control & _FIQ_EN else _IRQ

    def _enter(self, cpu: int, stage: _Stage) -> None:
        self._states[cpu].stage = stage
        if stage is _Stage.IDLE:
            self.watched &= ~(1 << cpu)
        else:
            self.watched |= 1 << cpu
