"""What the VGIC prints about itself: Xen's list of queued interrupts, and the table of KVM's vgic-state (spec 6.7)."""

from __future__ import annotations

from collections.abc import Iterator

from vgicd.vgic.irq import NR_PRIVATE, VgicIrq
from vgicd.vgic.vgic import Vgic


def xen_dump(vgic: Vgic) -> str:
    """For each vCPU with a non-empty ap_list: a header, and a line per interrupt in list order."""
    lines: list[str] = []
    for vcpu in vgic.vcpus:
        if vcpu.ap_list.irqs:
            lines.append(f"vCPU {vcpu.id}: active or pending interrupts are queued:")
            lines.extend(map(_xen_line, vcpu.ap_list.irqs))
    return "".join(f"{line}\n" for line in lines)


def _xen_line(irq: VgicIrq) -> str:
    def state(on: bool, word: str) -> str:
        return word if on else f"not {word}"

    kind = "hardware" if irq.hw else "virtual"
    trigger = "level" if irq.is_level else "edge"
    states = (state(irq.pending, "pending"), state(irq.active, "active"), state(irq.enabled, "enabled"))
    return f"   {kind} {trigger} irq {irq.intid}: {', '.join(states)}"


def vgic_state(vgic: Vgic) -> str:
    """Every interrupt, a row each: first each vCPU's private ones, then the SPIs."""
    return "".join(f"{line}\n" for line in _state_lines(vgic))


def _state_lines(vgic: Vgic) -> Iterator[str]:
    yield "Distributor"
    yield "==========="
    yield "vgic_model:\tGICv2"
    yield f"nr_spis:\t{vgic.nr_spis}"
    yield f"enabled:\t{int(vgic.enabled)}"
    yield ""
    yield "P=pending_latch L=line_level A=active E=enabled H=hw C=config (1 level, 0 edge) G=group"
    for vcpu in vgic.vcpus:
        yield from _header(f"VCPU {vcpu.id}")
        for irq in vcpu.private:
            yield _state_row(irq)
    yield from _header("SPI")
    for irq in vgic.spis:
        yield _state_row(irq)


def _header(title: str) -> Iterator[str]:
    line = f"{title:<7}TYP   ID TGT_ID PLAEHCG     HWID   TARGET SRC PRI VCPU_ID"
    yield ""
    yield line
    yield "-" * len(line)


def _state_row(irq: VgicIrq) -> str:
    kind = "SGI" if irq.is_sgi else "PPI" if irq.intid < NR_PRIVATE else "SPI"
    flags = "".join(
        str(int(flag))
        for flag in (
            irq.pending_latch,
            irq.line_level,
            irq.active,
            irq.enabled,
            irq.hw,
            irq.is_level,
            irq.group,
        )
    )
    target = irq.target_vcpu.id if irq.target_vcpu is not None else -1
    listed = irq.vcpu.id if irq.vcpu is not None else -1
    return (
        f"{'':7}{kind} {irq.intid:4} {target:6} {flags} {irq.hwintid:8} {irq.targets:8x}"
        f" {irq.source:3x} {irq.priority:3} {listed:7}"
    )
