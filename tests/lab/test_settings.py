# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp-hooks.conf with the real ifup: whose settings count, and what a change of them does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.lab.support.faults import break_ip, kill_after, mend_ip
from tests.lab.support.lab import TWO_UPLINKS, Lab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import BOTH, MEGABYTE, RULES, check_both_paths, rules_of_uplinks
from tests.lab.support.provider import Provider
from tests.lab.support.uplink import ETH1, down, up
from tests.lab.support.waiting import wait_for

CONFIGURATION = "/etc/mptcp-hooks/mptcp-hooks.conf"
BACKUP = "[eth1]\nflags = subflow backup\n"
MARKED = ["10.1.1.2 eth0 subflow", "10.1.2.2 eth1 subflow backup"]
_HEARD = "/run/heard"


@pytest.fixture
def uplinks(lab: Lab) -> Lab:
    """Two stanzas, neither of them with an option of ours but eth1's gateway in main."""
    lab.set_interfaces(TWO_UPLINKS.replace("mptcp-gateway 10.1.2.1",
                                           "gateway 10.1.2.1\n    metric 200"))
    return lab


def configure(lab: Lab, text: str) -> None:
    lab.write(CONFIGURATION, text)


def reload(lab: Lab, monitor: Monitor, text: str) -> None:
    """Change the file, and wait until the monitor has heeded it."""
    configure(lab, text)
    monitor.reload()


def find_gateways(lab: Lab, table: int) -> list[str]:
    """The gateways of the default routes in a table."""
    words = [line.split() for line in lab.table(table)]
    return [line[2] for line in words if line[:2] == ["default", "via"]]


def tables_of(lab: Lab) -> set[str]:
    return {rule.split("lookup ")[1].split()[0] for rule in lab.rules()} - {"main"}


class Listener:
    """What the kernel announces of our rules and routes."""

    def __init__(self, lab: Lab) -> None:
        self._client = lab.client
        self._client.start("sh", "-c", f"exec ip monitor rule route >{_HEARD}")
        self._mark(900)

    def finish(self) -> list[str]:
        """All that was announced so far."""
        self._mark(901)
        return [line for line in self._read().splitlines() if "proto mptcp" in line]

    def _mark(self, table: int) -> None:
        """Make something that it hears, until it does."""
        def mark() -> bool:
            self._client.ip(f"rule add pref 5 lookup {table}", "rule del pref 5")
            return f"lookup {table}" in self._read()

        wait_for(mark)

    def _read(self) -> str:
        return self._client.try_run("cat", _HEARD).stdout


def test_sections_give_a_plain_stanza_its_settings(uplinks: Lab) -> None:
    before = uplinks.snapshot()
    configure(uplinks, "[default]\nflags = subflow fullmesh\n"
                       "[eth1]\nflags = subflow backup\ntable = 505\n"
                       "gateway = 10.1.2.254 fd00::1\n")
    assert uplinks.ifup("-a") == ""
    assert uplinks.endpoints() == ["10.1.1.2 eth0 subflow fullmesh", MARKED[1]]
    assert find_gateways(uplinks, 505) == ["10.1.2.254"]
    assert tables_of(uplinks) == {"505", str(20000 + uplinks.ifindex("eth0"))}
    uplinks.ifdown("-a")
    assert uplinks.snapshot() == before


def test_a_stanza_outweighs_its_section(link: Lab) -> None:
    configure(link, BACKUP + "table = 505\n")
    up(link, IF_MPTCP_FLAGS="signal", IF_MPTCP_TABLE="606")
    assert link.endpoints() == ["10.1.2.2 eth1 signal"] and tables_of(link) == {"606"}


def test_a_gateway_makes_an_uplink_of_a_lan(link: Lab) -> None:
    configure(link, "[eth*]\ngateway = 10.1.2.1\n")
    assert up(link, IF_GATEWAY="") == ""
    assert find_gateways(link, 20000 + link.ifindex("eth1")) == ["10.1.2.1"]
    assert link.endpoints() == BOTH[1:]


def test_a_gateway_that_is_the_interfaces_own_address_is_said_and_ignored(link: Lab) -> None:
    configure(link, "[eth1]\ngateway = 10.1.2.2\n")
    assert up(link) == ("mptcp_up: eth1: 10.1.2.2 is the interface's own address, not its gateway: "
                        "ignored as such\n")
    assert find_gateways(link, 20000 + link.ifindex("eth1")) == ["10.1.2.1"]


def test_an_alias_has_the_settings_of_its_device_but_not_its_table(link: Lab) -> None:
    configure(link, BACKUP + "table = 505\n")
    link.client.ip("addr add 10.1.2.3/24 dev eth1 label eth1:1")
    assert up(link) == ""
    assert up(link, IFACE="eth1:1", IF_ADDRESS="10.1.2.3") == ""
    assert link.endpoints() == [MARKED[1], "10.1.2.3 eth1 subflow backup"]
    assert tables_of(link) == {"505", str(20000 + link.ifindex("eth1"))}


def test_a_global_address_takes_over_what_a_section_has_for_the_first_one(link: Lab) -> None:
    configure(link, "[eth1]\ntable = 505\nmark = 1\nsources = 2001:db8:9::/64\n"
                    "announce = 3fff::10\n")
    link.client.ip("-6 addr add fd00:2::2/64 dev eth1 nodad",
                   "-6 addr add 2001:db8:2::2/64 dev eth1 nodad")
    before = link.snapshot()
    for subnet in ("fd00:2::", "2001:db8:2::"):
        assert up(link, ADDRFAM="inet6", IF_ADDRESS=f"{subnet}2", IF_NETMASK="64",
                  IF_GATEWAY=f"{subnet}1") == ""
    assert link.endpoints() == ["2001:db8:2::2 eth1 subflow", "3fff::10 - signal"]
    other = 20000 + link.ifindex("eth1")
    for table, subnet in ((505, "2001:db8:2::"), (other, "fd00:2::")):
        routes = link.table(table, 6)
        assert len(routes) == 3 and all(f"src {subnet}2 " in line or "unreachable" in line
                                        for line in routes)
        assert f"via {subnet}1 " in link.client.run(
            "ip", "-6", "route", "get", "2001:db8::1", "from", f"{subnet}2")
    assert " table 505 " in link.client.run("ip", "-6", "route", "get", "2001:db8::1", "mark", "1")
    assert [rule for rule in link.rules(6) if "from 2001:db8:9::/64 lookup 505" in rule]
    assert not [rule for rule in link.rules(6) if "fwmark" in rule and f"lookup {other}" in rule]
    assert down(link) == "" and link.snapshot() == before


def test_what_is_excluded_is_left_alone_unless_its_stanza_speaks(link: Lab) -> None:
    before = link.snapshot()
    configure(link, "[default]\nexclude = eth*\n")
    assert up(link) == "" and link.snapshot() == before
    assert link.client.run("ls", "/run") == "network\n"
    assert up(link, IF_MPTCP="yes") == "" and link.endpoints() == BOTH[1:]
    assert down(link) == "" and link.snapshot() == before


@pytest.mark.parametrize("text", ["[tun*]\nexclude = no\n", "[default]\nmanage = tun0\n"])
def test_a_name_of_the_built_in_list_can_be_meant(lab: Lab, text: str) -> None:
    lab.client.ip("link add tun0 type veth peer name tun1", "link set tun0 up",
                  "addr add 10.1.2.2/24 dev tun0")
    lab.client.ip("route add default via 10.1.2.1 dev tun0")
    assert up(lab, IFACE="tun0", IF_GATEWAY="") == "" and lab.rules() == []
    configure(lab, text)
    assert up(lab, IFACE="tun0", IF_GATEWAY="") == ""
    assert lab.endpoints() == ["10.1.2.2 tun0 subflow"]


def test_one_table_for_two_interfaces_is_refused_for_the_second(uplinks: Lab) -> None:
    configure(uplinks, "[default]\nmanage = eth*\n[eth*]\ntable = 505\n")
    said = uplinks.ifup("-a")
    assert said.startswith("mptcp_up: eth1: table 505 is in use by ")
    assert said.endswith("give it another mptcp-table, or table in mptcp-hooks.conf\n")
    assert uplinks.endpoints() == BOTH[:1]
    uplinks.client.run("mptcp_down", "--all")
    uplinks.client.run("rm", "-r", "/run/mptcp-hooks")
    # Both in one work, of which the kernel knows nothing yet.
    done = uplinks.client.try_run("mptcp_up", "eth0", "eth1")
    assert (done.returncode, done.stderr) == (1, (
        "mptcp_up: eth1: table 505 is in use by 10.1.1.2 of eth0: give it another mptcp-table, "
        "or table in mptcp-hooks.conf\n"))
    assert uplinks.endpoints() == BOTH[:1]


def moves_of_way_out(lab: Lab, *flags: str) -> list[str]:
    """What is announced where eth1's endpoint gets each of these flags, alone, after the other."""
    rules = {"": "32768:\tfrom all lookup {} proto mptcp", "backup": "32769:\tfrom all lookup {} "
             "proto mptcp"}
    table = 20000 + lab.ifindex("eth1")
    return [line.format(table) for old, new in zip(flags, flags[1:])
            for line in (rules[new], "Deleted " + rules[old])]


def again_by_hook(lab: Lab) -> None:
    assert lab.run_hook("if-up.d", ETH1).stderr == ""


def again_by_hand(lab: Lab) -> None:
    assert lab.client.run("mptcp_up", "--all") == ""


@pytest.mark.parametrize("again", [again_by_hook, again_by_hand])
def test_changed_flags_remake_the_endpoint_alone(
    uplinks: Lab, again: Callable[[Lab], None]
) -> None:
    uplinks.ifup("-a")
    full = uplinks.snapshot()
    listener = Listener(uplinks)
    configure(uplinks, BACKUP)
    again(uplinks)
    assert uplinks.endpoints() == MARKED
    uplinks.client.run("rm", CONFIGURATION)
    again(uplinks)
    assert uplinks.snapshot() == full
    assert listener.finish() == moves_of_way_out(uplinks, "", "backup", "")


def test_a_changed_stanza_remakes_the_endpoint_alone(uplinks: Lab) -> None:
    uplinks.ifup("-a")
    listener = Listener(uplinks)
    uplinks.set_interfaces(uplinks.read("/etc/network/interfaces")
                           + "    mptcp-flags subflow backup\n")
    uplinks.client.run("mptcp_up", "eth1")
    assert uplinks.endpoints() == MARKED
    assert listener.finish() == moves_of_way_out(uplinks, "", "backup")


def test_a_path_that_moves_to_another_table_always_has_one(uplinks: Lab) -> None:
    uplinks.ifup("-a")
    listener = Listener(uplinks)
    configure(uplinks, "[eth1]\ntable = 505\n")
    again_by_hook(uplinks)
    gone = [line.startswith("Deleted") for line in listener.finish()]
    assert gone == sorted(gone) and set(gone) == {True, False}


def test_a_move_that_fails_leaves_all_as_it_was(uplinks: Lab) -> None:
    uplinks.ifup("-a")
    before = uplinks.snapshot()
    configure(uplinks, "[eth1]\ntable = 505\n")
    break_ip(uplinks, "rule add pref 20002 from 10.1.2.2 lookup 505")
    done = uplinks.client.try_run("mptcp_up", "--all")
    mend_ip(uplinks)
    assert done.returncode == 1 and "Cannot allocate memory" in done.stderr
    assert uplinks.snapshot() == before
    again_by_hand(uplinks)
    assert "505" in tables_of(uplinks)


def test_what_a_move_could_not_take_away_goes_with_the_next_work(uplinks: Lab) -> None:
    before = uplinks.snapshot()
    uplinks.ifup("-a")
    old = str(20000 + uplinks.ifindex("eth1"))
    configure(uplinks, "[eth1]\ntable = 505\n")
    break_ip(uplinks, "rule del pref 20002")
    done = uplinks.client.try_run("mptcp_up", "--all")
    mend_ip(uplinks)
    assert done.returncode == 1 and "Cannot allocate memory" in done.stderr
    assert {"505", old} < tables_of(uplinks)
    again_by_hand(uplinks)
    full = uplinks.snapshot()
    assert "505" in tables_of(uplinks) and old not in tables_of(uplinks)
    again_by_hand(uplinks)
    assert uplinks.snapshot() == full and uplinks.endpoints() == BOTH
    uplinks.ifdown("-a")
    assert uplinks.snapshot() == before


@pytest.mark.parametrize("count", [1, 4, 8])
@pytest.mark.parametrize("completed", [True, False])
def test_a_move_that_was_cut_off_leaves_nothing(link: Lab, count: int, completed: bool) -> None:
    before = link.snapshot()
    up(link)
    configure(link, "[eth1]\ntable = 505\n")
    kill_after(link, count)
    done = link.run_hook("if-up.d", ETH1)
    assert done.returncode == 0 and "python3 ended with 137" in done.stderr
    mend_ip(link)
    if completed:
        assert up(link) == "" and tables_of(link) == {"505"} and len(link.rules()) == RULES
        assert link.table(20000 + link.ifindex("eth1")) == [] and link.endpoints() == BOTH[1:]
    assert down(link) == "" and link.snapshot() == before


def test_a_changed_table_moves_the_routing_and_keeps_the_endpoint(uplinks: Lab) -> None:
    uplinks.ifup("-a")
    before = uplinks.client.ask("mptcp", "endpoint")
    transfer = uplinks.begin_transfer(8 * MEGABYTE)
    wait_for(lambda: min(uplinks.count_sent()) > MEGABYTE)
    configure(uplinks, "[eth1]\ntable = 505\n")
    again_by_hook(uplinks)
    assert transfer.finish().whole
    assert uplinks.client.ask("mptcp", "endpoint") == before
    assert uplinks.table(20000 + uplinks.ifindex("eth1")) == []
    assert tables_of(uplinks) == {"505", str(20000 + uplinks.ifindex("eth0"))}
    check_both_paths(uplinks)


def test_the_monitor_applies_what_changed(uplinks: Lab) -> None:
    uplinks.ifup("-a")
    full = uplinks.snapshot()
    monitor = Monitor(uplinks)
    lines = len(monitor.read_log())
    listener = Listener(uplinks)
    reload(uplinks, monitor, BACKUP)
    identity = "[#] ip mptcp endpoint delete id "
    said = [line if not line.startswith(identity) else identity
            for line in monitor.read_log()[lines:] if not line.startswith("[#] ip -4 r")]
    # A batch stops at what stands already, and the rest of its lines is shown again.
    assert list(dict.fromkeys(said)) == [
        identity, "[#] ip mptcp endpoint add 10.1.2.2 dev eth1 subflow backup"]
    assert listener.finish() == moves_of_way_out(uplinks, "", "backup")
    reload(uplinks, monitor, "[eth1]\nexclude = yes\n")
    assert uplinks.endpoints() == BOTH[:1]
    assert sorted(uplinks.rules()) == rules_of_uplinks(uplinks, 0)
    reload(uplinks, monitor, "")
    assert uplinks.snapshot() == full


def test_a_reload_takes_in_what_was_excluded_when_it_came_up(uplinks: Lab) -> None:
    configure(uplinks, "[default]\nexclude = eth1\n")
    monitor = Monitor(uplinks)
    uplinks.ifup("-a")
    monitor.rest()
    assert uplinks.endpoints() == BOTH[:1]
    reload(uplinks, monitor, "")
    assert uplinks.endpoints() == BOTH


def test_what_was_excluded_for_a_while_comes_back(link: Lab) -> None:
    """Also an interface that ifupdown knows nothing of: what was told of it is kept."""
    up(link)
    full = link.snapshot()
    monitor = Monitor(link)
    reload(link, monitor, "[eth1]\nexclude = yes\n")
    assert link.rules() == link.endpoints() == []
    reload(link, monitor, "")
    assert link.snapshot() == full


def test_what_is_excluded_is_not_managed(link: Lab) -> None:
    link.client.ip("route add default via 10.1.2.1 dev eth1")
    configure(link, "[default]\nmanage = eth1\n")
    monitor = Monitor(link)
    assert link.endpoints() == BOTH[1:]
    reload(link, monitor, "[default]\nmanage = eth1\nexclude = eth1\n")
    assert link.rules() == [] and link.client.run("ls", "/run/mptcp-hooks") == ""
    reload(link, monitor, "[eth1]\nmanage = yes\nflags = subflow backup\n")
    assert link.endpoints() == MARKED[1:]


def test_a_wrong_line_is_said_once_an_ifup_and_costs_only_itself(uplinks: Lab) -> None:
    configure(uplinks, BACKUP + "table = 0\n")
    wrong = (f"mptcp_up: {CONFIGURATION}:3: table '0' is wrong: it must be a number from 1 to "
             "4294967295, or a name that rt_tables has\n")
    assert uplinks.ifup("eth1") == wrong
    assert uplinks.endpoints() == MARKED[1:]
    done = uplinks.client.try_run("mptcp_up", "eth1")
    assert (done.returncode, done.stderr) == (2, wrong)
    assert uplinks.ifdown("eth1") == ""
    assert uplinks.ifup("lo") == "" and uplinks.rules() == []


def test_nobodys_interface_hears_nothing_of_a_wrong_line(link: Lab) -> None:
    configure(link, "[default]\nexclude = eth1\nfast = yes\n")
    assert up(link) == "" and up(link, IFACE="docker0", IF_GATEWAY="") == ""
    assert up(link, IFACE="--all", ADDRFAM="meta") == "" and up(link, IFACE="lo") == ""
    assert f"{CONFIGURATION}:3: there is no key 'fast'" in up(link, IF_MPTCP="yes")


def test_leases_have_the_settings_of_the_file(dhclient_lab: tuple[Lab, Provider, Provider]) -> None:
    lab, _, provider = dhclient_lab
    provider.serve_dhcp(renew=3)
    configure(lab, BACKUP + "table = 505\ntabel = 606\n")
    lab.set_interfaces("iface eth1 inet dhcp\n")
    said = [line for line in lab.ifup("eth1").splitlines() if line.startswith("mptcp")]
    assert len(said) == 1 and said[0].startswith(f"mptcp_up: {CONFIGURATION}:4: there is no key")
    assert lab.endpoints() == ["10.1.2.50 eth1 subflow backup"]
    assert find_gateways(lab, 505) == ["10.1.2.1"]
    # The next lease brings what changed, and another gateway.
    configure(lab, "[eth1]\ntable = 505\n")
    provider.serve_dhcp(renew=3, gateway="10.1.2.254")
    wait_for(lambda: find_gateways(lab, 505) == ["10.1.2.254"])
    wait_for(lambda: lab.endpoints() == ["10.1.2.50 eth1 subflow"])
