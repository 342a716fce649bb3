# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_up --check: what is wrong is found where it stands, before an ifup is lost to it."""

from __future__ import annotations

import pytest

from tests.lab.support.lab import NOBODY, TWO_UPLINKS, Lab
from tests.lab.support.status import ask

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


def test_a_mark_that_is_known_to_be_others_is_told_where_it_stands(good: Lab) -> None:
    """Right as it is, so that nothing is refused for it; ifup says it as well."""
    good.write(CONFIGURATION, GOOD + "mark = 0x40000\n")
    good.set_interfaces(TWO_UPLINKS.replace("iface eth1", "    mptcp-mark 0x80000\niface eth1"))
    said = ("Tailscale uses 0xff0000 of all marks: take another one where that is on this machine")
    done = good.client.try_run("mptcp_up", "--check")
    assert (done.returncode, done.stderr.splitlines()) == (0, [
        f"mptcp_up: {CONFIGURATION}:4: [eth1]: mark 0x40000: {said}",
        f"mptcp_up: {INTERFACES}:5: eth0: mptcp-mark 0x80000: {said}"])
    done = good.client.try_run("ifup", "-a")
    assert done.returncode == 0
    assert f"eth0: mptcp-mark 0x80000: {said}\n" in done.stderr
    assert f"eth1: mark 0x40000: {said}\n" in done.stderr
    told = [one for one in ask(good)["findings"] if one["kind"] == "mark-of-others"]
    assert [(one["interface"], one["text"]) for one in told] == [
        (iface, f"its mark {mark} is also used by others: Tailscale uses 0xff0000 of all marks")
        for iface, mark in (("eth0", "0x80000"), ("eth1", "0x40000"))]


def test_options_for_a_link_that_is_called_otherwise_are_told(good: Lab) -> None:
    lines = TWO_UPLINKS.count("\n") + 1
    good.set_interfaces(TWO_UPLINKS + """\
iface dsl-provider inet ppp
    provider dsl-provider
    mptcp-table 7
iface ppp0 inet ppp
    mptcp-table 8
iface dial inet ppp
    provider dial
""")
    done = good.client.try_run("mptcp_up", "--check")
    assert (done.returncode, done.stderr) == (0, (
        f"mptcp_up: {INTERFACES}:{lines + 2}: dsl-provider: its options count for a link of that "
        "name, and pppd calls its links ppp0 and so on: name the stanza so, or write 'ifname "
        "dsl-provider' in /etc/ppp/peers/dsl-provider\n"))
    good.write("/etc/ppp/peers/dsl-provider", "# ifname dsl\nplugin rp-pppoe.so eth0\n"
               "ifname dsl-provider # the link's\n")
    assert check(good) == []


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


TABLE_5 = "    mptcp-table 5\n"
STATED = "mptcp-table '5' is wrong: it must be a table of its own, and eth0 has it already"


@pytest.mark.parametrize("configuration, stanzas, line", [
    ("", TWO_UPLINKS.replace("/24\n", f"/24\n{TABLE_5}"), 8),
    ("[eth*]\ntable = 5\n", TWO_UPLINKS, 5),
    ("[eth0]\ntable = 5\n", TWO_UPLINKS + TABLE_5, 8),
    # Of one device the second path has no table of a section's, and a table is of one family.
    ("[eth0]\ntable = 5\n[eth1]\ntable = 6\n", TWO_UPLINKS + "iface eth0 inet static\n"
     "    address 10.1.3.2/24\n    mptcp-gateway 10.1.3.1\n"
     f"iface eth1 inet6 static\n    address fd00::2/64\n    mptcp-gateway fd00::1\n{TABLE_5}", 0),
    ("[eth0]\nexclude = yes\ntable = 5\n[eth1]\ntable = 5\n", TWO_UPLINKS, 0),
])
def test_a_table_that_two_uplinks_want_is_told(
    lab: Lab, configuration: str, stanzas: str, line: int
) -> None:
    """Whoever comes up second would be refused it."""
    lab.write(CONFIGURATION, configuration)
    lab.set_interfaces(stanzas)
    assert check(lab) == [f"{INTERFACES}:{line}: eth1: {STATED}"] * bool(line)
    assert ("table 5 is in use by 10.1.1.2 of eth0" in lab.ifup("-a")) == bool(line)


def test_what_is_never_up_beside_another_has_all_it_has(lab: Lab) -> None:
    """A template of others, and logical interfaces of which a script chooses one."""
    own = f"{TABLE_5}    mptcp-mark 0x5\n"
    template = f"iface wan inet static\n    address 10.1.2.2/24\n{own}"
    lent = template + "auto eth1\niface eth1 inet static inherits wan\n"
    lab.set_interfaces(lent)
    assert check(lab) == []
    lab.set_interfaces("auto wan\n" + lent)
    assert len(check(lab)) == 2
    places = "".join(template.replace("wan", place) for place in ("home", "work"))
    lab.set_interfaces("auto eth1\nmapping eth1\n    script /bin/true\n" + places)
    assert check(lab) == []
    lab.set_interfaces(places)
    assert len(check(lab)) == 2


def test_a_slip_is_answered_with_what_was_meant(good: Lab) -> None:
    good.write(CONFIGURATION, GOOD.replace("[eth1]", "[eht1]"))
    good.set_interfaces(TWO_UPLINKS + "    mtpcp-flags backup\n")
    assert check(good) == [
        f"{CONFIGURATION}:4: no interface is called eht1: did you mean [eth1]?",
        f"{INTERFACES}:8: eth1: no option is called mtpcp-flags: did you mean "
        "mptcp-flags?"]
    done = good.client.try_run("mptcp_up", "--chek")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2, "mptcp_up: error: unrecognized arguments: --chek (did you mean --check?)")


def test_what_is_to_be_installed_is_judged_alone(good: Lab) -> None:
    """As ansible's validate calls it: a file by another name, whatever else is wrong here."""
    good.write(CONFIGURATION, "[default]\nexlude = lan0\n[eth0]\nmark = 0x10\n")
    good.set_interfaces(TWO_UPLINKS + "    mptcp-table 0\n")
    good.write("/var/tmp/new.conf", "[eth0]\ntabel = 7\nmark = 0x20\n")
    good.write("/var/tmp/new-interfaces", "iface eth1 inet dhcp\n    mptcp-tabel 7\n"
               "iface eth2 inet dhcp\n    mptcp-mark 0x20\n"
               "iface eth0 inet dhcp\n    mtu 1400\n")
    config, stanzas = ("--config", "/var/tmp/new.conf"), ("--interfaces", "/var/tmp/new-interfaces")
    key = ("/var/tmp/new.conf:2: there is no key 'tabel' here: ignored (did you mean table?)")
    option = ("/var/tmp/new-interfaces:2: eth1: no option is called mptcp-tabel: ignored (did you "
              "mean mptcp-table?)")
    assert check(good, *config) == [key]
    assert check(good, *stanzas) == [option]
    assert check(good, *stanzas, "eth2") == []
    both = check(good, *config, *stanzas)
    assert both[:2] == [key, option] and len(both) == 3
    assert both[2].startswith("/var/tmp/new-interfaces:") and "0x20" in both[2]
    good.write("/var/tmp/new.conf", GOOD)
    assert check(good, *config) == []


def test_a_file_to_come_says_itself_what_comes_up_and_is_there(good: Lab) -> None:
    """Its own auto lines make a default route the second one, and its stanzas interfaces."""
    two = TWO_UPLINKS.replace("mptcp-gateway", "gateway")
    one = two.replace("auto eth0 eth1", "auto eth0")
    config, stanzas = ("--config", "/var/tmp/new.conf"), ("--interfaces", "/var/tmp/new-interfaces")
    good.write("/var/tmp/new-interfaces", one + "iface wan7 inet dhcp\n")
    assert check(good, *stanzas) == []
    good.write("/var/tmp/new.conf", "[wna7]\ntable = 7\n")
    assert check(good, *config) == []
    done = good.client.try_run("mptcp_up", "--check", *config, *stanzas)
    assert done.returncode == 0 and done.stderr.endswith("wna7: did you mean [wan7]?\n")
    good.set_interfaces(one)
    good.write("/var/tmp/new-interfaces", two)
    (said,) = check(good, *stanzas)
    assert said.startswith("/var/tmp/new-interfaces:7: eth1: gateway 10.1.2.1 is a second default")


@pytest.mark.parametrize("option", ["--config", "--interfaces"])
def test_a_file_that_cannot_be_looked_at_is_one_line(good: Lab, option: str) -> None:
    good.client.run("sh", "-c", "truncate -s 100M /var/tmp/large; mkfifo /var/tmp/fifo; "
                    "echo secret >/var/tmp/closed; chmod 600 /var/tmp/closed")
    for path, why in (("/var/tmp/none", "No such file or directory"), ("/etc", "not a file"),
                      ("/var/tmp/fifo", "not a file"), ("/var/tmp/large", "bytes are too many")):
        (said,) = check(good, option, path)
        assert said.startswith(path) and why in said, said
    done = good.client.try_run("/usr/bin/" + NOBODY[0], *NOBODY[1:], "/usr/sbin/mptcp_up",
                               "--check", option, "/var/tmp/closed")
    assert (done.returncode, done.stderr) == (
        2, "mptcp_up: /var/tmp/closed: cannot be read: Permission denied\n")
    # An interface that nobody looks at, a file that nobody looks at, and no file at all.
    for words in (("--check", option, ""), (option, "/dev/null", "eth0")):
        done = good.client.try_run("mptcp_up", *words)
        assert done.returncode == 2 and "error: --config" in done.stderr


def test_further_files_outweigh_in_the_order_of_their_names(good: Lab) -> None:
    further = f"{CONFIGURATION}.d"
    good.write(f"{further}/50-eth1.conf", "[eth1]\ntable = 506\n[default]\nflags = signal\n")
    good.write(f"{further}/60-eth1.conf", "[eth1]\ntable = 507\n")
    good.write(f"{further}/40-eth1.conf.dpkg-old", "nonsense")
    good.client.run("ifup", "eth0", "eth1")
    assert good.client.run("ip", "-4", "route", "show", "table", "507")
    assert good.endpoints() == ["10.1.1.2 eth0 signal", "10.1.2.2 eth1 subflow backup"]
    done = good.client.try_run("mptcp_up", "--check", "-v")
    assert (f"mptcp_up: checked {CONFIGURATION} and {further}/50-eth1.conf and "
            f"{further}/60-eth1.conf") in done.stderr
    assert done.returncode == 0
    # One that somebody else may write costs itself alone, at ifup too.
    good.client.run("chmod", "666", f"{further}/60-eth1.conf")
    good.write(f"{further}/70-bad.conf", "[eth1]\ntable = 0\ngatway = 10.1.2.9\n")
    good.client.run("ln", "-s", "/etc/shadow", f"{further}/80-link.conf")
    said = check(good)
    assert len(said) == 4 and said[0].startswith(f"{further}/60-eth1.conf is not root's own")
    assert said[1].startswith(f"{further}/70-bad.conf:2: ") and "did you mean gateway?" in said[2]
    assert said[3].startswith(f"{further}/80-link.conf is a symbolic link")
    done = good.client.try_run("mptcp_up", "eth1")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 4
    assert good.client.run("ip", "-4", "route", "show", "table", "506")
    # Without the file itself they count as well.
    good.client.run("rm", CONFIGURATION, *(f"{further}/{name}" for name in (
        "60-eth1.conf", "70-bad.conf", "80-link.conf")))
    good.client.run("ifdown", "eth0", "eth1")
    good.client.run("ifup", "eth0", "eth1")
    assert good.endpoints() == ["10.1.1.2 eth0 signal", "10.1.2.2 eth1 signal"]


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


def test_what_is_suggested_is_what_is_there_and_right(lab: Lab) -> None:
    """One uplink of ifupdown's, one of NetworkManager's, and a container's, which is none."""
    lab.set_interfaces(TWO_UPLINKS.partition("iface eth1")[0].replace(" eth1", ""))
    lab.ifup("eth0")
    lab.client.ip("link set eth1 up", "addr add 10.1.2.2/24 dev eth1",
                  "route add default via 10.1.2.1 metric 7",
                  "link add veth7 type veth peer name veth8", "addr add 10.7.7.2/24 dev veth7",
                  "link set veth7 up", "route add default via 10.7.7.1 metric 9")
    device = lab.client.run("cat", "/sys/class/net/eth1/ifindex").strip()
    before = lab.snapshot()
    said = lab.client.run("mptcp_up", "--suggest")
    assert "# eth0: its stanza in /etc/network/interfaces is enough." in said
    assert "auto eth1\niface eth1 inet static\n    address 10.1.2.2/24\n" in said
    assert "veth7" not in said and lab.snapshot() == before
    ours = lab.read(INTERFACES)
    for before_it in (ours, ""):
        lab.set_interfaces(before_it)
        lab.write("/var/tmp/interfaces",
                  before_it + "\n" + lab.client.run("mptcp_up", "--suggest"))
        assert check(lab, "--interfaces", "/var/tmp/interfaces") == []
    lab.set_interfaces(ours)
    lab.write(f"/run/NetworkManager/devices/{device}", "[device]\nmanaged=true\n")
    said = lab.client.run(*NOBODY, "/usr/sbin/mptcp_up", "--suggest")
    assert "[default]\nmanage = eth1\n" in said and "iface" not in said
    lab.write("/var/tmp/new.conf", said)
    assert check(lab, "--config", "/var/tmp/new.conf") == []
    lab.write(CONFIGURATION, said)
    assert "# eth1: /etc/mptcp-hooks/mptcp-hooks.conf names it already." in lab.client.run(
        "mptcp_up", "--suggest")
    done = lab.client.try_run("mptcp_up", "--suggest", "eth0")
    assert done.returncode == 2 and "--suggest is about all uplinks" in done.stderr
