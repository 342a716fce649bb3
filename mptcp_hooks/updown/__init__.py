# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_up and mptcp_down, for people."""
