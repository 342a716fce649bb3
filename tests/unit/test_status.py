# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_status on machines that were recorded in the lab: whole screens, whole answers."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from mptcp_hooks.base.numbering import FIRST_PREFERENCE
from mptcp_hooks.base.errors import USAGE, Problem
from mptcp_hooks.base.numbering import MAIN_TABLE
from mptcp_hooks.intent.event import Event
from mptcp_hooks.machine.sockets import TCP_ESTABLISHED
from mptcp_hooks.machine.subflows import Subflow
from mptcp_hooks.status.paint import Paint
from mptcp_hooks.status.paths_screen import draw_paths
from mptcp_hooks.status.survey import Exit, PathStatus
from tests.unit.canned import CannedMachine, hide_endpoints, run_status

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


@pytest.mark.parametrize("announced, severity", [("10.9.9.1", "note"), ("10.9.9.8", "broken")])
def test_who_has_what_is_announced_has_an_endpoint(
    tmp_path: Path, announced: str, severity: str
) -> None:
    """Such an endpoint has no device: it is that of its path."""
    case = tmp_path / "case"
    shutil.copytree(FOLDER / "slots-full", case)
    file = case / "record/eth1.paths"
    header, _, stanza = file.read_text().removesuffix("end\n").partition("\n")
    further = stanza.replace("10.1.2.2", "10.1.2.3").replace("20003", "10020003")
    for old, new in (("primary True", "primary False"), ("endpoint False", "endpoint True"),
                     ("flags subflow", f"flags signal\nannounced {announced}")):
        further = further.replace(old, new)
    file.write_text(f"{header}\n{stanza}{further}end\n")
    asked = "$ ip -j -4 route get 192.0.2.1 from 10.1.2.2\n"
    row = '[{"dst":"192.0.2.1","from":"10.1.2.3","gateway":"10.1.2.1","dev":"eth1"}]'
    answered = {asked: f"{asked.replace('10.1.2.2', '10.1.2.3')}{row}\n{asked}"}
    (found,) = (one for one in find(answered, str(case)) if one["kind"] == "slots-full")
    assert (found["severity"], found["interface"]) == (severity, "eth1")


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
        FOLDER / "all-good", "--json", change=hide_endpoints)
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


def test_a_link_that_is_down_is_brought_up_by_whose_it_is() -> None:
    """ifup alone would say that it is 'already configured'."""
    (found,) = find({'"ifname":"eth1","flags":["BROADCAST","MULTICAST","UP",':
                     '"ifname":"eth1","flags":["BROADCAST","MULTICAST",'})
    assert (found["kind"], found["remedy"]) == (
        "down", "ifdown eth1; ifup eth1")


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


@pytest.mark.parametrize("kind, blamed", [("9", "strays"), ("7", "shadowed")])
def test_a_table_that_throws_back_is_not_to_blame(kind: str, blamed: str) -> None:
    route = f'{{"type":"{kind}","dst":"default","table":"52","flags":[]}},'
    (found,) = find(STRAYS | add_rule('"src":"all","table":"52"') | {ROUTES: ROUTES + route})
    assert found["kind"] == blamed


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


def test_strict_rp_filter_harms_an_uplink_that_nobody_told_of() -> None:
    """What is missing of a path on record is one finding, and this is none beside it."""
    strict = {"all/rp_filter\n0\n": "all/rp_filter\n1\n"}
    assert "reverse-path" in [one["kind"] for one in find(strict, "not-set-up")]
    assert [one["kind"] for one in find({}, "reverse-path")] == ["routing-changed"]


def test_what_is_wrong_with_both_stanzas_of_an_interface_is_said_once() -> None:
    """Both families have a stanza on record, and NetworkManager has the device as well."""
    running, device = "$ pgrep mptcpd NetworkManager\n", "$ cat /run/NetworkManager/devices/2\n"
    found = find({running: running + "NetworkManager\n", device: device + "managed=full\n"},
                 "two-families")
    assert [(one["kind"], one["interface"]) for one in found] == [("network-manager", "eth0")]


def test_a_wrong_stanza_costs_no_look(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(machine: CannedMachine, iface: str) -> list[Event]:
        raise Problem(f"{iface}: netmask 'banana' is wrong", USAGE)

    monkeypatch.setattr(CannedMachine, "ask_stanzas", refuse)
    assert [one["kind"] for one in find({}, "not-set-up")] == ["one-uplink", "not-set-up"]


def set_counter(name: str, number: int) -> dict[str, str]:
    """The change of a machine whose kernel has counted so many."""
    lines = (FOLDER / "all-good/machine.txt").read_text().splitlines()
    names, values = (line for line in lines if line.startswith("MPTcpExt: "))
    pairs = zip(names.split(), values.split())
    return {values: " ".join(str(number) if known == name else value for known, value in pairs)}


def add_answer(question: str, *answer: str) -> dict[str, str]:
    """The change of a machine that was asked something else too."""
    block = "".join(f"{line}\n" for line in (f"$ {question}", *answer))
    return {"$ pgrep": f"{block}$ pgrep"}


def connect(*addresses: str) -> dict[str, str]:
    """The change of a machine with these subflows, each `TOKEN ADDRESS`."""
    return add_answer("subflows", *(f"{one} 10.99.0.1" for one in addresses))


def test_a_path_that_no_connection_uses_is_broken_where_others_joined() -> None:
    (found,) = find(connect("1 10.1.1.2", "2 10.1.1.2") | set_counter("MPJoinSynAckRx", 1))
    assert (found["severity"], found["kind"], found["interface"], found["text"]) == (
        "broken", "not-joined", "eth1", "2 of 2 running connections have no subflow "
        "over 10.1.2.2")
    assert "'mptcp_down eth1; mptcp_up eth1'" in found["remedy"]


@pytest.mark.parametrize(("subflows", "counter", "text"), [
    (("1 10.1.1.2", "1 10.1.2.2", "2 10.1.1.2"), 1, "1 of 2 running connections has"),
    # The peers may be such as take none.
    (("1 10.1.1.2",), 0, "1 of 1 running connection has"),
])
def test_a_path_that_some_use_or_that_nobody_ever_joined_is_a_note(
    subflows: tuple[str, ...], counter: int, text: str
) -> None:
    (found,) = find(connect(*subflows) | set_counter("MPJoinSynAckRx", counter))
    assert (found["severity"], found["kind"], found["text"]) == (
        "note", "not-joined", f"{text} no subflow over 10.1.2.2")


def test_the_remedy_takes_no_connection_its_only_path() -> None:
    first, second = find(connect("1 10.1.1.2", "2 10.1.2.2") | set_counter("MPJoinSynAckRx", 1))
    for found, address in ((first, "10.1.1.2"), (second, "10.1.2.2")):
        assert found["remedy"] == ("'service mptcp-hooks start' makes mptcp_monitor do it, once no "
                                   f"connection has {address} as its only path")


@pytest.mark.parametrize("subflows", [
    ("1 10.1.1.2", "1 10.1.2.2", "2 10.1.2.2", "2 10.1.1.2"), ()])
def test_of_paths_that_all_connections_use_nothing_is_said(subflows: tuple[str, ...]) -> None:
    assert find(connect(*subflows) | set_counter("MPJoinSynAckRx", 1)) == []


def test_what_joins_in_a_moment_lacks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that has just begun has one subflow."""
    looks = [["10.1.1.2"], ["10.1.1.2", "10.1.2.2"]]

    def look(machine: CannedMachine) -> list[Subflow]:
        return [Subflow(1, address, "10.99.0.1", TCP_ESTABLISHED, 0, 0.0, True)
                for address in looks.pop(0)]

    monkeypatch.setattr(CannedMachine, "read_subflows", look)
    assert find({}) == [] and looks == []


@pytest.mark.parametrize(("noted", "span"), [
    (("400 4000",), "for 10 min by now and 50 min more, and no path was out before"),
    (("400 4000 eth0 eth1",),
     "for 10 min by now and 50 min more, since an outage of eth0 and eth1"),
    ((), "for up to 60 min"),
    # One that is over, and one of a clock that was put back.
    (("100 900",), "for up to 60 min"), (("2000 5600",), "for up to 60 min"),
])
def test_new_connections_that_are_plain_tcp_are_told_with_the_time_that_is_known(
    noted: tuple[str, ...], span: str
) -> None:
    off = add_answer("off", *noted)["$ pgrep"].removesuffix("$ pgrep")
    timeout = add_answer("cat /proc/sys/net/mptcp/blackhole_timeout", "3600")["$ pgrep"]
    (found,) = find({"$ pgrep": off + timeout} | set_counter("Blackhole", 1))
    assert (found["severity"], found["kind"], found["interface"]) == ("broken", "mptcp-off", None)
    assert f"plain TCP, {span}: " in found["text"]
    assert "'sysctl -w net.mptcp.blackhole_timeout=3600'" in found["remedy"]


def test_that_it_was_off_once_is_no_finding() -> None:
    assert find(add_answer("off", "no") | set_counter("Blackhole", 1)) == []


def silence_eth1(folder: Path) -> str:
    """All-good with a record that has eth1's endpoint away, since its carrier was lost."""
    shutil.copytree(FOLDER / "all-good", folder / "case")
    file = folder / "case/record/eth1.paths"
    lines = file.read_text().replace("stanza\n", "stanza\nsilent\n").replace(
        "endpoint True\n", "endpoint False\n").splitlines()
    file.write_text("".join(f"{line}\n" for line in lines if " ip mptcp " not in line))
    return str(folder / "case")


# Of eth1's endpoint, as `ip` lists it.
ENDPOINT = ',{"address":"10.1.2.2","id":2,"subflow":true,"dev":"eth1"}'


def test_a_gateway_that_is_waited_for_is_why_there_is_no_endpoint(tmp_path: Path) -> None:
    (found,) = find({ENDPOINT: ""}, silence_eth1(tmp_path))
    assert (found["severity"], found["kind"], found["interface"]) == (
        "broken", "gateway-silent", "eth1")
    assert found["text"].startswith("10.1.2.2 has no endpoint: its gateway 10.1.2.1 ")
    assert "'mptcp_up eth1'" in found["remedy"]


def test_without_a_carrier_the_gateway_is_not_to_blame(tmp_path: Path) -> None:
    found = find({ENDPOINT: "", '"ifname":"eth1","flags":["BROADCAST","MULTICAST","UP","LOWER_UP"]':
                  '"ifname":"eth1","flags":["NO-CARRIER","BROADCAST","MULTICAST","UP"]'},
                 silence_eth1(tmp_path))
    assert [one["kind"] for one in found] == ["no-carrier"]


@pytest.mark.parametrize(("recorded", "other"), [
    # It has no gateway, as one of a PPP link.
    ("gateway 10.1.2.1\n", "gateway \n"),
    # It was never to have an endpoint, as a second address of its subnet.
    ("primary True\n", "primary False\n")])
def test_a_path_that_waits_for_no_gateway_does_not_blame_one(
    tmp_path: Path, recorded: str, other: str
) -> None:
    case = silence_eth1(tmp_path)
    file = Path(case, "record/eth1.paths")
    text = file.read_text()
    assert recorded in text
    file.write_text(text.replace(recorded, other))
    assert "gateway-silent" not in [one["kind"] for one in find({ENDPOINT: ""}, case)]


def put_out(**reasons: str) -> dict[str, str]:
    """What is noted of paths, by their addresses: since when, and why."""
    numbers = {"eth0": 1, "eth1": 2}
    return add_answer("faults", *(f"10.1.{numbers[name]}.2 {why}"
                                  for name, why in reasons.items()))


def read_row(screen: str, interface: str) -> str:
    return next(line for line in screen.splitlines() if interface in line)


@pytest.mark.parametrize(("fault", "kind", "severity", "text", "row"), [
    ("960 gateway silent", "gateway-silent", "broken",
     "10.1.2.2: its gateway 10.1.2.1 does not answer for 40 s; its endpoint stays, as a "
     "connection has no other path", ("gateway silent for 40 s", "no: gateway silent")),
    ("700 check failed", "check-failed", "broken", "10.1.2.2: its check gets no answer for 5 min; "
     "its endpoint stays, as a connection has no other path",
     ("check failed for 5 min", "no: check failed")),
    ("994 comes and goes", "unsteady", "broken", "10.1.2.2: it comes and goes for 6.0 s; its "
     "endpoint stays, as a connection has no other path",
     ("comes and goes for 6.0 s", "no: comes and goes")),
    ("988 suspected", "suspected", "note", "10.1.2.2: connections over it to several peers get no "
     "answer for 12 s", ("suspected for 12 s", "yes")),
    # The clock was set meanwhile.
    ("2000 suspected", "suspected", "note", "10.1.2.2: connections over it to several peers "
     "get no answer for 0.0 s", ("suspected for 0.0 s", "yes"))])
def test_a_path_that_is_out_under_its_carrier_is_told_with_since_when(
    tmp_path: Path, fault: str, kind: str, severity: str, text: str, row: tuple[str, str]
) -> None:
    (found,) = find(put_out(eth1=fault))
    assert (found["kind"], found["severity"], found["text"]) == (kind, severity, text)
    shutil.copytree(FOLDER / "all-good", tmp_path / "case")
    file = tmp_path / "case/machine.txt"
    for old, new in put_out(eth1=fault).items():
        file.write_text(file.read_text().replace(old, new))
    code, screen = run_status(tmp_path / "case")
    assert code == (severity == "broken")
    assert row[0] in read_row(screen, "eth1") and read_row(screen, "eth1").endswith(row[1])
    assert "up" in read_row(screen, "eth0") and "as they should be" not in screen
    answer = json.loads(run_status(tmp_path / "case", "--json")[1])
    since, _, why = fault.partition(" ")
    assert [path["outage"] for path in answer["paths"]] == [
        None, {"why": why, "since": int(since)}]


@pytest.mark.parametrize("fault", ["1 no carrier"])
def test_a_carrier_that_is_back_is_not_called_lost(fault: str) -> None:
    assert find(put_out(eth1=fault)) == []


def test_since_when_a_cable_is_out(tmp_path: Path) -> None:
    case = "no-carrier"
    (before,) = [one for one in find({}, case) if one["kind"] == "no-carrier"]
    (found,) = [one for one in find(put_out(eth1="940 no carrier"), case)
                if one["kind"] == "no-carrier"]
    assert before["text"] == "the link has no carrier"
    assert found["text"] == "the link has no carrier for 60 s"


def test_where_new_connections_leave_by_is_told_with_why_and_since_when() -> None:
    detour = {LOCAL_RULE: LOCAL_RULE + '{"priority":32765,"src":"all","table":"20003",'
              '"protocol":"77"},'}
    found = {one["kind"]: one for one in find(detour | put_out(eth0="960 gateway silent"))}
    assert found["no-way-out"]["text"] == (
        "new connections over IPv4 leave by eth1, because eth0 has a silent gateway for 40 s")


def test_what_a_tunnel_that_died_has_barred_is_told() -> None:
    """Where main has no default route; with one, the monitor opens the way by itself."""
    barred = {LOCAL_RULE: LOCAL_RULE + '{"priority":32767,"src":"all","action":"7",'
              '"protocol":"77"},'}
    default = '{"dst":"default","gateway":"10.1.1.1","dev":"eth0","flags":["onlink"]},'
    (found,) = find(barred | {default: ""})
    assert (found["kind"], found["severity"]) == ("no-way-out", "broken")
    assert "a tunnel had main's default route" in found["text"]
    assert find({default: ""}) == find(barred) == []


def test_what_is_only_suspected_has_a_way_where_there_is_no_other() -> None:
    assert [one["kind"] for one in find(put_out(eth0="988 suspected"))] == ["suspected"]


def give_role(folder: Path, iface: str, case: str = "all-good") -> str:
    """The case with an uplink's endpoint a backup by what was judged."""
    shutil.copytree(FOLDER / case, folder / "case")
    number = {"eth0": 1, "eth1": 2}[iface]
    (folder / "case/record/roles").write_text(
        f"mptcp-hooks 1\n10.1.{number}.2 carries 2 of 50 Mbit/s\nend\n")
    file = folder / "case/machine.txt"
    old = f'"id":{number},"subflow":true,'
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, old + '"backup":true,'))
    return str(folder / "case")


def test_a_role_is_told_and_is_no_change(tmp_path: Path) -> None:
    case = give_role(tmp_path, "eth1")
    assert find({}, case) == []
    code, screen = run_status(Path(case))
    assert code == 0 and "\neth1: backup: carries 2 of 50 Mbit/s\n" in screen
    assert "all as they should be" in screen
    answer = json.loads(run_status(Path(case), "--json")[1])
    assert [path["backup"] for path in answer["paths"]] == [None, "carries 2 of 50 Mbit/s"]


def test_a_flag_that_nobody_judged_is_a_change(tmp_path: Path) -> None:
    case = give_role(tmp_path, "eth1")
    Path(case, "record/roles").unlink()
    assert [one["kind"] for one in find({}, case)] == ["endpoint-changed"]


def test_that_new_connections_begin_by_a_weak_uplink_is_told(tmp_path: Path) -> None:
    (found,) = find({}, give_role(tmp_path, "eth0"))
    assert (found["severity"], found["kind"], found["interface"]) == (
        "note", "weak-default", "eth0")
    assert found["text"].endswith("and it carries 2 of 50 Mbit/s")
    assert "'metric 100'" in found["remedy"]


@pytest.mark.parametrize("lack", ["detour", "name"])
def test_templates_that_are_older_than_what_there_is_now_are_told(lack: str) -> None:
    (found,) = find(add_answer("old templates", f"{lack}s"))
    assert (found["severity"], found["kind"]) == ("note", "old-template")
    assert f" no lines for {lack}s: " in found["text"] and f"'{lack}'" in found["remedy"]


def test_a_colour_has_no_width() -> None:
    """Colours differ from row to row, and the columns after them stand where they would."""
    paths = [PathStatus("eth0", "eth0", link, 4, own, 24, "", MAIN_TABLE, None,
                        Exit("192.0.2.1", "eth0", ""), None)
             for link, own in (("up", "10.1.1.2"), ("no carrier", "10.1.100.200"))]
    coloured, plain = (draw_paths(paths, Paint(one, unicode=True)) for one in (True, False))
    assert coloured != plain
    assert [re.sub("\x1b\\[[0-9;]*m", "", line) for line in coloured] == plain
    assert "\x1b" not in Paint(True).good("")


@pytest.mark.parametrize(("tunnel", "kinds"), [("4 wg0", ["tunnel"]), ("6 wg0", []), ("", [])])
def test_a_tunnel_beside_which_subflows_leave_is_told_where_its_family_has_an_endpoint(
    tunnel: str, kinds: list[str]
) -> None:
    found = find({ENABLED: f"{ENABLED}$ tunnels\n{tunnel}\n"})
    assert [one["kind"] for one in found] == kinds
    assert all("bypasses it" in one["text"] and "'vpn = beside'" in one["remedy"]
               for one in found)


@pytest.mark.parametrize(("does", "kinds"), [
    ('"action":"7"', ["partly-shadowed"]), ('"nop":null', []), ('"goto":32766', []),
    ('"table":"52"', []), ('"table":"53"', ["partly-shadowed"])])
def test_a_rule_for_some_packets_that_decides_nothing_is_no_finding(
    does: str, kinds: list[str]
) -> None:
    rule = f'{{"priority":30000,"src":"all","dport":443,{does}}},'
    routes = "".join(f'{{"type":"{kind}","dst":"default","table":"{table}","flags":[]}},'
                     for kind, table in ((9, 52), (7, 53)))
    found = find({LOCAL_RULE: LOCAL_RULE + rule, ROUTES: ROUTES + routes})
    assert [one["kind"] for one in found] == kinds


@pytest.mark.parametrize(("selectors", "words"), [
    ('"fwmark":"0x7","fwmask":"0xff"', "fwmark 0x7/0xff"),
    ('"ipproto":"ipproto-6","dport":443', "ipproto 6 dport 443"),
    ('"dport_start":1000,"dport_end":2000', "dport 1000-2000"),
    ('"uid_start":1000,"uid_end":1999', "uidrange 1000-1999"), ('"tos":"0x10"', "tos 0x10"),
])
def test_a_rule_behind_ours_that_leads_nowhere_is_named_as_ip_takes_it(
    selectors: str, words: str
) -> None:
    rule = f'{{"priority":30000,"src":"all",{selectors},"action":"7"}},'
    (found,) = find({LOCAL_RULE: LOCAL_RULE + rule})
    assert found["kind"] == "partly-shadowed"
    assert found["difference"] == [f"+ 30000: from all {words} unreachable"]
    assert f"pref {FIRST_PREFERENCE - 1} from all {words} unreachable && " in found["remedy"]
