# SPDX-License-Identifier: GPL-2.0-or-later
"""OpenVPN from the client to the server, with redirect-gateway def1: two halves of a default.

Client and server need the programs: make_lab(*OPENVPN, server=OPENVPN).
"""

from __future__ import annotations

import subprocess

from tests.lab.support.lab import SERVER_4, Host, Lab
from tests.lab.support.paths import route_get
from tests.lab.support.waiting import wait_for

OPENVPN = ("openvpn", "openssl")
_USUAL = ("openvpn", "--dev", "tun0", "--dev-type", "tun", "--key", "/etc/openvpn/key",
          "--cert", "/etc/openvpn/certificate")


class OpenVpn:
    """Its server runs at once, the client between `up` and `down`."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        own, self._peer = (_certify(host) for host in (lab.client, lab.server))
        lab.server.start(*_USUAL, "--tls-server", "--dh", "none", "--peer-fingerprint", own,
                         "--ifconfig", "10.3.0.1", "10.3.0.2")
        self._process: subprocess.Popen[str] | None = None

    def up(self) -> None:
        """Return when the machine's default leads into it."""
        self._process = self._lab.client.start(
            *_USUAL, "--tls-client", "--peer-fingerprint", self._peer, "--ifconfig", "10.3.0.2",
            "10.3.0.1", "--remote", "10.8.1.2", "--redirect-gateway", "def1")
        wait_for(lambda: route_get(self._lab, SERVER_4)["dev"] == "tun0")

    def down(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(10)


def _certify(host: Host) -> str:
    """Have a key and a certificate in /etc/openvpn; the fingerprint that the peer knows it by."""
    host.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp384r1",
             "-nodes", "-subj", "/CN=lab", "-keyout", "/etc/openvpn/key", "-out",
             "/etc/openvpn/certificate")
    return host.run("openssl", "x509", "-fingerprint", "-sha256", "-noout", "-in",
                    "/etc/openvpn/certificate").strip().partition("=")[2]
