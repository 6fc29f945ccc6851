"""The command line's failures: one sentence and a status that tells them apart."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.guests.fakes import words
from tests.guests.programs import SYSTEM_OFF, UART, WAIT, program, say
from tests.guests.trees import flatten
from vgicd_client import Client, PrivateDaemon, Space, connect, private_daemon, regs
from vgicd_client.ctl.main import main as vgicctl
from vgicd_machine import guests
from vgicd_machine.command import main
from vgicd_machine.errors import (
    Deadlock,
    GicLost,
    GuestFault,
    ImageError,
    MachineError,
    MissingPart,
    TimeLimit,
    statuses,
)
from vgicd_machine.gic.socket_port import open_port, reset


def run(*arguments: str, module: str = "vgicd_machine", **environment: str) -> tuple[int, str]:
    result = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": "/usr/bin:/bin", **environment},
    )
    return result.returncode, result.stderr


@pytest.fixture
def endless(tmp_path: Path) -> str:
    path = tmp_path / "endless.bin"
    path.write_bytes(bytes.fromhex("00000014"))  # b .
    return str(path)


def test_no_daemon(endless: str, tmp_path: Path) -> None:
    status, stderr = run(endless, "--connect", f"unix:{tmp_path}/none")
    assert status == GicLost.status
    assert stderr.startswith(f"vgicd_machine: no interrupt controller: cannot connect to unix:{tmp_path}/none: ")
    assert "no daemon listens there" in stderr
    assert len(stderr.splitlines()) == 1


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(64)], ids=["http", "zeroes"])
def test_a_peer_that_is_no_daemon(endless: str, tmp_path: Path, reply: bytes) -> None:
    address = f"unix:{tmp_path}/peer"

    def answer(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer:
            peer.recv(4096)
            peer.sendall(reply)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/peer")
        listener.listen()
        with ThreadPoolExecutor(1) as pool:
            served = pool.submit(answer, listener)
            status, stderr = run(endless, "--connect", address)
            served.result()
    assert (status, len(stderr.splitlines())) == (GicLost.status, 1)
    assert f"what answers at {address} is not a vgicd (" in stderr


def test_address_that_is_none(endless: str) -> None:
    status, stderr = run(endless, "--connect", "somewhere")
    assert status == 2
    assert "is not an address" in stderr


def test_missing_image() -> None:
    assert run("/nowhere/image", "--in-process") == (
        ImageError.status,
        "vgicd_machine: cannot read the image /nowhere/image: No such file or directory\n",
    )


def test_a_flat_binary_that_is_no_program_is_told_how_it_was_taken(tmp_path: Path) -> None:
    image = tmp_path / "passwd"
    image.write_bytes(bytes(8))
    fault = "CPU 0: undefined instruction at 0x40080000 (ESR 0x02000000), and no memory at its vector 0x200"
    guess = f"{image} is neither an ELF nor an arm64 Image: it was loaded as a flat binary at 0x40080000"
    assert run(str(image), "--in-process") == (GuestFault.status, f"vgicd_machine: {fault}; {guess}\n")
    said = run(str(image), "--in-process", "--load-address", "0x40080000")
    assert said == (GuestFault.status, f"vgicd_machine: {fault}\n")


def test_time_limit(endless: str) -> None:
    status, stderr = run(endless, "--in-process", "--timeout", "0.3")
    assert (status, "within 0.3 seconds" in stderr) == (TimeLimit.status, True)


def test_conflicting_options(endless: str) -> None:
    status, stderr = run(endless, "--in-process", "--connect", "unix:/x")
    assert (status, "exclude each other" in stderr) == (2, True)


@pytest.fixture
def off(tmp_path: Path) -> str:
    path = tmp_path / "off.bin"
    path.write_bytes(words(SYSTEM_OFF))
    return str(path)


@pytest.fixture(scope="module")
def daemon() -> Iterator[PrivateDaemon]:
    with private_daemon("--tcp=127.0.0.1:0", vcpus=2) as running:
        yield running


@pytest.fixture
def gic(daemon: PrivateDaemon) -> Iterator[Client]:
    with connect(daemon.address, "control") as client:
        client.reset()
        yield client


def test_a_daemon_that_has_served_before_is_told_and_can_be_reset(off: str, daemon: PrivateDaemon, gic: Client) -> None:
    assert gic.order, "a reset is an operation, too"
    assert run(off, "--connect", daemon.address) == (0, "")
    gic.write(0, Space.GICD, 0, 1)
    status, stderr = run(off, "--connect", daemon.address)
    assert (status, len(stderr.splitlines())) == (0, 1)
    assert f"warning: {daemon.address} has served before (GICD_CTLR is 0x1), and a guest expects" in stderr
    assert run(off, "--connect", daemon.address, "--reset") == (0, "")
    assert gic.peek(0, Space.GICD, 0) == 0


@pytest.mark.parametrize(
    ("register", "vcpu", "value"),
    [("GICC_CTLR", 1, 1), ("GICD_ISENABLER0", 1, 1 << 27), ("GICD_ISENABLER2", 0, 4), ("GICD_ISACTIVER1", 0, 1 << 31)],
)
def test_whatever_is_enabled_pending_or_active_counts_as_left_over(
    daemon: PrivateDaemon, gic: Client, register: str, vcpu: int, value: int
) -> None:
    frame = register.partition("_")[0]
    offset = regs.frames()[frame].named(register)
    assert offset is not None
    with open_port(daemon.address) as port:
        assert port.left_over() == ""
        gic.write(vcpu, Space[frame], offset, value)
        before = gic.snapshot().words
        assert port.left_over() == f"{register} is {value:#x}"
        assert gic.snapshot().words == before


def test_a_reset_that_is_not_allowed_or_about_nobody_is_a_sentence(off: str, daemon: PrivateDaemon) -> None:
    with pytest.raises(MachineError, match=r"--reset needs role control, which tcp:.* does not grant"):
        reset(daemon.listening("tcp"))
    status, stderr = run(off, "--reset")
    assert (status, "which --connect names" in stderr) == (2, True)


@pytest.mark.long
def test_a_paced_guest_runs_to_its_end(off: str) -> None:
    assert run(off, "--in-process", "--paced") == (0, "")


@pytest.mark.parametrize("module", ["vgicd_machine", pytest.param("vgicd_machine.demo", marks=pytest.mark.long)])
def test_without_the_engine_the_extra_is_named(module: str, endless: str, tmp_path: Path) -> None:
    (tmp_path / "unicorn.py").write_text("raise ImportError('No module named unicorn')\n")
    arguments = [endless] if module == "vgicd_machine" else []
    status, stderr = run(*arguments, module=module, PYTHONPATH=str(tmp_path))
    assert status == MissingPart.status
    assert "install vgicd[emulator]" in stderr
    assert "Traceback" not in stderr


def test_without_a_cross_compiler_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSS", "no-such-compiler")
    with pytest.raises(MissingPart, match="gcc-aarch64-linux-gnu"):
        guests.build()


def test_guest_that_is_not_there() -> None:
    with pytest.raises(MissingPart, match="from a clone"):
        guests.build("none")


def test_every_failure_has_its_own_status() -> None:
    kinds = MachineError.__subclasses__()
    assert len({kind.status for kind in kinds} | {MachineError.status}) == len(kinds) + 1
    assert [int(status) for status, _ in statuses()] == sorted({kind.status for kind in kinds} | {MachineError.status})


def test_help_lists_every_status_under_both_names() -> None:
    runner = CliRunner()
    for command, arguments in ((main, ["-h"]), (vgicctl, ["run", "-h"])):
        shown = runner.invoke(command, arguments).output
        for status, meaning in statuses():
            assert re.search(rf"^  {status} +{re.escape(meaning[:30])}", shown, re.MULTILINE), status


def test_the_device_tree_is_written_and_nothing_runs(endless: str, tmp_path: Path) -> None:
    tree = tmp_path / "tree.dtb"
    assert run(endless, "--in-process", "--cpus", "2", "--append", "x=1", "--dump-dtb", str(tree)) == (0, "")
    found = flatten(tree.read_bytes())
    assert (found["/chosen/bootargs"], "/cpus/cpu@1/" in found) == (b"x=1\0", True)
    status, stderr = run(endless, "--in-process", "--dump-dtb", str(tmp_path / "no" / "tree"))
    assert (status, "cannot write the device tree to" in stderr) == (ImageError.status, True)


def test_a_log_that_cannot_be_written_is_a_sentence(endless: str, tmp_path: Path) -> None:
    status, stderr = run(endless, "--in-process", "--log", str(tmp_path / "no" / "log"))
    assert (status, "cannot write the operation log" in stderr) == (MachineError.status, True)


@pytest.mark.parametrize(("said", "status"), [pytest.param("7", 7, marks=pytest.mark.long), ("130", 119)])
def test_the_guests_status_is_the_commands_below_the_machines(tmp_path: Path, said: str, status: int) -> None:
    image = program(tmp_path, UART + say(f"EXIT: STATUS={said}\n") + SYSTEM_OFF)
    ended, stderr = run(image, "--in-process")
    assert (ended, "becomes 119" in stderr) == (status, said == "130")


def test_a_guest_that_has_told_its_status_and_waits_for_nothing_has_ended(tmp_path: Path) -> None:
    image = program(tmp_path, UART + say("EXIT: STATUS=1\n") + WAIT)
    status, stderr = run(image, "--in-process")
    assert (status, "waits for nothing, which ends the run" in stderr) == (1, True)
    assert run(program(tmp_path, WAIT), "--in-process")[0] == Deadlock.status


def test_statistics_and_audit_are_told_on_standard_error(off: str) -> None:
    status, stderr = run(off, "--in-process", "--stats", "--audit")
    assert status == 0
    for wanted in (r"s of the guest's time in", r"\d+ instructions", r"CPU 0: 0 IRQs \(0 for nothing\)"):
        assert re.search(wanted, stderr), wanted


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--private", "--in-process"], "--private and --in-process exclude each other"),
        pytest.param(
            ["--deterministic", "--paced"], "--deterministic and --paced exclude each other", marks=pytest.mark.long
        ),
    ],
)
def test_what_cannot_be_both_is_refused(endless: str, arguments: list[str], sentence: str) -> None:
    status, stderr = run(endless, *arguments)
    assert (status, sentence in stderr) == (2, True)


def vgicctl_run(*arguments: str, **environment: str) -> tuple[int, str]:
    return run(*arguments, module="vgicd_client.ctl.main", **environment)


def test_the_environment_names_the_daemon_and_private_overrides_it(off: str, daemon: PrivateDaemon) -> None:
    with connect(daemon.address, "control") as gic:
        gic.reset()
        gic.write(0, Space.GICD, 0, 1)
    for started in (run, lambda *more, **names: vgicctl_run("run", *more, **names)):
        status, stderr = started(off, VGICD_ADDRESS=daemon.address)
        assert (status, f"{daemon.address} has served before" in stderr) == (0, True)
        assert started(off, "--private", VGICD_ADDRESS=daemon.address) == (0, "")
        assert started(off, "--in-process", VGICD_ADDRESS=daemon.address) == (0, "")
        assert started(off, "--reset", "--connect", daemon.address, VGICD_ADDRESS="unix:/nowhere") == (0, "")
        with connect(daemon.address) as gic:
            gic.write(0, Space.GICD, 0, 1)


@pytest.mark.parametrize("before", [True, False], ids=["before the command", "behind it"])
def test_an_address_is_that_of_every_command_and_no_private_daemons(off: str, *, before: bool) -> None:
    address = ("-a", "unix:/nowhere/at.all")
    command = (*address, "run", off) if before else ("run", off, *address)
    status, stderr = vgicctl_run(*command)
    assert (status, "cannot connect to unix:/nowhere/at.all" in stderr) == (GicLost.status, True)
    status, stderr = vgicctl_run(*command, "--private")
    assert (status, "--connect and --private exclude each other" in stderr) == (2, True)


def test_what_is_the_daemons_own_is_not_to_be_asked_for(off: str) -> None:
    for option, value in (("--lrs", "4"), ("--spis", "128"), ("--variant", "correct")):
        status, stderr = run(off, "--connect", "unix:/nowhere", option, value)
        assert (status, f"{option}: the domain at unix:/nowhere has its own; leave that out." in stderr) == (2, True)
    status, stderr = run(off, "--spis", "128", "--lrs", "2", VGICD_ADDRESS="unix:/nowhere")
    assert status == 2
    assert "--lrs and --spis: the domain at unix:/nowhere (VGICD_ADDRESS) has its own" in stderr
    assert "or add --private" in stderr


def test_more_cpus_than_the_daemon_has_is_wrong_usage_and_nothing_else_is_said(
    off: str, daemon: PrivateDaemon, gic: Client
) -> None:
    gic.write(0, Space.GICD, 0, 1)
    for more in ((), ("--reset",)):
        status, stderr = run(off, "--connect", daemon.address, "--cpus", "4", *more)
        assert (status, "has served before" in stderr) == (2, False)
        assert f"--cpus 4: the domain at {daemon.address} has 2 vCPUs." in stderr
    assert gic.peek(0, Space.GICD, 0) == 1, "it was not reset"


@pytest.mark.parametrize("before", [True, False], ids=["before the command", "behind it"])
def test_statistics_and_audit_are_one_object_of_json(off: str, *, before: bool) -> None:
    command = ("--json", "run", off) if before else ("run", off, "--json")
    status, stderr = vgicctl_run(*command, "--in-process", "--stats", "--audit", "--cpus", "2")
    told = json.loads(stderr)
    assert (status, set(told)) == (0, {"statistics", "audit"})
    assert (told["statistics"]["instructions"], told["statistics"]["irqs"]) == (3, [0, 0])
    assert set(told["statistics"]["interrupt_controller"]) == {"accesses", "seconds"}
    assert told["audit"]["violations"] == []
    assert [cpu["acknowledged"] for cpu in told["audit"]["cpus"]] == [{}, {}]


def test_json_is_only_of_what_was_asked_for(off: str) -> None:
    assert run(off, "--in-process", "--json") == (0, "")
    assert set(json.loads(run(off, "--in-process", "--json", "--audit")[1])) == {"audit"}


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(("--stats",), MachineError.status), (("--stats", "--json"), MachineError.status), (("--initrd", "/no"), 124)],
    ids=["text", "json", "another failure"],
)
def test_standard_error_that_is_full_is_a_failure_of_the_machines(
    off: str, arguments: tuple[str, ...], status: int
) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "vgicd_machine", off, "--in-process", *arguments]
        assert subprocess.run(command, stderr=full, timeout=60, check=False).returncode == status
