# SPDX-License-Identifier: GPL-2.0-or-later
"""What people get wrong first: each is told in one line, with what to write instead."""

from __future__ import annotations

import pytest

from tests.lab.support.booted import SYSTEMD, WITHOUT, BootedHost
from tests.lab.support.lab import NOBODY, TWO_UPLINKS, TWO_UPLINKS_6, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import BOTH, check_both_paths
from tests.lab.support.status import ask, find
from tests.lab.support.waiting import wait_for_addresses

CONFIGURATION = "/etc/mptcp-hooks/mptcp-hooks.conf"
INTERFACES = "/etc/network/interfaces"
TWO_DEFAULTS = TWO_UPLINKS.replace("mptcp-gateway", "gateway")
UNKNOWN = "no such interface, and none on record"


def check(lab: Lab, *arguments: str) -> list[str]:
    done = lab.client.try_run("mptcp_up", "--check", *arguments)
    assert done.returncode == (2 if done.stderr else 0)
    return [line.removeprefix("mptcp_up: ") for line in done.stderr.splitlines()]


def tell(lab: Lab, kind: str) -> list[tuple[str, str, str]]:
    """Where, what and the remedy of findings of a kind."""
    return [(one["interface"], one["text"], one["remedy"]) for one in ask(lab)["findings"]
            if one["kind"] == kind]


def test_a_second_default_route_is_told_before_and_after_ifup_fails_of_it(
    make_lab: MakeLab
) -> None:
    """As a journal has what ifup said, so has mptcp_status; following the remedy mends it."""
    lab = make_lab(*SYSTEMD, without=WITHOUT, client=BootedHost)
    lab.set_interfaces(TWO_DEFAULTS)
    assert check(lab) == [
        f"{INTERFACES}:7: eth1: gateway 10.1.2.1 is a second default route besides eth0's "
        f"({INTERFACES}:4): ifup fails, or the first one is replaced: write "
        "'mptcp-gateway 10.1.2.1', or give it a 'metric'"]
    lab.client.try_run("systemctl", "restart", "networking")
    row = next(line for line in lab.client.try_run("mptcp_status").stdout.splitlines()
               if "eth1" in line)
    assert row.split()[1:6] == ["eth1", "not", "up", "10.1.2.2/24", "-"]
    assert tell(lab, "not-up") == [(
        "eth1", "not up: ifup failed (RTNETLINK answers: File exists): main has a default route "
        "already, and its 'gateway' would be a second one",
        f"write 'mptcp-gateway 10.1.2.1' instead in {INTERFACES}:7, and then "
        "'ifdown --force eth1; ifup eth1'")]
    lab.set_interfaces(TWO_UPLINKS)
    lab.client.run("sh", "-c", "ifdown --force eth1; ifup eth1")
    assert find(lab) == () and check(lab) == [] and lab.endpoints() == BOTH


def test_a_second_default_route_of_ipv6_is_told_too(lab: Lab) -> None:
    """ifup succeeds, and main has lost the first one."""
    wrong = TWO_UPLINKS_6.replace("mptcp-gateway", "gateway")
    lab.set_interfaces(wrong)
    line = wrong[:wrong.index("gateway fd00:2::1")].count("\n") + 1
    (said,) = check(lab)
    assert said.startswith(f"{INTERFACES}:{line}: eth1: gateway fd00:2::1 is a second default ")
    assert said.endswith("write 'mptcp-gateway fd00:2::1', or give it a 'metric'")
    lab.set_interfaces(TWO_UPLINKS_6)
    assert check(lab) == []


def test_what_ifup_failed_of_without_a_journal(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS + "    up false\n")
    lab.client.try_run("ifup", "-a")
    assert [(iface, text) for iface, text, _ in tell(lab, "not-up")] == [
        ("eth1", "not up: ifup failed")]
    # What is down by somebody's wish has no address.
    lab.set_interfaces(TWO_UPLINKS)
    lab.client.run("ifdown", "--force", "eth1")
    assert tell(lab, "not-up") == []


@pytest.mark.parametrize("text", [
    TWO_DEFAULTS.replace("auto eth0 eth1", "auto eth0"), TWO_DEFAULTS + "    metric 100\n",
    TWO_DEFAULTS.replace("10.1.2.2/24", "fd00:2::2/64").replace("10.1.2.1", "fd00:2::1").replace(
        "iface eth1 inet ", "iface eth1 inet6 ")])
def test_one_default_route_of_each_kind_is_right(lab: Lab, text: str) -> None:
    """Of stanzas that somebody chooses by hand, as at home and at work, one is up at a time."""
    lab.set_interfaces(text)
    assert check(lab) == []


@pytest.mark.parametrize("option", ["gateway", "mptcp-gateway"])
def test_a_gateway_outside_the_subnet_is_told_unless_it_is_meant(lab: Lab, option: str) -> None:
    wrong = TWO_UPLINKS.replace("mptcp-gateway 10.1.2.1", f"{option} 10.1.3.1\n    metric 9")
    lab.set_interfaces(wrong)
    said = (f"{option} 10.1.3.1 is outside 10.1.2.0/24: if the link has it all the same, say so by "
            "'up ip route add 10.1.3.1 dev eth1'")
    assert check(lab) == [f"{INTERFACES}:7: eth1: {said}"]
    assert "mptcp" not in lab.ifup("-a")
    ((iface, text, remedy),) = tell(lab, "gateway-outside")
    assert (iface, text) == ("eth1", "its gateway 10.1.3.1 is outside 10.1.2.0/24")
    lab.ifdown("eth1")
    lab.set_interfaces(wrong + f"    {remedy.split(chr(39))[1]}\n")
    assert check(lab) == []
    lab.ifup("eth1")
    assert find(lab) == ()


def test_a_stanza_that_was_edited_is_told_and_applied(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    assert tell(lab, "edited") == []
    lab.set_interfaces(TWO_UPLINKS + "    mptcp-flags subflow backup\n")
    assert tell(lab, "edited") == [
        ("eth1", "its stanza has changed since it came up", "mptcp_up eth1")]
    marked = [BOTH[0], "10.1.2.2 eth1 subflow backup"]
    assert lab.client.run("mptcp_up", "--all") == "" and lab.endpoints() == marked
    assert find(lab) == ()
    lab.set_interfaces(TWO_UPLINKS + "    mptcp-flags fast\n")
    ((_, text, _),) = tell(lab, "configuration")
    assert text.endswith("it must be of subflow signal backup fullmesh laminar")
    done = lab.client.try_run("mptcp_up", "--all")
    assert done.returncode == 2 and "mptcp-flags 'fast' is wrong" in done.stderr
    assert lab.endpoints() == marked
    # An address is ifup's to give.
    lab.set_interfaces(TWO_UPLINKS.replace("10.1.2.2", "10.1.2.3"))
    ((_, _, remedy),) = tell(lab, "edited")
    lab.client.run("sh", "-c", remedy)
    assert lab.endpoints() == [BOTH[0], "10.1.2.3 eth1 subflow"] and find(lab) == ()
    check_both_paths(lab)


def test_an_option_that_moves_to_the_other_stanza_is_told_and_applied(lab: Lab) -> None:
    flags = "    mptcp-flags subflow backup\n"
    first, second = (f"iface eth1 {family} static\n    address {own}\n    mptcp-gateway {gateway}\n"
                     for family, own, gateway in (("inet", "10.1.2.2/24", "10.1.2.1"),
                                                  ("inet6", "fd00:2::2/64", "fd00:2::1")))
    lab.set_interfaces(first + flags + second)
    lab.ifup("eth1")
    wait_for_addresses(lab.client)
    assert tell(lab, "edited") == []
    for text, backups in ((first + second + flags, ["fd00:2::2"]),
                          (first + flags + second + flags, ["10.1.2.2", "fd00:2::2"]),
                          (first + second, [])):
        lab.set_interfaces(text)
        assert tell(lab, "edited") == [
            ("eth1", "its stanza has changed since it came up", "mptcp_up eth1")]
        assert lab.client.run("mptcp_up", "--all") == "" and tell(lab, "edited") == []
        assert [one.split()[0] for one in lab.endpoints() if "backup" in one] == backups


@pytest.mark.parametrize("stanzas", [
    "iface eth1 inet static\n    address 10.1.2.2\n    netmask 24\n    gateway 10.1.2.1\n"
    "    metric 9\niface eth1 inet6 static\n    address FD00:2:0::2\n    netmask 64\n"
    "    dad-attempts 0\n    mptcp-gateway fd00:2::1\n    mptcp-flags signal\n",
    "iface eth1 inet static\n    address 10.1.2.2\n    mptcp_gateway 10.1.2.1\n"
    "    mptcp-flags subflow backup\n    dns-nameservers 192.0.2.1 192.0.2.2\n"
    "    post-up true\n    up true\n"
    "iface eth1 inet static\n    address 10.1.2.3/24\n    mptcp-table 505\n",
    "iface eth1 inet manual\n    up ip addr add 10.1.2.2/24 dev eth1\n    mptcp-gateway 10.1.2.1\n"
    "iface eth1 inet6 auto\n    mptcp off\n",
    "iface eth1 inet static\n    address 10.1.2.2/24\n    mptcp-gateway 10.1.2.1\n"
    "    up true\n    up true\n    mptcp-flags subflow backup\n"
    "iface eth1 inet6 static\n    address fd00:2::2\n    netmask 64\n    dad-attempts 0\n"
    "    mptcp-gateway fd00:2::1\n    up true\n    mptcp-flags signal\n",
    "iface wan inet static\n    address 10.1.2.2/24\n    mptcp-gateway 10.1.2.1\n"
    "iface eth1 inet static inherits wan\n    mptcp-table 505\n"
    "iface eth1 inet6 static\n    address fd00:2::2/64\n    mptcp-gateway fd00:2::1\n",
])
def test_a_stanza_that_was_not_edited_is_not_told_of(lab: Lab, stanzas: str) -> None:
    """However it is written: what hooks are told is what ifquery prints."""
    lab.set_interfaces(stanzas)
    lab.client.run("ifup", "eth1")
    assert lab.client.run("ls", "/run/mptcp-hooks") and tell(lab, "edited") == []


@pytest.mark.parametrize("text, said", [
    ("iface eth1 inet statc\n", f"ifquery: {INTERFACES}:1: "),
    ("iface eth1 inet static\n    mptcp-flags\n", f"ifquery: {INTERFACES}:2: "),
])
def test_a_file_that_cannot_be_read_is_an_error(lab: Lab, text: str, said: str) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    full = lab.snapshot()
    lab.set_interfaces(text)
    for arguments in (("eth1",), ("--all",), ("--check",)):
        done = lab.client.try_run("mptcp_up", *arguments)
        assert done.returncode == 2 and said in done.stderr, done.stderr
    assert lab.snapshot() == full
    assert [kind for _, kind, _ in find(lab)] == ["configuration"]


def test_a_file_that_one_may_not_read_is_an_error(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.client.run("chmod", "600", INTERFACES)
    for arguments in (("--check",), ("--dry-run", "eth1")):
        done = lab.client.try_run(*NOBODY, "mptcp_up", *arguments)
        assert done.returncode == 2, done.stderr
        assert f"couldn't open interfaces file \"{INTERFACES}\": Permission denied" in done.stderr


def test_a_machine_without_that_file_has_no_stanzas(lab: Lab) -> None:
    lab.client.run("rm", "-f", INTERFACES)
    assert find(lab) == (("broken", "no-path", None),)
    lab.client.ip("link set eth1 up", "addr add 10.1.2.2/24 dev eth1",
                  "route add default via 10.1.2.1")
    assert lab.client.run("mptcp_up", "eth1") == "" and lab.endpoints() == BOTH[1:]


def test_words_that_are_nearly_right_are_told_with_the_right_one(lab: Lab) -> None:
    lab.write(CONFIGURATION, "[defaults]\nflags = signal\n[eth1]\nway_out = off\n")
    lab.set_interfaces(TWO_UPLINKS + "    mptcp_tabel 505\n    mptpc-flags signal\n")
    assert check(lab) == [
        f"{CONFIGURATION}:1: there is no section '[defaults]': ignored (did you mean [default]?)",
        f"{CONFIGURATION}:4: there is no key 'way_out' here: ignored (did you mean way-out?)",
        f"{INTERFACES}:8: eth1: no option is called mptcp-tabel: ignored (did you mean "
        "mptcp-table?)",
        f"{INTERFACES}:9: eth1: no option is called mptpc-flags: did you mean mptcp-flags?"]
    assert "did you mean [default]?" in lab.ifup("eth1")


def test_an_option_may_be_written_with_low_lines(lab: Lab) -> None:
    """ifup makes the same of both, so both are the same."""
    lab.set_interfaces(TWO_UPLINKS.replace("mptcp-gateway", "mptcp_gateway"))
    assert check(lab) == [] and lab.ifup("-a") == "" and lab.endpoints() == BOTH
    lab.set_interfaces(TWO_UPLINKS.replace("mptcp-gateway 10", "mptcp_gateway a"))
    assert check(lab) == [f"{INTERFACES}:7: eth1: mptcp-gateway 'a.1.2.1' is wrong: it must be an "
                          "IPv4 or IPv6 address"]


def test_commas_may_stand_in_every_list(lab: Lab) -> None:
    lab.write(CONFIGURATION, """\
[default]
manage = wwan*, usb0
exclude = lan0,lan1
flags = subflow,backup
check = gateway, 192.0.2.1
[eth1]
gateway = 10.1.2.1,fd00:2::1
sources = 192.0.2.0/28, 192.0.2.64/28
announce = 198.51.100.7,198.51.100.8
""")
    lab.set_interfaces(TWO_UPLINKS.replace("    mptcp-gateway 10.1.2.1\n", """\
    mptcp-flags subflow, backup
    mptcp-check gateway,192.0.2.1
"""))
    assert check(lab) == [] and lab.ifup("-a") == ""
    assert lab.endpoints()[:2] == [f"{own} backup" for own in BOTH]
    for name in ("usb0", "lan1"):
        assert name not in lab.client.run("mptcp_up", "--all", "-v")


def test_an_interface_that_nobody_knows_is_wrong_usage(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS + "iface usb0 inet dhcp\n")
    lab.ifup("-a")
    for program in ("mptcp_up", "mptcp_down", "mptcp_status"):
        done = lab.client.try_run(program, "eth9")
        assert (done.returncode, done.stderr) == (2, f"{program}: eth9: {UNKNOWN}\n")
    # It costs the others nothing, and what has a stanza is known.
    done = lab.client.try_run("mptcp_down", "eth9", "eth1", "usb0")
    assert (done.returncode, done.stderr) == (2, f"mptcp_down: eth9: {UNKNOWN}\n")
    assert lab.endpoints() == BOTH[:1]
    done = lab.client.try_run("mptcp_up", "eth9", "eth1")
    assert (done.returncode, done.stderr) == (2, f"mptcp_up: eth9: {UNKNOWN}\n")
    assert lab.endpoints() == BOTH
    assert lab.client.try_run("mptcp_status", "usb0").returncode == 0


def test_a_second_monitor_is_refused(lab: Lab) -> None:
    monitor = Monitor(lab)
    done = lab.client.try_run("mptcp_monitor")
    assert (done.returncode, done.stderr) == (
        1, f"mptcp_monitor: one runs already: mptcp_monitor (process {monitor.pid}) "
        "keeps the lock /run/mptcp-hooks/.monitor\n")
    monitor.stop()
    Monitor(lab).rest()
