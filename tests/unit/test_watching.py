# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_status --watch: its pictures on a real terminal of each size, and what of it is lost."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

import pytest

from mptcp_hooks.engine.remembered import Remembered
from mptcp_hooks.status.frame import Head, draw_frame
from mptcp_hooks.status.paint import Paint
from mptcp_hooks.status.survey import UP, Device, Exit, PathStatus
from mptcp_hooks.status.uplinks import Rate, RateLog, Uplink, draw_uplinks, format_rate
from tests.unit.help import ROOT
from tests.unit.screens import open_screen, run_here

CASES = ROOT / "tests/cases/watch"
SIZES = ((80, 24), (100, 30), (120, 40))
WATCHED = f"cd {ROOT} && {sys.executable} -m tests.unit.watched"
HEAD = Head(73_530.0, "client", "2 uplinks, 2 paths", "q leaves")
DEVICE = Device("eth0", 2, UP, (), 1000, 5000, False, 0, 0, False)


def make_path(name: str, link: str = UP, family: int = 4) -> PathStatus:
    return PathStatus(name, name, link, family, "10.1.1.2", 24, "10.1.1.1", 20002, None,
                      Exit("", name, ""), None)


def make_uplink(name: str, rate: float = 0.0, link: str = UP) -> Uplink:
    return Uplink(name, (make_path(name, link),), None, (Rate(rate, rate),), Rate(1e6, 1e6))


def test_pictures_fit_each_size_and_what_stood_there_comes_back() -> None:
    with open_screen(run_here, WATCHED, *SIZES[0]) as screen:
        for width, height in SIZES:
            screen.resize(width, height)
            golden = (CASES / f"{width}x{height}.txt").read_text()
            screen.wait_for(golden.__eq__)
        screen.press("q")
        assert screen.wait_for(lambda seen: seen.endswith("status 1\n")).endswith(
            "before\neth0: sent 39.0 MB, received 780 kB in 11 s\n"
            "eth1: sent 80.0 kB, received 4.0 MB in 11 s\nstatus 1\n")


@pytest.mark.parametrize("key", ["C-c", "Q"])
def test_each_way_to_leave_it_gives_the_screen_back(key: str) -> None:
    with open_screen(run_here, WATCHED, *SIZES[0]) as screen:
        screen.wait_for(lambda shown: "q leaves" in shown)
        screen.press(key)
        seen = screen.wait_for(lambda shown: "status 1\n" in shown)
        assert seen.startswith("before\n") and "UPLINK" not in seen


def test_who_is_stopped_gives_the_screen_back_and_goes_on_with_it() -> None:
    with open_screen(run_here, f"set -m; {WATCHED}; echo stopped $?; read line; fg",
                     *SIZES[0]) as screen:
        golden = (CASES / "80x24.txt").read_text()
        screen.wait_for(golden.__eq__)
        screen.press("C-z")
        seen = screen.wait_for(lambda shown: "stopped 148\n" in shown)
        assert seen.startswith("before\n") and "UPLINK" not in seen
        screen.press("Enter")
        screen.wait_for(golden.__eq__)
        screen.press("q")
        screen.wait_for(lambda shown: "status 1\n" in shown)


def test_a_look_is_taken_to_its_end_before_the_stop(tmp_path: Path) -> None:
    """What it has asked has its time, and that goes on while a process is stopped."""
    looked = tmp_path / "looked"
    with open_screen(run_here, f"set -m; {WATCHED} {looked}; echo stopped $?; read line; fg",
                     *SIZES[0]) as screen:
        screen.wait_for(lambda shown: "stopped 148\n" in shown)
        assert looked.exists()
        screen.press("Enter")
        screen.wait_for((CASES / "80x24.txt").read_text().__eq__)


def test_a_signal_gives_the_screen_back_and_the_keyboard() -> None:
    with open_screen(run_here, f"{WATCHED}; echo ended $?; stty -a | grep -o ' icanon'",
                     *SIZES[0]) as screen:
        screen.wait_for(lambda shown: "q leaves" in shown)
        os.kill(screen.find_command(), signal.SIGTERM)
        seen = screen.wait_for(lambda shown: "status" in shown)
        assert seen == "before\nended 143\n icanon\nstatus 0\n"


def test_of_many_uplinks_those_in_trouble_and_the_busiest_are_shown() -> None:
    uplinks = [make_uplink(f"eth{number}", number * 1e5, "down" if number == 2 else UP)
               for number in range(9)]
    lines = draw_frame(HEAD, uplinks, [["broken: it"], ["path"] * 9], Paint(False, width=80), 14)
    assert [line.split()[0] for line in lines if line.startswith("eth")] == ["eth2", "eth7", "eth8"]
    assert len(lines) == 14 and "6 more uplinks with less traffic" in lines
    assert "broken: it" in lines and lines[-1].startswith("9 more lines")
    # Where nothing else is there, they have all of it.
    lines = draw_frame(HEAD, uplinks, [], Paint(False, width=80), 14)
    assert len([line for line in lines if line.startswith("eth")]) == 5 and len(lines) == 14


@pytest.mark.parametrize("height", [1, 2, 3, 4, 5, 6, 9, 100])
@pytest.mark.parametrize("width", [8, 20, 40, 80])
def test_no_window_is_too_small(width: int, height: int) -> None:
    uplinks = [make_uplink("enx001122334455", 1e5), make_uplink("wlan0", 2e9)]
    lines = draw_frame(HEAD, uplinks, [["broken: " + "word " * 30]] * 3, Paint(
        False, unicode=True, width=width), height)
    assert len(lines) <= height and max(map(len, lines)) <= width
    assert lines[0].startswith("20:25:30" if height > 1 and width > 8 else "")


def test_a_plain_terminal_gets_plain_bars() -> None:
    uplink = Uplink("eth0", (make_path("eth0"),), 0.0441, (Rate(0, 0), Rate(5e5, 1e6)),
                    Rate(1e6, 1e6))
    lines = draw_uplinks([uplink], Paint(False))
    assert all(map(str.isascii, lines))
    assert "####...    1.0 Mbit/s          _=" in lines[1] and " #######  " in lines[2]
    assert "44 ms" in lines[1]


def test_an_uplink_of_both_families_says_which_of_them_is_out() -> None:
    paths = (make_path("eth0"), make_path("eth0", family=6)._replace(link="no carrier"))
    assert "no carrier" in draw_uplinks([Uplink("eth0", paths, None, (), Rate(0, 0))],
                                        Paint(False))[1]


@pytest.mark.parametrize("rate, text", [
    (0, "0 bit/s"), (999, "999 bit/s"), (1000, "1.0 kbit/s"), (47.34e6, "47.3 Mbit/s"),
    (2e9, "2.0 Gbit/s"),
])
def test_rates(rate: float, text: str) -> None:
    assert format_rate(rate) == text


@pytest.mark.parametrize(("gateways", "most"), [
    (("10.1.1.1",), Rate(3e6, 7e6)), (("10.9.9.9",), Rate(3e6, 20.0))])
def test_what_is_remembered_counts_behind_the_same_gateway(
    gateways: tuple[str, ...], most: Rate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was seen since counts where it is more."""
    log = RateLog([Remembered("eth0", gateways, int(7e6), int(1e6), ""),
                   Remembered("eth0", ("10.2.2.2",), int(9e6), int(9e6), "")])
    log.note([DEVICE], {})
    log.note([DEVICE._replace(sent=3000, received=5001)], {"eth0": Rate(3e6, 20.0)})
    path = make_path("eth0")
    # On record, whatever it holds.
    recorded = path._replace(installed=DEVICE)  # type: ignore[arg-type]
    (uplink,) = log.list_uplinks([recorded], {})
    assert uplink.most == most and uplink.now == Rate(3e6, 20.0)
    assert log.sum_up(["eth0", "gone"]) == [("eth0", 2000, 1)]


def test_colours_do_not_move_the_table() -> None:
    uplinks = [make_uplink("eth0", 1e5), make_uplink("eth1", 9e5, "no carrier")]
    coloured, plain = (draw_uplinks(uplinks, Paint(one, unicode=True)) for one in (True, False))
    assert [re.sub("\x1b\\[[0-9;]*m", "", line) for line in coloured] == plain != coloured
