"""`monitor`: the commands, as people type them and as they are answered."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.unit.gdbstub.desk import Desk
from tests.unit.gdbstub.local import GICC, GICD, snapshot, take
from vgicd.domain import operations as op
from vgicd.domain.events import EventKind
from vgicd.gdbstub.monitor import COMMANDS
from vgicd.gdbstub.monitor.irqs import COLUMNS
from vgicd.gdbstub.target import Refused
from vgicd.gdbstub.text import WIDTH
from vgicd_protocol.frames import Role

NAMES = [row.name for row in COMMANDS]
LOOKS = [
    "help", "irq", "irq 33", "irq 27", "irq 3", "lrs", "lrs 1", "lrs all", "state", "vgic-state", "xen-state", "mode",
    "time", "trace", "freeze", "why", "why 33", "why 33 1", "why 27", "stats", "version",
]  # fmt: skip


def busy(**config: object) -> Desk:
    """A desk over a domain where every list register is used and more waits."""
    desk = Desk(**config)
    take(desk.domain, 42, 0x80)
    take(desk.domain, 27, 0x40)
    for intid in range(33, 41):
        desk.domain.apply(op.Write(0, GICD, 0x800 + intid, 1, 1))
        desk.domain.apply(op.Line(intid, 1))
    desk.domain.apply(op.Write(1, GICD, 0xF00, 4, 3 << 16 | 3))
    return desk


# --- finding a command --------------------------------------------------------------------------------------------


def test_help_lists_every_command_with_its_arguments() -> None:
    said = Desk().run("help")
    for row in COMMANDS:
        assert f"{row.name} {row.arguments}".rstrip() in said
        assert row.summary in said


@pytest.mark.parametrize("name", NAMES)
def test_each_command_has_help_of_its_own(name: str) -> None:
    said = Desk().run(f"help {name}")
    assert said.startswith(f"monitor {name}")
    assert len(said.splitlines()) > 1


def test_nothing_is_help() -> None:
    assert Desk().run("") == Desk().run("help") == Desk().run("  ")


@pytest.mark.parametrize(
    ("short", "long"), [("st", "st is two"), ("vgic", "vgic-state"), ("LRS", "lrs"), ("ver", "version")]
)
def test_a_command_may_be_shortened_while_it_is_clear(short: str, long: str) -> None:
    desk = Desk()
    if long == "st is two":
        assert desk.run(short) == "'st' is the beginning of state and stats: write more of it."
    else:
        assert desk.run(short) == desk.run(long)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("irqs 33", "There is no monitor command 'irqs'. Did you mean `monitor irq`? `monitor help` lists all."),
        ("rest", "There is no monitor command 'rest'. Did you mean `monitor reset`? `monitor help` lists all."),
        ("xyzzy", "There is no monitor command 'xyzzy'. `monitor help` lists all."),
        ("help xyzzy", "There is no monitor command 'xyzzy'. `monitor help` lists all."),
    ],
)
def test_an_unknown_command_is_answered_with_the_nearest(typed: str, told: str) -> None:
    assert Desk().run(typed) == told


# --- wrong arguments ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("irq x", "'x' names no interrupt"),
        ("irq 33 sideways", "'sideways' is no action: there are up, down and pulse"),
        ("irq 33 up 1", "irq33 is an SPI, which belongs to no vCPU: leave '1' out."),
        ("irq 27 up one", "'one' is no vCPU: write its number, 0 to 1."),
        ("irq 27 up 1 2", "at most 3 arguments; '2' is too much"),
        ("lrs 0 1", "It takes one argument; '1' is too much."),
        ("lrs x", "'x' is no vCPU"),
        ("state now", "It takes no argument; 'now' is too much."),
        ("mode fast", "'fast' is no mode: there are automatic and explicit."),
        ("mode explicitly", "Did you mean 'explicit'?"),
        ("power 0", "It takes a vCPU, and on or off."),
        ("time soon", "'soon' is no number of ticks"),
        ("trace akc", "Did you mean 'ack'?"),
        ("trace e", "'e' is the beginning of eoi, enter and exit: write more of it."),
        ("freeze maybe", "'maybe' is no way to freeze: there are auto, on and off."),
        ("why 33 1 2", "at most 2 arguments"),
    ],
)
def test_wrong_arguments_are_answered_with_a_sentence_and_the_usage(typed: str, told: str) -> None:
    desk = Desk()
    said = desk.run(typed)
    assert told in said
    assert f"Usage: `monitor {typed.split(maxsplit=1)[0]}" in said
    assert not desk.applied


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("irq 96 up", "INTID 96 does not exist: the domain has 0 to 95."),
        ("irq 1023", "INTID 1023 is reserved for special purposes: the domain has 0 to 95."),
        ("why 200", "INTID 200 does not exist: the domain has 0 to 95."),
        ("lrs 2", "vCPU 2 does not exist: the domain has 2, from 0."),
        ("irq 27 up 5", "vCPU 5 does not exist: the domain has 2, from 0."),
        ("enter 0", "`monitor mode explicit` takes the world switch into your hands."),
        ("exit", "`monitor mode explicit` takes the world switch into your hands."),
        ("time -1", "does not go back"),
    ],
)
def test_what_cannot_be_is_answered_with_what_to_do(typed: str, told: str) -> None:
    desk = Desk()
    before = snapshot(desk.domain)
    assert told in desk.run(typed)
    assert snapshot(desk.domain) == before


@pytest.mark.parametrize("typed", ["irq 33 up", "reset", "mode explicit", "time 5", "power 1 off"])
def test_an_observer_is_told_what_role_it_needs(typed: str) -> None:
    desk = Desk(role=Role.OBSERVE)
    before = snapshot(desk.domain)
    assert re.match(r"This needs role (guest|control), and your debugger has observe", desk.run(typed))
    assert snapshot(desk.domain) == before


# --- what is said ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", LOOKS)
@pytest.mark.parametrize("variant", ["correct", "xen"])
@pytest.mark.parametrize("profile", ["virt", "xen-guest"])
def test_looking_changes_nothing_and_fits_a_screen(typed: str, variant: str, profile: str) -> None:
    desk = busy(variant=variant, profile=profile) if profile == "virt" else Desk(variant=variant, profile=profile)
    order, before = desk.domain.order, snapshot(desk.domain)
    said = desk.run(typed)
    assert (desk.domain.order, snapshot(desk.domain)) == (order, before)
    assert said.isascii()
    assert all(char.isprintable() or char in "\n\t" for char in said)
    assert max(map(len, said.splitlines())) <= WIDTH


@pytest.mark.parametrize("name", NAMES)
def test_help_fits_a_screen(name: str) -> None:
    for line in Desk().run(f"help {name}").splitlines() + Desk().run("help").splitlines():
        assert len(line) <= WIDTH


def test_irq_tells_all_of_one_interrupt() -> None:
    desk = busy()
    assert desk.run("irq 42").splitlines() == [
        "irq42: SPI, edge-triggered",
        "  enabled        yes",
        "  line           low",
        "  pending        no",
        "  pending latch  no",
        "  active         yes",
        "  group          0",
        "  priority       0x80",
        "  targets        0x01: vCPU 0",
        "  goes to        vCPU 0",
        "  ap_list        of vCPU 0, position 10",
        "  list register  none",
        "`monitor why 42` follows it to the guest.",
    ]


@pytest.mark.parametrize("word", ["27", "0x1b", "irq27", "irq27_vtimer", "vtimer", "IRQ27"])
def test_an_interrupt_has_many_names(word: str) -> None:
    assert Desk().run(f"irq {word}").startswith("irq27_vtimer of vCPU 0: PPI, level-sensitive\n")


def test_a_given_name_is_used_too() -> None:
    assert Desk().run("irq uart0").startswith("irq33_uart0: SPI")


def test_a_ppi_is_that_of_the_selected_vcpu_unless_one_is_given() -> None:
    desk = Desk()
    desk.selected = 1
    desk.run("irq 27 up")
    desk.run("irq 27 up 0")
    desk.run("irq 27 down vcpu1")
    assert desk.applied == [op.Line(27, 1, 1), op.Line(27, 1, 0), op.Line(27, 0, 1)]


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("irq 33 up", op.Line(33, 1)),
        ("irq 33 down", op.Line(33, 0)),
        ("irq 33 pulse", op.Line(33, 1, pulse=True)),
        ("irq 33 p", op.Line(33, 1, pulse=True)),
    ],
)
def test_a_line_is_driven(typed: str, line: op.Line) -> None:
    desk = Desk()
    desk.run(typed)
    assert desk.applied == [line]


def test_a_driven_line_says_what_came_of_it() -> None:
    desk = Desk()
    desk.domain.apply(op.Write(0, GICD, 0x800 + 33, 1, 2))
    order = desk.domain.order + 1
    assert desk.run("irq 33 pulse") == f"irq33_uart0: one pulse; order {order}; outputs: vcpu1 irq"


def test_a_driven_line_without_consequence_leads_to_why() -> None:
    assert desk_tail(Desk(ready=False), "irq 33 pulse") == (
        "It is not signalled: `monitor why 33` tells what holds it back."
    )


def desk_tail(desk: Desk, typed: str) -> str:
    return desk.run(typed).splitlines()[-1]


def test_an_sgi_has_no_line_and_what_it_says_to_write_sends_it() -> None:
    desk = Desk()
    desk.selected = 1
    said = desk.run("irq 3 up")
    assert "irq3 is an SGI: software sends it, and it has no line." in said
    found = re.search(r"gicd\.SGIR = (0x[0-9a-f]+)` sends it to vCPU 1", said)
    assert found
    desk.domain.apply(op.Write(0, GICD, 0xF00, 4, int(found[1], 16)))
    assert desk.domain.apply(op.Read(1, GICC, 0xC, 4)).value == 3


def test_interrupts_in_which_something_goes_on_are_listed_and_quiet_ones_counted() -> None:
    said = busy().run("irq").splitlines()
    assert tuple(said[0].split()) == COLUMNS
    listed = [line.split()[0] for line in said[1 : said.index("")]]
    assert listed == ["3", "27", "3", *map(str, range(33, 41)), "42"]
    assert said[said.index("") + 1 :] == [
        "Enabled and quiet:",
        "  of vCPU 0  0-2 4-26 28-31",
        "  of vCPU 1  0-2 4-31",
        "  SPIs       32 41 43-95",
    ]
    assert (
        Desk(ready=False).run("irq").startswith("No interrupt is pending, active, listed, tied or has its line high.")
    )


def test_list_registers_are_shown_in_fields() -> None:
    desk = Desk()
    take(desk.domain, 27, 0x40)
    said = desk.run("lrs")
    assert said.startswith("vCPU 0: inside the guest, 1 of 4 list registers used\n")
    assert "LR0  0x2408001b  irq27_vtimer active prio 0x40 reports EOI" in said
    assert "LR1  0x00000000  free" in said


def test_a_list_register_whose_interrupt_has_ended_is_free() -> None:
    desk = Desk()
    take(desk.domain, 42, 0x40)
    desk.domain.apply(op.Write(0, GICC, 0x10, 4, 42))
    said = desk.run("lrs")
    assert said.startswith("vCPU 0: inside the guest, 0 of 4 list registers used\n")
    assert "free, held irq42" in said


def test_all_list_registers_are_shown_on_request() -> None:
    assert [line[:6] for line in Desk().run("lrs all").splitlines() if line.startswith("vCPU")] == ["vCPU 0", "vCPU 1"]


def test_state_shows_nesting_and_what_waits_for_a_list_register() -> None:
    said = busy().run("state")
    assert "test: profile virt, variant correct, automatic mode" in said
    row = next(line for line in said.splitlines() if line.startswith("   0"))
    assert "irq27_vtimer irq42" in row
    assert "+" in row.split("irq42")[1], "more wait than are named"
    assert "distributor on; 2 vCPUs, 64 SPIs, 4 list registers each" in said


def test_vgic_state_is_kvms_table_and_xen_state_xens() -> None:
    desk = busy()
    assert desk.run("vgic-state") + "\n" == desk.domain.apply(op.Dump(1)).value
    assert desk.run("xen-state") + "\n" == desk.domain.apply(op.Dump(0)).value
    assert Desk().run("xen-state") == "No vCPU has an interrupt queued."


def test_stats_count_faults_by_register() -> None:
    desk = Desk()
    desk.domain.apply(op.Read(0, GICD, 0x2, 2))
    assert re.search(r" +1  fault\.width\.GICD_CTLR", desk.run("stats"))


def test_version_begins_as_programs_expect_it() -> None:
    assert Desk().run("version").startswith("vgicd 0; domain test\n")


# --- acting -----------------------------------------------------------------------------------------------------------


def test_worlds_are_switched_by_hand_in_explicit_mode() -> None:
    desk = Desk()
    desk.domain.apply(op.Write(0, GICD, 0x800 + 33, 1, 1))
    assert desk.run("mode explicit").startswith("explicit mode; inside the guest: no vCPU\n")
    desk.run("irq 33 pulse")
    entered = desk.run("enter")
    assert entered.startswith("vCPU 0 is inside the guest; order ")
    assert "LR0  0x10000021  irq33_uart0 pending prio 0x00" in entered
    assert "is inside the guest" in desk.run("mode automatic"), "refused with the domain's own sentence"
    assert "irq33_uart0 pending" in desk.run("exit 0")
    assert desk.run("mode auto").startswith("automatic mode; inside the guest: 0 1")


def test_entering_twice_is_refused() -> None:
    desk = Desk()
    desk.run("mode explicit")
    desk.run("enter 1")
    assert desk.run("enter 1").lower() == "vcpu 1 is inside the guest already."


def test_reset_builds_the_domain_anew() -> None:
    desk = busy()
    assert desk.run("reset").startswith("the domain is as it was created; order ")
    assert not desk.domain.vgic.enabled


def test_time_goes_to_a_moment_or_on_by_some() -> None:
    desk = Desk()
    assert desk.run("time 1000").startswith("virtual time 1000 ticks of ")
    assert desk.run("time +0x10").startswith("virtual time 1016 ticks")
    assert "does not go back" in desk.run("time 7")
    assert desk.domain.now == 1016


def test_a_vcpu_is_powered_off_and_on() -> None:
    desk = Desk()
    assert desk.run("power 1 off").startswith("vCPU 1 is off; order ")
    assert not desk.domain.vgic.vcpus[1].powered
    assert re.search(r"^ +1  off ", desk.run("state"), re.MULTILINE)
    desk.run("power 1 on")
    assert desk.domain.vgic.vcpus[1].powered


# --- trace, freeze, why -----------------------------------------------------------------------------------------------


def test_trace_is_switched_by_kind() -> None:
    desk = Desk()
    desk.run("trace ack eoi")
    assert desk.mask == 1 << EventKind.ACK | 1 << EventKind.EOI
    assert desk.run("trace").startswith("trace on: ack eoi\n")
    desk.run("trace on")
    assert desk.mask == (1 << len(EventKind)) - 1
    assert desk.run("trace off").startswith("trace off; ")
    assert desk.mask == 0


def test_trace_in_non_stop_is_refused_with_what_to_use_instead() -> None:
    desk = Desk()
    desk.streams = False
    said = desk.run("trace on")
    assert desk.mask == 0
    for instead in ("dprintf", "vgicctl watch", "set non-stop off"):
        assert instead in said
    assert desk.run("trace off").startswith("trace off")


def test_freeze_says_what_it_means_and_is_changed() -> None:
    desk = Desk()
    assert desk.run("freeze") == "freeze auto: the guest is held while its vCPUs are stopped here\nheld by nobody"
    assert desk.run("freeze on") == "freeze is on now"
    desk.holder = "gdb#1"
    assert desk.run("freeze on") == "The guest is frozen already."
    assert desk.run("freeze").splitlines()[1] == "held by gdb#1"


def test_why_tells_the_last_refusal_and_who_holds_the_guest() -> None:
    desk = Desk()
    by_itself = "Addresses that `info mem` does not list gdb refuses by itself, without asking."
    here = "Here: all-stop: vcpu0 stopped, vcpu1 stopped."
    assert desk.run("why").splitlines() == ["Nothing was refused.", by_itself, "The guest runs.", here]
    desk.refusal = "That was too much."
    assert desk.run("why").splitlines()[0] == "Last refusal: That was too much."
    desk.refused = "a write of 4 bytes to GICC_IAR (0x801000c)"
    desk.holder = "gdb#1"
    assert desk.run("why").splitlines() == [
        "Last refusal: a write of 4 bytes to GICC_IAR (0x801000c): That was too much.",
        by_itself,
        "The guest does not run: gdb#1 holds it.",
        "`continue` lets it go on, and so does `detach`.",
        here,
    ]
    desk.mode = "on"
    assert "`continue` does after `monitor freeze auto`" in desk.run("why")


def test_why_names_everybody_who_holds_the_guest() -> None:
    """gdb#1 asks, and gdb#11 is another."""
    desk = Desk()
    desk.holder = "gdb#11"
    assert desk.run("why").splitlines()[2:4] == [
        "The guest does not run: gdb#11 holds it.",
        "It goes on when gdb#11 continues, detaches or is gone; `info os clients` shows who that is.",
    ]
    desk.holder = "gdb#1 gdb#2 gdb#11"
    assert desk.run("why").splitlines()[2:5] == [
        "The guest does not run: gdb#1, gdb#2 and gdb#11 hold it.",
        "`continue` lets it go on, and so does `detach`.",
        "It goes on when gdb#2 and gdb#11 continue, detach or are gone; `info os clients` shows who that is.",
    ]
    assert desk.run("freeze").splitlines()[1] == "held by gdb#1, gdb#2 and gdb#11"


def test_a_name_that_two_interrupts_have_is_asked_about() -> None:
    desk = Desk(names={33: "uart0", 34: "uart0", 35: "irq36"})
    assert desk.run("why uart0").startswith("'uart0' names irq33 and irq34: write which.")
    assert desk.run("why irq34_uart0").startswith("irq34_uart0 is not signalled")
    assert desk.run("irq irq36").startswith("irq36"), "an INTID is not hidden by a name"


def test_what_the_protocol_calls_otherwise_is_said_in_commands() -> None:
    desk = Desk()
    desk.run("mode explicit")
    assert desk.run("exit 1") == "vCPU 1 is outside the guest: `monitor enter 1` first."
    with pytest.raises(Refused) as outside:
        desk.target.apply(op.Gich(0, 0, 0))
    assert outside.value.text == "vCPU 0 is outside the guest: `monitor enter 0` first."
    desk.run("enter 1")
    assert desk.run("power 1 off") == "vCPU 1 is inside the guest: `monitor exit 1` first."
    assert desk.run("mode automatic") == (
        "vCPU 1 is inside the guest: `monitor exit` every vCPU that is before automatic mode."
    )
    desk.run("power 0 off")
    assert desk.run("enter 0") == "vCPU 0 is powered off: `monitor power 0 on` first."


def test_why_of_an_interrupt_says_so_too_when_the_guest_is_held() -> None:
    desk = Desk()
    desk.domain.apply(op.Write(0, GICD, 0x800 + 33, 1, 1))
    desk.run("irq 33 pulse")
    desk.holder = "gdb#1"
    said = desk.run("why uart0")
    assert said.startswith("irq33_uart0 is signalled to vCPU 0")
    assert "The guest does not run: gdb#1 holds it" in said


def test_why_of_a_ppi_is_about_the_selected_vcpu() -> None:
    desk = Desk()
    desk.selected = 1
    assert desk.run("why 27").startswith("irq27_vtimer is not signalled to vCPU 1: one thing holds it back.")
    assert "Asked of vCPU 1" in desk.run("why 27")
    assert "`monitor why 27 0`" in " ".join(desk.run("why 27").split())
    assert desk.run("why 27 0").startswith("irq27_vtimer is not signalled to vCPU 0")
    assert "Asked of" not in desk.run("why 27 0")


@pytest.mark.parametrize("clean", [str.upper, str.title])
def test_case_does_not_matter(clean: Callable[[str], str]) -> None:
    assert Desk().run(clean("mode automatic")) == Desk().run("mode automatic")
