# SPDX-License-Identifier: GPL-2.0-or-later
"""The import budget: a module that a hook loads costs every boot, so each one is listed here."""

from __future__ import annotations

import pytest

from tests.lab.support.lab import Lab
from tests.lab.support.uplink import ETH1

# Part of the interpreter: no file is read for them.
BUILT_IN = {"_collections", "_socket", "_struct", "binascii", "fcntl", "gc", "marshal", "posix",
            "syslog", "time"}
DOOR = {"hook", "loader", "base", "base.errors", "base.folder"}
BYSTANDER = DOOR | {
    "base.address", "base.numbering", "base.value", "intent", "intent.event", "intent.settings"}
GOING = DOOR | {
    "base.address", "base.line", "base.model", "base.numbering", "base.spawn", "base.value",
    "machine", "machine.netlink", "machine.runner",
    "engine", "engine.carry_out", "engine.command_cache", "engine.commands", "engine.limits",
    "engine.record", "engine.take_down", "engine.work"}
KNOWN = BYSTANDER | GOING - {"engine.take_down"} | {
    "engine.books", "engine.bring_up", "engine.compare", "engine.plan", "machine.system"}
CONFIGURED = {"intent.configuration", "intent.inifile", "intent.pattern"}
# Of a file that says something of some interfaces, and not of others.
SELECTING = CONFIGURED | {"machine.altnames"}
# Of what belongs to an uplink besides its address.
CONTESTED = {"base.mark", "engine.belongings", "engine.clashes", "engine.contests"}


# What the hook in each folder starts, with that hook's path.
EVENT = "/usr/share/mptcp-hooks/hooks/event"
# Runs the program that its argument names, and prints what modules there are at its end.
SHOW = """\
import posix, sys
end = posix._exit
def tell(status):
    print(*sys.modules, sep="\\n", flush=True)
    end(status)
posix._exit = tell
del sys.argv[0]
exec(compile(open(sys.argv[0]).read(), sys.argv[0], "exec"))
tell(0)
"""


def list_imports(lab: Lab, folder: str, environment: dict[str, str]) -> set[str]:
    """The modules that a hook loads beyond bare Python, ours by their short names."""
    name = "mptcp_up" if folder == "if-up.d" else "mptcp_down"
    loaded, always = (
        set(lab.client.try_run("/usr/bin/python3", "-IS", "-c", *script, env=environment)
            .stdout.splitlines())
        for script in ((SHOW, EVENT, f"/etc/network/{folder}/{name}"), (SHOW, "/dev/null")))
    assert "mptcp_hooks.hook" in loaded
    return {module.removeprefix("mptcp_hooks.") for module in loaded - always} - BUILT_IN - {
        "mptcp_hooks", "__future__"}


def test_the_way_up_with_kept_commands(link: Lab) -> None:
    link.run_hook("if-up.d", ETH1)
    link.run_hook("if-post-down.d", ETH1)
    assert list_imports(link, "if-up.d", ETH1) == KNOWN | {"engine.make_changes"}
    assert link.endpoints() == ["10.1.2.2 eth1 subflow"]


def test_the_way_up_with_a_configuration(link: Lab) -> None:
    link.write("/etc/mptcp-hooks/mptcp-hooks.conf", "[eth*]\nflags = subflow backup\n")
    link.run_hook("if-up.d", ETH1)
    assert list_imports(link, "if-up.d", ETH1) == KNOWN | SELECTING
    assert link.endpoints() == ["10.1.2.2 eth1 subflow backup"]


@pytest.mark.parametrize("text, changes, modules", [
    ("", {"IF_MPTCP_CHECK": "gateway"}, set()),
    ("[default]\ncheck = gateway\n", {}, CONFIGURED),
    ("[eth9]\ncheck = gateway\n", {}, SELECTING)])
def test_the_way_up_with_a_check(
    link: Lab, text: str, changes: dict[str, str], modules: set[str]
) -> None:
    if text:
        link.write("/etc/mptcp-hooks/mptcp-hooks.conf", text)
    link.run_hook("if-up.d", ETH1 | changes)
    assert list_imports(link, "if-up.d", ETH1 | changes) == (
        KNOWN | {"intent.checks"} | modules)


@pytest.mark.parametrize("changes, modules", [
    ({"IF_MPTCP_MARK": "1"}, CONTESTED),
    ({"IF_MPTCP_SOURCES": "10.8.0.0/16"}, CONTESTED),
    ({"IF_MPTCP_MARK": "off"}, {"base.mark"})])
def test_the_way_up_with_what_belongs_to_an_uplink(
    link: Lab, changes: dict[str, str], modules: set[str]
) -> None:
    link.run_hook("if-up.d", ETH1 | changes)
    assert list_imports(link, "if-up.d", ETH1 | changes) == (
        KNOWN | {"intent.belongings"} | modules)


def test_the_way_up_of_what_is_up(link: Lab) -> None:
    link.run_hook("if-up.d", ETH1)
    assert list_imports(link, "if-up.d", ETH1) == KNOWN


@pytest.mark.parametrize("folder", ["if-down.d", "if-post-down.d"])
def test_the_way_down(link: Lab, folder: str) -> None:
    link.run_hook("if-up.d", ETH1)
    assert list_imports(link, folder, ETH1) == GOING
    assert link.endpoints() == []


@pytest.mark.parametrize("changes", [
    {"IFACE": "lo", "METHOD": "loopback"}, {"IFACE": "--all", "ADDRFAM": "meta"},
    {"IFACE": "docker0", "IF_GATEWAY": ""}, {"IF_MPTCP": "off"},
])
def test_interfaces_that_are_not_ours(link: Lab, changes: dict[str, str]) -> None:
    loaded = list_imports(link, "if-up.d", ETH1 | changes)
    assert loaded <= BYSTANDER
    assert list_imports(link, "if-post-down.d", ETH1 | changes) == DOOR
