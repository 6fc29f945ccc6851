"""`vgicctl` against a real daemon: text, JSON, exit codes, and tables on a terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from vgicd_client import Client, Event, EventKind, PrivateDaemon, Space, connect, private_daemon
from vgicd_client.ctl import discover, watch
from vgicd_client.ctl.main import main

VCPUS = 2


@pytest.fixture(scope="module")
def daemon() -> Iterator[PrivateDaemon]:
    with private_daemon(vcpus=VCPUS, profile="xen-guest") as running:
        yield running


@pytest.fixture
def gic(daemon: PrivateDaemon) -> Iterator[Client]:
    """A domain whose SPI 40 is level, enabled, for vCPU 0, at priority 0xA0; and a client of it."""
    with connect(daemon.address) as client:
        client.reset()
        client.write(0, Space.GICD, 0x000, 1)
        client.write(0, Space.GICD, 0x828, 1, 1)
        client.write(0, Space.GICD, 0x428, 0xA0, 1)
        client.write(0, Space.GICD, 0xC08, 0)
        client.write(0, Space.GICD, 0x104, 1 << 8)
        client.write(0, Space.GICC, 0x004, 0xF8)
        client.write(0, Space.GICC, 0x000, 1)
        yield client


def ctl(daemon: PrivateDaemon, *arguments: str | Path, **keywords: Any) -> Result:
    return CliRunner().invoke(main, ["--address", daemon.address, *map(str, arguments)], **keywords)


def text(daemon: PrivateDaemon, *arguments: str | Path, **keywords: Any) -> str:
    result = ctl(daemon, *arguments, **keywords)
    assert result.exit_code == 0, result.output
    return result.output


def data(daemon: PrivateDaemon, *arguments: str | Path) -> Any:
    return json.loads(text(daemon, *arguments, "--json"))


# --- looking --------------------------------------------------------------------------------------------------------


def test_info(gic: Client, daemon: PrivateDaemon) -> None:
    assert "xen-guest" in text(daemon, "info")
    facts = data(daemon, "info")
    assert (facts["vcpus"], facts["variant"], facts["mode"]) == (VCPUS, "correct", "automatic")
    assert [frame["name"] for frame in facts["frames"]][:2] == ["GICD", "GICC"]


def test_regs_are_decoded(gic: Client, daemon: PrivateDaemon) -> None:
    gic.line(40, 1)
    shown = text(daemon, "regs")
    for words in ("GICD_ISENABLER1", "irqs 40", "GICC_PMR", "Priority=0xf8", "GICH_LR0", "40 pending prio 0xa0 eoi"):
        assert words in shown
    only = data(daemon, "regs", "gicd")["frames"]
    assert list(only) == ["GICD"]
    typer = next(word for word in only["GICD"] if word["name"] == "GICD_TYPER")
    assert typer["fields"]["CPUNumber"] == VCPUS - 1


def test_regs_disturb_nothing(gic: Client, daemon: PrivateDaemon) -> None:
    gic.line(40, 1)
    before = gic.snapshot()
    text(daemon, "regs", "--all", "--vcpu", "1")
    assert gic.snapshot() == before


def test_regs_show_zero_words_of_arrays_only_when_asked(gic: Client, daemon: PrivateDaemon) -> None:
    assert "GICD_ISPENDR1" not in text(daemon, "regs", "GICD")
    assert "GICD_ISPENDR1" in text(daemon, "regs", "GICD", "--all")


def test_irq(gic: Client, daemon: PrivateDaemon) -> None:
    assert "outputs: irq0" in text(daemon, "irq", "40", "up")
    facts = data(daemon, "irq", "40")
    assert (facts["pending"], facts["line_level"], facts["priority"]) == (True, True, 0xA0)
    assert "LR0" in text(daemon, "irq", "0x28")
    assert "outputs: none" in text(daemon, "irq", "40", "down")
    assert data(daemon, "irq", "40", "pulse")["outputs"] == 0


def test_a_private_interrupt_has_an_owner(gic: Client, daemon: PrivateDaemon) -> None:
    assert data(daemon, "irq", "20", "up", "--vcpu", "1")["order"]
    assert gic.irq_info(20, 1).line_level
    assert not gic.irq_info(20, 0).line_level
    assert data(daemon, "irq", "20", "--vcpu", "1")["vcpu"] == 1


def test_irqs_leave_out_what_rests(gic: Client, daemon: PrivateDaemon) -> None:
    shown = text(daemon, "irqs").splitlines()
    assert [line.split()[0] for line in shown[2:]] == ["40"]
    assert len(data(daemon, "irqs", "--all")) == 32 * VCPUS + 64


def test_lrs(gic: Client, daemon: PrivateDaemon) -> None:
    gic.line(40, 1)
    shown = text(daemon, "lrs")
    assert "vCPU 0: inside the guest, 1 used" in shown
    assert "40 pending prio 0xa0 eoi" in shown
    found = data(daemon, "lrs", "--vcpu", "0")
    assert found[0]["decoded"][0]["intid"] == 40


def test_dump(gic: Client, daemon: PrivateDaemon) -> None:
    assert text(daemon, "dump") == "nothing is queued\n"
    gic.line(40, 1)
    assert "irq 40" in text(daemon, "dump")
    assert "Distributor" in text(daemon, "dump", "--kvm")
    assert data(daemon, "dump", "--kvm")["kind"] == "kvm"


def test_stats(gic: Client, daemon: PrivateDaemon) -> None:
    assert "operations" in text(daemon, "stats")
    assert data(daemon, "stats")["operations"] > 0


# --- touching -------------------------------------------------------------------------------------------------------


def test_read_write_and_peek(gic: Client, daemon: PrivateDaemon) -> None:
    text(daemon, "write", "GICD_IPRIORITYR10", "0x60", "--size", "1")
    assert text(daemon, "peek", "GICD+0x428", "--size", "1").startswith("GICD_IPRIORITYR10 0x60: 40=0x60")
    assert data(daemon, "read", "0x03001004")["value"] == 0x22
    gic.line(40, 1)
    assert "INTID=0x28" in text(daemon, "peek", "GICC_IAR")
    assert "INTID=0x28" in text(daemon, "read", "gicc_iar"), "peek had acknowledged nothing"
    assert "INTID=0x3ff" in text(daemon, "read", "GICC_IAR")


def test_an_abort_is_an_exit_code() -> None:
    with private_daemon(strict_abort=True) as strict:
        result = ctl(strict, "read", "GICD+0x00c")
        assert result.exit_code == 1
        assert "aborts" in result.output
        assert json.loads(ctl(strict, "read", "GICD+0x00c", "--json").output)["aborted"] is True


@pytest.mark.parametrize("place", ["GICD_NOSUCH", "GICQ+4", "GICD+x", "-1", "IAR"])
def test_a_place_that_is_none_is_wrong_usage(daemon: PrivateDaemon, place: str) -> None:
    result = ctl(daemon, "peek", "--", place)
    assert result.exit_code == 2
    assert "Invalid value" in result.output


def test_snapshots(gic: Client, daemon: PrivateDaemon, tmp_path: Path) -> None:
    first, second = tmp_path / "first.img", tmp_path / "second.img"
    assert "the state after operation" in text(daemon, "snapshot", "save", first)
    assert "no difference" in text(daemon, "snapshot", "diff", first)
    gic.line(40, 1)
    text(daemon, "snapshot", "save", second)
    result = ctl(daemon, "snapshot", "diff", first, second)
    assert result.exit_code == 1
    assert "spi.line_level" in result.output
    changes = json.loads(ctl(daemon, "snapshot", "diff", first, "--json").output)
    assert {"name": "spi.line_level", "position": 8, "before": 0, "after": 1} in changes
    refused = ctl(daemon, "snapshot", "save", tmp_path / "none" / "x")
    assert (refused.exit_code, refused.output) == (1, f"vgicctl: {tmp_path}/none/x: No such file or directory\n")
    text(daemon, "snapshot", "restore", first)
    assert gic.irq_info(40).line_level is False


def test_a_damaged_snapshot_is_refused_before_sending(gic: Client, daemon: PrivateDaemon, tmp_path: Path) -> None:
    path = tmp_path / "image"
    text(daemon, "snapshot", "save", path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    order = gic.order
    result = ctl(daemon, "snapshot", "restore", path)
    assert result.exit_code == 2
    assert "damaged" in result.output
    gic.ping()
    assert gic.order == order


def test_a_snapshot_of_another_geometry_is_refused(gic: Client, daemon: PrivateDaemon, tmp_path: Path) -> None:
    path = tmp_path / "image"
    with private_daemon(vcpus=1) as other:
        text(other, "snapshot", "save", path)
        assert ctl(daemon, "snapshot", "diff", path).exit_code == 2
    result = ctl(daemon, "snapshot", "restore", path)
    assert result.exit_code == 4
    assert "BAD_IMAGE" in result.output
    assert "vCPUs: 1 instead of 2, profile virt instead of xen-guest" in result.output


def test_a_foreign_file_is_no_snapshot(daemon: PrivateDaemon, tmp_path: Path) -> None:
    path = tmp_path / "letter"
    path.write_text("Dear all,")
    result = ctl(daemon, "snapshot", "restore", path)
    assert (result.exit_code, result.output) == (
        2,
        f"vgicctl: {path} is no state image: `vgicctl snapshot save` writes one\n",
    )
    through_a_file = ctl(daemon, "snapshot", "save", path / "x")
    assert (through_a_file.exit_code, through_a_file.output) == (1, f"vgicctl: {path}/x: Not a directory\n")


def test_the_console_carries_bytes_both_ways(gic: Client, daemon: PrivateDaemon) -> None:
    gic.write(0, Space.PHYSICAL, 0x2200_0000, ord("G"))
    assert data(daemon, "console", "--send", "abc") == {"accepted": 3, "data": "G"}
    assert gic.read(0, Space.PHYSICAL, 0x2200_0000) & 0xFF == ord("a")
    gic.write(0, Space.PHYSICAL, 0x2200_0000, ord("!"))
    command = [sys.executable, "-m", "vgicd_client.ctl.main", "-a", daemon.address, "console"]
    piped = subprocess.run(command, input=b"typed", capture_output=True, timeout=20, check=True)
    assert piped.stdout == b"!"
    received = bytes(gic.read(0, Space.PHYSICAL, 0x2200_0000) & 0xFF for _ in range(7))
    assert received == b"bctyped"


def test_an_idle_console_asks_for_nothing(gic: Client, daemon: PrivateDaemon) -> None:
    """CONSOLE is an operation: an attached terminal must not make the order numbers run."""
    command = [sys.executable, "-m", "vgicd_client.ctl.main", "-a", daemon.address, "console"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as attached:
        assert attached.stdin is not None
        assert attached.stdout is not None
        try:
            gic.write(0, Space.PHYSICAL, 0x2200_0000, ord("1"))
            assert attached.stdout.read(1) == b"1"
            gic.write(0, Space.PHYSICAL, 0x2200_0000, ord("2"))
            assert attached.stdout.read(1) == b"2"
            time.sleep(0.1)  # a last fetch, for the event of a byte that the first one brought
            gic.ping()
            order = gic.order
            time.sleep(0.4)
            gic.ping()
            assert gic.order == order
            attached.stdin.write(b"k")
            attached.stdin.close()
            assert attached.wait(20) == 0
        finally:
            attached.kill()
    assert gic.read(0, Space.PHYSICAL, 0x2200_0000) & 0xFF == ord("k")


def test_a_domain_without_a_console_says_so() -> None:
    with private_daemon(profile="virt") as bare:
        result = ctl(bare, "console", "--send", "x")
        assert result.exit_code == 4
        assert "NO_DEVICE" in result.output


def test_watch_prints_events_as_they_happen(gic: Client, daemon: PrivateDaemon) -> None:
    command = [sys.executable, "-m", "vgicd_client.ctl.main", "-a", daemon.address, "watch", "--count", "3"]
    kinds = ["--kind", "line", "--kind", "output", "--kind", "access"]
    with subprocess.Popen([*command, *kinds], stdout=subprocess.PIPE, text=True) as watching:
        try:
            _until_told(gic, watching)
            shown, _ = watching.communicate(timeout=20)
        finally:
            watching.kill()
    assert "line" in shown
    assert "irq 40" in shown


def _until_told(gic: Client, watching: subprocess.Popen[str]) -> None:
    """Drive the line until the watcher, which counts its events, has ended."""
    deadline = time.monotonic() + 20
    while watching.poll() is None and time.monotonic() < deadline:
        gic.line(40, 1)
        gic.line(40, 0)
        time.sleep(0.05)


def test_watch_shows_no_value_for_a_read() -> None:
    read = Event(7, EventKind.ACCESS, 1, 4, 1 << 28 | 0x104, 0)
    write = read._replace(intid=4 | 1 << 8, value=5)
    assert watch.text(read).endswith("access      vcpu 1  read32 GICD_ISENABLER1")
    assert watch.text(write).endswith("write32 GICD_ISENABLER1 0x5")
    assert (watch.facts(read)["value"], watch.facts(write)["value"]) == (None, 5)


def test_watch_ends_when_nothing_happens(daemon: PrivateDaemon) -> None:
    assert text(daemon, "watch", "--seconds", "0.1") == ""


# --- finding and failing --------------------------------------------------------------------------------------------


@pytest.fixture
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty default directory for sockets, the only one that is looked into."""
    folder = tmp_path / "vgicd"
    folder.mkdir()
    monkeypatch.setattr(discover, "directories", lambda: [folder])
    monkeypatch.delenv("VGICD_ADDRESS", raising=False)
    return folder


def alone(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_the_only_daemon_needs_no_address(gic: Client, daemon: PrivateDaemon, run_folder: Path) -> None:
    (run_folder / "guest.sock").symlink_to(daemon.address.removeprefix("unix:"))
    listed = json.loads(alone("list", "--json").output)
    assert [(row["vcpus"], row["profile"]) for row in listed] == [(VCPUS, "xen-guest")]
    assert "xen-guest" in alone("list").output
    assert alone("peek", "GICD_TYPER").exit_code == 0


def test_without_a_daemon_the_way_to_one_is_told(run_folder: Path) -> None:
    result = alone("info")
    assert result.exit_code == 3
    assert "vgicd serve" in result.output
    assert json.loads(alone("list", "--json").output) == []


def test_among_several_daemons_one_must_be_chosen(daemon: PrivateDaemon, run_folder: Path) -> None:
    for name in ("a.sock", "b.sock"):
        (run_folder / name).symlink_to(daemon.address.removeprefix("unix:"))
    result = alone("info")
    assert result.exit_code == 3
    assert "choose one" in result.output


def test_a_dead_socket_is_listed_as_such(run_folder: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(run_folder / "dead.sock"))
    (row,) = json.loads(alone("list", "--json").output)
    assert "no daemon listens there any more" in row["problem"]


def test_the_environment_names_a_daemon(gic: Client, daemon: PrivateDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VGICD_ADDRESS", daemon.address)
    assert alone("peek", "GICD_TYPER").exit_code == 0
    monkeypatch.setenv("VGICD_ADDRESS", "unix:/nowhere")
    assert alone("peek", "GICD_TYPER").exit_code == 3
    assert alone("peek", "GICD_TYPER", "-a", daemon.address).exit_code == 0, "an option overrides it"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["-a", "vsock:1", "info"], 2, "is not an address"),
        (["-a", "unix:/nowhere", "info"], 3, "no daemon listens there"),
        (["-a", f"unix:{__file__}", "info"], 3, "Connection refused; that is no socket\n"),
        (["-a", "tcp:127.0.0.1:1", "info"], 3, "Connection refused; no daemon listens there\n"),
        (["trace", "replay", "/nowhere"], 2, "/nowhere: cannot be read: No such file or directory\n"),
        (["nosuch"], 2, "No such command"),
        (["irq", "x"], 2, "is not a number"),
    ],
)
def test_failures_have_codes_and_sentences(arguments: list[str], code: int, words: str) -> None:
    result = alone(*arguments)
    assert result.exit_code == code
    assert words in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["irq", "4000"], "BAD_INTID"),
        (["irq", "27", "up"], "OWNED"),
        (["peek", "GICD_TYPER", "--vcpu", "7"], "BAD_VCPU"),
        (["lrs", "--vcpu", "7"], "BAD_VCPU"),
    ],
)
def test_a_refusal_has_its_code_and_sentence(
    gic: Client, daemon: PrivateDaemon, arguments: list[str], words: str
) -> None:
    result = ctl(daemon, *arguments)
    assert result.exit_code == 4
    assert words in result.output
    assert result.output.count("\n") == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_each_shell(shell: str) -> None:
    result = alone("completion", shell)
    assert result.exit_code == 0
    assert "_VGICCTL_COMPLETE" in result.output


def test_registers_and_addresses_complete(daemon: PrivateDaemon, run_folder: Path) -> None:
    (run_folder / "guest.sock").symlink_to(daemon.address.removeprefix("unix:"))

    def completions(words: str) -> list[str]:
        environment = {
            "_VGICCTL_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        }
        result = CliRunner().invoke(main, [], prog_name="vgicctl", env=environment)
        return [line.partition(",")[2] for line in result.output.splitlines()]

    assert "GICD_ISENABLER" in completions("vgicctl peek GICD_IS")
    assert completions("vgicctl --address unix:") == [f"unix:{run_folder}/guest.sock"]
    assert [name.upper() for name in completions("vgicctl regs GI")] == ["GICD", "GICC", "GICH"]


def test_tables_are_drawn_on_a_terminal_and_only_there(gic: Client, daemon: PrivateDaemon) -> None:
    master, terminal = pty.openpty()
    command = [sys.executable, "-m", "vgicd_client.ctl.main", "-a", daemon.address, "irqs"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "140"}
    with subprocess.Popen(command, stdout=terminal, stderr=terminal, env=environment) as process:
        os.close(terminal)
        shown = _drain(master)
        process.wait(20)
    os.close(master)
    assert "┏━" in shown
    assert "0xa0" in shown
    assert "\x1b[" in shown, "headings are bold"
    plain = text(daemon, "irqs")
    assert "┃" not in plain
    assert "\x1b" not in plain


def _drain(master: int) -> str:
    collected = b""
    while select.select([master], [], [], 20)[0]:
        try:
            part = os.read(master, 4096)
        except OSError:  # EIO: the last writer has gone
            break
        if not part:
            break
        collected += part
    return collected.decode()
