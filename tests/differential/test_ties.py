"""Equal priorities: which interrupt comes first is implementation defined (IHI 0048B 3.3), all else is not.

The random comparison avoids ties; here everything pending is one.  Both systems signal as long as one is left, take
every interrupt exactly once, and let none preempt another.
"""

from __future__ import annotations

from random import Random

import pytest

from tests.differential.both import Both, Pair

SPURIOUS = 1023
SPIS = (33, 40, 41, 47, 63, 64, 95)
SGIS = (0, 5, 15)


@pytest.mark.parametrize("seed", range(6))
def test_every_one_of_a_tie_is_taken_once(single: Both, seed: int) -> None:
    rng = Random(seed)
    intids = [*rng.sample(SPIS, 6), *SGIS]
    rng.shuffle(intids)
    for intid in intids:
        single.write("GICD", 0xC00 + intid // 16 * 4, 0xAAAAAAAA)
        single.write("GICD", 0x400 + intid, 0xA0, 1)
        single.write("GICD", 0x100 + intid // 32 * 4, 1 << intid % 32)
    for intid in intids:
        if intid in SGIS:
            single.write("GICD", 0xF00, 2 << 24 | intid)
        else:
            single.line(intid, 1)
        assert single.outputs == Pair(1, 1)
    taken = []
    while single.outputs == Pair(1, 1):
        taken.append(single.read("GICC", 0x0C))
        assert single.outputs == Pair(0, 0), "an equal priority does not preempt"
        assert single.read("GICC", 0x0C) == Pair(SPURIOUS, SPURIOUS)
        single.write_each("GICC", 0x10, taken[-1])
    assert single.outputs == Pair(0, 0)
    assert sorted(pair.vgicd for pair in taken) == sorted(intids)
    assert sorted(pair.qemu for pair in taken) == sorted(intids)
    assert [pair.vgicd for pair in taken] == intids, "vgicd: in the order of their arrival"


def test_list_registers_of_a_tie_go_in_their_order(virtual: Both) -> None:
    """The bare hardware decides a tie by the list register's number, as QEMU's does."""
    for index, intid in enumerate((47, 40, 63, 33)):
        virtual.write("GICH", 0x100 + 4 * index, 1 << 28 | 0xA0 >> 3 << 23 | intid)
    for intid in (47, 40, 63, 33):
        assert virtual.outputs == Pair(1, 1)
        assert virtual.read("GICC", 0x0C) == Pair(intid, intid)
        assert virtual.read("GICC", 0x0C) == Pair(SPURIOUS, SPURIOUS)
        virtual.write("GICC", 0x10, intid)
    assert virtual.outputs == Pair(0, 0)
