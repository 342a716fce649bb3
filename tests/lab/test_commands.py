# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_up and mptcp_down as a person calls them."""

from __future__ import annotations

import pytest

from tests.lab.support.lab import NOBODY, TWO_UPLINKS, Lab

EXAMPLE = {"IFACE": "eth0", "IF_ADDRESS": "10.1.1.2", "IF_NETMASK": "24",
           "IF_GATEWAY": "10.1.1.1"}


def test_a_dry_run_prints_the_exact_lines_without_root(lab: Lab) -> None:
    before = lab.snapshot()
    done = lab.client.try_run("/usr/bin/" + NOBODY[0], *NOBODY[1:], "/usr/sbin/mptcp_up",
                              "--dry-run", env=EXAMPLE)
    table = 20000 + lab.ifindex("eth0")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "ip mptcp limits set subflows 8 add_addr_accepted 8",
        f"ip -4 rule add pref 20000 from 10.1.1.2 to 10.1.1.0/24 lookup {table} protocol 77",
        "ip -4 rule add pref 20001 from 10.1.1.2 lookup main suppress_prefixlength 1 protocol 77",
        f"ip -4 rule add pref 20002 from 10.1.1.2 lookup {table} protocol 77",
        "ip -4 rule add pref 20003 from 10.1.1.0/24 iif lo lookup main suppress_prefixlength 1 "
        "protocol 77",
        f"ip -4 rule add pref 20004 from 10.1.1.0/24 iif lo lookup {table} protocol 77",
        "ip -4 rule add pref 20005 oif eth0 lookup main suppress_prefixlength 1 protocol 77",
        f"ip -4 rule add pref 20006 oif eth0 lookup {table} protocol 77",
        f"ip -4 route replace 10.1.1.0/24 dev eth0 scope link src 10.1.1.2 table {table} "
        "protocol 77",
        f"ip -4 route replace default via 10.1.1.1 dev eth0 src 10.1.1.2 table {table} "
        "protocol 77",
        f"ip -4 route replace unreachable default metric 4294967295 table {table} protocol 77",
        f"ip -4 rule add pref 32768 lookup {table} protocol 77",
        "ip mptcp endpoint add 10.1.1.2 dev eth0 subflow",
    ]
    assert lab.snapshot() == before
    assert lab.client.try_run("ls", "/run/mptcp-hooks").returncode != 0


def test_a_dry_run_piped_to_sh_does_the_same(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS + "iface eth1 inet6 static\n address fd00:2::2/64\n"
                       " gateway fd00:2::1\n dad-attempts 0\n")
    lab.ifup("-a")
    for iface in ("eth0", "eth1"):
        full = lab.snapshot()
        lines = lab.client.run("mptcp_down", "-n", iface)
        assert lab.snapshot() == full
        lab.client.run("sh", "-e", text=lines)
        assert lab.snapshot() != full
        lab.client.run("rm", f"/run/mptcp-hooks/{iface}.paths")
        lines = lab.client.run("mptcp_up", "--no-act", iface)
        lab.client.run("sh", "-e", text=lines)
        assert lab.snapshot() == full


def test_options_come_from_the_stanza(lab: Lab) -> None:
    lab.set_interfaces("""\
iface eth1 inet static
    address 10.1.2.2/24
    mptcp-gateway 10.1.2.1
    mptcp-flags subflow backup
iface eth1 inet static
    address 10.1.2.3/24
    mptcp-gateway 10.1.2.1
    mptcp-flags signal
iface eth1 inet6 static
    address FD00:2::2/64
    gateway fd00:2::1
    mptcp-table 606
    dad-attempts 0
""")
    lab.ifup("eth1")
    full = lab.snapshot()
    lab.client.run("mptcp_down", "eth1")
    assert lab.client.run("mptcp_up", "eth1") == ""
    assert lab.snapshot() == full
    assert lab.endpoints() == ["10.1.2.2 eth1 subflow backup", "10.1.2.3 eth1 signal",
                               "fd00:2::2 eth1 subflow"]
    lab.set_interfaces(lab.read("/etc/network/interfaces").replace("signal", "subflow"))
    lab.client.run("mptcp_up", "eth1")
    assert "10.1.2.3 eth1 subflow" in lab.endpoints()


def test_stanzas_with_and_without_addresses_are_told_apart(lab: Lab) -> None:
    lab.set_interfaces("""\
iface eth1 inet manual
    up ip link set eth1 up && ip addr add 10.1.2.7/24 dev eth1
    mptcp-gateway 10.1.2.1
    mptcp-flags subflow backup
iface eth1 inet static
    address 10.1.2.2/24
    mptcp-gateway 10.1.2.254
    mptcp-flags signal
""")
    lab.ifup("eth1")
    full = sorted(lab.endpoints())
    assert full == ["10.1.2.2 eth1 signal", "10.1.2.7 eth1 subflow backup"]
    lab.client.run("mptcp_down", "eth1")
    assert lab.client.run("mptcp_up", "eth1") == ""
    assert sorted(lab.endpoints()) == full
    assert lab.client.run("mptcp_up", "-n", "eth1") == ""


def test_the_logical_interface_that_is_up_is_asked(lab: Lab) -> None:
    lab.set_interfaces("iface home inet static\n address 10.1.2.2/24\n"
                       " mptcp-gateway 10.1.2.1\n mptcp-table 505\n")
    lab.ifup("eth1=home")
    full = lab.snapshot()
    assert len(lab.table(505)) == 3
    lab.client.run("mptcp_down", "eth1")
    lab.client.run("mptcp_up", "eth1")
    assert lab.snapshot() == full


def test_an_interface_without_a_stanza_is_taken_as_it_is(lab: Lab) -> None:
    lab.client.ip("link set eth1 up", "addr add 10.1.2.2/24 dev eth1",
                  "route add default via 10.1.2.1 dev eth1 metric 50")
    assert lab.client.run("mptcp_up", "eth1") == ""
    assert lab.endpoints() == ["10.1.2.2 eth1 subflow"]
    table = 20000 + lab.ifindex("eth1")
    assert "default via 10.1.2.1 dev eth1 proto mptcp src 10.1.2.2" in lab.table(table)


def test_all_puts_back_and_takes_away_everything(lab: Lab) -> None:
    before = lab.snapshot()
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    full = lab.snapshot()
    lab.client.run("ip", "rule", "flush")
    lab.client.ip("rule add pref 32766 lookup main", "rule add pref 32767 lookup default",
                  "mptcp endpoint flush")
    assert lab.client.run("mptcp_up", "--all") == ""
    assert lab.snapshot() == full
    assert lab.client.run("mptcp_down", "-a") == ""
    assert lab.snapshot() == before
    lab.client.run("mptcp_up", "-a")
    assert lab.snapshot() == full


def test_all_brings_devices_up_before_their_aliases(lab: Lab) -> None:
    lab.set_interfaces("iface eth1 inet static\n address 10.1.2.2/24\n mptcp-gateway 10.1.2.1\n"
                       "iface eth1:1 inet static\n address 10.1.2.9/24\n"
                       " mptcp-gateway 10.1.2.1\n")
    lab.ifup("eth1", "eth1:1")
    full = lab.snapshot()
    lab.client.run("mptcp_down", "-a")
    assert lab.client.run("mptcp_up", "-a") == ""
    assert lab.snapshot() == full


def test_verbose_shows_each_command(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("eth1")
    lab.client.run("mptcp_down", "eth1")
    planned = lab.client.run("mptcp_up", "-n", "eth1").splitlines()
    done = lab.client.try_run("mptcp_up", "-v", "eth1")
    assert done.stdout == ""
    assert done.stderr.splitlines() == [f"[#] {line}" for line in planned]


def test_a_command_that_fails_is_status_1(lab: Lab) -> None:
    before = lab.snapshot()
    done = lab.client.try_run("/usr/sbin/mptcp_up", env=EXAMPLE)
    assert done.returncode == 1
    assert done.stderr.startswith("mptcp_up: eth0: ip -4 route replace 10.1.1.0/24 dev eth0 ")
    assert done.stderr.count("\n") == 1
    assert lab.snapshot() == before


@pytest.mark.parametrize("arguments", [(), ("--nonsense", "eth0"), ("--all", "eth0"),
                                       ("eth0/1",), ("--dry", "eth0")])
def test_wrong_usage_is_status_2(lab: Lab, arguments: tuple[str, ...]) -> None:
    for program in ("mptcp_up", "mptcp_down"):
        done = lab.client.try_run(program, *arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr and f"{program}: " in done.stderr


def test_help_and_version(lab: Lab) -> None:
    installed = lab.client.run("dpkg-query", "-W", "-f", "${Version}", "mptcp-hooks")
    for program in ("mptcp_up", "mptcp_down"):
        assert lab.client.run(program, "--version") == f"{program} {installed}\n"
        assert "--dry-run, --no-act" in lab.client.run(program, "--help")


def test_one_wrong_interface_does_not_cost_the_others(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    full = lab.snapshot()
    lab.client.run("mptcp_down", "eth0", "eth1")
    lab.set_interfaces(TWO_UPLINKS.replace("gateway 10.1.1.1", "gateway 10.1.1"))
    done = lab.client.try_run("mptcp_up", "eth0", "eth1", "nosuch0")
    assert done.returncode == 2
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == ["eth0", "nosuch0"]
    assert lab.endpoints() == ["10.1.2.2 eth1 subflow"]
    lab.set_interfaces(TWO_UPLINKS)
    lab.client.run("mptcp_up", "eth0")
    assert lab.snapshot() == full
    lab.write("/run/mptcp-hooks/eth0.paths", "nonsense")
    lab.client.ip("rule del from 10.1.2.2 pref 20002")
    done = lab.client.try_run("mptcp_up", "--all")
    # What it cannot read is made anew, and said.
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert "eth0.paths is damaged" in done.stderr
    assert lab.snapshot() == full


def test_without_root_it_says_so(lab: Lab) -> None:
    for program in ("mptcp_up", "mptcp_down"):
        done = lab.client.try_run(*NOBODY, program, "eth0")
        assert done.returncode == 1
        assert done.stderr == f"{program}: must be root (try --dry-run)\n"


def test_an_interface_that_is_not_there(lab: Lab) -> None:
    done = lab.client.try_run("mptcp_up", "nosuch0")
    assert (done.returncode, done.stderr) == (
        2, "mptcp_up: nosuch0: no such interface, and none on record\n")
    assert lab.client.try_run("mptcp_down", "nosuch0").returncode == 2
    environment = EXAMPLE | {"IFACE": "nosuch0"}
    done = lab.client.try_run("/usr/sbin/mptcp_up", "-n", env=environment)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 13
    assert done.stdout.endswith(" dev nosuch0 subflow\n")
    assert done.stderr.startswith("mptcp_up: nosuch0: no such interface here")


def test_a_dry_run_of_what_stands_prints_nothing(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    assert lab.client.run("mptcp_up", "-n", "eth0", "eth1") == ""
    assert lab.client.run("mptcp_up", "-n", "-a") == ""


@pytest.mark.parametrize("output", [
    "exec 3>/dev/full", "mkfifo /run/pipe; true </run/pipe & exec 3>/run/pipe; wait"])
def test_output_that_cannot_be_written(lab: Lab, output: str) -> None:
    """A disk that is full, and a pipe whose reader has gone."""
    done = lab.client.try_run("/bin/sh", "-c", f"{output}; mptcp_up -n >&3", env=EXAMPLE | {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and done.stderr.count("\n") <= 1


def test_options_in_the_environment_are_of_one_interface(lab: Lab) -> None:
    environment = {name: value for name, value in EXAMPLE.items() if name != "IFACE"}
    done = lab.client.try_run("/usr/sbin/mptcp_up", "-n", "eth0", env=environment)
    assert "10.1.1.2" in done.stdout
    done = lab.client.try_run("/usr/sbin/mptcp_up", "-n", "eth0", "eth1", env=environment)
    assert "10.1.1.2" not in done.stdout


def test_an_interface_that_dhcp_set_up_is_taken_once(lab: Lab) -> None:
    lab.set_interfaces("""\
iface eth1 inet manual
    up ip link set eth1 up && ip addr add 10.1.2.7/24 dev eth1
    mptcp-gateway 10.1.2.1
iface eth1 inet static
    address 10.1.2.2/24
    mptcp-gateway 10.1.2.1
""")
    lab.ifup("eth1")
    full = lab.snapshot()
    for arguments in (("eth1",), ("--all",), ("eth1",)):
        assert lab.client.run("mptcp_up", *arguments) == ""
        assert lab.snapshot() == full
