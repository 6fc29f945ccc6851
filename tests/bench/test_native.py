"""The C driver measures only what was answered as expected, and says where an answer differs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.bench import native, peers
from tests.bench.native import CannotRunError, Frame, WrongAnswerError

CORE = max(os.sched_getaffinity(0))
ALL = b"\xff" * 32


def frame(value: int, *, answer: int | None = None, mask: bytes = ALL) -> Frame:
    request = value.to_bytes(32, "little")
    return Frame(request, (value if answer is None else answer).to_bytes(32, "little"), mask)


def drive(frames: list[Frame], directory: Path, *, window: int = 1, count: int = 1) -> list[int]:
    script = directory / "a.script"
    native.save_script(script, frames)
    with peers.echo(CORE) as connection:
        return native.drive(connection, script, window=window, count=count, core=CORE)


def test_each_window_has_a_duration_and_a_short_script_is_repeated(tmp_path: Path) -> None:
    durations = drive([frame(n) for n in range(8)], tmp_path, window=4, count=5)
    assert len(durations) == 5
    assert all(0 < duration < 10**9 for duration in durations)


def test_a_different_answer_ends_the_run_and_is_named(tmp_path: Path) -> None:
    frames = [frame(1), frame(2), frame(3, answer=3 + (1 << 200)), frame(4)]
    with pytest.raises(WrongAnswerError, match=r"answer 2 differs at byte 25"):
        drive(frames, tmp_path, window=2, count=2)


def test_bits_outside_the_mask_may_differ(tmp_path: Path) -> None:
    mask = bytearray(ALL)
    mask[25] = 0xFE
    assert len(drive([frame(3, answer=3 + (1 << 200), mask=bytes(mask))], tmp_path, count=3)) == 3


def test_a_window_that_does_not_divide_the_script_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotRunError, match="WINDOW"):
        drive([frame(1), frame(2), frame(3)], tmp_path, window=2)


def test_a_server_that_goes_away_ends_the_run(tmp_path: Path) -> None:
    script = tmp_path / "a.script"
    native.save_script(script, [frame(1)])
    with peers.echo(CORE) as connection:
        connection.shutdown(1)  # the echo ends at the end of its input
        with pytest.raises(CannotRunError, match=r"write|read"):
            native.drive(connection, script, window=1, count=1, core=CORE)


@pytest.mark.parametrize("damage", [b"VGB2", b""])
def test_a_damaged_script_is_refused(tmp_path: Path, damage: bytes) -> None:
    script = tmp_path / "a.script"
    native.save_script(script, [frame(1)])
    script.write_bytes((damage + script.read_bytes()[4:])[: -1 if not damage else None])
    with peers.echo(CORE) as connection, pytest.raises(CannotRunError, match=r"a\.script"):
        native.drive(connection, script, window=1, count=1, core=CORE)


def test_core_and_priority_are_as_before_afterwards() -> None:
    before = (os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0))
    group = native.AUTOGROUP.read_text() if native.AUTOGROUP.exists() else ""
    with native.preferred(), native.pinned(CORE):
        assert os.sched_getaffinity(0) == {CORE}
    assert (os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0)) == before
    assert not group or native.AUTOGROUP.read_text() == group
