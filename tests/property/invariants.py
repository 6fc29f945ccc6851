"""What must hold after every operation, stated without the domain's own help.

Everything is recomputed from the interrupts, the ap_lists and the list registers; nothing here calls the code that
it judges.  I1 to I4 are those of the VGIC's locks (spec 1.8).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from vgicd.domain import operations as op
from vgicd.domain.domain import Domain
from vgicd.vgic.irq import VgicIrq
from vgicd.vgic.vcpu import Vcpu

SPURIOUS: Final = 1023
OTHER_GROUP: Final = 1022
STATE, PENDING, ACTIVE = 3 << 28, 1 << 28, 2 << 28
HW, GROUP1, EOI = 1 << 31, 1 << 30, 1 << 19
IDLE: Final = 0x100


class Effective(NamedTuple):
    """One interrupt as the guest finds it: its own state with that of a list register laid over it."""

    irq: VgicIrq
    pending: bool
    active: bool


def every_irq(domain: Domain) -> Iterator[VgicIrq]:
    for vcpu in domain.vgic.vcpus:
        yield from vcpu.private
    yield from domain.vgic.spis


def check_structure(domain: Domain) -> None:
    """I1, I3, I4, and the shape of the list registers, in any mode and variant."""
    vgic = domain.vgic
    listed: dict[int, Vcpu] = {}
    for vcpu in vgic.vcpus:
        for irq in vcpu.ap_list.irqs:
            assert id(irq) not in listed, f"I1: {irq} is listed twice"
            assert irq.vcpu is vcpu, f"I1: {irq} is on the list of {vcpu} and names {irq.vcpu}"
            assert irq.intid >= 32 or vcpu.private[irq.intid] is irq, f"{irq} is private to another than {vcpu}"
            listed[id(irq)] = vcpu
    for irq in every_irq(domain):
        assert (irq.vcpu is not None) == (id(irq) in listed), f"I1: {irq} names {irq.vcpu} without being listed there"

    for vcpu in vgic.vcpus:
        gich = vcpu.gich
        assert len(gich.lrs) == domain.config.lrs
        assert 0 <= vcpu.used_lrs <= len(gich.lrs)
        assert gich.pmr & ~0xF8 == 0
        assert gich.bpr in range(2, 8)
        assert gich.abpr in range(3, 8)
        seen: set[int] = set()
        for index, word in enumerate(gich.lrs):
            if not word & STATE:
                continue
            intid = word & 0x3FF
            assert intid not in seen, f"I4: INTID {intid} is in two list registers of {vcpu}"
            seen.add(intid)
            assert index < vcpu.used_lrs, f"LR{index} of {vcpu} is in use behind the {vcpu.used_lrs} that were filled"
            irq = vgic.lookup(vcpu, intid)
            assert irq is not None, f"LR{index} of {vcpu} holds INTID {intid}, which the domain has not"
            assert irq.vcpu is vcpu, f"I3: {irq} is in LR{index} of {vcpu} and listed on {irq.vcpu}"


def check_software_list_registers(domain: Domain) -> None:
    """`correct`: what it puts into list registers is legal and true, as long as nobody else writes them."""
    for vcpu in domain.vgic.vcpus:
        if vcpu.gich.hcr >> 27:  # EOICount
            loaded = {word & 0x3FF for word in vcpu.gich.lrs[: vcpu.used_lrs]}
            waiting = [irq for irq in vcpu.ap_list.irqs if irq.active and irq.intid not in loaded]
            assert not waiting, f"{vcpu} has ended interrupts that are in no list register: {waiting}"
        for index, word in enumerate(vcpu.gich.lrs):
            if not word & STATE:
                continue
            irq = domain.vgic.lookup(vcpu, word & 0x3FF)
            assert irq is not None
            where = f"LR{index} of {vcpu} = {word:#010x} for {irq}"
            assert word >> 20 & 0xF8 == irq.priority, f"a stale priority: {where}"
            assert word >> 30 & 1 == irq.group, f"a stale group: {where}"
            if word & STATE == PENDING:
                assert irq.enabled, f"a disabled interrupt is pending: {where}"
                assert domain.vgic.enabled, f"pending while the distributor is disabled: {where}"
            if word & HW:
                assert word & STATE != STATE, f"pending and active with HW=1: {where}"
                assert irq.hw, where
                assert word >> 10 & 0x3FF == irq.hwintid, where
            elif irq.is_level and irq.intid >= 16:
                assert word & STATE != STATE, f"a level interrupt pending and active: {where}"


def effective(domain: Domain, vcpu: Vcpu) -> list[Effective]:
    """The private interrupts of `vcpu` and every SPI, as they are now.

    What the hypervisor would do at an exit besides reading the list registers (sampling a physical line, replaying
    counted EOIs) is not in it: callers leave such states out.
    """
    loaded: dict[int, int] = {}
    for owner in domain.vgic.vcpus:
        for word in owner.gich.lrs[: owner.used_lrs]:
            intid = word & 0x3FF
            if intid >= 32 or owner is vcpu:
                # A list register that became invalid says "not active", too.
                loaded[intid] = word | (loaded.get(intid, 0) & STATE)
    answer = []
    for irq in (*vcpu.private, *domain.vgic.spis):
        word = loaded.get(irq.intid)
        pending = irq.pending_latch or (irq.is_level and irq.line_level)
        if word is None:
            answer.append(Effective(irq, pending, irq.active))
        elif irq.is_level:
            # An unacknowledged instance is the line's or the latch's; acknowledged, the latch is used up.
            answer.append(Effective(irq, pending or bool(word & PENDING), bool(word & ACTIVE)))
        else:
            answer.append(Effective(irq, pending or bool(word & PENDING), bool(word & ACTIVE)))
    return answer


def destination(domain: Domain, irq: VgicIrq, vcpu: Vcpu) -> int:
    """The vCPU that `irq` of `vcpu`'s view goes to; -1 if none."""
    if irq.intid < 32:
        return vcpu.id
    if irq.targets:
        return (irq.targets & -irq.targets).bit_length() - 1
    return 0 if len(domain.vgic.vcpus) == 1 else -1


class Signal(NamedTuple):
    """What `vcpu`'s CPU interface must do now: its two lines (-1: either), and what IAR and HPPIR may answer."""

    outputs: int
    iar: frozenset[int]
    hppir: frozenset[int]


def brute_force_signal(domain: Domain, vcpu: Vcpu) -> Signal:
    """Priority, groups, masking and preemption from nothing but the interrupts' state (IHI 0048B 2.3, 3.3)."""
    gich = vcpu.gich
    if not domain.vgic.enabled or not vcpu.powered:
        waiting = []
    else:
        waiting = [
            item.irq
            for item in effective(domain, vcpu)
            if item.pending
            and not item.active
            and item.irq.enabled
            and destination(domain, item.irq, vcpu) == vcpu.id
            and gich.ctlr >> item.irq.group & 1
        ]
    if not waiting:
        return Signal(0, frozenset({SPURIOUS}), frozenset({SPURIOUS}))
    best = min(irq.priority for irq in waiting)
    ties = [irq for irq in waiting if irq.priority == best]
    running = ((gich.apr & -gich.apr).bit_length() - 1) * 8 if gich.apr else IDLE
    outputs, answers, highest = set(), set(), set()
    for irq in ties:
        highest.add(OTHER_GROUP if irq.group and not gich.ctlr & 4 else irq.intid)
        common = irq.group == 0 or bool(gich.ctlr & 0x10)
        group_priority = best & (0xFF << (gich.bpr + 1) if common else 0xFF << gich.abpr) & 0xFF
        if best >= gich.pmr or group_priority >= running:
            outputs.add(0)
            answers.add(SPURIOUS)
            continue
        outputs.add(2 if gich.ctlr & 8 and not irq.group else 1)
        answers.add(OTHER_GROUP if irq.group and not gich.ctlr & 4 else irq.intid)
    # Ties between groups may be broken either way; which way shows in the output, so both must be allowed there.
    return Signal(min(outputs) if len(outputs) == 1 else -1, frozenset(answers), frozenset(highest))


def check_signals(domain: Domain) -> None:
    """`correct`, automatic: every output and every IAR answer is what brute force makes of the interrupts' state."""
    for vcpu in domain.vgic.vcpus:
        if not vcpu.powered or not vcpu.inside:
            assert domain.outputs >> 2 * vcpu.id & 3 == 0, f"{vcpu} is not in the guest and signals"
            continue
        wanted = brute_force_signal(domain, vcpu)
        lines = domain.outputs >> 2 * vcpu.id & 3
        assert wanted.outputs in (-1, lines), f"{vcpu} signals {lines}, should {wanted}"
        iar = domain.apply(op.Read(vcpu.id, op.Space.GICC, 0xC, 4, op.Plane.DEBUG)).value
        assert iar & 0x3FF in wanted.iar, f"IAR of {vcpu} would answer {iar:#x}, should be among {wanted.iar}"
        hppir = domain.apply(op.Read(vcpu.id, op.Space.GICC, 0x18, 4, op.Plane.DEBUG)).value
        assert hppir & 0x3FF in wanted.hppir, f"HPPIR of {vcpu} answers {hppir:#x}, should be among {wanted.hppir}"
        assert iar & 0x3FF >= 1020 or hppir == iar, f"HPPIR of {vcpu} answers {hppir:#x} before IAR {iar:#x}"


def ended(irq: VgicIrq, holder: Vcpu) -> bool:
    """Whether `irq` is in a list register of `holder` that its guest has made invalid."""
    return any(word & 0x3FF == irq.intid and not word & STATE for word in holder.gich.lrs[: holder.used_lrs])


def check_nothing_is_forgotten(domain: Domain) -> None:
    """`correct`, automatic: an interrupt is listed exactly where it is wanted (D9, D10, D11, D12, T41b).

    Active: somewhere.  Pending, enabled and with a destination, while the distributor is enabled: there.  Else
    nowhere, unless the guest has just ended it in its list register, which asks for no exit by itself.
    """
    for vcpu in domain.vgic.vcpus:
        for irq, pending, active in effective(domain, vcpu):
            if irq.intid >= 32 and vcpu.id:
                continue
            if active:
                assert irq.vcpu is not None or destination(domain, irq, vcpu) < 0, f"active {irq} is on no list"
                continue
            to = destination(domain, irq, vcpu)
            wanted = to if pending and irq.enabled and domain.vgic.enabled else -1
            got = irq.vcpu.id if irq.vcpu is not None else -1
            if wanted < 0 and irq.vcpu is not None and ended(irq, irq.vcpu):
                continue
            assert got == wanted, f"{irq} is listed on {got}, wanted on {wanted}"


def check_live_registers(domain: Domain) -> None:
    """`correct`, automatic: ISPENDR, ISACTIVER and SPENDSGIR show through the list registers what is there now.

    Left out is what a read itself would find out first: the physical line of a tied interrupt (F19), the lines of the
    domain's own devices, and EOIs that the hardware has counted.
    """
    if any(vcpu.gich.hcr >> 27 for vcpu in domain.vgic.vcpus):
        return
    for vcpu in domain.vgic.vcpus:
        if not vcpu.powered:
            continue
        pending, active, known = {}, {}, {}
        for item in effective(domain, vcpu):
            word, bit = divmod(item.irq.intid, 32)
            pending[word] = pending.get(word, 0) | item.pending << bit
            active[word] = active.get(word, 0) | item.active << bit
            known[word] = known.get(word, 0) | (not item.irq.hw and item.irq.owner is None) << bit
        for word, mask in known.items():
            shown = _peek(domain, vcpu, 0x300 + 4 * word)
            assert shown == active[word], f"ISACTIVER{word} of {vcpu} shows {shown:#010x}, is {active[word]:#010x}"
            shown = _peek(domain, vcpu, 0x200 + 4 * word) & mask
            wanted = pending[word] & mask
            assert shown == wanted, f"ISPENDR{word} of {vcpu} shows {shown:#010x}, is {wanted:#010x}"
        for word in range(4):
            sources = [irq.source for irq in vcpu.private[4 * word : 4 * word + 4]]
            for loaded in vcpu.gich.lrs[: vcpu.used_lrs]:
                if loaded & PENDING and loaded & 0x3FF in range(4 * word, 4 * word + 4):
                    sources[loaded & 3] |= 1 << (loaded >> 10 & 7)
            wanted = int.from_bytes(bytes(sources), "little")
            shown = _peek(domain, vcpu, 0xF20 + 4 * word)
            assert shown == wanted, f"SPENDSGIR{word} of {vcpu} shows {shown:#010x}, is {wanted:#010x}"


def _peek(domain: Domain, vcpu: Vcpu, offset: int) -> int:
    value: int = domain.apply(op.Read(vcpu.id, op.Space.GICD, offset, 4, op.Plane.DEBUG)).value
    return value
