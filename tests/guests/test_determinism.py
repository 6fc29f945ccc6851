"""A run is its image, its options and its seed: with the same ones its operation log is the same, byte for byte."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.guests.recording import Lines, Script, linux, recording
from tests.tools import require_fetched, require_tool
from vgicd_client import private_daemon
from vgicd_machine import guests
from vgicd_machine.gic.domain_port import DomainPort
from vgicd_machine.gic.port import GicPort
from vgicd_machine.gic.socket_port import open_port
from vgicd_machine.run import Guest

LIMIT = 400.0

Place = Callable[[int], AbstractContextManager[GicPort]]
"""Where the interrupt controller of so many CPUs is."""


@contextmanager
def daemon(cpus: int) -> Iterator[GicPort]:
    with private_daemon(vcpus=cpus, spis=256) as process, open_port(process.address) as port:
        yield port


@contextmanager
def here(cpus: int) -> Iterator[GicPort]:
    yield DomainPort(vcpus=cpus, spis=256)


def log_of(place: Place, guest: Guest, script: Script | None = None) -> str:
    log = Lines()
    with place(guest.cpus) as port:
        run = recording(port, guest, log, write=script.hear if script else None, keyboard=script)
        assert run.perform(LIMIT).status == 0
    assert len(log.lines) > 100
    return log.text


def tour(seed: int, cpus: int) -> Guest:
    require_tool("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu")
    return Guest(guests.build(), cpus=cpus, seed=seed)


@pytest.mark.parametrize("cpus", [2, pytest.param(4, marks=pytest.mark.long)])
def test_three_runs_of_a_seed_are_one_on_bare_metal_and_another_seeds_is_another(cpus: int) -> None:
    """On several CPUs, whose turns the seed draws; the interrupt controller in a daemon and in this process."""
    first = log_of(daemon, tour(1, cpus))
    assert log_of(daemon, tour(1, cpus)) == first
    assert log_of(here, tour(1, cpus)) == first
    other = log_of(here, tour(2, cpus))
    assert other.partition("\n")[2] != first.partition("\n")[2], "only the first line, which names the seed, differs"


@pytest.mark.long
def test_three_runs_of_u_boot_are_one() -> None:
    require_fetched("u-boot")
    guest = Guest(guests.fetched("u-boot"), firmware=True)

    def run(place: Place) -> tuple[str, str]:
        typed = Script(
            ("stop autoboot", " "),
            ("=> ", "md.l 0x8000000 4\n"),
            ("=> ", "mw.l 0x8000104 2; md.l 0x8000104 1\n"),
            ("=> ", "poweroff\n"),
        )
        log = Lines()
        with place(1) as port:
            machine = recording(port, guest, log, write=typed.hear, keyboard=typed)
            machine.perform(LIMIT)
        return log.text, typed.text

    first = run(daemon)
    assert re.search(r"08000104: 00000002", first[1])
    assert re.search(r"^\d+ 0 w4 0x8000104 0x2 0x0$", first[0], re.MULTILINE)
    assert run(here) == first
    assert run(here) == first


@pytest.mark.long
def test_linux_runs_twice_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`vgicctl run --deterministic` on one CPU; its cost is that the machine is asked at each reading of a counter.

    Several CPUs: test_linux.py.
    """
    guest = linux(1)
    logs, costs = [], []
    for number in (1, 2):
        log = tmp_path / f"log{number}"
        command = [sys.executable, "-m", "vgicd_client.ctl.main", "run", guest.image, "--private", "--deterministic"]
        command += ["--initrd", guest.initrd, "--append", guest.append, "--log", log, "--audit", "--stats"]
        result = subprocess.run(
            list(map(str, command)),
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert result.returncode == 0, result.stderr
        assert "EXIT: STATUS=0" in result.stdout
        logs.append(log.read_bytes())
        costs.append(result.stderr)
    assert logs[0] == logs[1]
    with capsys.disabled():
        print(f"\n{costs[0]}")
