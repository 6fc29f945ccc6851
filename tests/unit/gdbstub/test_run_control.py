"""Stopping and going on, packet by packet; the rules whose breach makes a real gdb abort among them."""

from __future__ import annotations

import pytest

from tests.unit.gdbstub.rsp import EVERYTHING, GICC, GICD, World, op
from vgicd.domain.config import DomainConfig
from vgicd.gdbstub.stub import StubOptions
from vgicd.gdbstub.target import Refused

GO = b"vCont;c:p1.-1"
ISENABLER1 = 0x08000104


def raise_ppi(world: World, intid: int, vcpu: int) -> None:
    world.guest(op.Line(intid, 1, vcpu))


# --- all-stop ---------------------------------------------------------------------------------------------------------


def test_attaching_stops_and_holds_everything() -> None:
    gdb = World().debugger()
    assert gdb.connect() == "T05thread:p1.1;core:0;"
    assert gdb.target.held == EVERYTHING
    assert gdb.stub.awaiting


def test_continuing_releases_and_answers_only_when_something_stops() -> None:
    gdb = World().debugger()
    gdb.connect()
    assert gdb.tell(GO) == []
    assert gdb.target.held == 0


def test_a_breakpoint_stops_the_vcpu_it_happens_to_at_its_address() -> None:
    world = World()
    gdb = world.debugger()
    gdb.connect()
    gdb.break_at("irq27_ack")
    gdb.tell(GO)
    raise_ppi(world, 27, 2)
    assert gdb.told() == []
    world.acknowledge(2)
    assert gdb.told() == ["T05swbreak:;thread:p1.3;core:2;"]
    assert gdb.target.held == EVERYTHING
    assert gdb.pc(2) == gdb.address("irq27_ack")
    assert gdb.pc(0) == gdb.address("idle")


def test_a_stop_reply_selects_its_thread_without_being_asked() -> None:
    """gdb does not send Hg again (facts of pyOCD's bug 1836): conditions would be evaluated on the wrong vCPU."""
    world = World()
    gdb = world.debugger()
    gdb.connect()
    gdb.break_at("irq27_raise")
    gdb.tell(GO)
    raise_ppi(world, 27, 3)
    gdb.told()
    assert gdb.ask(b"qC") == "QCp1.4"


@pytest.mark.parametrize("vcpu", range(4))
def test_a_step_over_is_answered_at_once_for_the_thread_that_was_stepped(vcpu: int) -> None:
    """Naming another thread aborts gdb in finish_step_over; not answering hangs it."""
    world = World()
    gdb = world.debugger()
    gdb.connect()
    gdb.break_at("irq27_raise")
    gdb.tell(GO)
    raise_ppi(world, 27, vcpu)
    gdb.told()
    assert gdb.tell(b"vCont;s:p1.%x" % (vcpu + 1)) == [f"T05thread:p1.{vcpu + 1};core:{vcpu};"]
    assert gdb.target.held == EVERYTHING, "nobody ran for it"
    assert gdb.pc(vcpu) == gdb.address("idle")


def test_a_users_step_ends_at_the_next_access_of_its_vcpu() -> None:
    world = World()
    gdb = world.debugger()
    gdb.connect()
    assert gdb.tell(b"vCont;s:p1.2;c:p1.-1") == []
    world.write(0, GICD, 0x104, 1)
    assert gdb.told() == []
    world.write(1, GICD, 0x104, 1)
    assert gdb.told() == ["T05thread:p1.2;core:1;"]


def test_what_one_operation_reaches_is_told_stop_by_stop_if_still_set() -> None:
    world = World()
    gdb = world.debugger()
    gdb.connect()
    for symbol in ("irq27_raise", "irq27_pend", "irq27_load"):
        gdb.break_at(symbol)
    gdb.tell(GO)
    raise_ppi(world, 27, 1)
    assert gdb.told() == ["T05swbreak:;thread:p1.2;core:1;"]
    assert gdb.pc(1) == gdb.address("irq27_raise")
    gdb.ask(b"z0,%x,1" % gdb.address("irq27_pend"))
    assert gdb.tell(GO) == ["T05swbreak:;thread:p1.2;core:1;"]
    assert gdb.pc(1) == gdb.address("irq27_load")
    assert gdb.tell(GO) == []


def test_ctrl_c_stops_a_running_guest() -> None:
    gdb = World().debugger()
    gdb.connect()
    gdb.tell(GO)
    gdb.stub.receive(b"\x03")
    assert gdb.told() == ["T02thread:p1.1;core:0;"]
    assert gdb.target.held == EVERYTHING


def test_ctrl_c_that_crosses_a_stop_counts_when_gdb_goes_on() -> None:
    """Else a breakpoint whose condition never holds, and which is hit all the time, would make gdb deaf to Ctrl-C."""
    world = World()
    gdb = world.debugger()
    gdb.connect()
    gdb.break_at("irq27_raise")
    gdb.tell(GO)
    raise_ppi(world, 27, 2)
    gdb.stub.receive(b"\x03")
    assert gdb.told() == ["T05swbreak:;thread:p1.3;core:2;"]
    assert gdb.ask(b"vCont;s:p1.3") == "T05thread:p1.3;core:2;"
    assert gdb.tell(GO) == ["T02thread:p1.1;core:0;"]
    assert gdb.tell(GO) == []


def test_with_the_scheduler_locked_the_other_vcpus_stay_held() -> None:
    gdb = World().debugger()
    gdb.connect()
    gdb.tell(b"vCont;c:p1.2")
    assert gdb.target.held == 0b1101


def test_detaching_releases_and_forgets() -> None:
    world = World()
    gdb = world.debugger()
    gdb.connect()
    gdb.break_at("vgic_raise")
    assert gdb.ask(b"D;1") == "OK"
    assert gdb.target.held == 0
    raise_ppi(world, 27, 0)
    assert gdb.told() == []


def test_a_lost_debugger_releases() -> None:
    gdb = World().debugger()
    gdb.connect()
    gdb.stub.close()
    assert gdb.target.held == 0
    assert gdb.stub.mask == 0


# --- watchpoints ------------------------------------------------------------------------------------------------------


def test_a_watch_names_the_vcpu_and_the_address_of_the_access() -> None:
    world = World()
    world.write(0, GICD, 0x184, 0xFFFFFFFF)
    gdb = world.debugger()
    gdb.connect()
    assert gdb.ask(b"Z2,8000100,80") == "OK"
    gdb.tell(GO)
    world.write(2, GICD, 0x104, 0x400)
    assert gdb.told() == ["T05watch:8000104;thread:p1.3;core:2;"]


def test_a_write_that_changes_nothing_is_not_worth_a_stop_but_an_access_is() -> None:
    world = World()
    gdb = world.debugger()
    gdb.connect()
    gdb.ask(b"Z2,8000104,4")
    gdb.tell(GO)
    world.write(0, GICD, 0x104, 0x400)
    assert gdb.told() == [], "it was enabled before"
    gdb.stub.receive(b"\x03")
    gdb.told()
    gdb.ask(b"z2,8000104,4")
    gdb.ask(b"Z4,8000104,4")
    gdb.tell(GO)
    world.write(0, GICD, 0x104, 0x400)
    assert gdb.told() == ["T05awatch:8000104;thread:p1.1;core:0;"]


@pytest.mark.parametrize(("kind", "word"), [(3, "rwatch"), (4, "awatch")])
def test_reads_of_the_guest_are_seen_and_those_of_a_debugger_are_not(kind: int, word: str) -> None:
    world = World()
    gdb, other = world.debugger(), world.debugger()
    other.connect(non_stop=True)
    gdb.connect()
    gdb.ask(b"Z%d,801000c,4" % kind)
    gdb.tell(GO)
    assert other.ask(b"m801000c,4") == "ff030000"
    assert gdb.told() == []
    assert world.acknowledge(1) == 1023
    assert gdb.told() == [f"T05{word}:801000c;thread:p1.2;core:1;"]


def test_a_watch_in_a_vcpus_own_window_is_hit_by_that_vcpu_alone() -> None:
    world = World()
    gdb = world.debugger()
    gdb.connect()
    pmr = gdb.target.at("gicc2", 4)
    gdb.ask(b"Z2,%x,4" % pmr)
    gdb.tell(GO)
    world.write(1, GICC, 4, 0x80)
    assert gdb.told() == []
    world.write(2, GICC, 4, 0x80)
    assert gdb.told() == [f"T05watch:{pmr:x};thread:p1.3;core:2;"]


def test_a_word_access_hits_a_watch_on_one_of_its_bytes_inside_the_range() -> None:
    world = World()
    gdb = world.debugger()
    gdb.connect()
    gdb.ask(b"Z4,800042a,1")
    gdb.tell(GO)
    world.write(0, GICD, 0x428, 0)
    assert gdb.told() == ["T05awatch:800042a;thread:p1.1;core:0;"]


def test_the_write_of_one_debugger_stops_the_other() -> None:
    world = World()
    world.write(0, GICD, 0x184, 0xFFFFFFFF)
    gdb, other = world.debugger(), world.debugger()
    gdb.connect()
    gdb.ask(b"Z2,8000104,4")
    gdb.tell(GO)
    other.connect(non_stop=True)
    assert other.ask(b"M8000104,4:00040000") == "OK"
    assert gdb.told() == ["T05watch:8000104;thread:p1.1;core:0;"]


@pytest.mark.parametrize("packet", [b"Z0,8000104,1", b"Z1,0,1", b"Z2,0,4", b"Z3,8000ffe,4", b"Z4,8000000,0"])
def test_a_place_where_nothing_can_stop_is_refused_and_never_unsupported(packet: bytes) -> None:
    """An empty answer to Z0 makes gdb write 0xCC into the register."""
    gdb = World().debugger()
    gdb.connect()
    assert gdb.ask(packet) == "E01"
    assert gdb.stub.refusal


# --- non-stop ---------------------------------------------------------------------------------------------------------


def test_attaching_in_non_stop_mode_disturbs_nothing() -> None:
    gdb = World().debugger()
    assert gdb.connect(non_stop=True) == "OK"
    assert gdb.target.held == 0


def test_only_the_vcpu_that_stopped_is_held_and_stops_are_told_one_at_a_time() -> None:
    """Two that are told at once abort gdb (mark_async_event_handler)."""
    world = World()
    gdb = world.debugger()
    gdb.connect(non_stop=True)
    gdb.break_at("irq27_raise")
    raise_ppi(world, 27, 1)
    assert gdb.told() == ["%Stop:T05swbreak:;thread:p1.2;core:1;"]
    raise_ppi(world, 27, 3)
    assert gdb.told() == []
    assert gdb.target.held == 0b1010
    assert gdb.ask(b"vStopped") == "T05swbreak:;thread:p1.4;core:3;"
    assert gdb.ask(b"vStopped") == "OK"
    assert gdb.tell(b"vCont;c:p1.2") == ["OK"]
    assert gdb.target.held == 0b1000


def test_a_stopped_thread_reports_nothing_more() -> None:
    world = World()
    gdb = world.debugger()
    gdb.connect(non_stop=True)
    gdb.break_at("vgic_raise")
    raise_ppi(world, 27, 1)
    gdb.told()
    gdb.ask(b"vStopped")
    raise_ppi(world, 30, 1)
    assert gdb.told() == []


def test_a_change_back_by_a_vcpu_that_still_runs_is_a_change() -> None:
    world = World()
    gdb = world.debugger()
    gdb.connect(non_stop=True)
    gdb.tell(b"vCont;t:p1.4")
    gdb.ask(b"vStopped")
    assert gdb.ask(b"Z2,%x,4" % ISENABLER1) == "OK"
    assert gdb.ask(b"Z2,%x,2" % ISENABLER1) == "OK"
    world.write(0, GICD, 0x184, 0xFFFFFFFF)
    gdb.tell(b"vCont;c:p1.4")
    world.write(0, GICD, 0x104, 1)
    assert gdb.told() == ["%Stop:T05watch:8000104;thread:p1.1;core:0;"]
    world.write(1, GICD, 0x184, 1)
    world.write(1, GICD, 0x104, 2)
    world.write(2, GICD, 0x184, 2)
    world.write(2, GICD, 0x104, 2)
    assert gdb.ask(b"vStopped") == "T05watch:8000104;thread:p1.2;core:1;"
    assert gdb.ask(b"vStopped") == "OK", "the third wrote what was there"


def test_stopping_a_thread_on_request_says_ok_first() -> None:
    gdb = World().debugger()
    gdb.connect(non_stop=True)
    assert gdb.tell(b"vCont;t:p1.2") == ["OK", "%Stop:T00thread:p1.2;core:1;"]
    assert gdb.tell(b"vCont;t:p1.2") == ["OK"], "it is stopped already"


def test_a_step_over_in_non_stop_mode_is_notified_for_its_thread() -> None:
    gdb = World().debugger()
    gdb.connect(non_stop=True)
    gdb.tell(b"vCont;t:p1.2")
    gdb.ask(b"vStopped")
    assert gdb.tell(b"vCont;s:p1.2") == ["OK", "%Stop:T05thread:p1.2;core:1;"]
    assert gdb.target.held == 0b0010


def test_the_mode_cannot_change_under_a_gdb() -> None:
    gdb = World().debugger()
    gdb.connect()
    assert gdb.ask(b"QNonStop:1") == "E01"
    assert "before `target remote`" in gdb.stub.refusal


# --- the freeze -------------------------------------------------------------------------------------------------------


def test_with_the_freeze_off_stops_are_told_and_nothing_is_held() -> None:
    world = World()
    gdb = world.debugger(StubOptions(freeze="off"))
    gdb.connect()
    assert gdb.target.held == 0
    gdb.break_at("irq27_raise")
    gdb.tell(GO)
    raise_ppi(world, 27, 0)
    assert gdb.told() == ["T05swbreak:;thread:p1.1;core:0;"]
    assert gdb.target.held == 0


def test_what_was_let_go_is_held_again_by_the_next_stop() -> None:
    gdb = World().debugger()
    gdb.connect()
    gdb.stub.let_go("You were silent for 10 s.")
    assert gdb.target.held == 0
    assert gdb.stub.refusal == "You were silent for 10 s."
    gdb.tell(GO)
    gdb.stub.receive(b"\x03")
    assert gdb.target.held == EVERYTHING


def test_a_guest_that_another_holds_is_said_to_be_held() -> None:
    world = World()
    gdb, other = world.debugger(), world.debugger()
    gdb.connect()
    other.connect()
    (line,) = gdb.tell(GO)
    assert "gdb#2 holds it, too" in bytes.fromhex(line[1:]).decode()


def test_going_on_while_the_freeze_is_on_says_that_nothing_runs() -> None:
    gdb = World().debugger(StubOptions(freeze="off"))
    gdb.connect()
    gdb.stub.set_freeze("on")
    (said,) = gdb.tell(GO)
    assert "`monitor freeze auto`" in bytes.fromhex(said[1:]).decode()
    assert gdb.target.held == EVERYTHING


def test_at_a_stop_the_freeze_is_switched_on_once_and_then_stays() -> None:
    world = World()
    gdb = world.debugger()
    gdb.connect()
    assert gdb.stub.set_freeze("on") == "The guest is held, after `continue` too, until `monitor freeze off` or `auto`."
    with pytest.raises(Refused, match=r"frozen already, by this debugger: `monitor freeze off` or `auto` ends that\.$"):
        gdb.stub.set_freeze("on")
    world.debugger().connect()
    with pytest.raises(Refused, match=r"ends that\. gdb#2 holds it, too\.$"):
        gdb.stub.set_freeze("on")
    gdb.tell(GO)
    assert gdb.target.held == EVERYTHING
    assert gdb.stub.set_freeze("off").endswith(" gdb#2 holds it, whatever this debugger does.")
    assert gdb.target.held == 0
    assert gdb.stub.set_freeze("on").endswith(" gdb#2 holds it, too.")


def test_what_the_watchdog_let_go_may_be_frozen_again() -> None:
    gdb = World().debugger()
    gdb.connect()
    gdb.stub.set_freeze("on")
    gdb.stub.let_go("You were silent for 10 s.")
    gdb.stub.set_freeze("on")
    assert gdb.target.held == EVERYTHING


@pytest.mark.parametrize("chosen", [b"", b"Hc-1", b"Hc0"])
def test_without_vcont_a_step_lets_the_others_go_on(chosen: bytes) -> None:
    world = World()
    gdb = world.debugger()
    gdb.connect()
    gdb.ask(b"Hgp1.3")
    if chosen:
        assert gdb.ask(chosen) == "OK"
    assert gdb.tell(b"s") == []
    world.write(1, GICC, 4, 0x80)
    assert gdb.told() == []
    world.write(2, GICC, 4, 0x80)
    assert gdb.told() == ["T05thread:p1.3;core:2;"]


def test_without_vcont_a_thread_is_chosen_apart_from_the_selected_one() -> None:
    """Else gdb would be answered for a thread that it did not step, and abort."""
    gdb = World().debugger()
    gdb.connect()
    gdb.ask(b"Hgp1.1")
    gdb.ask(b"Hcp1.4")
    assert gdb.ask(b"s") == "T05thread:p1.4;core:3;"
    assert gdb.tell(b"c") == []
    assert gdb.target.held == 0b0111


# --- what no gdb sends, and resets ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "packet", [b"vCont;c:p1.5", b"vCont;c:ffffffff", b"vCont;s:p1.9;c", b"vCont;s:" + b"f" * 9000, b"Hg" + b"9" * 9000]
)
def test_a_thread_that_does_not_exist_cannot_go_on(packet: bytes) -> None:
    gdb = World().debugger()
    gdb.connect("error-message+")
    assert "no thread" in gdb.ask(packet)
    assert len(gdb.stub.refusal) < 200
    assert gdb.target.held == EVERYTHING


def test_why_it_stopped_stays_the_answer_until_it_goes_on() -> None:
    world = World()
    gdb = world.debugger()
    gdb.connect()
    assert gdb.ask(b"Z2,%x,4" % ISENABLER1) == "OK"
    gdb.tell(GO)
    world.write(3, GICD, 0x184, 0xFFFF)
    world.write(3, GICD, 0x104, 1)
    (told,) = gdb.told()
    assert gdb.ask(b"?") == told


def test_asking_why_stops_what_runs() -> None:
    gdb = World().debugger()
    gdb.connect()
    gdb.tell(GO)
    assert gdb.ask(b"?") == "T05thread:p1.1;core:0;"
    assert gdb.target.held == EVERYTHING


def test_a_hardware_breakpoint_is_called_one() -> None:
    world = World()
    gdb = world.debugger()
    gdb.connect()
    gdb.ask(b"Z1,%x,1" % gdb.address("irq27_raise"))
    gdb.tell(GO)
    raise_ppi(world, 27, 1)
    assert gdb.told() == ["T05hwbreak:;thread:p1.2;core:1;"]


def test_a_gdb_that_attaches_again_holds_again() -> None:
    gdb = World().debugger()
    gdb.connect()
    assert gdb.ask(b"D;1") == "OK"
    assert gdb.target.held == 0
    assert gdb.ask(b"vAttach;1") == "T05thread:p1.1;core:0;"
    assert gdb.target.held == EVERYTHING


def test_a_vcpu_whose_stop_gdb_has_not_taken_stays_where_it_is() -> None:
    """gdb lets everybody go on while a stop is on its way to it: of the vCPU that stopped it does not mean that."""
    world = World()
    gdb = world.debugger()
    assert gdb.connect(non_stop=True) == "OK"
    gdb.break_at("irq27_raise")
    raise_ppi(world, 27, 0)
    raise_ppi(world, 27, 1)
    assert gdb.told() == ["%Stop:T05swbreak:;thread:p1.1;core:0;"]
    assert gdb.tell(b"vCont;c") == ["OK"]
    assert gdb.target.held == 0b11
    assert gdb.ask(b"vStopped") == "T05swbreak:;thread:p1.2;core:1;"
    assert gdb.ask(b"vStopped") == "OK"
    assert gdb.tell(b"vCont;c") == ["OK"]
    assert gdb.target.held == 0


def test_ctrl_c_in_non_stop_mode_finds_a_vcpu_that_runs() -> None:
    gdb = World(vcpus=2).debugger()
    gdb.connect(non_stop=True)
    gdb.tell(b"vCont;t:p1.1")
    gdb.ask(b"vStopped")
    assert gdb.tell(b"vCtrlC") == ["OK", "%Stop:T02thread:p1.2;core:1;"]


def test_a_reset_with_more_vcpus_leaves_all_of_them_running() -> None:
    world = World(vcpus=2)
    gdb = world.debugger()
    gdb.connect()
    gdb.break_at("vgic_raise")
    gdb.tell(GO)
    world.guest(op.Reset(DomainConfig(vcpus=4)))
    raise_ppi(world, 27, 3)
    assert gdb.told() == ["T05swbreak:;thread:p1.4;core:3;"]
    gdb.tell(GO)
    assert gdb.target.held == 0


def test_a_reset_with_fewer_vcpus_leaves_one_to_interrupt() -> None:
    world = World(vcpus=4)
    gdb = world.debugger()
    gdb.connect()
    gdb.tell(b"vCont;c:p1.4")
    world.guest(op.Reset(DomainConfig(vcpus=2)))
    gdb.stub.receive(b"\x03")
    assert gdb.told() == ["T02thread:p1.1;core:0;"]


def test_watchpoints_whose_place_a_reset_took_away_are_never_reached() -> None:
    world = World(vcpus=4)
    gdb = world.debugger()
    gdb.connect()
    of_vcpu3 = next(window.base for window in gdb.target.layout.windows if window.name == "gicc3")
    assert gdb.ask(b"Z2,%x,4" % (of_vcpu3 + 4)) == "OK"
    assert gdb.ask(b"Z2,%x,4" % ISENABLER1) == "OK"
    gdb.tell(GO)
    world.guest(op.Reset(DomainConfig(vcpus=2)))
    world.write(1, GICC, 4, 0x80)
    assert gdb.told() == []
    world.write(1, GICD, 0x104, 0x100)
    assert gdb.told() == ["T05watch:8000104;thread:p1.2;core:1;"]


def test_watchpoints_have_a_limit() -> None:
    gdb = World().debugger()
    gdb.connect("error-message+")
    answers = [gdb.ask(b"Z4,%x,1" % (0x08000000 + n)) for n in range(300)]
    assert answers[:256] == ["OK"] * 256
    assert answers[256].startswith("E.There are 256 watchpoints")
    assert gdb.ask(b"Z4,8000000,1") == "OK"


def test_breakpoints_are_where_they_were_after_a_reset_with_other_spis() -> None:
    world = World(vcpus=2, spis=64)
    gdb = world.debugger()
    gdb.connect()
    before = {name: at for name, at, _ in gdb.target.layout.symbols({})}
    gdb.break_at("vgic_raise")
    gdb.tell(GO)
    world.guest(op.Reset(DomainConfig(vcpus=2, spis=32)))
    after = {name: at for name, at, _ in gdb.target.layout.symbols({})}
    assert after.items() < before.items()
    raise_ppi(world, 27, 1)
    assert gdb.told() == ["T05swbreak:;thread:p1.2;core:1;"]


def test_stops_of_vcpus_that_a_reset_took_away_are_not_told_any_more() -> None:
    world = World(vcpus=4)
    gdb = world.debugger()
    gdb.connect(non_stop=True)
    assert gdb.tell(b"vCont;t:p1.-1") == ["OK", "%Stop:T00thread:p1.1;core:0;"]
    world.guest(op.Reset(DomainConfig(vcpus=2)))
    assert gdb.ask(b"vStopped") == "T00thread:p1.2;core:1;"
    assert gdb.ask(b"vStopped") == "OK"


def test_what_was_kept_for_a_vcpu_that_a_reset_took_away_is_dropped() -> None:
    world = World(vcpus=4)
    gdb = world.debugger()
    gdb.connect()
    gdb.break_at("irq27_raise")
    gdb.break_at("vgic_raise")
    gdb.tell(GO)
    raise_ppi(world, 27, 3)
    assert gdb.told() == ["T05swbreak:;thread:p1.4;core:3;"]
    world.guest(op.Reset(DomainConfig(vcpus=2)))
    assert gdb.tell(GO) == []
