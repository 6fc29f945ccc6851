"""Debian's U-Boot, unmodified, at address 0: to its prompt, and what is typed there is answered."""

from __future__ import annotations

import re
from pathlib import Path

from tests.guests.typist import Typist
from tests.tools import require_fetched
from vgicd_client import Space, connect, private_daemon
from vgicd_machine import guests

PROMPT = "=> "
DUMP = re.compile(r"^([0-9a-f]{8}): ((?:[0-9a-f]{8} )+)", re.MULTILINE)


def test_prompt_answers_and_what_is_typed_reaches_the_daemon(tmp_path: Path) -> None:
    """Through `vgicctl run` and the daemon's process, which is then asked what the guest has written."""
    require_fetched("u-boot")
    log = tmp_path / "log"
    image = guests.fetched("u-boot")
    with private_daemon(spis=256) as daemon:
        run = ("-m", "vgicd_client.ctl.main", "run", image, "--firmware", "--input", "--log", log)
        with Typist(*run, "--connect", daemon.address) as typist, connect(daemon.address, "observe") as observer:
            typist.hear("stop autoboot")
            typist.type(" ")
            typist.hear(PROMPT)
            typist.type("md.l 0x8000000 4\n")
            ((address, words),) = DUMP.findall(typist.hear(PROMPT).replace("\r", ""))
            assert (address, words.split()[:3]) == ("08000000", ["00000000", "00000008", "4b01243b"])
            typist.type("mw.l 0x8000104 2\n")
            typist.hear(PROMPT)
            assert observer.peek(0, Space.GICD, 0x104) == 2
            typist.type("md.l 0x8000184 1\n")  # the same enables, at ICENABLER1
            assert DUMP.findall(typist.hear(PROMPT).replace("\r", "")) == [("08000184", "00000002 ")]
            typist.type("poweroff\n")
            status, errors = typist.leave()
    assert (status, "refuses" in errors) == (0, False), errors
    assert re.search(r"^\d+ 0 w4 0x0*8000104 0x2\b", log.read_text(), re.MULTILINE)
