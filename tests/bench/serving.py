"""The daemon's work on received bytes alone: frames in, replies out, without a socket or an event loop."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from time import monotonic, perf_counter_ns

from tests.bench import inprocess
from tests.bench.native import Frame, WrongAnswerError
from tests.bench.ratios import time_per_operation
from tests.bench.workload import Stream
from vgicd.config import Config
from vgicd.server.access import Peer
from vgicd.server.events import Hub
from vgicd.server.limits import LineBudget
from vgicd.server.session import Session, Shared
from vgicd_protocol.frames import Role


def nanoseconds(stream: Stream, frames: Sequence[Frame], *, window: int, operations: int) -> float:
    """Time per operation to serve `frames`, `window` at a time, each of which is `operations` operations.

    The frames are asked of a new session of a domain at the point where `stream` starts.  Raises WrongAnswerError
    when a reply is not the expected one.
    """
    domain = inprocess.prepared(stream)
    config = Config()
    session = Session(
        Shared(domain, Hub(domain), config, LineBudget(config.limits.log_lines, monotonic)), Peer("bench")
    )
    session.grant(Role.GUEST)
    times = []
    for at in range(0, len(frames) - window + 1, window):
        part = frames[at : at + window]
        buffer = bytearray(b"".join(frame.request for frame in part))
        end = len(buffer)
        position = 0
        started = perf_counter_ns()
        while position < end:
            position = session.serve(buffer, position, end, inf)
        times.append(perf_counter_ns() - started)
        _compare(bytes(session.out), part)
        session.out.clear()
    return time_per_operation(times, window * operations)


def _compare(replies: bytes, frames: Sequence[Frame]) -> None:
    position = 0
    for frame in frames:
        reply = replies[position : position + len(frame.answer)]
        position += len(frame.answer)
        differences = ((a ^ b) & mask for a, b, mask in zip(reply, frame.answer, frame.mask, strict=False))
        if len(reply) != len(frame.answer) or any(differences):
            raise WrongAnswerError(f"{frame.request.hex()} was answered {reply.hex()}")
