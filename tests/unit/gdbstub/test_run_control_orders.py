"""Stopping and going on in any order: what a gdb may rely on, whatever it and the guest do."""

from __future__ import annotations

import random
import re

import pytest

from tests.unit.gdbstub.rsp import EVERYTHING, GICC, GICD, Debugger, World, op
from vgicd.domain.config import DomainConfig

_THREAD = re.compile(r"thread:p1\.(\d+);")
_SYMBOLS = ("irq27_raise", "irq27_ack", "vgic_eoi", "vgic_pend", "irq34_deactivate", "vgic_output", "vgic_reset")
_WATCHES = (b"2,8000104,4", b"4,8010004,4", b"3,801000c,4", b"4,8000000,1000", b"2,8010004,4")


def disturb(world: World, rng: random.Random, *, resets: bool) -> None:
    """Something that a guest, a device or another client does."""
    vcpu = rng.randrange(len(world.domain.vgic.vcpus))
    match rng.randrange(9):
        case 0 | 1:
            world.guest(op.Line(27, rng.randrange(2), vcpu))
        case 2:
            intid = world.acknowledge(vcpu)
            if intid < 1020:
                world.write(vcpu, GICC, 0x10, intid)
        case 3 | 4:
            world.write(vcpu, GICC, 4, rng.choice((0x80, 0xF8)))
        case 5 | 6:
            world.write(vcpu, GICD, rng.choice((0x104, 0x184)), rng.getrandbits(32))
        case 7:
            world.guest(op.Line(34, rng.randrange(2), op.NO_VCPU))
        case 8 if resets and not rng.randrange(8):
            world.guest(op.Reset(DomainConfig(vcpus=rng.choice((2, 4, 8)), spis=rng.choice((32, 64)))))


def set_something(gdb: Debugger, rng: random.Random) -> None:
    letter = rng.choice((b"Z", b"Z", b"z"))
    if rng.randrange(2):
        gdb.ask(b"%b%d,%x,1" % (letter, rng.randrange(2), gdb.address(rng.choice(_SYMBOLS))))
    else:
        gdb.ask(letter + rng.choice(_WATCHES))


def thread_of(stop: str) -> int:
    found = _THREAD.search(stop)
    assert found, stop
    return int(found[1])


@pytest.mark.parametrize("seed", range(60))
def test_in_all_stop_mode_each_order_to_go_on_is_answered_by_one_stop(seed: int) -> None:
    rng = random.Random(seed)
    world = World(vcpus=4)
    gdb = world.debugger()
    assert gdb.connect().startswith("T05")
    stopped = everybody = True
    for _ in range(400):
        vcpus = len(world.domain.vgic.vcpus)
        told: list[str] = []
        if not stopped:
            if rng.randrange(6):
                disturb(world, rng, resets=True)
                told = gdb.told()
            else:
                gdb.stub.receive(b"\x03")
                told = gdb.told()
                assert len(told) == 1, "Ctrl-C is answered"
        else:
            match rng.randrange(8):
                case 0 | 1:
                    set_something(gdb, rng)
                case 2:
                    disturb(world, rng, resets=True)  # what was under way when everything stopped
                    assert gdb.told() == [], "a stopped target says nothing"
                case 3:
                    gdb.stub.receive(b"\x03")
                    assert gdb.told() == []
                case 4:
                    thread = rng.randrange(vcpus) + 1
                    (answer,) = gdb.tell(b"vCont;s:p1.%x" % thread)
                    assert thread_of(answer) == thread, "a step is answered for its thread"
                case 5:
                    thread = rng.randrange(vcpus) + 1
                    stopped, everybody = False, True
                    told = gdb.tell(b"vCont;s:p1.%x;c:p1.-1" % thread)
                case 6:
                    stopped = everybody = False
                    told = gdb.tell(b"vCont;c:p1.%x" % (rng.randrange(vcpus) + 1))
                case 7:
                    stopped, everybody = False, True
                    told = gdb.tell(b"vCont;c:p1.-1")
        assert len(told) <= 1, "one stop for one order"
        if told:
            stopped = True
            assert 1 <= thread_of(told[0]) <= len(world.domain.vgic.vcpus)
            assert gdb.ask(b"qC") == f"QCp1.{thread_of(told[0])}"
        if stopped or everybody:
            assert gdb.target.held == (EVERYTHING if stopped else 0)
    gdb.stub.close()
    assert gdb.target.held == 0


@pytest.mark.parametrize("seed", range(60))
def test_in_non_stop_mode_a_vcpu_stops_and_goes_on_by_turns(seed: int) -> None:
    rng = random.Random(seed)
    world = World(vcpus=4)
    gdb = world.debugger()
    assert gdb.connect(non_stop=True) == "OK"
    running = set(range(1, 5))  # as gdb knows
    outstanding = False

    def hear(packets: list[str]) -> list[str]:
        """Take notifications out of what came; what is left."""
        nonlocal outstanding
        for packet in packets:
            if packet.startswith("%Stop:"):
                assert not outstanding, "only one notification at a time"
                outstanding = True
                running.remove(thread_of(packet))  # KeyError: it had stopped already
        return [packet for packet in packets if not packet.startswith("%Stop:")]

    for _ in range(400):
        match rng.randrange(8):
            case 0 | 1 | 2:
                disturb(world, rng, resets=False)
                assert hear(gdb.told()) == []
            case 3:
                assert len(hear(gdb.tell(rng.choice((b"Z", b"z")) + rng.choice(_WATCHES)))) == 1
            case 4 if outstanding:
                outstanding = False
                (answer,) = hear(gdb.tell(b"vStopped"))
                while answer != "OK":
                    running.remove(thread_of(answer))
                    (answer,) = hear(gdb.tell(b"vStopped"))
            case 5:
                thread = rng.randrange(4) + 1
                assert hear(gdb.tell(b"vCont;t:p1.%x" % thread)) == ["OK"]
            case 6 if not outstanding:
                stopped = sorted(set(range(1, 5)) - running)
                if stopped:
                    thread = rng.choice(stopped)
                    running.add(thread)
                    assert hear(gdb.tell(b"vCont;%b:p1.%x" % (rng.choice((b"c", b"s")), thread))) == ["OK"]
            case 7 if not outstanding:
                running = {1, 2, 3, 4}
                assert hear(gdb.tell(b"vCont;c")) == ["OK"]
        stopped_mask = sum(1 << thread - 1 for thread in {1, 2, 3, 4} - running)
        assert gdb.target.held & stopped_mask == stopped_mask, "what gdb knows to be stopped is held"
        if not outstanding:
            assert gdb.target.held == stopped_mask, "and nothing else is"
    gdb.stub.close()
    assert gdb.target.held == 0
