# SPDX-License-Identifier: GPL-2.0-or-later
"""What reads this machine and changes it: netlink, /proc, control groups, `ip`'s runner."""
