#!/usr/bin/env bash
# Makes a plain Debian 13 that boots, for the integration tests: one to boot, and a copy of it whose cloud-init is run by itself; and
# a Debian 12 for its older cloud-init.
# They are kept in .cache, so this takes its time once. Prints the environment that tells the tests where they are.
# It makes nothing, and says so, where it can't: the tests then skip, each with its reason.
set -euo pipefail
cd "$(dirname "$0")/.."
trees=$PWD/.cache/trees
older=$PWD/.cache/tree-bookworm

if [ "$(id -u)" -ne 0 ] || ! command -v mmdebstrap >/dev/null; then
	echo "no Debian tree for the integration tests: that takes root and mmdebstrap" >&2
	exit
fi
if [ ! -d "$trees" ]; then
	fresh=$(mktemp -d -p "$PWD/.cache" trees.XXXXXX)
	trap 'rm -rf "$fresh"' EXIT
	mmdebstrap --quiet --variant=minbase --include=systemd,systemd-sysv,dbus,cloud-init,iproute2,openssh-server,e2fsprogs \
		trixie "$fresh/boot" >&2
	cp -a --reflink=auto "$fresh/boot" "$fresh/cloud-init"
	mv "$fresh" "$trees"
fi
if [ ! -d "$older" ]; then
	unpacked=$(mktemp -d -p "$PWD/.cache" trees.XXXXXX)
	trap 'rm -rf "${fresh:-}" "$unpacked"' EXIT
	mmdebstrap --quiet --variant=minbase --include=cloud-init bookworm "$unpacked" >&2
	mv "$unpacked" "$older"
fi
echo "CINCBAKE_TEST_TREE=$trees/boot CINCBAKE_CLOUDINIT_ROOT=$trees/cloud-init CINCBAKE_CLOUDINIT_ROOT_12=$older"
