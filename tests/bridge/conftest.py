"""What the tests of the bridge share: the guest, and the tools that they need."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools import require_tool
from vgicd_machine import guests


@pytest.fixture(scope="session")
def qemu() -> None:
    require_tool("qemu-system-aarch64", "qemu-system-arm")
    require_tool("setpriv", "util-linux")


@pytest.fixture(scope="session")
def bridged(qemu: None) -> Path:
    require_tool("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu")
    return guests.build("bridged")


@pytest.fixture(scope="session")
def tour(qemu: None) -> Path:
    require_tool("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu")
    return guests.build("tour")
