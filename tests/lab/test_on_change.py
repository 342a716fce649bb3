# SPDX-License-Identifier: GPL-2.0-or-later
"""People's own programs hear of each path that dies and comes back, and can do no harm by it."""

from __future__ import annotations

from tests.lab.support.lab import TWO_UPLINKS, Lab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import BOTH, plug, pull
from tests.lab.support.waiting import wait_for

FOLDER = "/etc/mptcp-hooks/on-change.d"
TOLD = "/var/tmp/told"
TELL = (f"#!/bin/sh\n{{ env | sort; ls /proc/self/fd | wc -l; }} >>{TOLD}.new\n"
        f"mv {TOLD}.new {TOLD}\n")
# Ends by no signal that it can hear, and has a child that does not, either.
HANG = "#!/bin/sh\ntrap '' TERM HUP\nsleep 77.31 &\nsleep 77.31\n"
PROGRAMS = {"10-tell": TELL, "20-fails": "#!/bin/sh\nexit 3\n", "21-dies": "#!/bin/sh\nkill $$\n",
            "30-loud": "#!/bin/sh\nexec head -c 1G /dev/zero\n", "40-no-program": "\0\0"}
ALWAYS = ["LC_ALL=C.UTF-8",
          "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]


def install(lab: Lab, name: str, text: str, mode: str = "755") -> None:
    lab.write(f"{FOLDER}/{name}", text)
    lab.client.run("chmod", mode, f"{FOLDER}/{name}")


def find_running(lab: Lab, words: str) -> list[str]:
    """The numbers of the lab's own processes whose call has these words, the oldest first."""
    return lab.client.try_run("pgrep", "--ns", str(lab.client.pid), "--nslist", "net", "-f",
                              words).stdout.split()


def read_told(lab: Lab) -> list[str]:
    """What 10-tell was given, once it was started, and how many descriptors; its own words not."""
    wait_for(lambda: lab.client.try_run("test", "-e", TOLD).returncode == 0)
    told = lab.read(TOLD).splitlines()
    lab.client.run("rm", TOLD)
    return [line for line in told if not line.startswith(("PWD=", "_=", "SHLVL=", "OLDPWD="))]


def test_programs_hear_of_paths_and_cost_nothing_else(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    for name, text in PROGRAMS.items():
        install(lab, name, text)
    install(lab, "50-no-right", TELL, "644")
    install(lab, "51-anybodys", TELL, "777")
    install(lab, ".hidden", TELL)
    lab.client.run("ln", "-s", "/bin/true", f"{FOLDER}/52-link")
    monitor = Monitor(lab)
    monitor.rest()
    # What is there when it begins is no change.
    assert lab.client.try_run("test", "-e", TOLD).returncode == 1
    pull(lab, 1)
    # Input, output, errors, and that of ls.
    assert read_told(lab) == [
        "ADDRESS=10.1.2.2", "IFACE=eth1", *ALWAYS[:1], "OLD_STATE=alive", *ALWAYS[1:], "STATE=dead",
        "WHY=no carrier", "4"]
    wait_for(lambda: any("52-link" in line for line in monitor.read_words()))
    words = [line for line in monitor.read_words() if FOLDER in line]
    assert words == [f"{FOLDER}/{text}" for text in (
        "20-fails failed: exit status 3", "21-dies failed: ended by signal 15",
        "40-no-program: cannot be run: Exec format error",
        "50-no-right is not executable: chmod +x it, or remove it",
        "51-anybodys is not root's own: it must belong to root, and nobody else may write there",
        "52-link is a symbolic link, which is not followed: put the program itself there")]
    lab.client.run("sh", "-c", f"cd {FOLDER} && rm [2-5]*")
    install(lab, "05-hangs", HANG)
    plug(lab, 1)
    # The monitor does its work meanwhile; and no second one is started for the same path.
    wait_for(lambda: lab.endpoints() == BOTH)
    pull(lab, 1)
    wait_for(lambda: lab.endpoints() == BOTH[:1])
    assert len(find_running(lab, "05-hangs")) == 1
    plug(lab, 1)
    wait_for(lambda: lab.endpoints() == BOTH)
    assert "STATE=alive" in read_told(lab)
    assert find_running(lab, "sleep 77.31") == []
    (said,) = [line for line in monitor.read_words() if "05-hangs" in line]
    assert said == f"{FOLDER}/05-hangs took more than 10 s and was killed"
    assert monitor.is_running()


def test_they_keep_no_other_monitor_from_its_work_and_end_by_a_signal(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    install(lab, "05-hangs", HANG)
    install(lab, "10-tell", TELL)
    monitor = Monitor(lab)
    monitor.rest()
    pull(lab, 1)
    wait_for(lambda: find_running(lab, "sleep 77.31"))
    program = find_running(lab, "05-hangs")[0]
    assert monitor.stop() == 0
    other = Monitor(lab)
    # With what it runs, and what comes after that is not begun.
    lab.client.run("kill", lab.client.run("ps", "-o", "ppid=", "-p", program).strip())
    wait_for(lambda: not find_running(lab, "sleep 77.31"))
    assert lab.client.try_run("test", "-e", TOLD).returncode == 1
    assert [line for line in other.read_words() if "05-hangs" in line] == []
    assert other.is_running()
