"""Runs inside the lab's client: times the installed hooks and mptcp_run against their peers.

`measure.py [GO]`: a program built by Go.

Prints a table and ends with 1 where a bound is exceeded. All times are wall
clock, medians of runs that alternate between a hook and its peers.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

RUNS = 61
ROUNDS = 7
MANY = 64
PYTHON = ("/usr/bin/python3", "-I", "-S", "-c", "pass")
UP = "/etc/network/if-up.d/mptcp_up"
DOWN = "/etc/network/if-down.d/mptcp_down"
POST_DOWN = "/etc/network/if-post-down.d/mptcp_down"
CLASSIC = str(Path(__file__).with_name("classic.sh"))
KEPT = Path("/var/cache/mptcp-hooks")
CONFIGURATION = Path("/etc/mptcp-hooks/mptcp-hooks.conf")
SMALL = """\
[default]
manage = wwan* enx*
exclude = lan0
[wwan*]
flags = subflow backup
manage = yes
[eth1]
table = 505
"""
PATH = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}

Environment = dict[str, str]
Timed = Callable[[], float]


class Row(NamedTuple):
    """One line of the table: what was measured, the bound, and by what it is measured."""

    case: str
    value: float
    unit: str
    bound: float
    peer: str


def main() -> None:
    rows = [*measure_static(), measure_configuration(), *measure_bystanders(), *measure_many(),
            measure_memory(), *measure_run(sys.argv[1:])]
    print(f"\n{'case':<44}{'value':>12}{'bound':>9}  against")
    for row in rows:
        verdict = "within" if row.value <= row.bound else "OVER"
        print(f"{row.case:<44}{row.value:>8.2f} {row.unit:<3}{row.bound:>9.2f}  "
              f"{row.peer}: {verdict}")
    sys.exit(any(row.value > row.bound for row in rows))


def measure_static() -> list[Row]:
    """One static stanza: coming, being there, going, and rendered for the first time."""
    environment = make_uplink("eth1", "10.1.2.2", "10.1.2.1")
    run(UP, environment=environment)
    lines = read_recorded("up")
    # Of one endpoint alone; the hook raises the limits as well.
    lines.insert(0, "ip mptcp limits set subflows 2 add_addr_accepted 1")
    undo = [line for line in read_recorded("down") if " mptcp " not in line]
    run(POST_DOWN, environment=environment)
    up, undone = write_batch("up", lines), write_batch("down", undo)

    def hook_up() -> float:
        run(POST_DOWN, environment=environment)
        return run(UP, environment=environment)

    def classic() -> float:
        run(POST_DOWN, environment=environment)
        spent = run(CLASSIC, environment=environment | PATH)
        run("/bin/sh", "-c", "ip rule del from 10.1.2.2; ip route flush table 1")
        return spent

    def batch_up() -> float:
        run(POST_DOWN, environment=environment)
        spent = run(*PYTHON) + run("/sbin/ip", "-4", "-batch", up)
        run("/bin/sh", "-c", "ip mptcp endpoint flush; ip mptcp limits set subflows 2 "
            f"add_addr_accepted 0; ip -4 -batch {undone}")
        return spent

    def hook_again() -> float:
        run(UP, environment=environment)
        return run(UP, environment=environment)

    def python_and_ip() -> float:
        return run(*PYTHON) + run("/sbin/ip", "-V")

    def hook_down() -> float:
        run(UP, environment=environment)
        run(DOWN, environment=environment)
        return run(POST_DOWN, environment=environment)

    def batch_down() -> float:
        run(UP, environment=environment)
        run(DOWN, environment=environment)
        spent = run(*PYTHON) + run("/sbin/ip", "-4", "-batch", undone)
        run(POST_DOWN, environment=environment)
        return spent

    def first_render() -> float:
        run(POST_DOWN, environment=environment)
        run("/bin/sh", "-c", f"rm -rf {KEPT}/* {KEPT}/.limits*")
        return run(UP, environment=environment)

    coming, old, plain, there, little, going, gone = alternate(
        hook_up, classic, batch_up, hook_again, python_and_ip, hook_down, batch_down)
    (rendering,) = alternate(first_render, runs=11)
    run(POST_DOWN, environment=environment)
    show(if_up=coming, classic=old, python_and_batch=plain, already_up=there,
         python_and_ip=little, if_post_down=going, python_and_undo=gone, first_render=rendering)
    return [
        Row("if-up.d, unchanged static stanza", coming / old, "x", 1.6, "the classic script"),
        Row("if-up.d, unchanged static stanza", coming / plain, "x", 1.3,
            "python3 + ip -batch of the same"),
        Row("if-up.d, already up", there / little, "x", 1.3, "python3 + one ip"),
        Row("if-post-down.d", going / gone, "x", 1.3, "python3 + ip -batch of the same"),
        Row("if-up.d, first render ever", rendering, "ms", 100, "the clock"),
    ]


def measure_configuration() -> Row:
    """What it costs the way up that there is a mptcp-hooks.conf."""
    environment = make_uplink("eth1", "10.1.2.2", "10.1.2.1")
    CONFIGURATION.parent.mkdir(exist_ok=True)

    def without() -> float:
        run(POST_DOWN, environment=environment)
        CONFIGURATION.unlink(missing_ok=True)
        return run(UP, environment=environment)

    def with_one() -> float:
        run(POST_DOWN, environment=environment)
        CONFIGURATION.write_text(SMALL)
        return run(UP, environment=environment)

    bare, configured = alternate(without, with_one)
    without()
    run(POST_DOWN, environment=environment)
    show(without_configuration=bare, with_configuration=configured)
    return Row("if-up.d, a small mptcp-hooks.conf there", configured - bare, "ms", 1,
               "without it")


def measure_bystanders() -> list[Row]:
    """Calls about interfaces that are not ours."""
    others = {
        "lo": {"IFACE": "lo", "ADDRFAM": "inet", "METHOD": "loopback"},
        "--all": {"IFACE": "--all", "ADDRFAM": "meta", "METHOD": "none"},
        "an excluded interface": {"IFACE": "docker0", "ADDRFAM": "inet", "METHOD": "static",
                                  "IF_ADDRESS": "172.17.0.1", "IF_NETMASK": "16"},
        "mptcp off": {"IFACE": "eth0", "ADDRFAM": "inet", "METHOD": "static", "IF_MPTCP": "off",
                      "IF_ADDRESS": "10.1.1.2", "IF_NETMASK": "24", "IF_GATEWAY": "10.1.1.1"},
    }
    rows = []
    for name, environment in others.items():
        for hook in (UP, POST_DOWN):
            spent, bare = alternate(lambda: run(hook, environment=environment),
                                    lambda: run(*PYTHON))
            rows.append(Row(f"{hook.split('/')[3]}, {name}", spent / bare, "x", 1.25, "python3"))
    return rows


def measure_many() -> list[Row]:
    """Sixty-four uplinks at once, in rounds that alternate with one alone."""
    *environments, last = [make_uplink(f"up{number}", f"10.20.{number}.2", f"10.20.{number}.1")
                           for number in range(MANY + 1)]
    spent: dict[str, list[float]] = {"one": [], "all": [], "first": [], "one_more": []}
    processes: dict[str, list[int]] = {"one": [], "all": []}

    def one_more() -> float:
        run(POST_DOWN, environment=last)
        return run(UP, environment=last)

    def put_back(name: str) -> None:
        run("/bin/sh", "-c", "ip rule flush; ip rule add pref 32766 lookup main; "
            "ip rule add pref 32767 lookup default")
        before = count_processes()
        spent[name].append(run("/usr/sbin/mptcp_up", "--all"))
        processes[name].append(count_processes() - before)

    for _ in range(ROUNDS):
        one_more()
        put_back("one")
        run(POST_DOWN, environment=last)
        # With many the kernel's eight endpoints are taken; so they are for the first.
        fill_slots()
        spent["first"] += [one_more() for _ in range(3)]
        run(POST_DOWN, environment=last)
        run("/sbin/ip", "mptcp", "endpoint", "flush")
        for environment in environments:
            run(UP, environment=environment)
        put_back("all")
        spent["one_more"] += [one_more() for _ in range(3)]
        run("/usr/sbin/mptcp_down", "--all")
    medians = {name: statistics.median(times) for name, times in spent.items()}
    few, many = min(processes["one"]), min(processes["all"])
    print(f"processes of mptcp_up --all: {few} for one, {many} for {MANY}")
    show(**{f"with_many_{name}": median for name, median in medians.items()})
    return [
        Row(f"mptcp_up --all, {MANY} interfaces, rules flushed", medians["all"] / medians["one"],
            "x", 5, "one interface"),
        Row(f"mptcp_up --all, processes for {MANY}", many - few, "", 0, "those for one"),
        Row(f"one more if-up.d with {MANY} set up", medians["one_more"] / medians["first"], "x",
            1.2, "the first"),
    ]


def fill_slots() -> None:
    """Take the kernel's eight endpoints for somebody else."""
    for number in range(8):
        run("/sbin/ip", "mptcp", "endpoint", "add", f"10.77.0.{number + 1}", "signal")


def measure_memory() -> Row:
    """The peak of a hook that does not render."""
    environment = make_uplink("eth1", "10.1.2.2", "10.1.2.1")
    run(UP, environment=environment)
    run(POST_DOWN, environment=environment)
    # A child begins with its parent's peak; sh has a small one.
    child = os.posix_spawn("/bin/sh", ["sh", "-c", f"exec {UP}"], environment)
    _, _, usage = os.wait4(child, 0)
    run(POST_DOWN, environment=environment)
    return Row("peak memory of if-up.d, kept commands", usage.ru_maxrss / 1024, "MB", 16,
               "the kernel's count")


def measure_run(go: list[str]) -> list[Row]:
    """What mptcp_run takes before a program starts; the Go program is wrong called, and ends."""
    rows = []
    for method, program in (("mptcpize", ["/usr/bin/true"]),
                            *(("godebug", [path, "send", "nowhere", "0"]) for path in go)):
        forced, bare = alternate(lambda: run("/usr/sbin/mptcp_run", *program),
                                 lambda: run(*program))
        show(**{f"{method}_forced": forced, f"{method}_bare": bare})
        rows.append(Row(f"mptcp_run, by {method}", forced - bare, "ms", 30, "the program itself"))
    return rows


def make_uplink(device: str, address: str, gateway: str) -> Environment:
    """A device with its address, and the environment that ifupdown passes for it."""
    if not Path(f"/sys/class/net/{device}").exists():
        run("/sbin/ip", "link", "add", device, "type", "veth", "peer", "name", f"p{device}")
    run("/sbin/ip", "link", "set", device, "up")
    run("/sbin/ip", "addr", "replace", f"{address}/24", "dev", device)
    return {
        "IFACE": device, "LOGICAL": device, "ADDRFAM": "inet", "METHOD": "static",
        "MODE": "start", "PHASE": "post-up", "VERBOSITY": "0", "IF_ADDRESS": address,
        "IF_NETMASK": "255.255.255.0", "IF_GATEWAY": gateway, **PATH,
    }


def list_records() -> list[Path]:
    return list(Path("/run/mptcp-hooks").glob("*.paths"))


def read_recorded(word: str) -> list[str]:
    (record,) = list_records()
    return [line.partition(" ")[2] for line in record.read_text().splitlines()
            if line.startswith(f"{word} ")]


def write_batch(name: str, lines: list[str]) -> str:
    path = Path(f"/run/{name}.batch")
    path.write_text("".join(line.removeprefix("ip ").removeprefix("-4 ") + "\n"
                            for line in lines))
    return str(path)


def count_processes() -> int:
    """Processes started on the machine since it booted."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith("processes "):
            return int(line.split()[1])
    raise ValueError("no count of processes in /proc/stat")


def run(program: str, *arguments: str, environment: Environment = PATH) -> float:
    """Run a program to its end; milliseconds."""
    began = time.perf_counter()
    child = os.posix_spawn(program, [program, *arguments], environment, file_actions=[
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, 1, 2)])
    os.waitpid(child, 0)
    return (time.perf_counter() - began) * 1000


def alternate(*timed: Timed, runs: int = RUNS) -> list[float]:
    """The median of each, all of them in turn."""
    for one in timed:
        one()
    spent = [[one() for one in timed] for _ in range(runs)]
    return [statistics.median(column) for column in zip(*spent)]


def show(**medians: float) -> None:
    for name, median in medians.items():
        print(f"{name.replace('_', ' '):<44}{median:>8.2f} ms")


if __name__ == "__main__":
    main()
