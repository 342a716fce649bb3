"""What reads this machine and changes it: netlink, /proc, control groups, `ip`'s runner."""
