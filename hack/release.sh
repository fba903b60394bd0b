#!/bin/sh
# Builds everything that a release consists of into dist/, for every platform, without publishing anything, and tests it: names,
# sums, contents, and that Packer installs and runs the plugin.
# usage: hack/release.sh GORELEASER
set -eu

cd "$(dirname "$0")/.."
# The release that the plugin calls itself between two; see plugin/main.go.
CINCBAKE_NEXT=$(sed -n 's/^const next = "\(.*\)"$/\1/p' plugin/main.go)
[ -n "$CINCBAKE_NEXT" ] || { echo "plugin/main.go names no next release" >&2; exit 1; }
export CINCBAKE_NEXT

"$1" release --snapshot --clean --parallelism "$(nproc)"

ls dist/*.zip dist/*.tar.gz dist/*_SHA256SUMS
CINCBAKE_DIST="$PWD/dist"
export CINCBAKE_DIST
cd plugin && go test -tags integration -count=1 -run '^TestRelease' .
