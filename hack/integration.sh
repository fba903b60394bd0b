#!/usr/bin/env bash
# Runs a module's tests that are in files with the build tag integration, and no others: the rest is make test's.
#
# Usage: hack/integration.sh MODULE
set -euo pipefail
cd "$(dirname "$0")/../$1"

# shellcheck disable=SC2016 # $dir is the template's
mapfile -t files < <(go list -tags integration -f '{{$dir := .Dir}}{{range .TestGoFiles}}{{$dir}}/{{.}}
{{end}}{{range .XTestGoFiles}}{{$dir}}/{{.}}
{{end}}' ./... | sed '/^$/d' | xargs grep -lE '^//go:build integration( |$)')
if [ ${#files[@]} -eq 0 ]; then
	echo "hack/integration.sh: go list found no test of $1 with the tag integration: run it there to see why" >&2
	exit 1
fi
mapfile -t packages < <(dirname "${files[@]}" | sort -u)
tests=$(sed -nE 's/^func (Test[A-Z0-9]\w*)\(.*/\1/p' "${files[@]}" | grep -vx TestMain | sort -u | paste -sd'|')
# The longest package takes eight minutes on a new machine, half again as much on a slow one: go test ends it after ten.
exec go test -tags integration -count=1 -timeout 40m -run "^($tests)\$" "${packages[@]}"
