"""SPEC.md suffices: a client written from it in plain `struct` talks to a real daemon."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

STRANGER = Path(__file__).with_name("stranger.py")


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Path]:
    """The socket of a daemon in its own process."""
    path, log = tmp_path / "vgicd.sock", tmp_path / "log"
    command = [sys.executable, "-m", "vgicd.cli", "serve", "--unix", str(path), "--vcpus", "2"]
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stderr=stderr)
        try:
            deadline = time.monotonic() + 30
            while not path.exists():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                os.sched_yield()
            yield path
        finally:
            process.terminate()
            process.wait(30)


def test_a_client_written_from_the_specification_alone_works(daemon: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-I", "-S", str(STRANGER), str(daemon)],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout)
    welcome = seen.pop("welcome")
    assert welcome["role"] == 2
    assert welcome["geometry"] == [2, 64, 4]
    assert welcome["names"][:2] == ["correct", "virt"]
    assert welcome["frame_limit"] == 65_536
    assert welcome["windows"]["GICD"] == [0x0800_0000, 0x1000]
    assert welcome["windows"]["GICC"] == [0x0801_0000, 0x2000]
    assert seen.pop("dump_lines") > 64
    assert seen == {
        "ping": 0,
        "typer": 0x22,  # 2 CPUs, ITLinesNumber 2
        "typer_physical": 0x22,
        "priority": 0x80,
        "raised": [0, 0x4],  # vIRQ of vCPU 1
        "peeked": 40,
        "acknowledged": 40,
        "orders_follow": True,
        # order since the rise, kind (OUTPUT 0, LINE 1), INTID, value
        "events": [[0, 1, 40, 1], [0, 0, 0, 0x4], [1, 0, 0, 0], [2, 1, 40, 0]],
        "vector": [[0, 0, 0], [0, 0x4, 0], [0, 0x4, 1 << 8]],
        "vector_order": 3,
        "sgi": [0, 0x5, [[1, 0, 0, 0]]],  # vCPU 0 was kicked
        "wait": 0,
        "bad_vcpu": [0x10, 8],
        "bad_flags": 0x43,
        "denied": 0x41,
        "unsupported": 0x40,
        "bad_state": 0x15,
        "bad_entry": [0x13, "entries[1].operation"],
        "late_wait": 0x47,
        "framing_fault": [0xFF, 0x49],
        "closed": True,
        "bye": 0,
    }


def test_the_stranger_knows_nothing_of_the_project() -> None:
    imported = set()
    for node in ast.walk(ast.parse(STRANGER.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)
    assert imported == {"__future__", "json", "socket", "struct", "sys", "typing"}
