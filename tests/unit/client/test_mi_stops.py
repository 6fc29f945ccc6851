"""Stops, threads and breakpoints out of records of gdb 13.1."""

from __future__ import annotations

import pytest

from vgicd_client.mi_records import Notice, Result, parse
from vgicd_client.mi_stops import Breakpoint, Frame, Stop, breakpoint_of, stop_of, thread_of

FRAME = b'frame={addr="0x10004c",func="idle",args=[],arch="i386:x86-64"},thread-id="3",stopped-threads="all",core="2"'


def stop(line: bytes) -> Stop:
    record = parse(b"*stopped," + line)
    assert isinstance(record, Notice)
    return stop_of(record.payload)


def payload(line: bytes) -> dict[str, object]:
    record = parse(b"1^done," + line)
    assert isinstance(record, Result)
    return record.payload


def test_a_watchpoint_tells_what_changed_and_which_vcpu_did_it() -> None:
    hit = stop(
        b'reason="watchpoint-trigger",wpt={number="1",exp="GICD_ISENABLER1"},value={old="0",new="1024"},' + FRAME
    )
    assert (hit.reason, hit.breakpoint, hit.expression) == ("watchpoint-trigger", 1, "GICD_ISENABLER1")
    assert (hit.old, hit.new, hit.vcpu, hit.thread) == ("0", "1024", 2, 3)
    assert (hit.function, hit.address, hit.threads) == ("idle", 0x10004C, None)


def test_an_access_without_change_has_no_old_value() -> None:
    """gdb puts the watchpoint before the reason then."""
    hit = stop(b'hw-awpt={number="2",exp="x"},reason="access-watchpoint-trigger",value={new="11"},' + FRAME)
    assert (hit.reason, hit.breakpoint, hit.old, hit.new) == ("access-watchpoint-trigger", 2, None, "11")


def test_a_read_watchpoint_has_a_value() -> None:
    hit = stop(b'reason="read-watchpoint-trigger",hw-rwpt={number="3",exp="x"},value={value="5"},' + FRAME)
    assert (hit.breakpoint, hit.old, hit.new) == (3, None, "5")


def test_one_access_may_hit_several() -> None:
    hit = stop(
        b'reason="watchpoint-trigger",wpt={number="1",exp="a"},value={old="0",new="1"},reason="watchpoint-trigger",'
        b'wpt={number="2",exp="b"},value={old="0",new="1"},' + FRAME
    )
    assert (hit.reason, hit.breakpoint, hit.breakpoints, hit.expression) == ("watchpoint-trigger", 1, (1, 2), "a")


def test_a_breakpoint_and_a_signal() -> None:
    hit = stop(b'reason="breakpoint-hit",disp="keep",bkptno="4",' + FRAME)
    assert (hit.reason, hit.breakpoint) == ("breakpoint-hit", 4)
    assert stop(b'reason="signal-received",signal-name="SIGINT",' + FRAME).signal == "SIGINT"


def test_a_stop_without_anything_is_a_stop() -> None:
    assert stop(b'stopped-threads=["1","2"]') == Stop("", None, None, "", None, threads=frozenset({1, 2}))


def test_a_thread_is_the_vcpu_of_its_name() -> None:
    record = parse(
        b'1^done,threads=[{id="2",target-id="Thread 1.2",name="vcpu1",details="irq=low lr=0/4",frame={level="0",'
        b'addr="0x4",func="??"},state="stopped",core="7"}]'
    )
    assert isinstance(record, Result)
    thread = thread_of(record.payload["threads"][0])
    assert (thread.number, thread.vcpu, thread.name, thread.details) == (2, 1, "vcpu1", "irq=low lr=0/4")
    assert (thread.running, thread.frame) == (False, Frame(0, "", 4))


def test_breakpoints_of_all_kinds_have_a_number() -> None:
    assert breakpoint_of(payload(b'wpt={number="2",exp="x"}')) == Breakpoint(2, "x")
    assert breakpoint_of(payload(b'hw-awpt={number="3",exp="y"}')) == Breakpoint(3, "y")
    pending = b'bkpt={number="4",type="breakpoint",addr="<MULTIPLE>",original-location="irq42"}'
    assert breakpoint_of(payload(pending)) == Breakpoint(4, "irq42")
    with pytest.raises(ValueError, match="no breakpoint"):
        breakpoint_of({"value": "1"})
