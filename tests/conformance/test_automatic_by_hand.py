"""The automatic world switch is the explicit one done by hand, in both variants.

One domain switches worlds itself.  For the other the test does what the design prescribes: the accessing vCPU exits,
whoever is kicked exits, all enter again in order, each physical interrupt that can fire does so once, and a vCPU whose
maintenance interrupt is asserted exits and enters once.  Every answer and every output must be equal after every
operation; nothing is skipped on the hand's side, so that a missing kick or a world switch wrongly thought needless
shows.

A kick that meets a vCPU outside waits for it: it enters and exits at once.  Priorities are distinct, because between
equal ones the order of arrival on the list decides, which that detour may change.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from tests.conformance.scenarios.harness import (
    CPENDSGIR,
    CTLR,
    GICC_CTLR,
    GICC_DIR,
    GICC_EOIR,
    GICC_HPPIR,
    GICC_IAR,
    GICC_PMR,
    ICACTIVER,
    ICENABLER,
    ICFGR,
    ICPENDR,
    IGROUPR,
    IPRIORITYR,
    ISACTIVER,
    ISENABLER,
    ISPENDR,
    ITARGETSR,
    SGIR,
    SPENDSGIR,
    Bench,
)
from vgicd.domain import operations as op
from vgicd.hw.effects import EffectKind
from vgicd.vgic.distributor import GICD

VCPUS = 3
SPIS = range(32, 44)
SGIS = range(4)
TIED = {42: 72, 43: 73}  # 42 is a level interrupt, 43 an edge


def is_write(operation: Any) -> bool:
    return isinstance(operation, op.Write)


class Hand:
    """A domain in explicit mode, every vCPU inside between two calls of `apply`."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.outside: set[int] = set()
        self.kicked: set[int] = set()
        for vcpu in range(VCPUS):
            bench.enter(vcpu)

    def apply(self, operation: Any) -> Any:
        if isinstance(operation, op.Read | op.Write) and operation.space == op.Space.GICD:
            self.leave(operation.vcpu)
            row = GICD.row_at(operation.address)
            if not self.bench.xen and row is not None and (row.folds if is_write(operation) else row.live):
                for vcpu in range(VCPUS):
                    self.leave(vcpu)
        value = self.do(operation)
        if not self.bench.xen and self.leaves_something_behind(operation):
            self.leave(operation.vcpu)
        self.settle()
        for vcpu in range(VCPUS):
            if self.bench.maintenance(vcpu):
                self.leave(vcpu)
                self.settle()
        return value

    def leaves_something_behind(self, operation: Any) -> bool:
        """An EOI after which no maintenance interrupt comes, although a world switch would change something.

        A tied interrupt was deactivated, whose list register may have withheld a latch; or one is pending again here
        that was meanwhile aimed elsewhere.
        """
        if any(call.kind == EffectKind.DEACTIVATE for call in self.bench.calls):
            return True
        if (
            not is_write(operation)
            or operation.space != op.Space.GICC
            or operation.address not in (GICC_EOIR, GICC_DIR)
        ):
            return False
        intid = operation.value & 0x3FF
        loaded = [
            word for word in self.bench.lr_state(operation.vcpu).lrs if word & 0x3FF == intid and word >> 28 & 3 == 1
        ]
        return (
            bool(loaded)
            and self.bench.info(intid, operation.vcpu if intid < 32 else op.NO_VCPU).target != operation.vcpu
        )

    def do(self, operation: Any) -> Any:
        value = self.bench.do(operation).value
        self.kicked |= set(self.bench.kicks)
        return value

    def leave(self, vcpu: int) -> None:
        if vcpu not in self.outside:
            self.do(op.Exit(vcpu))
            self.outside.add(vcpu)

    def settle(self) -> None:
        self.enter_all()
        physical = self.bench.domain.vgic.physical
        for virq, pirq in TIED.items():
            if physical.fires(pirq):
                self.do(op.HwIrq(pirq, virq))
        self.enter_all()

    def enter_all(self) -> None:
        while self.kicked:
            vcpu = min(self.kicked)
            self.kicked.discard(vcpu)
            if vcpu in self.outside:
                self.outside.discard(vcpu)
                self.bench.enter(vcpu)
            self.leave(vcpu)
        for vcpu in sorted(self.outside):
            self.bench.enter(vcpu)
        self.outside.clear()


class Pair:
    """The automatic domain and the one switched by hand, fed alike."""

    def __init__(self, variant: str, lrs: int, seed: int) -> None:
        self.random = Random(seed)
        without = ("D2", "D3")  # which assert, or lead to an assertion
        kind = {"vcpus": VCPUS, "spis": 32, "lrs": lrs, "without": without}
        self.automatic = Bench(variant, automatic=True, **kind)  # type: ignore[arg-type]
        self.hand = Hand(Bench(variant, **kind))  # type: ignore[arg-type]
        self.running: list[list[int]] = [[] for _ in range(VCPUS)]
        self.dropped: list[list[int]] = [[] for _ in range(VCPUS)]  # ended by EOIR, perhaps not deactivated
        self.history: list[Any] = []
        self.priorities = [level << 3 for level in range(32)]  # those that no interrupt has
        self.random.shuffle(self.priorities)
        self.given: dict[tuple[int, int], int] = {}
        for vcpu in range(VCPUS):
            for sgi in SGIS:
                self.prioritise(sgi, vcpu)
        for intid in SPIS:
            self.prioritise(intid)
            self.gicd(ITARGETSR.byte(intid), 1 << intid % VCPUS, size=1)
        self.gicd(ICFGR[2], 0xAA8A8A2A)
        for virq, pirq in TIED.items():
            self.both(op.HwConnect(virq, pirq))
        self.gicd(ISENABLER[1], 0xFFF)

    def both(self, operation: Any) -> Any:
        self.history.append(operation)
        automatic = self.automatic.do(operation).value
        by_hand = self.hand.apply(operation)
        outputs = self.automatic.domain.outputs, self.hand.bench.domain.outputs
        assert automatic == by_hand, self.history[-20:]
        assert outputs[0] == outputs[1], self.history[-20:]
        return automatic

    def gicd(self, offset: int, value: int, *, vcpu: int = 0, size: int = 4) -> None:
        self.both(op.Write(vcpu, op.Space.GICD, offset, size, value))

    def prioritise(self, intid: int, vcpu: int = 0) -> None:
        """Give an interrupt a priority that no other of the same vCPU has; vCPUs' SGIs may share theirs."""
        if intid in SGIS and vcpu:
            priority = self.given[intid, 0]
        else:
            priority = self.priorities.pop(0)
            old = self.given.get((intid, vcpu))
            if old is not None:
                self.priorities.append(old)
        self.given[intid, vcpu] = priority
        self.gicd(IPRIORITYR.byte(intid), priority, vcpu=vcpu, size=1)

    def step(self) -> None:
        random = self.random
        vcpu, intid = random.randrange(VCPUS), random.choice(SPIS)
        word, banked = 1 << intid - 32, 1 << random.randrange(16)
        match random.randrange(16):
            case 0 | 1 | 2 if intid in TIED:
                self.both(op.PhysLine(TIED[intid], random.randrange(2)))
            case 0 | 1 | 2:
                self.both(op.Line(intid, random.randrange(2)))
            case 3:
                self.gicd(SGIR, random.randrange(4) << 24 | random.randrange(8) << 16 | random.randrange(4), vcpu=vcpu)
            case 4 | 5:
                self.both(op.Read(vcpu, op.Space.GICC, GICC_HPPIR, 4))
                answer = self.both(op.Read(vcpu, op.Space.GICC, GICC_IAR, 4))
                if answer & 0x3FF < 1020:
                    self.running[vcpu].append(answer)
            case 6 | 7 if self.running[vcpu]:
                self.dropped[vcpu].append(self.running[vcpu].pop())
                self.both(op.Write(vcpu, op.Space.GICC, GICC_EOIR, 4, self.dropped[vcpu][-1]))
            case 8:
                self.gicd(random.choice((ISENABLER, ICENABLER, ISPENDR, ICPENDR))[1], word, vcpu=vcpu)
            case 9:
                self.gicd(random.choice((ISENABLER, ICENABLER, ISPENDR, ICPENDR))[0], banked, vcpu=vcpu)
            case 10:
                self.gicd(ITARGETSR.byte(intid), random.randrange(1 << VCPUS), size=1, vcpu=vcpu)
            case 11:
                self.prioritise(intid)
            case 12:
                for offset in (ISPENDR[0], ISPENDR[1], ISACTIVER[0], ISACTIVER[1], CPENDSGIR[0]):
                    self.both(op.Read(vcpu, op.Space.GICD, offset, 4))
            case 13 if random.random() < 0.3:
                self.gicd(CTLR, random.randrange(2), vcpu=vcpu)
            case 14:
                rare = random.choice((ISACTIVER[1], ICACTIVER[1], IGROUPR[1], ICFGR[2], SPENDSGIR[0], CPENDSGIR[0]))
                self.gicd(rare, random.getrandbits(32) & random.getrandbits(32), vcpu=vcpu)
            case 15 if random.random() < 0.3:
                self.both(op.Write(vcpu, op.Space.GICC, GICC_PMR, 4, random.choice((0xF8, 0x80, 0x40))))
            case 15 if random.random() < 0.3:
                self.both(op.Write(vcpu, op.Space.GICC, GICC_CTLR, 4, random.choice((0x1, 0x7, 0x207, 0x201, 0xB))))
            case 15 if self.dropped[vcpu]:
                place = random.randrange(len(self.dropped[vcpu]))
                self.both(op.Write(vcpu, op.Space.GICC, GICC_DIR, 4, self.dropped[vcpu].pop(place)))


def compare(variant: str, lrs: int, seeds: range) -> None:
    for seed in seeds:
        pair = Pair(variant, lrs, seed)
        for _ in range(300):
            pair.step()


@pytest.mark.parametrize("lrs", [1, 2, 4])
@pytest.mark.parametrize("variant", ["xen", "correct"])
def test_doing_it_by_hand_gives_the_same_answers(variant: str, lrs: int) -> None:
    compare(variant, lrs, range(3))


@pytest.mark.long
@pytest.mark.parametrize("lrs", [1, 2, 4, 16])
@pytest.mark.parametrize("variant", ["xen", "correct"])
def test_doing_it_by_hand_for_long_gives_the_same_answers(variant: str, lrs: int) -> None:
    compare(variant, lrs, range(3, 43))
