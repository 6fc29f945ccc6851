"""`vgicctl gdb-symbols` and `vgicctl svd` against a real daemon, and without one."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from vgicd.export import files
from vgicd_client import PrivateDaemon, private_daemon
from vgicd_client.ctl.main import main

PROFILE, VCPUS, SPIS, LRS = "xen-guest", 2, 96, 4
GEOMETRY = ("--profile", PROFILE, "--vcpus", str(VCPUS), "--spis", str(SPIS), "--lrs", str(LRS))


@pytest.fixture(scope="module")
def daemon() -> Iterator[PrivateDaemon]:
    with private_daemon(vcpus=VCPUS, spis=SPIS, lrs=LRS, profile=PROFILE) as running:
        yield running


def ctl(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


def expected(command: str) -> bytes:
    shape = files.described(PROFILE, VCPUS, SPIS, LRS)
    return files.gdb_symbols(shape) if command == "gdb-symbols" else files.register_description(shape)


@pytest.mark.parametrize("command", ["gdb-symbols", "svd"])
def test_the_file_is_of_the_daemon_that_is_connected_to(command: str, daemon: PrivateDaemon, tmp_path: Path) -> None:
    result = ctl("-a", daemon.address, command, "-o", tmp_path / "f")
    assert (result.exit_code, (tmp_path / "f").read_bytes()) == (0, expected(command)), result.output
    assert result.output == f"{tmp_path / 'f'}: {len(expected(command))} bytes\n"
    described = ctl("--json", command, "--offline", *GEOMETRY, "-o", tmp_path / "g")
    assert json.loads(described.output) == {"file": str(tmp_path / "g"), "bytes": len(expected(command))}
    assert (tmp_path / "g").read_bytes() == expected(command)


@pytest.mark.parametrize("command", ["gdb-symbols", "svd"])
@pytest.mark.parametrize("to", [(), ("-o", "-")])
def test_without_a_file_it_goes_to_standard_output(command: str, to: tuple[str, ...]) -> None:
    result = ctl(command, "--offline", *GEOMETRY, *to)
    assert (result.exit_code, result.stdout_bytes) == (0, expected(command))


def test_options_choose_the_architecture_and_name_interrupts() -> None:
    symbols = ctl("gdb-symbols", "--offline", "--gdb-arch", "arm", "--irq-name", "40=net0", "--irq-name", "41=net1")
    assert symbols.stdout_bytes[:5] == b"\x7fELF\x01"
    assert b"\0irq40_net0\0" in symbols.stdout_bytes
    assert b"\0irq41_net1\0" in symbols.stdout_bytes


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("gdb-symbols", "--offline", "--irq-name", "33=eoi"), "choose another name"),
        (("gdb-symbols", "--offline", "--gdb-arch", "mips"), "not one of 'auto', 'x86-64', 'aarch64', 'arm'"),
        (("svd", "--offline", "--vcpus", "9"), "8 vCPUs, not 9"),
        (("svd", "--spis", "64"), "--spis describes a domain that no daemon is asked about: add --offline"),
        (("svd", "--offline", "--json"), "name one with -o FILE"),
        (("svd", "--offline", "--lrs", "many"), "'many' is not a number"),
    ],
)
def test_wrong_usage_is_told_in_a_sentence(arguments: tuple[str, ...], why: str) -> None:
    result = ctl(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert why in result.stderr
    assert "Traceback" not in result.stderr


def test_a_place_that_cannot_be_written_is_told_and_left_alone(tmp_path: Path) -> None:
    result = ctl("svd", "--offline", "-o", tmp_path / "none" / "f")
    assert (result.exit_code, result.stderr) == (1, f"vgicctl: {tmp_path / 'none' / 'f'}: No such file or directory\n")
    assert list(tmp_path.iterdir()) == []


def test_no_daemon_is_told(tmp_path: Path) -> None:
    assert ctl("-a", f"unix:{tmp_path / 'none'}", "svd").exit_code == 3


@pytest.mark.parametrize(("command", "code"), [("gdb-symbols", 2), ("svd", 0)])
def test_a_terminal_gets_text_but_no_elf(command: str, code: int) -> None:
    master, slave = pty.openpty()
    arguments = [sys.executable, "-m", "vgicd_client.ctl.main", command, "--offline", "--spis", "0", "--lrs", "1"]
    with subprocess.Popen(arguments, stdout=slave, stderr=subprocess.PIPE) as process:
        os.close(slave)
        shown = b""
        while process.poll() is None or select.select([master], [], [], 0)[0]:
            if select.select([master], [], [], 0.1)[0]:
                try:
                    shown += os.read(master, 1 << 16)
                except OSError:  # the other side of a pty ends so
                    break
        assert process.stderr is not None
        said = process.stderr.read().decode()
    os.close(master)
    assert process.returncode == code
    assert (b"</device>" in shown, "-o FILE" in said) == (code == 0, code == 2)
    assert b"\x7fELF" not in shown
