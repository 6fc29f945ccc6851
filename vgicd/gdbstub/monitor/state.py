"""`monitor state` and its relatives: the whole domain on one screen, dumps, figures, and what is being debugged."""

from __future__ import annotations

from textwrap import wrap
from typing import Any, Final

from vgicd.domain import operations as op
from vgicd.domain.domain import Domain
from vgicd.gdbstub import text
from vgicd.gdbstub.monitor import command
from vgicd.gdbstub.monitor.command import Command, Debugger
from vgicd.gdbstub.nesting import active_interrupts
from vgicd.gdbstub.target import Target
from vgicd.hw.gicv import read_hppir, read_rpr
from vgicd.vgic.irq import NR_PRIVATE
from vgicd.vgic.vcpu import Vcpu

_FEW: Final = 3  # interrupts named in a cell; more are counted
VCPU_COLUMNS: Final = (
    "vcpu", "guest", "irq", "fiq", "rpr", "pmr", "lrs", "hppi", "active, innermost first", "waiting for an LR",
)  # fmt: skip


def _state(debugger: Debugger, words: list[str]) -> list[str]:
    command.at_most(words, 0)
    target = debugger.target
    domain = target.domain
    vgic = domain.vgic
    config = domain.config
    held = debugger.held()
    return [
        f"{target.name}: profile {config.profile}, variant {config.variant}, {mode_name(domain)} mode",
        f"order {domain.order}, virtual time {domain.now}{_seconds(domain.now, config.timer_hz)}",
        f"distributor {'on' if vgic.enabled else 'off: GICD_CTLR.Enable is 0'}; {target.vcpus} vCPUs, "
        f"{vgic.nr_spis} SPIs, {config.lrs} list registers each",
        *wrap(f"debugger {target.who}, role {target.role.name.lower()}; {debugger.run_state()}", text.WIDTH),
        f"held by {text.listed(held)}" if held else "held by nobody",
        "",
        *text.table(VCPU_COLUMNS, [vcpu_row(target, number) for number in range(target.vcpus)]),
    ]


def mode_name(domain: Domain) -> str:
    """Who switches worlds: explicit, the client; or automatic, the domain."""
    return "explicit" if domain.explicit else "automatic"


def _seconds(ticks: int, rate: int) -> str:
    return f" ({ticks / rate:.6f} s)" if rate > 0 else ""


def vcpu_row(target: Target, number: int) -> tuple[Any, ...]:
    """A vCPU in a table with VCPU_COLUMNS."""
    vcpu = target.vcpu(number)
    gich = vcpu.gich
    levels = target.outputs_of(number)
    used = gich.nr_lrs - gich.elrsr().bit_count()
    active = [text.irq_name(found.intid, target.names) for found in active_interrupts(target.domain.vgic, vcpu)]
    return (
        number,
        "off" if not vcpu.powered else "inside" if vcpu.inside else "outside",
        "HIGH" if levels & 1 else "low",
        "HIGH" if levels & 2 else "low",
        f"{read_rpr(gich):#04x}",
        f"{gich.pmr:#04x}",
        f"{used}/{gich.nr_lrs}",
        text.identity(read_hppir(gich), {}).removeprefix("irq").partition(" ")[0].replace("1023", "-"),
        _few(active),
        _few([text.irq_name(number, target.names) for number in waiting(target, vcpu)]),
    )


def waiting(target: Target, vcpu: Vcpu) -> list[int]:
    """INTIDs on the vCPU's ap_list that are pending and in no list register, in list order."""
    found = []
    for irq in vcpu.ap_list.irqs:
        owner = vcpu.id if irq.intid < NR_PRIVATE else op.NO_VCPU
        state: op.IrqState = target.ask(op.IrqInfo(irq.intid, owner))
        if state.pending and not state.active and irq.slot < 0:
            found.append(irq.intid)
    return found


def _few(names: list[str]) -> str:
    more = f" +{len(names) - _FEW}" if len(names) > _FEW else ""
    return " ".join(names[:_FEW]) + more if names else "-"


def _vgic_state(debugger: Debugger, words: list[str]) -> list[str]:
    command.at_most(words, 0)
    return _dump(debugger, 1)


def _xen_state(debugger: Debugger, words: list[str]) -> list[str]:
    command.at_most(words, 0)
    return _dump(debugger, 0) or ["No vCPU has an interrupt queued."]


def _dump(debugger: Debugger, kind: int) -> list[str]:
    found: str = debugger.target.ask(op.Dump(kind))
    return found.splitlines()


def _stats(debugger: Debugger, words: list[str]) -> list[str]:
    command.at_most(words, 0)
    stats: dict[str, int] = debugger.target.ask(op.Stats())
    return text.table(("count", "of"), [(value, name) for name, value in stats.items()])


def _version(debugger: Debugger, words: list[str]) -> list[str]:
    command.at_most(words, 0)
    target = debugger.target
    config = target.domain.config
    without = f" without {' '.join(config.xen_without)}" if config.xen_without else ""
    return [
        f"vgicd {target.version}; domain {target.name}",
        *text.pairs(
            (
                ("core", core()),
                ("variant", config.variant + without),
                ("profile", config.profile),
                ("shown as", target.arch.name),
                ("vCPUs", target.vcpus),
                ("SPIs", target.domain.vgic.nr_spis),
                ("list registers", f"{config.lrs} per vCPU"),
                ("world switch", mode_name(target.domain)),
                ("frames", ", ".join(f"{region.name} {region.base:#x}" for region in target.domain.frames())),
                ("you are", f"{target.who}, role {target.role.name.lower()}"),
            )
        ),
    ]


def core() -> str:
    """Is the core that runs machine code, or its sources?"""
    module = __import__("vgicd.vgic.vgic", fromlist=["vgic"])
    return "sources" if str(module.__file__).endswith(".py") else "machine code"


COMMANDS: Final = (
    Command(
        "state",
        "",
        "the whole domain on one screen",
        _state,
        "Per vCPU: where it is, its vIRQ and vFIQ lines, running priority and mask, list registers in use, the "
        "highest priority pending interrupt (HPPIR), the nesting of active ones, and what waits for a list register.",
    ),
    Command(
        "vgic-state",
        "",
        "every interrupt, as KVM's debugfs prints them",
        _vgic_state,
        "The layout of /sys/kernel/debug/kvm/*/vgic-state: P pending latch, L line, A active, E enabled, H hardware, "
        "C config (1 level), G group.",
    ),
    Command("xen-state", "", "queued interrupts, as Xen's debug key prints them", _xen_state),
    Command(
        "stats",
        "",
        "figures: operations, guest faults by kind and register",
        _stats,
        "A fault is an access that hardware would refuse: counted as fault.KIND.REGISTER.",
    ),
    Command("version", "", "what is being debugged, and as whom", _version),
)
