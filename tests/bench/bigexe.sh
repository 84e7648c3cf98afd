#!/bin/sh
# What an executable of over 400 MB costs: until a capture could begin, until names are at hand, and a whole
# run on it while it runs; with DWARF and stripped.  docs/PERFORMANCE.md has the figures.
#
#	tests/bench/bigexe.sh                       builds Telegraf from the module proxy first: 15 minutes of
#	                                            CPU, 5 GB of memory, 6 GB below $OBJDIR/bigexe and GOMODCACHE
#	TELEGRAF=path [STRIPPED=path] ... bigexe.sh takes these
#	RUNS=5                                      measurements of each
#
# Needs what `make deps` installs.  CPU seconds are user + system; memory is the peak resident set.
set -eu

cd "$(dirname "$0")/../.."
OBJDIR=$(realpath -m "${OBJDIR:-build}")
RUNS=${RUNS:-5}
dir=$OBJDIR/bigexe
module=github.com/influxdata/telegraf@v1.37.2
mkdir -p "$dir"

build() {
	go=$(tests/setup/go.sh "${GO_VERSION:-1.26.8}")
	export GOTOOLCHAIN=local GOFLAGS='-mod=mod -buildvcs=false' GOWORK=off
	if [ ! -d "$dir/src" ]; then
		mkdir -p "$dir/empty"
		(cd "$dir/empty" && echo 'module empty' >go.mod && "$go" mod download "$module")
		cp -r "$("$go" env GOMODCACHE)/$module" "$dir/src.tmp"
		chmod -R u+w "$dir/src.tmp"
		mv "$dir/src.tmp" "$dir/src"
	fi
	(cd "$dir/src" && "$go" build -p 2 "$@" ./cmd/telegraf)
}

if [ -z "${TELEGRAF:-}" ]; then
	TELEGRAF=$dir/telegraf
	[ -x "$TELEGRAF" ] || build -o "$TELEGRAF"
fi
if [ -z "${STRIPPED:-}" ]; then
	STRIPPED=$dir/telegraf-stripped
	[ -x "$STRIPPED" ] || build -ldflags='-s -w' -o "$STRIPPED"
fi

make -s "OBJDIR=$OBJDIR" all "$OBJDIR/tests/bench/bigexe"

work=$(mktemp -d)
pid='' stub='' failed=0
finish() {
	[ -z "$stub" ] || kill "$stub" 2>/dev/null || true
	[ -z "$pid" ] || kill "$pid" 2>/dev/null || true
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM

cat >"$work/telegraf.conf" <<'CONF'
[agent]
  interval = "1s"
[[inputs.cpu]]
[[outputs.discard]]
CONF

port=$((20000 + $$ % 20000))
gdbserver --multi "localhost:$port" >"$work/stub.log" 2>&1 &
stub=$!

for exe in "$TELEGRAF" "$STRIPPED"; do
	echo "$(basename "$exe"), $(($(stat -Lc %s "$exe") / 1000000)) MB"
	i=0
	while [ $i -lt "$RUNS" ]; do
		i=$((i + 1))
		echo "  $("$OBJDIR/tests/bench/bigexe" "$exe")"
	done
	"$exe" --config "$work/telegraf.conf" >"$work/telegraf.log" 2>&1 &
	pid=$!
	sleep 10
	echo "  a whole run on it:"
	"$OBJDIR/grf-rsp" -v -p "$pid" -o "$work/p.out" "localhost:$port" "$exe" >"$work/summary" 2>&1 || failed=1
	grep -E '^grf-rsp:|CPU:|here:|^stopped|^coverage|^note' "$work/summary" | sed 's/^/    /'
	kill "$pid"
	wait "$pid" || true
	pid=''
done
exit $failed
