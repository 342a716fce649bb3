# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside the lab's client: compares the installed hooks and mptcp_run with their peers.

`python3 -m tests.bench.measure [GO]`: a program built by Go.

Prints a table and ends with 1 where a bound is exceeded. All times are of a processor; rounds.py
says why. The bound on a hook against Python is 2.5 % above the mean of twenty runs, on a machine
with two processors and three to eight programs ready to run: the same code meets it, and a hook
that takes 5 % more does not.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.bench.rounds import (
    PATH, POST_DOWN, STEPS, UP, Environment, Series, Spent, Times, add, come_and_go,
    find_difference, find_quartile, find_ratio, find_wait, going_first, make_uplink, run,
    take_turns)

ROUNDS = 200
CROWDED_ROUNDS = 8
MANY = 64
# What a program in Python takes at least; Python itself taken down in order, which ours do without.
PYTHON = ("/usr/bin/python3", "-I", "-S", "-c", "pass")
# The same as hooks/start_event starts it: what a hook takes at least.
SHELL = ("/bin/sh", "-c", f"{' '.join(PYTHON)} || :")
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


class Row(NamedTuple):
    """One line of the table: what was measured, the bound, and by what it is measured."""

    case: str
    value: float
    unit: str
    bound: float
    peer: str


class Bystander(NamedTuple):
    """An interface that is left alone, and the bound of finding that out when it comes up."""

    name: str
    bound: float
    environment: Environment


BYSTANDERS = (
    Bystander("lo", 1.08, {"IFACE": "lo", "ADDRFAM": "inet", "METHOD": "loopback"}),
    Bystander("--all", 1.08, {"IFACE": "--all", "ADDRFAM": "meta", "METHOD": "none"}),
    Bystander("an excluded interface", 1.14, {
        "IFACE": "docker0", "ADDRFAM": "inet", "METHOD": "static", "IF_ADDRESS": "172.17.0.1",
        "IF_NETMASK": "16"}),
    Bystander("mptcp off", 1.14, {
        "IFACE": "eth0", "ADDRFAM": "inet", "METHOD": "static", "IF_MPTCP": "off",
        "IF_ADDRESS": "10.1.1.2", "IF_NETMASK": "24", "IF_GATEWAY": "10.1.1.1"}),
)


def main() -> None:
    rows = [*measure_static(), *measure_waits(), measure_first_render(), measure_configuration(),
            *measure_bystanders(), *measure_many(), measure_memory(), *measure_run(sys.argv[1:])]
    print(f"\n{'case':<44}{'value':>12}{'bound':>9}  against")
    for row in rows:
        verdict = "within" if row.value <= row.bound else "OVER"
        print(f"{row.case:<44}{row.value:>8.3f} {row.unit:<3}{row.bound:>9.3f}  "
              f"{row.peer}: {verdict}")
    sys.exit(any(row.value > row.bound for row in rows))


def measure_static() -> list[Row]:
    """One static stanza: coming, being there, and going."""
    environment = make_uplink("eth1", "10.1.2.2", "10.1.2.1")
    up, undo = write_batches(environment)
    series = take_turns(partial(come_and_go, environment), partial(run_classic, environment),
                        partial(run_batches, up, undo), rounds=ROUNDS)
    show(series)
    return [
        # A shell that forks is another kind of work than Python, and weather treats it otherwise.
        compare(series, "if-up.d", "classic script", 1.77),
        compare(series, "if-up.d", "python3 + batch", 1.6),
        compare(series, "already up", "python3 + ip", 1.3),
        compare(series, "if-post-down.d", "python3 + undo", 1.37),
    ]


def measure_waits() -> list[Row]:
    """How long the hooks of a static stanza wait: with two processors, `ip` runs beside them."""
    environment = make_uplink("eth1", "10.1.2.2", "10.1.2.1")
    with going_first():
        series = take_turns(partial(come_and_go, environment), rounds=20)
    return [Row(f"{step}, by the wall clock", find_wait(series[step]), "x", bound,
                "its processor time") for step, bound in zip(STEPS, (0.96, 1.04, 0.95))]


def run_classic(environment: Environment) -> Times:
    spent = run(CLASSIC, environment=environment)
    run("/bin/sh", "-c", "ip rule del from 10.1.2.2; ip route flush table 1")
    return {"classic script": spent}


def run_batches(up: str, undo: str) -> Times:
    """What a hook cannot do without: Python, and `ip` with the same lines."""
    python, version = run(*SHELL), run("/sbin/ip", "-V")
    coming = run("/sbin/ip", "-4", "-batch", up)
    run("/bin/sh", "-c",
        "ip mptcp endpoint flush; ip mptcp limits set subflows 2 add_addr_accepted 0")
    going = run("/sbin/ip", "-4", "-batch", undo)
    return {"python3 + batch": add(python, coming), "python3 + ip": add(python, version),
            "python3 + undo": add(python, going)}


def write_batches(environment: Environment) -> tuple[str, str]:
    """What the hook runs for a stanza that comes up, and to undo it, as files for `ip -batch`."""
    run(UP, environment=environment)
    # The record has the endpoint alone; the hook raises the limits as well.
    up = ["ip mptcp limits set subflows 8 add_addr_accepted 8", *read_recorded("up")]
    undo = [line for line in read_recorded("down") if " mptcp " not in line]
    run(POST_DOWN, environment=environment)
    return write_batch("up", up), write_batch("down", undo)


def measure_first_render() -> Row:
    environment = make_uplink("eth1", "10.1.2.2", "10.1.2.1")

    def render() -> Times:
        run("/bin/sh", "-c", f"rm -rf {KEPT}/* {KEPT}/.limits*")
        spent = run(UP, environment=environment)
        run(POST_DOWN, environment=environment)
        return {"first render": spent}

    series = take_turns(render, rounds=11)
    show(series)
    return Row("if-up.d, first render ever", find_quartile(series["first render"]), "ms", 100,
               "the clock")


def measure_configuration() -> Row:
    """What it costs the way up that there is a mptcp-hooks.conf."""
    environment = make_uplink("eth1", "10.1.2.2", "10.1.2.1")
    CONFIGURATION.parent.mkdir(exist_ok=True)

    def come_up() -> Spent:
        spent = run(UP, environment=environment)
        run(POST_DOWN, environment=environment)
        return spent

    def configured() -> Times:
        CONFIGURATION.write_text(SMALL)
        spent = come_up()
        CONFIGURATION.unlink()
        return {"with configuration": spent}

    series = take_turns(lambda: {"without configuration": come_up()}, configured, rounds=100)
    show(series)
    more = find_difference(series["with configuration"], series["without configuration"])
    return Row("if-up.d, a small mptcp-hooks.conf there", more, "ms", 1, "without it")


def measure_bystanders() -> list[Row]:
    """Calls about interfaces that are not ours."""
    series = take_turns(lambda: {"python3": run(*SHELL), "python3 alone": run(*PYTHON)},
                        *(partial(pass_by, other) for other in BYSTANDERS), rounds=ROUNDS)
    show(series)
    shell = find_difference(series["python3"], series["python3 alone"])
    return [Row("the shell around python3", shell, "ms", 1.5, "python3 alone"), *(
        compare(series, f"{hook}, {other.name}", "python3", bound) for other in BYSTANDERS
        for hook, bound in (("if-up.d", other.bound), ("if-post-down.d", 1.025)))]


def pass_by(other: Bystander) -> Times:
    return {f"{hook}, {other.name}": run(path, environment=other.environment)
            for hook, path in (("if-up.d", UP), ("if-post-down.d", POST_DOWN))}


def measure_many() -> list[Row]:
    """Sixty-four uplinks at once, in rounds with one alone."""
    crowd = Crowd()
    series = take_turns(crowd.come_alone, crowd.come_together, rounds=CROWDED_ROUNDS)
    show(series)
    one, many = crowd.processes["one"], crowd.processes[str(MANY)]
    print(f"processes of mptcp_up --all: {one} for one, {many} for {MANY}")
    return [
        # Whether it grows with the number alone: few rounds, and a bound of its order.
        compare(series, f"mptcp_up --all, {MANY}", "mptcp_up --all, one", 5),
        Row(f"mptcp_up --all, processes for {MANY}", many - one, "", 0, "those for one"),
        compare(series, "one more if-up.d", "the first if-up.d", 1.2),
    ]


class Crowd:
    """Sixty-four uplinks, and one more that also comes alone."""

    def __init__(self) -> None:
        *self.environments, self.last = [
            make_uplink(f"up{number}", f"10.20.{number}.2", f"10.20.{number}.1")
            for number in range(MANY + 1)]
        self.processes: dict[str, int] = {}

    def come_alone(self) -> Times:
        self._add_last()
        times = self._put_back("one")
        run(POST_DOWN, environment=self.last)
        # With many the kernel's eight endpoints are taken; so they are for the first.
        fill_slots()
        times["the first if-up.d"] = self._add_last()
        run(POST_DOWN, environment=self.last)
        run("/sbin/ip", "mptcp", "endpoint", "flush")
        return times

    def come_together(self) -> Times:
        for environment in self.environments:
            run(UP, environment=environment)
        times = self._put_back(str(MANY))
        times["one more if-up.d"] = self._add_last()
        for environment in (*self.environments, self.last):
            run(POST_DOWN, environment=environment)
        return times

    def _add_last(self) -> Spent:
        run(POST_DOWN, environment=self.last)
        return run(UP, environment=self.last)

    def _put_back(self, name: str) -> Times:
        flush_rules()
        self.processes[name] = count_processes("/usr/sbin/mptcp_up", "--all")
        flush_rules()
        return {f"mptcp_up --all, {name}": run("/usr/sbin/mptcp_up", "--all")}


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
    for method, bound, program in (
            ("mptcpize", 3.1, ["/usr/bin/true"]),
            *(("godebug", 2.9, [path, "send", "nowhere", "0"]) for path in go)):
        case = f"mptcp_run, by {method}"
        series = take_turns(lambda: {case: run("/usr/sbin/mptcp_run", *program)},
                            lambda: {"python3 + program": add(run(*PYTHON), run(*program))},
                            rounds=60)
        show(series)
        rows.append(compare(series, case, "python3 + program", bound))
    return rows


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


def flush_rules() -> None:
    run("/bin/sh", "-c", "ip rule flush; ip rule add pref 32766 lookup main; "
        "ip rule add pref 32767 lookup default")


def count_processes(*command: str) -> int:
    """Processes and threads of a command, itself among them.

    A PID namespace numbers what is started in it: its shell, the command's, and one that
    tells its number. `true` keeps the shell from becoming that one.
    """
    script = '"$@" >/dev/null 2>&1; sh -c "echo \\$\\$"; true'
    told = subprocess.run(["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh",
                           *command], stdout=subprocess.PIPE, text=True, env=PATH, check=True)
    return int(told.stdout) - 2


def compare(series: Series, case: str, peer: str, bound: float) -> Row:
    """How much more than its peer one takes."""
    return Row(case, find_ratio(series[case], series[peer]), "x", bound, peer)


def show(series: Series) -> None:
    for name, spent in series.items():
        print(f"{name:<44}{find_quartile(spent):>8.2f} ms")


if __name__ == "__main__":
    main()
