# SPDX-License-Identifier: GPL-2.0-or-later
# What the maintainer scripts share: debian/rules has it put in the place of a mark in each.

say() {
	echo "mptcp-hooks: $*" >&2
}

# Whether kernel, init and /run are those of the machine that has the package. They are not where
# dpkg works on a root below DPKG_ROOT, nor in a chroot, which has another / than process 1.
# ischroot(1) would take every mount namespace for one.
is_on_its_machine() {
	[ -z "$DPKG_ROOT" ] && [ -n "$(find_root self)" ] && [ "$(find_root self)" = "$(find_root 1)" ]
}

# What is mounted as a process's / (device and folder in it, proc(5)): nothing in a chroot to a
# folder where nothing is mounted, or without /proc.
find_root() {
	awk '$5 == "/" { print $3, $4 }' "/proc/$1/mountinfo" 2>/dev/null || :
}

# debhelper's lines are for this machine's systemd, which the package of a root below it is no
# matter for. A chroot systemctl knows by itself, but older than 256 not without /proc.
if [ -n "$DPKG_ROOT" ] || [ ! -e /proc/1 ]; then
	export SYSTEMD_OFFLINE=1
fi

# In debhelper's lines: of the init script of a root below it, it would take this machine's.
chmod() {
	[ -n "$DPKG_ROOT" ] || command chmod "$@"
}
