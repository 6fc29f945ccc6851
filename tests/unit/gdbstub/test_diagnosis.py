"""`monitor why N`: every cause that can hold an interrupt back is found, and what is said to mend it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.unit.gdbstub.local import GICC, GICD, bring_up, snapshot, take
from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain
from vgicd.gdbstub.diagnosis import Unknown, diagnose, explain
from vgicd.gdbstub.diagnosis.mending import commands
from vgicd.gdbstub.text import WIDTH
from vgicd.hw.gicv import GICC as CPU_INTERFACE
from vgicd.vgic.distributor import GICD as DISTRIBUTOR

SPI, OTHER, THIRD = 33, 34, 35
PPI = 27
PRIORITY = 0x80


class Board:
    """A domain whose guest has set everything up, so that SPI `SPI` would reach vCPU 0 if it were raised."""

    def __init__(self, **config: Any) -> None:
        self.domain = Domain(DomainConfig(**{"vcpus": 2, "spis": 32, **config}))
        self.explicit = self.domain.explicit
        if self.explicit:
            self.domain.apply(op.Mode(explicit=False))
        bring_up(self.domain)
        for intid in (SPI, OTHER, THIRD):
            self.byte("GICD_IPRIORITYR", intid, PRIORITY)
            self.byte("GICD_ITARGETSR", intid, 1)
        self.byte("GICD_IPRIORITYR", PPI, PRIORITY)
        if self.explicit:
            self.domain.apply(op.Mode(explicit=True))

    def gicd(self, name: str, value: int, vcpu: int = 0, word: int = 0) -> None:
        offset = DISTRIBUTOR[name].offset + 4 * word
        self.domain.apply(op.Write(vcpu, GICD, offset, 4, value))

    def bit(self, name: str, intid: int, vcpu: int = 0) -> None:
        self.gicd(name, 1 << intid % 32, vcpu, intid // 32)

    def byte(self, name: str, intid: int, value: int, vcpu: int = 0) -> None:
        self.domain.apply(op.Write(vcpu, GICD, DISTRIBUTOR[name].offset + intid, 1, value))

    def gicc(self, name: str, value: int, vcpu: int = 0) -> None:
        self.domain.apply(op.Write(vcpu, GICC, CPU_INTERFACE[name].offset, 4, value))

    def iar(self, vcpu: int = 0) -> int:
        return int(self.domain.apply(op.Read(vcpu, GICC, CPU_INTERFACE["GICC_IAR"].offset, 4)).value) & 0x3FF

    def pulse(self, intid: int) -> None:
        self.domain.apply(op.Line(intid, 1, pulse=True))

    def line(self, intid: int, level: int, vcpu: int = op.NO_VCPU) -> None:
        self.domain.apply(op.Line(intid, level, vcpu))

    def level_sensitive(self, intid: int) -> None:
        self.gicd("GICD_ICFGR", 0, word=intid // 16)

    def apply(self, *operations: Any) -> None:
        for operation in operations:
            self.domain.apply(operation)


class Cause(NamedTuple):
    """A situation: `make` brings about that `intid` does not reach `vcpu` for `steps`; `told` is in what is said."""

    steps: tuple[str, ...]
    make: Callable[[Board], None]
    told: str
    intid: int = SPI
    vcpu: int | None = None
    config: dict[str, Any] = {}


EXPLICIT = {"profile": "trace"}


def _powered_off(board: Board) -> None:
    board.byte("GICD_ITARGETSR", SPI, 2)
    board.pulse(SPI)
    board.apply(op.VcpuPower(1, False))


def _ppi_of_a_vcpu_that_is_off(board: Board) -> None:
    board.apply(op.VcpuPower(1, False))
    board.line(PPI, 1, 1)


def _nothing(_board: Board) -> None:
    pass


def _low_spi(board: Board) -> None:
    board.level_sensitive(SPI)


def _disabled(board: Board) -> None:
    board.bit("GICD_ICENABLER", SPI)
    board.pulse(SPI)


def _disabled_ppi_of_the_other(board: Board) -> None:
    board.bit("GICD_ICENABLER", PPI, vcpu=1)
    board.line(PPI, 1, 1)


def _distributor_off(board: Board) -> None:
    board.gicd("GICD_CTLR", 0)
    board.pulse(SPI)


def _no_target(board: Board) -> None:
    board.byte("GICD_ITARGETSR", SPI, 0)
    board.pulse(SPI)


def _pulsed(board: Board) -> None:
    board.pulse(SPI)


def _lowest_priority(board: Board) -> None:
    board.byte("GICD_IPRIORITYR", SPI, 0xF8)
    board.pulse(SPI)


def _acknowledged(board: Board) -> None:
    board.pulse(SPI)
    board.iar()
    board.pulse(SPI)


def _acknowledged_level(board: Board) -> None:
    board.level_sensitive(SPI)
    board.line(SPI, 1)
    board.iar()


def _acknowledged_split(board: Board) -> None:
    board.gicc("GICC_CTLR", 0x201)
    _acknowledged(board)
    board.gicc("GICC_EOIR", SPI)


def _acknowledged_and_preempted(board: Board) -> None:
    _acknowledged(board)
    take(board.domain, OTHER, 0x40)


def _acknowledged_and_evicted(board: Board) -> None:
    _acknowledged(board)
    for intid in (OTHER, THIRD):
        board.byte("GICD_IPRIORITYR", intid, 0x88)
        board.pulse(intid)
    assert board.domain.vgic.spis[SPI - 32].slot < 0


def _active_on_another(board: Board) -> None:
    _acknowledged(board)
    board.byte("GICD_ITARGETSR", SPI, 2)


def _active_on_nobody(board: Board) -> None:
    board.byte("GICD_ITARGETSR", SPI, 0)
    board.bit("GICD_ISACTIVER", SPI)
    board.pulse(SPI)


def _sgi_not_ended(board: Board) -> None:
    for _ in range(2):
        board.gicd("GICD_SGIR", 1 << 16 | 5, vcpu=1)
        board.iar()


def _outside(board: Board) -> None:
    board.pulse(SPI)


def _queued_after_entry(board: Board) -> None:
    board.apply(op.Enter(0))
    board.pulse(SPI)


def _inside_and_disabled(board: Board) -> None:
    board.bit("GICD_ICENABLER", SPI)
    board.pulse(SPI)
    board.apply(op.Enter(0))


def _ended_level_still_high(board: Board) -> None:
    board.level_sensitive(SPI)
    board.line(SPI, 1)
    board.apply(op.Enter(0))
    assert board.iar() == SPI
    board.gicc("GICC_EOIR", SPI)


def _interface_off(board: Board) -> None:
    board.pulse(SPI)
    board.apply(op.Enter(0), op.Gich(0, 0, 0))


def _listed_elsewhere(board: Board) -> None:
    board.pulse(SPI)
    board.byte("GICD_ITARGETSR", SPI, 2)
    board.apply(op.Enter(1))


def _listed_by_one_that_is_off(board: Board) -> None:
    board.byte("GICD_ITARGETSR", SPI, 2)
    board.apply(op.VcpuPower(1, False))
    board.pulse(SPI)
    board.byte("GICD_ITARGETSR", SPI, 1)


def _overflow(board: Board) -> None:
    for intid in (OTHER, THIRD):
        board.byte("GICD_IPRIORITYR", intid, 0x40)
        board.pulse(intid)
    board.pulse(SPI)


def _overflow_of_the_highest(board: Board) -> None:
    for intid in (OTHER, THIRD):
        board.byte("GICD_IPRIORITYR", intid, 0)
        board.pulse(intid)
    board.pulse(SPI)


def _group_0_off(board: Board) -> None:
    board.pulse(SPI)
    board.gicc("GICC_CTLR", 0)


def _group_1_off(board: Board) -> None:
    board.bit("GICD_IGROUPR", SPI)
    board.gicc("GICC_CTLR", 5)
    board.pulse(SPI)


def _group_1_without_ack_ctl(board: Board) -> None:
    board.bit("GICD_IGROUPR", SPI)
    board.gicc("GICC_CTLR", 3)
    board.pulse(SPI)


def _masked(board: Board) -> None:
    board.gicc("GICC_PMR", PRIORITY)
    board.pulse(SPI)


def _nested_below(board: Board) -> None:
    take(board.domain, OTHER, PRIORITY)
    board.pulse(SPI)


def _two_nested_below(board: Board) -> None:
    take(board.domain, THIRD, 0x60)
    take(board.domain, OTHER, 0x40)
    board.pulse(SPI)


def _same_group_priority(board: Board) -> None:
    board.gicc("GICC_BPR", 6)
    take(board.domain, OTHER, 0xF0)
    board.pulse(SPI)


def _priority_never_dropped(board: Board) -> None:
    take(board.domain, OTHER, 0x40)
    board.bit("GICD_ICACTIVER", OTHER)
    board.pulse(SPI)


def _behind_an_edge(board: Board) -> None:
    board.byte("GICD_IPRIORITYR", OTHER, 0x40)
    board.pulse(OTHER)
    board.pulse(SPI)


def _behind_a_level(board: Board) -> None:
    board.byte("GICD_IPRIORITYR", PPI, 0x40)
    board.line(PPI, 1, 0)
    board.pulse(SPI)


def _tied(board: Board) -> None:
    board.bit("GICD_ICENABLER", SPI)
    board.apply(op.HwConnect(SPI, 72))
    board.bit("GICD_ISENABLER", SPI)


def _tied_and_still_active_there(board: Board) -> None:
    _tied(board)
    board.domain.vgic.physical.set_active(72, True)
    board.apply(op.PhysLine(72, 1))


def _timer_off(_board: Board) -> None:
    pass


def _timer_in_the_future(board: Board) -> None:
    board.apply(op.Write(0, op.Space.DEVICE, 8, 8, 1000), op.Write(0, op.Space.DEVICE, 0, 4, 1))


CAUSES: dict[str, Cause] = {
    "vcpu off, SPI": Cause(("power",), _powered_off, "monitor power 1 on"),
    "vcpu off, PPI": Cause(("power",), _ppi_of_a_vcpu_that_is_off, "PSCI CPU_ON", PPI, 1),
    "SGI not sent": Cause(("source",), _nothing, "set var GICD_SGIR = 0x10003", 3),
    "edge, none came": Cause(("source",), _nothing, "monitor irq 33 pulse"),
    "PPI low": Cause(("source",), _nothing, "monitor irq 27 up 1", PPI, 1),
    "SPI low": Cause(("source",), _low_spi, "monitor irq 33 up"),
    "tied, wire low": Cause(("source",), _tied, "physical interrupt 72: its wire is low"),
    "tied, active there": Cause(("source",), _tied_and_still_active_there, "still active there"),
    "timer off": Cause(("source",), _timer_off, "CNTV_CTL.ENABLE is 0", 27, 0, {"profile": "xen-guest"}),
    "timer later": Cause(("source",), _timer_in_the_future, "monitor time 1000", 27, 0, {"profile": "xen-guest"}),
    "no event": Cause(("source",), _nothing, "evtchn_upcall_pending", 31, 0, {"profile": "xen-guest"}),
    "disabled": Cause(("enable",), _disabled, "set var GICD_ISENABLER1 = 0x2"),
    "PPI disabled": Cause(
        ("enable",), _disabled_ppi_of_the_other, "thread 2\n> set var GICD_ISENABLER0 = 0x8000000", PPI, 1
    ),
    "distributor off": Cause(("distributor",), _distributor_off, "set var GICD_CTLR = 0x1"),
    "no target": Cause(("target",), _no_target, "set var gicd.ITARGETSR[33] = 0x01"),
    "another target": Cause(("target", "queue"), _pulsed, "it goes to vCPU 0, not to vCPU 1", SPI, 1),
    "lowest priority": Cause(("priority",), _lowest_priority, "set var gicd.IPRIORITYR[33] = 0xa0"),
    "not ended": Cause(("active", "running"), _acknowledged, "set var GICC_EOIR = 0x21"),
    "level not ended": Cause(("active", "running"), _acknowledged_level, "set var GICC_EOIR = 0x21"),
    "not deactivated": Cause(("active",), _acknowledged_split, "set var GICC_DIR = 0x21"),
    "preempted": Cause(("active", "running"), _acknowledged_and_preempted, "inside it, irq34"),
    "evicted": Cause(
        ("active", "list register", "running"), _acknowledged_and_evicted, "GICD_ICACTIVER1 = 0x2", config={"lrs": 2}
    ),
    "active elsewhere": Cause(("active", "queue"), _active_on_another, "vCPU 0 has acknowledged it", SPI, 1),
    "active on none": Cause(("target", "active"), _active_on_nobody, "GICD_ICACTIVER1 = 0x2"),
    "SGI not ended": Cause(("active", "running"), _sgi_not_ended, "set var GICC_EOIR = 0x405", 5),
    "outside": Cause(("world",), _outside, "monitor enter 0", config=EXPLICIT),
    "queued after entry": Cause(
        ("list register",), _queued_after_entry, "monitor exit 0\n> monitor enter 0", config=EXPLICIT
    ),
    "disabled, inside": Cause(
        ("enable",), _inside_and_disabled, "monitor exit 0\n> set var GICD_ISENABLER1 = 0x2", config=EXPLICIT
    ),
    "level ended, inside": Cause(
        ("list register",), _ended_level_still_high, "the next one is loaded when vCPU 0 exits", config=EXPLICIT
    ),
    "interface off": Cause(("interface",), _interface_off, "GICH_HCR.En is 0", config=EXPLICIT),
    "listed elsewhere": Cause(("queue",), _listed_elsewhere, "still on the ap_list of vCPU 0", config=EXPLICIT),
    "listed by one off": Cause(("queue",), _listed_by_one_that_is_off, "and it is powered off"),
    "overflow": Cause(("list register",), _overflow, "all 2 of vCPU 0 are taken", config={"lrs": 2}),
    "overflow, no rank": Cause(("list register",), _overflow_of_the_highest, "irq34 pending 0x00", config={"lrs": 2}),
    "group 0": Cause(("group",), _group_0_off, "GICC_CTLR.EnableGrp0 of vCPU 0 is 0"),
    "group 1": Cause(("group",), _group_1_off, "GICC_CTLR.EnableGrp1 of vCPU 0 is 0"),
    "group 1, AckCtl": Cause(("acknowledge",), _group_1_without_ack_ctl, "GICC_IAR answers 1022"),
    "mask": Cause(("mask",), _masked, "set var GICC_PMR = 0xf8"),
    "running priority": Cause(("running",), _nested_below, "set var GICC_EOIR = 0x22"),
    "two running": Cause(("running",), _two_nested_below, "set var GICC_EOIR = 0x22\n> set var GICC_EOIR = 0x23"),
    "binary point": Cause(("running",), _same_group_priority, "GICC_BPR is 6"),
    "not dropped": Cause(("running",), _priority_never_dropped, "none was ended with GICC_EOIR"),
    "rank, edge": Cause(("rank",), _behind_an_edge, "signalled before it: irq34 (0x40)"),
    "rank, level": Cause(("rank",), _behind_a_level, "monitor irq 27 down 0"),
    "xen, late target": Cause(("target",), _no_target, "goes to no vCPU", config={"variant": "xen"}),
}


def flat(lines: list[str]) -> str:
    """Lines for a comparison that does not care how they are wrapped."""
    return "\n".join(" ".join(line.split()) for line in lines)


@pytest.mark.parametrize("name", CAUSES)
def test_the_cause_is_found_and_what_is_said_to_mend_it_does(name: str) -> None:
    cause = CAUSES[name]
    board = Board(**cause.config)
    cause.make(board)
    before = snapshot(board.domain)
    found = diagnose(board.domain, cause.intid, cause.vcpu)
    said = explain(board.domain, cause.intid, cause.vcpu, selected=0)
    assert snapshot(board.domain) == before, "a diagnosis changes nothing"
    assert not found.delivered
    assert tuple(cause.step for cause in found.causes) == cause.steps
    unwrapped = flat(said)
    assert cause.told in unwrapped or cause.told in unwrapped.replace("\n", " "), unwrapped
    assert all(len(line) <= WIDTH for line in said)
    for _ in range(2 if cause.config.get("variant") == "xen" else 1):
        board.apply(*diagnose(board.domain, cause.intid, cause.vcpu).mend)
    assert diagnose(board.domain, cause.intid, cause.vcpu).delivered
    assert board.iar(found.vcpu) == cause.intid


@pytest.mark.parametrize("defects", [(), ("D9",), ("D10",)])
def test_what_xen_queues_nowhere_is_found_and_queued(defects: tuple[str, ...]) -> None:
    """D9 and D10: pending, enabled and with a target, yet on no list."""
    board = Board(variant="xen")
    if defects == ("D10",):
        board.gicd("GICD_CTLR", 0)
    else:
        board.byte("GICD_ITARGETSR", SPI, 0)
    board.pulse(SPI)
    board.byte("GICD_ITARGETSR", SPI, 1)
    board.gicd("GICD_CTLR", 1)
    found = diagnose(board.domain, SPI)
    assert [cause.step for cause in found.causes] == ["queue"]
    board.apply(*found.mend)
    assert board.iar() == SPI


def test_what_is_signalled_is_said_to_be_the_guests_affair() -> None:
    board = Board()
    board.pulse(SPI)
    assert explain(board.domain, SPI, names={SPI: "uart0"}) == [
        "irq33_uart0 is signalled to vCPU 0: vIRQ of vCPU 0 is high, and GICC_IAR answers irq33_uart0.",
        "What is left is the guest's: PSTATE.I or PSTATE.F masks it, or the guest does not run.",
    ]


def test_interrupts_in_the_way_are_called_by_their_names_too() -> None:
    board = Board()
    _behind_a_level(board)
    said = "\n".join(explain(board.domain, SPI, names={PPI: "vtimer"}))
    assert "signalled before it: irq27_vtimer (0x40)" in said
    assert "> monitor irq 27 down 0" in said


def test_of_what_is_being_handled_that_is_said_first() -> None:
    board = Board()
    board.pulse(SPI)
    board.iar()
    said = explain(board.domain, SPI, names={SPI: "uart0"})
    assert said[:2] == [
        "irq33_uart0 is being handled: active on vCPU 0, in LR0.",
        "The next one is not signalled to vCPU 0: 3 things hold it back.",
    ]


def test_fiq_is_told_from_irq() -> None:
    board = Board()
    board.gicc("GICC_CTLR", 9)
    board.pulse(SPI)
    assert "vFIQ of vCPU 0 is high" in explain(board.domain, SPI)[0]


@pytest.mark.parametrize(
    ("intid", "vcpu", "told"),
    [
        (64, None, "the domain has 0 to 63"),
        (-1, None, "the domain has 0 to 63"),
        (1022, None, "read GICC_AIAR"),
        (1023, None, "when none is signalled"),
        (33, 2, "vCPU 2 does not exist: the domain has 2"),
    ],
)
def test_what_does_not_exist_is_said_to_be_so(intid: int, vcpu: int | None, told: str) -> None:
    with pytest.raises(Unknown, match=told):
        diagnose(Board().domain, intid, vcpu)


def test_the_selected_thread_is_switched_once_and_stays() -> None:
    board = Board()
    writes = [op.Write(1, GICC, 4, 4, 0xF8), op.Write(1, GICC, 0, 4, 1), op.Write(0, GICC, 0, 4, 1)]
    assert list(commands(board.domain, writes, 0)) == [
        "thread 2", "set var GICC_PMR = 0xf8", "set var GICC_CTLR = 0x1", "thread 1", "set var GICC_CTLR = 0x1",
    ]  # fmt: skip


def test_every_step_that_lets_it_pass_is_shown_too() -> None:
    """People learn the way of an interrupt from it."""
    board = Board()
    _masked(board)
    steps = [line.split()[1] for line in explain(board.domain, SPI) if line.startswith("  ok")]
    assert steps == [
        "power", "source", "enable", "distributor", "target", "queue", "list", "interface", "group", "running", "rank",
    ]  # fmt: skip
