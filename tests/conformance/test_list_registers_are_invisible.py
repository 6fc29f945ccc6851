"""What a guest sees does not depend on how many list registers its vCPUs have.

Two domains of variant `correct` get the same operations, one with 64 list registers, where nothing ever overflows, the
other with few: every acknowledge, every register and every output must be equal.  This is what underflow, EOICount's
replay, the sort and the trapped GICC_DIR are for.

Priorities are distinct (ties go to the lowest list register) and EOIs come in reverse order of acknowledgement.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from tests.conformance.scenarios.harness import (
    CPENDSGIR,
    CTLR,
    EOIMODE_1,
    GICC_CTLR,
    GICC_HPPIR,
    ICENABLER,
    ICPENDR,
    ISACTIVER,
    ISENABLER,
    ISPENDR,
    ITARGETSR,
    Bench,
)

SPIS = range(32, 48)
SGIS = range(4)
VCPUS = 2
MANY = 64


class Twins:
    """The same guest on `few` list registers and on plenty."""

    def __init__(self, seed: int, few: int, *, mode_1: bool) -> None:
        self.random = Random(seed)
        self.mode_1 = mode_1
        self.benches = [Bench("correct", vcpus=VCPUS, spis=32, lrs=lrs, automatic=True) for lrs in (MANY, few)]
        self.running: list[list[int]] = [[] for _ in range(VCPUS)]
        self.dropped: list[list[int]] = [[] for _ in range(VCPUS)]
        self.history: list[tuple[Any, ...]] = []
        self.deepest = 0
        for place, intid in enumerate(SPIS, start=len(SGIS)):
            self.both("spi", intid, priority=8 * place, level=intid % 3 == 0, target=1 << intid % VCPUS)
        for vcpu in range(VCPUS):
            for sgi in SGIS:
                self.both("private", sgi, vcpu=vcpu, priority=8 * sgi)
            if mode_1:
                self.both("gicc_write", GICC_CTLR, EOIMODE_1, vcpu=vcpu)

    def both(self, verb: str, *args: Any, **kwargs: Any) -> Any:
        """Do it on both benches; the answers and then the outputs must be equal."""
        self.history.append((verb, *args, kwargs))
        many, few = (getattr(bench, verb)(*args, **kwargs) for bench in self.benches)
        assert many == few, self.history[-30:]
        outputs = [bench.domain.outputs for bench in self.benches]
        assert outputs[0] == outputs[1], self.history[-30:]
        return many

    def step(self) -> None:
        random = self.random
        vcpu, intid = random.randrange(VCPUS), random.choice(SPIS)
        word = 1 << intid - 32
        match random.randrange(15):
            case 0 | 1 | 2 | 8:
                self.both("inject", intid, random.randrange(2))
            case 3:
                self.both("sgi", random.choice(SGIS), by=vcpu, to=random.randrange(1 << VCPUS))
            case 4 | 5 | 6:
                self.both("gicc_read", GICC_HPPIR, vcpu=vcpu)
                answer = self.both("iar", vcpu)
                if answer & 0x3FF < 1020:
                    self.running[vcpu].append(answer)
                    self.deepest = max(self.deepest, len(self.running[vcpu]) + len(self.dropped[vcpu]))
            case 7 if self.running[vcpu]:
                answer = self.running[vcpu].pop()
                self.both("eoi", answer, vcpu)
                if self.mode_1:
                    self.dropped[vcpu].append(answer)
            case 9 if self.dropped[vcpu]:
                self.both("dir", self.dropped[vcpu].pop(random.randrange(len(self.dropped[vcpu]))), vcpu)
            case 10:
                self.both("gicd_write", random.choice((ISENABLER, ICENABLER))[1], word, vcpu=vcpu)
            case 11:
                self.both("gicd_write", random.choice((ISPENDR, ICPENDR))[1], word, vcpu=vcpu)
            case 12:
                self.both("gicd_write", ITARGETSR.byte(intid), random.randrange(1 << VCPUS), size=1, vcpu=vcpu)
            case 13:
                for offset in (ISPENDR[0], ISPENDR[1], ISACTIVER[0], ISACTIVER[1], CPENDSGIR[0]):
                    self.both("gicd_read", offset, vcpu=vcpu)
            case 14 if random.random() < 0.2:
                self.both("gicd_write", CTLR, 0, vcpu=vcpu)
                self.both("gicd_write", CTLR, 1, vcpu=vcpu)


modes = pytest.mark.parametrize("mode_1", [False, True], ids=["eoimode0", "eoimode1"])


def compare(few: int, mode_1: bool, seeds: range) -> int:
    """How deep handlers were nested at most."""
    deepest = 0
    for seed in seeds:
        twins = Twins(seed, few, mode_1=mode_1)
        for _ in range(500):
            twins.step()
        deepest = max(deepest, twins.deepest)
    return deepest


@modes
@pytest.mark.parametrize("few", [1, 2, 3, 4])
def test_the_guest_cannot_count_its_list_registers(few: int, mode_1: bool) -> None:
    assert compare(few, mode_1, range(8)) > min(few, 3), "nothing overflowed"


@pytest.mark.long
@modes
@pytest.mark.parametrize("few", [1, 2, 3, 4])
def test_the_guest_cannot_count_its_list_registers_for_long(few: int, mode_1: bool) -> None:
    assert compare(few, mode_1, range(8, 108)) > few, "nothing overflowed"
