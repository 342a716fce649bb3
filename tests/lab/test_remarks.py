# SPDX-License-Identifier: GPL-2.0-or-later
"""What mptcp_status has nothing to say of: ports, manual stanzas, two gateways on one card."""

from __future__ import annotations

from tests.lab.support.lab import TWO_UPLINKS, Lab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import BOTH, check_both_paths, pull
from tests.lab.support.status import NO_MONITOR, ask, find
from tests.lab.support.waiting import wait_for

CONFIGURATION = "/etc/mptcp-hooks/mptcp-hooks.conf"
ONE_CARD = """\
auto br0 br0:1
iface br0 inet static
    address 10.1.1.2/24
    gateway 10.1.1.1
iface br0:1 inet static
    address 10.1.2.2/24
    mptcp-gateway 10.1.2.1
"""


def test_two_gateways_on_one_card_are_two_ways(lab: Lab) -> None:
    """Both providers on one segment: the card is a bridge of both uplinks."""
    lab.client.ip("link add br0 type bridge", *(f"link set eth{number} master br0 up"
                                                for number in (0, 1)))
    lab.set_interfaces(ONE_CARD)
    lab.ifup("-a")
    (found,) = (one for one in ask(lab)["findings"] if one["kind"] == "one-uplink")
    # Where the card's second gateway is not used, that says how it would be.
    option = found["remedy"].split("'")[1]
    lab.set_interfaces(f"{ONE_CARD}    {option}\n")
    assert lab.client.run("mptcp_up", "br0:1") == ""
    assert lab.endpoints() == ["10.1.1.2 br0 subflow", "10.1.2.2 br0 subflow"]
    assert find(lab) == ()
    assert "2 uplinks, 2 paths, all" in lab.client.run("mptcp_status")
    check_both_paths(lab)
    # Another address of the same provider is no second way.
    lab.ifdown("br0:1")
    lab.set_interfaces(ONE_CARD.replace("10.1.2.2", "10.1.1.3").replace("10.1.2.1", "10.1.1.1")
                       + f"    {option}\n")
    assert lab.ifup("br0:1") == "" and len(lab.endpoints()) == 2
    assert find(lab) == (("note", "one-uplink", None),)


def test_a_manual_stanza_and_ports_that_are_managed_are_as_they_should_be(lab: Lab) -> None:
    lab.client.ip("link add br0 type bridge", "link add eth7 type bridge", "link set eth7 up",
                  "link add eth8 type veth peer name port8", "link set eth8 master br0 up",
                  "link add eth9 type veth peer name port9", "link set eth9 master br0 up")
    lab.set_interfaces(TWO_UPLINKS + "iface eth7 inet manual\n")
    assert lab.ifup("eth0", "eth1", "eth7") == ""
    lab.write(CONFIGURATION, "[default]\nmanage = eth8, eth9\n")
    monitor = Monitor(lab)
    lab.client.ip("link set br0 up")
    monitor.rest()
    assert find(lab) == () and lab.endpoints() == BOTH
    # What a manual stanza is told to be a path of has none.
    lab.ifdown("eth7")
    lab.set_interfaces(TWO_UPLINKS + "iface eth7 inet manual\n    mptcp-flags signal\n")
    assert lab.ifup("eth7") == "" and [kind for _, kind, iface in find(lab) if iface == "eth7"]


def test_an_endpoint_of_somebody_else_is_not_told_of_as_an_uplink_that_nobody_knows(
    lab: Lab
) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    # A further address of an uplink, which leaves by main's default as it should.
    lab.client.ip("addr add 10.1.1.3/24 dev eth0", "mptcp endpoint add 10.1.1.3 dev eth0 signal")
    assert find(lab) == ()
    assert "(not ours)" in lab.client.run("mptcp_status")
    # And one that another uplink takes, as nobody made it a rule.
    lab.ifdown("eth1")
    lab.set_interfaces(TWO_UPLINKS.partition("iface eth1")[0])
    lab.client.ip("link set eth1 up", "addr add 10.1.2.2/24 dev eth1",
                  "route add default via 10.1.2.1 dev eth1 metric 9",
                  "mptcp endpoint add 10.1.2.2 dev eth1 subflow")
    (found,) = (one for one in ask(lab)["findings"] if one["interface"] == "eth1")
    assert (found["severity"], found["kind"]) == ("note", "foreign-endpoint")
    assert "an endpoint that another program made" in found["text"]
    assert "leaves by eth0" in found["text"]


def test_of_one_uplink_no_command_is_recommended_that_has_nothing_to_say(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("eth0")
    assert "one uplink" in (said := lab.client.run("mptcp_status")) and "--all" not in said
    assert lab.client.try_run("mptcp_up", "--all", "-v").stderr == ""


def test_that_nobody_follows_is_told_with_the_command(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    assert NO_MONITOR not in lab.client.try_run("mptcp_status", "--json").stdout
    lab.ifup("-a")
    (found,) = ask(lab)["findings"]
    assert (found["severity"], found["kind"]) == ("note", NO_MONITOR)
    command = found["remedy"].split("'")[3]
    lab.client.start("sh", "-c", command.removesuffix(" &"))
    pull(lab, 1)
    wait_for(lambda: lab.endpoints() == BOTH[:1])
    assert NO_MONITOR not in [one["kind"] for one in ask(lab)["findings"]]
