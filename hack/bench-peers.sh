#!/usr/bin/env bash
# Makes seeds as disk images with cincbake and with cloud-localds (cloud-image-utils), and prints the ratio of their times for each:
# for packing seeds that are there already, which is what cloud-localds does, and for all of `render`, which also makes them
# and holds them against cloud-init's schema. cincbake's times are those of its benchmarks of 1,000 seeds.
#   hack/bench-peers.sh
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
command -v cloud-localds >/dev/null || missing+=(cloud-image-utils)
command -v genisoimage >/dev/null || missing+=(genisoimage)
if [ ${#missing[@]} -gt 0 ]; then
	echo "what this compares with is missing: apt-get install ${missing[*]}" >&2
	exit 3
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go build -o "$work/cincbake" ./cmd/cincbake
(
	cd "$work"
	./cincbake init . 2>/dev/null
	./cincbake secrets init 2>/dev/null
	./cincbake render --out folders >/dev/null
	./cincbake render --out images --format iso >/dev/null
)

now() { date +%s%N; }
peers=0
began=$(now)
for _ in 1 2; do
	for seed in "$work"/folders/*; do
		cloud-localds --network-config="$seed/network-config" --vendor-data="$seed/vendor-data" \
			"$work/peer-$(basename "$seed").iso" "$seed/user-data" "$seed/meta-data"
		peers=$((peers + 1))
	done
done
theirs=$(($(now) - began))

# Both hold the same.
for seed in "$work"/folders/*; do
	name=$(basename "$seed")
	for file in user-data meta-data network-config; do
		for image in "$work/peer-$name.iso" "$work/images/$name.iso"; do
			isoinfo -R -i "$image" -x "/$file" | cmp - "$seed/$file"
		done
	done
done

# each prints how many milliseconds a seed takes in a benchmark of 1,000.
each() {
	local found
	found=$(go test -run '^$' -bench "$1" -benchtime 5x ./cmd/cincbake |
		awk '{ for (i = 2; i <= NF; i++) if ($i == "s/1000-seeds") print $(i - 1) }')
	echo "${found:?the benchmark $1 printed no result}"
}
packing=$(each ThousandImages)
rendering=$(each ThousandSeeds/iso)

awk -v packing="$packing" -v rendering="$rendering" -v theirs="$theirs" -v peers="$peers" 'BEGIN {
	b = theirs / peers / 1e6
	printf "cloud-localds packs a seed in %.2f ms\n", b
	printf "cincbake packs one in %.2f ms: %.0f times as fast (goal: 100)\n", packing, b / packing
	printf "cincbake renders, checks and packs one in %.2f ms: %.0f times as fast\n", rendering, b / rendering
}'
