"""gdb on the machine's CPUs, beside the interrupt controller: a real one, and real guests."""

from __future__ import annotations

import random
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.gdb import gdbs
from tests.gdb.gdbs import Gdb
from tests.gdb.transcript import Session
from tests.guests.debugging import LIMIT, Debugged, debugged, timed
from tests.guests.fakes import MMU_ON, START, words
from tests.guests.programs import SPIN, SYSTEM_OFF, WAIT, program
from tests.guests.recording import Lines, linux
from tests.tools import require_tool
from vgicd.gdbstub import packets
from vgicd_client import AddressError, private_daemon
from vgicd_machine import guests
from vgicd_machine.errors import Deadlock, GuestFault, Interrupted
from vgicd_machine.gdb.endpoint import open_endpoint
from vgicd_machine.gic.domain_port import DomainPort
from vgicd_machine.gic.socket_port import open_port
from vgicd_machine.run import Guest

ENTRY = 0x4008_0000
"""Of a flat binary."""
ALIAS = 0x8000_0000
"""How far above RAM it is seen again."""
STORE_FOR_EVER = """
    11000400    add     w0, w0, #1
    b9001280    str     w0, [x20, #16]
    17fffffe    b       .-8
"""
UNDEFINED = """
    00000000    udf     #0
"""
AWAITED = 40
"""The interrupt that the guest `watched` waits for."""


@pytest.fixture(params=["multiarch-aarch64", pytest.param("new-aarch64", marks=pytest.mark.long)])
def gdb(request: pytest.FixtureRequest) -> Gdb:
    return gdbs.find(request.param)


def built(name: str, cpus: int, seed: int = 0) -> Guest:
    require_tool("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu")
    return Guest(guests.build(name), cpus=cpus, seed=seed)


def flat(folder: Path, listing: str, cpus: int = 1) -> Guest:
    return Guest(Path(program(folder, listing)), cpus=cpus)


def undisturbed(guest: Guest) -> str:
    log = Lines()
    timed(DomainPort(vcpus=guest.cpus, spis=256), guest, log).perform(LIMIT)
    return log.text


def test_a_run_that_is_stopped_stepped_and_looked_at_is_the_same_run(tmp_path: Path, gdb: Gdb) -> None:
    guest = built(guests.TOUR, 4, seed=3)
    with debugged(tmp_path, gdb, guest) as (machine, session):
        session.runs("break gic_acknowledge", "hbreak enter", "watch on_irq[1]", "rwatch on_irq[2]")
        shown = ""
        for n in range(40):
            shown += session.run("continue")
            session.runs("info threads", "info registers", "bt 4", "x/8xw 0x08000100", "x/4xw 0x0801000c")
            for _ in range(n % 4):
                session.run("stepi")
            session.run(f"thread {n % 4 + 1}")
            if n % 3 == 0:
                session.run("stepi 3")
        session.run("delete")
        assert "exited normally" in session.run("continue")
    hits = set(re.findall(r"hit ((?:Hardware )?(?:read )?(?:Breakpoint|watchpoint) \d)", shown))
    assert hits == {"Breakpoint 1", "Breakpoint 2", "Hardware watchpoint 3", "Hardware read watchpoint 4"}
    assert machine.join().status == 0
    assert machine.log.text == undisturbed(guest)


def test_registers_are_read_and_written(tmp_path: Path, gdb: Gdb) -> None:
    with debugged(tmp_path, gdb, flat(tmp_path, SPIN + SYSTEM_OFF)) as (machine, session):
        for name, value in (
            ("$x3", "0x123456789abcdef0"), ("$sp", "0x40001230"), ("$v5.d.u[1]", "0x1122334455667788"),
            ("$fpcr", "0x1000000"), ("$ELR_EL1", "0x40000100"), ("$SPSR_EL1", "0x3c5"), ("$VBAR_EL1", "0x40000800"),
            ("$TPIDR_EL1", "0x55"), ("$CNTV_CVAL_EL0", "0x1000"), ("$SP_EL0", "0x40002000"),
        ):  # fmt: skip
            session.run(f"set var {name} = {value}")
            session.run("maintenance flush register-cache")
            assert session.run(f"p/x {name}").endswith(f" {value}"), name
        session.run("set var $cpsr = $cpsr & ~1")  # EL1t
        assert session.run("p/x (long)$sp").endswith(" 0x40002000")
        assert session.run("p/x (long)$SP_EL1").endswith(" 0x40001230")
        session.run("set var $DAIF = 0x80")
        assert session.run("p $cpsr").endswith(" [ EL=1 I Z ]")
        session.run("set var $CNTV_CTL_EL0 = 1")
        assert session.run("p $CNTV_CTL_EL0").endswith(" [ ENABLE ]")
        assert "due in 4096 ticks" in session.run("monitor info")
        session.run("set var $pc = $pc + 4")
        assert "exited normally" in session.run("continue")
    assert " 0 line 27 1 " not in machine.log.text
    assert machine.join().status == 0


def test_memory_is_virtual_or_physical_and_the_interrupt_controller_is_only_looked_at(tmp_path: Path, gdb: Gdb) -> None:
    """MMU_ON maps one to one; gdb adds an entry that shows RAM at 0xc0000000, too."""
    with debugged(tmp_path, gdb, flat(tmp_path, START + MMU_ON + STORE_FOR_EVER)) as (machine, session):
        session.run(f"hbreak *{ENTRY + len(words(START + MMU_ON)):#x}")
        assert "Breakpoint 1" in session.run("continue")
        assert session.run("p $SCTLR_EL1").startswith("$1 = [ M ")
        assert "Cannot access memory" in session.run(f"x/xw {ALIAS + ENTRY:#x}")
        assert "is not mapped" in session.run("monitor why")
        session.runs("monitor physical on", "set {long}($TTBR0_EL1 + 24) = 0x40000401", "monitor physical off")
        first = words(START)[:4][::-1].hex()
        assert session.run(f"p/x *(unsigned *){ALIAS + ENTRY:#x}").endswith(f" 0x{first}")
        assert f"is physical {ENTRY:#x}: level 1, 0x40000000 bytes" in session.run(f"monitor where {ALIAS + ENTRY:#x}")

        session.run("delete")
        assert "Hardware watchpoint 2" in session.run(f"watch -location *(int *)($x20 + 16 + {ALIAS:#x})")
        session.run("set var $x0 = 6")
        assert "Old value = 0\nNew value = 7\n" in session.run("continue")
        assert "Old value = 7\nNew value = 8\n" in session.run("continue")
        session.run("delete")

        assert session.run("p/x *(unsigned *)0x0801000c").endswith(" 0x3ff")
        session.run("set var *(unsigned *)0x08000000 = 1")
        assert "only the guest writes there" in session.run("monitor why")
        session.run("p *(int *)0x09000000")
        assert "is a register of the UART" in session.run("monitor why")
        session.run("kill")
    assert machine.log.lines[1:] == []


def test_a_fault_or_a_deadlock_is_seen_before_it_ends_the_run(tmp_path: Path, gdb: Gdb) -> None:
    with debugged(tmp_path, gdb, flat(tmp_path, UNDEFINED)) as (machine, session):
        assert "no memory at its vector 0x200" in (shown := session.run("continue"))
        assert "received signal SIGSEGV" in shown
        assert session.run("p/x $ELR_EL1").endswith(f" {ENTRY:#x}")
        assert "exited with code 0176" in session.run("continue")
    assert isinstance(machine.error, GuestFault)
    with debugged(tmp_path, gdb, flat(tmp_path, WAIT)) as (machine, session):
        assert "nothing can wake the guest" in (shown := session.run("continue"))
        assert "received signal SIGQUIT" in shown
        assert "in WFI" in session.run("info threads")
        assert "exited with code 0172" in session.run("continue")
    assert isinstance(machine.error, Deadlock)


def test_a_locked_scheduler_moves_one_cpu_alone(tmp_path: Path, gdb: Gdb) -> None:
    with debugged(tmp_path, gdb, built(guests.TOUR, 2)) as (machine, session):
        session.run("break secondary_main")
        assert 'Thread 2 "cpu1" hit' in session.run("continue")
        session.runs("set scheduler-locking on", "thread 1")
        others = session.run("thread apply 2 p $pc")
        before = session.run("p $CNTVCT_EL0").split()[-1]
        session.run("stepi 7")
        assert int(session.run("p $CNTVCT_EL0").split()[-1]) == int(before) + 7
        assert session.run("thread apply 2 p $pc").split()[-2:] == others.split()[-2:]
        session.runs("set scheduler-locking off", "delete")
        assert "exited normally" in session.run("continue")
    assert machine.join().status == 0


def test_the_command_serves_gdb_and_waits_for_it(tmp_path: Path, gdb: Gdb) -> None:
    path = tmp_path / "cpu"
    command = [sys.executable, "-m", "vgicd_machine", program(tmp_path, SYSTEM_OFF), "--in-process"]
    command += ["--gdb", f"unix:{path}", "--gdb-wait", "--timeout", "30"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as machine:
        try:
            assert machine.stderr is not None
            assert machine.stderr.readline() == f"vgicd_machine: gdb: target remote {path}\n"
            with Session(gdb, str(path)) as session:
                session.allowed.append("No executable|determining executable")
                assert f"{ENTRY:#018x}" in session.connect()
                assert "exited normally" in session.run("continue")
            assert machine.wait(LIMIT) == 0
        finally:
            machine.kill()
    assert not path.exists()


def test_gdb_is_served_on_loopback_only() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with open_endpoint(f"tcp:127.0.0.1:{port}") as endpoint:
        assert endpoint.address == f"127.0.0.1:{port}"
        with socket.create_connection(("127.0.0.1", port)):
            link = endpoint.accept()
            assert link is not None
            link.close()
    with pytest.raises(AddressError, match="only localhost"), open_endpoint(f"tcp:0.0.0.0:{port}"):
        pass


@pytest.mark.long
def test_linux_is_stopped_in_its_interrupt_vector_and_boots_as_without(tmp_path: Path, gdb: Gdb) -> None:
    guest = linux(1)
    with debugged(tmp_path, gdb, guest) as (machine, session):
        session.start("continue")
        session.until("Continuing")
        deadline = time.monotonic() + LIMIT
        while not any("Linux version" in line for line in machine.said):  # its vectors are its own by then
            assert time.monotonic() < deadline, machine.said
            time.sleep(0.05)
        session.interrupt()
        assert "received signal SIGINT" in session.wait()
        session.run("hbreak *($VBAR_EL1 + 0x280)")
        for _ in range(10):
            assert "Breakpoint 1, 0xffff" in session.run("continue")
            assert session.run("p $ISR_EL1").endswith(" = [ I ]")
            assert "sub\tsp, sp, #0x" in session.run("x/i $pc")
            assert re.search(r"is physical 0x4\w+: level 3, 0x1000 bytes", session.run("monitor where"))
            session.runs("stepi 20", "x/8xg $sp", "info registers")
        session.run("delete")
        assert "exited normally" in session.run("continue", LIMIT)
    assert machine.join().status == 0
    assert machine.log.text == undisturbed(guest)


def test_two_gdbs_see_one_interrupt(tmp_path: Path, gdb: Gdb) -> None:
    """The CPUs in one, stopped in their handler; in the other, the daemon's, the interrupt that it handles."""
    guest = built("watched", 2)
    with (
        private_daemon(f"--gdb=unix:{tmp_path / 'gic'}", "--gdb-arch=aarch64", vcpus=2, spis=256) as daemon,
        open_port(daemon.address, None) as port,
        debugged(tmp_path, gdb, guest, port, patience=30) as (machine, cpus),
    ):
        cpus.run("tbreak tick if $_thread == 2")
        assert 'Thread 2 "cpu1" hit Temporary breakpoint 1, tick ()' in cpus.run("continue")
        with Session(gdb, str(tmp_path / "gic")) as gic:
            gic.connect()
            gic.run("thread 2")
            assert "irq27_vtimer" in gic.run("bt")
            assert cpus.run("p/x *(unsigned *)0x08000300 & (1 << 27)").endswith(" 0x8000000")  # GICD_ISACTIVER0
            assert gic.run("p/x GICD_ISACTIVER0 & (1 << 27)").endswith(" 0x8000000")
            cpus.run("tbreak gic_end")
            gic.run(f"monitor irq {AWAITED} pulse")
            gic.run("detach")
        assert "hit Temporary breakpoint 2" in cpus.run("continue")
        assert "exited normally" in cpus.run("continue")
        assert machine.join().status == 0
        assert machine.said[-2:] == ["PASS watched\n", "EXIT: STATUS=0\n"]


def test_ctrl_c_stops_detach_lets_go_and_kill_ends(tmp_path: Path, gdb: Gdb) -> None:
    with debugged(tmp_path, gdb, flat(tmp_path, SPIN)) as (machine, session):
        session.start("continue")
        machine.runs_past(0)
        session.interrupt()
        assert "received signal SIGINT" in session.wait()
        then = int(session.run("p $CNTVCT_EL0").split()[-1])
        assert then > 0
        assert int(session.run("p $CNTVCT_EL0").split()[-1]) == then
        session.run("detach")
        machine.runs_past(then)
        session.connect()
        assert int(session.run("p $CNTVCT_EL0").split()[-1]) > then
        session.run("kill")
    assert isinstance(machine.error, Interrupted)
    assert machine.error.status == 128 + 9


NAMES = (
    "qSupported", "?", "g", "G", "p", "P", "m", "M", "X", "H", "T", "qC", "qXfer:threads:read::", "Z0,", "Z2,", "z2,",
    "vCont;", "vCont?", "s", "c", "qRcmd,", "qThreadExtraInfo,", "Qqemu.PhyMemMode:", "D", "S", "C",
)  # fmt: skip
ARGUMENTS = (
    "", "0", "-1", "p1.1", "p1.-1", "1,4", "40080000,4", "8000000,40", "ffffffffffffffff,10", "zz", ":", "c",
    "40080000,ffffffffffffffff", "s:1", "s:p1.2;c", "c:p1.9", "g0", "c-1", "46=00", "0=0011223344556677",
    "21=ffffffff", "696e666f", "73797374656d", "9000000,4", ",;,;", "40080000,4:01020304",
)  # fmt: skip


def test_whatever_a_peer_says_the_guest_goes_on(tmp_path: Path) -> None:
    """A thousand packets, most of them nonsense, and the bytes between packets; the peer breaks off at will."""
    draw = random.Random(5)
    with open_endpoint(f"unix:{tmp_path / 'cpu'}") as endpoint:
        machine = Debugged(endpoint, flat(tmp_path, SPIN, cpus=2), DomainPort(vcpus=2, spis=64))
        for _ in range(4):
            with socket.socket(socket.AF_UNIX) as peer:
                peer.settimeout(LIMIT)
                peer.connect(endpoint.address)
                for _ in range(250):
                    packet = (draw.choice(NAMES) + draw.choice(ARGUMENTS)).encode()
                    noise = draw.choice((b"", b"+", b"\x03", draw.randbytes(5)))
                    try:
                        peer.sendall(noise + packets.encode(packet) + b"\x03")
                        peer.recv(1 << 16, socket.MSG_DONTWAIT)
                    except BlockingIOError:
                        pass  # nothing was answered, or not yet
                    except (BrokenPipeError, ConnectionResetError):
                        break  # it was told to detach
        machine.run.machine.end(reset=False)
        machine.join()
    assert machine.run.machine.now > 0
