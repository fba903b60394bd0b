#!/usr/bin/env bash
# The lab: bakes every role, and boots a whole self-hosted cluster on this machine.
#   hack/lab.sh [--small]   run it; --small leaves the second machine of a tier out where one will do
#   hack/lab.sh down        take the cluster away
# Cinc Server and OpenSearch are the stand-ins of test/standin, unless CINC_PACKAGE and OPENSEARCH_PACKAGE name .deb files.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$PWD
lab=$root/.cache/lab
cincbake=$root/bin/cincbake
export PACKER_PLUGIN_PATH=$root/.cache/plugins

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }

if [ "$(uname -s)" != Linux ] || [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null || ! command -v go >/dev/null; then
	echo "the lab needs root on a Debian or Ubuntu with Go 1.26: its machines are containers of systemd" >&2
	exit 3
fi

if [ "${1:-}" = down ]; then
	if [ ! -e "$lab/cluster" ] || [ ! -x "$cincbake" ]; then
		echo "there is no lab to take away" >&2
		exit
	fi
	(cd "$lab/cluster" && "$cincbake" lab down)
	rm -rf "$lab/cluster"
	echo "the lab's images stay in $lab/images; make distclean removes them"
	exit
fi
if [ -e "$lab/cluster" ]; then
	"$0" down
fi
began=$SECONDS

say "Packages"
hack/packages.sh install
say "Building the command, the boot agent, the plugin and Packer"
make --no-print-directory build plugins

# standin WHICH builds a stand-in package once, and prints where it is.
standin() { go run "./test/standin/$1/build" --out "$root/.cache/standin" | cut -d' ' -f1; }
cinc=${CINC_PACKAGE:-$(standin cinc)}
opensearch=${OPENSEARCH_PACKAGE:-$(standin opensearch)}

say "A cluster is one file"
"$cincbake" init "$lab/cluster"
cd "$lab/cluster"
# The packages come in the order in which the file asks for them.
sed -i -e 's/^name: prod /name: lab /' -e 's/^  nodes: 2  /  nodes: 3  /' -e 's/^  \(dns\|ntp\): .*//' \
	-e "0,/package: {official: true}/s||package: {file: $cinc}|" cluster.yaml
sed -i -e "0,/package: {official: true}/s||package: {file: $opensearch}|" cluster.yaml
if [ "${1:-}" = --small ]; then
	sed -i -e 's/^  nodes: \[10.20.0.11, 10.20.0.12\]/  nodes: [10.20.0.11]/' -e 's/^  nodes: 3  /  nodes: 2  /' \
		-e 's/^  nodes: \[10.20.0.41, 10.20.0.42, 10.20.0.43\]/  nodes: [10.20.0.41]/' cluster.yaml
fi
"$cincbake" validate
"$cincbake" secrets init

# Not left to lab up: images of an earlier run have the same recipe, and that run's agent in them.
say "One image per role"
"$cincbake" bake --packer "$root/.cache/tools/packer" --images ../images

say "The machines boot from them"
"$cincbake" lab up --images ../images
"$cincbake" status --lab

say "Done in $((SECONDS - began)) s"
cat <<TEXT
The cluster runs. Look around:

  cd $lab/cluster
  $cincbake status --lab                how every machine is
  $cincbake lab status                  which machines run, and the URL for clients
  $cincbake lab kill api-1              pull a plug; lab start puts it back
  $cincbake lab replace postgres-1      a new machine with an empty disk
  $cincbake lab drill --suite reduced   strike after strike under load, and a report

and take it all away with

  make lab-down
TEXT
