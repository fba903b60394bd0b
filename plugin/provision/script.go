package provision

// noTerminal fails where Packer asks for a terminal for each command.
const noTerminal = "[ ! -t 0 ]"

// settle waits where a booted machine is still busy with itself: cloud-init makes users and installs packages, and Debian's
// timers hold apt's locks. The timers stop until the next boot; a running upgrade is not broken off. A tree that was never
// booted does none of it. cloud-init's status is 2 when it ended with warnings.
const settle = `set -eu
[ -d /run/systemd/system ] || exit 0
if command -v cloud-init >/dev/null; then
	timeout 600 cloud-init status --wait || [ $? -eq 2 ]
fi
systemctl stop apt-daily.timer apt-daily-upgrade.timer apt-daily.service 2>/dev/null || true
end=$(($(date +%s) + 600))
while [ "$(systemctl show --property=ActiveState --value apt-daily-upgrade.service)" = activating ]; do
	[ "$(date +%s)" -lt "$end" ] || { echo "Debian's own upgrade still runs after ten minutes" >&2; exit 1; }
	sleep 2
done
apt-get check --quiet --quiet -o DPkg::Lock::Timeout=600`

// seal makes the machine an image: first the account that Packer entered by goes, with its keys, and on a booted machine
// what cloud-init configured for this boot (network, ssh), so that the image is what it would be had nobody ever started it;
// then the agent does the rest. All is one command, because without the account sudo no longer works. What comes after it
// (bringing the results home, switching off) needs no rights.
//
// On a booted machine a unit of this boot alone switches it off once a file appears: that is for a template's
// shutdown_command.
//
// $1 is the account, or empty; the rest is the agent's command.
const seal = `set -eu
umask 022
user=$1; shift
if [ -d /run/systemd/system ]; then
	install -d -m 1777 ` + runDir + `
	systemd-run --quiet --unit=cincbake-poweroff --path-property=PathExists=` + runDir + `/poweroff systemctl poweroff
	# The journal of this boot goes on in memory: it would make its folder, which has the machine's id in its name, anew.
	journalctl --relinquish-var
	if command -v cloud-init >/dev/null; then cloud-init clean --configs all; fi
fi
if [ -n "$user" ] && id -u "$user" >/dev/null 2>&1; then
	userdel --force --remove "$user" 2>&1 | sed '/mail spool\|currently used by process/d'
	! id -u "$user" >/dev/null 2>&1 || { echo "the account $user is still there" >&2; exit 1; }
	rm -f /etc/sudoers.d/90-cloud-init-users
fi
exec "$@"`

// ShutdownCommand is what a template says as its builder's shutdown_command: sealing has taken away the rights to say
// poweroff.
const ShutdownCommand = "touch " + runDir + "/poweroff"

// runDir is the folder of this boot alone in which a file called poweroff switches the machine off.
const runDir = "/run/cincbake-bake"
