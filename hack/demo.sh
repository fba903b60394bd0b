#!/usr/bin/env bash
# The demo: bakes both images, boots a cluster on this machine, powers off its primary and shows what that cost.
#   hack/demo.sh         run it
#   hack/demo.sh down    take the cluster away
# It ends with 3 and a list when this machine lacks something that it cannot install.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$PWD
demo=$root/.cache/demo
cincbake=$root/bin/cincbake
export PACKER_PLUGIN_PATH=$root/.cache/plugins

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }

# What the demo cannot bring by itself.
missing=()
[ "$(uname -s)" = Linux ] || missing+=("Linux: the machines are containers of its systemd")
[ "$(id -u)" -eq 0 ] || missing+=("root: baking and booting machines mounts file systems and makes network namespaces")
command -v apt-get >/dev/null || missing+=("Debian or Ubuntu: the base systems are made with its mmdebstrap")
command -v go >/dev/null || missing+=("Go 1.26 or later on the PATH: everything is built from source")
if [ ${#missing[@]} -gt 0 ]; then
	{
		echo "make demo cannot run here. It needs"
		printf '  * %s\n' "${missing[@]}"
		cat <<-'TEXT'

			What works without all that, wherever Go does:
			  make cli                            build bin/cincbake
			  bin/cincbake init my-cluster        write a cluster.yaml to read and change
			  bin/cincbake validate               find every mistake in it
			  bin/cincbake secrets init           make its certificates and passwords
			  bin/cincbake render --out seeds     write the cloud-init seed of every machine
			  make test                           run the unit tests
			(exit code 3: a precondition is missing; make itself always ends with 2)
		TEXT
	} >&2
	exit 3
fi

if [ "${1:-}" = down ]; then
	if [ ! -e "$demo/cluster" ] || [ ! -x "$cincbake" ]; then
		echo "there is no demo to take away" >&2
		exit
	fi
	(cd "$demo/cluster" && "$cincbake" lab down)
	rm -rf "$demo/cluster"
	echo "the demo's images stay in $demo/images; make distclean removes them"
	exit
fi

began=$SECONDS
if [ -e "$demo/cluster" ]; then
	"$0" down
fi

say "Packages"
hack/packages.sh install
say "Building the command, the boot agent, the plugin and Packer"
make --no-print-directory build plugins

say "A cluster is one file"
"$cincbake" init --topology database "$demo/cluster"
cd "$demo/cluster"
sed -i 's/^name: prod /name: demo /' cluster.yaml
"$cincbake" validate
"$cincbake" secrets init

say "One image per role, baked by packer build"
"$cincbake" bake --packer "$root/.cache/tools/packer" --images ../images

say "Two database machines and a heartbeat boot from them"
"$cincbake" lab up --images ../images
"$cincbake" status --lab

say "The primary loses power while clients write"
"$cincbake" lab drill power-off

say "Done in $((SECONDS - began)) s"
cat <<TEXT
The cluster still runs. Look around:

  cd $demo/cluster
  $cincbake status --lab               how every machine is
  $cincbake switchover --lab           move the primary, planned
  $cincbake lab kill postgres-1        pull a plug yourself; lab start puts it back
  $cincbake lab replace postgres-2     a new machine with an empty disk
  $cincbake lab logs heartbeat-1       a machine's journal

and take it all away with

  make demo-down
TEXT
