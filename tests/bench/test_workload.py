"""The measured streams are the work that they claim to be."""

from __future__ import annotations

from statistics import mean

import pytest

from tests.bench import inprocess, scripts, workload
from tests.bench.native import WrongAnswerError
from tests.bench.workload import Kind, Step
from vgicd.domain import operations as op
from vgicd_protocol.frames import HOT_SIZE

WORKING = workload.working(2000)


def test_the_mix_is_as_promised() -> None:
    shares = WORKING.shares()
    assert shares[Kind.IAR] + shares[Kind.EOIR] == pytest.approx(0.50, abs=0.01)
    assert shares[Kind.LINE] == pytest.approx(0.20, abs=0.01)
    assert shares[Kind.ENABLE] == pytest.approx(0.15, abs=0.01)
    assert shares[Kind.PENDING] == pytest.approx(0.15, abs=0.01)


def test_the_domain_is_as_promised() -> None:
    assert (WORKING.config.vcpus, WORKING.config.lrs) == (4, 4)
    assert {step.operation.vcpu for step in WORKING.steps if step.kind is Kind.IAR} == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("stream", "listed", "least"), [(WORKING, 16, 10), (workload.crowded(300), 900, 880)], ids=["working", "crowded"]
)
def test_the_number_in_flight_stays(stream: workload.Stream, listed: int, least: int) -> None:
    assert mean(stream.in_flight) == pytest.approx(listed, rel=0.05)
    assert min(stream.in_flight) >= least


def test_every_acknowledge_finds_an_interrupt_and_every_eoi_ends_the_innermost() -> None:
    active: dict[int, list[int]] = {vcpu: [] for vcpu in range(4)}
    nested = 0
    for step in WORKING.steps:
        if step.kind is Kind.IAR:
            assert step.value < workload.SPURIOUS
            nested += bool(active[step.operation.vcpu])
            active[step.operation.vcpu].append(step.value)
        elif step.kind is Kind.EOIR:
            assert isinstance(step.operation, op.Write)
            assert active[step.operation.vcpu].pop() == step.operation.value
    assert nested > 0


def test_the_stream_is_the_same_every_time() -> None:
    assert workload.working(200).steps == WORKING.steps[:200]


def test_a_wrong_answer_is_not_measured() -> None:
    steps = list(WORKING.steps[:200])
    steps[150] = steps[150]._replace(outputs=steps[150].outputs ^ 1)
    with pytest.raises(WrongAnswerError):
        inprocess.run(workload.Stream(WORKING.config, WORKING.setup, tuple(steps), WORKING.in_flight))


def test_answers_are_compared_but_for_their_order_numbers() -> None:
    (frame,) = scripts.hot_frames([Step(Kind.TYPER, op.Read(0, op.Space.GICD, 4, 4), 2, 0)])
    assert len(frame.request) == len(frame.answer) == HOT_SIZE
    assert [i for i, mask in enumerate(frame.mask) if not mask] == list(range(16, 24))
