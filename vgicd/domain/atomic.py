"""Many operations as one: all of them are applied, in order, or none.

What is certain to be admitted is told apart cheaply and applied at once; anything else is applied on trial, with the
state saved before.  A refusal is therefore always the one that `Domain.apply` itself would give.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vgicd.domain import image as state_image
from vgicd.domain import operations as op
from vgicd.domain.errors import RequestError
from vgicd.hw.gicv import GICC
from vgicd.vgic.irq import NR_PRIVATE, NR_SGIS

if TYPE_CHECKING:
    from vgicd.domain.domain import Domain

Access = op.Read | op.Write | op.Line


class Refused(Exception):
    """Operation `index` was refused for `reason`; the domain is as it was before the first."""

    def __init__(self, index: int, reason: RequestError) -> None:
        super().__init__(f"operation {index}: {reason.text}")
        self.index = index
        self.reason = reason


def apply_all(domain: Domain, operations: Sequence[Access]) -> list[op.Result]:
    """The results of `operations`, which take consecutive order numbers. Guest faults do not stop them.

    Raises Refused if `apply` would refuse one of them where it stands.
    """
    apply = domain.apply
    if domain.config.variant == "correct" and _Certainty(domain).holds(operations):
        return [apply(operation) for operation in operations]
    before = state_image.save(domain)
    order, faults = domain.order, domain.faults.copy()
    results = []
    for index, operation in enumerate(operations):
        try:
            results.append(apply(operation))
        except RequestError as error:
            state_image.restore(domain, before)
            domain.order, domain.faults = order, faults
            domain.vgic.effects.clear()
            domain.take_events()
            raise Refused(index, error) from error
    return results


class _Certainty:
    """Which operations no state that accesses and lines lead to can refuse.

    Whether a vCPU is inside the guest decides what it may access, and neither accesses nor lines change that.
    """

    def __init__(self, domain: Domain) -> None:
        vgic = domain.vgic
        outside = domain.explicit  # where the distributor is accessed from; the CPU interface: always inside
        self._vgic = vgic
        self._decode = domain.address_map.decode
        self._limits = (0, vgic.frame.size, GICC.size)
        self._ready = (
            [False] * len(vgic.vcpus),
            [vcpu.inside is not outside for vcpu in vgic.vcpus],
            [vcpu.inside for vcpu in vgic.vcpus],
        )

    def holds(self, operations: Sequence[Access]) -> bool:
        """Is the whole of `operations` certain?"""
        limits, ready, vcpus = self._limits, self._ready, len(self._vgic.vcpus)
        for operation in operations:
            if type(operation) is op.Line:
                if not self._line(operation):
                    return False
                continue
            vcpu, space, address, size = operation[:4]
            if operation[-1] or not 0 <= vcpu < vcpus or size not in (1, 2, 4, 8):  # the last field is the plane
                return False
            if space == 0:
                found = self._decode(address)
                if found is None:
                    continue  # a guest fault at most
                space, address = found
            if not 0 < space < len(limits) or not 0 <= address < limits[space] or not ready[space][vcpu]:
                return False
        return True

    def _line(self, line: op.Line) -> bool:
        vgic = self._vgic
        intid, level, vcpu, _ = line
        if level not in (0, 1):
            return False
        if NR_PRIVATE <= intid < vgic.nr_irqs:
            return vcpu == op.NO_VCPU and vgic.spis[intid - NR_PRIVATE].owner is None
        return (
            NR_SGIS <= intid < NR_PRIVATE
            and 0 <= vcpu < len(vgic.vcpus)
            and vgic.vcpus[vcpu].private[intid].owner is None
        )
