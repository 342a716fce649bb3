"""mptcp-hooks: every uplink that ifup brings up becomes a path of Multipath TCP."""

__version__ = "0.1.0"
