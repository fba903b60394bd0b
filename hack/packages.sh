#!/usr/bin/env bash
# The Debian packages that baking and the lab need, in one place; with "integration", also those of the integration tests.
#   hack/packages.sh list [integration]      print them
#   hack/packages.sh missing [integration]   print those that are not installed
#   hack/packages.sh install [integration]   install those (root; for others it says what is missing, and the tests skip)
set -euo pipefail

packages=(
	mmdebstrap              # makes the base system
	debian-archive-keyring  # which it verifies against; Ubuntu lacks it
	systemd-container       # systemd-nspawn runs the machines
	iproute2                # their bridge
	nftables                # which can be cut
	e2fsprogs               # their data disks
	util-linux              # nsenter, losetup, mount
	fdisk                   # sfdisk: a disk's partitions
	dosfstools              # its EFI system partition
	mtools                  # and what is in that
	qemu-utils              # a disk becomes qcow2
	xorriso                 # the seed of a machine that bakes itself is a CD
	qemu-system-x86         # Packer's qemu builder, and starting finished disks
	maven                   # fetches the OpenSearch of the stand-in package
	gcc                     # and builds its preload
	libc6-dev
	zstd                    # looking into an image by hand
	ca-certificates
)

if [ "${2:-}" = integration ]; then
	packages+=(
		chromium    # opens the graph's page
		genisoimage # isoinfo reads a seed's image back
		ovmf        # starts a disk by UEFI
		postgresql  # a throw-away server for the stand-in of Cinc Server
	)
fi

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
	if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
		echo "not installed, and only root on Debian or Ubuntu can: apt-get install ${wanted[*]}" >&2
		exit
	fi
	echo "installing ${wanted[*]}"
	export DEBIAN_FRONTEND=noninteractive
	# One unreachable third-party source must not stop the rest; what counts is whether the packages are there at the end.
	apt-get -q update || echo "apt-get update was not complete; going on with what it got" >&2
	apt-get -q -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends "${wanted[@]}"
	;;
*)
	echo "usage: hack/packages.sh list|missing|install [integration]" >&2
	exit 2
	;;
esac
