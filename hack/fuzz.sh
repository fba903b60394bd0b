#!/usr/bin/env bash
# Fuzzes every fuzz test of the module in turn. Usage: hack/fuzz.sh 10s
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:?how long each target runs, like 10s}

found=0
for package in $(go list ./...); do
	for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "== $package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 10x "$package"
		found=$((found + 1))
	done
done
if [ "$found" -eq 0 ]; then
	echo "no fuzz tests found" >&2
	exit 1
fi
