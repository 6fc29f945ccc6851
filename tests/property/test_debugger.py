"""A debugger looks at everything, everywhere, in any state: nothing changes, and it sees what the guest would."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.property.budget import BRIEF, QUICK
from tests.property.ops import Script, answer, configs, genes, runs, snapshot
from tests.unit.gdbstub.local import LocalTarget
from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.devices.vpl011 import VPL011
from vgicd.domain.domain import Domain
from vgicd.gdbstub import memory, registers, target_xml
from vgicd.gdbstub.arch import ARCHES
from vgicd.gdbstub.layout import Window
from vgicd.gdbstub.nesting import active_interrupts
from vgicd.gdbstub.target import Refused
from vgicd.hw.gicv import GICC

SIZES = (1, 2, 4, 8)


def played(config: DomainConfig, run: list[int], *, modes: bool = True) -> Domain:
    domain = Domain(config)
    for _ in Script(config, modes=modes, restores=True).play(domain, run):
        pass
    return domain


def everything(domain: Domain) -> tuple[object, ...]:
    """Whatever looking could change: the state, its order, what is counted, and what waits to be told."""
    vgic = domain.vgic
    return (
        snapshot(domain),
        domain.order,
        dict(domain.faults),
        domain.outputs,
        list(vgic.events),
        vgic.kicked,
        [(vcpu.dirty, [irq.intid for irq in vcpu.ap_list.touched]) for vcpu in vgic.vcpus],
    )


def quiet_windows(target: LocalTarget) -> list[Window]:
    return [window for window in target.layout.windows if not window.live]


def look_at_registers(target: LocalTarget) -> None:
    numbers = [core.number for core in target.arch.registers]
    numbers += [found.number for found in registers.registers_of(target)]
    for vcpu in range(target.vcpus):
        pc = target.layout.slot(27)
        registers.core_registers(target, vcpu, pc)
        for number in numbers:
            registers.read(target, vcpu, number, pc)


def look_at_documents(target: LocalTarget) -> None:
    target_xml.target_description(target)
    target_xml.memory_map(target.layout)
    target_xml.threads(target)
    for vcpu in target.domain.vgic.vcpus:
        active_interrupts(target.domain.vgic, vcpu)


def fake_places(target: LocalTarget) -> Iterator[tuple[int, int]]:
    yield target.layout.code
    yield target.layout.irq_base, target.layout.irq_size
    for vcpu in range(target.vcpus):
        yield target.layout.stack(vcpu)


def look(target: LocalTarget, vcpu: int, address: int, length: int) -> bytes:
    """What is there; zeros for the registers that stop Xen (D2)."""
    try:
        return memory.read(target, vcpu, address, length)
    except Refused as refused:
        if target.domain.config.variant != "xen" or "Xen would stop in VGIC_ADDR_TO_INTID (D2)" not in refused.text:
            raise
        return bytes(length)


def look_around(target: LocalTarget, random: Random, *, places: int) -> None:
    """Every window and all fake memory in one piece, and `places` of each in all widths, aligned and not."""
    areas = [(window.base, window.size) for window in quiet_windows(target)]
    for base, size in [*areas, *fake_places(target)]:
        vcpu = random.randrange(target.vcpus)
        assert len(memory.read(target, vcpu, base, size)) == size
        for _ in range(places):
            address = base + random.randrange(size)
            for length in (*SIZES, random.randrange(1, 80)):
                for at in (address & -length if length in SIZES else address, address):
                    assert 0 < len(look(target, vcpu, at, length)) <= length


@BRIEF
@given(configs(), runs(), st.sampled_from(list(ARCHES)), st.randoms(use_true_random=False))
def test_looking_at_everything_changes_nothing(config: DomainConfig, run: list[int], arch: str, random: Random) -> None:
    """Above all, no read of IAR acknowledges (facts: cortex-debug 804, PyCortexMDebug 15)."""
    domain = played(config, run)
    domain.listen(0xFFFF)
    target = LocalTarget(domain, arch=arch)
    before = everything(domain)
    look_around(target, random, places=20)
    look_at_registers(target)
    look_at_documents(target)
    assert everything(domain) == before
    assert domain.take_events() == []
    assert target.applied == []


@BRIEF
@given(configs(profiles=("virt", "xen-guest")), runs(), st.randoms(use_true_random=False))
def test_a_debugger_sees_what_the_guest_reads(config: DomainConfig, run: list[int], random: Random) -> None:
    """DEBUG and GUEST agree (design 3.4): so do memory and a live read of the same register."""
    domain = played(config, run, modes=False)
    target = LocalTarget(domain)
    powered = [vcpu.id for vcpu in domain.vgic.vcpus if vcpu.powered]
    assume(powered)
    vcpu = random.choice(powered)
    frames = {"live_gicd": domain.vgic.frame, "live_gicc": GICC, "live_vpl011": VPL011}
    words = [(window, at) for window in target.layout.windows if window.live for at in range(0, window.size, 4)]
    exist = {(window, at) for window, at in words if frames[window.name].gate(at, 4, domain.vgic.nr_irqs) is not None}
    for window, at in [*random.sample(sorted(exist), 60), *random.sample(words, 20)]:
        peeked = look(target, vcpu, target.at(window.name.removeprefix("live_"), at), 4)
        if (window, at) in exist:
            assert look(target, vcpu, window.base + at, 4) == peeked
        else:
            assert peeked == bytes(4)
            with pytest.raises(Refused, match=r"no register|begins with INTID"):
                memory.read(target, vcpu, window.base + at, 4)


@pytest.mark.parametrize("variant", ["correct", "xen"])
@pytest.mark.parametrize("profile", ["virt", "xen-guest", "trace"])
def test_every_byte_reads_alike_in_every_width(variant: str, profile: str) -> None:
    """Exhaustively: each place of each window, each width, aligned and not, and nothing changes."""
    config = DomainConfig(vcpus=2, spis=32, variant=variant, profile=profile)
    domain = played(config, list(genes(7, 300)))
    target = LocalTarget(domain)
    before = everything(domain)
    for window in quiet_windows(target):
        whole = memory.read(target, 0, window.base, window.size)
        for at in range(window.size - 8):
            for length in (*SIZES, 5):
                assert look(target, 0, window.base + at, length) == whole[at : at + length]
    assert everything(domain) == before


@pytest.mark.long
@QUICK
@given(configs(), runs(size=60), st.sampled_from(list(ARCHES)), st.randoms(use_true_random=False))
def test_looking_between_operations_changes_nothing(
    config: DomainConfig, run: list[int], arch: str, random: Random
) -> None:
    domain = Domain(config)
    for step, _ in enumerate(Script(config, restores=True).play(domain, run)):
        if step % 4:
            continue
        target = LocalTarget(domain, arch=arch)
        before = everything(domain)
        look_around(target, random, places=1)
        look_at_documents(target)
        assert everything(domain) == before


def test_a_debugger_that_looks_does_not_alter_what_follows() -> None:
    """Two equal domains, one of them looked at after every operation, answer alike for ever."""
    config = DomainConfig(vcpus=2, spis=32, lrs=2)
    watched, alone = Domain(config), Domain(config)
    target, random = LocalTarget(watched), Random(3)
    script = Script(config)
    for operation, result in script.play(watched, genes(11, 150)):
        assert answer(alone, operation) == result
        for window in quiet_windows(target)[:3]:
            memory.read(target, random.randrange(2), window.base, window.size)
        look_at_documents(target)
    assert answer(alone, op.Stats()) == answer(watched, op.Stats())
    assert snapshot(alone) == snapshot(watched)
