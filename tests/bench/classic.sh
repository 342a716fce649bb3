#!/bin/sh
# What the classic mptcp_up does for one static interface, written anew for
# comparison: eight children, of which three are `ip` commands.
set -u
tables=/run/rt_tables
[ "$IFACE" = lo ] && exit 0
[ -e $tables ] || : >$tables
if [ "$(grep -c " $IFACE\$" $tables)" -eq 0 ]; then
	number=$(wc -l <$tables)
	echo "$((number + 1)) $IFACE" >>$tables
fi
table=$(awk -v iface="$IFACE" '$2 == iface { print $1 }' $tables)
subnet=$(echo "$IF_ADDRESS" | cut -d . -f 1-3).0/24
ip route add table "$table" to "$subnet" dev "$IFACE" scope link
ip route add table "$table" default via "$IF_GATEWAY" dev "$IFACE"
ip rule add from "$IF_ADDRESS" table "$table"
