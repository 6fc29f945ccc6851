"""Logs: one event name per fact, for people on a terminal and for machines elsewhere.

Under systemd (its JOURNAL_STREAM names our standard error), or wherever standard error is no terminal, a line is one
JSON object; on a terminal it is text.  Nothing is ever logged per access: what guests and peers can cause goes through
a `LineBudget`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, Final, TextIO, cast

import structlog

from vgicd.options import option

LEVELS: Final = ("debug", "info", "warning", "error")
_NUMBERS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}


@dataclass(frozen=True, slots=True)
class Logging:
    """What is logged, and in which form."""

    level: str = option("info", "the least serious event that is logged", choices=LEVELS)
    format: str = option("auto", "JSON lines, text, or what standard error is", choices=("auto", "json", "text"))


def journal_is(stream: TextIO) -> bool:
    """Is `stream` connected to the journal? (systemd.exec(5): JOURNAL_STREAM is its device and inode.)"""
    try:
        device, inode = os.environ["JOURNAL_STREAM"].split(":")
        status = os.fstat(stream.fileno())
        return (int(device), int(inode)) == (status.st_dev, status.st_ino)
    except (KeyError, ValueError, OSError):
        return False


def configure(logging: Logging, stream: TextIO | None = None) -> None:
    """Send all events from now on to `stream` (default: standard error)."""
    stream = sys.stderr if stream is None else stream
    text = logging.format == "text" or (logging.format == "auto" and stream.isatty() and not journal_is(stream))
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if text:
        processors.append(
            structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)
        )
    else:
        processors += [
            _add_priority,
            structlog.processors.format_exc_info,
            _in_order,
            structlog.processors.JSONRenderer(),
        ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_NUMBERS[logging.level]),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,  # tests configure more than once
    )


def get_logger() -> structlog.typing.FilteringBoundLogger:
    """A logger under the configuration in force when it first logs."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger())


def _in_order(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """What every line has comes first."""
    return {key: event.pop(key) for key in ("timestamp", "level", "priority", "event")} | dict(event)


def _add_priority(_: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add syslog's number of the level, by which journal tools filter."""
    event["priority"] = _PRIORITIES.get(method, 6)
    return event
