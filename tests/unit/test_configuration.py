# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp-hooks.conf: what is valid counts, what is not is a line that names its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mptcp_hooks.base.errors import USAGE, Problem
from mptcp_hooks.intent import configuration
from mptcp_hooks.intent.configuration import read_configuration
from mptcp_hooks.intent.event import MANAGED, PPPD, Event, announce, read_event
from mptcp_hooks.intent.settings import NO_CONFIGURATION, Configuration, Settings, read_settings

FLAGS_ALLOWED = "it must be of subflow signal backup fullmesh laminar"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "mptcp-hooks.conf"
    monkeypatch.setattr(configuration, "PATH", str(path))
    return path


def read(file: Path, text: str) -> tuple[Configuration, list[str]]:
    """What a file says, and what is wrong with it with `FILE` for its name."""
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    read_in, problems = read_configuration()
    return read_in, [str(problem).replace(str(file), "FILE") for problem in problems]


def settle(file: Path, text: str, **stanza: str) -> Settings:
    """The settings of a stanza with a file that is right."""
    read_in, problems = read(file, text)
    assert problems == [] and read_in.whole
    return read_settings(make_event(**stanza), read_in)


def make_event(**stanza: str) -> Event:
    event = read_event({"IFACE": "eth1", "METHOD": "static", "ADDRFAM": "inet", **stanza})
    assert event is not None
    return event


def test_no_file_says_nothing(file: Path) -> None:
    assert read_configuration() == (NO_CONFIGURATION, [])
    assert read(file, "") == (NO_CONFIGURATION, [])


def test_what_is_managed(file: Path) -> None:
    known, said = read(file, """\
# a comment
[default]
manage = eth* wwan[0-3]
  usb?
exclude = usb1
[eth9]
manage = no
[ppp*]
manage = yes
[ppp7]
exclude = yes
""")
    assert said == []
    assert [name for name in ("eth0", "eth9", "wwan3", "wwan4", "usb0", "usb1", "usb10", "veth0",
                              "ppp0", "ppp7") if known.names(name)] == [
        "eth0", "wwan3", "usb0", "ppp0"]


def test_what_is_left_alone(file: Path) -> None:
    text = """\
[default]
exclude = lan* eth9
manage = tun7
[lan3]
exclude = no
[dummy*]
exclude = no
[wg0]
manage = yes
"""
    wanted = [name for name in ("eth1", "eth9", "lan1", "lan3", "lan3:1", "docker0", "dummy0",
                                "tun0", "tun7", "wg0", "wg1")
              if settle(file, text, IFACE=name).wanted]
    assert wanted == ["eth1", "lan3", "lan3:1", "dummy0", "tun7", "wg0"]


def test_a_stanza_with_an_option_of_its_own_is_always_meant(file: Path) -> None:
    text = "[default]\nexclude = *\n[eth1]\ntable = 5\n"
    settings = settle(file, text, IF_MPTCP_FLAGS="signal")
    assert settings.wanted and settings.chosen_flags == ("signal",) and settings.usual_table == 5
    assert settle(file, text, IF_MPTCP="yes").wanted
    assert not settle(file, text, IF_ADDRESS="10.1.2.2").wanted


@pytest.mark.parametrize("method", [MANAGED, PPPD])
def test_the_file_outweighs_what_we_announce_ourselves(file: Path, method: str) -> None:
    event = announce("tun0", 4, method)
    assert read_settings(event, NO_CONFIGURATION).wanted
    known, _ = read(file, "[tun*]\nexclude = yes\nflags = signal\n")
    assert not read_settings(event, known).wanted
    known, _ = read(file, "[tun*]\nflags = signal\n")
    assert read_settings(event, known).chosen_flags == ("signal",)


def test_a_later_section_outweighs_key_by_key(file: Path) -> None:
    text = """\
[eth*]
flags = subflow backup
table = 7
gateway = 10.9.9.1
[*1]
flags = signal
[default]
flags = fullmesh subflow
"""
    settings = settle(file, text)
    assert (settings.flags, settings.usual_table, settings.gateways) == (
        ("signal",), 7, ("10.9.9.1",))
    assert settle(file, text, IFACE="eth2").flags == ("subflow", "backup")
    assert settle(file, text, IFACE="lan2").flags == ("subflow", "fullmesh")
    # A LAN does not become a path by what is said of every endpoint.
    assert settle(file, text, IFACE="lan2").chosen_flags == ()


def test_a_stanza_outweighs_the_file(file: Path) -> None:
    settings = settle(
        file, "[eth1]\nflags = backup subflow\ntable = 7\ngateway = 10.9.9.1 fd00::1\n",
        ADDRFAM="inet,inet6", IF_MPTCP_FLAGS="signal", IF_MPTCP_TABLE="8",
        IF_MPTCP_GATEWAY="10.1.2.1")
    assert (settings.flags, settings.table) == (("signal",), 8)
    assert settings.gateways == ("10.1.2.1", "fd00::1")


def test_a_gateway_is_of_the_events_family(file: Path) -> None:
    text = "[eth1]\ngateway: 10.1.2.1 FE80::1\n"
    assert settle(file, text).gateways == ("10.1.2.1",)
    assert settle(file, text, ADDRFAM="inet6").gateways == ("fe80::1",)


@pytest.mark.parametrize("text, said", [
    ("[default]\nmanage = yes\n",
     "2: manage: 'yes' is no pattern of interface names: ignored (yes or no is for a section such "
     "as [eth0])"),
    ("[default]\nexclude = eth1 off\n",
     "2: exclude: 'off' is no pattern of interface names: ignored (yes or no is for a section such "
     "as [eth0])"),
    ("[default]\nmanage = eth* a;b\n",
     "2: manage: 'a;b' is no pattern of interface names: ignored"),
    ("[default]\nexclude = eth[0\n", "2: exclude: 'eth[0' is no pattern of interface names: "
                                     "ignored"),
    ("[default]\nmanaged = eth*\n", "2: there is no key 'managed' here: ignored (did you mean "
                                    "manage?)"),
    ("[default]\nway_out = no\n", "2: there is no key 'way_out' here: ignored (did you mean "
                                  "way-out?)"),
    ("[default]\nmtu = 9000\n", "2: there is no key 'mtu' here: ignored (there are flags, limits, "
                                "preference, vpn, answer, way-out, notice, roles, manage, "
                                "exclude, check, check-interval, check-failures)"),
    *((f"[default]\npreference = {word}\n", f"2: preference '{word}' is wrong: it must be a number "
       "from 1 to 32700, behind the kernel's first rule, and with room before main's")
      for word in ("", "0", "32701", "32766", "-1", "first", "1 2", "9" * 30)),
    ("[default]\nvpn = off\n", "2: vpn 'off' is wrong: it must be alone or beside"),
    ("[default]\nanswer = tunnel\n", "2: answer 'tunnel' is wrong: it must be yes or no"),
    ("[eth0]\nanswer = yes\n", "2: there is no key 'answer' here: ignored (there are flags, "
                               "table, gateway, manage, exclude, way-out, check, "
                               "check-interval, check-failures, mark, sources, announce)"),
    ("[default]\ntable = 7\n", "2: table would be every interface's: ignored (put it into a "
                               "section of one, such as [eth0])"),
    ("[default]\n\ngateway = 10.1.1.1\n", "3: gateway would be every interface's: ignored (put it "
                                          "into a section of one, such as [eth0])"),
    ("[eth0]\nmtu = 9000\n", "2: there is no key 'mtu' here: ignored (there are flags, table, "
                             "gateway, manage, exclude, way-out, check, check-interval, "
                             "check-failures, mark, sources, announce)"),
    ("[eth0]\nflags = fast\n", f"2: flags 'fast' is wrong: {FLAGS_ALLOWED}"),
    ("[eth0]\nflags =\n", f"2: flags '' is wrong: {FLAGS_ALLOWED}"),
    ("[default]\nflags = backup\n", "2: flags 'backup' is wrong: it must be with subflow (backup "
                                    "alone does nothing): 'subflow backup'"),
    ("[eth0]\ntable = 0\n", "2: table '0' is wrong: it must be a number from 1 to 4294967295, "
                            "or a name that rt_tables has"),
    ("[eth0]\ntable = 254\n", "2: table '254' is wrong: it must be a table of its own (254 is the "
                              "kernel's main)"),
    ("[eth0]\ntable = 20000\n", "2: table '20000' is wrong: it must be a table of its own (20000 "
                                "is that of resolvers)"),
    ("[eth0]\ngateway = 10.1\n", "2: gateway '10.1' is wrong: it must be an IPv4 or IPv6 address"),
    ("[eth0]\ngateway =\n", "2: gateway '' is wrong: it must be a router's address, one of each "
                            "family at the most"),
    ("[eth0]\ngateway = 10.1.1.1 10.1.1.2\n",
     "2: gateway '10.1.1.1 10.1.1.2' is wrong: it must be a router's address, one of each family "
     "at the most"),
    ("[eth0]\ngateway = fe80::1%eth0\n", "2: gateway 'fe80::1%eth0' is wrong: it must be without "
                                         "%: the section says of which interface"),
    ("[eth0]\nmanage = eth0\n", "2: manage 'eth0' is wrong: it must be yes or no"),
    ("[eth0]\nexclude = \n", "2: exclude '' is wrong: it must be yes or no"),
    ("[eth0:1]\ntable = 0\n", "1: there is no section '[eth0:1]': ignored (there are [default], "
                              "and patterns of interface names such as [eth0] or [wwan*])"),
    ("[Default]\ntable = 0\n", "1: there is no section '[Default]': ignored (did you mean "
                               "[default]?)"),
    ("[defaults]\nflags = signal\n", "1: there is no section '[defaults]': ignored (did you mean "
                                     "[default]?)"),
    ("[defualt]\n", "1: there is no section '[defualt]': ignored (did you mean [default]?)"),
    ("manage = eth*\n", "1: 'manage = eth*' stands before any [section]: ignored"),
    ("[eth0]\ntable = 5\ntable = 6\n", "3: table is there already, in line 2: ignored"),
    ("[eth0]\ntable = \udcff\n", "2: a byte that is no text (UTF-8): ignored"),
])
def test_what_is_wrong_is_one_line(file: Path, text: str, said: str) -> None:
    valid = "[a]\ntable = 5\n"
    known, problems = read(file, text + valid)
    assert problems == [f"FILE:{said}"] and not known.whole
    assert known.find("a").table == 5


def test_problems_come_in_the_order_of_lines_and_end(file: Path) -> None:
    _, said = read(file, "[b]\nx = 1\n[a\n[default]\nx = 2\n[a]\n" + "nothing\n" * 9)
    assert [one.split(":")[1] for one in said[:4]] == ["2", "3", "5", "7"]
    assert said[8:] == ["FILE: and 4 lines more are wrong"]


def test_a_long_word_is_shown_in_part(file: Path) -> None:
    _, (said,) = read(file, "[eth0]\nflags = " + "x" * 9999)
    assert len(said) < 400


def test_a_huge_file_counts_for_nothing(file: Path) -> None:
    known, said = read(file, "[eth0]\ntable = 5\n" + "#" * 65536)
    assert said == ["FILE: 65553 bytes are too many, 65536 may be: nothing of it counts"]
    assert known == NO_CONFIGURATION._replace(whole=False)


@pytest.mark.parametrize("mode", [0o666, 0o664])
def test_a_file_that_others_may_write_is_refused(file: Path, mode: int) -> None:
    assert read(file, "[default]\nmanage = eth*\n")[0].names("eth0")
    file.chmod(mode)
    known, (problem,) = read_configuration()
    assert not known.names("eth0") and not known.whole and "is not root's own" in str(problem)
    assert problem.status == USAGE


def refuse(file: Path) -> str:
    """What is said of a file of which nothing may count, nor be told."""
    known, (problem,) = read_configuration()
    assert known == NO_CONFIGURATION._replace(whole=False) and problem.status == USAGE
    assert "secret" not in str(problem)
    return str(problem)


def test_a_link_to_what_only_root_may_read_is_not_followed(file: Path) -> None:
    (file.parent / "shadow").write_text("secret")
    file.symlink_to(file.parent / "shadow")
    assert refuse(file) == (
        f"{file} is a symbolic link, which is not followed: put the file itself there")
    (file.parent / "shadow").unlink()
    assert "is a symbolic link" in refuse(file)


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_in_a_folder_that_others_may_write_nothing_is_read(file: Path, mode: int) -> None:
    file.write_text("secret")
    file.parent.chmod(mode)
    assert refuse(file).startswith(f"{file.parent} is not root's own")


def test_a_folder_that_is_a_link_is_not_followed(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("secret")
    link = file.parent / "link"
    link.symlink_to(file.parent)
    monkeypatch.setattr(configuration, "PATH", f"{link}/{file.name}")
    assert refuse(file) == f"{link}: cannot be read: Not a directory"


def test_a_sparse_file_counts_for_nothing(file: Path) -> None:
    file.write_text("[eth0]\ntable = 5\n")
    os.truncate(file, 1 << 40)
    assert "1099511627776 bytes are too many" in refuse(file)


def test_a_wrong_option_of_the_stanza_is_its_own_problem(file: Path) -> None:
    with pytest.raises(Problem, match="eth1: mptcp-table '0' is wrong"):
        settle(file, "[eth1]\ntable = 7\n", IF_MPTCP_TABLE="0")


@pytest.mark.parametrize("text, judged", [("", True), ("roles = judged", True),
                                          ("roles = fixed", False)])
def test_roles_are_judged_unless_they_are_fixed(file: Path, text: str, judged: bool) -> None:
    found, said = read(file, f"[default]\n{text}\n")
    assert (found.roles, said) == (judged, [])


def test_another_word_about_roles_is_one_line_and_they_are_judged(file: Path) -> None:
    found, said = read(file, "[default]\nroles = off\n")
    assert found.roles and said == ["FILE:2: roles 'off' is wrong: it must be judged or fixed"]
