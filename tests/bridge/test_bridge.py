"""A guest on stock QEMU, bridged to a real daemon: what it is given, and what happens when a part of it dies."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.bridge.runs import bridge, children, gone
from vgicd_client import connect, private_daemon
from vgicd_client.ctl.main import main

pytestmark = pytest.mark.usefixtures("qemu")

SCENARIOS = [
    *("naive-handler", "accesses", "nothing-there", "hypercalls", "unheard-device", "timer", "behind-the-mmu"),
    *("speed", "stranger"),
]
ASLEEP = "asleep until somebody raises SPI 40"
SPI = 40
SOON = 5.0  # seconds in which a lost part must be told
FOR_EVER = 0x14000000  # b .
PRINT_FOR_EVER = (0xD2A12000, 0x52800141, 0xB9000001, 0x17FFFFFF)  # as below, but b .-4
PRINT_AND_SWITCH_OFF = (
    *(0xD2A12000, 0x52800141, 0xB9000001),  # mov x0, #0x09000000; mov w1, #10; str w1, [x0]
    *(0x52800100, 0x72B08000, 0xD4000003),  # mov w0, #8; movk w0, #0x8400, lsl #16; smc #0
)


def flat(path: Path, *words: int) -> Path:
    path.write_bytes(b"".join(word.to_bytes(4, "little") for word in words))
    return path


@pytest.mark.parametrize("trap", ["bell", pytest.param("gdb", marks=pytest.mark.long)])
def test_guest_takes_ticks_its_own_sgis_and_an_spi_that_another_client_raises(bridged: Path, trap: str) -> None:
    """Handlers that save nothing before they read IAR are among its scenarios."""
    with (
        private_daemon(vcpus=1, spis=64) as daemon,
        bridge("--connect", daemon.address, "--kernel", bridged, "--trap", trap, "--stats") as run,
    ):
        run.until(ASLEEP)
        with connect(daemon.address, "guest") as other:
            other.line(SPI, 1)
        run.until("EXIT:")
        status, errors = run.end()
    assert [line for line in run.said if line.startswith(("PASS", "FAIL"))] == [f"PASS {name}" for name in SCENARIOS]
    assert status == 7, "the guest's own"
    count = re.search(r"(\d+) accesses to the GIC", errors)
    rate = re.search(r"median (\d+) us, (\d+) a second", errors)
    assert count is not None
    assert rate is not None
    assert int(count[1]) > 500
    assert int(rate[2]) > 0


@pytest.mark.long
def test_tour_passes_with_the_uarts_interrupt_from_qemus_own_device(tour: Path) -> None:
    with bridge(tour, "--timeout", "60") as run:
        status, errors = run.end()
    verdicts = [line for line in run.said if line.startswith(("PASS", "FAIL"))]
    assert len(verdicts) == 8
    assert all(line.startswith("PASS") for line in verdicts), verdicts
    assert status == 0, errors


def test_a_killed_daemon_ends_the_run_soon_with_a_sentence(bridged: Path) -> None:
    with (
        private_daemon(vcpus=1) as daemon,
        bridge("--connect", daemon.address, "--kernel", bridged) as run,
    ):
        run.until(ASLEEP)
        qemu = run.qemu()
        daemon.process.kill()
        status, errors = run.end(SOON)
    assert status == 121
    assert "the interrupt controller is gone" in errors
    assert gone(qemu)


@pytest.mark.long
@pytest.mark.parametrize("printing", [False, True])
def test_a_stopped_daemon_ends_the_run_too(bridged: Path, tmp_path: Path, printing: bool) -> None:
    """Whether the guest sleeps, or prints without end and asks its GIC nothing."""
    guest = flat(tmp_path / "flat.bin", *PRINT_FOR_EVER) if printing else bridged
    with private_daemon(vcpus=1) as daemon, bridge("--connect", daemon.address, "--kernel", guest) as run:
        run.until("" if printing else ASLEEP)
        daemon.process.send_signal(signal.SIGSTOP)
        try:
            status, errors = run.end(2 * SOON)
        finally:
            daemon.process.send_signal(signal.SIGCONT)
    assert status == 121
    assert "the interrupt controller is gone" in errors


def test_a_killed_qemu_is_told_with_its_signal(bridged: Path) -> None:
    with bridge("--kernel", bridged) as run:
        run.until(ASLEEP)
        os.kill(run.qemu(), signal.SIGKILL)
        status, errors = run.end(SOON)
    assert status == 122
    assert "QEMU was ended by signal 9" in errors


def test_neither_qemu_nor_the_private_daemon_outlives_a_killed_bridge(bridged: Path) -> None:
    with bridge("--kernel", bridged) as run:
        run.until(ASLEEP)
        started = children(run.process.pid)
        run.process.kill()
        assert len(started) == 2
        assert all(gone(pid) for pid in started)


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.long)])
def test_a_signal_ends_qemu_and_the_private_daemon(tmp_path: Path, number: signal.Signals) -> None:
    with bridge("--kernel", flat(tmp_path / "flat.bin", FOR_EVER)) as run:
        while len(started := children(run.process.pid)) < 2:
            assert run.process.poll() is None
        run.process.send_signal(number)
        status, _ = run.end(SOON)
    assert status == 128 + number
    assert all(gone(pid) for pid in started)


@pytest.mark.long
def test_typing_more_than_the_guest_takes_does_not_stop_it(bridged: Path, tmp_path: Path) -> None:
    """Far more than the sockets between hold; the guest never reads its serial port."""
    typed = tmp_path / "typed"
    typed.write_bytes(bytes(1 << 21))
    with typed.open("rb") as stream, bridge("--kernel", bridged, "--input", stdin=stream) as run:
        run.until(ASLEEP)
        assert [line for line in run.said if line.startswith("FAIL")] == []
        with pytest.raises(subprocess.TimeoutExpired):
            run.process.wait(0.5)
        run.process.terminate()
        assert run.end(SOON)[0] == 143


def closed(descriptor: int, *arguments: str | Path) -> tuple[int, str]:
    """The bridge without this standard stream, as after `>&-`."""
    command = [sys.executable, "-m", "vgicd_client.ctl.main", "bridge", *map(str, arguments)]
    result = subprocess.run(
        ["sh", "-c", f'exec "$@" {descriptor}>&-', "sh", *command], capture_output=True, timeout=60, check=False
    )
    return result.returncode, result.stderr.decode()


@pytest.mark.long
def test_a_guest_runs_without_a_standard_output(tmp_path: Path) -> None:
    status, errors = closed(1, "--kernel", flat(tmp_path / "flat.bin", *PRINT_AND_SWITCH_OFF))
    assert status == 0, errors


def test_input_needs_a_standard_input() -> None:
    status, errors = closed(0, "guest.elf", "--input")
    assert status == 2
    assert "is closed" in errors


def test_an_access_that_cannot_be_carried_out_is_told_with_its_pc(tmp_path: Path) -> None:
    load_exclusive = flat(tmp_path / "flat.bin", 0xD2A10000, 0x885F7C01, FOR_EVER)  # mov x0, #0x08000000; ldxr w1, [x0]
    with bridge("--kernel", load_exclusive) as run:
        status, errors = run.end()
    assert status == 126
    assert "0x885f7c01 at PC 0x40080004 accesses the GIC at 0x8000000" in errors


def test_acquiring_loads_and_releasing_stores_are_carried_out(tmp_path: Path) -> None:
    """QEMU's syndrome describes them as any other; mov x0, #0x08000000; ldar w1, [x0]; stlr w1, [x0]."""
    code = flat(tmp_path / "flat.bin", 0xD2A10000, 0x88DFFC01, 0x889FFC01, *PRINT_AND_SWITCH_OFF)
    with bridge("--kernel", code, "--stats") as run:
        status, errors = run.end()
    assert (status, "2 accesses to the GIC (1 reads, 1 writes, 0 aborts)" in errors) == (0, True), errors


def test_the_time_limit_is_a_status_of_its_own(tmp_path: Path) -> None:
    with bridge("--kernel", flat(tmp_path / "flat.bin", FOR_EVER), "--timeout", "0.5") as run:
        status, errors = run.end()
    assert status == 125
    assert "the time it was given" in errors


def test_what_qemu_says_of_its_arguments_is_passed_on(tmp_path: Path) -> None:
    with bridge(flat(tmp_path / "flat.bin", FOR_EVER), "--", "-device", "nonsense") as run:
        status, errors = run.end()
    assert status == 122
    assert "'nonsense' is not a valid device model name" in errors


def test_a_missing_qemu_is_told_with_its_package(tmp_path: Path) -> None:
    with bridge(
        flat(tmp_path / "flat.bin", FOR_EVER), environment=os.environ | {"PATH": str(Path(sys.executable).parent)}
    ) as run:
        status, errors = run.end()
    assert status == 123
    assert "qemu-system-arm" in errors


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--", "-smp", "2"), "chooses one CPU"),
        (("--", "--gdb", "tcp::1234"), "chooses the gdbstub"),
        (("--", "-no-shutdown"), "chooses when QEMU ends"),
        (("--", "-kernel", "Image"), "chooses the guest (IMAGE)"),
        ((), "there is no guest"),
        (("guest.elf", "--kernel", "Image"), "are two guests"),
        (("guest.elf", "--json"), "--json"),
        (("guest.elf", "--reset"), "--reset is for a daemon"),
        (("--private", "--connect", "unix:/nowhere"), "exclude each other"),
    ],
)
def test_what_contradicts_the_bridge_is_wrong_usage(arguments: tuple[str, ...], why: str) -> None:
    result = CliRunner().invoke(main, ["bridge", *arguments])
    assert result.exit_code == 2
    assert why in result.output


def test_no_daemon_is_told_before_qemu_is_started(tmp_path: Path) -> None:
    with bridge(flat(tmp_path / "flat.bin", FOR_EVER), "--connect", "unix:/nowhere/at-all") as run:
        status, errors = run.end()
    assert status == 121
    assert "/nowhere/at-all" in errors


def test_json_of_a_run_is_refused_before_the_commands_name_too() -> None:
    result = CliRunner().invoke(main, ["--json", "bridge", "guest.elf"])
    assert (result.exit_code, "there is no JSON of a run" in result.output) == (2, True), result.output


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x7fELF\x01\x01\x01" + bytes(100), "is not a 64-bit little-endian AArch64 executable"),
        (b"", "is empty"),
        (None, "cannot read the image"),
    ],
)
def test_an_image_that_cannot_run_is_refused_as_vgicctl_run_does(tmp_path: Path, data: bytes | None, why: str) -> None:
    image = tmp_path / "image"
    if data is not None:
        image.write_bytes(data)
    with bridge(image) as run:
        status, errors = run.end(SOON)
    assert (status, why in errors) == (124, True), errors


@pytest.mark.parametrize("trap", ["bell", "gdb"])
def test_a_guest_that_faults_for_ever_is_told_with_its_pc_at_the_end_of_its_time(tmp_path: Path, trap: str) -> None:
    with bridge(flat(tmp_path / "flat.bin", 0), "--timeout", "1", "--trap", trap) as run:
        status, errors = run.end()
    assert (status, "at PC 0x200, EL1, in an exception loop" in errors) == (125, True), errors


def test_ctrl_c_tells_where_the_guest_is(tmp_path: Path) -> None:
    newline_for_ever = flat(tmp_path / "flat.bin", *PRINT_FOR_EVER)
    with bridge(newline_for_ever, "--ram", "64") as run:
        run.until("")
        run.process.send_signal(signal.SIGINT)
        status, errors = run.end(SOON)
    assert (status, "interrupted, at PC 0x400800" in errors, "loop" in errors) == (130, True, False), errors


@pytest.mark.parametrize(("redirected", "status"), [("2>/dev/full", 0), ("| head -c 1", 141)])
def test_streams_that_take_nothing_end_as_in_vgicctl_run(tmp_path: Path, redirected: str, status: int) -> None:
    words = PRINT_AND_SWITCH_OFF if status == 0 else PRINT_FOR_EVER
    image = flat(tmp_path / "flat.bin", *words)
    command = [sys.executable, "-m", "vgicd_client.ctl.main", "bridge", str(image), "--stats", "--timeout", "20"]
    script = f'"$@" {redirected}; exit "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", script, "bash", *command], capture_output=True, timeout=60, check=False)
    assert done.returncode == status, done.stderr
