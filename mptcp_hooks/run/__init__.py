# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_run: has commands and services use Multipath TCP."""
