# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/relay.md, its commands run as they stand there, towards a server with plain TCP alone.

            10.99.0.1, relay.example.org, systemd
    client ---< both uplinks >--- server --- files, 203.0.113.2, files.example.org
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.lab.support.booted import SYSTEMD, WITHOUT, BootedHost
from tests.lab.support.forced import bring_up
from tests.lab.support.lab import SERVER_4, Host, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.paths import MEGABYTE
from tests.lab.support.waiting import wait_for

GUIDE = Path(__file__).parents[2] / "docs/relay.md"
SIZE = 16 * MEGABYTE
FILES = "203.0.113.2"
HOSTS = f"127.0.0.1 localhost\n{SERVER_4} relay.example.org\n{FILES} files.example.org\n"
# What somebody has who uses the relay's SSH already.
SSH_CONFIG = """\
Host relay.example.org
    User root
    IdentityFile /etc/ssh/lab_key
    StrictHostKeyChecking no
    UserKnownHostsFile /dev/null
    LogLevel ERROR
"""

pytestmark = pytest.mark.alone


class Download(NamedTuple):
    """In Mbit/s, and what each uplink carried, in bytes."""

    rate: float
    uplinks: tuple[int, int]
    errors: str

    def is_over_both(self) -> bool:
        """Faster than an uplink is, and each has a good part of it."""
        return self.rate > 55 and min(self.uplinks) > SIZE / 4


def read_blocks(title: str) -> list[str]:
    """The blocks of a section, in their order."""
    body = GUIDE.read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
    return re.findall(r"^```\w*\n(.*?)^```$", body, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def relay(make_shared_lab: MakeLab) -> Iterator[Lab]:
    """Two uplinks, a relay with systemd, and a server of files behind it that has plain TCP."""
    lab = make_shared_lab("curl", "mptcpize", "openssh-client", without=WITHOUT,
                          server=(*SYSTEMD, "mptcpize", "openssh-server", "tinyproxy"),
                          server_kind=BootedHost)
    files = Host(lab.scratch / "files")
    try:
        connect_files(lab, files)
        let_in(lab)
        bring_up(lab)
        yield lab
    finally:
        files.close()


def connect_files(lab: Lab, files: Host) -> None:
    """Have the server of files behind the relay; the client reaches it directly, too."""
    files.ip(f"link add eth0 type veth peer name files netns {lab.server.pid}",
             "link set eth0 up", f"addr add {FILES}/24 dev eth0")
    lab.server.ip("link set files up", "addr add 203.0.113.1/24 dev files")
    files.ip("route add default via 203.0.113.1")
    lab.server.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    for number, router in enumerate(lab.routers, start=1):
        router.ip(f"route add 203.0.113.0/24 via 10.8.{number}.2")
    for host in (lab.client, lab.server):
        host.run("sh", "-c", "cat >/etc/hosts", text=HOSTS)
    # Its files are the machine's: it gets a folder of the lab's.
    folder = lab.scratch / "www"
    folder.mkdir()
    (folder / "file").write_bytes(bytes(SIZE))
    files.start(sys.executable, "-m", "http.server", "--directory", str(folder), "80")
    wait_for(lambda: files.run("ss", "-tlnH", "sport", "=", ":80"))


def let_in(lab: Lab) -> None:
    """Give the client a key for the relay's root."""
    lab.client.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/etc/ssh/lab_key")
    lab.write("/etc/ssh/ssh_config.d/lab.conf", SSH_CONFIG)
    lab.server.run("sh", "-c", "cat >/etc/ssh/lab_keys", text=lab.read("/etc/ssh/lab_key.pub"))
    lab.server.run("sh", "-c", "echo AuthorizedKeysFile /etc/ssh/lab_keys "
                   ">/etc/ssh/sshd_config.d/lab.conf")
    lab.server.run("usermod", "--password", "*", "root")


def download(lab: Lab, commands: str) -> Download:
    """Run a block of the guide that ends with a download."""
    before, began = lab.count_carried(), time.monotonic()
    process = lab.client.start("sh", "-ec", f"cd /run && rm -f file\n{commands}")
    _, errors = process.communicate(timeout=60)
    seconds = time.monotonic() - began
    assert process.returncode == 0, errors
    assert lab.client.run("stat", "-c", "%s", "/run/file").strip() == str(SIZE)
    first, second = (now - then for now, then in zip(lab.count_carried(), before))
    return Download(SIZE * 8e-6 / seconds, (first, second), errors)


def test_directly_one_uplink_carries_all(relay: Lab) -> None:
    done = download(relay, "mptcp_run curl -sS --remote-name http://files.example.org/file")
    assert done.rate < 50 and min(done.uplinks) < SIZE / 20


def test_by_ssh(relay: Lab) -> None:
    on_relay, tunnel, use = read_blocks("By SSH")
    relay.server.run("sh", "-ec", on_relay)
    relay.client.run("sh", "-ec", tunnel)
    assert download(relay, use).is_over_both()


def test_by_an_http_proxy(relay: Lab) -> None:
    settings, on_relay, use = read_blocks("By an HTTP proxy")
    # As each boot does, but that of the lab.
    relay.server.run("systemd-tmpfiles", "--create", "tinyproxy.conf")
    relay.server.run("sh", "-ec", "sed -i /^Allow/d /etc/tinyproxy/tinyproxy.conf; "
                     "cat >>/etc/tinyproxy/tinyproxy.conf", text=settings)
    relay.server.run("sh", "-ec", on_relay)
    wait_for(lambda: relay.server.run("ss", "-MlnH", "sport", "=", ":8888"))
    done = download(relay, use)
    assert done.is_over_both()
    assert "2 subflows" in done.errors


def test_the_http_proxy_wants_its_password(relay: Lab) -> None:
    done = relay.client.try_run("curl", "-sS", "--fail", "--proxy", "http://relay.example.org:8888",
                                "http://files.example.org/")
    assert done.returncode and "407" in done.stderr
