# SPDX-License-Identifier: GPL-2.0-or-later
"""What mptcp_status answers to monitoring: --expect, --nagios, --openmetrics, lines of JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from operator import attrgetter
from pathlib import Path

import pytest
from prometheus_client import Metric, parser
from prometheus_client.openmetrics import parser as openmetrics

from mptcp_hooks.base.errors import FAILED, USAGE, Problem
from mptcp_hooks.status import command, stream
from mptcp_hooks.status.finding import NOTE, Finding
from mptcp_hooks.status.looks import PathsLook
from mptcp_hooks.status.nagios import CRITICAL, OK, UNKNOWN, WARNING, answer_plugin, answer_unknown
from mptcp_hooks.status.openmetrics import draw_metrics
from mptcp_hooks.status.survey import UP, Device, KernelState, PathStatus, Survey
from mptcp_hooks.status.survey import Exit as Way
from mptcp_hooks.status.uplinks import Rate
from tests.unit.canned import hide_endpoints, run_status

STATUS = Path(__file__).parents[1] / "cases/status"
CASE = STATUS / "all-good"
NO_SOCKETS = "\n$ ss -Menita\n"
# The parsers have no types of their own.
_Parse = Callable[[str], Iterable[Metric]]
parse_metrics: _Parse = openmetrics.text_string_to_metric_families
parse_older: _Parse = parser.text_string_to_metric_families
# A label, a value with its unit, and what is allowed of it.
MEASURE = re.compile(r"('[^'=|]+'|[a-z_]+)=(\d+)c?(;\d*:?;\d*:?;\d*;\d*)?")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second for the rates passes at once."""
    monkeypatch.setattr(command, "sleep", lambda _: None)


def expect(number: str, *arguments: str, case: Path = CASE) -> tuple[int, list[str]]:
    """The status, and the kinds of what is broken."""
    code, answer = run_status(case, "--json", "--expect", number, *arguments)
    return code, [one["kind"] for one in json.loads(answer)["findings"]
                  if one["severity"] == "broken"]


def test_fewer_live_paths_than_expected_are_broken() -> None:
    assert expect("2") == (0, [])
    assert expect("3") == (FAILED, ["too-few-paths"])
    assert expect("1", "eth1") == (0, []) and expect("2", "eth1")[0] == FAILED
    assert expect("1", case=STATUS / "no-carrier") == (FAILED, ["no-carrier"])
    assert expect("2", case=STATUS / "no-carrier") == (FAILED, ["too-few-paths", "no-carrier"])
    assert expect("4", case=STATUS / "two-families") == (0, [])


def test_what_is_too_few_is_said_with_the_interfaces() -> None:
    _, screen = run_status(STATUS / "no-carrier", "--expect", "2")
    assert "broken: 1 path of 2 expected is alive: eth1 is not =>" in screen
    assert "alive: there are no more =>" in run_status(CASE, "--expect", "3")[1]
    # A LAN is no path that is out, but what mptcp_down took away is one.
    assert "alive: there are no more =>" in run_status(STATUS / "no-gateway", "--expect", "2")[1]
    assert "alive: eth1 is not =>" in run_status(STATUS / "taken-down", "--expect", "2")[1]


@pytest.mark.parametrize("text", ["-1", "0", "1000", "two", "", "1.5", "9" * 5000])
def test_a_number_that_nobody_can_expect(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_status(CASE, "--expect", text) == (USAGE, "")
    said = capsys.readouterr().err
    assert said.startswith("mptcp_status: --expect ") and said.count("\n") == 1
    assert said.endswith(" is wrong: it must be a number from 1 to 999\n")


@pytest.mark.parametrize("arguments, said", [
    (("--openmetrics", "--watch"), "--openmetrics is an answer of its own: give it without "
                                   "--watch"),
    (("--connections", "--expect", "2"), "--connections is an answer of its own: give it without "
                                         "--expect"),
    (("--probe", "--watch"), "--probe is an answer of its own: give it without --watch"),
    (("--report", "eth0"), "--report is an answer of its own: give it without an interface"),
    (("--with-addresses",), "--with-addresses goes with --report alone"),
])
def test_options_that_do_not_go_together(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_status(CASE, *arguments) == (USAGE, "")
    assert capsys.readouterr().err.endswith(f"mptcp_status: error: {said}\n")


@pytest.mark.parametrize("case", sorted(STATUS.iterdir()), ids=attrgetter("name"))
def test_a_plugin_says_one_line_and_one_of_four_numbers(case: Path) -> None:
    """What is found decides, as it does for the screen."""
    found = json.loads(run_status(case, "--json")[1])["findings"]
    code, output = run_status(case, "--nagios")
    text, separator, measured = output.removesuffix("\n").partition(" | ")
    assert output.count("\n") == 1 and separator
    broken = any(one["severity"] == "broken" for one in found)
    assert code == (CRITICAL if broken else WARNING if found else OK)
    assert text.startswith(f"MPTCP {('OK', 'WARNING', 'CRITICAL')[code]} - ")
    assert all(MEASURE.fullmatch(one) for one in measured.split(" ")), measured


def test_a_plugin_tells_who_is_alive_and_what_is_expected() -> None:
    _, output = run_status(CASE, "--nagios", "--expect", "2")
    assert output.startswith("MPTCP OK - 2 paths alive (eth0, eth1) | paths=2;;2:;0;2 findings=0 ")
    _, output = run_status(STATUS / "no-carrier", "--nagios", "--expect", "2")
    assert output.startswith("MPTCP CRITICAL - 1 path of 2 expected is alive: eth1 is not; eth1: ")
    assert "; 1 path alive (eth0) | paths=1;;2:;0;2 findings=2 " in output


def test_a_plugin_says_what_only_root_sees() -> None:
    code, output = run_status(CASE, "--nagios", change=hide_endpoints)
    assert code == OK and output.startswith(
        "MPTCP OK - 2 paths alive (eth0, eth1); not seen: endpoints (only root may see them) | ")


@pytest.mark.parametrize("arguments, said", [
    (("eth9",), "eth9: no such interface, and none on record"),
    (("--expect", "x"), "--expect 'x' is wrong: it must be a number from 1 to 999"),
    (("--expect", ""), "--expect '' is wrong: it must be a number from 1 to 999"),
    (("--expect",), "argument --expect: expected one argument"),
    (("--expct", "2"), "unrecognized arguments: --expct (did you mean --expect?)"),
    (("--json",), "--nagios is an answer of its own: give it without --json"),
    (("--report",), "--report is an answer of its own: give it without --nagios"),
    (("--nagios=2",), "argument --nagios: ignored explicit argument '2'"),
])
def test_a_plugin_says_what_is_wrong_with_its_call(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where Nagios looks for it, on stdout; 2 would be CRITICAL to it."""
    assert run_status(CASE, "--nagios", *arguments) == (UNKNOWN, f"MPTCP UNKNOWN - {said}\n")
    assert capsys.readouterr().err == ""


def make_look(name: str, *findings: Finding) -> PathsLook:
    """A look at one device of that name, with a path that is none of ours."""
    device = Device(name, 2, UP, (), 2 ** 63, 7, False, 0, 0, False)
    path = PathStatus(name, name, UP, 4, "10.0.0.2", 24, "", 254, None, Way("", "", ""), None)
    survey = Survey(KernelState(True, True, False), None, (), (device,), (), (path,), (), (),
                    frozenset(), "", {}, 0, (), frozenset(), None, (), ())
    return PathsLook(0.0, frozenset(), survey, findings, 0.0)


def test_no_text_ends_a_plugins_line_or_begins_its_data() -> None:
    notes = [Finding(NOTE, "any", "eth0", f"a | b\n{number}", "") for number in range(5)]
    status, line = answer_plugin(make_look("e'=|\n0", *notes), 0)
    text, _, measured = line.partition(" | ")
    assert status == WARNING and line.isprintable() and line.isascii()
    assert text.count("eth0: a / b") == 3 and "; and 2 more; 0 paths alive" in text
    assert "'e___\\x0a0_sent'=9223372036854775808c" in measured
    assert answer_unknown(Problem("a | b"))[1] == "MPTCP UNKNOWN - a / b"


def read_metrics(
    case: Path, *arguments: str, change: Callable[[str], str] = str
) -> dict[str, list[tuple[dict[str, str], float]]]:
    """The values by their names, as Prometheus' own parser reads them."""
    code, output = run_status(case, "--openmetrics", *arguments,
                              change=lambda machine: change(machine).rstrip() + NO_SOCKETS)
    assert code == 0 and output.endswith("# EOF\n")
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in parse_metrics(output):
        assert family.documentation and family.type in ("gauge", "counter"), family
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    # node_exporter reads the older format.
    assert {sample.name for family in parse_older(output) for sample in family.samples} == {*found}
    return found


@pytest.mark.parametrize("case", sorted(STATUS.iterdir()), ids=attrgetter("name"))
def test_metrics_say_what_json_says(case: Path) -> None:
    answer = json.loads(run_status(case, "--json")[1])
    found = read_metrics(case)
    assert found["mptcp_ok"] == [({}, answer["ok"])]
    assert sum(value for _, value in found.get("mptcp_findings", ())) == len(answer["findings"])
    kinds = {labels["kind"] for labels, _ in found.get("mptcp_findings", ())}
    assert kinds == {one["kind"] for one in answer["findings"]}
    ours = [path for path in answer["paths"] if path["on_record"]]
    alive = found.get("mptcp_path_alive", [])
    assert [labels["address"] for labels, _ in alive] == [path["address"] for path in ours]
    assert [bool(value) for _, value in alive] == [
        path["works"] and path["outage"] is None for path in ours]
    # Once for a device, however many paths it has.
    carried = {path["device"]: path["device_bytes_sent"] for path in answer["paths"]
               if path["device_bytes_sent"] is not None}
    assert {labels["interface"]: value for labels, value
            in found.get("mptcp_interface_sent_bytes_total", ())} == carried
    assert len(found.get("mptcp_interface_sent_bytes_total", ())) == len(carried)


def test_metrics_have_states_and_counters() -> None:
    found = read_metrics(STATUS / "no-carrier")
    assert [labels["state"] for labels, _ in found["mptcp_path_state"]] == ["alive", "no carrier"]
    assert {labels["fallback"] for labels, _ in found["mptcp_connections"]} == {"no", "yes"}
    assert found["mptcp_fallbacks_total"][0][0] == {"counter": "MPCapableFallbackSYNACK"}
    assert [labels["interface"] for labels, _ in read_metrics(CASE, "eth1")[
        "mptcp_path_alive"]] == ["eth1"]


def test_metrics_leave_out_what_only_root_sees() -> None:
    assert len(read_metrics(CASE)["mptcp_path_backup"]) == 2
    found = read_metrics(CASE, change=hide_endpoints)
    assert "mptcp_path_backup" not in found and len(found["mptcp_path_alive"]) == 2


def test_metrics_have_each_byte_and_any_name() -> None:
    look = make_look('e"\\\n0')
    lines = list(draw_metrics(look, {'e"\\\n0': Rate(8e15, 80.0), "lo": Rate(1, 1)}, ()))
    samples = [sample for family in parse_metrics("\n".join(lines) + "\n")
               for sample in family.samples]
    values = {sample.name: sample.value for sample in samples}
    assert f"{2 ** 63}" in "\n".join(lines)
    assert math.isclose(values["mptcp_interface_sent_bytes_per_second"], 1e15)
    assert values["mptcp_interface_received_bytes_per_second"] == 10
    assert {sample.labels.get("interface") for sample in samples} == {None, 'e"\\\\x0a0'}


def test_watching_in_json_is_a_line_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first knows no rates; the status is the last look's."""
    left = iter(range(2))

    def sleep(_: float) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setattr(stream, "sleep", sleep)
    code, output = run_status(STATUS / "no-carrier", "--watch", "--json")
    looks = [json.loads(line) for line in output.splitlines()]
    assert code == FAILED and len(looks) == 3
    assert all(list(one)[:3] == ["ok", "time", "version"] and not one["ok"] for one in looks)
    assert looks[0]["rates"] == []
    assert {"device": "eth0", "sent": 0, "received": 0} in looks[1]["rates"]
