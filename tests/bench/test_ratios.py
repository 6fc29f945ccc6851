"""One robust time per run, one ratio per round, a median and its spread."""

from __future__ import annotations

import pytest

from tests.bench.ratios import paired, time_per_operation
from tests.bench.targets import GDB_SAMPLES, GDB_TARGETS, TARGETS, WIRE_SAMPLES, Sample, Target


def test_time_keeps_the_mix_and_drops_interrupted_slices() -> None:
    mix = [10, 30] * 50  # mean 20, and no operation takes that long
    assert time_per_operation(mix * 4 + [50_000, *mix[1:]], 1) == 20


def test_time_of_batches_is_per_operation() -> None:
    assert time_per_operation([5120, 5120, 90_000], 512) == 10


def test_a_run_shorter_than_a_slice_is_refused() -> None:
    with pytest.raises(ValueError, match="less than one slice"):
        time_per_operation([1] * 99, 1)


def test_ratios_are_paired_by_round_so_that_drift_cancels() -> None:
    drifting = [10.0, 20.0, 40.0, 80.0, 40.0, 20.0, 10.0]
    spread = paired([2 * value for value in drifting], drifting)
    assert (spread.least, spread.median, spread.most, spread.rounds) == (2, 2, 2, 7)


def test_rounds_must_match() -> None:
    with pytest.raises(ValueError, match="zip"):
        paired([1.0, 2.0], [1.0])


def test_a_rate_target_divides_the_times_the_other_way() -> None:
    times = {Sample.IDLE_8: [2.0] * 7, Sample.QTEST_8: [10.0] * 7}
    target = Target("", Sample.IDLE_8, Sample.QTEST_8, 5.0)
    assert target.measured(times).median == 5
    assert target.met(target.measured(times))
    assert not Target("", Sample.IDLE_8, Sample.QTEST_8, 5.1).met(target.measured(times))


def test_every_promised_ratio_is_a_target() -> None:
    limits = {(t.ours, t.base): (t.sign, t.limit, t.stretch) for t in TARGETS}
    assert limits == {
        (Sample.IDLE, Sample.QTEST): ("<=", 0.9, 0.75),
        (Sample.IDLE, Sample.ECHO): ("<=", 1.7, 1.4),
        (Sample.IDLE_8, Sample.QTEST_8): (">=", 2, None),
        (Sample.IDLE_64, Sample.QTEST_64): (">=", 6, None),
        (Sample.IDLE_512, Sample.QTEST_512): (">=", 5, None),
        (Sample.IDLE_VECTOR, Sample.QTEST_512): (">=", 6, 10),
        (Sample.WORKING, Sample.IDLE): ("<=", 1.3, None),
        (Sample.WORKING_VECTOR, Sample.QTEST_512): (">=", 1.5, None),
        (Sample.INPROCESS_CROWDED, Sample.INPROCESS): ("<=", 4, None),
    }


def test_every_promised_ratio_of_the_gdb_side_is_a_target() -> None:
    limits = {(t.ours, t.base): (t.sign, t.limit) for t in GDB_TARGETS}
    assert limits == {
        (Sample.GDB_TRIO, Sample.GDB_CONTROLLER): (">=", 60),
        (Sample.GDB_TRIO, Sample.GDB_PIPE): (">=", 0.5),
        (Sample.GDB_BLOCKING, Sample.GDB_CONTROLLER): (">=", 60),
        (Sample.GDB_BLOCKING, Sample.GDB_PIPE): (">=", 0.5),
        (Sample.RSP, Sample.RSP_WIRE): (">=", 0.25),
    }


def test_a_target_compares_samples_of_one_section() -> None:
    for section, targets in ((WIRE_SAMPLES, TARGETS), (GDB_SAMPLES, GDB_TARGETS)):
        assert {sample for target in targets for sample in (target.ours, target.base)} <= set(section)
