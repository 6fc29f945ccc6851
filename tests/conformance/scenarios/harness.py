"""A bench: one domain, and verbs that read like the specification's scenarios.

Set up as section 9 has it: the distributor and every vCPU's group 0 enabled, priority mask 0xF8, EOImode 0, all vCPUs
outside the guest and the world switch in the test's hand (profile `trace`).  `automatic=True` leaves the world switch
to the domain, which is what a guest sees.  The invariants are checked after every operation.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import pytest

from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain
from vgicd.domain.errors import Code, CreationError, RequestError
from vgicd.hw.effects import Effect, EffectKind

Value = TypeVar("Value")

EINVAL: Final = -22
EBUSY: Final = -16
SPURIOUS: Final = 0x3FF


class Words:
    """The words of a register block: `ISENABLER[1]` is the offset of GICD_ISENABLER1."""

    def __init__(self, base: int) -> None:
        self.base = base

    def __getitem__(self, n: int) -> int:
        return self.base + 4 * n

    def byte(self, n: int) -> int:
        """The offset of the block's byte `n`: the interrupt's own, where the block has a byte for each."""
        return self.base + n


CTLR: Final = 0x000
TYPER: Final = 0x004
IIDR: Final = 0x008
IGROUPR: Final = Words(0x080)
ISENABLER: Final = Words(0x100)
ICENABLER: Final = Words(0x180)
ISPENDR: Final = Words(0x200)
ICPENDR: Final = Words(0x280)
ISACTIVER: Final = Words(0x300)
ICACTIVER: Final = Words(0x380)
IPRIORITYR: Final = Words(0x400)
ITARGETSR: Final = Words(0x800)
ICFGR: Final = Words(0xC00)
SGIR: Final = 0xF00
CPENDSGIR: Final = Words(0xF10)
SPENDSGIR: Final = Words(0xF20)

GICC_CTLR: Final = 0x0000
GICC_PMR: Final = 0x0004
GICC_BPR: Final = 0x0008
GICC_IAR: Final = 0x000C
GICC_EOIR: Final = 0x0010
GICC_RPR: Final = 0x0014
GICC_HPPIR: Final = 0x0018
GICC_ABPR: Final = 0x001C
GICC_AIAR: Final = 0x0020
GICC_AEOIR: Final = 0x0024
GICC_AHPPIR: Final = 0x0028
GICC_DIR: Final = 0x1000
EOIMODE_1: Final = 0x201  # GICC_CTLR: group 0 enabled, EOIR drops the priority only


class Bench:
    """A domain of `variant` in the scenarios' default set-up; `options` are the other fields of `DomainConfig`.

    `distributor=False` leaves GICD_CTLR at its reset value; variant xen is `without` the defects named.  `kicks` and
    `calls` are those of the last verb: the vCPUs kicked, and the calls to the physical interrupt controller, in order.
    """

    def __init__(
        self,
        variant: str,
        *,
        vcpus: int = 2,
        spis: int = 64,
        lrs: int = 4,
        profile: str = "trace",
        automatic: bool = False,
        distributor: bool = True,
        without: tuple[str, ...] = (),
        **options: Any,
    ) -> None:
        self.variant = variant
        self.effects: tuple[Effect, ...] = ()
        if self.xen:
            options["xen_without"] = without
        self.domain = Domain(DomainConfig(vcpus=vcpus, spis=spis, lrs=lrs, variant=variant, profile=profile, **options))
        if profile != "trace":
            for vcpu in range(vcpus):
                self.gicc_write(GICC_CTLR, 1, vcpu=vcpu)
                self.gicc_write(GICC_PMR, 0xF8, vcpu=vcpu)
        if self.domain.explicit is automatic:
            self.do(op.Mode(explicit=not automatic))
        if distributor:
            self.gicd_write(CTLR, 1)

    # The two columns.

    @property
    def xen(self) -> bool:
        return self.variant == "xen"

    def column(self, *, xen: Value, correct: Value) -> Value:
        """What this variant's column of the specification says."""
        return xen if self.xen else correct

    # Operations.

    def do(self, operation: Any) -> op.Result:
        result: op.Result = self.domain.apply(operation)
        self.domain.check_invariants()
        self.effects = tuple(result.effects)
        return result

    @property
    def kicks(self) -> list[int]:
        return [effect.a for effect in self.effects if effect.kind == EffectKind.KICK]

    @property
    def calls(self) -> list[Effect]:
        return [effect for effect in self.effects if effect.kind != EffectKind.KICK]

    @contextmanager
    def refused(self, code: Code) -> Iterator[pytest.ExceptionInfo[RequestError]]:
        """The operation inside is refused with `code` and leaves the whole state as it was."""
        before, order = self.snapshot(), self.domain.order
        with pytest.raises(RequestError) as caught:
            yield caught
        assert caught.value.code is code
        assert self.snapshot() == before
        assert self.domain.order == order
        self.domain.check_invariants()

    def snapshot(self) -> dict[str, tuple[int, ...]]:
        image: dict[str, tuple[int, ...]] = self.domain.apply(op.Snapshot()).value
        return image

    # Setting up.

    def spi(
        self,
        intid: int,
        *,
        priority: int = 0,
        level: bool = False,
        target: int = 0x01,
        enabled: bool = True,
    ) -> None:
        """Configure a shared interrupt the way a driver does."""
        if level:
            word, place = ICFGR[intid // 16], intid % 16 * 2
            self.gicd_write(word, self.gicd_read(word) & ~(2 << place))
        self.gicd_write(IPRIORITYR.byte(intid), priority, size=1)
        self.gicd_write(ITARGETSR.byte(intid), target, size=1)
        if enabled:
            self.enable(intid)

    def private(self, intid: int, *, vcpu: int = 0, priority: int = 0) -> None:
        """Give an SGI or PPI of `vcpu` a priority and enable it."""
        self.gicd_write(IPRIORITYR.byte(intid), priority, size=1, vcpu=vcpu)
        self.enable(intid, vcpu=vcpu)

    def enable(self, intid: int, *, vcpu: int = 0) -> None:
        self.gicd_write(ISENABLER[intid // 32], 1 << intid % 32, vcpu=vcpu)

    def disable(self, intid: int, *, vcpu: int = 0) -> None:
        self.gicd_write(ICENABLER[intid // 32], 1 << intid % 32, vcpu=vcpu)

    # The guest and the devices.

    def access(self, operation: op.Read | op.Write) -> op.Result:
        """A trapped access: a vCPU that runs exits before it and enters again after it."""
        if not self.domain.explicit or not self.inside(operation.vcpu):
            return self.do(operation)
        effects = self.do(op.Exit(operation.vcpu)).effects
        result = self.do(operation)
        effects += result.effects
        effects += self.do(op.Enter(operation.vcpu)).effects
        self.effects = effects
        return result

    def gicd_read(self, offset: int, *, vcpu: int = 0, size: int = 4) -> int:
        result = self.access(op.Read(vcpu, op.Space.GICD, offset, size))
        assert not result.fault, f"read of {size} bytes at {offset:#x} aborts"
        return int(result.value)

    def gicd_write(self, offset: int, value: int, *, vcpu: int = 0, size: int = 4) -> None:
        result = self.access(op.Write(vcpu, op.Space.GICD, offset, size, value))
        assert not result.fault, f"write of {size} bytes at {offset:#x} aborts"

    def gicc_read(self, offset: int, *, vcpu: int = 0) -> int:
        return int(self.do(op.Read(vcpu, op.Space.GICC, offset, 4)).value)

    def gicc_write(self, offset: int, value: int, *, vcpu: int = 0) -> None:
        self.do(op.Write(vcpu, op.Space.GICC, offset, 4, value))

    def iar(self, vcpu: int = 0) -> int:
        return self.gicc_read(GICC_IAR, vcpu=vcpu)

    def eoi(self, value: int, vcpu: int = 0) -> None:
        self.gicc_write(GICC_EOIR, value, vcpu=vcpu)

    def dir(self, value: int, vcpu: int = 0) -> None:
        self.gicc_write(GICC_DIR, value, vcpu=vcpu)

    def inject(self, intid: int, level: int = 1, *, vcpu: int = op.NO_VCPU) -> None:
        self.do(op.Line(intid, level, vcpu))

    def sgi(self, sgi: int, *, by: int, to: int = 0, filter_: int = 0) -> None:
        """vCPU `by` writes GICD_SGIR: filter 0 sends to the vCPUs of mask `to`."""
        self.gicd_write(SGIR, filter_ << 24 | to << 16 | sgi, vcpu=by)

    # The world switch.

    def enter(self, vcpu: int = 0) -> op.EnterState:
        state: op.EnterState = self.do(op.Enter(vcpu)).value
        return state

    def exit(self, vcpu: int = 0) -> op.ExitState:
        state: op.ExitState = self.do(op.Exit(vcpu)).value
        return state

    def rerun(self, vcpu: int = 0) -> op.EnterState:
        """Exit and enter, as any trap without consequences does."""
        effects = self.do(op.Exit(vcpu)).effects
        state = self.enter(vcpu)
        self.effects = effects + self.effects
        return state

    def answer_kicks(self) -> None:
        """Let every kicked vCPU exit, if it was inside, and enter."""
        for vcpu in sorted(set(self.kicks)):
            if self.inside(vcpu):
                self.rerun(vcpu)
            else:
                self.enter(vcpu)

    def inside(self, vcpu: int = 0) -> bool:
        return self.lr_state(vcpu).inside

    # Looking at it.

    def lr_state(self, vcpu: int = 0) -> op.LrState:
        state: op.LrState = self.domain.apply(op.LrGet(vcpu)).value
        return state

    def lr(self, index: int = 0, vcpu: int = 0) -> int:
        return self.lr_state(vcpu).lrs[index]

    def hcr(self, vcpu: int = 0) -> int:
        return self.lr_state(vcpu).hcr

    def misr(self, vcpu: int = 0) -> int:
        return self.lr_state(vcpu).misr

    def maintenance(self, vcpu: int = 0) -> bool:
        """Is the maintenance interrupt asserted?"""
        state = self.lr_state(vcpu)
        return bool(state.hcr & 1 and state.misr)

    def virq(self, vcpu: int = 0) -> bool:
        return bool(self.domain.outputs >> 2 * vcpu & 1)

    def vfiq(self, vcpu: int = 0) -> bool:
        return bool(self.domain.outputs >> 2 * vcpu + 1 & 1)

    def irq(self, intid: int, vcpu: int = 0) -> Any:
        """The hypervisor's own record of the interrupt: what it knew at the last fold."""
        vgic = self.domain.vgic
        return vgic.lookup(vgic.vcpus[vcpu], intid)

    def info(self, intid: int, vcpu: int = op.NO_VCPU) -> op.IrqState:
        """The interrupt as the guest would find it now."""
        state: op.IrqState = self.domain.apply(op.IrqInfo(intid, vcpu)).value
        return state

    def listed(self, vcpu: int = 0) -> list[int]:
        """The vCPU's ap_list."""
        return [irq.intid for irq in self.domain.vgic.vcpus[vcpu].ap_list.irqs]

    def pending(self, intid: int, vcpu: int = 0) -> bool:
        """Its bit of GICD_ISPENDR, read by `vcpu`."""
        return bool(self.gicd_read(ISPENDR[intid // 32], vcpu=vcpu) >> intid % 32 & 1)

    def active(self, intid: int, vcpu: int = 0) -> bool:
        """Its bit of GICD_ISACTIVER, read by `vcpu`."""
        return bool(self.gicd_read(ISACTIVER[intid // 32], vcpu=vcpu) >> intid % 32 & 1)

    def pending_check(self, vcpu: int = 0) -> bool:
        """Has the vCPU something to be woken for?"""
        return bool(self.domain.apply(op.PendingCheck(vcpu)).value)


def refused_creation(**config: Any) -> int:
    """The errno with which a domain of this configuration is refused."""
    with pytest.raises(CreationError) as caught:
        Domain(DomainConfig(**config))
    return int(caught.value.errno)
