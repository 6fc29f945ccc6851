"""The places where a vCPU goes on when an interrupt has ended: what `finish` waits for."""

from __future__ import annotations

import pytest

from tests.unit.gdbstub.rsp import GICC, GICD, World, op

GO = b"vCont;c:p1.-1"


def raise_ppi(world: World, intid: int, vcpu: int) -> None:
    world.guest(op.Line(intid, 1, vcpu))


def test_finish_stops_where_the_interrupted_interrupt_goes_on() -> None:
    world = World()
    for intid, priority in ((27, 0x10), (30, 0x80)):
        world.guest(op.Write(0, GICD, 0x400 + intid, 1, priority))
    for intid in (30, 27):
        raise_ppi(world, intid, 0)
        assert world.acknowledge(0) == intid
    gdb = world.debugger()
    gdb.connect()
    back = gdb.target.layout.slot(30) + 12
    assert gdb.ask(b"Z0,%x,1" % back) == "OK"
    gdb.tell(GO)
    world.guest(op.Line(27, 0, 0))
    assert gdb.told() == []
    world.write(0, GICC, 0x10, 27)
    assert gdb.told() == ["T05swbreak:;thread:p1.1;core:0;"]
    assert gdb.pc(0) == back


@pytest.mark.parametrize("eoi_mode", [0, 1])
def test_finish_stops_in_idle_where_the_last_active_interrupt_has_ended(eoi_mode: int) -> None:
    """At the one access that ends it, and once."""
    world = World()
    world.write(0, GICC, 0x00, 1 | eoi_mode << 9)
    for vcpu in (0, 1):
        raise_ppi(world, 27, vcpu)
        assert world.acknowledge(vcpu) == 27
    gdb = world.debugger()
    gdb.connect()
    back = gdb.target.layout.idle + 8
    assert gdb.ask(b"Z0,%x,1" % back) == "OK"
    gdb.tell(GO)
    for vcpu in (0, 1):
        world.guest(op.Line(27, 0, vcpu))
    world.write(0, GICC, 0x10, 27)
    if eoi_mode:
        assert gdb.told() == [], "only its priority has been dropped"
        world.write(0, GICC, 0x1000, 27)
    assert gdb.told() == ["T05swbreak:;thread:p1.1;core:0;"]
    assert gdb.pc(0) == back
    assert gdb.pc(1) == gdb.target.layout.idle + 12
    assert gdb.tell(GO) == [], "its end was one stop, though it was two events"
    world.write(1, GICC, 0x10, 27)
    assert gdb.told() == ["T05swbreak:;thread:p1.2;core:1;"]


def test_what_a_debugger_makes_active_at_a_stop_is_in_its_backtrace() -> None:
    world = World()
    raise_ppi(world, 27, 0)
    world.acknowledge(0)
    gdb = world.debugger()
    gdb.connect()
    idle = gdb.target.layout.idle
    assert gdb.ask(b"Z0,%x,1" % (idle + 8)) == "OK"
    gdb.tell(GO)
    world.write(0, GICC, 0x10, 27)
    assert gdb.told()
    assert gdb.pc(0) == idle + 8
    assert world.acknowledge(0) == 27, "its line is still high"
    assert gdb.pc(0) == idle + 12
