# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_status on the installed package: each thing that breaks is found, and then gone."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from pathlib import Path
from typing import IO, Any

import pytest

from tests.lab.support.breakages import BREAKAGES, Breakage
from tests.lab.support.lab import NOBODY, SERVER_4, TRANSFER, TWO_UPLINKS, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.managers import NetworkManager
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import MEGABYTE
from tests.lab.support.status import NO_MONITOR, ask, find
from tests.lab.support.waiting import wait_for, wait_for_addresses
from tests.unit.screens import open_screen

# Tests that were started in the background pass on that SIGINT is ignored.
INTERRUPTIBLE = ("env", "--default-signal=INT")
# Redirections, as a caller in the shell has them.
CLOSED = [">&-", "<&- >&- 2>&-"]

# What begins a picture.
CLOCK = r"\d\d:\d\d:\d\d"
# As mptcp_monitor does it.
REMEMBER = """\
import sys
sys.path.insert(0, "/usr/share/mptcp-hooks")
from mptcp_hooks.engine.remembered import Remembered, save_uplinks
save_uplinks((Remembered("eth0", ("10.1.1.1",), 90_000_000, 80_000_000, ""),))
"""


@pytest.fixture
def uplinks(lab: Lab) -> Lab:
    """Both uplinks are up, and all is good."""
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    assert find(lab) == ()
    return lab


def wait_for_picture(shown: IO[str]) -> float:
    """Read on until the next picture begins; how long that took, in seconds."""
    began = time.monotonic()
    while not re.match(f"{CLOCK}  ", line := shown.readline()):
        assert line, "no further picture"
    return time.monotonic() - began


def find_size(megabytes: int, pause: float) -> int:
    """The bytes to send so as to be in as many pictures as so many megabytes with one a second.

    `pause` is the time between two pictures here: a slow machine needs more than a second for one.
    """
    return round(megabytes * max(1.0, pause)) * MEGABYTE


def list_standing(answer: Any) -> list[dict[str, Any]]:
    """The paths without the counters, which go on."""
    return [{key: value for key, value in path.items() if "bytes" not in key}
            for path in answer["paths"]]


@pytest.mark.parametrize("breakage", BREAKAGES, ids=[one.name for one in BREAKAGES])
def test_what_breaks_is_found_and_goes(lab: Lab, breakage: Breakage) -> None:
    breakage.prepare(lab)
    breakage.commit(lab)
    assert find(lab) == breakage.finds
    breakage.mend(lab)
    assert find(lab) == breakage.leaves


def test_the_two_ways_to_draw_connections(uplinks: Lab) -> None:
    assert uplinks.client.run("mptcp_status", "-c") == "no MPTCP connections\n"
    uplinks.begin_receiving()
    sender = uplinks.client.start(sys.executable, TRANSFER, "stream", SERVER_4, "5001", "120")
    wait_for(lambda: [total["interface"] for total in ask(uplinks, "-c")["totals"]]
             == ["eth0", "eth1"])
    alone = uplinks.client.run("mptcp_status", "-c", "eth1")
    assert "  eth1 10.1.2.2:" in alone and "  eth0" not in alone
    sender.terminate()
    assert sender.wait(timeout=20) == 0


def test_what_the_configuration_leaves_alone_by_now(uplinks: Lab) -> None:
    """eth1's stanza has an option of its own, and is always meant."""
    monitor = Monitor(uplinks)
    uplinks.write("/etc/mptcp-hooks/mptcp-hooks.conf", "[eth*]\nexclude = yes\n")
    monitor.signal(signal.SIGHUP)
    wait_for(lambda: find(uplinks) == (("note", "one-uplink", None), ("note", "excluded", "eth0")))
    uplinks.client.run("rm", "/etc/mptcp-hooks/mptcp-hooks.conf")
    monitor.signal(signal.SIGHUP)
    wait_for(lambda: find(uplinks) == ())


def test_what_is_left_alone_may_be_pulled_out(uplinks: Lab) -> None:
    monitor = Monitor(uplinks)
    uplinks.write("/etc/mptcp-hooks/mptcp-hooks.conf", "[eth*]\nexclude = yes\n")
    monitor.signal(signal.SIGHUP)
    left_alone = (("note", "one-uplink", None), ("note", "excluded", "eth0"))
    wait_for(lambda: find(uplinks) == left_alone)
    monitor.stop()
    uplinks.client.ip("link set eth0 down")
    assert find(uplinks) == left_alone


def test_one_interface_alone(uplinks: Lab) -> None:
    uplinks.client.run("ip", "rule", "del", "pref", "20002", "from", "10.1.1.2")
    answer = ask(uplinks, "eth1")
    assert [path["interface"] for path in answer["paths"]] == ["eth1"]
    assert [one["interface"] for one in answer["findings"]] == [None]
    assert "uplinks" not in uplinks.client.run("mptcp_status", "eth1")
    assert [one["interface"] for one in ask(uplinks, "eth0", "eth1")["findings"]] == ["eth0", None]


@pytest.mark.parametrize("arguments, said", [
    (["eth9"], "mptcp_status: eth9: no such interface, and none on record\n"),
])
def test_wrong_usage(lab: Lab, arguments: list[str], said: str) -> None:
    done = lab.client.try_run("mptcp_status", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(said)


def test_without_root(uplinks: Lab) -> None:
    """Where the kernel shows endpoints to root alone, that is said, and is no finding."""
    seen = list_standing(ask(uplinks))
    done = uplinks.client.try_run(*NOBODY, "mptcp_status", "--json")
    answer = json.loads(done.stdout)
    kinds = [one["kind"] for one in answer["findings"]]
    assert (done.returncode, done.stderr, kinds) == (0, "", [NO_MONITOR])
    assert [path["leaves_by"] for path in answer["paths"]] == ["eth0", "eth1"]
    if not answer["unseen"]:
        assert list_standing(answer) == seen


def test_it_changes_nothing(uplinks: Lab) -> None:
    # That an address is no duplicate is announced too.
    wait_for_addresses(uplinks.client)
    before = uplinks.snapshot()
    watching = uplinks.client.start("ip", "monitor", "all")
    for arguments in ((), ("--json",), ("--connections",)):
        uplinks.client.try_run("mptcp_status", *arguments)
    watching.terminate()
    assert watching.communicate()[0] == ""
    assert uplinks.snapshot() == before


def test_watching_shows_the_rate_of_each_uplink(uplinks: Lab) -> None:
    """Into a pipe: a picture a second, each with the time before it."""
    watching = uplinks.client.start(*INTERRUPTIBLE, "mptcp_status", "--watch")
    assert watching.stdout is not None
    wait_for_picture(watching.stdout)
    sent = uplinks.transfer(find_size(25, wait_for_picture(watching.stdout)))
    watching.send_signal(signal.SIGINT)
    text, _ = watching.communicate()
    assert watching.returncode == 0 and sent.whole
    _, *pictures = re.split(rf"^({CLOCK})  ", text, flags=re.M)
    assert len(set(pictures[::2])) > 1
    rates = [[float(rate) for rate in re.findall(r"sends +([\d.]+) Mbit/s", one)]
             for one in pictures[1::2]]
    # Each carries 50; a machine that is busy less, as the transfer tells.
    assert all(rate < 60 for pair in rates for rate in pair)
    assert any(len(pair) == 2 and min(pair) > 0.3 * sent.rate for pair in rates), (rates, sent.rate)


def test_watching_on_a_terminal(uplinks: Lab) -> None:
    """What an uplink is known to carry, what it does, and what it did when all is over."""
    uplinks.client.run("/usr/bin/python3", "-c", REMEMBER)
    row = re.compile(r"^(eth\d) +up +[\d.]+ ms  sends +[\d.]+ Mbit/s  (.{7}) +([\d.]+) Mbit/s",
                     re.M)
    with open_screen(uplinks.client.run, "mptcp_status --watch", 100, 30) as screen:
        first, began = screen.wait_for(lambda seen: "UPLINK" in seen), time.monotonic()
        screen.wait_for(lambda seen: seen.splitlines()[0] != first.splitlines()[0])
        transfer = uplinks.begin_transfer(find_size(50, time.monotonic() - began))
        shown = row.findall(screen.wait_for(lambda seen: len(row.findall(seen)) == 2))
        assert [name for name, _, _ in shown] == ["eth0", "eth1"]
        assert shown[0][2] == "80.0" and shown[0][1].endswith("░░") and float(shown[1][2]) < 60
        screen.resize(60, 12)
        seen = screen.wait_for(lambda seen: "MOST" not in seen and "sends" in seen)
        assert max(map(len, seen.splitlines())) <= 60
        screen.press("q")
        seen = screen.wait_for(lambda seen: "status 0\n" in seen)
    assert len(re.findall(r"^eth\d: sent [\d.]+ MB, received ", seen, re.M)) == 2
    assert transfer.finish().whole


def test_watching_goes_on_when_the_device_goes(uplinks: Lab) -> None:
    """A modem that is pulled out may come back."""
    uplinks.client.run("ip", "link", "add", "wwan0", "type", "veth")
    watching = uplinks.client.start(*INTERRUPTIBLE, "mptcp_status", "--watch", "wwan0")
    assert watching.stdout is not None
    wait_for_picture(watching.stdout)
    uplinks.client.run("ip", "link", "del", "wwan0")
    for _ in range(2):
        wait_for_picture(watching.stdout)
    watching.send_signal(signal.SIGINT)
    assert watching.communicate()[1] == ""
    assert watching.returncode == 0


@pytest.mark.parametrize("call", ["mptcp_status", "mptcp_status --json", "mptcp_status -c"])
@pytest.mark.parametrize("streams", CLOSED)
def test_streams_that_the_caller_closed(uplinks: Lab, call: str, streams: str) -> None:
    done = uplinks.client.try_run("sh", "-c", f"TERM=xterm LC_ALL=C.UTF-8 {call} {streams}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("streams", CLOSED)
def test_watching_where_the_caller_closed_the_streams(uplinks: Lab, streams: str) -> None:
    watching = uplinks.client.start(
        *INTERRUPTIBLE, "TERM=xterm", "LC_ALL=C.UTF-8", "sh", "-c",
        f"exec mptcp_status --watch {streams}")
    wait_for(lambda: has_asked(watching.pid))
    watching.send_signal(signal.SIGINT)
    assert watching.communicate(timeout=20) == ("", "")
    # The latter in its first look, which is no watching yet.
    assert watching.returncode in (0, 130)


def has_asked(pid: int) -> bool:
    """Whether a process has waited for a program that it started: its faults are its own then."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[8]) > 0


def test_a_device_whose_name_has_a_control_character(uplinks: Lab) -> None:
    """iproute2 prints it as it is, which JSON does not allow; that of Debian 14 escapes it."""
    uplinks.client.ip("link add name a\x01b type veth peer name peer0")
    links = json.loads(uplinks.client.run("ip", "-j", "link"), strict=False)
    assert "a\x01b" in [link["ifname"] for link in links]
    assert find(uplinks) == ()


@pytest.mark.parametrize("environment, coloured", [
    ({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False),
    ({"TERM": "dumb"}, False),
])
def test_colours_are_for_a_terminal(
    uplinks: Lab, environment: dict[str, str], coloured: bool
) -> None:
    path = {"PATH": "/usr/sbin:/usr/bin", "LC_ALL": "C.UTF-8"}
    done = uplinks.client.try_run("script", "-qec", "mptcp_status", "/dev/null",
                                  env=path | environment)
    assert ("\x1b[32m" in done.stdout) == coloured
    assert "eth1" in done.stdout
    assert "\x1b" not in uplinks.client.run("mptcp_status")


@pytest.mark.parametrize("locale", ["C", "de_DE.ISO-8859-1"])
def test_a_plain_terminal_gets_plain_characters(uplinks: Lab, locale: str) -> None:
    done = uplinks.client.try_run("/usr/sbin/mptcp_status", env={"LC_ALL": locale})
    assert done.returncode == 0 and done.stdout.isascii() and "+- eth0" in done.stdout


@pytest.fixture
def rivals_lab(make_lab: MakeLab) -> Lab:
    """mptcpd and NetworkManager are installed; nothing runs yet."""
    return make_lab("mptcpd", "mptcpd-plugins", "network-manager", without=("udev",))


def test_others_that_manage_the_same_interfaces(rivals_lab: Lab) -> None:
    lab = rivals_lab
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    manager = NetworkManager(lab)
    for number in (1, 2):
        manager.configure(f"eth{number - 1}", "method=manual\n"
                          f"address1=10.1.{number}.2/24,10.1.{number}.1")
    manager.start()
    taken = [("note", "network-manager", device) for device in ("eth0", "eth1")]
    wait_for(lambda: find(lab) == tuple(taken))
    mptcpd = lab.client.start("/usr/libexec/mptcpd")
    wait_for(lambda: ("note", "mptcpd", None) in find(lab))
    mptcpd.terminate()
    mptcpd.wait()
    assert ("note", "mptcpd", None) not in find(lab)
    lab.client.run("nmcli", "device", "set", "eth1", "managed", "no")
    # Where NetworkManager runs ifupdown's hooks, it takes the paths away in its own time.
    wait_for(lambda: lab.client.run("mptcp_up", "eth1") == "" and find(lab) == tuple(taken[:1]))
