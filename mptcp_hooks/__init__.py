# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp-hooks: every uplink that ifup brings up becomes a path of Multipath TCP."""

__version__ = "0.1.0"
# The folder in which the package's own files stand: bpf/, hooks/, templates/ and this one.
ROOT = __file__.rpartition("/mptcp_hooks/")[0]
