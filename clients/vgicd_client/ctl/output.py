"""What commands print: tables and colours for a terminal, plain text for a pipe, JSON when asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vgicd_client import decode


def on_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def as_json(value: Any) -> None:
    """One JSON document, indented; tuples become arrays."""
    click.echo(json.dumps(value, indent=2))


def as_json_line(value: Any) -> None:
    """One JSON document on one line, for streams; written through at once."""
    click.echo(json.dumps(value))
    sys.stdout.flush()


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table; on a pipe its rows in aligned columns below a line of headings."""
    texts = [[_text(cell) for cell in row] for row in rows]
    if on_terminal():
        drawn = Table(title=title, title_justify="left", header_style="bold")
        for column in columns:
            drawn.add_column(column, overflow="fold")
        for row in texts:
            drawn.add_row(*map(Text, row))
        Console().print(drawn)
        return
    click.echo(f"# {title}")
    widths = [max(map(len, column)) for column in zip(columns, *texts, strict=True)]
    for row in ([*columns], *texts):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def facts(title: str, pairs: Iterable[tuple[str, Any]]) -> None:
    """Names and values, one a line."""
    given = [(name, _text(value)) for name, value in pairs]
    if on_terminal():
        drawn = Table(title=title, title_justify="left", show_header=False)
        drawn.add_column(style="bold")
        drawn.add_column(overflow="fold")
        for name, value in given:
            drawn.add_row(Text(name), Text(value))
        Console().print(drawn)
        return
    click.echo(f"# {title}")
    width = max(len(name) for name, _ in given)
    for name, value in given:
        click.echo(f"{name.ljust(width)}  {value}".rstrip())


def operation(order: int, outputs: int, note: str = "") -> None:
    """The line for an operation that answers nothing else: its number, the output levels, and a remark."""
    click.echo(f"operation {order}; outputs: {decode.outputs(outputs)} {note}".rstrip())


def good(text: str) -> None:
    """A line that says that all is well: green on a terminal."""
    click.secho(text, fg="green" if on_terminal() else None)


def bad(text: str) -> None:
    """A line that says what is wrong: red on a terminal."""
    click.secho(text, fg="red" if on_terminal() else None)


def _text(cell: Any) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "-"
    return "" if cell is None else str(cell)
