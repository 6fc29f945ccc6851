"""The C client's sample: every answer is compared, one by one and in vectors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import c_client, workload
from tests.bench.native import CannotRunError, WrongAnswerError
from vgicd_client import PrivateDaemon, private_daemon

CORE = max(os.sched_getaffinity(0))


@pytest.fixture(scope="module")
def daemon() -> Iterator[PrivateDaemon]:
    with private_daemon(vcpus=1) as daemon:
        yield daemon


@pytest.mark.parametrize(("entries", "slices"), [(1, 3), (50, 6), (300, 1)])
def test_each_slice_or_vector_has_a_duration(tmp_path: Path, daemon: PrivateDaemon, entries: int, slices: int) -> None:
    path = tmp_path / "steps"
    c_client.save_steps(path, workload.idle(300).steps)
    durations = c_client.run(daemon.address, path, entries=entries, core=CORE)
    assert len(durations) == slices
    assert all(0 < duration < 10**9 for duration in durations)


@pytest.mark.parametrize("entries", [1, 100])
def test_a_different_answer_ends_the_run_and_is_named(tmp_path: Path, daemon: PrivateDaemon, entries: int) -> None:
    path = tmp_path / "steps"
    steps = list(workload.idle(100).steps)
    steps[42] = steps[42]._replace(value=7)
    c_client.save_steps(path, steps)
    with pytest.raises(WrongAnswerError, match="step 42 was answered 0x2 "):
        c_client.run(daemon.address, path, entries=entries, core=CORE)


def test_nobody_at_the_address_is_said(tmp_path: Path) -> None:
    path = tmp_path / "steps"
    c_client.save_steps(path, workload.idle(1).steps)
    with pytest.raises(CannotRunError, match="no daemon listens there"):
        c_client.run(f"unix:{tmp_path}/none", path, entries=1, core=CORE)
