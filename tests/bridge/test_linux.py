"""Debian's arm64 kernel, unmodified, on Debian's QEMU, unmodified, its GIC in a daemon's process."""

from __future__ import annotations

import re
import threading
from collections import Counter

import pytest

from tests.bridge.runs import bridge
from tests.tools import require_fetched, require_tool
from vgicd_client import ConnectionLost, connect, private_daemon
from vgicd_machine import guests
from vgicd_protocol.events import EventKind

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("qemu")]

EXERCISES = ["timers", "migration", "hotplug"]
TIMER = 27
AFTERWARDS = 200  # ticks between the last look at /proc/interrupts and power off


def count_acknowledges(address: str, subscribed: threading.Event, counts: Counter[int]) -> None:
    with connect(address, "observe") as watcher:
        watcher.subscribe((EventKind.ACK,))
        subscribed.set()
        try:
            for event in watcher.events():
                counts[event.intid] += 1
        except ConnectionLost:
            return  # the daemon has ended with the block that owns it


def test_linux_reaches_userspace_on_stock_qemu_and_counts_the_ticks_that_vgicd_gave_it() -> None:
    require_fetched("linux")
    require_tool("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu")
    counts: Counter[int] = Counter()
    subscribed = threading.Event()
    with private_daemon(vcpus=1, spis=256) as daemon:
        watcher = threading.Thread(target=count_acknowledges, args=(daemon.address, subscribed, counts))
        watcher.start()
        assert subscribed.wait(20)
        with bridge(
            *("--connect", daemon.address, "--kernel", guests.fetched("linux"), "--initrd", guests.initramfs()),
            *("--append", "console=ttyAMA0 rdinit=/init cryptomgr.notests", "--timeout", "300"),
        ) as run:
            status, errors = run.end(320)
    watcher.join(20)
    text = "\n".join(run.said)
    assert status == 0, errors
    assert [line.split()[1] for line in run.said if line.startswith("PASS ")] == EXERCISES, text
    assert "reboot: Power down" in text
    assert "Memory: " in text
    assert "/524288K available" in text, "what is hidden from the guest is not in its memory"
    ticks = int(re.findall(r"(\d+) +GIC-0 +27 +Level +arch_timer", text)[-1])
    assert 0 < ticks <= counts[TIMER] <= ticks + AFTERWARDS
