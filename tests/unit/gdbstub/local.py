"""A target without a server: the domain of one test, and nobody else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain
from vgicd.gdbstub.arch import choose
from vgicd.gdbstub.layout import Window
from vgicd.gdbstub.target import ClientInfo, Target, Watcher
from vgicd_protocol.frames import Role

GICD, GICC, GICH = op.Space.GICD, op.Space.GICC, op.Space.GICH


class LocalTarget(Target):
    """`domain` as gdb#1 sees it; every operation that it applies is in `applied`."""

    def __init__(
        self,
        domain: Domain | None = None,
        *,
        arch: str = "x86-64",
        role: Role = Role.CONTROL,
        names: Mapping[int, str] | None = None,
    ) -> None:
        found = domain if domain is not None else Domain(DomainConfig(vcpus=2, spis=64))
        super().__init__(found, choose(arch), role, "gdb#1", "test", "0", names or {})
        self.applied: list[Any] = []

    def apply(self, operation: Any) -> op.Result:
        self.applied.append(operation)
        return super().apply(operation)

    def spread(self, outputs: int) -> None:
        pass

    def publish(self) -> None:
        pass

    def watch(self, watcher: Watcher) -> None:
        pass

    def hold(self, mask: int) -> None:
        pass

    def holders(self) -> Sequence[str]:
        return ()

    def clients(self) -> Sequence[ClientInfo]:
        return ()

    def window(self, name: str) -> Window:
        return next(window for window in self.layout.windows if window.name == name)

    def at(self, name: str, offset: int = 0) -> int:
        """The address of `offset` in the window `name`."""
        return self.window(name).base + offset


def bring_up(domain: Domain, *, eoi_mode: int = 0) -> None:
    """As a guest does: everything enabled and let through."""
    domain.apply(op.Write(0, GICD, 0x000, 4, 1))
    for vcpu in range(len(domain.vgic.vcpus)):
        domain.apply(op.Write(vcpu, GICC, 0x00, 4, 1 | eoi_mode << 9))
        domain.apply(op.Write(vcpu, GICC, 0x04, 4, 0xF8))
        domain.apply(op.Write(vcpu, GICD, 0x100, 4, 0xFFFFFFFF))
    for word in range(1, domain.vgic.nr_irqs // 32):
        domain.apply(op.Write(0, GICD, 0x100 + 4 * word, 4, 0xFFFFFFFF))


def take(domain: Domain, intid: int, priority: int, vcpu: int = 0) -> int:
    """Give `intid` that priority, raise it and have `vcpu` acknowledge; what IAR answered."""
    domain.apply(op.Write(vcpu, GICD, 0x400 + intid, 1, priority))
    if intid >= 32:
        domain.apply(op.Write(vcpu, GICD, 0x800 + intid, 1, 1 << vcpu))
    domain.apply(op.Line(intid, 1, vcpu if intid < 32 else op.NO_VCPU))
    return int(domain.apply(op.Read(vcpu, GICC, 0x0C, 4)).value)


def snapshot(domain: Domain) -> dict[str, tuple[int, ...]]:
    image: dict[str, tuple[int, ...]] = domain.apply(op.Snapshot()).value
    return image
