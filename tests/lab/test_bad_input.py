# SPDX-License-Identifier: GPL-2.0-or-later
"""Values, templates and folders that are not what they must be: ifup lives, nothing is set up."""

from __future__ import annotations

import signal
import sys

import pytest

from tests.lab.support.lab import Lab
from tests.lab.support.paths import RULES
from tests.lab.support.status import find
from tests.lab.support.uplink import ETH1, LEAVE, down, up
from tests.lab.support.waiting import wait_for


@pytest.mark.parametrize("variable, value, option, allowed", [
    ("IF_ADDRESS", "10.1.2", "address", "an IPv4 or IPv6 address"),
    ("IF_ADDRESS", "010.1.2.2", "address", "an IPv4 or IPv6 address"),
    ("IF_ADDRESS", "10.1.2.2;reboot", "address", "an IPv4 or IPv6 address"),
    ("IF_ADDRESS", "10.1.2.2 10.1.2.3", "address", "an IPv4 or IPv6 address"),
    ("IF_ADDRESS", "0.0.0.0", "address", "an address that one host can have"),
    ("IF_ADDRESS", "224.0.0.1", "address", "an address that one host can have"),
    ("IF_ADDRESS", "fd00::1", "address", "of the stanza's family"),
    ("IF_NETMASK", "255.0.255.0", "netmask", "a length (24) or a mask (255.255.255.0)"),
    ("IF_NETMASK", "33", "netmask", "a length (24) or a mask (255.255.255.0)"),
    ("IF_NETMASK", "-1", "netmask", "a length (24) or a mask (255.255.255.0)"),
    ("IF_GATEWAY", "10.1.2.2", "gateway", "not the interface's own"),
    ("IF_GATEWAY", "fd00::1", "gateway", "an IPv4 address"),
    ("IF_GATEWAY", "$(reboot)", "gateway", "an IPv4 or IPv6 address"),
    ("IF_GATEWAY", "10.1.2.1\n10.1.2.3", "gateway", "an IPv4 or IPv6 address"),
    ("IF_POINTOPOINT", "10.1.2.2", "pointopoint", "the other end's IPv4 address"),
    ("IF_MPTCP", "maybe", "mptcp", "yes or off"),
    ("IF_MPTCP", "yes\nno", "mptcp", "yes or off"),
    ("IF_MPTCP_GATEWAY", "fd00::1", "mptcp-gateway", "an IPv4 address"),
    ("IF_MPTCP_GATEWAY", "10.1.2.2", "mptcp-gateway", "not the interface's own"),
    ("IF_MPTCP_GATEWAY", "10.1.2.1\n10.1.2.3", "mptcp-gateway", "one of each family"),
    ("IF_MPTCP_TABLE", "0", "mptcp-table", "a number from 1 to 4294967295, or a name"),
    ("IF_MPTCP_TABLE", "4294967296", "mptcp-table", "a number from 1 to 4294967295, or a name"),
    ("IF_MPTCP_TABLE", "main", "mptcp-table", "a table of its own (254 is the kernel's main)"),
    ("IF_MPTCP_TABLE", "101\n102", "mptcp-table", "a number from 1 to 4294967295, or a name"),
    ("IF_MPTCP_TABLE", "253", "mptcp-table", "the kernel's default"),
    ("IF_MPTCP_TABLE", "254", "mptcp-table", "the kernel's main"),
    ("IF_MPTCP_TABLE", "255", "mptcp-table", "the kernel's local"),
    ("IF_MPTCP_FLAGS", "fast", "mptcp-flags", "subflow signal backup fullmesh laminar"),
    ("IF_MPTCP_FLAGS", "signal fullmesh", "mptcp-flags", "not both"),
    ("IF_MPTCP_FLAGS", "backup", "mptcp-flags", "'subflow backup'"),
    ("IF_MPTCP_FLAGS", "subflow\nbackup", "mptcp-flags", "in one line"),
    ("IF_MPTCP_MARK", "0", "mptcp-mark", "another number than 0"),
    ("IF_MPTCP_MARK", "4294967296", "mptcp-mark", "N or N/MASK, of 32 bits each"),
    ("IF_MPTCP_MARK", "1/0x100000000", "mptcp-mark", "N or N/MASK, of 32 bits each"),
    ("IF_MPTCP_MARK", "0x100/0xff", "mptcp-mark", "a number within its mask"),
    ("IF_MPTCP_MARK", "1/0", "mptcp-mark", "a number within its mask"),
    ("IF_MPTCP_MARK", "1\n2", "mptcp-mark", "N or N/MASK, of 32 bits each"),
    ("IF_MPTCP_SOURCES", "2001:db8::/48", "mptcp-sources", "of the stanza's family, IPv4"),
    ("IF_MPTCP_SOURCES", "0.0.0.0/0", "mptcp-sources", "not as good as all addresses"),
    ("IF_MPTCP_ANNOUNCE", "127.0.0.1", "mptcp-announce", "an address that peers can connect to"),
    ("IF_MPTCP_ANNOUNCE", "224.0.0.1", "mptcp-announce", "an address that peers can connect to"),
    ("IF_MPTCP_ANNOUNCE", "2001:db8::1", "mptcp-announce", "of the stanza's family, IPv4"),
    ("IF_MPTCP_ANNOUNCE", "10.1.2.2", "mptcp-announce", "not one that this machine has"),
    ("IFACE", "eth1/../x", "IFACE", "letters, digits"),
    ("IFACE", "eth 1", "IFACE", "letters, digits"),
    ("IFACE", "eth1;ls", "IFACE", "letters, digits"),
    ("IFACE", "a23456789012345x", "IFACE", "1 to 15 characters"),
])
def test_a_wrong_value_is_one_line(
    link: Lab, variable: str, value: str, option: str, allowed: str
) -> None:
    before = link.snapshot()
    said = up(link, **{variable: value})
    assert said.count("\n") == 1
    iface = value if variable == "IFACE" else "eth1"
    shown = " ".join(repr(value).split())
    assert said.startswith(f"mptcp_up: {iface}: {option} {shown} is wrong: it must be"), said
    assert allowed in said
    assert link.snapshot() == before
    hand = link.client.try_run("/usr/sbin/mptcp_up", env=ETH1 | {variable: value})
    assert (hand.returncode, hand.stderr) == (2, said)
    assert link.snapshot() == before


def test_ifup_succeeds_and_later_stanzas_come_up(lab: Lab) -> None:
    lab.set_interfaces("""\
auto eth0 eth1
iface eth0 inet static
    address 10.1.1.2/24
    gateway 10.1.1.1
    mptcp-flags fast
iface eth1 inet static
    address 10.1.2.2/24
    mptcp-gateway 10.1.2.1
""")
    said = lab.ifup("-a")
    assert said == ("mptcp_up: eth0: mptcp-flags 'fast' is wrong: it must be of subflow signal "
                    "backup fullmesh laminar\n")
    assert lab.endpoints() == ["10.1.2.2 eth1 subflow"]


def test_the_hooks_speak_in_syslog_too(link: Lab) -> None:
    listen = ("import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); "
              "s.bind('/dev/log'); print('ready', flush=True); print(s.recv(999).decode())")
    link.client.run("sh", "-ec", "mkdir /run/up /run/work; mount -t overlay overlay "
                    "-o lowerdir=/dev,upperdir=/run/up,workdir=/run/work /dev")
    log = link.client.start("/usr/bin/python3", "-c", listen)
    assert log.stdout is not None and log.stdout.readline() == "ready\n"
    said = up(link, IF_MPTCP="maybe")
    assert log.communicate(timeout=20)[0].split("mptcp_up: ")[1].strip() == said.split(
        "mptcp_up: ")[1].strip()


def test_bytes_that_are_no_text_are_shown_escaped(link: Lab) -> None:
    call = ["env", "-i", *(f"{name}={value}" for name, value in ETH1.items())]
    # As the hook starts it: sh hands on no name that is none.
    hook = "/usr/share/mptcp-hooks/hooks/event /etc/network/if-up.d/mptcp_up"
    script = 'IF_MPTCP_$(printf "\\377\\033")=1; exec "$@" "IF_MPTCP_$(printf "\\377\\033")=1" '
    done = link.client.try_run("sh", "-c", script.split("; ")[1] + hook, "sh", *call)
    assert done.returncode == 0
    assert "no option is called mptcp-\\udcff\\x1b" in done.stderr
    assert link.endpoints() == ["10.1.2.2 eth1 subflow"]


def test_mptcp_switched_off_is_said(link: Lab) -> None:
    link.client.run("sysctl", "-qw", "net.mptcp.enabled=0")
    assert up(link) == ("mptcp_up: eth1: net.mptcp.enabled is 0: endpoints have no "
                        "effect until it is 1\n")
    assert link.endpoints() == ["10.1.2.2 eth1 subflow"]


def test_a_duplicate_address_is_left_alone(lab: Lab) -> None:
    lab.routers[1].ip("-6 addr add fd00:2::2/64 dev lan nodad")
    lab.client.ip("link set eth1 up")
    # Its own fe80 address is there when the link is ready to ask for others'.
    wait_for(lambda: lab.client.ask("-6", "addr", "show", "dev", "eth1"))
    lab.client.ip("-6 addr add fd00:2::2/64 dev eth1")
    done = lab.run_hook("if-up.d", {
        "IFACE": "eth1", "ADDRFAM": "inet6", "METHOD": "static", "VERBOSITY": "1",
        "IF_ADDRESS": "fd00:2::2", "IF_NETMASK": "64", "IF_GATEWAY": "fd00:2::1"})
    assert "another machine has this address" in done.stderr
    assert lab.rules(6) == []


@pytest.mark.parametrize("option, said", [
    ("gatway", "'gatway' is wrong: it must be gateway, an address, tcp:ADDRESS:PORT or "
               "tcp:[ADDRESS]:PORT, or off alone"),
    ("gateway tcp:10.99.0.1:0", "'tcp:10.99.0.1:0' is wrong: it must be with a port from 1 to "
                                "65535"),
    ("fd00::1", "'fd00::1' is wrong: it must be of the stanza's family, IPv4"),
])
def test_a_check_that_cannot_be_is_named(link: Lab, option: str, said: str) -> None:
    assert up(link, IF_MPTCP_CHECK=option) == f"mptcp_up: eth1: mptcp-check {said}\n"
    assert link.endpoints() == []


def test_an_option_that_does_not_exist_is_named(link: Lab) -> None:
    assert up(link, IF_MPTCP_GATEWY="10.1.2.9") == (
        "mptcp_up: eth1: no option is called mptcp-gatewy: ignored (did you mean "
        "mptcp-gateway?)\n")
    assert link.endpoints() == ["10.1.2.2 eth1 subflow"]


@pytest.mark.parametrize("template, complaint", [
    ("ip -4 rule add pref 1\n{% if %}\n", "up.j2:2: "),
    ("\n\n{{ paths[0].adress }}\n", "up.j2:3: "),
    ("{# two\nlines #}\nip -4 rule add from {{ nobody }}\n", "up.j2:3: 'nobody' is undefined"),
    ("{% for path in paths %}\nip link delete {{ path.device }}\n{% endfor %}\n",
     "up.j2:2: 'ip link delete eth1' is not"),
    ("ip netns exec x true\n", "up.j2:1: 'ip netns exec x true' is not"),
    ("ip -4 rule flush\n", "up.j2:1: 'ip -4 rule flush' is not"),
    ("ip mptcp endpoint flush\n", "up.j2:1: 'ip mptcp endpoint flush' is not"),
    ("rm -rf /tmp/x\n", "up.j2:1: 'rm -rf /tmp/x' is not"),
    ("ip -4 rule add pref 9; reboot\n", "up.j2:1: 'ip -4 rule add pref 9; reboot': '9;' may not"),
    ("ip -4 rule add pref `id`\n", "up.j2:1: "),
    ("\nip -4 -batch /etc/passwd\n", "up.j2:2: "),
    ("ip -4 rule add pref 9 from {{ none }}", "up.j2:1: "),
    ("ip -4 rule add pref 9 from {{ paths[0].peers.x }}", "up.j2:1: "),
    ("ip -4 rule add pref {{ 1 // 0 }}", "up.j2:1: "),
    ("{% include 'up.j2' %}\n", "up.j2:1: "),
    ("\n{{ cycler.__init__.__globals__.os.system('touch /run/victim') }}\n", "up.j2:2: "),
    ("{% include 'other' %}\n", "up.j2:1: no template other in /etc/mptcp-hooks/templates or "),
])
def test_a_wrong_template_is_refused_by_name(link: Lab, template: str, complaint: str) -> None:
    before = link.snapshot()
    link.write("/etc/mptcp-hooks/templates/up.j2", template)
    said = up(link)
    assert said.startswith(f"mptcp_up: {complaint}") and said.count("\n") == 1, said
    assert link.snapshot() == before
    assert link.client.run("ls", "/run/mptcp-hooks") == ""
    assert link.client.try_run("ls", "/run/victim").stdout == ""


def test_a_record_of_the_limits_that_is_damaged_costs_the_limits_alone(link: Lab) -> None:
    before, limits = link.snapshot(), link.limits()
    link.client.run("mkdir", "-p", "/run/mptcp-hooks/limits")
    said = up(link)
    assert "/run/mptcp-hooks/limits" in said and said.count("\n") == 1
    assert link.endpoints() == ["10.1.2.2 eth1 subflow"] and link.limits() == limits
    assert len(link.rules()) == RULES
    down(link)
    assert link.snapshot() == before


@pytest.mark.parametrize("trap, complaint", [
    ("mkdir -p $0; chown nobody $0", "/etc/mptcp-hooks/templates is not root's own"),
    ("mkdir -p $0; touch $0/up.j2; chmod 666 $0/up.j2",
     "/etc/mptcp-hooks/templates/up.j2 is not root's own"),
    ("mkdir -p $(dirname $0); touch $0", "cannot read /etc/mptcp-hooks/templates: Not a dir"),
    # Who may write in the folder above can have any folder of root's in its place.
    ("mkdir -p $0; chown nobody /etc/mptcp-hooks", "/etc/mptcp-hooks is not root's own"),
    ("mkdir -p /run/own /etc/mptcp-hooks; ln -s /run/own $0",
     "/etc/mptcp-hooks/templates is a symbolic link"),
    ("mkdir -p $0; echo secret >/run/own; ln -s /run/own $0/up.j2",
     "/etc/mptcp-hooks/templates/up.j2 is a symbolic link"),
    ("mkdir -p $0; mkfifo $0/up.j2", "/etc/mptcp-hooks/templates/up.j2 is no file: remove it"),
    ("mkdir -p $0; truncate -s 1T $0/up.j2",
     "/etc/mptcp-hooks/templates/up.j2: 1099511627776 bytes are too many"),
])
def test_templates_that_are_not_roots_own(link: Lab, trap: str, complaint: str) -> None:
    before = link.snapshot()
    link.client.run("sh", "-ec", trap, "/etc/mptcp-hooks/templates")
    said = up(link)
    assert said.startswith(f"mptcp_up: {complaint}") and said.count("\n") == 1, said
    assert link.snapshot() == before


@pytest.mark.parametrize("trap, complaint", [
    ("chown nobody /etc/mptcp-hooks; ln -s /run/secret $0", "/etc/mptcp-hooks is not root's own"),
    ("ln -s /run/secret $0", "/etc/mptcp-hooks/mptcp-hooks.conf is a symbolic link"),
    ("truncate -s 1T $0", "/etc/mptcp-hooks/mptcp-hooks.conf: 1099511627776 bytes are too many"),
])
def test_a_configuration_that_is_not_roots_own_is_not_told(
    link: Lab, trap: str, complaint: str
) -> None:
    """Its lines are said and logged where they are wrong."""
    link.client.run("sh", "-ec", "mkdir -p /etc/mptcp-hooks; umask 77; echo secret >/run/secret; "
                    + trap, "/etc/mptcp-hooks/mptcp-hooks.conf")
    said = up(link)
    assert said.startswith(f"mptcp_up: {complaint}") and said.count("\n") == 1, said
    assert "secret" not in said
    assert link.endpoints() == ["10.1.2.2 eth1 subflow"]


def test_a_record_and_a_cache_of_a_terabyte_are_read_in_part(link: Lab) -> None:
    up(link)
    link.client.run("truncate", "-s", "1T", "/var/cache/mptcp-hooks/eth1.commands")
    down(link)
    assert up(link) == "" and link.endpoints() == ["10.1.2.2 eth1 subflow"]
    link.client.run("truncate", "-s", "1T", "/run/mptcp-hooks/eth1.paths")
    said = up(link)
    assert "/run/mptcp-hooks/eth1.paths is damaged" in said and said.count("\n") == 1, said


def test_a_caller_that_ignores_sigchld_costs_nothing(link: Lab) -> None:
    """It is inherited, and nobody can wait for a child then: waitpid(2)."""
    deaf = ("/usr/bin/env", "--ignore-signal=CHLD")
    before = link.snapshot()
    for command, environment, endpoints in (
        ("/etc/network/if-up.d/mptcp_up", ETH1, 1), ("/usr/sbin/mptcp_status", None, 1),
        ("/etc/network/if-down.d/mptcp_down", LEAVE, 0),
        ("/etc/network/if-post-down.d/mptcp_down", LEAVE, 0),
        ("/usr/sbin/mptcp_up", ETH1, 1), ("/usr/sbin/mptcp_down", ETH1, 0),
    ):
        done = link.client.try_run(*deaf, command, env=environment)
        assert (done.returncode, done.stderr) == (0, ""), (command, done)
        assert len(link.endpoints()) == endpoints, command
    assert link.snapshot() == before


def test_a_template_of_ones_own_replaces_the_packaged_one(link: Lab) -> None:
    before = link.snapshot()
    for name, verb in (("up", "add"), ("down", "del")):
        link.write(f"/etc/mptcp-hooks/templates/{name}.j2",
                   "{% for path in paths %}\n"
                   f"ip -{{{{ path.family }}}} rule {verb} pref 777 from {{{{ path.address }}}} "
                   "lookup 99\n{% endfor %}\n")
    assert up(link) == ""
    assert link.rules() == ["777: from 10.1.2.2 lookup 99"]
    assert down(link) == ""
    assert link.snapshot() == before


@pytest.mark.parametrize("trap, complaint", [
    ("touch /run/mptcp-hooks", "/run/mptcp-hooks is not a directory: remove it"),
    ("mkdir /run/else; ln -s /run/else /run/mptcp-hooks", "/run/mptcp-hooks is not a directory"),
    ("ln -s /run/nowhere /run/mptcp-hooks", "/run/mptcp-hooks is not a directory"),
    ("mkdir -m 777 /run/mptcp-hooks", "/run/mptcp-hooks is not root's own"),
    ("mkdir /run/mptcp-hooks; chown nobody /run/mptcp-hooks", "/run/mptcp-hooks is not root's own"),
    ("mkdir -p /run/mptcp-hooks/eth1.paths", "/run/mptcp-hooks/eth1.paths"),
    ("mkdir -p /run/mptcp-hooks/.lock", "/run/mptcp-hooks/.lock"),
    ("mkdir /run/mptcp-hooks; ln -s /run/victim /run/mptcp-hooks/eth1.paths",
     "/run/mptcp-hooks/eth1.paths"),
    ("mkdir /run/mptcp-hooks; ln -s /run/victim /run/mptcp-hooks/.lock",
     "/run/mptcp-hooks/.lock"),
    ("mkdir /run/mptcp-hooks; mkfifo /run/mptcp-hooks/.lock", "/run/mptcp-hooks/.lock"),
    ("mkdir /run/mptcp-hooks; mkfifo /run/mptcp-hooks/eth1.paths", "/run/mptcp-hooks/eth1.paths"),
])
def test_a_record_that_is_not_roots_own_is_not_touched(
    link: Lab, trap: str, complaint: str
) -> None:
    before = link.snapshot()
    link.client.run("sh", "-c", trap)
    said = up(link)
    assert said.startswith("mptcp_up: ") and complaint in said and said.count("\n") == 1, said
    assert link.snapshot() == before
    assert link.client.try_run("ls", "-d", "/run/victim", "/run/nowhere").stdout == ""
    assert link.client.try_run("ls", "-A", "/run/else").stdout == ""
    for folder in ("if-down.d", "if-post-down.d"):
        assert link.run_hook(folder, LEAVE).returncode == 0


def test_what_lies_beside_the_record_is_not_written_through(link: Lab) -> None:
    link.client.run("sh", "-c", "mkdir /run/mptcp-hooks; "
                    "ln -s /run/victim /run/mptcp-hooks/.eth1.paths.new")
    assert "/run/mptcp-hooks/eth1.paths" in up(link)
    assert link.client.try_run("ls", "-d", "/run/victim").stdout == ""


@pytest.mark.parametrize("owner, complaint", [
    ("route add default via 10.1.2.9 dev eth1 table 101", "route default via 10.1.2.9"),
    ("rule add pref 50 fwmark 1 lookup 101", "rule 50: from all lookup 101"),
])
def test_a_table_of_somebody_else_is_named_and_left(
    link: Lab, owner: str, complaint: str
) -> None:
    link.client.ip(owner)
    before = link.snapshot() + "".join(link.table(101))
    said = up(link, IF_MPTCP_TABLE="101")
    assert said == (f"mptcp_up: eth1: table 101 is in use by somebody else ({complaint}): "
                    "give it another mptcp-table, or table in mptcp-hooks.conf\n")
    assert link.snapshot() + "".join(link.table(101)) == before


ONE_TABLE = """\
auto eth0 eth1
iface eth0 inet static
    address 10.1.1.2/24
    gateway 10.1.1.1
    mptcp-table 101
iface eth1 inet static
    address 10.1.2.2/24
    mptcp-gateway 10.1.2.1
    mptcp-table 101
"""


def test_two_uplinks_with_one_table(lab: Lab) -> None:
    lab.set_interfaces(ONE_TABLE)
    said = lab.ifup("-a")
    assert "eth1: table 101 is in use by 10.1.1.2 of eth0: give it another mptcp-table" in said
    assert lab.endpoints() == ["10.1.1.2 eth0 subflow"]


def test_a_table_that_somebody_else_uses_too_is_nobodys_when_its_path_goes(lab: Lab) -> None:
    """Not the next one's in the same run either, whose packets would go astray."""
    lab.set_interfaces(ONE_TABLE)
    lab.ifup("-a")
    route = "192.0.2.0/24 via 10.1.2.1 dev eth1 table 101"
    lab.client.ip(f"route add {route}", "addr del 10.1.1.2/24 dev eth0")
    said = lab.client.try_run("mptcp_up", "--all").stderr
    assert said == ("mptcp_up: eth1: table 101 is in use by somebody else (route 192.0.2.0/24 via "
                    "10.1.2.1): give it another mptcp-table, or table in mptcp-hooks.conf\n")
    assert lab.endpoints() == [] and not any("lookup 101" in rule for rule in lab.rules())
    lab.client.ip(f"route del {route}")
    lab.client.try_run("mptcp_up", "--all")
    assert lab.endpoints() == ["10.1.2.2 eth1 subflow"]
    assert "default via 10.1.2.1 dev eth1 proto mptcp src 10.1.2.2" in lab.table(101)


# Whether somebody answers what is bound to a device: where nobody listens, with a RST.
IS_REFUSED = """\
import errno, socket, sys
with socket.socket() as end:
    end.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, sys.argv[1].encode())
    end.settimeout(5)
    sys.exit(end.connect_ex((sys.argv[2], 9)) != errno.ECONNREFUSED)
"""


def test_one_address_on_two_devices(lab: Lab) -> None:
    """As two modems of one make have it; the subnet is nobody's then."""
    for number, router in enumerate(lab.routers, start=1):
        router.ip("addr add 10.1.9.1/24 dev lan", "rule add pref 9 iif lan from 10.1.9.0/24 "
                  "lookup main")
        lab.server.ip(f"route add 10.1.9.0/24 via 10.8.{number}.1 metric {number}")
    stanza = "iface {} inet static\n address 10.1.9.2/24\n mptcp-gateway 10.1.9.1\n"
    lab.set_interfaces(stanza.format("eth0") + stanza.format("eth1"))
    assert lab.ifup("eth0") == ""
    alone, endpoints = lab.snapshot(), lab.endpoints()
    said = lab.ifup("eth1")
    assert said == ("mptcp_up: eth1: 10.1.9.2 is the address of eth0 as well: only what is "
                    "bound to eth1 leaves by it, until one of them changes\n")
    assert lab.endpoints() == endpoints and find(lab)[0] == ("broken", "shared-address", "eth1")
    # Each is heard by the router of the device that it is bound to.
    for device, number in (("eth0", 1), ("eth1", 2)):
        lab.client.run(sys.executable, "-c", IS_REFUSED, device, f"10.8.{number}.1")
    assert lab.client.run("mptcp_up", "--all", "--dry-run") == ""
    lab.ifdown("eth1")
    assert lab.client.run("mptcp_up", "--all") == "" and lab.snapshot() == alone


@pytest.mark.parametrize("missing", [
    "base", "machine", "intent", "engine", "hook.py", "__init__.py", "base/value.py",
    "intent/event.py", "machine/runner.py", "engine/make_changes.py",
])
def test_a_floor_or_a_module_that_is_missing_costs_no_ifup(lab: Lab, missing: str) -> None:
    lab.set_interfaces("auto lo\niface lo inet loopback\n"
                       "iface eth1 inet static\n address 10.1.2.2/24\n gateway 10.1.2.1\n")
    library = "/usr/share/mptcp-hooks/mptcp_hooks"
    lab.client.run("rm", "-r", f"{library}/{missing}")
    lab.client.run("find", library, "-name", "__pycache__", "-exec", "rm", "-r", "{}", "+")
    lab.ifup("lo")
    said = lab.ifup("eth1")
    assert said.count("\n") == 1 and "Traceback" not in said
    lab.ifdown("eth1")


@pytest.mark.parametrize("breakage", [
    "rm /usr/bin/python3", "ln -sf /bin/false /usr/bin/python3",
    "rm -r /usr/lib/python3.*/encodings",
], ids=["gone", "fails", "without its library"])
def test_a_python3_that_cannot_start_costs_no_ifup(lab: Lab, breakage: str) -> None:
    lab.set_interfaces("auto lo eth1\niface lo inet loopback\n"
                       "iface eth1 inet static\n address 10.1.2.2/24\n gateway 10.1.2.1\n")
    lab.client.run("sh", "-ec", breakage)
    said = [line for line in lab.ifup("-a").splitlines()
            if "not done: python3 ended with" in line]
    # Those of lo, eth1 and --all.
    assert len(said) == 3 and said[0].startswith("/etc/network/if-up.d/mptcp_up: ")
    assert set(lab.client.run("ifquery", "--state").split()) == {"lo=lo", "eth1=eth1"}
    lab.ifdown("eth1")
    assert lab.client.run("ip", "-4", "addr", "show", "dev", "eth1") == ""


@pytest.mark.parametrize("command, module", [
    ("mptcp_status", "status"), ("mptcp_up", "updown"), ("mptcp_down", "updown"),
    ("mptcp_run true", "run"), ("mptcp_monitor", "monitor"), ("mptcp_check", "checker")])
def test_a_command_that_is_interrupted_while_it_loads_has_nothing_to_say(
    lab: Lab, command: str, module: str
) -> None:
    """On a slow machine that takes a second, in which somebody may think better of it."""
    path = f"/usr/share/mptcp-hooks/mptcp_hooks/{module}/command.py"
    lab.client.run("rm", "-rf", f"{path.removesuffix('command.py')}__pycache__")
    lab.write(path, "open('/run/loading', 'w').close()\nimport time\ntime.sleep(60)\n")
    loading = lab.client.start("env", "--default-signal=INT", *command.split())
    wait_for(lambda: lab.client.try_run("test", "-e", "/run/loading").returncode == 0)
    loading.send_signal(signal.SIGINT)
    assert loading.communicate(timeout=20) == ("", "")
    assert loading.returncode == 130


def test_half_a_package_does_not_cost_an_ifup(lab: Lab) -> None:
    lab.set_interfaces("iface eth1 inet static\n address 10.1.2.2/24\n gateway 10.1.2.1\n")
    lab.client.run("rm", "/usr/share/mptcp-hooks/mptcp_hooks/engine/plan.py")
    lab.client.run("rm", "-rf", "/usr/share/mptcp-hooks/mptcp_hooks/engine/__pycache__")
    assert "ModuleNotFoundError" in lab.ifup("eth1")
    lab.ifdown("eth1")
    lab.client.run("rm", "-r", "/usr/share/mptcp-hooks/mptcp_hooks")
    assert "No such file or directory: '/usr/share/mptcp-hooks/mptcp_hooks/" in lab.ifup("eth1")
    lab.write("/usr/share/mptcp-hooks/mptcp_hooks/loader.py", "def (\n")
    assert "did nothing: SyntaxError" in lab.ifdown("eth1")
