"""LLDB connects too: a smoke test of what its users would try first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gdb import scenes
from tests.tools import require_tool
from vgicd_client import PrivateDaemon, Space, connect, private_daemon

COMMANDS = (
    "thread list",
    "register read gich_lr0",
    "memory read -s4 -fx -c1 0x8000004",
    "expression gicd.TYPER.CPUNumber",
    "expression gich.LR[0].VirtualID",
    "watchpoint set expression -w write -s 4 -- 0x8000104",
    "thread select 3",
    "bt",
    "detach",
)


def endpoint(daemon: PrivateDaemon) -> str:
    """Where the daemon serves gdb, as LLDB names it."""
    ready = [json.loads(line) for line in daemon.log.read_text().splitlines() if '"serve.ready"' in line]
    (address,) = ready[0]["gdb"]
    return f"connect://{address.removeprefix('tcp:')}"


@pytest.fixture
def symbols(tmp_path: Path) -> Path:
    path = tmp_path / "vgicd.elf"
    what = ["--offline", "--vcpus", "4", "--gdb-arch", "x86-64", "--output", str(path)]
    command = [sys.executable, "-m", "vgicd_client.ctl.main", "gdb-symbols", *what]
    subprocess.run(command, check=True, timeout=60)
    return path


@pytest.mark.long
def test_lldb_connects_reads_and_detaches(symbols: Path) -> None:
    require_tool("lldb", "lldb")
    orders = [argument for command in COMMANDS for argument in ("-o", command)]
    serving = private_daemon("--gdb=tcp:127.0.0.1:0", "--gdb-arch=x86-64", vcpus=4)
    with serving as daemon, connect(daemon.address, "control") as gic:
        scenes.busy(gic)
        before = gic.order, gic.snapshot().words
        shown = subprocess.run(
            ["lldb", "--no-lldbinit", "--batch", str(symbols), "-o", f"process connect {endpoint(daemon)}", *orders],
            env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TERM": "dumb"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        ).stdout
        assert (gic.order, gic.snapshot().words) == before
        gic.write(0, Space.GICC, 0x004, 0x80)  # GICC_PMR: it runs again
    assert shown.count("tid = 0x000") == 4, shown
    assert "gich_lr0 = 0x" in shown
    assert "0x08000004: 0x00000062" in shown
    assert "(unsigned int) $0 = 3" in shown
    assert "(unsigned int) $1 = 27" in shown
    assert "Watchpoint 1: addr = 0x08000104" in shown
    assert "irq27" in shown
    assert "Process 1 detached" in shown
