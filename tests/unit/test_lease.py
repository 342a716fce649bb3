# SPDX-License-Identifier: GPL-2.0-or-later
"""Leases as DHCP clients tell them: recordings, RFC 3442 in two dialects, dhclient's own file."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

import pytest

from mptcp_hooks.base.errors import USAGE, Problem
from mptcp_hooks.base.model import Lease
from mptcp_hooks.intent.lease import TOLD, LeaseEvent, is_news, read_lease, read_lease_event
from mptcp_hooks.monitor import dhclient
from mptcp_hooks.monitor.dhclient import read_kept_lease
from tests.unit.recorded import ENVIRONMENTS, read_environment

DHCLIENT = "ifupdown/dhcp-dhclient/dhclient-hooks"
DHCLIENT6 = "ifupdown/inet6-dhcp/dhclient-hooks"
DHCPCD = "ifupdown-trixie/dhcp-dhcpcd/dhcpcd-hooks"
R6 = "2001:db8::53"
OCTETS = "new_rfc3442_classless_static_routes"
PAIRS = "new_classless_static_routes"

LEASED = LeaseEvent("eth0", Lease(
    "10.0.0.58", "10.0.0.1", (("10.77.0.0/16", "10.0.0.9"),), ("10.0.0.1",)), True)
LEASED_BY_DHCPCD = LeaseEvent("eth0", Lease(
    "10.0.0.56", "10.0.0.1", (("10.77.0.0/16", "10.0.0.9"),), ("10.0.0.1",)), True)
ENDED = LeaseEvent("eth0", None, True)
# dhcpcd ends with all that it does on the interface.
STOPPED = LeaseEvent("eth0", None, True, (("dhcp6", ()), ("advertisement", ())))
LEASED_6 = LeaseEvent("eth0", None, False, (("dhcp6", ("fd00:a::53",)),))
ENDED_6 = LeaseEvent("eth0", None, False, (("dhcp6", ()),))
ADVERTISED = LeaseEvent("eth0", None, False, (("advertisement", ("fd00:a::53",)),))

SAYS = {
    f"{DHCLIENT}/01-exit-PREINIT.env": None,
    f"{DHCLIENT}/03-exit-BOUND.env": LEASED,
    f"{DHCLIENT}/05-exit-RENEW.env": LEASED,
    f"{DHCLIENT}/07-exit-RELEASE.env": ENDED,
    "ifupdown/two-dhcp/dhclient-hooks/03-exit-BOUND.env":
        LeaseEvent("eth1", Lease("10.1.0.51", "10.1.0.1", ()), True),
    f"{DHCLIENT6}/01-exit-BOUND6.env": LEASED_6,
    f"{DHCLIENT6}/02-exit-RELEASE6.env": ENDED_6,
    f"{DHCPCD}/PREINIT.env": None,
    f"{DHCPCD}/NOCARRIER.env": None,
    f"{DHCPCD}/CARRIER.env": None,
    f"{DHCPCD}/BOUND.env": LEASED_BY_DHCPCD,
    f"{DHCPCD}/RENEW.env": LEASED_BY_DHCPCD,
    f"{DHCPCD}/STOP.env": ENDED,
    f"{DHCPCD}/STOPPED.env": STOPPED,
    f"{DHCPCD}/ROUTERADVERT.env": ADVERTISED,
}


@pytest.mark.parametrize("name", sorted(SAYS))
def test_recorded_environment(name: str) -> None:
    environment = read_environment(ENVIRONMENTS / name)
    assert (read_lease_event(environment) if is_news(environment) else None) == SAYS[name]


def test_every_recording_is_read_here() -> None:
    found = {str(path.relative_to(ENVIRONMENTS)) for client in ("dhclient", "dhcpcd")
             for path in ENVIRONMENTS.rglob(f"{client}-hooks/*")}
    assert found == set(SAYS)


def read(**told: str) -> Lease:
    return read_lease("eth1", {"new_ip_address": "10.1.2.50", **told})


def refusal(**told: str) -> str:
    with pytest.raises(Problem) as raised:
        read(**told)
    assert raised.value.status == USAGE and "\n" not in str(raised.value)
    return str(raised.value)


def encode(subnet: str, router: str) -> str:
    """A route in the octets of RFC 3442."""
    network = ipaddress.IPv4Network(subnet)
    significant = network.network_address.packed[:(network.prefixlen + 7) // 8]
    return " ".join(map(str, (network.prefixlen, *significant,
                              *ipaddress.IPv4Address(router).packed)))


@pytest.mark.parametrize("length", range(1, 33))
def test_octets_of_every_length(length: int) -> None:
    subnet = str(ipaddress.IPv4Network(("203.171.171.171", length), strict=False))
    lease = read(**{OCTETS: encode(subnet, "10.1.2.8") + " " + encode("0.0.0.0/0", "10.1.2.1")})
    assert lease == Lease("10.1.2.50", "10.1.2.1", ((subnet, "10.1.2.8"),))


def test_bits_beyond_the_length_do_not_count() -> None:
    assert read(**{OCTETS: "9 10 255 10 1 2 8"}).routes == (("10.128.0.0/9", "10.1.2.8"),)


@pytest.mark.parametrize("length", range(33))
def test_octets_cut_off_are_no_routes(length: int) -> None:
    subnet = str(ipaddress.IPv4Network(("203.171.171.171", length), strict=False))
    words = encode(subnet, "10.1.2.8").split()
    for end in range(1, len(words)):
        text = " ".join(words[:end])
        assert refusal(**{OCTETS: text}) == (
            f"eth1: {OCTETS} '{text}' is wrong: it must be destinations and routers (RFC 3442)")


@pytest.mark.parametrize("text, routes", [
    ("10.77.0.0/16 10.1.2.8 0.0.0.0/0 10.1.2.1", (("10.77.0.0/16", "10.1.2.8"),)),
    ("0.0.0.0/0 10.1.2.1 10.77.1.2/16 10.1.2.8", (("10.77.0.0/16", "10.1.2.8"),)),
    ("0.0.0.0/0 10.1.2.1 10.77.0.1/32 0.0.0.0", (("10.77.0.1/32", ""),)),
    ("0.0.0.0/0 10.1.2.1 0.0.0.0/1 10.1.2.8 128.0.0.0/1 10.1.2.8",
     (("0.0.0.0/1", "10.1.2.8"), ("128.0.0.0/1", "10.1.2.8"))),
])
def test_pairs_of_dhcpcd(text: str, routes: tuple[tuple[str, str], ...]) -> None:
    assert read(**{PAIRS: text}) == Lease("10.1.2.50", "10.1.2.1", routes)


@pytest.mark.parametrize("told, gateway", [
    ({}, ""),
    ({"new_routers": ""}, ""),
    ({"new_routers": "10.1.2.1"}, "10.1.2.1"),
    ({"new_routers": "10.1.2.1 10.1.2.9"}, "10.1.2.1"),
    ({"new_routers": "0.0.0.0"}, ""),
    ({"new_routers": "10.1.2.9", OCTETS: "0 10 1 2 1"}, "10.1.2.1"),
    ({"new_routers": "10.1.2.9", PAIRS: "0.0.0.0/0 10.1.2.1"}, "10.1.2.1"),
    # Routes without a default mean that there is none (RFC 3442).
    ({"new_routers": "10.1.2.9", OCTETS: "16 10 77 10 1 2 8"}, ""),
    # What was not asked for is not looked at.
    ({"new_routers": "$(id)", OCTETS: "0 10 1 2 1"}, "10.1.2.1"),
])
def test_the_gateway_of_a_lease(told: dict[str, str], gateway: str) -> None:
    assert read(**told).gateway == gateway


@pytest.mark.parametrize("text, resolvers", [
    ("", ()), ("192.0.2.53 10.1.2.1", ("192.0.2.53", "10.1.2.1")),
    ("192.0.2.53 192.0.2.53", ("192.0.2.53",)),
    ("255.255.255.255 192.0.2.53 127.0.0.1 224.0.0.1 0.0.0.0 169.254.1.1", ("192.0.2.53",)),
    ("2001:db8::53 192.0.2.53 $(reboot) 192.0.2 192.0.2.53; \n192.0.2.54",
     ("192.0.2.53", "192.0.2.54")),
    ("10.1.2.9 " * 100_000, ("10.1.2.9",)),
    (" ".join(f"192.0.2.{host}" for host in range(1, 40)),
     tuple(f"192.0.2.{host}" for host in range(1, 17)))])
def test_of_the_resolvers_of_a_lease_those_count_that_are_right(
    text: str, resolvers: tuple[str, ...]
) -> None:
    """And the lease stays, whatever the rest is."""
    plain = read(new_routers="10.1.2.1", new_domain_name_servers=text)
    assert plain == Lease("10.1.2.50", "10.1.2.1", (), resolvers)
    routed = read(**{PAIRS: "10.77.0.0/16 10.1.2.8", "new_domain_name_servers": text})
    assert routed == Lease("10.1.2.50", "", (("10.77.0.0/16", "10.1.2.8"),), resolvers)


def advertise(number: int, *options: tuple[str, str], age: int = 0) -> dict[str, str]:
    """What dhcpcd tells of a router that it heard so many seconds ago."""
    told = {f"nd{number}_acquired": "57075", f"nd{number}_now": str(57075 + age)}
    for place, (servers, lifetime) in enumerate(options, start=1):
        told |= {f"nd{number}_rdnss{place}_servers": servers,
                 f"nd{number}_rdnss{place}_lifetime": lifetime}
    return told


@pytest.mark.parametrize("told, named", [
    ({}, ()), (advertise(1), ()), (advertise(1, (R6, "60")), (R6,)),
    (advertise(1, (f"{R6} 192.0.2.53 fe80::53 nonsense {R6}", "60"), ("2001:DB8::54", "60")),
     (R6, "2001:db8::54")),
    (advertise(1, (R6, "60")) | advertise(4, *[(R6, "60")] * 3, ("2001:db8::55", "60")),
     (R6, "2001:db8::55")),
    # One is withdrawn; one's time is over, and one's is not.
    (advertise(1, (R6, "0"), ("2001:db8::54", "1")), ("2001:db8::54",)),
    (advertise(1, (R6, "4"), ("2001:db8::54", "5"), age=4), ("2001:db8::54",)),
    (advertise(1, (R6, "4294967295"), age=86400), (R6,)),
    (advertise(1, (R6, "-1"), (R6, "x"), (R6, "9" * 40)), ()),
    ({"new_dhcp6_name_servers": R6}, ())])
def test_whom_dhcpcd_heard_of_routers(told: dict[str, str], named: tuple[str, ...]) -> None:
    assert set(told) <= set(TOLD)
    event = read_lease_event({"reason": "ROUTERADVERT", "interface": "eth1", **told})
    assert event.resolvers == (("advertisement", named),)


@pytest.mark.parametrize("reason, named", [
    *((reason, (("dhcp6", (R6,)),)) for reason in (
        "BOUND6", "RENEW6", "REBIND6", "REBOOT6", "INFORM6")),
    *((reason, (("dhcp6", ()),)) for reason in ("EXPIRE6", "RELEASE6", "STOP6")), ("DEPREF6", ())])
def test_whom_a_dhcp_server_of_ipv6_names(
    reason: str, named: tuple[tuple[str, tuple[str, ...]], ...]
) -> None:
    environment = {"reason": reason, "interface": "eth1", "new_dhcp6_name_servers": f"x {R6}"}
    assert is_news(environment)
    assert read_lease_event(environment) == LeaseEvent("eth1", None, False, named)


HOST = "an IPv4 address that one host can have"
OTHER = "the router's address, not the lease's own"
ROUTES = "destinations and routers (RFC 3442)"
UNICAST = "a destination of unicast addresses"


@pytest.mark.parametrize("name, text, shown, allowed", [
    *(("new_ip_address", text, text, HOST)
      for text in ("", "0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "255.255.255.255",
                   "fd00::1", "10.1.2", "10.1.2.50/24", "010.1.2.50", "$(reboot)")),
    ("new_routers", "10.1.2.1; reboot", "10.1.2.1;", HOST),
    ("new_routers", "10.1.2.1 127.0.0.1", "127.0.0.1", HOST),
    ("new_routers", "fe80::1", "fe80::1", HOST),
    ("new_routers", "10.1.2.50", "10.1.2.50", OTHER),
    (OCTETS, "33 1 2 3 4 10 1 2 8", "33 1 2 3 4 10 1 2 8", ROUTES),
    (OCTETS, "256 10 1 2 8", "256 10 1 2 8", ROUTES),
    (OCTETS, "-1 10 1 2 8", "-1 10 1 2 8", ROUTES),
    (OCTETS, "0 10 1 2 ¹", "0 10 1 2 ¹", ROUTES),
    (OCTETS, "0x0 10 1 2 8", "0x0 10 1 2 8", ROUTES),
    (OCTETS, "10.77.0.0/16 10.1.2.8", "10.77.0.0/16 10.1.2.8", ROUTES),
    (OCTETS, "0 10 1 2 50", "10.1.2.50", OTHER),
    (OCTETS, "0 127 0 0 1", "127.0.0.1", HOST),
    (OCTETS, "32 127 0 0 1 10 1 2 8", "127.0.0.1/32", UNICAST),
    (OCTETS, "8 239 10 1 2 8", "239.0.0.0/8", UNICAST),
    (OCTETS, "32 255 255 255 255 10 1 2 8", "255.255.255.255/32", UNICAST),
    (PAIRS, "10.77.0.0/16", "10.77.0.0/16", ROUTES),
    (PAIRS, "10.77.0.0 10.1.2.8", "10.77.0.0 10.1.2.8", ROUTES),
    (PAIRS, "10.77.0.0/33 10.1.2.8", "10.77.0.0/33 10.1.2.8", ROUTES),
    (PAIRS, "fd00::/8 10.1.2.8", "fd00::/8 10.1.2.8", ROUTES),
    (PAIRS, "10.77.0.0/16 fe80::1", "fe80::1", HOST),
    (PAIRS, "10.77.0.0/16 10.1.2.8;id", "10.1.2.8;id", HOST),
])
def test_a_wrong_value_is_named(name: str, text: str, shown: str, allowed: str) -> None:
    assert refusal(**{name: text}) == f"eth1: {name} '{shown}' is wrong: it must be {allowed}"


@pytest.mark.parametrize("name, text", [
    (OCTETS, "24 10 77 1 10 1 2 8 "), (PAIRS, "10.77.0.0/16 10.1.2.8 "),
    ("new_routers", "10.1.2.8 "), ("new_ip_address", "10.1.2.50 "),
])
def test_what_no_server_can_have_sent_is_refused_in_a_line(name: str, text: str) -> None:
    said = refusal(**{name: text * (100_000 // len(text))})
    assert said.startswith(f"eth1: {name} '{text}") and len(said) < 400
    assert said.endswith("is wrong: it must be of 16384 characters at the most")


def test_a_name_that_no_interface_can_have_is_refused_in_a_line() -> None:
    with pytest.raises(Problem, match="^xxxx") as raised:
        read_lease_event({"reason": "BOUND", "interface": "x" * 100_000})
    assert len(str(raised.value)) < 600


def test_sixty_four_routes_and_no_more() -> None:
    routes = [f"24 10 77 {number} 10 1 2 8" for number in range(65)]
    assert len(read(**{OCTETS: " ".join(routes[:64])}).routes) == 64
    with pytest.raises(Problem, match=f"^eth1: {OCTETS} has 65 routes: 64 at the most$"):
        read(**{OCTETS: " ".join(routes)})


@pytest.mark.parametrize("reason", ["BOUND", "RENEW", "REBIND", "REBOOT", "TIMEOUT", "INFORM"])
def test_a_lease_without_an_address_is_none(reason: str) -> None:
    environment = {"reason": reason, "interface": "eth1", "new_routers": "10.1.2.1"}
    assert is_news(environment)
    with pytest.raises(Problem, match="eth1: new_ip_address '' is wrong"):
        read_lease_event(environment)


@pytest.mark.parametrize("reason", ["EXPIRE", "FAIL", "RELEASE", "STOP", "NAK"])
def test_the_end_of_a_lease_needs_no_other_word(reason: str) -> None:
    assert read_lease_event({"reason": reason, "interface": "eth1"}) == LeaseEvent(
        "eth1", None, True)


@pytest.mark.parametrize("reason", ["BOUND", "RELEASE", "BOUND6"])
@pytest.mark.parametrize("iface", ["", "../x", "eth1/", ".", "..", "-eth1", "eth1 eth0", "a" * 16])
def test_no_other_name_of_an_interface(reason: str, iface: str) -> None:
    with pytest.raises(Problem, match=" IFACE '.*' is wrong"):
        read_lease_event({"reason": reason, "interface": iface, "new_ip_address": "10.1.2.50"})


# As ISC dhclient 4.4.3 writes it.
LEASES = r"""default-duid "\000\001\000\0012\226\377\226\232\317\\2\253\302";
lease {
  interface "eth1";
  fixed-address 10.1.2.50;
  option subnet-mask 255.255.255.0;
  option routers 10.1.2.1,10.1.2.9;
  option dhcp-lease-time 120;
  option dhcp-server-identifier 10.1.2.1;
  option host-name "a } lease { option routers 10.6.6.6;";
  renew 1 2026/11/23 13:43:53;
  expire never;
}
"""
WITH_ROUTES = LEASES.partition("\n")[2].replace(".50;", ".60;").replace(
    "  renew", "  option rfc3442-classless-static-routes 0,10,1,2,1,16,10,77,10,1,2,8;\n  renew")
FIRST = Lease("10.1.2.50", "10.1.2.1", ())
SECOND = Lease("10.1.2.60", "10.1.2.1", (("10.77.0.0/16", "10.1.2.8"),))


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which dhclient keeps the leases of eth1."""
    monkeypatch.setattr(dhclient, "_FOLDER", str(tmp_path))
    return tmp_path / "dhclient.eth1.leases"


@pytest.mark.parametrize("text, lease", [
    ("", None),
    (LEASES.partition("\n")[0] + "\n", None),
    (LEASES, FIRST),
    (LEASES + WITH_ROUTES, SECOND),
    (WITH_ROUTES + LEASES, FIRST),
])
def test_the_last_lease_that_dhclient_keeps(text: str, lease: Lease | None, kept: Path) -> None:
    kept.write_text(text)
    assert read_kept_lease("eth1") == lease


def test_without_a_file_dhclient_keeps_no_lease(kept: Path) -> None:
    assert read_kept_lease("eth1") is None


@pytest.mark.parametrize("expiry, counts", [
    ("never", True), ("epoch 4000000000", True), ("epoch 1700000000", False),
    # By db-time-format local.
    ("epoch 4000000000; # Tue Oct 02 07:06:40 2096", True),
    ("epoch 1700000000; # Tue Nov 14 22:13:20 2023", False),
    ("4 2096/01/05 12:00:00", True), ("3 2019/01/02 12:00:00", False), ("nonsense", False),
])
def test_a_lease_that_has_ended_does_not_count(kept: Path, expiry: str, counts: bool) -> None:
    end = "" if ";" in expiry else ";"
    kept.write_text(LEASES.replace("expire never;", f"expire {expiry}{end}"))
    assert read_kept_lease("eth1") == (FIRST if counts else None)


def test_a_kept_lease_has_its_resolvers(kept: Path) -> None:
    kept.write_text(LEASES.replace(
        "  renew", "  option domain-name-servers 192.0.2.53,255.255.255.255,192.0.2.54;\n"
        "  option domain-name \"example.org\";\n  renew"))
    assert read_kept_lease("eth1") == FIRST._replace(resolvers=("192.0.2.53", "192.0.2.54"))


@pytest.mark.parametrize("line", ["option;", "option", "option  ;"])
def test_an_option_without_a_name_is_none(kept: Path, line: str) -> None:
    kept.write_text(LEASES.replace("  renew", f"  {line}\n  renew"))
    assert read_kept_lease("eth1") == FIRST


def test_a_lease_that_is_half_written_does_not_count(kept: Path) -> None:
    for end in range(len(WITH_ROUTES) - 2):
        kept.write_text(LEASES + WITH_ROUTES[:end])
        assert read_kept_lease("eth1") == FIRST


def test_a_file_that_no_client_can_have_written_keeps_no_lease(kept: Path) -> None:
    kept.write_text(LEASES)
    os.truncate(kept, 1 << 40)
    assert read_kept_lease("eth1") is None
    kept.unlink()
    kept.mkdir()
    assert read_kept_lease("eth1") is None


def test_a_line_of_a_lease_ends_where_its_client_ends_it(kept: Path) -> None:
    """What a server says may hold what Unicode takes for an end."""
    said = "\N{LINE SEPARATOR}lease {\N{LINE SEPARATOR}option routers 10.6.6.6;\x0c}\x85"
    kept.write_text(LEASES.replace("a } lease", f"a {said} lease"))
    assert read_kept_lease("eth1") == FIRST


def test_a_kept_lease_that_is_wrong_is_refused(kept: Path) -> None:
    kept.write_text(LEASES.replace("routers 10.1.2.1,", "routers 10.1.2.50,"))
    with pytest.raises(Problem, match="new_routers '10.1.2.50' is wrong"):
        read_kept_lease("eth1")
