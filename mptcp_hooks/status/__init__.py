# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_status: looks, judges and draws; changes nothing."""
