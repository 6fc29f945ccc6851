"""The conversation around stopping: what is offered, documents, files, errors, words, and hostile packets."""

from __future__ import annotations

import random
import struct

import pytest

from tests.unit.gdbstub.local import snapshot
from tests.unit.gdbstub.rsp import GICD, Debugger, World, op
from vgicd.gdbstub import packets
from vgicd.gdbstub.stub import TABLE, StubOptions
from vgicd_protocol.frames import Role

GO = b"vCont;c:p1.-1"


@pytest.fixture
def gdb() -> Debugger:
    debugger = World().debugger()
    debugger.connect()
    return debugger


def test_every_row_is_headed_by_a_question() -> None:
    assert all("?" in row.question for row in TABLE.values())


def test_what_gdb_offers_decides_how_it_is_spoken_to() -> None:
    debugger = World().debugger()
    answer = debugger.ask(b"qSupported:xmlRegisters=i386;vContSupported+")
    assert "PacketSize=20000" in answer
    assert "qXfer:exec-file:read+" in answer
    assert debugger.ask(b"?") == "T05thread:1;core:0;", "no process in thread ids without multiprocess"


def test_acknowledgements_are_given_until_they_are_waived() -> None:
    stub = World().debugger().stub
    stub.receive(packets.encode(b"qC"))
    assert bytes(stub.out) == b"+$QC1#c5"
    stub.receive(b"-" * 1000)
    assert bytes(stub.out) == b"+$QC1#c5", "what is not sent yet is not sent again"
    stub.out.clear()
    stub.receive(b"-" * 1000)
    assert bytes(stub.out) == b"$QC1#c5"
    stub.out.clear()
    stub.receive(packets.encode(b"QStartNoAckMode"))
    assert bytes(stub.out) == b"+$OK#9a"
    stub.out.clear()
    stub.receive(packets.encode(b"qC") + b"-")
    assert bytes(stub.out) == b"$QC1#c5", "gdb says - when it has waited long: nothing is sent again"


def test_a_damaged_packet_is_asked_for_again() -> None:
    stub = World().debugger().stub
    stub.receive(b"$qC#00")
    assert bytes(stub.out) == b"-"


@pytest.mark.parametrize(
    "packet", [b"qTStatus", b"vMustReplyEmpty", b"QThread", b"qRcmdx", b"vContx;c", b"\xff", b"", b"Q"]
)
def test_what_is_not_understood_is_answered_empty(gdb: Debugger, packet: bytes) -> None:
    assert gdb.ask(packet) == ""


def test_names_are_matched_exactly(gdb: Debugger) -> None:
    """A stub that took QThreadEvents for a tracepoint packet made gdb 18 refuse to go on."""
    assert gdb.ask(b"QThreadEvents:1") == "OK"
    assert gdb.ask(b"vCont?") == "vCont;c;C;s;S;t"


@pytest.mark.parametrize(
    "packet",
    [b"m", b"m8000000", b"mzz,4", b"m-1,4", b"M8000000,4:0", b"X8000000,4:abc", b"Hgp2.1", b"Tp1.9", b"Z9,0,4",
     b"Hgp1.9", b"vCont;q", b"p", b"pzz", b"P10=zz", b"p7", b"G00", b"qThreadExtraInfo,p1.9", b"Z0,",
     b"qRcmd,0", b"vAttach;2", b"vRun"],
)  # fmt: skip
def test_what_makes_no_sense_is_an_error_and_changes_nothing(gdb: Debugger, packet: bytes) -> None:
    before = snapshot(gdb.target.domain)
    answers = gdb.tell(packet)
    assert answers == ["E01"] or (packet == b"p7" and len(answers[0]) == 16)
    assert snapshot(gdb.target.domain) == before


def test_a_refusal_is_a_sentence_for_those_who_can_show_it() -> None:
    debugger = World().debugger()
    debugger.connect("error-message+")
    assert debugger.ask(b"M8030100,4:00000010").startswith("E.")
    assert "explicit mode" in debugger.stub.refusal


def test_documents_stay_the_same_from_their_first_part_to_their_last(gdb: Debugger) -> None:
    whole = gdb.ask(b"qXfer:threads:read::0,4000")
    assert whole.startswith("l<?xml")
    parts, answer = "", "m"
    while answer.startswith("m"):
        answer = gdb.ask(b"qXfer:threads:read::%x,20" % len(parts))
        parts += answer[1:]
        gdb.target.domain.apply(op.Write(0, GICD, 0, 4, 1))
    assert parts == whole[1:]


def test_documents_that_are_left_in_the_middle_do_not_pile_up(gdb: Debugger) -> None:
    for number in range(50):
        gdb.ask(b"qXfer:osdata:read:table%d:0,1" % number)
    assert gdb.stub.document[0] == b"osdata:table49"


def test_the_symbol_file_is_read_as_gdb_reads_it(gdb: Debugger) -> None:
    name = gdb.ask(b"qXfer:exec-file:read:1:0,1000")[1:]
    assert gdb.ask(b"vFile:setfs:0") == "F0"
    opened = gdb.ask(b"vFile:open:" + name.encode().hex().encode() + b",0,0")
    descriptor = opened.removeprefix("F")
    count, _, stat = gdb.ask(b"vFile:fstat:" + descriptor.encode()).partition(";")
    raw = stat.encode("latin-1")
    assert int(count[1:], 16) == len(raw) == 64
    size = struct.unpack(">7I3Q3I", raw)[7]
    data = b""
    while len(data) < size:
        answer = gdb.ask(b"vFile:pread:%s,%x,%x" % (descriptor.encode(), 0x4000, len(data)))
        head, _, part = answer.partition(";")
        assert int(head[1:], 16) == len(part) > 0
        data += part.encode("latin-1")
    assert data[:4] == b"\x7fELF"
    assert data == gdb.stub.symbols.data
    assert gdb.ask(b"vFile:close:" + descriptor.encode()) == "F0"
    assert gdb.ask(b"vFile:pread:" + descriptor.encode() + b",1,0") == "F-1,9"


@pytest.mark.parametrize(
    ("packet", "answer"),
    [(b"vFile:open:2f6574632f706173737764,0,0", "F-1,2"), (b"vFile:open:2f76676963642e656c66,1,0", "F-1,d"),
     (b"vFile:fstat:5", "F-1,9"), (b"vFile:open:zz,0,0", "F-1,16"), (b"vFile:unlink:2f", ""),
     (b"vFile:pread:5", "F-1,9")],
)  # fmt: skip
def test_there_is_no_other_file_and_none_to_write(gdb: Debugger, packet: bytes, answer: str) -> None:
    assert gdb.ask(packet) == answer


def test_writes_are_the_selected_vcpus(gdb: Debugger) -> None:
    gdb.ask(b"Hgp1.3")
    assert gdb.ask(b"M8010004,4:80000000") == "OK"
    assert [vcpu.gich.pmr for vcpu in gdb.target.domain.vgic.vcpus] == [0xF8, 0xF8, 0x80, 0xF8]
    assert gdb.ask(b"m8010004,4") == "80000000"
    gdb.ask(b"Hgp1.1")
    assert gdb.ask(b"m8010004,4") == "f8000000"


def test_a_binary_write_says_what_its_bytes_say(gdb: Debugger) -> None:
    assert gdb.ask(b"X8000420,4:#$}*") == "OK"
    assert gdb.ask(b"x8000420,4") == "b" + "".join(chr(byte & 0xF8) for byte in b"#$}*")
    assert gdb.ask(b"X8000000,0:") == "OK"


def test_monitor_commands_answer_words(gdb: Debugger) -> None:
    text = bytes.fromhex(gdb.ask(b"qRcmd," + b"version".hex().encode())).decode()
    assert text.startswith("vgicd ")
    assert gdb.ask(b"qvgic.version").startswith("vgicd ")


def test_an_observer_may_look_and_not_touch() -> None:
    world = World()
    debugger = world.debugger(role=Role.OBSERVE)
    debugger.connect()
    before = snapshot(world.domain)
    assert debugger.ask(b"m8000104,4") == "ffffffff"
    assert debugger.ask(b"M8000104,4:00040000") == "E01"
    assert "needs role guest" in debugger.stub.refusal
    assert snapshot(world.domain) == before


def test_the_minimal_set_offers_what_qemu_does_and_no_more() -> None:
    debugger = World().debugger(StubOptions(minimal=True))
    answer = debugger.ask(b"qSupported:multiprocess+;swbreak+")
    assert answer == "PacketSize=20000;multiprocess+;qXfer:features:read+;vContSupported+"
    for packet in (
        b"QStartNoAckMode",
        b"QPassSignals:",
        b"qXfer:threads:read::0,100",
        b"X0,0:",
        b"vFile:setfs:0",
        b"QNonStop:1",
    ):
        assert debugger.ask(packet) == ""
    assert debugger.ask(b"qXfer:features:read:target.xml:0,100").startswith("m<?xml")
    assert debugger.ask(b"?") == "T05thread:p1.1;core:0;"


def test_the_trace_prints_while_the_guest_runs_and_counts_what_gdb_does_not_take(gdb: Debugger) -> None:
    world = gdb.target.world
    gdb.stub.set_trace(~0)
    gdb.tell(GO)
    world.write(1, GICD, 0x104, 0x400)
    lines = "".join(bytes.fromhex(line[1:]).decode() for line in gdb.told())
    assert "vcpu1 write GICD_ISENABLER1 = 0x00000400" in lines
    gdb.stub.out += bytes(1 << 19)
    world.write(1, GICD, 0x104, 0x400)
    assert len(gdb.stub.out) == 1 << 19
    gdb.stub.out.clear()
    world.write(1, GICD, 0x104, 0x400)
    (line, *_) = gdb.told()
    assert "lost" in bytes.fromhex(line[1:]).decode()


def test_hostile_packets_never_raise_and_never_leave_the_guest_held_after_the_end() -> None:
    rng = random.Random(7)
    world = World(vcpus=2)
    names = [name.encode() for name in TABLE]
    pieces = [
        b":",
        b",",
        b";",
        b"p1.1",
        b"p1.-1",
        b"8000104",
        b"4",
        b"ffffffffffffffff",
        b"-1",
        b"zz",
        b"=",
        b"00",
        b"read",
        b"c",
        b"s",
    ]
    for _ in range(20):
        debugger = world.debugger()
        debugger.connect(*(["error-message+"] if rng.random() < 0.5 else []), non_stop=rng.random() < 0.5)
        for _ in range(300):
            packet = rng.choice(names) + b"".join(rng.choices(pieces, k=rng.randrange(8)))
            debugger.stub.receive(packets.encode(packet))
            debugger.stub.out.clear()
            if debugger.stub.closing:
                break
        debugger.stub.close()
        assert debugger.target.held == 0
        assert debugger.stub.mask == 0
    world.domain.check_invariants()
