"""`vgicctl` in the guest's place: accesses that do nothing, world switches by hand, time, and a daemon yet to come."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from vgicd_client import Client, PrivateDaemon, Space, connect, private_daemon
from vgicd_client.ctl.main import main


@pytest.fixture(scope="module")
def daemon() -> Iterator[PrivateDaemon]:
    with private_daemon(vcpus=2, profile="xen-guest") as running:
        yield running


@pytest.fixture
def gic(daemon: PrivateDaemon) -> Iterator[Client]:
    with connect(daemon.address) as client:
        client.reset()
        yield client


def ctl(daemon: PrivateDaemon, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["-a", daemon.address, *arguments])


def text(daemon: PrivateDaemon, *arguments: str) -> str:
    result = ctl(daemon, *arguments)
    assert result.exit_code == 0, result.output
    return result.output.rstrip("\n")


def data(daemon: PrivateDaemon, *arguments: str) -> Any:
    return json.loads(text(daemon, *arguments, "--json"))


# --- accesses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "note", "refused"),
    [
        ("read GICD_CTLR --size 1", "GICD_CTLR (refused: width; the guest reads 0)", "width"),
        ("peek GICD_IPRIORITYR8 --size 8", "GICD_IPRIORITYR8 (refused: width; the guest reads 0)", "width"),
        ("read GICD+0x00c", "GICD+0x00c (refused: reserved; the guest reads 0)", "reserved"),
        ("read GICD_ISENABLER31", "GICD_ISENABLER31 (refused: range; the guest reads 0)", "range"),
        ("write GICD_TYPER 1", "outputs: none (read-only: ignored)", "read-only"),
        ("write GICD+0x00c 1", "outputs: none (refused: reserved; ignored)", "reserved"),
        ("write 0x03001004 1", "outputs: none (read-only: ignored)", "read-only"),
        ("write 0x50000000 1", "outputs: none (unmapped: ignored)", "unmapped"),
        ("read 0x50000000", "0xffffffff (unmapped)", "unmapped"),
        ("peek GICC_EOIR", "GICC_EOIR (write-only; the guest reads 0)", "write-only"),
        ("read GICC_EOIR", "GICC_EOIR (write-only; the guest reads 0)", "write-only"),
        ("read 0x22000018 --size 8", "0x22000018 (refused: width; the guest reads 0)", "width"),
        ("write GICD_CTLR 1", "outputs: none", None),
        ("read 0x22000018", "0x00000090", None),
    ],
)
def test_an_access_that_does_nothing_says_why(
    gic: Client, daemon: PrivateDaemon, arguments: str, note: str, refused: str | None
) -> None:
    assert text(daemon, *arguments.split()).endswith(note)
    assert data(daemon, *arguments.split())["refused"] == refused


def test_a_physical_address_is_decoded_as_its_register(gic: Client, daemon: PrivateDaemon) -> None:
    assert text(daemon, "read", "0x03001004") == text(daemon, "read", "GICD_TYPER")


def test_a_value_that_does_not_fit_is_not_written(gic: Client, daemon: PrivateDaemon) -> None:
    gic.ping()
    order = gic.order
    for value, size, words in (("0x100000001", "4", "4 bytes"), ("256", "1", "1 byte:")):
        result = ctl(daemon, "write", "GICD_CTLR", value, "--size", size)
        assert result.exit_code == 2
        assert words in result.output
    gic.ping()
    assert gic.order == order


@pytest.mark.parametrize("command", ["read", "write", "peek"])
def test_the_help_explains_place(daemon: PrivateDaemon, command: str) -> None:
    assert "a frame and an offset (GICD+0x104)" in " ".join(text(daemon, command, "--help").split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("read GICH_HCR", "no guest reaches GICH: use peek or lrs"),
        ("read GICD+0x1001", "GICD is 0x1000 bytes: 0x1001 is outside"),
        ("read GICD_CTLR --vcpu 5", "vCPU 5 does not exist: the domain has 2"),
        ("irq 3 up", "INTID 3 is an SGI: it has no line"),
    ],
)
def test_a_refusal_names_what_was_wrong(daemon: PrivateDaemon, arguments: str, words: str) -> None:
    result = ctl(daemon, *arguments.split())
    assert result.exit_code == 4
    assert words in result.output


# --- world switches, time and reset ---------------------------------------------------------------------------------


def test_worlds_are_switched_by_hand(gic: Client, daemon: PrivateDaemon) -> None:
    assert text(daemon, "mode") == "automatic"
    assert text(daemon, "mode", "explicit") == "explicit"
    assert data(daemon, "mode")["mode"] == "explicit"
    gic.write(0, Space.GICD, 0x000, 1)
    gic.write(0, Space.GICD, 0x828, 1, 1)
    gic.write(0, Space.GICD, 0x104, 1 << 8)
    gic.pulse(40)
    shown = text(daemon, "enter", "--vcpu", "0")
    assert "vCPU 0 has entered: 1 used; HCR En" in shown
    assert "40 pending" in shown
    refused = ctl(daemon, "mode", "automatic")
    assert refused.exit_code == 4
    assert "BAD_STATE" in refused.output
    left = data(daemon, "exit")
    assert (left["vcpu"], left["decoded"][0]["intid"], left["effects"]) == (0, 40, [])
    entered = data(daemon, "enter")
    assert (entered["used"], entered["order"]) == (1, left["order"] + 1)
    assert "vCPU 0 has left: EISR {}; ELRSR {1, 2, 3}" in text(daemon, "exit", "--vcpu", "0")
    assert text(daemon, "mode", "automatic") == "automatic"
    assert ctl(daemon, "enter").exit_code == 4, "the domain switches by itself"


def test_time_passes_and_a_reset_forgets(gic: Client, daemon: PrivateDaemon) -> None:
    gic.write(0, Space.GICD, 0x000, 1)
    assert text(daemon, "time", "1000") == f"operation {gic.order + 1}; outputs: none"
    assert ctl(daemon, "time", "999").exit_code == 4
    assert data(daemon, "time", "1001")["outputs"] == 0
    assert data(daemon, "reset")["order"] == gic.order + 3
    assert gic.peek(0, Space.GICD, 0x000) == 0
    assert text(daemon, "reset").startswith("operation ")


# --- a daemon that is not there yet ---------------------------------------------------------------------------------


def test_a_daemon_can_be_waited_for(gic: Client, daemon: PrivateDaemon, tmp_path: Path) -> None:
    late = tmp_path / "late.sock"
    timer = threading.Timer(0.3, late.symlink_to, [daemon.address.removeprefix("unix:")])
    timer.start()
    result = CliRunner().invoke(main, ["-a", f"unix:{late}", "--wait", "20", "peek", "GICD_TYPER"])
    timer.join()
    assert result.exit_code == 0, result.output


def test_the_wait_for_a_daemon_ends() -> None:
    began = time.monotonic()
    result = CliRunner().invoke(main, ["-a", "unix:/nowhere", "info", "--wait", "0.2"])
    assert result.exit_code == 3
    assert 0.2 <= time.monotonic() - began < 5
