# SPDX-License-Identifier: GPL-2.0-or-later
"""Two hosts joined by tun devices: what pppd and its kernel module do, where a kernel has none.

    wire.py PID DEVICE PID DEVICE   the devices are there when it says "ready", and go with it

Processes name the hosts; the second is the one that it runs in from then on.
"""

from __future__ import annotations

import ctypes
import os
import select
import sys
from fcntl import ioctl
from struct import pack

# TUNSETIFF, IFF_TUN and IFF_NO_PI of include/uapi/linux/if_tun.h; CLONE_NEWNET of sched.h.
_SET, _TUN, _BARE, _NETWORK = 0x400454CA, 0x0001, 0x1000, 0x40000000
_LARGEST = 1 << 16


def make_device(pid: int, name: str) -> int:
    """A tun device in the network of a process; its descriptor."""
    with open(f"/proc/{pid}/ns/net", encoding="ascii") as network:
        if ctypes.CDLL(None, use_errno=True).setns(network.fileno(), _NETWORK):
            raise OSError(ctypes.get_errno(), "setns")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    ioctl(device, _SET, pack("16sH22x", name.encode(), _TUN | _BARE))
    return device


def carry(first: int, second: int) -> None:
    """Carry packets both ways; those for a device that is down are lost, as on a wire."""
    other = {first: second, second: first}
    poll = select.poll()
    for device in other:
        poll.register(device, select.POLLIN)
    while True:
        for device, _ in poll.poll():
            try:
                os.write(other[device], os.read(device, _LARGEST))
            except OSError:
                continue


if __name__ == "__main__":
    ends = [make_device(int(pid), name) for pid, name in (sys.argv[1:3], sys.argv[3:5])]
    print("ready", flush=True)
    carry(*ends)
