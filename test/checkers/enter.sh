# Runs a program in a machine's file tree, in name spaces of its own: sh enter.sh TREE "ADDRESS..." PROGRAM [ARGUMENT...]
# The addresses are on an interface that leads nowhere, so that programs bind and name what they will on a real one. The
# other machines' are there too: what connects to one is refused at once, or finds who listens in its place.
set -eu
tree=$1 addresses=$2
shift 2
mount --make-rprivate /
mount -t proc proc "$tree/proc"
mount --rbind /dev "$tree/dev"
ip() { chroot "$tree" ip "$@"; }
ip link set lo up
ip link add eth0 type veth peer name nowhere
for address in $addresses; do
	ip address add "$address" dev eth0
done
ip link set nowhere up
ip link set eth0 up
# Nothing in here may reach the host's clock, kernel or limits. The program is not the first process: as such, systemd's
# tools would talk to the kernel's log.
status=0
chroot "$tree" setpriv --bounding-set=-sys_time,-sys_module,-sys_rawio,-sys_boot,-sys_resource,-syslog -- "$@" || status=$?
exit $status
