"""The bare virtual interface: any contents of its registers, any access, judged from the manual's sentences."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.property.budget import QUICK
from vgicd.hw import gicv
from vgicd.hw.gich import GICH, Gich
from vgicd.hw.gicv import GICC

STATE, PENDING, ACTIVE, HW, EOI = 3 << 28, 1 << 28, 2 << 28, 1 << 31, 1 << 19


@st.composite
def interfaces(draw: st.DrawFn) -> Gich:
    """An interface in any state that a hypervisor may leave it in: VirtualIDs are unique."""
    nr_lrs = draw(st.sampled_from((1, 2, 4, 16, 33, 64)))
    deactivated: list[int] = []
    gich = Gich(nr_lrs, deactivate=deactivated.append, eoi_compares_source=draw(st.booleans()))
    intids = draw(st.lists(st.integers(0, 47), max_size=min(nr_lrs, 6), unique=True))
    for index, intid in enumerate(intids):
        upper = draw(st.integers(0, 2**22 - 1)) << 10
        gich.write_lr(nr_lrs - 1 - index if draw(st.booleans()) and index == 0 else index, upper | intid)
    gich.write_hcr(draw(st.integers(0, 2**32 - 1)) | draw(st.sampled_from((1, 1, 1, 0))))
    gich.write_vmcr(draw(st.integers(0, 2**32 - 1)) | 0xA000_0001)
    gich.apr = draw(st.one_of(st.just(0), st.integers(0, 2**32 - 1), st.sampled_from([1 << n for n in range(32)])))
    return gich


def state(gich: Gich) -> tuple[object, ...]:
    return (gich.hcr, gich.vmcr(), gich.apr, tuple(gich.lrs))


@given(interfaces())
@QUICK
def test_maintenance_status_is_what_the_list_registers_say(gich: Gich) -> None:
    """GICH_MISR, EISR and ELRSR (IHI 0048B 5.3.4 to 5.3.7)."""
    valid = [word for word in gich.lrs if word & STATE]
    eisr = {n for n, word in enumerate(gich.lrs) if not word & STATE and not word & HW and word & EOI}
    empty = {n for n, word in enumerate(gich.lrs) if not word & STATE and (word & HW or not word & EOI)}
    assert {n for n in range(64) if gich.eisr() >> n & 1} == eisr
    assert {n for n in range(64) if gich.elrsr() >> n & 1} == empty
    group = [gich.ctlr & 1, gich.ctlr & 2]
    conditions = (
        bool(eisr),
        gich.hcr & 2 and len(valid) <= 1,
        gich.hcr & 4 and gich.hcr >> 27,
        gich.hcr & 8 and not any(word & STATE == PENDING for word in valid),
        gich.hcr & 0x10 and group[0],
        gich.hcr & 0x20 and not group[0],
        gich.hcr & 0x40 and group[1],
        gich.hcr & 0x80 and not group[1],
    )
    misr = sum(1 << bit for bit, holds in enumerate(conditions) if holds)
    assert gich.misr() == misr
    assert gich.maintenance() == bool(gich.hcr & 1 and misr)


@given(interfaces())
@QUICK
def test_acknowledge_is_announced_and_atomic(gich: Gich) -> None:
    """Lines, HPPIR, the DEBUG answer and IAR agree; acknowledging moves one LR and sets one APR bit."""
    before, lines = state(gich), gich.outputs()
    announced = GICC["GICC_IAR"].peek(gich)
    hppir = GICC["GICC_HPPIR"].read(gich)
    assert state(gich) == before, "looking changed something"
    lrs, apr = list(gich.lrs), gich.apr
    value = GICC["GICC_IAR"].read(gich)
    assert value == announced
    assert (value == gicv.SPURIOUS) == (lines == 0)
    if value >= 1020 and value in (gicv.SPURIOUS, gicv.OTHER_GROUP):
        assert state(gich) == before, "a spurious acknowledge changed something"
        return
    assert value == hppir
    (moved,) = (n for n in range(gich.nr_lrs) if gich.lrs[n] != lrs[n])
    assert (lrs[moved] & STATE, gich.lrs[moved] & STATE) == (PENDING, ACTIVE)
    assert lrs[moved] & 0x3FF == value & 0x3FF
    assert (gich.apr ^ apr).bit_count() <= 1
    assert gich.apr & -gich.apr == gich.apr ^ apr or gich.apr == apr, "the new priority is the highest running one"


@given(interfaces(), st.integers(0, 2**13 - 1), st.booleans())
@QUICK
def test_an_end_touches_at_most_one_list_register_and_one_priority(gich: Gich, value: int, matching: bool) -> None:
    """EOIR drops the highest running priority; who is deactivated is active and has that INTID (5.3 of the manual)."""
    if matching and any(word & ACTIVE for word in gich.lrs):
        value = next(word for word in gich.lrs if word & ACTIVE) & 0x1FFF
    lrs, apr, hcr = list(gich.lrs), gich.apr, gich.hcr
    GICC["GICC_EOIR"].write(gich, value)
    if value & 0x3FF >= 1020:
        assert (gich.apr, gich.lrs, gich.hcr) == (apr, lrs, hcr)
        return
    assert gich.apr == apr & (apr - 1 if apr else 0)
    moved = [n for n in range(gich.nr_lrs) if gich.lrs[n] != lrs[n]]
    assert len(moved) <= 1
    for index in moved:
        assert lrs[index] & 0x3FF == value & 0x3FF
        assert lrs[index] ^ gich.lrs[index] == ACTIVE == lrs[index] & ACTIVE
    counted = (gich.hcr >> 27) - (hcr >> 27) & 0x1F
    expected = not gich.ctlr & 0x200 and not moved and apr != 0
    assert counted == int(expected)
    assert gich.hcr & 0x07FFFFFF == hcr & 0x07FFFFFF


@given(interfaces())
@QUICK
def test_the_frames_words_rebuild_the_interface(gich: Gich) -> None:
    """What GICH's readable and writable words say is all there is."""
    twin = Gich(gich.nr_lrs, eoi_compares_source=gich.eoi_compares_source)
    for row in GICH.rows:
        if row.restore is not None:
            for offset in range(row.offset, row.offset + row.length, 4):
                row.restore(twin, offset, row.read(gich, offset))
    assert state(twin) == state(gich)
    assert twin.outputs() == gich.outputs()
    assert twin.misr() == gich.misr()
