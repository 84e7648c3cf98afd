#!/bin/sh
# `make demo`: builds a Go service that leaks (tests/progs/leak), starts it, profiles it with
# grf-rsp, shows what came out, and cleans up.
#
#	OBJDIR=dir	where things were built (build)
set -eu
cd "$(dirname "$0")/../.."
OBJDIR=${OBJDIR:-build}
GO_VERSION=${GO_VERSION:-1.26.8}
export HOME="${HOME:-/root}"

go=$(tests/setup/go.sh "$GO_VERSION")
export GOTOOLCHAIN=local GOFLAGS=-mod=mod GOWORK=off CGO_ENABLED=0

dir=$(mktemp -d)
leak=
cleanup() {
	[ -z "$leak" ] || kill "$leak" 2>/dev/null || true
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

wait_for() { # wait_for FILE PATTERN PID
	i=0
	until grep -q "$2" "$1" 2>/dev/null; do
		i=$((i + 1))
		if [ $i -gt 600 ] || ! kill -0 "$3" 2>/dev/null; then
			cat "$1" >&2
			exit 1
		fi
		sleep 0.1
	done
}
say() {
	printf '\n$ %s\n' "$*"
}

(cd tests/progs/leak && "$go" build -o "$dir/leak" .)
say "./leak &                       # a web service that leaks"
"$dir/leak" >"$dir/leak.log" 2>&1 &
leak=$!
wait_for "$dir/leak.log" READY "$leak"
echo "pid $leak, $(awk '/VmRSS/ { printf "%.0f MB", $2 / 1024 }' "/proc/$leak/status") resident"

say "grf-rsp -o grf.out -o leak.html $leak"
grf=$(cd "$OBJDIR" && pwd)/grf-rsp
(cd "$dir" && "$grf" -o grf.out -o leak.html "$leak" ./leak)
mv "$dir/leak.html" "$OBJDIR/leak.html"

say "go tool pprof -top -cum grf.out"
(cd "$dir" && PPROF_TMPDIR=$dir "$go" tool pprof -top -cum -nodecount=12 grf.out 2>/dev/null)

state=$(awk '/^State/ { print $2 }' "/proc/$leak/status")
echo
case $state in
[RSD]) echo "The service runs on (state $state)." ;;
*)
	echo "The service is in state $state: that is a bug in grf-rsp." >&2
	exit 1
	;;
esac
echo "The same as a page to look at: $OBJDIR/leak.html"
