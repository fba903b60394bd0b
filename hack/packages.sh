#!/usr/bin/env bash
# The Debian packages that baking and the lab need, in one place.
#   hack/packages.sh list      print them
#   hack/packages.sh missing   print those that are not installed
#   hack/packages.sh install   install those (root)
set -euo pipefail

packages=(
	mmdebstrap              # makes the base system
	debian-archive-keyring  # which it verifies against; Ubuntu lacks it
	systemd-container       # systemd-nspawn runs the machines
	iproute2                # their bridge
	e2fsprogs               # their data disks
	util-linux              # nsenter, losetup, mount
	zstd                    # looking into an image by hand
	ca-certificates
)

missing() {
	local package
	for package in "${packages[@]}"; do
		if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
			echo "$package"
		fi
	done
}

case "${1:-}" in
list)
	printf '%s\n' "${packages[@]}"
	;;
missing)
	missing
	;;
install)
	mapfile -t wanted < <(missing)
	if [ ${#wanted[@]} -eq 0 ]; then
		exit 0
	fi
	echo "installing ${wanted[*]}"
	export DEBIAN_FRONTEND=noninteractive
	# One unreachable third-party source must not stop the rest; what counts is whether the packages are there at the end.
	apt-get -q update || echo "apt-get update was not complete; going on with what it got" >&2
	apt-get -q install --yes --no-install-recommends "${wanted[@]}"
	;;
*)
	echo "usage: hack/packages.sh list|missing|install" >&2
	exit 2
	;;
esac
