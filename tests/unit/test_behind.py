# SPDX-License-Identifier: GPL-2.0-or-later
"""What is said of what is behind the machine: the firewall's rules, routes, marks of others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.model import Installed, Path
from mptcp_hooks.base.spawn import Outcome
from mptcp_hooks.status import behind
from mptcp_hooks.status.questions import AskedMachine
from mptcp_hooks.status.translations import Arrival, translates
from tests.unit.canned import run_status
from tests.unit.help import ROOT

CASE = ROOT / "tests/cases/status/all-good"
TO_ETH1 = Arrival(4, "eth1", "10.1.2.2")
PREROUTING: dict[str, Any] = {
    "chain": {"family": "ip", "table": "nat", "name": "PREROUTING", "type": "nat",
              "hook": "prerouting", "prio": -100}}
DNAT = {"dnat": {"addr": "172.17.0.2", "port": 80}}
XT_DNAT = {"xt": {"type": "target", "name": "DNAT"}}
JUMP = {"jump": {"target": "DOCKER"}}


def rule(*statements: dict[str, Any], chain: str = "PREROUTING", family: str = "ip") -> Any:
    return {"rule": {"family": family, "table": "nat", "chain": chain, "expr": list(statements)}}


def match(left: dict[str, Any], right: Any, operator: str = "==") -> dict[str, Any]:
    return {"match": {"op": operator, "left": left, "right": right}}


def incoming(right: Any, operator: str = "==") -> dict[str, Any]:
    return match({"meta": {"key": "iifname"}}, right, operator)


def meant(right: Any, operator: str = "==") -> dict[str, Any]:
    return match({"payload": {"protocol": "ip", "field": "daddr"}}, right, operator)


def of_family(right: Any, operator: str = "==") -> dict[str, Any]:
    return match({"meta": {"key": "nfproto"}}, right, operator)


@pytest.mark.parametrize("statement, expected", [
    (incoming("eth1"), True), (incoming("eth0"), False), (incoming("eth0", "!="), True),
    (incoming("eth1", "!="), False), (incoming("eth*"), True), (incoming({"set": ["eth0"]}), False),
    (incoming({"set": ["eth0", "eth1"]}), True), (incoming("@some"), True),
    (incoming("@some", "!="), True), (meant("10.1.2.2"), True), (meant("10.1.1.2"), False),
    (meant({"prefix": {"addr": "10.1.0.0", "len": 16}}), True),
    (meant({"prefix": {"addr": "10.2.0.0", "len": 16}}), False),
    (meant({"range": ["10.9.0.0", "10.9.0.9"]}), True),
    (of_family("ipv6"), False), (of_family("ipv4"), True), (of_family("ipv4", "!="), False),
    (of_family({"set": ["ipv4"]}), True), (of_family({"set": ["ipv6", "ipv4"]}), True),
    (of_family({"set": ["ipv6"]}), False), (of_family({"set": ["ipv6"]}, "!="), True),
    (of_family({"set": ["ipv4"]}, "!="), False), (of_family("@some"), True),
    (of_family("@some", "!="), True), (of_family({"set": ["ipv6", {"elem": {}}]}), True),
    (of_family(10), True),
    (match({"payload": {"protocol": "tcp", "field": "dport"}}, 80), True),
    ({"xt": {"type": "match", "name": "addrtype"}}, True), ({"xt": None}, True),
    ({"counter": None}, True), ({"match": {"op": "==", "left": "x", "right": 1}}, True),
])
@pytest.mark.parametrize("target", [DNAT, XT_DNAT])
def test_a_rule_hands_on_what_it_fits(
    statement: dict[str, Any], expected: bool, target: dict[str, Any]
) -> None:
    assert translates([PREROUTING, rule(statement, target)], TO_ETH1) == expected
    # So does a chain that it goes on to, and that one alone decides nothing.
    further = [PREROUTING, rule(statement, JUMP), rule(target, chain="DOCKER")]
    assert translates(further, TO_ETH1) == expected
    assert not translates([PREROUTING, rule(target, chain="DOCKER")], TO_ETH1)


def test_a_map_leads_on_to_chains_and_a_circle_ends() -> None:
    verdicts = {"vmap": {"key": {"payload": {"protocol": "tcp", "field": "dport"}},
                         "data": {"set": [[80, JUMP], [81, {"drop": None}]]}}}
    assert translates([PREROUTING, rule(verdicts), rule(DNAT, chain="DOCKER")], TO_ETH1)
    back = rule({"goto": {"target": "PREROUTING"}}, chain="DOCKER")
    assert not translates([PREROUTING, rule(JUMP), back], TO_ETH1)


def test_the_other_family_and_other_hooks_are_none_of_it() -> None:
    objects = json.loads(json.dumps([PREROUTING, rule(DNAT)]).replace('"ip"', '"ip6"'))
    assert not translates(objects, TO_ETH1)
    assert translates(objects, Arrival(6, "eth1", "fd00:2::2"))
    inet = json.loads(json.dumps([PREROUTING, rule({"dnat": {"family": "ip6", "addr": "fd17::2"}})]
                                 ).replace('"family": "ip"', '"family": "inet"'))
    assert not translates(inet, TO_ETH1) and translates(inet, Arrival(6, "eth1", "fd00:2::2"))
    output = {"chain": {**PREROUTING["chain"], "hook": "output"}}
    assert not translates([output, rule(DNAT)], TO_ETH1)
    assert not translates([], TO_ETH1) and not translates([{"metainfo": {}}], TO_ETH1)


RULES, ROUTES = "$ ip -j -N -4 rule\n[", "$ ip -j -N -4 route show table all\n["
MARK = '{"priority":5,"src":"all","fwmark":"0x2","table":"20003","protocol":"3"},'
OF_SUBNET = '{"priority":5,"src":"203.0.113.64","srclen":26,"table":"20003","protocol":"3"},'
SUBNET = '{"type":"1","dst":"203.0.113.64/29","dev":"lo","protocol":"2"},'


def find(**changes: str) -> list[tuple[str, str]]:
    """The kinds and interfaces of what is found on a machine that forwards, as it is changed."""
    said = {"forwarded": "4", "ruleset": json.dumps([PREROUTING]), **changes}

    def change(text: str) -> str:
        text = text.replace(RULES, RULES + said.pop("rules", "")).replace(
            ROUTES, ROUTES + said.pop("routes", ""))
        return text + "".join(f"\n$ {question.replace('_', ' ')}\n{answer}"
                              for question, answer in said.items())

    code, answer = run_status(CASE, "--json", change=change)
    assert code == 0
    return [(one["kind"], one["interface"]) for one in json.loads(answer)["findings"]
            # Of the rules of somebody else to a table of ours.
            if one["kind"] != "routing-added"]


PUBLISHED = json.dumps([PREROUTING, rule(DNAT)])


@pytest.mark.parametrize("changes, expected", [
    ({}, []), ({"ruleset": PUBLISHED}, [("no-mark", "eth1")]),
    # Nothing is forwarded, or of the other family; it is main's uplink; somebody marks already.
    ({"ruleset": PUBLISHED, "forwarded": ""}, []), ({"ruleset": PUBLISHED, "forwarded": "6"}, []),
    ({"ruleset": json.dumps([PREROUTING, rule(incoming("eth0"), DNAT)])}, []),
    ({"ruleset": PUBLISHED, "rules": MARK}, []),
    ({"ruleset": PUBLISHED, "rules": MARK.replace('"src"', '"not":null,"src"')},
     [("no-mark", "eth1")]),
    ({"routes": SUBNET}, [("no-source", "lo")]), ({"routes": SUBNET, "forwarded": "6"}, []),
    ({"routes": SUBNET, "rules": OF_SUBNET}, []),
    ({"routes": SUBNET, "rules": OF_SUBNET.replace("26", "30")}, [("no-source", "lo")]),
    ({"routes": SUBNET.replace("203.0.113.64/29", "192.168.7.0/24")}, []),
    ({"routes": SUBNET.replace('"lo"', '"eth1"')}, []),
])
def test_what_is_found_behind_a_machine(
    changes: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    assert find(**changes) == expected


PATH = Path("eth1", "eth1", 3, 4, "10.1.2.2", "10.1.2.0/24", "10.1.2.1", False, True, 20003, True,
            True, ("subflow",))
MADE = ("ip -4 rule add pref 1 fwmark 0x2 lookup 20003", "ip -4 rule add pref 2 from 10.8.0.0/16 "
        "lookup 20003", "ip mptcp endpoint add 203.0.113.9 signal")


@pytest.mark.parametrize("changes, lacks", [
    ({}, ""), ({"mark": "0x2"}, "mark"), ({"sources": ("10.8.0.0/16",)}, "sources"),
    ({"mark": "0x2", "announced": ("203.0.113.9",)}, "mark and announced addresses")])
def test_a_template_of_before_makes_nothing_of_it(changes: dict[str, Any], lacks: str) -> None:
    path = PATH._replace(**changes)
    found = list(behind._judge_template(Installed(path, ("ip -4 route replace x",), (), "")))
    assert [(one.kind, f"for its {lacks}" in one.text) for one in found] == (
        [("old-template", True)] * bool(lacks))
    assert not list(behind._judge_template(Installed(path, MADE, (), "")))


class Answering(AskedMachine):
    """Knows these files, and one outcome of nft; None where it is not there."""

    def __init__(self, files: dict[str, str], outcome: Outcome | None = None) -> None:
        self._files, self._outcome = files, outcome

    def read_file(self, path: str) -> str:
        return self._files.get(path.removeprefix("/proc/sys/net/"), "")

    def run(self, program: str, *arguments: str) -> Outcome:
        assert (program, *arguments) == ("nft", "-j", "list", "ruleset")
        if self._outcome is None:
            raise Problem("the program 'nft' is not installed")
        return self._outcome


@pytest.mark.parametrize("outcome, expected", [
    (None, ()), (Outcome(1, "", "Operation not permitted"), ()), (Outcome(0, "", ""), ()),
    (Outcome(0, "nonsense", ""), ()), (Outcome(0, '{"nftables": [{"table": {}}]}', ""),
                                       ({"table": {}},))])
def test_the_firewall_is_asked_by_nft(
    outcome: Outcome | None, expected: tuple[dict[str, Any], ...]
) -> None:
    assert Answering({}, outcome).ask_ruleset() == expected


def test_the_kernel_is_asked_what_it_forwards_and_whether_marks_count() -> None:
    machine = Answering({"ipv4/conf/all/forwarding": "1\n", "ipv6/conf/all/forwarding": "0\n",
                         "ipv4/conf/eth1/src_valid_mark": "1\n"})
    assert machine.list_forwarded() == (4,)
    assert machine.counts_marks("eth1") and not machine.counts_marks("eth0")
