"""The command line: `vgicd serve`, `vgicd check-config`, `vgicd defects`, `vgicd completion`.

Exit codes: 0 done, 1 could not start or failed while running, 2 wrong usage or configuration.  Every failure is one
sentence on standard error.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

import click
from click.shell_completion import get_completion_class

from vgicd import compiled

compiled.use()  # before anything imports the core

from vgicd import __version__, config, defects, logs, template  # noqa: E402
from vgicd.options import Declared  # noqa: E402
from vgicd.server import daemon  # noqa: E402
from vgicd.server.access import AccessError  # noqa: E402
from vgicd.server.listeners import AddressError, ListenError  # noqa: E402

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2

FLAGGED: Final = ("listen", "domain", "log", *config.FRONT_ENDS)
"""The sections whose options have flags of their own; every option can be given with --set."""


class Integer(click.ParamType[int]):
    """A whole number, decimal or with a prefix such as 0x."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """`value` as an int; a usage error if it is none."""
        if isinstance(value, int):
            return value
        try:
            return int(value, 0)
        except ValueError:
            self.fail(f"{value!r} is not a whole number.", param, ctx)


def _fail(code: int, text: str) -> NoReturn:
    click.echo(f"vgicd: {text}", err=True)
    sys.exit(code)


def _flag_name(section: str, row: Declared) -> str:
    prefix = f"{section}-" if section in ("log", *config.FRONT_ENDS) else ""
    return f"--{row.option.flag or prefix + row.key.replace('_', '-')}"


def _flag(section: str, row: Declared) -> Callable[[Any], Any]:
    """The click option of a declared option: same name, type, range and help."""
    kind, many = config.base_kind(row.kind)
    about = row.option
    shown = "" if many or row.default in (None, "") else f"  [default: {_shown(row.default)}]"
    names: list[str] = [_flag_name(section, row), f"{section}__{row.key}"]
    keywords: dict[str, Any] = {"help": about.help + shown, "default": None}
    if kind is bool:
        names[0] = f"{names[0]}/--no-{names[0][2:]}"
    elif about.choices:
        keywords["type"] = click.Choice(about.choices)
    else:
        keywords["type"] = Integer() if kind is int else kind
        keywords["metavar"] = about.metavar or "N"
    if about.alone is not None:
        keywords |= {"is_flag": False, "flag_value": about.alone, "metavar": f"[{about.metavar}]"}
    if many:
        keywords |= {"multiple": True, "default": ()}
    return click.option(*names, **keywords)


def _shown(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _configuration_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options from which `_collect` makes a configuration."""
    for section in reversed(FLAGGED):
        for row in reversed(config.SECTIONS[section]):
            command = _flag(section, row)(command)
    command = click.option(
        "--set", "settings", multiple=True, metavar="SECTION.KEY=VALUE", help="any option of the file, in TOML"
    )(command)
    command = click.option("--name", help=f"{config.NAME.option.help}  [default: default]", metavar="NAME")(command)
    file = click.Path(path_type=Path, dir_okay=False)
    command = click.option("--config-if-exists", type=file, metavar="FILE", help="the same, if there is such a file")(
        command
    )
    return click.option("--config", "config_file", type=file, metavar="FILE", help="configuration in TOML")(command)


def _collect(
    config_file: Path | None,
    config_if_exists: Path | None,
    name: str | None,
    settings: tuple[str, ...],
    flags: dict[str, Any],
) -> config.Config:
    overrides: dict[str, dict[str, Any]] = {}
    for flag, value in flags.items():
        if value is not None and value != ():
            section, _, key = flag.partition("__")
            overrides.setdefault(section, {})[key] = value
    for setting in settings:
        left, equals, right = setting.partition("=")
        section, dot, key = left.strip().partition(".")
        if not (equals and dot and section and key):
            raise config.ConfigError(f"--set takes SECTION.KEY=VALUE, not {setting!r}.")
        if section not in config.SECTIONS:
            raise config.ConfigError(f"--set: there is no section {section!r}; known are {', '.join(config.SECTIONS)}.")
        overrides.setdefault(section, {})[key] = _toml_value(right.strip())
    if config_file is None and config_if_exists is not None and config_if_exists.exists():
        config_file = config_if_exists
    return config.load(config_file, overrides, name)


def _toml_value(text: str) -> Any:
    """`text` as a TOML value; what is none, such as a bare word, is a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="vgicd")
def main() -> None:
    """A virtual ARM GICv2 (Xen's new VGIC) for one guest, served over a socket."""


@main.command(
    epilog="Without an address it listens on the sockets that systemd passes, else on /run/vgicd/NAME.sock for root "
    "and $XDG_RUNTIME_DIR/vgicd/NAME.sock for others. SIGTERM and SIGINT answer what has been asked, then stop."
)
@_configuration_options
def serve(
    config_file: Path | None, config_if_exists: Path | None, name: str | None, settings: tuple[str, ...], **flags: Any
) -> None:
    """Serve one domain until SIGTERM or SIGINT.

    The command line overrides the configuration file.
    """
    try:
        chosen = _collect(config_file, config_if_exists, name, settings, flags)
        logs.configure(chosen.log)
        daemon.run(chosen)
    except (config.ConfigError, AccessError, AddressError) as error:
        _fail(EXIT_USAGE, str(error))
    except ListenError as error:
        _fail(EXIT_FAILED, str(error))


@main.command("check-config")
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--defaults", is_flag=True, help="print a file that has every option, explained, instead")
def check_config(file: Path | None, defaults: bool) -> None:
    """Check FILE as `serve` would, without listening."""
    if defaults == (file is not None):
        raise click.UsageError("Give either FILE or --defaults.")
    if file is None:
        click.echo(template.text(), nl=False)
        return
    try:
        chosen = config.load(file)
    except config.ConfigError as error:
        _fail(EXIT_USAGE, str(error))
    try:
        daemon.check(chosen)
    except (config.ConfigError, AccessError, ListenError) as error:
        _fail(EXIT_USAGE, f"{file}: {error}")
    click.echo(f"{file}: good")


@main.command("defects")
@click.option("--json", "as_json", is_flag=True, help="as JSON, for programs")
def show_defects(as_json: bool) -> None:
    """List what variant xen does differently from the architecture.

    Of these, `serve --xen-without D2` switches off one defect; it can be given more than once. The baseline has no
    numbers and stays.
    """
    found = defects.catalogue()
    click.echo(json.dumps(found._asdict(), indent=2) if as_json else defects.text(found))


@main.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print SHELL's completion script, as in: eval "$(vgicd completion bash)"."""
    complete = get_completion_class(shell)
    if complete is None:
        _fail(EXIT_FAILED, f"this click has no completion for {shell}.")
    click.echo(complete(main, {}, "vgicd", "_VGICD_COMPLETE").source())


if __name__ == "__main__":
    main()
