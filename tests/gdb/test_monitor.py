"""`monitor`, typed into real gdbs: what is asked in words, and the sentences for what cannot be done."""

from __future__ import annotations

import re
import subprocess
import time

import pytest

from tests.gdb import scenes
from tests.gdb.conftest import Board, Sessions
from tests.gdb.gdbs import Gdb
from tests.gdb.transcript import PATIENCE, Session
from vgicd_client import Space

LOST, HOME = 33, 2
"""An SPI that does not arrive, and the vCPU that waits for it."""


def advised(said: str) -> list[str]:
    """The commands that a diagnosis says to type, in order."""
    return [line.strip().removeprefix("> ") for line in said.splitlines() if line.lstrip().startswith("> ")]


def test_one_command_line_without_a_terminal_is_enough(gdb: Gdb, board: Board) -> None:
    """As scripts do it."""
    options = ("-batch", "-ex", f"target remote {board.gdb}", "-ex", "monitor help", "-ex", "monitor version")
    done = subprocess.run(
        [*gdb.command, *options],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=dict(gdb.environment),
        check=False,
    )
    shown = done.stdout + done.stderr  # what a target says goes to the error stream
    assert done.returncode == 0, shown
    for name in ("irq", "lrs", "state", "vgic-state", "enter", "exit", "reset", "trace", "freeze", "why", "version"):
        assert re.search(rf"^{name}\b", shown, re.MULTILINE), shown
    assert re.search(r"^vgicd \S+; domain \S+$", shown, re.MULTILINE)
    assert "internal-error" not in shown


def test_the_daemon_and_the_debugger_agree_on_what_is_shown(sessions: Sessions, board: Board) -> None:
    scenes.busy(board.gic)
    session = sessions()
    with board.unchanged():
        assert session.run("monitor vgic-state").splitlines() == board.gic.dump(1).splitlines()
        assert session.run("monitor xen-state").splitlines() == board.gic.dump(0).splitlines()
        assert "irq27_vtimer pending prio 0x80" in session.run("monitor lrs")
        session.run("thread 3")
        assert session.run("monitor lrs").startswith("vCPU 2: inside the guest")
        assert re.search(r"^ +2 .* irq3 irq27_vtimer", session.run("monitor state"), re.MULTILINE)
        assert "  active         yes" in session.run("monitor irq 27").splitlines()


BAD_INPUT = (
    (
        "monitor irqs 33",
        "There is no monitor command 'irqs'. Did you mean `monitor irq`? `monitor help` lists all.",
    ),
    ("monitor irq 33 sideways", "'sideways' is no action: there are up, down and pulse. Usage: `monitor irq "),
    ("monitor irq 700 up", "INTID 700 does not exist: the domain has 0 to 95."),
    ("monitor irq 3 up", "irq3 is an SGI: software sends it, and it has no line."),
    ("monitor enter", "`monitor mode explicit` takes the world switch into your hands."),
    ("monitor lrs 9", "vCPU 9 does not exist: the domain has 4, from 0."),
    ("monitor why banana", "'banana' names no interrupt: write its INTID"),
)


def test_bad_input_is_answered_with_what_to_do(sessions: Sessions, board: Board) -> None:
    session = sessions()
    with board.unchanged():
        for typed, told in BAD_INPUT:
            assert told in session.run(typed)


def test_a_freeze_outlasts_continue(sessions: Sessions, board: Board) -> None:
    """It is switched on at the prompt, where all-stop holds the guest anyway."""
    session = sessions()
    assert session.run("monitor freeze on").startswith("The guest is held, after `continue` too, until ")
    assert "frozen already" in session.run("monitor freeze on")
    session.start("continue")
    with board.acting() as guest:
        session.until("The guest does not run: interrupt, and `monitor freeze auto` lets it")
        held = guest.write(0, "GICC_PMR", 0x80)
        session.interrupt()
        session.wait()
        assert not held.done()
        assert "never held" in session.run("monitor freeze off")
        held.result()
    assert session.run("monitor freeze").splitlines()[1] == "held by nobody"


def test_why_tells_what_gdb_13_cannot_say(sessions: Sessions, board: Board) -> None:
    """A refused write is but "Cannot access memory" to it."""
    session = sessions()
    session.run("set var gich.HCR.En = 1")
    said = session.run("monitor why").splitlines()
    assert said[0].startswith("Last refusal: a write of 4 bytes to GICH_HCR (0x8030000): ")
    assert "monitor mode explicit" in said[0]
    assert said[1] == "Addresses that `info mem` does not list gdb refuses by itself, without asking."
    assert said[2].startswith("The guest does not run: gdb#")
    assert said[3] == "`continue` lets it go on, and so does `detach`."
    session.allowed.append("Cannot access memory")
    assert "Cannot access memory at address 0x7000000" in session.run("x/wx 0x7000000")
    assert not session.accesses(0x700_0000, 0x701_0000), "it has not asked"


@pytest.mark.parametrize("explicit", [False, True])
def test_what_why_says_to_type_brings_a_lost_interrupt_to_the_guest(
    explicit: bool, sessions: Sessions, board: Board
) -> None:
    """Nothing is set up at all: every register on its way must be written, some of them as the vCPU that waits."""
    board.gic.mode(explicit)
    session = sessions()
    said = session.run(f"monitor why {LOST} {HOME}")
    causes = re.findall(r"^  NO  (\S+)", said, re.MULTILINE)
    assert causes == ["source", "enable", "distributor", "target", *(["world"] if explicit else []), "group", "mask"]
    typed = advised(said)
    assert f"monitor irq {LOST} pulse" in typed
    assert f"thread {HOME + 1}" in typed
    for command in typed:
        assert "Cannot access" not in session.run(command)
    said = session.run(f"monitor why {LOST} {HOME}")
    assert said.startswith(f"irq{LOST} is signalled to vCPU {HOME}: vIRQ of vCPU {HOME} is high"), said
    session.run(f"thread {HOME + 1}")
    assert session.run("p/x live_gicc.IAR.INTID") == f"$1 = {LOST:#x}"
    assert board.gic.irq_info(LOST).active


def test_what_why_says_to_type_ends_what_is_in_the_way(sessions: Sessions, board: Board) -> None:
    scenes.driver(board.gic)
    scenes.nest(board.gic, HOME)
    scenes.enable(board.gic, LOST, HOME, edge=True)
    board.gic.pulse(LOST)
    session = sessions()
    said = session.run(f"monitor why {LOST}")
    assert "irq3 at 0x40, irq27_vtimer at 0x80" in " ".join(said.split())
    assert [c for c in advised(said) if "EOIR" in c] == ["set var GICC_EOIR = 0x803", "set var GICC_EOIR = 0x1b"]
    session.run(f"monitor irq {scenes.TIMER} down {HOME}")
    for command in advised(said):
        session.run(command)
    assert session.run(f"monitor why {LOST}").startswith(f"irq{LOST} is signalled to vCPU {HOME}")


def test_what_why_says_to_type_switches_on_what_is_off(sessions: Sessions, board: Board) -> None:
    """A vCPU without power, and a virtual interface that somebody switched off."""
    scenes.driver(board.gic)
    scenes.enable(board.gic, LOST, HOME, edge=True)
    board.gic.vcpu_power(HOME, False)
    board.gic.pulse(LOST)
    session = sessions()
    assert advised(session.run(f"monitor why {LOST}")) == [f"monitor power {HOME} on"]
    session.run(f"monitor power {HOME} on")
    session.runs("monitor mode explicit", f"monitor enter {HOME}", f"set var *(unsigned int *)&gich{HOME}.HCR = 0")
    said = session.run(f"monitor why {LOST}")
    assert "GICH_HCR.En is 0" in said
    for command in advised(said):
        assert session.run(command) == ""
    assert session.run(f"monitor why {LOST}").startswith(f"irq{LOST} is signalled to vCPU {HOME}")


def test_events_are_printed_while_the_guest_runs(sessions: Sessions, board: Board) -> None:
    scenes.driver(board.gic)
    scenes.enable(board.gic, LOST, 0, edge=True)
    session = sessions()
    assert session.run("monitor trace line ack access").startswith("trace on: line ack access")
    session.run(f"tbreak irq{LOST}_deactivate")
    session.start("continue")
    with board.acting() as guest:
        guest.pulse(LOST)
        guest.read(0, "GICC_IAR")
        guest.write(0, "GICC_EOIR", LOST)
        shown = session.wait()
        session.run("monitor trace off")
        session.run("detach")
    lines = [line.partition(" ")[2] for line in shown.splitlines() if re.match(r"#\d+ ", line)]
    assert lines == [
        f"irq{LOST} line high",
        "vcpu0 read GICC_IAR",
        f"irq{LOST} ack by vcpu0",
        f"vcpu0 write GICC_EOIR = {LOST:#010x} (irq{LOST})",
    ]


def test_events_are_not_printed_in_non_stop(sessions: Sessions, board: Board) -> None:
    session = sessions("set non-stop on")
    assert "non-stop" in session.run("monitor trace on")
    assert "trace off" in session.run("monitor trace")


def test_commands_are_answered_while_the_guest_runs_in_non_stop(sessions: Sessions, board: Board) -> None:
    scenes.driver(board.gic)
    session = sessions("set non-stop on")
    said = polled(session, "monitor why", "The guest runs.")  # gdb stops one vCPU when it connects, and goes on
    assert "Here: non-stop: vcpu0 runs, vcpu1 runs, vcpu2 runs, vcpu3 runs." in said
    assert "vcpu0 irq" in session.run("monitor irq 27 up 0")
    assert board.gic.read(0, Space.GICC, 0x00C) == 27


def polled(session: Session, command: str, wanted: str) -> str:
    """What `command` prints as soon as that contains `wanted`."""
    deadline = time.monotonic() + PATIENCE
    while wanted not in (said := session.run(command)):
        assert time.monotonic() < deadline, said
    return said


def test_a_race_is_set_up_by_hand(sessions: Sessions, board: Board) -> None:
    """Explicit mode: an interrupt that comes after the entry is not seen before the next."""
    scenes.driver(board.gic)
    session = sessions()
    session.run("monitor mode explicit")
    assert session.run("monitor enter 1").startswith("vCPU 1 is inside the guest; order ")
    said = session.run("monitor irq 42 up")
    assert "not signalled" in said
    assert "queued after vCPU 1 entered" in session.run("monitor why 42")
    session.run("monitor exit 1")
    assert "irq42 pending prio 0x90" in session.run("monitor enter 1")
    assert "`monitor exit` every vCPU that is before automatic mode" in session.run("monitor mode auto")


def test_reset_forgets_everything(sessions: Sessions, board: Board) -> None:
    scenes.busy(board.gic)
    session = sessions()
    assert session.run("p GICD_CTLR") == "$1 = 1"
    assert session.run("monitor reset").startswith("the domain is as it was created; order ")
    assert session.run("p GICD_CTLR") == "$2 = 0"
    assert board.gic.lr_get(0).used == 0
