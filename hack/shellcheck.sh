#!/usr/bin/env bash
# Runs shellcheck over every shell script of the project. Without shellcheck it says so; CINCBAKE_REQUIRE=1 makes that an error.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v shellcheck >/dev/null; then
	echo "shellcheck is not here, so the shell scripts were not checked: apt-get install shellcheck" >&2
	[ "${CINCBAKE_REQUIRE:-}" != 1 ]
	exit
fi
shellcheck .ci/run hack/*.sh
