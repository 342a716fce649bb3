# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_monitor: what keeps true what the hooks made."""
