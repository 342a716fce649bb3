# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_status for monitoring systems and bug reports, on the installed package."""

from __future__ import annotations

import json
import re
import signal
import sys
import textwrap
from pathlib import Path

import pytest

from tests.lab.support.lab import NOBODY, SERVER_4, TRANSFER, TWO_UPLINKS, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import MEGABYTE, plug, pull
from tests.lab.support.waiting import wait_for

PAGE = Path(__file__).parents[2] / "docs/monitoring.md"
# Where Debian's node_exporter reads files.
FOLDER = "/var/lib/prometheus/node-exporter"
INTERRUPTIBLE = ("env", "--default-signal=INT")
SECRETS = f"""{TWO_UPLINKS}    wpa-psk\tverysecret
    up /usr/local/bin/notify \\
        address verysecret
    # verysecret
"""
SETTINGS = """\
# The modem at 10.1.2.1, 2001:db9:7::1 and enx52540012ab34 (52:54:00:12:ab:34).
[default]
limits = 8
"""
ASK = "import sys, urllib.request as r; sys.stdout.buffer.write(r.urlopen(sys.argv[1]).read())"


@pytest.fixture
def uplinks(lab: Lab) -> Lab:
    return bring_up(lab)


def bring_up(lab: Lab) -> Lab:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    return lab


def list_blocks(begin: str) -> list[str]:
    """The indented blocks of the page that begin so, and shell blocks."""
    text = PAGE.read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, re.S)
    blocks += map(textwrap.dedent, re.findall(r"(?:^    .*\n)+", text, re.M))
    return [block for block in blocks if begin in block]


def check(lab: Lab, line: str, by: tuple[str, ...] = NOBODY) -> tuple[int, str]:
    done = lab.client.try_run(*by, "sh", "-c", line)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_nagios_hears_of_a_cable(uplinks: Lab) -> None:
    """By the commands of the page, as a user without rights."""
    define, = list_blocks("define command")
    line = re.search(r"command_line +(.*)", define)
    nrpe = re.search(r"command\[check_mptcp\]=(.*)", list_blocks("command[check_mptcp]")[0])
    assert line and nrpe and line[1].replace("$ARG1$", "2") == nrpe[1]
    status, said = check(uplinks, nrpe[1])
    assert status == 1 and said.startswith("MPTCP WARNING - mptcp_monitor does not run")
    Monitor(uplinks)
    status, said = check(uplinks, nrpe[1])
    assert status == 0
    # Where the kernel shows endpoints to root alone, that is said between them.
    assert said.startswith("MPTCP OK - 2 paths alive (eth0, eth1)")
    assert said.partition(" | ")[2].startswith("paths=2;;2:;0;2 ")
    assert check(uplinks, "mptcp_status --nagios eth1")[0] == 0
    pull(uplinks, 1)
    status, said = check(uplinks, nrpe[1])
    assert status == 2 and said.startswith("MPTCP CRITICAL - 1 path of 2 expected is alive: eth1")
    assert check(uplinks, "mptcp_status --nagios eth0")[0] == 0
    assert check(uplinks, "mptcp_status --nagios wlan0") == (
        3, "MPTCP UNKNOWN - wlan0: no such interface, and none on record\n")


def test_a_program_of_ones_own_hears_of_a_cable(uplinks: Lab) -> None:
    line, = list_blocks("|| echo")
    assert check(uplinks, line) == (0, "")
    pull(uplinks, 1)
    assert check(uplinks, line) == (0, "a path is out\n")


def test_bytes_and_subflows_of_a_stream_are_in_the_metrics(uplinks: Lab) -> None:
    receiver = uplinks.server.start(sys.executable, TRANSFER, "listen", SERVER_4, "5002")
    assert receiver.stdout is not None and receiver.stdout.readline() == "listening\n"
    uplinks.client.start(sys.executable, TRANSFER, "stream", SERVER_4, "5002", "300")
    wait_for(lambda: sum(uplinks.count_sent()) > MEGABYTE)
    before = uplinks.count_sent()
    status, text = check(uplinks, "mptcp_status --openmetrics")
    after = uplinks.count_sent()
    values = dict(re.findall(r"^(\S+) (\S+)$", text, re.M))
    names = [f'{{interface="{name}"}}' for name in uplinks.uplinks]
    sent = [float(values[f"mptcp_interface_sent_bytes_total{name}"]) for name in names]
    assert status == 0
    assert all(one <= now <= then for one, now, then in zip(before, sent, after))
    assert sum(before) < sum(sent)
    rates = [float(values[f"mptcp_interface_sent_bytes_per_second{name}"]) for name in names]
    # It is of 26 Mbit/s.
    assert 0.3e6 < sum(rates) < 6e6
    assert [values[f"mptcp_interface_subflows{name}"] for name in names] == ["1", "1"]
    assert values['mptcp_connections{fallback="no"}'] == "1"


# Its package takes ten seconds to install; the format is tests/unit/test_monitoring.py's.
@pytest.mark.long
def test_node_exporter_shows_the_metrics(make_lab: MakeLab) -> None:
    """By the commands of the page; the crontab's are the same."""
    lab = bring_up(make_lab("prometheus-node-exporter"))
    write, = (block for block in list_blocks("cd ") if not block.startswith("*"))
    crontab, = (block for block in list_blocks("cd ") if block.startswith("*"))
    assert [re.sub("/usr/bin/", "", crontab.split(None, 6)[6]).strip()] == [
        " && ".join(write.splitlines())]
    lab.client.run("mkdir", "-p", FOLDER)
    lab.client.run("sh", "-ec", write)
    lab.client.start("prometheus-node-exporter", "--collector.disable-defaults",
                     "--collector.textfile", f"--collector.textfile.directory={FOLDER}",
                     "--web.listen-address=127.0.0.1:9100")

    def scrape() -> str:
        done = lab.client.try_run(sys.executable, "-c", ASK, "http://127.0.0.1:9100/metrics")
        return done.stdout

    text = wait_for(scrape)
    alive = 'mptcp_path_alive{{address="10.1.2.2",device="eth1",family="4",interface="eth1"}} {}'
    assert alive.format(1) in text and "node_textfile_scrape_error 0" in text
    assert f'node_textfile_mtime_seconds{{file="{FOLDER}/mptcp.prom"}}' in text
    # All that the page has rules about.
    named = {*re.findall(r"\b(mptcp_\w+|node_\w+)", list_blocks("groups:")[0])}
    assert named > {"mptcp_path_alive"}
    pull(lab, 1)
    lab.client.run("sh", "-ec", write)
    text = scrape()
    assert alive.format(0) in text
    assert [name for name in named if f"\n{name}" not in text] == []


def test_lines_of_json_go_on_into_a_pipe(uplinks: Lab) -> None:
    watching = uplinks.client.start(*INTERRUPTIBLE, "mptcp_status", "--watch", "--json")
    assert watching.stdout is not None
    first = json.loads(watching.stdout.readline())
    pull(uplinks, 1)
    looks = [json.loads(watching.stdout.readline()) for _ in range(3)]
    watching.send_signal(signal.SIGINT)
    assert watching.communicate()[1] == "" and watching.returncode == 1
    assert first["ok"] and first["rates"] == [] and not looks[-1]["ok"]
    assert first["time"] < looks[0]["time"] < looks[-1]["time"]
    assert {one["device"] for one in looks[-1]["rates"]} >= {"eth0", "eth1"}


def write_report(lab: Lab, *arguments: str, by: tuple[str, ...] = ()) -> str:
    done = lab.client.try_run(*by, "mptcp_status", "--report", *arguments)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.isascii()
    return done.stdout


def test_a_report_has_all_but_addresses_and_secrets(uplinks: Lab) -> None:
    uplinks.set_interfaces(SECRETS)
    uplinks.write("/etc/mptcp-hooks/mptcp-hooks.conf", SETTINGS)
    links = [row["address"] for row in uplinks.client.ask("link") if row["ifname"] != "lo"]
    plug(uplinks, 1)
    before = uplinks.snapshot()
    text = write_report(uplinks)
    assert uplinks.snapshot() == before
    for private in ("10.1.", "10.9", "fe80", "fd00", "2001:db9", "52:54", "5254", "verysecret",
                    *links):
        assert private not in text, private
    sections = dict(re.findall(r"^=== (.*?) ===\n(.*?)(?:\n\n(?====)|\Z)", text, re.M | re.S))
    assert re.search(r"^iproute2 \S", sections["versions"], re.M)
    answer = json.loads(sections["mptcp_status --json"])
    assert [path["address"] for path in answer["paths"]] == ["<net1-host1>", "<net2-host1>"]
    assert "from <net1-host1> lookup" in sections["ip -4 rule"]
    assert "default via <net1-host2> dev eth0" in sections["ip -4 route show table all"]
    assert sections["ip mptcp endpoint"].startswith("<net1-host1> id ")
    assert "net.mptcp.enabled = 1" in sections["sysctl net.mptcp"]
    assert "told IF_ADDRESS=<net1-host1>" in sections["/run/mptcp-hooks/eth0.paths"]
    assert "limits = 8" in sections["/etc/mptcp-hooks/mptcp-hooks.conf"]
    assert "The modem at <net2-host2>, <public-v6-1> and enx<mac-" in text
    interfaces = sections["/etc/network/interfaces"]
    assert "    mptcp-gateway <net2-host2>\n    wpa-psk ...\n    up ...\n" in interfaces


def test_a_report_with_addresses(uplinks: Lab) -> None:
    text = write_report(uplinks, "--with-addresses")
    assert "from 10.1.1.2 lookup" in text and "<net" not in text


def test_a_report_of_a_machine_on_which_nothing_works(uplinks: Lab) -> None:
    """By somebody without rights; the record is damaged, and a program is not there."""
    uplinks.write("/run/mptcp-hooks/eth0.paths", "nonsense\n")
    uplinks.write("/etc/mptcp-hooks/mptcp-hooks.conf", "[nonsense\n")
    uplinks.client.run("rm", "-f", "/usr/bin/journalctl", "/bin/journalctl")
    text = write_report(uplinks, by=NOBODY)
    assert "the program 'journalctl' is not installed" in text
    assert "record-damaged" in text and "=== /etc/network/interfaces ===" in text
