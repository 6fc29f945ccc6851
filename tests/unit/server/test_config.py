"""Configuration: what is accepted, what is refused, and in which words."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from vgicd import config
from vgicd.config import Config, ConfigError, Listen
from vgicd.domain.config import DomainConfig
from vgicd.server.limits import Limits


def refusal(document: dict[str, object]) -> str:
    with pytest.raises(ConfigError) as caught:
        config.parse(document, "here")
    return str(caught.value)


def test_nothing_said_is_every_default() -> None:
    assert config.load(None) == Config()


def test_every_option_of_every_section_is_described() -> None:
    assert {row.key for row in config.SECTIONS["domain"]} == {f.name for f in fields(DomainConfig)}
    for rows in config.SECTIONS.values():
        assert all(row.option.help for row in rows)


def test_every_default_is_a_value_that_the_file_may_give() -> None:
    """A range that excludes the default would refuse a file that spells the defaults out."""
    document = {
        section: {row.key: list(row.default) if isinstance(row.default, tuple) else row.default for row in rows}
        for section, rows in config.SECTIONS.items()
    }
    for rows in document.values():
        for key in [key for key, value in rows.items() if value is None]:
            del rows[key]
    assert config.parse(document, "here") == Config()


def test_a_file_sets_what_it_names(tmp_path: Path) -> None:
    file = tmp_path / "vgicd.toml"
    file.write_text('name = "web-1"\n[domain]\nvcpus = 4\nxen_without = ["D2"]\n[limits]\nhello_seconds = 1\n')
    loaded = config.load(file)
    assert loaded.name == "web-1"
    assert loaded.domain == DomainConfig(vcpus=4, xen_without=("D2",))
    assert loaded.limits == Limits(hello_seconds=1.0)
    assert type(loaded.limits.hello_seconds) is float


def test_the_command_line_overrides_the_file_key_by_key(tmp_path: Path) -> None:
    file = tmp_path / "vgicd.toml"
    file.write_text('name = "a"\n[domain]\nvcpus = 4\nlrs = 8\n')
    loaded = config.load(file, {"domain": {"vcpus": 2}, "listen": {"unix": ("/tmp/x",)}}, name="b")
    assert (loaded.name, loaded.domain.vcpus, loaded.domain.lrs) == ("b", 2, 8)
    assert loaded.listen == Listen(unix=("/tmp/x",))


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"domian": {}}, "unknown key 'domian'; did you mean 'domain'?"),
        ({"domain": {"vcpu": 4}}, "unknown key 'vcpu' in [domain]; did you mean 'vcpus'?"),
        ({"limits": {"xyzzy": 4}}, "unknown key 'xyzzy' in [limits]; known are frame,"),
        ({"domain": 4}, "'domain' is a section; write it as [domain]"),
        ({"domain": {"vcpus": "4"}}, "domain.vcpus takes a whole number, not '4'"),
        ({"domain": {"vcpus": True}}, "domain.vcpus takes a whole number, not True"),
        ({"domain": {"lazy": 1}}, "domain.lazy takes true or false, not 1"),
        ({"domain": {"vcpus": 9}}, "domain.vcpus is 1 to 8, not 9"),
        ({"domain": {"spis": -1}}, "domain.spis is 0 to 960, not -1"),
        ({"limits": {"hello_seconds": float("nan")}}, "limits.hello_seconds is 0.01 to 3600, not nan"),
        ({"domain": {"variant": "zen"}}, "domain.variant is one of correct, xen, not 'zen'"),
        ({"domain": {"xen_without": "D2"}}, "domain.xen_without takes a list, such as ['D2']"),
        ({"listen": {"unix": [4]}}, "listen.unix takes a string, not 4"),
        ({"name": "a/b"}, "the name 'a/b' is not 1 to 63 letters"),
        ({"name": ""}, "the name '' is not"),
        ({"tls": {"key": "k"}}, "[tls] needs certificate, key and client_ca together"),
        ({"gdb": {"arch": "mips"}}, "gdb.arch is one of auto, x86-64, aarch64, arm, not 'mips'"),
        ({"gdb": {"freeze": "on"}}, "gdb.freeze is one of auto, off, not 'on'"),
        ({"gdb": {"watchdog_seconds": 0}}, "gdb.watchdog_seconds is 0.1 to 3600, not 0.0"),
        ({"gdb": {"freeze_seconds": -1}}, "gdb.freeze_seconds is 0.0 to 86400, not -1.0"),
        ({"gdb": {"irq_names": ["uart0"]}}, "gdb.irq_names: 'uart0' is not INTID=NAME with an INTID from 0 to 1019."),
        ({"gdb": {"irq_names": ["0x21=uart0"]}}, "'0x21=uart0' is not INTID=NAME"),
        ({"gdb": {"irq_names": ["1020=x"]}}, "'1020=x' is not INTID=NAME"),
        ({"gdb": {"irq_names": ["33=uart-0"]}}, "'uart-0' cannot be part of a symbol: use letters, digits"),
        ({"gdb": {"irq_names": ["33="]}}, "'' cannot be part of a symbol"),
        ({"gdb": {"irq_names": ["33=eoi"]}}, "'eoi' is an edge of every interrupt's life: choose another name."),
        ({"gdb": {"irq_names": ["33=a", "33=b"]}}, "gdb.irq_names gives an INTID two names: leave one of them out."),
        (
            {"gdb": {"irq_names": ["96=a"]}, "domain": {"spis": 33}},
            "gdb.irq_names: there is no INTID 96, this domain has 0 to 95.",
        ),
        (
            {"qtest": {"gic_path": "device[1]"}},
            "qtest: 'device[1]' is not a QOM path such as /machine/unattached/device[1].",
        ),
        ({"qtest": {"cpu_paths": ["/a b"]}}, "qtest: '/a b' has a character that no command line can carry."),
        (
            {"qtest": {"cpu_paths": ["/machine/cpu"]}, "domain": {"vcpus": 2}},
            "qtest.cpu_paths names 1 vCPUs, and there are 2.",
        ),
        (
            {"qtest": {"gic_path": "/machine/unattached/device[0]"}},
            "qtest gives two devices one path: /machine/unattached/device[0], /machine/unattached/device[0].",
        ),
    ],
)
def test_a_refusal_names_the_key_and_what_would_be_right(document: dict[str, object], words: str) -> None:
    assert words in refusal(document)
    assert refusal(document).startswith("here: ")


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    missing, broken, binary = tmp_path / "none.toml", tmp_path / "broken.toml", tmp_path / "binary.toml"
    broken.write_text("[domain\n")
    binary.write_bytes(b"\xff\xfe")
    for file, words in ((missing, "cannot be read"), (broken, "is not TOML"), (binary, "is not UTF-8")):
        with pytest.raises(ConfigError, match=words) as caught:
            config.load(file)
        assert str(file) in str(caught.value)


def test_what_is_said_of_a_front_end_that_is_not_served_is_refused_of_a_command_line_only() -> None:
    kept = {"gdb": {"irq_names": ["33=uart0"]}}
    assert config.parse(kept, "here").gdb.irq_names == ("33=uart0",)
    with pytest.raises(ConfigError, match=r"^the command line: gdb\.irq_names does nothing without gdb: add --gdb\.$"):
        config.parse({}, "here", kept)
    served = {"gdb": {"listen": ["default"]}}
    assert config.parse(served, "here", kept).gdb.irq_names == ("33=uart0",)
    with pytest.raises(
        ConfigError, match=r"^the command line: qtest\.gic_path does nothing without qtest: add --qtest\.$"
    ):
        config.parse({}, "here", {"qtest": {"gic_path": "/gic"}})


def test_names_of_interrupts_may_be_given() -> None:
    names = ("33=uart0", "27=my_timer", "95=last")
    chosen = config.parse({"gdb": {"irq_names": list(names)}, "domain": {"spis": 33}}, "here")
    assert chosen.gdb.irq_names == names
