#!/usr/bin/env bash
# Installs Packer plugins from files: PACKER and PACKER_PLUGIN_PATH say where to.
#   hack/plugins.sh FILE SOURCE [FILE SOURCE]…
# One that is installed already stays as it is: a bake that runs may be using it.
set -euo pipefail

while [ $# -gt 0 ]; do
	file=$1 source=$2
	shift 2
	for installed in "$PACKER_PLUGIN_PATH/$source/packer-plugin-${source##*/}"_v*_x5.0_*; do
		if [[ $installed != *_SHA256SUM ]] && cmp -s "$file" "$installed"; then
			continue 2
		fi
	done
	CHECKPOINT_DISABLE=1 "$PACKER" plugins install --path "$file" "$source"
done
