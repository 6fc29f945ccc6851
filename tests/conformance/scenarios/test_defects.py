"""Each of Xen's defects by itself: there in variant `xen`, and gone when its number alone is switched off.

The scenarios show every defect beside the right behaviour; here the rest of `xen` stays as it is (`xen_without`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from vgicd.domain import operations as op
from vgicd.domain.errors import Code, RequestError

from .catalogue import DEFECTS, NOT_REPRODUCED
from .harness import CPENDSGIR, CTLR, EOIMODE_1, GICC_CTLR, ICACTIVER, ISPENDR, ITARGETSR, SPENDSGIR, Bench

Observed = int | bool | Code | list[int] | None


def outcome(action: Callable[[], Observed]) -> Observed:
    try:
        return action()
    except RequestError as error:
        return error.code


def loaded(bench: Bench, vcpu: int = 0) -> int:
    return bench.enter(vcpu).lrs[0]


def beyond_the_last_spi(bench: Bench) -> Observed:
    return outcome(lambda: bench.inject(96))


def sgi_sources_by_offset(bench: Bench) -> Observed:
    def action() -> int:
        bench.gicd_write(SPENDSGIR.byte(5), 0x06, size=1)
        return bench.gicd_read(CPENDSGIR[1])

    return outcome(action)


def sgi_bits_of_ispendr0(bench: Bench) -> Observed:
    bench.gicd_write(ISPENDR[0], 1)
    return bench.pending(0)


def sgi_injected_like_a_line(bench: Bench) -> Observed:
    vgic = bench.domain.vgic
    vgic.inject(vgic.vcpus[0], 8, True)
    return outcome(lambda: loaded(bench))


def sender_of_an_active_sgi(bench: Bench) -> Observed:
    bench.sgi(5, by=3, to=0x01)
    bench.enter()
    bench.iar()
    return bench.rerun().lrs[0]


def eoi_request_for_further_senders(bench: Bench) -> Observed:
    bench.sgi(5, by=1, to=0x01)
    bench.sgi(5, by=3, to=0x01)
    return loaded(bench)


def tied_edge_while_active(bench: Bench) -> Observed:
    bench.do(op.HwConnect(40, 72))
    bench.spi(40)
    bench.inject(40)
    bench.enter()
    bench.iar()
    bench.inject(40)
    return bench.rerun().lrs[0]


def disabled_while_active(bench: Bench) -> Observed:
    bench.spi(32)
    bench.inject(32)
    bench.enter()
    bench.iar()
    bench.inject(32)
    bench.disable(32)
    return bench.lr()


def target_assigned_late(bench: Bench) -> Observed:
    bench.spi(32, target=0)
    bench.inject(32)
    bench.gicd_write(ITARGETSR.byte(32), 1, size=1)
    return bench.listed()


def distributor_enabled_late(bench: Bench) -> Observed:
    bench.gicd_write(CTLR, 0)
    bench.spi(32)
    bench.inject(32)
    bench.gicd_write(CTLR, 1)
    return bench.listed()


def kick_after_migration(bench: Bench) -> Observed:
    bench.spi(32)
    bench.inject(32)
    bench.enter()
    bench.gicd_write(ITARGETSR.byte(32), 2, size=1, vcpu=1)
    bench.exit()
    return bench.kicks


def kick_when_a_level_falls(bench: Bench) -> Observed:
    bench.spi(33, level=True)
    bench.inject(33, 1)
    bench.enter()
    bench.inject(33, 0)
    return bench.kicks


def active_cleared_by_a_write(bench: Bench) -> Observed:
    bench.spi(32)
    bench.inject(32)
    bench.enter()
    bench.iar()
    bench.gicd_write(ICACTIVER[1], 1)
    return bench.active(32)


def deactivation_beyond_the_list_registers(bench: Bench) -> Observed:
    bench.enter()
    bench.gicc_write(GICC_CTLR, EOIMODE_1)
    for intid in range(32, 36):
        bench.spi(intid)
        bench.inject(intid)
        bench.rerun()
        bench.eoi(bench.iar())
    bench.spi(36)
    bench.inject(36)
    bench.rerun()
    if bench.xen:  # which never loads a fifth
        bench.do(op.LrSet(0, 3, 0x20000024))
    else:
        bench.eoi(bench.iar())
    bench.rerun()
    for intid in (36, 32, 33, 34, 35):
        bench.dir(intid)
    bench.exit()
    return [intid for intid in range(32, 37) if bench.irq(intid).active]


def woken_by_an_active_level(bench: Bench) -> Observed:
    bench.spi(33, level=True)
    bench.inject(33)
    bench.enter()
    bench.iar()
    bench.exit()
    return bench.pending_check()


def soft_pend_from_afar(bench: Bench) -> Observed:
    bench.spi(32, level=True)
    bench.gicd_write(ISPENDR[1], 1)
    bench.enter()
    bench.iar()
    bench.gicd_write(ISPENDR[1], 1, vcpu=1)
    bench.exit()
    return bench.pending(32)


def release_by_the_wrong_number(bench: Bench) -> Observed:
    bench.do(op.HwConnect(40, 72))
    bench.domain.vgic.release_all()
    held: int | None = bench.domain.vgic.physical_of(40)
    return held


def sgi_of_a_former_life(bench: Bench) -> Observed:
    bench.sgi(5, by=0, to=0x02)
    bench.do(op.VcpuPower(1, False))
    bench.do(op.VcpuPower(1, True))
    return bench.pending(5, vcpu=1)


def freed_sgi(bench: Bench) -> Observed:
    bench.do(op.VirqFree(5))
    return bool(bench.do(op.VirqReserve(5)).value)


def line_that_fell_while_disabled(bench: Bench) -> Observed:
    bench.do(op.HwConnect(40, 72))
    bench.spi(40, level=True)
    bench.do(op.PhysLine(72, 1))
    bench.do(op.HwIrq(72, 40))
    bench.disable(40)
    bench.do(op.PhysLine(72, 0))
    bench.enable(40)
    return bool(bench.irq(40).line_level)


PROBES: Final[dict[str, tuple[Callable[[Bench], Observed], Observed, Observed]]] = {
    "D1": (beyond_the_last_spi, Code.FATAL_ASSERTION, Code.BAD_INTID),
    "D2": (sgi_sources_by_offset, Code.FATAL_ASSERTION, 0x0600),
    "D3": (sgi_bits_of_ispendr0, True, False),
    "D4": (sgi_injected_like_a_line, Code.FATAL_ASSERTION, 0x10000008),
    "D5": (sender_of_an_active_sgi, 0x20000005, 0x20000C05),
    "D6": (eoi_request_for_further_senders, 0x10000405, 0x10080405),
    "D7": (tied_edge_while_active, 0xB0012028, 0xA0012028),
    "D8": (disabled_while_active, 0x30000020, 0x20000020),
    "D9": (target_assigned_late, [], [32]),
    "D10": (distributor_enabled_late, [], [32]),
    "D11": (kick_after_migration, [], [1]),
    "D12": (kick_when_a_level_falls, [], [0]),
    "D13": (active_cleared_by_a_write, True, False),
    "D14": (deactivation_beyond_the_list_registers, [36], []),
    "D15": (woken_by_an_active_level, True, False),
    "D16": (soft_pend_from_afar, False, True),
    "D18": (release_by_the_wrong_number, 72, None),
    "D19": (sgi_of_a_former_life, True, False),
    "D20": (freed_sgi, True, False),
    "D21": (line_that_fell_while_disabled, True, False),
}


def test_every_reproduced_defect_has_a_probe() -> None:
    assert set(PROBES) == set(DEFECTS) - set(NOT_REPRODUCED)


@pytest.mark.parametrize("defect", PROBES)
def test_a_defect_is_there_in_xen(defect: str) -> None:
    probe, xen, _ = PROBES[defect]
    assert probe(Bench("xen", vcpus=4)) == xen


@pytest.mark.parametrize("defect", PROBES)
def test_a_defect_is_gone_when_its_number_is_switched_off(defect: str) -> None:
    probe, _, mended = PROBES[defect]
    assert probe(Bench("xen", vcpus=4, without=(defect,))) == mended


@pytest.mark.parametrize("defect", PROBES)
def test_a_defect_outlives_the_mending_of_all_others(defect: str) -> None:
    probe, xen, _ = PROBES[defect]
    assert probe(Bench("xen", vcpus=4, without=tuple(other for other in PROBES if other != defect))) == xen


@pytest.mark.parametrize("defect", PROBES)
def test_correct_has_none_of_the_defects(defect: str) -> None:
    probe, _, mended = PROBES[defect]
    assert probe(Bench("correct", vcpus=4)) == mended
