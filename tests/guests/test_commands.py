"""The command line's failures: one sentence and a status that tells them apart."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vgicd_machine import guests
from vgicd_machine.errors import GicLost, ImageError, MachineError, MissingPart, TimeLimit


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
    assert "no daemon listens there" in stderr
    assert len(stderr.splitlines()) == 1


def test_address_that_is_none(endless: str) -> None:
    status, stderr = run(endless, "--connect", "somewhere")
    assert status == 2
    assert "is not an address" in stderr


def test_missing_image() -> None:
    assert run("/nowhere/image", "--in-process") == (
        ImageError.status,
        "vgicd_machine: cannot read the image /nowhere/image: No such file or directory\n",
    )


def test_time_limit(endless: str) -> None:
    status, stderr = run(endless, "--in-process", "--timeout", "0.3")
    assert (status, "within 0.3 seconds" in stderr) == (TimeLimit.status, True)


def test_conflicting_options(endless: str) -> None:
    status, stderr = run(endless, "--in-process", "--connect", "unix:/x")
    assert (status, "exclude each other" in stderr) == (2, True)


@pytest.mark.parametrize("module", ["vgicd_machine", "vgicd_machine.demo"])
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
