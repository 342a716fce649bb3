# SPDX-License-Identifier: GPL-2.0-or-later
"""What is checked of a path, as options and the configuration ask for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mptcp_hooks.base.errors import USAGE, Problem
from mptcp_hooks.intent import configuration
from mptcp_hooks.intent.checks import (
    ECHO,
    GATEWAY,
    TCP,
    Check,
    Target,
    read_failures,
    read_interval,
    read_targets,
)
from mptcp_hooks.intent.configuration import read_configuration
from mptcp_hooks.intent.event import MANAGED, Event, announce, read_event
from mptcp_hooks.intent.settings import NO_CONFIGURATION, Configuration, read_settings

ROUTER = Target(GATEWAY)
FOUR, SIX = Target(ECHO, "192.0.2.1"), Target(ECHO, "2001:db8::1")
WEB = Target(TCP, "192.0.2.1", 443)
ALLOWED = "it must be gateway, an address, tcp:ADDRESS:PORT or tcp:[ADDRESS]:PORT, or off alone"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "mptcp-hooks.conf"
    monkeypatch.setattr(configuration, "PATH", str(path))
    return path


def read(file: Path, text: str) -> Configuration:
    """What a file says that is right."""
    file.write_text(text)
    known, problems = read_configuration()
    assert problems == []
    return known


def make_event(option: str = "", families: str = "inet", iface: str = "eth1") -> Event:
    event = read_event({"IFACE": iface, "METHOD": "dhcp", "ADDRFAM": families,
                        "IF_MPTCP_CHECK": option})
    assert event is not None
    return event


@pytest.mark.parametrize("text, targets", [
    ("gateway", (ROUTER,)),
    (" 192.0.2.1\t2001:DB8:0::1 ", (FOUR, SIX)),
    ("tcp:192.0.2.1:443 gateway", (WEB, ROUTER)),
    ("tcp:[2001:db8::1]:53", (Target(TCP, "2001:db8::1", 53),)),
    ("gateway 192.0.2.1 gateway", (ROUTER, FOUR)),
    ("tcp:192.0.2.1:65535", (WEB._replace(port=65535),)),
    ("off", ()),
])
def test_targets(text: str, targets: tuple[Target, ...]) -> None:
    assert read_targets("eth1", "mptcp-check", text) == targets


@pytest.mark.parametrize("text, said", [
    ("", ALLOWED), ("  ", ALLOWED), ("gatway", ALLOWED), ("off gateway", ALLOWED),
    ("192.0.2", ALLOWED),
    ("gateway example.org", ALLOWED), ("tcp:", ALLOWED), ("tcp:80", ALLOWED), ("tcp::80", ALLOWED),
    ("tcp:2001:db8::1:80", ALLOWED), ("tcp:[192.0.2.1]:80", ALLOWED), ("tcp:[]:80", ALLOWED),
    ("tcp:[2001:db8::1]", ALLOWED), ("fe80::1%eth1", ALLOWED), ("udp:192.0.2.1:53", ALLOWED),
    ("\udcff", ALLOWED), ("1.2.3.4\0", ALLOWED),
    ("tcp:192.0.2.1:0", "it must be with a port from 1 to 65535"),
    ("tcp:192.0.2.1:65536", "it must be with a port from 1 to 65535"),
    ("tcp:192.0.2.1:" + "9" * 5000, "it must be with a port from 1 to 65535"),
    ("tcp:192.0.2.1:", "it must be with a port from 1 to 65535"),
    ("tcp:192.0.2.1:-1", "it must be with a port from 1 to 65535"),
    ("tcp:192.0.2.1:\N{ARABIC-INDIC DIGIT SEVEN}", "it must be with a port from 1 to 65535"),
    ("0.0.0.0", "it must be an address that another host can have"),
    ("127.0.0.1", "it must be an address that another host can have"),
    ("tcp:[ff02::1]:80", "it must be an address that another host can have"),
    (" ".join(f"192.0.2.{host}" for host in range(1, 10)), "it must be 8 targets at the most"),
])
def test_what_is_no_target_is_told(text: str, said: str) -> None:
    with pytest.raises(Problem, match="eth1: mptcp-check ") as raised:
        read_targets("eth1", "mptcp-check", text)
    assert str(raised.value).endswith(said) and raised.value.status == USAGE


@given(some.text(max_size=60))
def test_noise_is_targets_or_one_line(text: str) -> None:
    try:
        targets = read_targets("eth1", "mptcp-check", text)
    except Problem as problem:
        assert str(problem).startswith("eth1: mptcp-check ") and "\n" not in str(problem)
    else:
        assert all(target.kind in (GATEWAY, ECHO, TCP) for target in targets)


@given(some.lists(some.builds(
    lambda address, port: Target(TCP, address, port) if port else Target(ECHO, address),
    some.sampled_from(["192.0.2.1", "198.51.100.7", "2001:db8::1", "fe80::1"]),
    some.integers(0, 65535)), min_size=1, max_size=8, unique=True))
def test_a_target_is_what_its_name_says(targets: list[Target]) -> None:
    text = " ".join(target.name for target in targets)
    assert read_targets("eth1", "mptcp-check", text) == tuple(targets)
    assert ROUTER.name == "gateway"


@pytest.mark.parametrize("text, number", [("1", 1), ("100", 100), (" 7 ", 7), ("007", 7)])
def test_numbers(text: str, number: int) -> None:
    assert read_interval("eth1", "check-interval", text) == number
    assert read_failures("eth1", "check-failures", text) == number


@pytest.mark.parametrize("text", [
    "0", "3601", "1000000000", "-1", "1.5", "", "5s", "9" * 5000, "\N{SUPERSCRIPT TWO}"])
def test_an_interval_that_cannot_be_is_told(text: str) -> None:
    with pytest.raises(Problem, match="it must be a number of seconds from 1 to 3600"):
        read_interval("FILE:2", "check-interval", text)


@pytest.mark.parametrize("text", ["0", "101", "no"])
def test_failures_that_cannot_be_are_told(text: str) -> None:
    with pytest.raises(Problem, match=f"FILE:2: check-failures '{text}' is wrong: it must be a "
                                      "number from 1 to 100"):
        read_failures("FILE:2", "check-failures", text)


def test_nobody_asks_for_anything() -> None:
    assert read_settings(make_event(), NO_CONFIGURATION).check is None


def test_a_stanza_asks_with_what_is_built_in() -> None:
    assert read_settings(make_event("gateway"), NO_CONFIGURATION).check == Check((ROUTER,), 5, 3)


DEFAULT = "[default]\ncheck = gateway 2001:db8::1\ncheck-interval = 7\n"


@pytest.mark.parametrize("text, option, check", [
    (DEFAULT, "", Check((ROUTER, SIX), 7, 3)),
    # Each key by itself: a section, then the stanza.
    (DEFAULT + "[eth*]\ncheck-failures = 1\n", "", Check((ROUTER, SIX), 7, 1)),
    (DEFAULT + "[eth1]\ncheck = 192.0.2.1\ncheck-interval = 9\n", "", Check((FOUR,), 9, 3)),
    (DEFAULT + "[eth1]\ncheck = 192.0.2.1\n", "tcp:192.0.2.1:443", Check((WEB,), 7, 3)),
    (DEFAULT + "[eth1]\ncheck = off\n", "", None),
    (DEFAULT + "[eth1]\ncheck = off\n", "gateway", Check((ROUTER,), 7, 3)),
    (DEFAULT + "[eth?]\ncheck = off\n[eth1]\ncheck = gateway\n", "", Check((ROUTER,), 7, 3)),
    (DEFAULT, "off", None),
    # [default] weighs least wherever it stands.
    ("[eth1]\ncheck = 192.0.2.1\n" + DEFAULT, "", Check((FOUR,), 7, 3)),
    ("[default]\ncheck-interval = 60\ncheck-failures = 9\n", "", None),
    ("[wwan*]\ncheck = gateway\n", "", None),
])
def test_whose_word_counts(file: Path, text: str, option: str, check: Check | None) -> None:
    assert read_settings(make_event(option), read(file, text)).check == check


def test_a_device_that_is_managed_has_the_configurations(file: Path) -> None:
    known = read(file, DEFAULT)
    assert read_settings(announce("eth7", 6, MANAGED), known).check == Check((ROUTER, SIX), 7, 3)


def test_a_default_check_means_no_interface_that_was_not_meant(file: Path) -> None:
    known = read(file, DEFAULT)
    docker = read_event({"IFACE": "docker0"})
    assert docker and not read_settings(docker, known).wanted
    assert not known.names("eth1")


@pytest.mark.parametrize("line, said", [
    ("check = gatway", f"check 'gatway' is wrong: {ALLOWED}"),
    ("check =", f"check '' is wrong: {ALLOWED}"),
    ("check-interval = 0",
     "check-interval '0' is wrong: it must be a number of seconds from 1 to 3600"),
    ("check-failures = 101", "check-failures '101' is wrong: it must be a number from 1 to 100"),
])
@pytest.mark.parametrize("section", ["default", "eth1"])
def test_what_is_wrong_in_the_file_is_told_with_its_line(
    file: Path, section: str, line: str, said: str
) -> None:
    file.write_text(f"[{section}]\nexclude = {'lan0' if section == 'default' else 'no'}\n{line}\n")
    known, (problem,) = read_configuration()
    assert str(problem) == f"{file}:3: {said}" and not known.whole
    assert known.find("lan0" if section == "default" else "eth1").excluded is not None
    assert read_settings(make_event(), known).check is None


@pytest.mark.parametrize("families, option, fits", [
    ("inet", "2001:db8::1", False), ("inet6", "192.0.2.1 tcp:192.0.2.1:80", False),
    ("inet", "2001:db8::1 192.0.2.1", True), ("inet6", "gateway", True),
    ("inet,inet6", "192.0.2.1", True), ("", "2001:db8::1", True),
])
def test_a_stanza_has_a_target_of_its_family(families: str, option: str, fits: bool) -> None:
    event = make_event(option, families)
    if fits:
        check = read_settings(event, NO_CONFIGURATION).check
        assert check and " ".join(target.name for target in check.targets) == option
        return
    with pytest.raises(Problem, match="must be of the stanza's family, IPv") as raised:
        read_settings(event, NO_CONFIGURATION)
    assert str(raised.value).startswith(f"eth1: mptcp-check '{option}' is wrong")


def test_what_fits_a_path() -> None:
    assert [target.fits(4) for target in (ROUTER, FOUR, WEB, SIX)] == [True, True, True, False]
    assert [target.fits(6) for target in (ROUTER, FOUR, WEB, SIX)] == [True, False, False, True]
