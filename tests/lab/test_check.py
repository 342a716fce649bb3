# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_up --check: what is wrong is found where it stands, before an ifup is lost to it."""

from __future__ import annotations

import pytest

from tests.lab.support.lab import NOBODY, TWO_UPLINKS, Lab

CONFIGURATION = "/etc/mptcp-hooks/mptcp-hooks.conf"
INTERFACES = "/etc/network/interfaces"
TEMPLATES = "/etc/mptcp-hooks/templates"
GOOD = """\
[default]
manage = wwan*
exclude = lan0
[eth1]
flags = subflow backup
table = 505
gateway = 10.1.2.1
"""


@pytest.fixture
def good(lab: Lab) -> Lab:
    """All that there can be of a person's, and nothing wrong with it."""
    lab.write(CONFIGURATION, GOOD)
    lab.set_interfaces(TWO_UPLINKS + "source /etc/network/interfaces.d/*\n"
                       "iface lo inet loopback\niface eth7 inet manual\n    mptcp off\n")
    lab.write("/etc/network/interfaces.d/home",
              "iface home-of-a-long-name inet dhcp\n    mptcp-flags signal\n")
    for name in ("up.j2", "down.j2"):
        lab.write(f"{TEMPLATES}/{name}", lab.read(f"/usr/share/mptcp-hooks/templates/{name}"))
    return lab


def check(lab: Lab, *arguments: str) -> list[str]:
    """What is wrong, without the program's name; the exit status says the same."""
    done = lab.client.try_run("mptcp_up", "--check", *arguments)
    assert done.stdout == "" and done.returncode == (2 if done.stderr else 0)
    return [line.removeprefix("mptcp_up: ") for line in done.stderr.splitlines()]


def test_what_is_right_is_silent_and_changes_nothing(good: Lab) -> None:
    before = good.snapshot()
    assert check(good) == [] and check(good, "eth0", "eth7") == []
    done = good.client.try_run("mptcp_up", "--check", "-v")
    assert (done.returncode, done.stderr.splitlines()) == (0, [
        f"mptcp_up: checked {CONFIGURATION}",
        "mptcp_up: checked the stanzas of eth0 eth1 home-of-a-long-name lo eth7 in "
        f"{INTERFACES}",
        f"mptcp_up: checked the templates in {TEMPLATES} and /usr/share/mptcp-hooks/templates"])
    assert good.snapshot() == before and good.client.run("ls", "/run") == "network\n"


def test_an_interface_without_a_stanza_is_told(good: Lab) -> None:
    assert check(good, "eth0", "eht1") == [f"eht1: there is no stanza of it in {INTERFACES}"]


def test_a_machine_with_nothing_of_all_this_is_right(lab: Lab) -> None:
    assert check(lab) == []


def test_each_wrong_line_of_the_configuration_is_named(good: Lab) -> None:
    good.write(CONFIGURATION, GOOD.replace("505", "0").replace("exclude", "exlude"))
    assert check(good) == [
        f"{CONFIGURATION}:3: there is no key 'exlude' here: ignored (did you mean exclude?)",
        f"{CONFIGURATION}:6: table '0' is wrong: it must be a number from 1 to 4294967295, or a "
        "name that rt_tables has"]


def test_each_wrong_line_about_checks_is_named(good: Lab) -> None:
    good.write(CONFIGURATION, GOOD + "check = tcp:10.1.2.1:0\ncheck-interval = 1000000000\n"
               "check-failures = 0\n")
    good.set_interfaces(TWO_UPLINKS + "    mptcp-check fd00::1\n")
    assert check(good) == [
        f"{CONFIGURATION}:8: check 'tcp:10.1.2.1:0' is wrong: it must be with a port from 1 "
        "to 65535",
        f"{CONFIGURATION}:9: check-interval '1000000000' is wrong: it must be a number of seconds "
        "from 1 to 3600",
        f"{CONFIGURATION}:10: check-failures '0' is wrong: it must be a number from 1 to 100",
        f"{INTERFACES}:8: eth1: mptcp-check 'fd00::1' is wrong: it must be of the stanza's family, "
        "IPv4"]


def test_each_wrong_option_is_named_with_its_line(good: Lab) -> None:
    good.set_interfaces(TWO_UPLINKS.replace("10.1.2.1", "fd00::1") + """\
    mptcp-tables 7
iface eth1 inet6 static
    address fd00:2::2/64
    mptcp-flags backup
source-directory /etc/network/interfaces.d
""")
    good.write("/etc/network/interfaces.d/home", "iface home inet dhcp\n    mptcp maybe\n")
    assert sorted(check(good)) == [
        f"{INTERFACES}.d/home:2: home: mptcp 'maybe' is wrong: it must be yes or off",
        f"{INTERFACES}:11: eth1: mptcp-flags 'backup' is wrong: it must be with subflow (backup "
        "alone does nothing): 'subflow backup'",
        f"{INTERFACES}:7: eth1: mptcp-gateway 'fd00::1' is wrong: it must be an IPv4 address",
        f"{INTERFACES}:8: eth1: no option is called mptcp-tables: ignored (did you mean "
        "mptcp-table?)"]
    assert check(good, "eth0") == [] and len(check(good, "home")) == 1


def test_a_wrong_address_is_named_with_its_stanza(good: Lab) -> None:
    good.set_interfaces(TWO_UPLINKS.replace("10.1.2.2/24", "10.1.2.2.2"))
    assert check(good) == [f"{INTERFACES}:5: eth1: address '10.1.2.2.2' is wrong: it must be an "
                           "IPv4 or IPv6 address"]


@pytest.mark.parametrize("text, line", [
    ("auto eth0\niface eth0 inet statc\n", 2), ("iface eth0 inet static\n    mptcp-flags\n", 2),
    ("ifce eth0\n", 1),
])
def test_a_file_that_ifup_cannot_read_is_named_in_its_words(
    good: Lab, text: str, line: int
) -> None:
    good.set_interfaces(text)
    (said,) = check(good)
    assert said.startswith(f"ifquery: {INTERFACES}:{line}: ")


def test_a_file_that_is_not_there_is_named(good: Lab) -> None:
    good.client.run("rm", INTERFACES)
    (said,) = check(good)
    assert "couldn't open interfaces file" in said and INTERFACES in said


@pytest.mark.parametrize("template, line, complaint", [
    ("{% if path.onlink %}\n{{ path.gatewy }}\n{% endif %}\n", 2, "has no attribute 'gatewy'"),
    ("{% if path.family == 6 %}\n\nip link del {{ path.device }}\n{% endif %}\n", 3,
     "'ip link del sample' is not"),
    ("ip -4 route add default via {{ path.gateway }} table 7\n", 1, "without a value"),
    ("{% for destination, gateway in path.routes %}\nip -4 route add {{ gateway }}\n{% endfor %}",
     2, "without a value"),
    ("{% if path.primary %}\n{% else %}\n{{ nobody }}\n{% endif %}\n", 3, "'nobody' is undefined"),
    ("{% if %}\n", 1, ""),
])
@pytest.mark.parametrize("name", ["up.j2", "down.j2"])
def test_a_wrong_template_is_found_whatever_path_it_takes(
    good: Lab, name: str, template: str, line: int, complaint: str
) -> None:
    good.write(f"{TEMPLATES}/{name}", "{% for path in paths %}{# #}" + template + "{% endfor %}")
    (said,) = check(good)
    assert said.startswith(f"{name}:{line}: ") and complaint in said, said


def test_a_wrong_command_of_the_limits_is_found(good: Lab) -> None:
    good.write(f"{TEMPLATES}/up.j2", "{% if limits %}\nip mptcp limits flush\n{% endif %}\n")
    (said,) = check(good)
    assert said.startswith("up.j2:2: 'ip mptcp limits flush' is not")


def test_a_template_that_others_may_write_is_found(good: Lab) -> None:
    good.client.run("chmod", "666", f"{TEMPLATES}/up.j2")
    (said,) = check(good)
    assert said.startswith(f"{TEMPLATES}/up.j2 is not root's own")


def test_without_root_what_can_be_read_is_checked(good: Lab) -> None:
    call = ("/usr/bin/" + NOBODY[0], *NOBODY[1:], "/usr/sbin/mptcp_up", "--check")
    done = good.client.try_run(*call)
    assert (done.returncode, done.stderr) == (0, "")
    good.set_interfaces(TWO_UPLINKS + "    mptcp-table 0\n")
    good.client.run("chmod", "600", CONFIGURATION)
    done = good.client.try_run(*call)
    assert (done.returncode, done.stderr.splitlines()) == (2, [
        f"mptcp_up: {CONFIGURATION}: cannot be read: Permission denied",
        f"mptcp_up: {INTERFACES}:8: eth1: mptcp-table '0' is wrong: it must be a number from 1 "
        "to 4294967295, or a name that rt_tables has"])
