# SPDX-License-Identifier: GPL-2.0-or-later
"""How a survey is taken of a machine and its record, and what it knows."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.folder import Folder
from mptcp_hooks.base.model import Installed, Path, Stanza, Tunnel
from mptcp_hooks.engine.record import Store
from mptcp_hooks.intent.event import MANAGED
from mptcp_hooks.intent.settings import NO_CONFIGURATION, Configuration, Wishes
from mptcp_hooks.status.seen_routing import read_rule
from mptcp_hooks.status.survey import (
    DOWN, NO_CARRIER, UP, DeviceAddress, Exit, PathStatus, Survey, count_uplinks)
from mptcp_hooks.status.take_survey import take_survey
from tests.unit.canned import CannedMachine
from tests.unit.help import ROOT

BARE, GOOD = ((ROOT / "tests/cases/status" / case / "machine.txt").read_text()
              for case in ("no-path", "all-good"))
PATH = Path(
    iface="eth1", device="eth1", ifindex=3, family=4, address="10.1.2.2", subnet="10.1.2.0/24",
    gateway="10.1.2.1", onlink=False, default=True, table=20003, primary=True, endpoint=True,
    flags=("subflow",))
ETH0, ETH1 = (Stanza((f"IFACE={name}", "ADDRFAM=inet", "METHOD=dhcp"), ())
              for name in ("eth0", "eth1"))
Look = dict[str, Stanza | tuple[Stanza, ...] | Problem]


class FakeStore(Store):
    """A record that has these stanzas at the first question, those at the next, and so on."""

    def __init__(self, *looks: Look) -> None:
        super().__init__(Folder("/run/mptcp-hooks", None))
        self.looks = list(looks)
        self.questions = 0
        self.tunnels: tuple[Tunnel, ...] = ()

    def list_interfaces(self) -> list[str]:
        self.now = self.looks[min(self.questions, len(self.looks) - 1)]
        self.questions += 1
        return sorted(self.now)

    def load(self, iface: str) -> tuple[Stanza, ...]:
        answer = self.now[iface]
        if isinstance(answer, Problem):
            raise answer
        return (answer,) if isinstance(answer, Stanza) else answer

    def load_tunnels(self) -> tuple[Tunnel, ...]:
        return self.tunnels


def survey(text: str, *looks: Look) -> Survey:
    return take_survey(CannedMachine(text), FakeStore(*(looks or ({},))))


def change_eth0(**changes: Any) -> str:
    """The machine of the case, whose eth0 shows something else."""
    def replace(match: re.Match[str]) -> str:
        devices = json.loads(match[0])
        (eth0,) = [device for device in devices if device["ifname"] == "eth0"]
        eth0.update(changes)
        return json.dumps(devices)

    return re.sub(r"(?<=\$ ip -j -s address\n).*", replace, BARE)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it waited between its looks."""
    found: list[float] = []
    monkeypatch.setattr("mptcp_hooks.status.take_survey.sleep", found.append)
    return found


def test_a_record_that_stands_still_is_looked_at_once(slept: list[float]) -> None:
    store = FakeStore({"eth0": ETH0})
    found = take_survey(CannedMachine(BARE), store)
    assert (found.stanzas, slept, store.questions) == ((("eth0", ETH0),), [], 2)


@pytest.mark.parametrize(("family", "device", "kept"), [
    (4, "wg0", True), (6, "wg0", False), (4, "eth1", False)])
def test_a_tunnel_matters_beside_a_path_of_its_family(
    slept: list[float], family: int, device: str, kept: bool
) -> None:
    """A monitor notes it before there is any; and an uplink is none."""
    store = FakeStore({"eth1": make_eth1("")})
    store.tunnels = (Tunnel(family, device),)
    assert take_survey(CannedMachine(GOOD), store).kept_to == store.tunnels * kept


def test_a_record_that_changes_meanwhile_is_looked_at_again(slept: list[float]) -> None:
    """The paths are those of the last record, not of a mixture."""
    found = survey(BARE, {"eth0": ETH0}, {"eth0": ETH0, "eth1": ETH1}, {"eth1": ETH1})
    assert found.stanzas == (("eth1", ETH1),)
    assert [path.interface for path in found.paths] == ["eth1"]
    assert len(slept) == 2


def test_a_record_that_never_stands_still_is_not_waited_for_without_end(
    slept: list[float]
) -> None:
    looks: list[Look] = [{"eth0": ETH0}, {"eth1": ETH1}]
    assert survey(BARE, *looks * 50).stanzas
    assert sum(slept) < 1


def make_eth1(kernel: str) -> Stanza:
    """A stanza with a path, and what the kernel held of that when it was made."""
    return ETH1._replace(paths=(Installed(PATH, (), (), kernel),))


def test_a_hook_that_is_at_work_is_waited_for(slept: list[float]) -> None:
    """It has said what it will make, and not yet that it did."""
    found = survey(GOOD, {"eth1": make_eth1("")}, {"eth1": make_eth1("whole")})
    (path,) = [path for path in found.paths if path.installed]
    assert path.installed is not None and path.installed.kernel == "whole"
    assert len(slept) == 1


def test_a_hook_that_was_killed_is_not_waited_for_without_end(slept: list[float]) -> None:
    assert survey(GOOD, {"eth1": make_eth1("")}).stanzas
    assert 0 < sum(slept) < 1


@pytest.mark.parametrize(("method", "families"), [("dhcp", [4, 6]), (MANAGED, [4])])
def test_who_named_a_device_in_the_configuration_did_not_promise_both_families(
    method: str, families: list[int]
) -> None:
    other = Stanza(("IFACE=eth1", "ADDRFAM=inet6", f"METHOD={method}"), ())
    found = survey(GOOD, {"eth1": (make_eth1("whole"), other)})
    assert [path.family for path in found.paths if path.interface == "eth1"] == families


def test_a_record_that_is_refused_is_told_of_and_costs_no_other(slept: list[float]) -> None:
    refusal = "eth0.paths is not a file of root's own: remove it"
    found = survey(BARE, {"eth0": Problem(refusal), "eth1": ETH1})
    assert found.damaged == (("eth0", refusal),)
    assert found.stanzas == (("eth1", ETH1),)


@pytest.mark.parametrize(("flags", "link"), [
    ([], DOWN), (["NO-CARRIER"], DOWN), (["NO-CARRIER", "UP"], NO_CARRIER),
    (["UP", "LOWER_UP"], UP), (["POINTOPOINT", "UP"], UP),
])
def test_links(flags: list[str], link: str) -> None:
    device = survey(change_eth0(flags=flags)).find_device("eth0")
    assert device is not None and device.link == link


@pytest.mark.parametrize(("row", "address"), [
    ({"family": "inet", "local": "10.1.1.2", "prefixlen": 24},
     DeviceAddress(4, "10.1.1.2", 24, True)),
    # On a point-to-point link the peer's address stands beside it.
    ({"family": "inet", "local": "10.1.1.2", "address": "10.9.9.9", "prefixlen": 32},
     DeviceAddress(4, "10.1.1.2", 32, True)),
    ({"family": "inet6", "local": "2001:db8::2", "prefixlen": 64},
     DeviceAddress(6, "2001:db8::2", 64, True)),
    *(({"family": "inet6", "local": "2001:db8::2", "prefixlen": 64, state: True},
       DeviceAddress(6, "2001:db8::2", 64, False))
      for state in ("tentative", "dadfailed", "deprecated", "temporary")),
    ({"family": "inet6", "local": "fe80::2", "prefixlen": 64},
     DeviceAddress(6, "fe80::2", 64, False)),
    ({"family": "inet", "local": "127.0.0.2", "prefixlen": 8},
     DeviceAddress(4, "127.0.0.2", 8, False)),
])
def test_addresses(row: dict[str, Any], address: DeviceAddress) -> None:
    device = survey(change_eth0(addr_info=[row, {}])).find_device("eth0")
    assert device is not None and device.addresses == (address,)


def test_an_address_of_another_family_is_none_of_ours() -> None:
    row = {"family": "mctp", "local": "8", "prefixlen": 8}
    device = survey(change_eth0(addr_info=[row])).find_device("eth0")
    assert device is not None and device.addresses == ()


@pytest.mark.parametrize(("of_all", "of_it", "strict"), [
    ("0", "0", False), ("1", "0", True), ("0", "1", True), ("2", "1", False), ("", "1", True)])
def test_the_larger_setting_counts(of_all: str, of_it: str, strict: bool) -> None:
    """ip-sysctl.rst; 2 is the loose mode."""
    text = BARE
    for scope, value in (("all", of_all), ("eth0", of_it)):
        text = re.sub(rf"(\$ cat /proc/sys/net/ipv4/conf/{scope}/rp_filter\n).*", rf"\g<1>{value}",
                      text)
    device = survey(text).find_device("eth0")
    assert device is not None and device.strict == strict


@pytest.mark.parametrize(("state", "managed"), [
    ("", False), ("[device]\nmanaged=true\n", True), ("[device]\nmanaged=full\n", True),
    ("[device]\nmanaged=unmanaged\n", False), ("managed=true-ish\n", False)])
def test_what_networkmanager_manages(state: str, managed: bool) -> None:
    question = "$ cat /run/NetworkManager/devices/2\n"
    assert question in BARE
    device = survey(BARE.replace(question, question + state)).find_device("eth0")
    assert device is not None and device.network_manager == managed


def test_endpoints_whose_device_is_gone() -> None:
    """`ip` shows it by its number; one that is of no device is another thing."""
    rows = [{"id": 1, "address": "10.1.1.2", "dev": "if7", "subflow": True},
            {"id": 2, "address": "10.1.1.3", "signal": True, "port": 8080},
            {"id": 3, "address": "10.1.1.4", "dev": "eth1", "backup": True, "subflow": True}]
    question = "$ ip -j mptcp endpoint\n"
    found = survey(BARE.replace(f"{question}[]", question + json.dumps(rows))).endpoints
    assert [(one.device, one.port, one.flags) for one in found or ()] == [
        (-1, 0, ("subflow",)), (0, 8080, ("signal",)), (3, 0, ("subflow", "backup"))]


def make_status(device: str, gateway: str, **changes: Any) -> PathStatus:
    path = PATH._replace(device=device, gateway=gateway, **changes)
    return PathStatus(device, device, UP, path.family, path.address, 24, gateway, path.table, None,
                      Exit("", "", ""), Installed(path, (), (), ""))


A, B, SIX = "10.1.1.1", "10.1.2.1", "fe80::1"


@pytest.mark.parametrize("paths, number", [
    ([], 0), ([make_status("eth0", A)], 1), ([make_status("ppp0", "")], 1),
    ([make_status("eth0", A), make_status("eth1", A)], 2),
    ([make_status("eth0", A), make_status("eth0", SIX, family=6)], 1),
    ([make_status("eth0", A), make_status("eth1", SIX, family=6)], 2),
    ([make_status("eth0", A), make_status("eth0", B, primary=False)], 2),
    ([make_status("eth0", A), make_status("eth0", A, primary=False)], 1),
    ([make_status("eth0", A), make_status("eth0", B, primary=False, endpoint=False)], 1),
    ([make_status("eth0", A)._replace(installed=None)], 0),
])
def test_how_many_ways_there_are(paths: list[PathStatus], number: int) -> None:
    assert count_uplinks(paths) == number


def test_an_interface_that_the_configuration_leaves_alone_is_excluded(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = NO_CONFIGURATION._replace(wishes=(Wishes("eth1", excluded=True),))
    problem = Problem("mptcp-hooks.conf:7: there is no key 'tabel' here")

    def read(machine: CannedMachine) -> tuple[Configuration, list[Problem]]:
        return configuration, [problem]

    monkeypatch.setattr(CannedMachine, "read_configuration", read)
    found = survey(BARE, {"eth0": ETH0, "eth1": ETH1})
    assert found.excluded == {"eth1": "/etc/mptcp-hooks/mptcp-hooks.conf excludes it"}
    assert found.mistakes == (str(problem),)


def test_a_stanza_without_paths_has_the_addresses_that_might_have_one() -> None:
    """Those that may be a source; without any of them its family stands alone."""
    rows = [{"family": "inet", "local": f"10.1.1.{host}", "prefixlen": 24} for host in (2, 3)]
    rows += [{"family": "inet6", "local": "2001:db8::2", "prefixlen": 64}]
    found = survey(change_eth0(addr_info=rows, flags=["UP"]), {"eth0": ETH0})
    assert [(path.family, path.address, path.link) for path in found.paths] == [
        (4, "10.1.1.2", UP), (4, "10.1.1.3", UP)]
    found = survey(change_eth0(addr_info=rows[2:]), {"eth0": ETH0})
    assert [(path.family, path.address, path.link) for path in found.paths] == [(4, "", DOWN)]


def test_devices_are_known_by_name_and_by_number() -> None:
    found = survey(BARE)
    assert [found.name_of(number) for number in (2, 3, 9)] == ["eth0", "eth1", "9"]
    assert found.find_device("nosuch") is None


@pytest.mark.parametrize(("endpoints", "present", "unseen"), [
    (None, True, ("endpoints (only root may see them)",)), ((), True, ()), (None, False, ())])
def test_endpoints_that_there_are_and_that_are_not_shown(
    endpoints: tuple[()] | None, present: bool, unseen: tuple[str, ...]
) -> None:
    found = survey(BARE)
    found = found._replace(endpoints=endpoints, kernel=found.kernel._replace(present=present))
    assert found.unseen == unseen


ROW = {"priority": 1, "src": "all", "table": "9"}


@pytest.mark.parametrize(("family", "row", "held"), [
    (4, ROW | {"src": "10.1.2.2"}, True), (4, ROW | {"oif": "eth1"}, True),
    (4, ROW | {"table": "20003"}, True), (4, ROW, False), (4, ROW | {"oif": "eth10"}, False),
    (4, ROW | {"src": "10.1.2.0", "srclen": 24}, False), (6, ROW | {"oif": "eth1"}, False),
])
def test_rules_of_a_path_name_its_address_its_device_or_its_table(
    family: int, row: dict[str, Any], held: bool
) -> None:
    """As the record has them."""
    rule = read_rule(family, row)
    assert survey(BARE)._replace(rules=(rule,)).read_use(PATH).rules == (rule.rule,) * held
