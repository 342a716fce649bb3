# SPDX-License-Identifier: GPL-2.0-or-later
"""Completion for bash as it is installed: interfaces, and who finds it."""

from __future__ import annotations

import pytest

from tests.lab.support.lab import Lab
from tests.lab.support.making import MakeLab

FILE = "/usr/share/bash-completion/completions/mptcp_up"
COMMANDS = ("mptcp_up", "mptcp_down", "mptcp_status", "mptcp_monitor", "mptcp_check")
STANZAS = """\
auto lo eth1
iface lo inet loopback
iface eth1 inet static
    address 10.1.2.2/24
    mptcp-gateway 10.1.2.1
auto eth1:1
iface eth1:1 inet static
    address 10.1.2.3/24
    mptcp-gateway 10.1.2.1
allow-hotplug wwan0
iface wwan0 inet dhcp
"""
# What bash does when a person types a line and a tabulator.
ASK = """\
COMP_LINE=$1 COMP_POINT=${#1}
_mptcp_hooks "${1%% *}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
# bash-completion's default, which looks for a file of the command's name; then the same.
LOAD_AND_ASK = """\
source /usr/share/bash-completion/bash_completion
[[ $(complete -p -D) =~ -F\\ ([^ ]*) ]]
"${BASH_REMATCH[1]}" "${1%% *}"
complete -p "${1%% *}"
"""


# The same for mptcp_run, which counts bash's words for another's completion: readline splits
# them at these characters as well, each run of which is a word.
ASK_RUN = """\
set -f
COMP_WORDBREAKS=$' \\t\\n"\\'@><=;|&(:'
read -ra COMP_WORDS <<<"$(sed 's/[@=:]\\+/ & /g' <<<"$1")"
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
[[ $1 == *' ' ]] && COMP_CWORD=$((COMP_CWORD + 1)) COMP_WORDS+=('')
COMP_LINE=$1 COMP_POINT=${#1}
_command_offset() { COMPREPLY=("offset $1"); }
_mptcp_run mptcp_run
printf '%s\\n' "${COMPREPLY[@]}"
"""


def complete(lab: Lab, line: str, prepare: str = f"source {FILE}\n") -> list[str]:
    """What bash offers at the end of a line; what preparing prints comes first."""
    return lab.client.run("bash", "--norc", "-c", prepare + ASK, "bash", line).splitlines()


def test_mptcp_up_knows_what_is_there_and_what_has_a_stanza(lab: Lab) -> None:
    assert complete(lab, "mptcp_up ") == ["eth0", "eth1"]
    lab.set_interfaces(STANZAS)
    assert complete(lab, "mptcp_up ") == ["eth0", "eth1", "eth1:1", "wwan0"]
    assert complete(lab, "mptcp_up -n eth0 w") == ["wwan0"]
    assert complete(lab, "mptcp_monitor ") == [""]


def test_mptcp_down_knows_what_is_on_record(lab: Lab) -> None:
    lab.set_interfaces(STANZAS)
    assert complete(lab, "mptcp_down ") == [""]
    lab.ifup("eth1")
    assert complete(lab, "mptcp_down ") == ["eth1"]
    lab.client.ip("link del eth1")
    lab.set_interfaces("")
    assert complete(lab, "mptcp_down ") == ["eth1"]
    assert complete(lab, "mptcp_up ") == ["eth0"]
    assert complete(lab, "mptcp_status ") == ["eth0", "eth1"]


def test_an_alias_is_completed_behind_its_colon(lab: Lab) -> None:
    """For bash the colon ends a word, so that only what follows it is put in."""
    lab.set_interfaces(STANZAS)
    assert complete(lab, "mptcp_up eth1:") == ["1"]


def test_a_name_is_no_command(lab: Lab) -> None:
    lab.client.run("mkdir", "/run/mptcp-hooks")
    lab.client.run("touch", "/run/mptcp-hooks/$(echo eth7).paths")
    assert complete(lab, "mptcp_down ") == [r"\$\(echo\ eth7\)"]


@pytest.mark.parametrize(("line", "offered"), [
    ("--method ", ["auto", "bpf", "godebug", "mptcpize"]), ("-v --method m", ["mptcpize"]),
    ("--ver", ["--verbose", "--version"]), ("mptcp_dow", ["mptcp_down"]),
    ("-v -- mptcp_dow", ["mptcp_down"]), ("--method bpf mptcp_dow", ["mptcp_down"]),
    ("curl --ver", ["offset 1"]), ("--method bpf -v -- curl ", ["offset 5"]),
    ("--disable ", [r"a\\x2db.service", "openvpn@my:x@y.service"]), ("--disable b", [""]),
    ("--disable c a", [r"a\\x2db.service"]), ("--disable a --meth", ["--method"]),
    (r"--disable a\\x", [r"a\\x2db.service"]), ("--disable=a", [r"a\\x2db.service"]),
    ("--method=b", ["bpf"]), ("--method=", ["auto", "bpf", "godebug", "mptcpize"]),
    ("--method=x", [""]), ("--method=bpf mptcp_dow", ["mptcp_down"]),
    ("--method=bpf curl --ver", ["offset 4"]), ("--method bpf curl a@b:", ["offset 3"]),
    # readline puts in what begins with the @.
    ("--disable open", ["openvpn@my:x@y.service"]), ("--disable openvpn@", ["@my:x@y.service"]),
    ("--disable openvpn@m", ["@my:x@y.service"]), ("--disable openvpn@my:", ["x@y.service"]),
    ("--disable openvpn@my:x@", ["@y.service"]), ("--disable openvpn@z", [""]),
    ("--enable a --method m", ["mptcpize"]), ("--method bpf --disable a", [r"a\\x2db.service"]),
])
def test_mptcp_run_offers_its_own_words_up_to_the_command(
    lab: Lab, line: str, offered: list[str]
) -> None:
    for unit in (r"a\x2db", "openvpn@my:x@y"):
        lab.write(f"/etc/systemd/system/{unit}.service.d/mptcp-hooks.conf", "")
    done = lab.client.run("bash", "--norc", "-c", f"source {FILE}\n{ASK_RUN}", "bash",
                          f"mptcp_run {line}")
    assert done.splitlines() == offered


def test_bash_completion_finds_it_by_the_name_of_each_command(make_lab: MakeLab) -> None:
    lab = make_lab("bash-completion")
    lab.set_interfaces(STANZAS)
    lab.ifup("eth1")
    for command in COMMANDS:
        known, *offered = complete(lab, f"{command} eth1", LOAD_AND_ASK)
        assert known == f"complete -F _mptcp_hooks {command}"
        assert "eth1" in offered or command in ("mptcp_monitor", "mptcp_check")
