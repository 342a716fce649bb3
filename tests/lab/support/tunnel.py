# SPDX-License-Identifier: GPL-2.0-or-later
"""A tunnel of WireGuard's, made by wg-quick, that takes all that a client is not told otherwise.

Client and server need the programs: make_lab(*WIREGUARD, server=WIREGUARD).
"""

from __future__ import annotations

from tests.lab.support.lab import SERVER_4, Host, Lab
from tests.lab.support.waiting import wait_for

WIREGUARD = ("wireguard-tools", "wireguard-go", "nftables")


class Tunnel:
    """WireGuard's wg0 from the client to the server, for everything; the server's end is up.

    `options` are lines for the client's [Interface], see wg-quick(8).
    """

    def __init__(self, lab: Lab, *options: str) -> None:
        self._client = lab.client
        (own, public), (peer, self._peer) = (self._make_keys() for _ in range(2))
        _configure(lab.client, f"PrivateKey={own}", "Address=10.77.0.2/24,fd00:77::2/64",
                   *options, "[Peer]", f"PublicKey={self._peer}", f"Endpoint={SERVER_4}:51820",
                   "AllowedIPs=0.0.0.0/0,::/0", "PersistentKeepalive=1")
        _configure(lab.server, f"PrivateKey={peer}", "Address=10.77.0.1/24,fd00:77::1/64",
                   "ListenPort=51820", "[Peer]", f"PublicKey={public}",
                   "AllowedIPs=10.77.0.2/32,fd00:77::2/128")
        lab.server.run("wg-quick", "up", "wg0")

    def up(self) -> None:
        self._client.run("wg-quick", "up", "wg0")

    def greet(self) -> None:
        """Have it greet its peer now; in vain it did before there was an uplink, 5 s ago or less.

        It does not greet one sooner that it knows. Rules and routes stay as they are.
        """
        peer = ("wg", "set", "wg0", "peer", self._peer)
        self._client.run(*peer, "remove")
        self._client.run(*peer, "endpoint", f"{SERVER_4}:51820", "allowed-ips", "0.0.0.0/0,::/0",
                         "persistent-keepalive", "1")

    def down(self) -> None:
        self._client.run("wg-quick", "down", "wg0")

    def _make_keys(self) -> tuple[str, str]:
        key = self._client.run("wg", "genkey")
        return key.strip(), self._client.run("wg", "pubkey", text=key).strip()


def _configure(host: Host, *lines: str) -> None:
    host.run("sh", "-c", "umask 77; mkdir -p /etc/wireguard; cat >/etc/wireguard/wg0.conf",
             text="\n".join(("[Interface]", *lines, "")))


def wait_for_tunnel(lab: Lab) -> None:
    """Wait until the ends have spoken to each other."""
    wait_for(lambda: not lab.client.run("wg", "show", "wg0", "latest-handshakes").endswith("\t0\n"))
