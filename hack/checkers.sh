#!/usr/bin/env bash
# Makes the tree of the real programs that test/checkers lets read the rendered files: Debian 13 with every role's
# packages, and OpenSearch. It is made once and kept; a changed script makes another one.
#   hack/checkers.sh          make it unless it is there, and print where it is (root; two minutes)
#   hack/checkers.sh path     print where it is or would be
#   hack/checkers.sh remove   remove every tree
# CINCBAKE_MIRROR names another mirror than http://deb.debian.org.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${CINCBAKE_CACHE:-/var/cache/cincbake}/checkers
mirror=${CINCBAKE_MIRROR:-http://deb.debian.org}
tree=$cache/$(grep -v '^[[:space:]]*#' hack/checkers.sh | sha256sum | cut -c1-12) # another comment is not another tree

packages=(
	etcd-server etcd-client patroni python3-etcd pgbackrest # the database's machines
	postgresql-13 postgresql-client-13
	haproxy keepalived procps # load balancers and routers
	ruby                      # reads cinc-server.rb
	nftables iproute2         # the host firewall, and the addresses that programs bind
	openjdk-21-jre-headless   # OpenSearch's
	systemd                   # systemd-analyze verify reads units
	ca-certificates openssl
)
# What PostgreSQL 13 needs that Debian 13 no longer has: cluster/versions.go has the same row.
pinned='postgresql-13 postgresql-client-13 libssl1.1 libicu67 libldap-2.4-2 libllvm11 libffi7'

preferences() {
	local suite
	for suite in bullseye bullseye-security; do
		printf 'Package: *\nPin: release n=%s\nPin-Priority: -10\n\n' "$suite"
		printf 'Package: %s\nPin: release n=%s\nPin-Priority: 500\n\n' "$pinned" "$suite"
	done
}

sources() {
	local suite
	for suite in trixie trixie-updates bullseye; do
		echo "deb $mirror/debian $suite main"
	done
	for suite in trixie-security bullseye-security; do
		echo "deb $mirror/debian-security $suite main"
	done
}

make_tree() {
	local work=$1 program
	for program in mmdebstrap mvn go; do
		if ! command -v "$program" >/dev/null; then
			echo "the checkers' tree is made with $program: apt-get install mmdebstrap maven" >&2
			exit 3
		fi
	done
	preferences >"$work/preferences"
	sources >"$work/sources"

	# The server without its security plugin, which Maven Central does not have. The stand-in package is made of it too.
	local server
	server=$(go run ./test/standin/opensearch/build --tree)

	# Java's package wants a directory of manuals. The users get the numbers that roles/role/layout.go gives them.
	# shellcheck disable=SC2016 # $1 is the hooks' own
	mmdebstrap --mode=root --variant=minbase --format=directory \
		--aptopt='Acquire::Retries "5"' --aptopt='APT::Install-Recommends "false"' \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--setup-hook='mkdir -p "$1/etc/apt/preferences.d" "$1/etc/postgresql-common" "$1/usr/share/man/man1"' \
		--setup-hook="cp '$work/preferences' \"\$1/etc/apt/preferences.d/postgres\"" \
		--setup-hook='echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.conf"' \
		--essential-hook='cd "$1/etc"; for entry in postgres:432 etcd:379; do user=${entry%:*}; id=${entry#*:}
			echo "$user:x:$id:$id::/var/lib/$user:/bin/sh" >>passwd; echo "$user:x:$id:" >>group; echo "$user:!::::::" >>shadow; done' \
		--include="$(IFS=,; echo "${packages[*]}")" \
		--customize-hook='chroot "$1" useradd --system --user-group --uid 920 --home-dir /usr/share/opensearch --shell /usr/sbin/nologin opensearch' \
		trixie "$work/tree" "$work/sources" >&2

	# The layout of the package that images have.
	local home=$work/tree/usr/share/opensearch
	cp -a "$server" "$home"
	mkdir -p "$home/plugins"
	mv "$home/config" "$work/tree/etc/opensearch"
	sed -i -e 's|logs/|/var/log/opensearch/|' -e 's|HeapDumpPath=data|HeapDumpPath=/var/lib/opensearch|' "$work/tree/etc/opensearch/jvm.options"
	chmod 0755 "$home"/bin/*
	install -d -m 0750 "$work/tree/var/lib/opensearch" "$work/tree/var/log/opensearch"
	chroot "$work/tree" chown -R opensearch: /etc/opensearch /var/lib/opensearch /var/log/opensearch
}

case "${1:-make}" in
path)
	echo "$tree"
	;;
remove)
	rm -rf "$cache"
	;;
make)
	if [ ! -d "$tree" ]; then
		mkdir -p "$cache"
		exec 9>"$cache/lock"
		flock 9 # two that start at once need one tree
		if [ ! -d "$tree" ]; then
			work=$(mktemp -d "$cache/.new-XXXXXX")
			trap 'rm -rf "$work"' EXIT
			make_tree "$work"
			# Trees of other versions of this script go when they are a day old: tests may still be in a younger one.
			find "$cache" -mindepth 1 -maxdepth 1 -type d ! -path "$work" -mtime +0 -exec rm -rf {} +
			touch "$work/tree"
			mv "$work/tree" "$tree"
		fi
	fi
	echo "$tree"
	;;
*)
	echo "usage: hack/checkers.sh [make|path|remove]" >&2
	exit 2
	;;
esac
