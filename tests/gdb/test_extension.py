"""The vgic commands in real gdbs without a target: what they show, complete, refuse, and that they only look."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gdb.extension import EXTENSION, extended, set_up
from tests.gdb.gdbs import Gdb
from tests.gdb.transcript import GdbEnded, Session
from vgicd_client import Client, Entry, PrivateDaemon, Space, connect, private_daemon

pytestmark = pytest.mark.gdbs("plain", "multiarch", "new")  # without a target, architectures make no difference


@pytest.fixture(scope="module")
def daemon() -> Iterator[PrivateDaemon]:
    with private_daemon("--tcp=127.0.0.1:0", vcpus=2, spis=64) as running:
        yield running


@pytest.fixture
def gic(daemon: PrivateDaemon) -> Iterator[Client]:
    with connect(daemon.address, "control") as client:
        set_up(client)
        yield client


@pytest.fixture
def fresh(gdb: Gdb, daemon: PrivateDaemon, gic: Client) -> Iterator[Session]:
    """A gdb of the test's own, with the extension, connected."""
    with extended(gdb, daemon.address) as running:
        yield running


@pytest.fixture
def session(shared: Session, daemon: PrivateDaemon, gic: Client) -> Session:
    """A gdb with the extension, connected; others have used it before."""
    shared.run(f"vgic connect {daemon.address}")
    return shared


def test_it_shows_what_the_daemon_holds(session: Session, gic: Client) -> None:
    lrs = session.run("vgic lrs 0")
    assert "vCPU 0: inside the guest, 2 of 4 list registers used; HCR En" in lrs
    assert "<LR virq=33 PENDING prio=0xa0>" in lrs
    assert "<LR virq=40 ACTIVE prio=0x80>" in lrs
    assert lrs.count("<LR empty>") == 2
    irq = session.run("vgic irq 32+1")
    assert "interrupt      33\n" in irq
    assert "pending        yes\n" in irq
    assert "list register  LR" in irq
    irqs = session.run("vgic irqs").splitlines()
    assert [line.split()[0] for line in irqs] == ["irq", "27", "33", "40"]
    assert len(session.run("vgic irqs all").splitlines()) == 1 + 2 * 32 + 64
    assert session.run("vgic vgic-state").splitlines() == gic.dump(1).splitlines()
    status = session.run("vgic status")
    assert "domain default (vgicd " in status
    assert "role control" in status
    assert f"outputs: none; operations: {gic.order}" in status


def test_registers_are_named_decoded_and_read_as_the_chosen_vcpu(session: Session) -> None:
    assert session.run("vgic regs GICD_ISENABLER1").splitlines()[1] == "GICD_ISENABLER1  0x00000102  irqs 33 40"
    assert (
        session.run("vgic regs gicd_typer")
        .splitlines()[1]
        .endswith("LSPI=0x0 SecurityExtn=0 CPUNumber=1 ITLinesNumber=0x2")
    )
    whole = session.run("vgic regs GICD_ISENABLER").splitlines()
    assert [line.split()[0] for line in whole[1:]] == ["GICD_ISENABLER0", "GICD_ISENABLER1"]
    assert "GICD_ITARGETSR0  0x02020202" in session.run("vgic regs GICD_ITARGETSR0 vcpu 2-1")
    assert "GICD_ITARGETSR0  0x01010101" in session.run("vgic regs GICD_ITARGETSR0")
    assert "GICH_LR0" in session.run("vgic regs GICH")
    shown = session.run("vgic regs")
    assert "GICC_PMR" in shown
    assert "GICH_HCR" in shown


def test_functions_read_registers_and_interrupts(session: Session) -> None:
    assert session.run('output $gicd("ISENABLER1")') == "258"
    assert session.run('output $gicd("GICD_ISENABLER1", 1) == $gicd(0x104)') == "1"
    assert session.run('output $gicd("ITARGETSR0", 1)') == str(0x02020202)
    assert session.run("output $gicc(4)") == "240"
    assert session.run('output $gicc("RPR")') == str(0x80)
    assert session.run('output/x $gich("LR1") & 0x3ff') == "0x21"
    assert session.run('output $irq(33, "pending") && !$irq(40, "pending") && $irq(40, "active")') == "1"
    assert session.run('output $irq(33, "target")') == "0"
    assert session.run('output $irq(34, "target")') == "-1"
    assert session.run('output $irq(27, "line_level", 1) - $irq(27, "line_level", 0)') == "1"


def test_a_line_is_driven_with_expressions(session: Session, gic: Client) -> None:
    session.run("set $spi = 40")
    assert session.run("vgic irq $spi+2 up").startswith("operation ")
    assert gic.irq_info(42).line_level
    session.run("vgic irq 40 + 2 down")
    assert not gic.irq_info(42).line_level
    session.run("vgic irq 43 pulse")
    assert gic.irq_info(43).pending_latch
    session.run("vgic irq 27 up vcpu 1-1")
    assert gic.irq_info(27, 0).line_level


def test_looking_changes_nothing_and_acknowledges_nothing(session: Session, gic: Client) -> None:
    before, order = gic.snapshot().words, gic.order
    for command in (
        "vgic regs GICD GICC GICH vcpu 0", "vgic regs GICC vcpu 1", "vgic regs GICC_IAR", "vgic irq 33",
        "vgic irqs all",
        "vgic lrs", "vgic vgic-state", "vgic status", "vgic why", "vgic why 33", "complete vgic irq ",
        'output $gicc("IAR")', 'output $gicc("AIAR")', 'output $irq(33, "pending")', "vgic connect",
    ):  # fmt: skip
        session.run(command)
    assert session.run('output $gicc("IAR")') == str(0x3FF)  # 33 does not preempt 40
    assert (gic.snapshot().words, gic.order) == (before, order)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("vgic ir", ["vgic irq", "vgic irqs"]),
        ("vgic regs GICD_ISENABLER", [f"vgic regs GICD_ISENABLER{n}" for n in ("", 0, 1, 2)]),
        ("vgic regs gicc_ia", ["vgic regs GICC_IAR"]),
        ("vgic regs GICH_LR", [f"vgic regs GICH_LR{n}" for n in ("", 0, 1, 2, 3)]),
        ("vgic regs GICC_PMR v", ["vgic regs GICC_PMR vcpu"]),
        ("vgic regs GICC_PMR vcpu ", ["vgic regs GICC_PMR vcpu 0", "vgic regs GICC_PMR vcpu 1"]),
        ("vgic irq 3", ["vgic irq 3", "vgic irq 33"]),
        ("vgic irq 33 p", ["vgic irq 33 pulse"]),
        ("vgic lrs ", ["vgic lrs 0", "vgic lrs 1"]),
        ("vgic irqs a", ["vgic irqs all"]),
        ("vgic watch ack e", ["vgic watch ack enter", "vgic watch ack eoi", "vgic watch ack exit"]),
        ("vgic watch o", ["vgic watch off", "vgic watch output"]),
    ],
)
@pytest.mark.gdbs("plain", "new")
def test_tab_completes_what_fits_the_place(session: Session, typed: str, expected: list[str]) -> None:
    assert sorted(session.run(f"complete {typed}").splitlines()) == sorted(expected)


@pytest.mark.gdbs("plain")
def test_tab_never_waits_for_a_daemon(gdb: Gdb) -> None:
    with extended(gdb) as session:
        assert session.run("complete vgic irq ") == ""
        assert "vgic regs GICD_CTLR" in session.run("complete vgic regs GICD_CT")


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("vgic irq", "usage: vgic irq INTID [up|down|pulse] [vcpu N]"),
        ("vgic irq 33 up down", "usage: vgic irq INTID [up|down|pulse] [vcpu N]"),
        ("vgic irq 33 up up", '"up" is given twice'),
        ("vgic irq 33 sideways", '"sideways" is nothing that a line can do: say up, down or pulse'),
        ("vgic irq nothing", '"nothing" is no number: No symbol'),
        ("vgic irq 33.5", "33.5 is no integer"),
        ("vgic irq 96", "interrupt 96 does not exist: the domain has 0 to 95"),
        ("vgic irq 3 up", "the daemon refused (BAD_INTID): No such interrupt"),
        ("vgic irq 27 vcpu 2", "vCPU 2 does not exist: the domain has 2, from 0"),
        ("vgic irq 27 vcpu", '"vcpu" needs a number behind it'),
        ("vgic lrs 5", "vCPU 5 does not exist"),
        ("vgic irqs pending", "usage: vgic irqs [all]"),
        ("vgic regs GICD_ISENABLR1", "GICD has no register GICD_ISENABLR1: do you mean GICD_ISENABLER1?"),
        ("vgic regs ISENABLER1", '"ISENABLER1" is no register: names begin with GICD_, GICC_ or GICH_'),
        ("vgic regs GICD_ISENABLER²", "GICD has no register GICD_ISENABLER²"),
        ("vgic regs GICC_EOIR", "GICC_EOIR is write-only"),
        ("vgic regs GICD_ISENABLER9", "GICD_ISENABLER9 does not exist here: the domain has 96 interrupts"),
        ("vgic watch 4000", "interrupt 4000 does not exist"),
        ("vgic watch sometimes", '"sometimes" is no kind of event, nor an INTID: the kinds are output, line, pend,'),
        ("vgic vgic-state now", "usage: vgic vgic-state"),
        ("vgic connect nowhere", '"nowhere" is no address: write unix:PATH, seqpacket:PATH or tcp:HOST:PORT'),
        ("vgic connect tcp:gic.example:7000", '"gic.example" is no IP address, nor localhost'),
        ("vgic connect tcp:127.0.0.1:0", '"tcp:127.0.0.1:0" is no address'),
        ("vgic connect tcp:127.0.0.1:²", '"tcp:127.0.0.1:²" is no address'),
        ("vgic w", 'Ambiguous vgic command "w": watch, why.'),
        ("vgic frobnicate", 'Undefined vgic command: "frobnicate".  Try "help vgic".'),
        ("set vgic-timeout never", '"never" is not a number of seconds from 0.1 to 60'),
        ("set vgic-timeout 0", '"0" is not a number of seconds from 0.1 to 60'),
        ('output $gicd("NOTHING")', "GICD has no register GICD_NOTHING"),
        ("output $gicd(0x1000)", "GICD has no offset 0x1000: it is 0x1000 bytes"),
        ("output $gicd(1.5)", "1.5 is no integer"),
        ("output $gicd($nothing)", "void is no integer"),
        ("output $gicd()", "usage: $gicd(REGISTER [, VCPU])"),
        ("output $gich(1, 2, 3)", "usage: $gich(REGISTER [, VCPU])"),
        ('output $gicd("\\377")', "GICD has no register GICD_\ufffd"),
        ('output $irq(33, "mood")', "an interrupt has no field mood: it has intid, vcpu, enabled"),
        ("output $irq(33, 4)", "an interrupt has no field 4: it has intid, vcpu, enabled"),
        ('output $irq("33", "lr")', '"33" is no integer'),
        ("output $irq(33)", "usage: $irq(INTID, FIELD [, VCPU])"),
        ('output $irq(4000, "enabled")', "interrupt 4000 does not exist"),
        ('output $gicc("PMR", 7)', "vCPU 7 does not exist"),
        ('output $gicc("PMR", "1")', '"1" is no integer'),
    ],
)
@pytest.mark.gdbs("plain", "new")
def test_a_mistake_is_answered_with_a_sentence(session: Session, command: str, sentence: str) -> None:
    assert sentence in session.run(command)
    assert session.run("output $gicc(4)") == "240", "the session goes on"


NOBODY = "unix:/nowhere/at.all: cannot connect: No such file or directory"


def test_an_address_is_remembered_although_nobody_is_there_yet(gdb: Gdb, daemon: PrivateDaemon) -> None:
    with extended(gdb) as session:
        assert NOBODY in session.run("vgic connect unix:/nowhere/at.all")
        assert NOBODY in session.run("vgic lrs")
        assert "2 vCPUs" in session.run(f"vgic connect {daemon.address}")


def test_the_daemon_stays_when_another_cannot_be_reached(session: Session, daemon: PrivateDaemon) -> None:
    still = f"{NOBODY} (still connected to {daemon.address})"
    assert still in session.run("vgic connect unix:/nowhere/at.all")
    assert "vCPU 1: inside" in session.run("vgic lrs 1")
    assert f"{daemon.address}: domain default" in session.run("vgic connect")
    session.run("vgic disconnect")
    assert f"{NOBODY} (still with {daemon.address})" in session.run("vgic connect unix:/nowhere/at.all")
    assert "not connected: `vgic connect` connects again" in session.run("vgic lrs")
    assert f"{daemon.address}: domain default" in session.run("vgic connect")


def test_what_has_ended_leaves_its_list_register_free(session: Session, gic: Client) -> None:
    gic.write(0, Space.GICC, 0x010, 40)
    state = gic.lr_get(0)
    assert state.elrsr.bit_count() == 3
    lrs = session.run("vgic lrs 0")
    assert "vCPU 0: inside the guest, 1 of 4 list registers used" in lrs
    assert "<LR free, held virq=40>" in lrs
    assert "<LR virq=33 PENDING prio=0xa0>" in lrs


def test_every_command_has_help_that_begins_with_a_sentence(session: Session) -> None:
    overview = session.run("help vgic")
    assert session.run("vgic") == overview
    assert "-vgic-lrs" in overview
    names = ("connect", "disconnect", "status", "regs", "irq", "lrs", "irqs", "watch", "vgic-state", "why")
    for name in names:
        assert f"vgic {name} -- " in overview
        text = session.run(f"help vgic {name}")
        assert len(text) > 40
        assert "\n    " not in text, "indented like the source"
    assert "seconds" in session.run("help set vgic-timeout")
    assert session.run("show vgic-timeout") == "The vgic commands wait 2 s for the daemon."
    for function in ("gicd", "gicc", "gich", "irq"):
        assert f"${function}(" in session.run(f"help function {function}")


@pytest.mark.gdbs("plain", "new")
def test_why_names_the_first_thing_that_holds_an_interrupt_up(session: Session, gic: Client) -> None:
    assert "34 is not pending: no edge has come" in session.run("vgic why 34") or "line is low" in session.run(
        "vgic why 34"
    )
    gic.pulse(45)
    assert "not enabled: bit 13 of GICD_ISENABLER1 is 0" in session.run("vgic why 45")
    gic.write(0, 1, 0x104, 1 << 13)
    assert "its byte of GICD_ITARGETSR11 is 0" in session.run("vgic why 45")
    gic.write(0, 1, 0x800 + 45, 2, size=1)
    gic.write(1, 2, 0x004, 0)
    assert "its priority 0x00 is not below GICC_PMR, 0x00" in session.run("vgic why 45")
    gic.write(1, 2, 0x004, 0xF0)
    assert "45 is signalled to vCPU 1, and its interrupt input is high" in session.run("vgic why 45")
    assert "does not preempt the running one, GICC_RPR 0x80" in session.run("vgic why 33")
    assert "40 is active, and pending no more" in session.run("vgic why 40")
    assert "27 is pending but not enabled" in session.run("vgic why 27 vcpu 1")
    gic.write(0, 1, 0x000, 0)
    assert "GICD_CTLR is 0" in session.run("vgic why 33")


def test_packets_and_tcp_serve_as_well_as_a_stream(gdb: Gdb, daemon: PrivateDaemon, gic: Client) -> None:
    for address in (daemon.seqpacket, daemon.listening("tcp"), daemon.address.removeprefix("unix:")):
        with extended(gdb, address) as session:
            assert len(session.run("vgic irqs all").splitlines()) == 1 + 2 * 32 + 64
            assert session.run('output $irq(33, "pending")') == "1"


@pytest.mark.gdbs("plain")
def test_without_an_address_it_says_how_to_give_one(gdb: Gdb) -> None:
    with extended(gdb) as session:
        assert "no daemon is known: name one, as in `vgic connect unix:" in session.run("vgic lrs")
        assert "cannot read" not in session.transcript


def test_disconnecting_lasts_until_the_next_connect(session: Session) -> None:
    assert session.run("vgic disconnect").startswith("disconnected from unix:")
    assert "not connected: `vgic connect` connects again" in session.run("vgic lrs")
    assert session.run("vgic disconnect") == "not connected"
    assert "2 vCPUs" in session.run("vgic connect")
    assert "vCPU 1: inside" in session.run("vgic lrs 1")


def test_sourcing_it_again_replaces_it_and_other_scripts_names_survive(fresh: Session, gic: Client) -> None:
    fresh.run("python Field = 7; daemon = 8")
    assert fresh.run(f"source {EXTENSION}") == ""
    assert fresh.run("python print(Field, daemon, 'Row' in globals(), 'socket' in globals())") == "7 8 False False"
    printers = fresh.run("info pretty-printer")
    assert printers.count("vgicd") == 1


@pytest.mark.gdbs("plain")
def test_an_older_gdb_says_what_it_lacks(gdb: Gdb, daemon: PrivateDaemon, gic: Client) -> None:
    with Session(gdb, "/nonexistent") as session:
        session.run("python del gdb.MICommand, gdb.register_window_type")
        assert session.run(f"source {EXTENSION}") == ""
        session.run(f"vgic connect {daemon.address}")
        status = session.run("vgic status")
        assert "not in this gdb: -vgic-state and -vgic-lrs, which need gdb 12 or newer" in status
        assert "not in this gdb: the window of `layout vgic`" in status
        assert "<LR virq=33 PENDING prio=0xa0>" in session.run("vgic lrs 0")


def test_gdb_ends_at_once_while_events_come(fresh: Session, gic: Client) -> None:
    fresh.run("vgic watch access")
    for _ in range(20):
        gic.vector([Entry.reading(0, Space.GICC, 0x014)] * 500)
    fresh.start("quit 3")
    with pytest.raises(GdbEnded, match="status 3"):  # not that of a crash
        fresh.until("never", 10)


def test_a_watch_says_that_its_daemon_has_gone(gdb: Gdb) -> None:
    with private_daemon(vcpus=1) as daemon, extended(gdb, daemon.address) as session:
        session.run("vgic watch")
        daemon.process.kill()
        session.until("vgic watch: the (?:daemon has closed the connection|connection is lost)")
