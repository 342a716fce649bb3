# SPDX-License-Identifier: GPL-2.0-or-later
"""What a provider serves on its link: DHCP by dnsmasq, router advertisements by radvd.

The routers need both programs: make_lab(routers=SERVICES).
"""

from __future__ import annotations

import ipaddress
import signal
import subprocess
from typing import NamedTuple

from tests.lab.support.lab import Lab
from tests.lab.support.waiting import wait_for

# The packages of the programs.
SERVICES = ("dnsmasq-base", "radvd")
SHORTEST_LEASE = 120  # dnsmasq raises anything less
_RADVD_CONF = "/run/radvd.conf"


class _Lifetimes(NamedTuple):
    preferred: int
    valid: int


class Provider:
    """The services of router 1 or 2, on the link of the client's eth0 or eth1."""

    def __init__(self, lab: Lab, number: int) -> None:
        self.number = number
        self.device = f"eth{number - 1}"
        self.subnet = f"10.1.{number}.0/24"
        self.prefix = f"fd00:{number}::/64"
        self.router = lab.routers[number - 1]
        self._server = lab.server
        self._carried = {self.subnet, self.prefix}
        self._prefixes: dict[str, _Lifetimes] = {}
        self._dhcp: subprocess.Popen[str] | None = None
        self._dhcp6: subprocess.Popen[str] | None = None
        self._radvd: subprocess.Popen[str] | None = None

    def carry(self, subnet: str) -> None:
        """Route another subnet of this link to the server and back; its first address is ours."""
        network = ipaddress.ip_network(subnet)
        if subnet in self._carried:
            return
        self._carried.add(subnet)
        option, onlink = ("-6 ", " nodad") if network.version == 6 else ("", "")
        back = f"fd00:8:{self.number}::1" if network.version == 6 else f"10.8.{self.number}.1"
        self.router.ip(
            f"{option}addr add {network[1]}/{network.prefixlen} dev lan{onlink}",
            f"{option}rule add pref 10 iif lan from {network} lookup main",
        )
        self._server.ip(f"{option}route add {network} via {back}")

    def serve_dhcp(
        self, first: str = "", gateway: str = "", routes: tuple[tuple[str, str], ...] = (),
        seconds: int = SHORTEST_LEASE, renew: int = 0, resolvers: tuple[str, ...] = (),
    ) -> None:
        """Serve one address and a gateway, which are .50 and .1 if not said; '-' is no gateway.

        `routes` are pairs of a destination and its gateway (RFC 3442), and no resolvers are named
        but those that are said. A client is told to
        renew after `renew` seconds (3 or more), else it does after half the lease. Serve
        again, and a client that renews gets the new gateway, or is refused its old address
        (NAK) and asks anew.
        """
        first = first or f"10.1.{self.number}.50"
        gateway = gateway or f"10.1.{self.number}.1"
        subnet = ipaddress.ip_network(f"{first}/24", strict=False)
        self.carry(str(subnet))
        options = [f"--dhcp-range={first},{first},{subnet.netmask},{seconds}"]
        if gateway == "-":
            options += ["--dhcp-option=3"]
        else:
            self.router.ip(f"addr replace {gateway}/24 dev lan")
            options += [f"--dhcp-option=3,{gateway}"]
        if routes:
            options += ["--dhcp-option=121," + ",".join(word for pair in routes for word in pair)]
        if resolvers:
            options += ["--dhcp-option=6," + ",".join(resolvers)]
        if renew:
            # dnsmasq ignores what is under 3 s, and a T2 that is not before the lease's end.
            options += [f"--dhcp-option=option:T1,{max(renew, 3)}",
                        f"--dhcp-option=option:T2,{max(renew, 3) + 2}"]
        self.stop_dhcp()
        self._dhcp = self._start_dnsmasq("dhcp4", options)

    def refuse_dhcp(self) -> None:
        """Refuse an address that is asked for again (NAK), and lease none."""
        self.stop_dhcp()
        base = self.subnet.partition("/")[0]
        self._dhcp = self._start_dnsmasq(
            "dhcp4", [f"--dhcp-range={base},static", "--dhcp-authoritative"])

    def stop_dhcp(self) -> None:
        _stop(self._dhcp)
        self._dhcp = None

    def serve_dhcp6(
        self, first: str = "", seconds: int = SHORTEST_LEASE, resolvers: tuple[str, ...] = ()
    ) -> None:
        """Serve one IPv6 address, ::50 if not said; routers are for `advertise` to tell."""
        first = first or f"fd00:{self.number}::50"
        self.carry(str(ipaddress.ip_network(f"{first}/64", strict=False)))
        self.stop_dhcp6()
        options = [f"--dhcp-range={first},{first},64,{seconds}"]
        if resolvers:
            options += ["--dhcp-option=option6:dns-server," + ",".join(
                f"[{resolver}]" for resolver in resolvers)]
        self._dhcp6 = self._start_dnsmasq("dhcp6", options)

    def stop_dhcp6(self) -> None:
        _stop(self._dhcp6)
        self._dhcp6 = None

    def advertise(
        self, prefix: str = "", router_lifetime: int = 60, preferred: int = 60, valid: int = 120,
        managed: bool = False, resolvers: tuple[str, ...] = (), named: int = 60,
    ) -> None:
        """Advertise a prefix, fd00:N::/64 if not said, besides those that already are.

        To renumber, advertise the old one again with preferred=0, and then the new one.
        A router_lifetime of 0 says that this is no default router. `resolvers` are `named` for so
        many seconds (RDNSS).
        """
        prefix = prefix or self.prefix
        self.carry(prefix)
        self._prefixes[prefix] = _Lifetimes(preferred, valid)
        self.router.run("sh", "-c", f"cat >{_RADVD_CONF}",
                        text=self._say(router_lifetime, managed, resolvers, named))
        if self._radvd is None:
            self._radvd = self.router.start(
                "radvd", "--nodaemon", "--username", "root", "--config", _RADVD_CONF,
                "--pidfile", "/run/radvd.pid", "--logmethod", "logfile",
                "--logfile", "/run/radvd.log")
        else:
            self._radvd.send_signal(signal.SIGHUP)

    def stop_advertising(self, farewell: bool = True) -> None:
        """Stop radvd; its farewell takes the router's default away, not the addresses."""
        _stop(self._radvd, signal.SIGTERM if farewell else signal.SIGKILL)
        self._radvd = None
        self._prefixes.clear()

    def read_log(self, name: str) -> str:
        """What dhcp4, dhcp6 or radvd logged so far."""
        return self.router.run("cat", f"/run/{name}.log")

    def _say(
        self, router_lifetime: int, managed: bool, resolvers: tuple[str, ...], named: int
    ) -> str:
        prefixes = "".join(
            f"prefix {prefix} {{ AdvPreferredLifetime {times.preferred};"
            f" AdvValidLifetime {times.valid}; }};\n"
            for prefix, times in self._prefixes.items())
        rdnss = (f"RDNSS {' '.join(resolvers)} {{ AdvRDNSSLifetime {named}; }};\n"
                 if resolvers else "")
        # Only with AdvIntervalOpt does radvd take intervals under 3 s.
        return ("interface lan {\nAdvSendAdvert on;\nAdvIntervalOpt on;\nMinRtrAdvInterval 0.2;\n"
                "MaxRtrAdvInterval 0.5;\nMinDelayBetweenRAs 0.1;\n"
                f"AdvDefaultLifetime {router_lifetime};\n"
                f"AdvManagedFlag {'on' if managed else 'off'};\n{prefixes}{rdnss}}};\n")

    def _start_dnsmasq(self, name: str, options: list[str]) -> subprocess.Popen[str]:
        log = f"/run/{name}.log"
        self.router.run("rm", "-f", log)
        process = self.router.start(
            "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--no-ping",
            "--user=root", "--interface=lan", "--bind-interfaces", "--log-dhcp",
            f"--log-facility={log}", f"--dhcp-leasefile=/run/{name}.leases",
            f"--pid-file=/run/{name}.pid", *options)
        wait_for(lambda: process.poll() is not None or "started" in self._peek(log))
        assert process.poll() is None, f"{process.communicate()}{self._peek(log)}"
        return process

    def _peek(self, path: str) -> str:
        return self.router.try_run("cat", path).stdout


Served = tuple[Lab, Provider, Provider]


def with_providers(lab: Lab) -> Served:
    """A lab whose routers have SERVICES, and who serves on each uplink; nothing yet."""
    return lab, Provider(lab, 1), Provider(lab, 2)


def _stop(process: subprocess.Popen[str] | None, number: int = signal.SIGTERM) -> None:
    if process is not None:
        process.send_signal(number)
        process.communicate(timeout=10)


def addresses(lab: Lab, device: str, family: int = 4) -> list[str]:
    """The client's addresses of global scope on a device that are ready for use."""
    lines = lab.client.run("ip", "-o", f"-{family}", "addr", "show", "dev", device, "scope",
                           "global", "-tentative" if family == 6 else "up").splitlines()
    return [line.split()[3].split("/")[0] for line in lines]
