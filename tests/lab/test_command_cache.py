# SPDX-License-Identifier: GPL-2.0-or-later
"""Kept command sets: used again only where rendering would give the same, and never trusted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab.support.lab import TWO_UPLINKS, Lab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import list_detours, pull
from tests.lab.support.uplink import ETH1, down, up
from tests.lab.support.waiting import wait_for

KEPT = "/var/cache/mptcp-hooks"
FILE = f"{KEPT}/eth1.commands"


@contextmanager
def without_jinja2(lab: Lab) -> Iterator[None]:
    """Whoever renders fails."""
    lab.client.run("sh", "-c", "mkdir -p /run/jinja2; echo 'raise OSError(\"rendered\")' "
                   ">/run/jinja2/__init__.py; "
                   "mount --bind /run/jinja2 /usr/lib/python3/dist-packages/jinja2")
    yield
    lab.client.run("umount", "/usr/lib/python3/dist-packages/jinja2")


def has_rendered(lab: Lab) -> bool:
    """Whether the next way up renders."""
    with without_jinja2(lab):
        said = up(lab)
    if said:
        assert "rendered" in said
    return bool(said)


def test_what_is_kept_is_used_after_a_reboot(link: Lab) -> None:
    before = link.snapshot()
    up(link)
    full = link.snapshot()
    down(link)
    link.client.run("rm", "-r", "/run/mptcp-hooks")
    assert not has_rendered(link)
    assert link.snapshot() == full
    down(link)
    assert link.snapshot() == before


def test_the_monitor_renders_nothing_before_it_leads_new_connections_elsewhere(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    Monitor(lab)
    with without_jinja2(lab):
        pull(lab, 0)
        wait_for(lambda: len(list_detours(lab)) == 2)


def test_an_edited_template_is_rendered_anew(link: Lab) -> None:
    up(link)
    down(link)
    text = link.read("/usr/share/mptcp-hooks/templates/up.j2")
    for path in ("/usr/share/mptcp-hooks/templates/up.j2", "/etc/mptcp-hooks/templates/up.j2"):
        link.write(path, text.replace("metric 4294967295", f"metric {len(path)}"))
        up(link)
        table = link.table(20000 + link.ifindex("eth1"))
        assert f"unreachable default proto mptcp metric {len(path)}" in table
        down(link)
    link.client.run("touch", "/etc/mptcp-hooks/templates/included.j2")
    assert has_rendered(link)


def test_what_a_template_includes_is_noticed(link: Lab) -> None:
    folder = "/etc/mptcp-hooks/templates"
    link.write(f"{folder}/up.j2", "{% include 'part.j2' %}\n")
    for number in (11, 22):
        link.write(f"{folder}/part.j2", f"ip -4 rule add pref {number} from 10.1.2.2 lookup 99")
        assert up(link) == ""
        assert f"{number}: from 10.1.2.2 lookup 99" in link.rules()
        link.client.ip(f"rule del pref {number}")
    link.write(f"{folder}/below/part.j2", "ip -4 rule add pref 33 from 10.1.2.2 lookup 99")
    link.write(f"{folder}/up.j2", "{% include 'below/part.j2' %}\n")
    assert "up.j2:1: no template below/part.j2" in up(link)


def test_an_editors_lock_beside_a_template_costs_nothing(link: Lab) -> None:
    link.client.run("mkdir", "-p", "/etc/mptcp-hooks/templates")
    link.client.run("ln", "-s", "user@host.1234:56", "/etc/mptcp-hooks/templates/.#up.j2")
    assert up(link) == ""
    assert link.endpoints() == ["10.1.2.2 eth1 subflow"]


def test_a_template_of_the_same_size_and_time_is_rendered_anew(link: Lab) -> None:
    path = "/etc/mptcp-hooks/templates/up.j2"
    link.write(path, "ip -4 rule add pref 11 from 10.1.2.2 lookup 99\n")
    link.client.run("touch", "-d", "2020-01-01", path)
    up(link)
    down(link)
    link.write(path, "ip -4 rule add pref 22 from 10.1.2.2 lookup 99\n")
    link.client.run("touch", "-d", "2020-01-01", path)
    up(link)
    assert "22: from 10.1.2.2 lookup 99" in link.rules()


def test_changed_options_and_another_version_are_rendered_anew(link: Lab) -> None:
    up(link)
    down(link)
    assert up(link, IF_MPTCP_FLAGS="signal") == ""
    assert link.endpoints() == ["10.1.2.2 eth1 signal"]
    down(link)
    assert not has_rendered(link)
    down(link)
    package = "/usr/share/mptcp-hooks/mptcp_hooks/__init__.py"
    link.write(package, link.read(package).replace('__version__ = "', '__version__ = "9'))
    assert has_rendered(link)


@pytest.mark.parametrize("damage", [
    f"rm -r {KEPT}",
    f"rm -r {KEPT}; touch {KEPT}",
    f"rm -r {KEPT}; mkdir /run/else; ln -s /run/else {KEPT}",
    f"chown nobody {KEPT}",
    f"chmod 777 {KEPT}",
    f"chown nobody {FILE}",
    f"chmod 666 {FILE}",
    f"rm {FILE}; mkdir {FILE}",
    f"cp {FILE} /run/copy; rm {FILE}; ln -s /run/copy {FILE}",
    f"truncate -s 500 {FILE}",
    f"truncate -s 0 {FILE}",
    f"sed -i s/20002/20009/g {FILE}",
    f"sed -i 's/^run ip .4 rule add/run ip link del/' {FILE}",
    f"sed -i '/^run .*unreachable/d' {FILE}",
    f"head -c 3000 /dev/urandom >{FILE}",
    f"mount -t tmpfs -o ro tmpfs {KEPT}",
])
def test_a_store_that_is_not_to_be_trusted_only_means_rendering(link: Lab, damage: str) -> None:
    up(link)
    full = link.snapshot()
    down(link)
    link.client.run("sh", "-ec", damage)
    assert has_rendered(link)
    assert up(link) == ""
    assert link.snapshot() == full
    assert link.client.try_run("ls", "-A", "/run/else").stdout == ""


def test_a_dry_run_keeps_nothing(link: Lab) -> None:
    done = link.client.try_run("/usr/sbin/mptcp_up", "--dry-run", env=ETH1)
    assert len(done.stdout.splitlines()) == 13
    assert link.client.run("ls", "-A", KEPT) == ""


def test_an_edited_module_is_not_taken_from_its_compiled_file(link: Lab) -> None:
    up(link)
    down(link)
    module = "/usr/share/mptcp-hooks/mptcp_hooks/engine/carry_out.py"
    link.write(module, link.read(module).replace(
        "def carry_out(", "raise ValueError('edited')\n\n\ndef carry_out("))
    assert "ValueError" in up(link)
