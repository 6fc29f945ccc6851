"""The operation streams that are measured, recorded by running them in a domain first.

A stream is deterministic: the same parameters give the same operations and the same answers, on any machine.  It is
made step by step against a real domain, so that an acknowledge always finds an interrupt, an EOI names the interrupt
that was acknowledged last on that vCPU, and the number of interrupts in flight stays where it was asked to be.  Whoever
replays it can therefore compare every answer, and knows every value in advance, as a batch needs it.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, NamedTuple

from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain

FIRST_SPI: Final = 32
GICD_CTLR, GICD_TYPER, GICD_ISENABLER, GICD_ICENABLER = 0x000, 0x004, 0x100, 0x180
GICD_ISPENDR, GICD_IPRIORITYR, GICD_ITARGETSR, GICD_ICFGR = 0x200, 0x400, 0x800, 0xC00
GICC_CTLR, GICC_PMR, GICC_IAR, GICC_EOIR = 0x000, 0x004, 0x00C, 0x010
SPURIOUS: Final = 1020  # the first INTID that is no interrupt
VIRQS: Final = 0x5555  # the even bits of the outputs

Operation = op.Read | op.Write | op.Line


class Kind(StrEnum):
    """What a step stands for in the mix."""

    TYPER = "TYPER read"
    IAR = "IAR read"
    EOIR = "EOIR write"
    LINE = "LINE"
    ENABLE = "I[SC]ENABLER write"
    PENDING = "ISPENDR read"


# One block of the mix: 50 % IAR/EOIR, 20 % LINE, 15 % ISENABLER/ICENABLER, 15 % ISPENDR.
MIX: Final = (
    *[Kind.IAR] * 5,
    *[Kind.EOIR] * 5,
    *[Kind.LINE] * 4,
    *[Kind.ENABLE] * 3,
    *[Kind.PENDING] * 3,
)


class Step(NamedTuple):
    """An operation with the answer that the recording domain gave."""

    kind: Kind
    operation: Operation
    value: int
    outputs: int


@dataclass(frozen=True)
class Stream:
    """`setup` brings a new domain of `config` to where `steps` start; `in_flight` is the number before each step."""

    config: DomainConfig
    setup: tuple[Operation, ...]
    steps: tuple[Step, ...]
    in_flight: tuple[int, ...]

    def cut(self, length: int) -> Stream:
        """The first `length` steps."""
        return replace(self, steps=self.steps[:length], in_flight=self.in_flight[:length])

    def shares(self) -> dict[Kind, float]:
        """The part of the steps that each kind has."""
        return {kind: count / len(self.steps) for kind, count in Counter(s.kind for s in self.steps).items()}


def idle(length: int) -> Stream:
    """Reads of GICD_TYPER in a domain of one vCPU that has nothing else to do."""
    config = DomainConfig(vcpus=1)
    read = op.Read(vcpu=0, space=op.Space.GICD, address=GICD_TYPER, size=4)
    result = Domain(config).apply(read)
    return Stream(config, (), (Step(Kind.TYPER, read, result.value, result.outputs),) * length, (0,) * length)


def working(length: int, *, spis: int = 64, in_flight: int = 16, seed: int = 1) -> Stream:
    """The mix on four vCPUs with four list registers each, about `in_flight` interrupts pending or active."""
    return _Recorder(DomainConfig(vcpus=4, spis=spis, lrs=4), in_flight, seed).record(length)


def crowded(length: int) -> Stream:
    """The same mix with 900 interrupts listed."""
    return working(length, spis=960, in_flight=900)


class WorkloadError(Exception):
    """The domain did not answer as the stream needs it, so the stream would not be what it says."""


@dataclass
class _Recorder:
    config: DomainConfig
    goal: int
    seed: int
    acknowledged: list[list[int]] = field(init=False)  # per vCPU, innermost last
    high: set[int] = field(default_factory=set)  # level lines that are up
    disabled: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.domain = Domain(self.config)
        self.random = random.Random(self.seed)
        self.spis = range(FIRST_SPI, FIRST_SPI + self.config.spis)
        self.acknowledged = [[] for _ in range(self.config.vcpus)]

    def record(self, length: int) -> Stream:
        setup: list[Operation] = self.registers()
        for operation in setup:
            self.domain.apply(operation)
        for _ in range(self.goal):
            setup.append(self.line())
            self.domain.apply(setup[-1])
        if self.listed() != self.goal:
            raise WorkloadError(f"{self.goal} interrupts were triggered, {self.listed()} are listed")

        steps: list[Step] = []
        in_flight: list[int] = []
        bag: list[Kind] = []
        while len(steps) < length:
            if not any(self.possible(kind) for kind in bag):
                bag.extend(self.random.sample(MIX, len(MIX)))
            kind = next(kind for kind in bag if self.possible(kind))
            bag.remove(kind)
            in_flight.append(self.listed())
            steps.append(self.step(kind))
        return Stream(self.config, tuple(setup), tuple(steps), tuple(in_flight))

    def registers(self) -> list[Operation]:
        """Every SPI enabled, odd ones edge and even ones level, spread over the vCPUs and eight priorities."""

        def word(offset: int, value: int) -> Operation:
            return op.Write(vcpu=0, space=op.Space.GICD, address=offset, size=4, value=value)

        writes = [word(GICD_CTLR, 1)]
        for spi in self.spis[::4]:
            priorities = [0x40 + 8 * self.random.randrange(8) for _ in range(4)]
            targets = [1 << (spi + i) % self.config.vcpus for i in range(4)]
            writes.append(word(GICD_IPRIORITYR + spi, int.from_bytes(priorities, "little")))
            writes.append(word(GICD_ITARGETSR + spi, int.from_bytes(targets, "little")))
        writes += [word(GICD_ICFGR + spi // 4, 0x8888_8888) for spi in self.spis[::16]]
        writes += [word(GICD_ISENABLER + spi // 8, 0xFFFF_FFFF) for spi in self.spis[::32]]
        for vcpu in range(self.config.vcpus):
            writes.append(op.Write(vcpu, op.Space.GICC, GICC_PMR, 4, 0xF8))
            writes.append(op.Write(vcpu, op.Space.GICC, GICC_CTLR, 4, 1))
        return writes

    def listed(self) -> int:
        return sum(len(vcpu.ap_list.irqs) for vcpu in self.domain.vgic.vcpus)

    def possible(self, kind: Kind) -> bool:
        match kind:
            case Kind.IAR:
                return self.domain.outputs & VIRQS != 0
            case Kind.EOIR:
                return any(self.acknowledged)
            case _:
                return True

    def step(self, kind: Kind) -> Step:
        operation = self.operation(kind)
        result = self.domain.apply(operation)
        if result.fault:
            raise WorkloadError(f"{operation} faults")
        value = result.value or 0
        if kind is Kind.IAR:
            if value & 0x3FF >= SPURIOUS:
                raise WorkloadError(f"{operation} finds nothing although its output is up")
            self.acknowledged[operation.vcpu].append(value)
        return Step(kind, operation, value, result.outputs)

    def operation(self, kind: Kind) -> Operation:
        vcpus = range(self.config.vcpus)
        vcpu = self.random.choice(vcpus)
        match kind:
            case Kind.IAR:
                vcpu = self.random.choice([v for v in vcpus if self.domain.outputs >> 2 * v & 1])
                return op.Read(vcpu, op.Space.GICC, GICC_IAR, 4)
            case Kind.EOIR:
                vcpu = self.random.choice([v for v in vcpus if self.acknowledged[v]])
                return op.Write(vcpu, op.Space.GICC, GICC_EOIR, 4, self.acknowledged[vcpu].pop())
            case Kind.LINE:
                return self.line()
            case Kind.ENABLE:
                return self.enable(vcpu)
            case _:
                word = self.random.randrange(1 + len(self.spis) // 32)
                return op.Read(vcpu, op.Space.GICD, GICD_ISPENDR + 4 * word, 4)

    def enable(self, vcpu: int) -> Operation:
        """Disable an interrupt in flight, and next time enable it again."""
        if self.disabled:
            spi, register = self.disabled.pop(), GICD_ISENABLER
        else:
            spi, register = self.random.choice(self.in_flight()), GICD_ICENABLER
            self.disabled.append(spi)
        return op.Write(vcpu, op.Space.GICD, register + spi // 32 * 4, 4, 1 << spi % 32)

    def line(self) -> op.Line:
        """Keep the goal: up to it trigger an idle interrupt, above it lower a line that is up."""
        flying = set(self.in_flight())
        if len(flying) > self.goal and self.high:
            spi = self.random.choice(sorted(self.high))
            self.high.remove(spi)
            return op.Line(spi, 0)
        edges = sum(spi % 2 for spi in flying)
        idle = [s for s in self.spis if s not in flying and s not in self.high and s not in self.disabled]
        wanted = 1 if edges < self.goal // 2 else 0  # half of the flight is edge-triggered
        spi = self.random.choice([s for s in idle if s % 2 == wanted] or idle)
        if spi % 2:
            return op.Line(spi, 1, pulse=True)
        self.high.add(spi)
        return op.Line(spi, 1)

    def in_flight(self) -> list[int]:
        return [irq.intid for vcpu in self.domain.vgic.vcpus for irq in vcpu.ap_list.irqs]
