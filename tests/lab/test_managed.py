# SPDX-License-Identifier: GPL-2.0-or-later
"""Interfaces that no hook announces: the configuration names them, the monitor sets them up."""

from __future__ import annotations

import signal

import pytest

from tests.lab.support.lab import Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.managers import ConnMan, Networkd
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import (
    BOTH,
    RULES,
    check_both_paths,
    flush,
    plug,
    pull,
    rules_of_uplinks,
)
from tests.lab.support.provider import SERVICES, Provider, addresses
from tests.lab.support.status import find
from tests.lab.support.waiting import wait_for, wait_for_addresses

CONFIGURATION = "/etc/mptcp-hooks/mptcp-hooks.conf"
EVERY_ETH = "[default]\nmanage = eth*\n"
WRONG = {
    "[default]\nmanage = eth*\nmanaged = eth*\n": "3: there is no key 'managed' here: ignored",
    "[default]\nmanage = eth1 eth0/\n": "2: manage: 'eth0/' is no pattern of interface names",
    "[default]\nmanag = eth*\n": "2: there is no key 'manag' here: ignored",
    "manage = eth*\n": "1: 'manage = eth*' stands before any [section]",
    "[default]\nmanage = eth1\nmanage = eth*\n": "3: manage is there already, in line 2",
}
GIVEN_UP = [f"mptcp_monitor: {name}: another program keeps removing its rules or routes: not "
            "restored until its link or an address of it changes"
            for name in ("eth0", "eth1")]
# An `ip` whose rules are gone before anybody can look at them.
FLUSHED_AT_ONCE = """\
#!/bin/sh
/run/ip "$@"
status=$?
case "$*" in *-batch*) /run/ip rule flush protocol 77;; esac
exit $status
"""
# More often than the monitor looks, and not so often that it could do nothing else.
FLUSHED_AGAIN_AND_AGAIN = """\
while ip rule flush protocol 77; do sleep 0.02; done
"""


@pytest.fixture
def person(lab: Lab) -> Lab:
    """A lab whose client is set up by hand, with the configuration that names eth*."""
    lab.write(CONFIGURATION, EVERY_ETH)
    return lab


@pytest.fixture
def managers_lab(make_lab: MakeLab) -> Lab:
    """The same with systemd-networkd and ConnMan there, neither running."""
    lab = make_lab("systemd", "dbus", "connman", without=("udev",), routers=SERVICES)
    lab.write(CONFIGURATION, EVERY_ETH)
    return lab


def set_up(lab: Lab, number: int) -> None:
    """What a person types to have an uplink."""
    device = f"eth{number - 1}"
    lab.client.ip(f"link set {device} up", f"addr add 10.1.{number}.2/24 dev {device}",
                  f"route add default via 10.1.{number}.1 dev {device} metric {number}00")


def tables_of(lab: Lab) -> list[str]:
    """The default routes in the tables of both uplinks, as `DEVICE GATEWAY ADDRESS`."""
    found = [line.split() for device in ("eth0", "eth1")
             for line in lab.table(20000 + lab.ifindex(device))]
    return [f"{words[4]} {words[2]} {words[-1]}" for words in found if words[0] == "default"]


def wait_for_both(lab: Lab) -> None:
    wait_for(lambda: tables_of(lab) == ["eth0 10.1.1.1 10.1.1.2", "eth1 10.1.2.1 10.1.2.2"])
    wait_for(lambda: lab.endpoints() == BOTH)
    assert sorted(lab.rules()) == rules_of_uplinks(lab, 0, 1)


def save(lab: Lab, text: str) -> None:
    """Replace the configuration at once: a round that is under way reads the old or the new."""
    lab.write(f"{CONFIGURATION}.new", text)
    lab.client.run("mv", f"{CONFIGURATION}.new", CONFIGURATION)


def configure(lab: Lab, monitor: Monitor, text: str) -> None:
    """Change the configuration, and wait until the monitor has heeded it."""
    save(lab, text)
    monitor.reload()


def test_what_a_person_sets_up_by_hand(person: Lab) -> None:
    before = person.snapshot()
    monitor = Monitor(person)
    for number in (1, 2):
        set_up(person, number)
    wait_for_both(person)
    check_both_paths(person)
    # A path that leads nowhere is none: without a gateway this is a LAN.
    person.client.ip("route del default dev eth1")
    wait_for(lambda: person.endpoints() == BOTH[:1])
    person.client.ip("addr del 10.1.1.2/24 dev eth0")
    wait_for(lambda: person.snapshot() == before)
    monitor.rest()
    assert person.rules() == []


def test_what_is_up_already_is_taken_in_at_the_start(person: Lab) -> None:
    for number in (1, 2):
        set_up(person, number)
    Monitor(person)
    wait_for_both(person)


def test_the_status_of_what_the_file_names(person: Lab) -> None:
    """A device that is not in use breaks nothing, and a network without IPv6 is no trouble."""
    Monitor(person)
    set_up(person, 1)
    wait_for(lambda: find(person) == (("note", "one-uplink", None), ("note", "down", "eth1")))
    set_up(person, 2)
    wait_for_both(person)
    assert find(person) == ()
    pull(person, 1)
    wait_for(lambda: find(person) == (("broken", "no-carrier", "eth1"),))


def test_what_no_pattern_names_is_left_alone(person: Lab) -> None:
    person.write(CONFIGURATION, "[default]\nmanage = wwan* eth0\n")
    monitor = Monitor(person)
    for number in (1, 2):
        set_up(person, number)
    wait_for(lambda: person.endpoints() == BOTH[:1])
    monitor.rest()
    assert sorted(person.rules()) == rules_of_uplinks(person, 0)
    assert monitor.read_log()[-1:] == ["[#] ip mptcp endpoint add 10.1.1.2 dev eth0 subflow"]


def test_a_pattern_that_is_taken_away_takes_what_it_made(person: Lab) -> None:
    before = person.snapshot()
    monitor = Monitor(person)
    for number in (1, 2):
        set_up(person, number)
    wait_for_both(person)
    configure(person, monitor, "[default]\nmanage = eth1\n")
    assert person.endpoints() == BOTH[1:]
    assert sorted(person.rules()) == rules_of_uplinks(person, 1)
    person.client.run("rm", CONFIGURATION)
    monitor.signal(signal.SIGHUP)
    wait_for(lambda: person.snapshot() == before)
    monitor.rest()
    assert person.client.run("ls", "/run/mptcp-hooks") == ""


def test_a_wrong_configuration_is_one_line_and_loses_nothing(person: Lab) -> None:
    for number in (1, 2):
        set_up(person, number)
    monitor = Monitor(person)
    monitor.rest()
    full = person.snapshot()
    known: set[str] = set()
    for text, said in WRONG.items():
        # A round that began between a change and its signal says the same once more, and later.
        known |= set(monitor.read_log())
        save(person, text)
        monitor.signal(signal.SIGHUP)
        wait_for(lambda: set(monitor.read_log()) - known)
        monitor.rest()
        told = set(monitor.read_log()) - known
        assert [line.startswith(f"mptcp_monitor: {CONFIGURATION}:{said}")
                for line in told] == [True], told
        assert person.snapshot() == full


@pytest.mark.parametrize("command", ["chmod 666", "chown 65534"])
def test_a_configuration_that_is_not_roots_own_names_nothing(person: Lab, command: str) -> None:
    set_up(person, 1)
    person.client.run(*command.split(), CONFIGURATION)
    monitor = Monitor(person)
    refused = [f"mptcp_monitor: {CONFIGURATION} is not root's own: it must belong to root, and "
               "nobody else may write there"]
    assert person.rules() == [] and monitor.read_log() == refused
    person.client.run("chmod", "644", CONFIGURATION)
    person.client.run("chown", "0", CONFIGURATION)
    monitor.signal(signal.SIGHUP)
    wait_for(lambda: person.endpoints() == BOTH[:1])
    full = person.snapshot()
    person.client.run(*command.split(), CONFIGURATION)
    monitor.signal(signal.SIGHUP)
    wait_for(lambda: monitor.read_log()[-1:] == refused)
    assert person.snapshot() == full


def test_networkd_with_addresses_of_its_files(managers_lab: Lab) -> None:
    lab = managers_lab
    networkd = Networkd(lab)
    for number in (1, 2):
        networkd.configure(f"eth{number - 1}", f"Address=10.1.{number}.2/24\n"
                           f"[Route]\nGateway=10.1.{number}.1\nMetric={number}00\n")
    monitor = Monitor(lab)
    networkd.start()
    wait_for_both(lab)
    monitor.rest()
    full, lines = lab.snapshot(), len(monitor.read_log())
    # It deletes every rule and route that it did not make itself.
    networkd.reconfigure("eth1")
    wait_for(lambda: [line for line in monitor.read_log()[lines:] if "rule add" in line])
    wait_for(lambda: lab.snapshot() == full)
    check_both_paths(lab)


def test_networkd_with_a_default_route_in_a_table_of_its_own(managers_lab: Lab) -> None:
    """RouteTable= of a lease, and Table= of a route: main has eth0's alone, and none of eth1."""
    lab = managers_lab
    networkd = Networkd(lab)
    networkd.configure("eth0", "Address=10.1.1.2/24\nGateway=10.1.1.1\n")
    provider = Provider(lab, 2)
    provider.serve_dhcp()
    networkd.configure("eth1", "DHCP=ipv4\nAddress=fd00:2::2/64\n[DHCPv4]\nRouteTable=1001\n"
                       "[Route]\nGateway=fd00:2::1\nTable=1001\n")
    monitor = Monitor(lab)
    networkd.start()
    wait_for(lambda: len(lab.endpoints()) == 3)
    monitor.rest()
    assert "default via 10.1.2.1 dev eth1" in lab.client.run("ip", "route", "show", "table", "1001")
    assert [line for line in lab.client.run("ip", "route").splitlines()
            if line.startswith("default") and "eth1" in line] == []
    number = 20000 + lab.ifindex("eth1")
    assert "default via 10.1.2.1 dev eth1 proto mptcp src 10.1.2.50" in lab.table(number)
    assert any(route.startswith("default via fd00:2::1 dev eth1 proto mptcp")
               for route in lab.table(number, 6))
    check_both_paths(lab)
    assert find(lab) == ()


def test_networkd_with_leases(managers_lab: Lab) -> None:
    lab = managers_lab
    networkd = Networkd(lab)
    providers = [Provider(lab, number) for number in (1, 2)]
    for provider in providers:
        provider.serve_dhcp(renew=3)
        networkd.configure(provider.device, "DHCP=ipv4\n[DHCPv4]\n"
                           f"RouteMetric={provider.number}00\n")
    Monitor(lab)
    networkd.start()
    wait_for(lambda: tables_of(lab) == ["eth0 10.1.1.1 10.1.1.50", "eth1 10.1.2.1 10.1.2.50"])
    providers[0].serve_dhcp(gateway="10.1.1.254")
    providers[1].serve_dhcp(first="10.2.2.60", gateway="10.2.2.254")
    wait_for(lambda: addresses(lab, "eth1") == ["10.2.2.60"])
    wait_for(lambda: tables_of(lab) == ["eth0 10.1.1.254 10.1.1.50",
                                        "eth1 10.2.2.254 10.2.2.60"])
    wait_for(lambda: lab.endpoints() == ["10.1.1.50 eth0 subflow", "10.2.2.60 eth1 subflow"])
    check_both_paths(lab)


def test_connman_beside_a_person(managers_lab: Lab) -> None:
    lab = managers_lab
    connman = ConnMan(lab)
    connman.configure("10.1.2.2/255.255.255.0/10.1.2.1")
    Monitor(lab)
    set_up(lab, 1)
    connman.start()
    wait_for_both(lab)
    check_both_paths(lab)
    lab.client.run("connmanctl", "disconnect", connman.find_service())
    wait_for(lambda: lab.endpoints() == BOTH[:1])
    wait_for(lambda: sorted(lab.rules()) == rules_of_uplinks(lab, 0))
    lab.client.run("connmanctl", "connect", connman.find_service())
    wait_for_both(lab)


def test_a_fight_is_given_up_until_the_link_changes(person: Lab) -> None:
    for number in (1, 2):
        set_up(person, number)
    monitor = Monitor(person)
    # A link that has just come up is still changing, and forgives.
    wait_for_addresses(person.client)
    monitor.rest()
    full = person.snapshot()
    rival = person.client.start("sh", "-c", FLUSHED_AGAIN_AND_AGAIN)
    wait_for(lambda: set(GIVEN_UP) <= set(monitor.read_log()))
    wait_for(lambda: not person.rules())
    rival.kill()
    rival.wait()
    flush(person)
    monitor.rest()
    assert person.rules() == []
    assert [line for line in monitor.read_log() if not line.startswith("[#]")] == GIVEN_UP
    for uplink in (0, 1):
        pull(person, uplink)
        plug(person, uplink)
    wait_for(lambda: person.snapshot() == full)
    check_both_paths(person)


def test_a_rival_that_is_always_faster_is_not_taken_for_success(person: Lab) -> None:
    for number in (1, 2):
        set_up(person, number)
    wait_for_addresses(person.client)
    person.client.run("cp", "/usr/bin/ip", "/run/ip")
    person.client.run("rm", "/usr/sbin/ip")
    person.client.run("sh", "-c", "cat >/usr/sbin/ip; chmod 755 /usr/sbin/ip",
                      text=FLUSHED_AT_ONCE)
    monitor = Monitor(person)
    wait_for(lambda: set(GIVEN_UP) <= set(monitor.read_log()))
    monitor.rest()
    assert [line for line in monitor.read_log() if not line.startswith("[#]")] == GIVEN_UP
    person.client.run("cp", "/run/ip", "/usr/sbin/ip")
    monitor.signal(signal.SIGHUP)
    wait_for(lambda: len(person.rules()) == 2 * RULES)
    wait_for_both(person)


def test_what_a_template_makes_elsewhere_is_no_fight(person: Lab) -> None:
    """Rules and routes that name neither the table nor the address nor the device."""
    for name, verb in (("up", "add"), ("down", "del")):
        own = person.read(f"/usr/share/mptcp-hooks/templates/{name}.j2")
        person.write(f"/etc/mptcp-hooks/templates/{name}.j2", own + f"""
{{% for path in paths %}}
ip -4 rule {verb} pref 30000 fwmark 7 lookup 99 protocol 77
ip -4 route {verb.replace("add", "replace")} 10.50.0.0/16 dev {{{{ path.device }}}} table 99
{{% endfor %}}
""")
    set_up(person, 1)
    monitor = Monitor(person)
    full, said = person.snapshot(), monitor.read_log()
    person.client.ip("route add default via 10.1.1.9 dev eth0 metric 900")
    monitor.rest()
    assert monitor.read_log() == said and person.snapshot() == full


def test_a_stanza_that_says_off_outweighs_the_file(person: Lab) -> None:
    person.set_interfaces("iface eth1 inet static\n    address 10.1.2.2/24\n"
                          "    gateway 10.1.2.1\n    mptcp off\n")
    person.ifup("eth1")
    set_up(person, 1)
    monitor = Monitor(person)
    monitor.rest()
    assert person.endpoints() == BOTH[:1]
    assert sorted(person.rules()) == rules_of_uplinks(person, 0)


def test_names_of_all_kinds_are_one_line_at_most_and_cost_nobody_else(person: Lab) -> None:
    person.write(CONFIGURATION, "[default]\nmanage = *\n")
    set_up(person, 1)
    person.client.ip("link add name br,x type bridge", "link set br,x up")
    monitor = Monitor(person)
    wait_for(lambda: person.endpoints() == BOTH[:1])
    pull(person, 0)
    wait_for(lambda: person.endpoints() == [])
    monitor.rest()
    assert len([line for line in monitor.read_log() if "br,x" in line]) == 1


def test_devices_that_are_gone_leave_no_record(person: Lab) -> None:
    person.write(CONFIGURATION, "[default]\nmanage = *\n")
    monitor = Monitor(person)
    for _ in range(3):
        person.client.ip("link add name extra type bridge", "link set extra up")
        wait_for(lambda: "extra.paths" in person.client.run("ls", "/run/mptcp-hooks"))
        person.client.ip("link del extra")
    wait_for(lambda: "extra" not in person.client.run("ls", "/run/mptcp-hooks"))
    assert monitor.read_log() == []


def test_what_mptcp_up_repairs_is_managed_as_before(person: Lab) -> None:
    before = person.snapshot()
    monitor = Monitor(person)
    for number in (1, 2):
        set_up(person, number)
    wait_for_both(person)
    person.client.run("mptcp_up", "eth1")
    configure(person, monitor, "[default]\nmanage = nothing\n")
    wait_for(lambda: person.snapshot() == before)


def test_what_a_person_took_down_stays_down_though_the_file_names_it(person: Lab) -> None:
    set_up(person, 1)
    monitor = Monitor(person)
    before = person.endpoints()
    person.client.run("mptcp_down", "--all")
    monitor.reload()
    assert before == BOTH[:1] and person.endpoints() == [] and person.rules() == []


def test_a_file_that_is_no_file_hangs_nobody(person: Lab) -> None:
    person.client.run("sh", "-c", f"rm {CONFIGURATION}; mkfifo {CONFIGURATION}")
    monitor = Monitor(person)
    assert monitor.stop() == 0
    assert monitor.read_log() == [f"mptcp_monitor: {CONFIGURATION} is not a file: remove it"]
