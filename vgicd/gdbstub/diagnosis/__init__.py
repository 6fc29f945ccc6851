"""Diagnosis: what holds an interrupt back, step by step on its way, and the access that mends each cause.

A diagnosis looks at the domain and changes nothing.  Its findings are in the order in which an interrupt meets them:
its source, the distributor, the ap_list, a list register, the CPU interface.  Their mending, applied in that order,
brings the interrupt to the guest, which tests hold it to for every cause; what is said to people comes from the same
operations.  Beyond the vIRQ line it knows nothing: the guest's PSTATE and its emulator are not ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from textwrap import wrap
from typing import Final, NamedTuple

from vgicd.domain import operations as op
from vgicd.domain.domain import Domain
from vgicd.gdbstub import text
from vgicd.gdbstub.diagnosis import delivery, distributor, source
from vgicd.gdbstub.diagnosis.case import Case, Finding, make_case
from vgicd.gdbstub.diagnosis.mending import commands, selected_after
from vgicd.hw.gicv import FIRST_SPECIAL, OTHER_GROUP, SPURIOUS
from vgicd.vgic.irq import NR_PRIVATE, VgicIrq

__all__ = ["Diagnosis", "Finding", "Unknown", "diagnose", "explain"]

_STEPS: Final = (
    source.power,
    source.source,
    distributor.enable,
    distributor.distributor,
    distributor.target,
    distributor.priority,
    delivery.world,
    delivery.active,
    distributor.queue,
    delivery.list_register,
    delivery.virtual_interface,
    delivery.group_enable,
    delivery.priority_mask,
    delivery.running_priority,
    delivery.ahead,
    delivery.acknowledge,
)
_MARGIN: Final = 20
_IRQ: Final = re.compile(r"\birq(\d+)\b")


class Unknown(ValueError):
    """There is no such interrupt, or no such vCPU; the sentence says which there are."""


class Diagnosis(NamedTuple):
    """What stands between interrupt `intid` and `vcpu`. `delivered`: nothing does, and GICC_IAR answers it now."""

    intid: int
    vcpu: int
    delivered: bool
    findings: tuple[Finding, ...]

    @property
    def causes(self) -> tuple[Finding, ...]:
        """The findings that hold it back."""
        return tuple(found for found in self.findings if not found.ok)

    @property
    def mend(self) -> tuple[object, ...]:
        """All operations that bring it to the guest, in order."""
        return tuple(chain.from_iterable(found.mend for found in self.findings))


def diagnose(domain: Domain, intid: int, vcpu: int | None = None) -> Diagnosis:
    """Why does `vcpu` not get interrupt `intid`?

    `vcpu` None is the one an SPI goes to, or vCPU 0.  Raises Unknown.
    """
    irq = _irq(domain, intid, vcpu)
    vcpus = domain.vgic.vcpus
    if vcpu is None:
        chosen = vcpus[0] if intid < NR_PRIVATE else irq.target_vcpu or irq.vcpu or vcpus[0]
    else:
        chosen = vcpus[vcpu]
    case = make_case(domain, irq, chosen)
    signalled = delivery.signal(case)
    if signalled is not None:
        return Diagnosis(intid, chosen.id, True, (signalled,))
    return Diagnosis(intid, chosen.id, False, tuple(_findings(case)))


def _findings(case: Case) -> Iterator[Finding]:
    for step in _STEPS:
        found = step(case)
        if found is not None:
            yield found


def _irq(domain: Domain, intid: int, vcpu: int | None) -> VgicIrq:
    vgic = domain.vgic
    if vcpu is not None and not 0 <= vcpu < len(vgic.vcpus):
        raise Unknown(f"vCPU {vcpu} does not exist: the domain has {len(vgic.vcpus)}, from 0.")
    if intid == SPURIOUS:
        raise Unknown("1023 is no interrupt: it is what GICC_IAR answers when none is signalled.")
    if intid == OTHER_GROUP:
        raise Unknown("1022 is no interrupt: GICC_IAR answers it when one of group 1 is signalled; read GICC_AIAR.")
    if not 0 <= intid < min(vgic.nr_irqs, FIRST_SPECIAL):
        raise Unknown(
            f"INTID {intid} does not exist: the domain has 0 to {vgic.nr_irqs - 1}; "
            "`vgicd serve --spis` or `domain.spis` in the configuration gives it more."
        )
    return vgic.vcpus[vcpu or 0].private[intid] if intid < NR_PRIVATE else vgic.spis[intid - NR_PRIVATE]


# --- in words -------------------------------------------------------------------------------------------------------


def explain(
    domain: Domain,
    intid: int,
    vcpu: int | None = None,
    *,
    names: Mapping[int, str] | None = None,
    selected: int | None = None,
) -> list[str]:
    """A diagnosis as lines for people, with the gdb commands that mend each cause.

    `selected` is the vCPU whose thread is selected in gdb (None: the one asked about).  Raises Unknown.
    """
    found = diagnose(domain, intid, vcpu)
    name = text.irq_name(intid, names or {})
    if found.delivered:
        return _delivered(name, _named(found.findings[0], names or {}), found.vcpu)
    causes = len(found.causes)
    lines = _handled(domain, intid, found.vcpu, name)
    who = "The next one" if lines else name
    if causes:
        things = "one thing holds" if causes == 1 else f"{causes} things hold"
        lines.append(f"{who} is not signalled to vCPU {found.vcpu}: {things} it back.")
    else:
        lines.append(f"{who} is not signalled to vCPU {found.vcpu}, yet every step lets it pass: please report this.")
    current = found.vcpu if selected is None else selected
    for finding in found.findings:
        lines += _lines(domain, _named(finding, names or {}), current)
        current = selected_after(domain, finding.mend, current)
    return lines


def _handled(domain: Domain, intid: int, vcpu: int, name: str) -> list[str]:
    """Where it is active, if it is: what follows is about the next one then."""
    state = domain.queries.irq_info(op.IrqInfo(intid, vcpu if intid < NR_PRIVATE else op.NO_VCPU))
    if not state.active:
        return []
    where = f"on vCPU {state.listed}" if state.listed >= 0 else "on no vCPU's list"
    return [f"{name} is being handled: active {where}, in {f'LR{state.lr}' if state.lr >= 0 else 'no list register'}."]


def _delivered(name: str, finding: Finding, vcpu: int) -> list[str]:
    return [
        f"{name} is signalled to vCPU {vcpu}: {finding.text}.",
        "What is left is the guest's: PSTATE.I or PSTATE.F masks it, or the guest does not run.",
    ]


def _named(finding: Finding, names: Mapping[int, str]) -> Finding:
    """`finding` with the aliases of the interrupts that it mentions."""

    def alias(match: re.Match[str]) -> str:
        return text.irq_name(int(match[1]), names)

    return finding._replace(text=_IRQ.sub(alias, finding.text), hint=_IRQ.sub(alias, finding.hint))


def _lines(domain: Domain, finding: Finding, selected: int) -> Iterator[str]:
    mark = "ok" if finding.ok else "NO"
    indent = " " * _MARGIN
    first = f"  {mark}  {finding.step}".ljust(_MARGIN)
    yield from wrap(finding.text, text.WIDTH, initial_indent=first, subsequent_indent=indent)
    for command in commands(domain, finding.mend, selected):
        yield f"{indent}> {command}"
    if finding.hint:
        yield from wrap(finding.hint, text.WIDTH, initial_indent=indent, subsequent_indent=indent)
