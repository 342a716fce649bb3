# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_check: what asks whether paths work, where the administrator wants that."""
