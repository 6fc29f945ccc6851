"""Every call of the C client against a real daemon: what it does is what the Python client sees."""

from __future__ import annotations

import pytest

from tests.c.harness import ABORT, INVALID, LOST, OK, REFUSED, TIMEOUT, Driver
from vgicd_client import PrivateDaemon, Space, Status, connect, private_daemon
from vgicd_protocol.effects import EffectKind
from vgicd_protocol.events import GAP, EventKind
from vgicd_protocol.frames import EFFECTS, NO_VCPU, Opcode, Role

GICD, GICC, DEBUG = int(Space.GICD), int(Space.GICC), 1 << 4
CTLR, TYPER, ISENABLER, PRIORITY, TARGETS, ICFGR, SGIR = 0x000, 0x004, 0x100, 0x400, 0x800, 0xC00, 0xF00
C_CTLR, PMR, IAR, EOIR = 0x000, 0x004, 0x00C, 0x010
SPI = NO_VCPU
OUTPUT = 1 << EventKind.OUTPUT


@pytest.fixture
def gic(driver: Driver, daemon: PrivateDaemon) -> Driver:
    """Connected to a domain that is as after power-on."""
    driver.connect(daemon.address)
    driver.ok("reset")
    return driver


def program(gic: Driver) -> None:
    """What a guest writes first: both CPU interfaces, and SPI 40 as a level interrupt for vCPU 1."""
    gic.ok("write", 0, GICD, CTLR, 4, 1)
    for vcpu in (0, 1):
        gic.ok("write", vcpu, GICC, C_CTLR, 4, 1)
        gic.ok("write", vcpu, GICC, PMR, 4, 0xFF)
    gic.ok("write", 0, GICD, TARGETS + 40, 1, 2)
    gic.ok("write", 0, GICD, ICFGR + 8, 4, 0)
    gic.ok("write", 0, GICD, ISENABLER + 4, 4, 1 << 8)


@pytest.mark.parametrize("transport", ["unix", "seqpacket", "tcp", "path"])
def test_all_transports_have_the_addresses_of_the_other_clients(
    driver: Driver, daemon: PrivateDaemon, transport: str
) -> None:
    addresses = {
        "unix": daemon.address,
        "seqpacket": daemon.seqpacket,
        "tcp": daemon.listening("tcp"),
        "path": daemon.address.removeprefix("unix:"),
    }
    driver.ok("connect", addresses[transport])
    driver.ok("ping")
    assert driver.ok("read", 0, GICD, TYPER, 4).value == 0x22
    entries = [f"r:0:{GICD}:{TYPER}:4"] * 1024
    assert driver.ok("vector", *entries).extra.split() == ["34/0/0"] * 1024


def test_the_information_is_what_the_daemon_says_at_hello(gic: Driver, daemon: PrivateDaemon) -> None:
    with connect(daemon.address) as client:
        welcome = client.welcome
    geometry = welcome.geometry
    windows = [f"{w.name}:{w.base}:{w.size}" for w in welcome.windows]
    assert gic.ok("info").extra.split() == [
        *map(str, (1, int(welcome.role), 0, welcome.features, geometry.vcpus, geometry.spis, geometry.lrs)),
        *map(str, (welcome.limits.frame, welcome.limits.entries, welcome.limits.wait_ms)),
        *(geometry.variant, geometry.profile, welcome.domain, *windows),
    ]


def test_a_window_is_found_for_an_access_that_lies_whole_in_it(gic: Driver) -> None:
    def window(address: int, size: int) -> str:
        return gic.ok("window", address, size).extra

    assert window(0x0800_0000, 4) == window(0x0800_0FFC, 4) == "GICD"
    assert window(0x0801_1FFF, 1) == "GICC"
    assert window(0x0801_1FFE, 4) == window(0x0700_0000, 4) == window(0xFFFF_FFFF_FFFF_FFFF, 8) == ""
    assert window(0x0803_0000, 4) == ""  # GICH: no guest reaches it


def test_a_level_interrupt_goes_from_its_line_to_the_end_of_interrupt(gic: Driver) -> None:
    program(gic)
    raised = gic.ok("line", 40, SPI, 1)
    assert raised.outputs == 0b0100
    assert (gic("irq", 0).result, gic("irq", 1).result, gic("fiq", 1).result, gic("irq", 8).result) == (0, 1, 0, 0)
    assert gic.ok("peek", 1, GICC, IAR, 4).order == raised.order  # looking is no operation
    assert gic.ok("peek", 1, GICC, IAR, 4).value == 40
    acknowledged = gic.ok("read", 1, 0, 0x0801_000C, 4)  # by its physical address
    assert (acknowledged.value, acknowledged.outputs, acknowledged.order) == (40, 0, raised.order + 1)
    gic.ok("line", 40, SPI, 0)
    assert gic.ok("write", 1, GICC, EOIR, 4, 40).outputs == 0
    assert gic.ok("read", 1, GICC, IAR, 4).value == 1023


def test_what_changed_is_told_once(gic: Driver) -> None:
    program(gic)
    assert gic.ok("changed").value == 0
    gic.ok("line", 40, SPI, 1)
    gic.ok("read", 0, GICD, TYPER, 4)
    assert [gic.ok("changed").value, gic.ok("changed").value] == [4, 0]
    gic.ok("line", 40, SPI, 0)
    assert gic.ok("changed").value == 4


def test_a_private_line_has_an_owner_and_a_pulse_triggers_once(gic: Driver) -> None:
    program(gic)
    gic.ok("write", 1, GICD, ISENABLER, 4, 1 << 27)
    assert gic.ok("line", 27, 1, 5).outputs == 4  # anything but 0 is high
    gic.ok("line", 27, 1, 0)
    gic.ok("write", 0, GICD, ICFGR + 8, 4, 2 << 16)  # SPI 40: edge
    assert gic.ok("pulse", 40, SPI).outputs == 4
    assert gic.ok("read", 1, GICC, IAR, 4).value == 40
    gic.ok("write", 1, GICC, EOIR, 4, 40)
    assert gic.ok("read", 1, GICC, IAR, 4).value == 1023


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_a_write_is_cut_to_its_size(gic: Driver, size: int) -> None:
    gic.ok("write", 0, GICD, PRIORITY + 40, 1, 0xABCD_EF01_2345_67F8)
    assert gic.ok("read", 0, GICD, PRIORITY + 40, 1).value == 0xF8
    with_size = gic("read", 0, GICD, PRIORITY + 40, size)
    assert with_size.result == OK
    gic.ok("blind", 0, GICD, PRIORITY + 40, 4)  # a value nobody wants


def test_a_guest_abort_is_no_refusal(driver: Driver) -> None:
    with private_daemon(strict_abort=True) as daemon:
        driver.connect(daemon.address)
        before = driver.ok("read", 0, GICD, TYPER, 4).order
        aborted = driver("read", 0, GICD, TYPER, 8)
        assert (aborted.result, aborted.value, aborted.order, aborted.error) == (ABORT, 0, before + 1, "")
        assert driver("write", 0, GICD, CTLR, 8, 1).result == ABORT
        vector = driver.ok("vector", f"r:0:{GICD}:4:8", f"r:0:{GICD}:4:4")
        assert vector.extra.split()[0] == "0/1/0"
        assert vector.extra.split()[1].split("/")[1] == "0"
        driver.ok("ping")


def test_a_refusal_names_the_access_and_leaves_the_connection_alone(gic: Driver) -> None:
    refused = gic("read", 9, GICD, 4, 4)
    assert (refused.result, refused.status, refused.maybe_applied) == (REFUSED, Status.BAD_VCPU, False)
    assert refused.error.startswith("read of 4 bytes at 0x4 of GICD as vCPU 9: No such vCPU")
    refused = gic("write", 0, GICD, 0x2000, 2, 1)
    assert (refused.status, "write of 2 bytes at 0x2000 of GICD" in refused.error) == (Status.BAD_ADDRESS, True)
    assert gic("read", 0, GICD, 4, 3).status == Status.BAD_SIZE
    assert gic("read", 0, 0x77, 4, 4).status == Status.BAD_VALUE
    assert gic("write", 0, DEBUG | GICD, 4, 4, 0).status == Status.READ_ONLY
    assert gic("line", 5, 0, 1).error.startswith("line of PPI 5 of vCPU 0: ")
    assert gic("line", 2000, SPI, 1).error.startswith("line of SPI 2000: No such interrupt")
    denied = gic("enter", 0)
    assert (denied.result, denied.status) == (REFUSED, Status.BAD_STATE)
    assert len(denied.error) > 20
    gic.ok("ping")


def test_what_no_frame_can_carry_is_not_sent(gic: Driver) -> None:
    before = gic.ok("ping").order
    for call in (("read", 0x10000, 1, 4, 4), ("read", 0, 256, 4, 4), ("read", 0, 1, 4, 256), ("vector",)):
        assert gic(*call).result == INVALID
    assert gic("vector", *["l:40:65535:1"] * 1025).result == INVALID
    assert gic("wait", 0, 86_400_001).result == INVALID
    assert gic("raw", Opcode.HELLO, 0).result == INVALID
    assert gic("raw", Opcode.WAIT, 0).result == INVALID
    assert gic("raw", Opcode.EVENT, 0).result == gic("raw", Opcode.ERROR, 0).result == INVALID
    assert gic("raw", 0x90, 0).result == INVALID
    assert gic("raw", Opcode.PING, 2).result == INVALID
    assert gic("raw", Opcode.CONSOLE, 0, "00" * 65_536).result == INVALID
    assert gic.ok("ping").order == before


def test_a_vector_is_one_operation_after_the_other_in_one_round_trip(gic: Driver) -> None:
    program(gic)
    start = gic.ok("ping").order
    done = gic.ok(
        "vector", "l:40:65535:1", f"r:1:{GICC}:{IAR}:4", "l:40:65535:0", f"w:1:{GICC}:{EOIR}:4:40", "p:41:65535"
    )
    assert done.extra.split() == ["0/0/4", "40/0/0", "0/0/0", "0/0/0", "0/0/0"]
    assert done.order == start + 5
    refused = gic("vector", f"r:0:{GICD}:4:4", f"r:70000:{GICD}:4:4")
    assert (refused.result, refused.status, refused.field) == (REFUSED, Status.BAD_VCPU, "entries[1].vcpu")
    assert refused.error.startswith("entries[1].vcpu: ")
    assert gic("vector", f"r:0:{GICD}:4:40").status == Status.BAD_SIZE
    assert gic("vector", f"r:0:{1000}:4:4").status == Status.BAD_VALUE
    assert gic.ok("ping").order == start + 5


def test_wait_is_answered_by_a_level_or_by_its_deadline(gic: Driver, daemon: PrivateDaemon) -> None:
    program(gic)
    late = gic("wait", 0, 1)
    assert (late.result, late.outputs) == (TIMEOUT, 0)
    assert gic("wait", 0x0030, 1).status == Status.BAD_VALUE  # of a vCPU that there is not
    with connect(daemon.address) as other:
        gic.send("wait", 0b0100, 20_000)
        other.line(40, 1)
        woken = gic.answer()
        assert (woken.result, woken.outputs) == (OK, 4)
        assert gic("wait", 0, 0).result == OK  # it is high already
        assert gic("wait", 0b0001, 1).result == TIMEOUT
        other.line(40, 0)


def test_events_follow_what_other_connections_cause(gic: Driver, daemon: PrivateDaemon) -> None:
    program(gic)
    assert gic("change", 0).result == INVALID  # nothing would tell
    gic.ok("subscribe", OUTPUT | 1 << EventKind.LINE)
    assert gic("poll", 0).result == TIMEOUT
    assert gic("poll", 1).result == TIMEOUT
    assert gic("change", 1).result == TIMEOUT
    with connect(daemon.address) as other:
        gic.send("change", 20_000)
        other.line(40, 1)
        order = other.order
        assert gic.answer().outputs == 4
        assert gic.ok("events").extra.split() == [
            f"{order}/{EventKind.LINE}/0/40/0/1",
            f"{order}/{EventKind.OUTPUT}/0/0/0/4",
        ]
        gic.send("poll", -1)
        other.line(40, 0)
        assert gic.answer()[:3] == (OK, 0, 0)
        gic.ok("subscribe", 0)
        gic.ok("events")
        other.line(40, 1)
        assert gic("poll", 1).result == TIMEOUT
        assert gic.ok("ping").outputs == 4  # every reply tells
        other.line(40, 0)
    assert gic("subscribe", 1 << 31).status == Status.RESERVED_BITS


def test_events_beyond_what_is_kept_are_counted_where_they_are_missing(gic: Driver) -> None:
    gic.ok("subscribe", 1 << EventKind.ACCESS)
    for _ in range(3):
        gic.ok("vector", *[f"r:0:{GICD}:4:4"] * 1000)
    events = [event.split("/") for event in gic.ok("events").extra.split()]
    gap = events.pop()
    assert len(events) == 2048
    assert (int(gap[1]), int(gap[5])) == (GAP, 952)
    assert [int(event[0]) for event in events] == list(range(int(events[0][0]), int(events[0][0]) + 2048))
    gic.ok("read", 0, GICD, 4, 4)
    assert len(gic.ok("events").extra.split()) == 1


def test_world_switches_of_the_client(gic: Driver) -> None:
    program(gic)
    gic.ok("mode", 1)
    gic.ok("line", 40, SPI, 1)
    _, _, hcr, _, _, used, *lrs = (int(word) for word in gic.ok("enter", 1).extra.split())
    assert (hcr & 1, used, len(lrs), lrs[0] & 0x3FF) == (1, 1, 4, 40)
    assert gic.ok("ping").outputs == 4
    eisr, elrsr, *rest = (int(word) for word in gic.ok("exit", 1).extra.split())
    assert (eisr, elrsr, rest[4] & 0x3FF) == (0, 0b1110, 40)
    gic.ok("line", 40, SPI, 0)
    gic.ok("mode", 0)
    assert gic("exit", 70_000).status == Status.BAD_VCPU


def test_power_time_and_reset(gic: Driver) -> None:
    program(gic)
    gic.ok("power", 1, 0)
    assert gic("power", 70_000, 0).status == Status.BAD_VCPU
    gic.ok("power", 1, 1)
    gic.ok("time", 1 << 40)
    gic.ok("reset")
    assert gic.ok("read", 0, GICD, CTLR, 4).value == 0


def test_any_request_of_the_protocol_can_be_made(gic: Driver) -> None:
    program(gic)
    dump = bytes.fromhex(gic.ok("raw", Opcode.DUMP, 0, "01000000").extra)
    assert b"VCPU 0" in dump or b"DIST" in dump
    image = gic.ok("raw", Opcode.SNAPSHOT, 0).extra
    gic.ok("write", 0, GICD, CTLR, 4, 0)
    gic.ok("raw", Opcode.RESTORE, 0, "00000000" + image)
    assert gic.ok("read", 0, GICD, CTLR, 4).value == 1
    sgir = "00000401000f0000000000000500010000000000"
    effects = bytes.fromhex(gic.ok("raw", Opcode.WRITE, EFFECTS, sgir).extra)
    assert (len(effects), effects[8], effects[16]) == (24, 1, EffectKind.KICK)
    refused = gic("raw", Opcode.READ, 0, "09000401" + "00" * 16)
    assert (refused.status, refused.error.startswith("No such vCPU")) == (Status.BAD_VCPU, True)
    assert gic("raw", 0x6F, 0).status == Status.UNSUPPORTED


def test_a_reply_longer_than_a_frame_is_joined_and_a_longer_request_split(driver: Driver) -> None:
    with private_daemon("--set=limits.frame=4096", spis=960, vcpus=8) as daemon:
        driver.connect(daemon.address)
        assert driver.ok("info").extra.split()[7:9] == ["4096", "255"]
        image = driver.ok("raw", Opcode.SNAPSHOT, 0).extra
        assert len(image) // 2 > 8 * 4096
        with connect(daemon.address) as client:
            client.write(0, Space.GICD, CTLR, 1)
        driver.ok("raw", Opcode.RESTORE, 0, "00000000" + image)
        assert driver.ok("read", 0, GICD, CTLR, 4).value == 0
        assert driver("vector", *["l:40:65535:1"] * 256).result == INVALID
        driver.ok("subscribe", 1 << EventKind.ACCESS)
        driver.ok("vector", *[f"r:0:{GICD}:4:4"] * 255)  # whose events need more than a frame
        driver.ok("ping")
        driver("poll", 10)
        assert len(driver.ok("events").extra.split()) == 255


@pytest.mark.parametrize("role", [Role.OBSERVE, Role.GUEST, Role.CONTROL])
def test_a_role_is_granted_and_kept_to(driver: Driver, daemon: PrivateDaemon, role: Role) -> None:
    driver.connect(daemon.address, role)
    assert int(driver.ok("info").extra.split()[1]) == role
    driver.ok("peek", 0, GICD, TYPER, 4)
    assert driver("read", 0, GICD, TYPER, 4).status == (Status.DENIED if role < Role.GUEST else Status.OK)
    reset = driver("reset")
    assert reset.result == (OK if role == Role.CONTROL else REFUSED)
    assert ("role" in reset.error) == (role != Role.CONTROL)


def test_signals_interrupt_no_call(gic: Driver, daemon: PrivateDaemon) -> None:
    """EINTR from every system call, a thousand times a second."""
    gic.ok("interrupt", 1000)
    for spin in (-1, 0):
        gic.connect(daemon.address, spin_us=spin)
        for _ in range(200):
            assert gic.ok("read", 0, GICD, TYPER, 4).value == 0x22
        assert gic("wait", 0, 50).result == TIMEOUT
        gic.ok("vector", *[f"r:0:{GICD}:4:4"] * 1024)
        gic.ok("subscribe", OUTPUT)
        assert gic("change", 20).result == TIMEOUT
        gic.connect(daemon.listening("tcp"))
    gic.ok("interrupt", 0)


def test_connections_of_different_threads_know_nothing_of_each_other(driver: Driver) -> None:
    with private_daemon(vcpus=4) as daemon:
        assert driver("crowd", daemon.address, 300).result == 0


def test_a_connection_can_be_closed_and_opened_again(gic: Driver, daemon: PrivateDaemon) -> None:
    gic.ok("subscribe", OUTPUT)
    gic.ok("close")
    closed = gic("ping")
    assert (closed.result, closed.maybe_applied, gic("fd").result) == (LOST, False, -1)
    assert closed.error.endswith("closed by this program")
    gic.connect(daemon.seqpacket)
    assert gic("fd").result >= 0
    assert gic("change", 0).result == INVALID  # a subscription belongs to its connection
    gic.ok("ping")
