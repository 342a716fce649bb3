# SPDX-License-Identifier: GPL-2.0-or-later
"""Records of other versions, damaged ones and lost ones, on a real kernel: nothing stays behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.support.faults import break_ip, mend_ip
from tests.lab.support.lab import TWO_UPLINKS, Lab
from tests.lab.support.package import RECORD_STAYS
from tests.lab.support.status import find, list_findings
from tests.lab.support.uplink import ETH1

CASES = sorted((Path(__file__).parents[1] / "cases/records").iterdir())
NAMES = [case.name for case in CASES]
ADDRESSES = ("10.1.1.2/24 dev eth0", "fd00:1::2/64 dev eth0 nodad", "10.1.2.2/24 dev eth1",
             "10.1.2.9/24 dev eth1")
RECORD = "/run/mptcp-hooks/eth1.paths"
# What ifup tells of eth1's stanza.
STANZA = {name: value for name, value in ETH1.items() if name != "IF_GATEWAY"} | {
    "IF_NETMASK": "255.255.255.0", "IF_MPTCP_GATEWAY": "10.1.2.1"}
# What becomes of a record, as a command line of its file.
DAMAGES = {
    "garbage": f"echo nonsense >{RECORD}",
    "empty": f": >{RECORD}",
    "half": f"head -c 600 {RECORD} >/run/half; cat /run/half >{RECORD}",
    "no end": f"sed -i '$d' {RECORD}",
    "no header": f"sed -i 1d {RECORD}",
    "no address": f"sed -i '/^address/d' {RECORD}",
    "another line": f"echo >>{RECORD}",
    "newer": f"sed -i -e '1s/1/2/' -e 's/^family/kind/' {RECORD}",
    "removed": f"rm {RECORD}",
}


@pytest.fixture
def uplinks(lab: Lab) -> Lab:
    """Both uplinks are up."""
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    return lab


def play(lab: Lab, case: Path) -> str:
    """Make what a version made, and put its record in place; the state before."""
    lab.client.ip("link set eth0 up", "link set eth1 up")
    for address in ADDRESSES:
        lab.client.run("ip", "addr", "add", *address.split())
    before = lab.snapshot()
    files = {file.name: file.read_text() for file in sorted(case.iterdir())}
    ups = [line.removeprefix("up ") for name, text in files.items() if name.endswith(".paths")
           for line in text.splitlines() if line.startswith("up ")]
    lab.client.run("sh", "-ec", "\n".join([*ups, "ip mptcp limits set subflows 3 "
                                                 "add_addr_accepted 3"]))
    for name, text in files.items():
        lab.write(f"/run/mptcp-hooks/{name}", text)
    return before


def take_down(lab: Lab) -> str:
    """The state without anything of ours."""
    lab.client.run("mptcp_down", "--all")
    return lab.snapshot()


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_a_package_that_is_removed_takes_what_any_version_made(lab: Lab, case: Path) -> None:
    before = play(lab, case)
    assert lab.snapshot() != before
    lab.client.run("dpkg", "--remove", "mptcp-hooks")
    assert lab.snapshot() == before


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_what_any_version_made_goes_on(lab: Lab, case: Path) -> None:
    before = play(lab, case)
    endpoints = lab.client.ask("mptcp", "endpoint")
    done = lab.client.try_run("mptcp_up", "--all")
    assert done.stderr.count("\n") == (4 if case.name == "without-end" else 0), done.stderr
    assert lab.client.ask("mptcp", "endpoint") == endpoints
    assert find(lab) == ()
    assert lab.client.run("mptcp_up", "--all", "--dry-run") == ""
    assert take_down(lab) == before


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("way", ["mptcp_up eth1", "mptcp_up --all", "if-up.d"])
def test_whatever_becomes_of_a_record_an_up_makes_it_whole(
    uplinks: Lab, way: str, damage: str
) -> None:
    full = uplinks.snapshot()
    uplinks.client.run("sh", "-ec", DAMAGES[damage])
    done = uplinks.run_hook(way, STANZA) if way == "if-up.d" else uplinks.client.try_run(
        *way.split())
    assert done.stderr.count("mptcp-hooks/eth1.paths is ") == (damage != "removed")
    assert uplinks.snapshot() == full
    assert find(uplinks) == ()
    take_down(uplinks)
    assert (uplinks.rules(), uplinks.endpoints()) == ([], [])


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name != "removed"])
@pytest.mark.parametrize("way", ["mptcp_down eth1", "ifdown eth1"])
def test_whatever_becomes_of_a_record_a_down_takes_the_endpoint_and_all_that_it_knows(
    uplinks: Lab, way: str, damage: str
) -> None:
    uplinks.client.run("mptcp_down", "eth1")
    clean = uplinks.snapshot()
    uplinks.client.run("mptcp_up", "eth1")
    uplinks.client.run("sh", "-ec", DAMAGES[damage])
    said = uplinks.client.try_run(*way.split()).stderr
    assert said.count("\n") == 1 and "mptcp-hooks/eth1.paths is " in said
    assert "10.1.2.2 eth1 subflow" not in uplinks.endpoints()
    if damage in ("garbage", "empty"):
        # The line names what finds the rest again.
        assert "'mptcp_up eth1'" in said
        uplinks.client.ip("addr replace 10.1.2.2/24 dev eth1", "link set eth1 up")
        uplinks.client.run("sh", "-ec", "mptcp_up eth1; mptcp_down eth1")
    assert uplinks.snapshot() == clean


def test_what_mptcp_status_advises_for_a_damaged_record(uplinks: Lab) -> None:
    full = uplinks.snapshot()
    for number, rest in ((1, full), (3, None)):
        uplinks.client.run("sh", "-ec", DAMAGES["no end"])
        (found,) = list_findings(uplinks)
        assert (found["kind"], found["interface"]) == ("record-damaged", "eth1")
        uplinks.client.try_run("sh", "-c", found["remedy"].split("'")[number])
        assert [one["kind"] for one in list_findings(uplinks)] == (
            [] if rest else ["one-uplink", "taken-down"])
        assert rest is None or uplinks.snapshot() == rest


def test_what_mptcp_status_advises_for_damaged_limits(uplinks: Lab) -> None:
    uplinks.client.run("sh", "-ec", "echo nonsense >/run/mptcp-hooks/limits")
    (found,) = list_findings(uplinks)
    assert found["text"] == "/run/mptcp-hooks/limits is damaged"
    uplinks.client.try_run("sh", "-c", found["remedy"].strip("'"))
    assert find(uplinks) == ()


def test_a_record_that_is_not_roots_own_is_removed_as_it_says(uplinks: Lab) -> None:
    full = uplinks.snapshot()
    uplinks.client.run("chown", "nobody", RECORD)
    (found,) = list_findings(uplinks)
    assert found["text"] == f"{RECORD} is not a file of root's own"
    done = uplinks.client.try_run("mptcp_up", "eth1")
    assert done.stderr == f"mptcp_up: {RECORD} is not a file of root's own: remove it\n"
    assert found["remedy"].startswith("remove it, and then 'mptcp_up eth1'")
    uplinks.client.run("rm", RECORD)
    uplinks.client.run("mptcp_up", "eth1")
    assert uplinks.snapshot() == full and find(uplinks) == ()
    take_down(uplinks)
    assert (uplinks.rules(), uplinks.endpoints()) == ([], [])


def test_a_removal_that_fails_keeps_the_record_and_says_so(
    uplinks: Lab, request: pytest.FixtureRequest
) -> None:
    deb = request.getfixturevalue("deb")
    break_ip(uplinks, "rule del pref 20002 from 10.1.1.2")
    done = uplinks.client.try_run("dpkg", "--remove", "mptcp-hooks")
    mend_ip(uplinks)
    assert done.returncode == 0
    assert RECORD_STAYS in done.stderr.splitlines()
    assert len(uplinks.rules()) == 1
    uplinks.client.run("dpkg", "-i", str(deb))
    take_down(uplinks)
    assert uplinks.rules() == []
    uplinks.client.run("dpkg", "--remove", "mptcp-hooks")
    assert uplinks.client.try_run("ls", "-d", "/run/mptcp-hooks").stdout == ""
