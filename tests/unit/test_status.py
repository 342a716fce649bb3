"""mptcp_status on machines that were recorded in the lab: whole screens, whole answers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mptcp_hooks.base.errors import USAGE, Problem
from mptcp_hooks.base.numbering import MAIN_TABLE
from mptcp_hooks.intent.event import Event
from mptcp_hooks.status.paint import Paint
from mptcp_hooks.status.paths_screen import Rate, draw_paths, draw_rates, format_rate
from mptcp_hooks.status.survey import Exit, PathStatus
from tests.unit.canned import CannedMachine, run_status

FOLDER = Path(__file__).parents[1] / "cases/status"
CASES = sorted(FOLDER.iterdir())
NAMES = [case.name for case in CASES]
# eth1's traffic leaves by eth0.
STRAYS = {'"from":"10.1.2.2","gateway":"10.1.2.1","dev":"eth1"':
          '"from":"10.1.2.2","gateway":"10.1.1.1","dev":"eth0"'}
LOCAL_RULE = '$ ip -j -N -4 rule\n[{"priority":0,"src":"all","table":"255"},'
ROUTES = "$ ip -j -N -4 route show table all\n["
ENABLED = "$ cat /proc/sys/net/mptcp/enabled\n1\n"


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_the_screen(case: Path) -> None:
    code, screen = run_status(case)
    assert screen == (case / "screen.txt").read_text()
    assert code == ("broken:" in screen)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_the_answer_for_programs(case: Path) -> None:
    code, answer = run_status(case, "--json")
    assert json.loads(answer) == json.loads((case / "status.json").read_text())
    assert code == any(one["severity"] == "broken" for one in json.loads(answer)["findings"])


def test_the_screen_in_the_readme() -> None:
    text = (FOLDER.parents[2] / "README.md").read_text()
    screen = (FOLDER / "all-good/screen.txt").read_text().splitlines()
    assert "\n".join(f"    {line}".rstrip() for line in screen) in text


def find(change: dict[str, str], case: str = "all-good") -> list[dict[str, Any]]:
    """The findings on a machine whose answers are other ones."""
    def apply(text: str) -> str:
        for old, new in change.items():
            assert old in text
            text = text.replace(old, new)
        return text

    _, answer = run_status(FOLDER / case, "--json", change=apply)
    found: list[dict[str, Any]] = json.loads(answer)["findings"]
    return found


def add_rule(row: str) -> dict[str, str]:
    """The change of a machine that has one more rule."""
    return {LOCAL_RULE: f'{LOCAL_RULE}{{"priority":100,{row}}},'}


def test_a_kernel_without_mptcp() -> None:
    (found,) = find({ENABLED: "$ cat /proc/sys/net/mptcp/enabled\n",
                     "$ ip mptcp limits\n8 8\n": "$ ip mptcp limits\n"})
    assert found["kind"] == "no-mptcp"


def test_a_kernel_that_knows_no_path_manager_by_name() -> None:
    """Before Linux 6.16 it was a number."""
    (found,) = find({"path_manager\nkernel\n": "path_manager\n", "pm_type\n0\n": "pm_type\n1\n"})
    assert found["kind"] == "userspace-manager"


def test_endpoints_that_only_root_may_see_are_no_finding() -> None:
    code, answer = run_status(
        FOLDER / "all-good", "--json", change=lambda text: text.replace(
            '[{"address":"10.1.1.2","id":1', '! 2 Operation not permitted\n[{"id":1'))
    assert (code, json.loads(answer)["findings"]) == (0, [])
    assert json.loads(answer)["unseen"] == ["endpoints (only root may see them)"]


@pytest.mark.parametrize("question", ["-s address", "-N -4 rule", "-N -4 route show table all"])
def test_what_ip_does_not_show_is_not_taken_for_gone(
    question: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, screen = run_status(FOLDER / "all-good", change=lambda text: re.sub(
        rf"(?<=\$ ip -j {question}\n).*", "! 1 Dump terminated", text))
    assert (code, screen) == (1, "")
    assert capsys.readouterr().err == (
        f"mptcp_status: 'ip {question}' failed: Dump terminated\n")


def test_a_link_that_is_down_is_not_for_ifup() -> None:
    """To ifup it is 'already configured'."""
    (found,) = find({'"ifname":"eth1","flags":["BROADCAST","MULTICAST","UP",':
                     '"ifname":"eth1","flags":["BROADCAST","MULTICAST",'})
    assert (found["kind"], found["remedy"]) == (
        "down", "ip link set eth1 up && mptcp_up eth1")


@pytest.mark.parametrize("count, severities", [(3, []), (4, ["broken"])])
def test_limits_for_endpoints_of_others(count: int, severities: list[str]) -> None:
    """NetworkManager leaves the kernel's, 2 and 0: enough for three of its own."""
    rows = ",".join(f'{{"address":"10.9.9.{host}","id":{host},"subflow":true}}'
                    for host in range(count))
    found = find({"mptcp endpoint\n[]": f"mptcp endpoint\n[{rows}]"}, "no-path")
    assert [one["severity"] for one in found if one["kind"] == "limits-low"] == severities


def test_an_implicit_endpoint_needs_no_limit() -> None:
    """The kernel made it for a subflow that is open already."""
    assert find({"mptcp endpoint\n[": 'mptcp endpoint\n[{"address":"10.1.1.2","id":9,'
                                      '"implicit":true},'}) == []


def test_what_leaves_by_another_link_for_no_reason_we_know() -> None:
    (found,) = find(STRAYS)
    assert "ip route get fibmatch 192.0.2.1 from 10.1.2.2" in found["remedy"]
    assert (found["kind"], found["interface"], found["difference"]) == ("strays", "eth1", [])


@pytest.mark.parametrize("row, text", [
    ('"src":"10.1.0.0","srclen":16,"action":"6"', "from 10.1.0.0/16 blackhole"),
    ('"src":"all","goto":32766', "from all goto 32766"),
    ('"src":"all","iif":"lo","action":"8"', "from all iif lo prohibit"),
    ('"src":"all","flow_to":"6","suppress_ifgroup":"3","table":"254"',
     "from all flow_to 6 suppress_ifgroup 3 lookup main"),
])
def test_a_rule_that_does_something_else_than_a_lookup_shadows_too(row: str, text: str) -> None:
    (found,) = find(STRAYS | add_rule(row))
    assert (found["kind"], found["difference"]) == ("shadowed", [f"+ 100: {text}"])


@pytest.mark.parametrize("row", [
    '"src":"all","iif":"eth0","action":"6"', '"src":"all","fwmark":"0x5","action":"6"',
    '"src":"all","nop":null', '"src":"all","table":"52"',
])
def test_a_rule_for_other_packets_or_that_leads_nowhere_is_not_to_blame(row: str) -> None:
    (found,) = find(STRAYS | add_rule(row))
    assert (found["kind"], found["difference"]) == ("strays", [])


def test_a_rule_that_somebody_added_is_told_of_with_all_it_says() -> None:
    (found,) = find(add_rule('"not":null,"src":"10.1.2.2","fwmark":"0x5","table":"9"'))
    assert found["difference"] == ["+ 100: not from 10.1.2.2 fwmark 0x5 lookup 9"]


@pytest.mark.parametrize("route, case, is_told", [
    ("192.0.0.0/2", "all-good", True),
    # As OpenVPN's redirect-gateway makes it: two halves, that are a default to our rules.
    ("128.0.0.0/1", "all-good", False),
    ("128.0.0.0/1", "rules-of-0.1.0", True),
])
def test_a_route_of_main_that_takes_what_is_ours_is_told_of(
    route: str, case: str, is_told: bool
) -> None:
    (found,) = find(STRAYS | {ROUTES: f'{ROUTES}{{"dst":"{route}","gateway":"10.1.1.9",'
                                      '"dev":"eth0","flags":[]},'}, case)
    assert (found["kind"], found["difference"]) == (
        "strays", [f"+ {route} via 10.1.1.9 dev eth0 table main"] * is_told)


def test_a_network_that_somebody_blocks_is_not_asked_for() -> None:
    blocked = f'{ROUTES}{{"type":"7","dst":"192.0.2.0/24","flags":[]}},'
    assert find({ROUTES: blocked, "route get 192.0.2.1": "route get 198.51.100.1"}) == []


def test_strict_rp_filter_does_a_lan_no_harm() -> None:
    found = find({"all/rp_filter\n0\n": "all/rp_filter\n1\n"}, "no-gateway")
    assert [one["kind"] for one in found] == ["one-uplink", "no-gateway"]


def test_a_wrong_stanza_costs_no_look(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(machine: CannedMachine, iface: str) -> list[Event]:
        raise Problem(f"{iface}: netmask 'banana' is wrong", USAGE)

    monkeypatch.setattr(CannedMachine, "ask_stanzas", refuse)
    assert [one["kind"] for one in find({}, "not-set-up")] == ["one-uplink", "not-set-up"]


def test_a_colour_has_no_width() -> None:
    """Colours differ from row to row, and the columns after them stand where they would."""
    paths = [PathStatus("eth0", "eth0", link, 4, own, 24, "", MAIN_TABLE, None,
                        Exit("192.0.2.1", "eth0", ""), None)
             for link, own in (("up", "10.1.1.2"), ("no carrier", "10.1.100.200"))]
    coloured, plain = (draw_paths(paths, {}, Paint(one, unicode=True)) for one in (True, False))
    assert coloured != plain
    assert [re.sub("\x1b\\[[0-9;]*m", "", line) for line in coloured] == plain
    assert "\x1b" not in Paint(True).good("")


@pytest.mark.parametrize("rate, text", [
    (0, "0 bit/s"), (999, "999 bit/s"), (1000, "1.0 kbit/s"), (47.34e6, "47.3 Mbit/s"),
    (2e9, "2.0 Gbit/s"),
])
def test_rates(rate: float, text: str) -> None:
    assert format_rate(rate) == text


def test_what_interfaces_carry_is_a_table_of_those_that_are_known() -> None:
    rates = {"eth0": Rate(8, 47.34e6), "wlan10": Rate(2e9, 0), "lo": Rate(1, 1)}
    assert draw_rates(rates, ["eth0", "wlan10", "ppp0"]) == [
        "", "now, with all else they carry",
        "  eth0   sends    8 bit/s receives 47.3 Mbit/s",
        "  wlan10 sends 2.0 Gbit/s receives     0 bit/s"]
    assert draw_rates({}, ["eth0"]) == []
