#!/bin/sh
# Builds everything that a release consists of into dist/, for every platform, without publishing anything.
# usage: hack/release.sh GORELEASER
set -eu

cd "$(dirname "$0")/.."
# The release that the plugin calls itself between two; see plugin/main.go.
CINCBAKE_NEXT=$(sed -n 's/^const next = "\(.*\)"$/\1/p' plugin/main.go)
[ -n "$CINCBAKE_NEXT" ] || { echo "plugin/main.go names no next release" >&2; exit 1; }
export CINCBAKE_NEXT

"$1" release --snapshot --clean --parallelism "$(nproc)"

# What a release is made of, by name; GoReleaser leaves more in the folder.
cd dist
ls ./*.zip ./*.tar.gz ./*_SHA256SUMS
