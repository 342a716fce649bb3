# SPDX-License-Identifier: GPL-2.0-or-later
"""Network managers that are daemons, each with the least it needs, on a host of the lab."""

from __future__ import annotations

import subprocess

from tests.lab.support.lab import Host, Lab
from tests.lab.support.waiting import wait_for

_SYSTEM_BUS = "/run/dbus/system_bus_socket"
# SIOCETHTOOL, and ETHTOOL_STXCSUM with 0; linux/sockios.h, linux/ethtool.h.
_CHECKSUM_ALL = """\
import array, fcntl, socket, struct
value = array.array("B", struct.pack("II", 0x17, 0))
fcntl.ioctl(socket.socket(), 0x8946, struct.pack("16sP16x", b"lan", value.buffer_info()[0]))
"""


def start_bus(host: Host) -> None:
    """Start D-Bus's system bus."""
    host.run("mkdir", "-p", "/run/dbus")
    host.start("dbus-daemon", "--system", "--nofork", "--nopidfile")
    wait_for(lambda: host.try_run("test", "-S", _SYSTEM_BUS).returncode == 0)


def do_without_udev(host: Host) -> None:
    """With a /sys that cannot be written no manager waits for udev to know the devices."""
    host.run("mount", "-o", "remount,ro,bind", "/sys")


def compute_checksums(router: Host) -> None:
    """Have the router's packets leave complete: some clients read them as they come (ConnMan)."""
    router.run("/usr/bin/python3", "-c", _CHECKSUM_ALL)


def _start_daemon(host: Host, name: str, *command: str) -> subprocess.Popen[str]:
    return host.start("sh", "-c", f'exec "$@" >>/run/{name}.log 2>&1', "sh", *command)


class NetworkManager:
    """NetworkManager on the lab's client, with keyfiles: `configure`, then `start`."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        lab.write("/etc/NetworkManager/conf.d/lab.conf",
                  "[main]\nplugins=keyfile\nno-auto-default=*\ndhcp=internal\ndns=none\n"
                  "rc-manager=unmanaged\nhostname-mode=none\nsystemd-resolved=false\n")

    def configure(self, device: str, ipv4: str, options: str = "") -> None:
        """Write the keyfile of a connection, called as its device; `options` of [connection]."""
        path = f"/etc/NetworkManager/system-connections/{device}.nmconnection"
        self._lab.write(path, f"[connection]\nid={device}\ntype=ethernet\n"
                        f"interface-name={device}\n{options}\n[ipv4]\n{ipv4}\n"
                        "[ipv6]\nmethod=disabled\n")
        self._lab.client.run("chmod", "600", path)

    def start(self) -> None:
        """Start it; all that connects by itself is connected then."""
        do_without_udev(self._lab.client)
        start_bus(self._lab.client)
        _start_daemon(self._lab.client, "NetworkManager", "NetworkManager", "--debug")
        wait_for(lambda: self._lab.client.try_run("nm-online", "-q", "-s").returncode == 0)

    def up(self, device: str) -> None:
        self._lab.client.run("nmcli", "connection", "up", device)

    def down(self, device: str) -> None:
        self._lab.client.run("nmcli", "connection", "down", device)


class Networkd:
    """systemd-networkd on the lab's client, as a process; D-Bus is there for networkctl."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        do_without_udev(lab.client)
        lab.client.run("sh", "-c", "cd /run && mkdir -p systemd/netif/links systemd/netif/leases "
                       "systemd/netif/lldp && chown -R systemd-network: systemd/netif")

    def configure(self, device: str, network: str) -> None:
        """Write a device's file; `network` are lines of [Network] and what follows it."""
        self._lab.write(f"/etc/systemd/network/{device}.network",
                        f"[Match]\nName={device}\n[Network]\nLinkLocalAddressing=no\n"
                        f"IPv6AcceptRA=no\n{network}\n")

    def start(self) -> None:
        start_bus(self._lab.client)
        _start_daemon(self._lab.client, "networkd", "env", "SYSTEMD_LOG_TARGET=console",
                      "/lib/systemd/systemd-networkd")

    def reconfigure(self, device: str) -> None:
        self._lab.client.run("networkctl", "reconfigure", device)


class ConnMan:
    """ConnMan on the lab's client; it takes eth1 and leaves eth0 alone."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        lab.write("/etc/connman/main.conf",
                  "[General]\nAllowHostnameUpdates=false\nAllowDomainnameUpdates=false\n"
                  "EnableOnlineCheck=false\nNetworkInterfaceBlacklist=eth0\n")

    def configure(self, ipv4: str) -> None:
        """Provision the wired service, ADDRESS/MASK/GATEWAY."""
        path = "/var/lib/connman/lab.config"
        self._lab.write(path, f"[service_wired]\nType=ethernet\nIPv4={ipv4}\nIPv6=off\n")
        self._lab.client.run("chmod", "600", path)

    def start(self) -> None:
        start_bus(self._lab.client)
        _start_daemon(self._lab.client, "connman", "connmand", "--nodaemon", "--nodnsproxy",
                      "--nodevice=eth0")

    def find_service(self) -> str:
        """Its name for the wired service, which connmanctl takes."""
        words = self._lab.client.run("connmanctl", "services").split()
        return words[-1]
