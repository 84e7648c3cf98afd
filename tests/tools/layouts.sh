#!/bin/sh
# Makes heap/layout/layout_table.inc: builds one tiny program with every Go toolchain, for every
# GOARCH of Linux and every experiment that changes a layout, and reads their DWARF.
#
#	layouts.sh LAYOUTGEN [RELEASE...] > heap/layout/layout_table.inc
#	layouts.sh LAYOUTGEN --check [RELEASE...]	the table against the toolchains
#	layouts.sh LAYOUTGEN --absent [RELEASE...]	which fields each of them lacks
#
# Without RELEASE: those of tests/tools/layout_releases.
# Toolchains come by tests/setup/go.sh (which fetches what is not there yet).  A toolchain that cannot be had is
# an error, so that the table never loses rows in silence; --check says so, goes on, and counts it as skipped.
# JOBS=n builds n at a time (2); ARCHS="amd64 arm64" takes fewer; EXPERIMENTS="a b,c" tries these instead of those below.
set -eu

ARCHS=${ARCHS-"amd64 arm64 386 arm s390x mips64 mips64le mips mipsle ppc64 ppc64le riscv64 loong64"}

# Of all experiments in internal/goexperiment, each tried on amd64 in each release, these change a field
# of heap/layout/layout.h.  Where two can be set at once the pairs are there too.  On other architectures than these two
# layout_find says that a layout is not exact when one of them is set.  (staticlockranking changes every struct with a
# lock in every release; it is for work on the runtime itself, and never exact.)
experiments() {
	if [ -n "${EXPERIMENTS-}" ]; then
		echo "$EXPERIMENTS"
		return
	fi
	case $2 in
	amd64|arm64) ;;
	*) return ;;
	esac
	case $1 in
	1.22|1.22.*) echo "noallocheaders noexectracer2 noallocheaders,noexectracer2" ;;
	1.24|1.24.*) echo "noswissmap nospinbitmutex nospinbitmutex,noswissmap" ;;
	1.25|1.25.*) echo "noswissmap greenteagc greenteagc,noswissmap" ;;
	1.26|1.26.*) echo "nogreenteagc" ;;
	1.27|1.27.*) echo "nogreenteagc" ;;
	esac
}

top=$(cd "$(dirname "$0")/../.." && pwd)
setup=$top/tests/setup
case $1 in
/*) gen=$1 ;;
*) gen=$PWD/$1 ;;
esac
shift
mode=
case ${1-} in
--check|--absent) mode=$1; shift ;;
esac
[ $# -gt 0 ] || set -- $(grep -v '^#' "$top/tests/tools/layout_releases")

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/src"
# println alone: the runtime's DWARF holds every struct that its own code uses.
printf 'module example.com/layouts\n\ngo 1.17\n' > "$dir/src/go.mod"
printf 'package main\n\nfunc main() { println() }\n' > "$dir/src/main.go"
cd "$dir/src"

# Go 1.19 cannot use its module index where the toolchain came as a module.
export GOFLAGS=-mod=mod CGO_ENABLED=0 GOOS=linux GOWORK=off GOTOOLCHAIN=local GODEBUG=goindex=0
unset GOEXPERIMENT GOARM GOAMD64 GO386 GOMIPS GOMIPS64 GOPPC64 || true

: > "$dir/jobs"
skipped=0
for rel; do
	if ! go=$(GOOS= sh "$setup/go.sh" "$rel" 2>"$dir/why"); then
		echo "*** SKIPPED: no Go toolchain $rel: $(tail -n 1 "$dir/why") ***" >&2
		[ "$mode" = --check ] || exit 1
		skipped=$((skipped + 1))
		continue
	fi
	archs=$("$go" tool dist list | sed -n 's,^linux/,,p')
	for arch in $ARCHS; do
		echo "$archs" | grep -qx "$arch" || continue
		for exp in - $(experiments "$rel" "$arch"); do
			echo "$rel $arch $exp $dir/$rel-$arch-$exp" >> "$dir/jobs"
			echo "$go" >> "$dir/gos"
		done
	done
done

paste -d " " "$dir/jobs" "$dir/gos" | xargs -P "${JOBS:-2}" -L 1 sh -c '
	exp=$3
	[ "$exp" = - ] && exp=
	GOEXPERIMENT=$exp GOARCH=$2 "$5" build -o "$4" . || {
		echo "layouts.sh: go$1 $2 $3: build failed" >&2
		[ -n "${EXPERIMENTS-}" ] || exit 255
	}' sh
# Of experiments that are only tried some do not build alone.
if [ -n "${EXPERIMENTS-}" ]; then
	while read -r rel arch exp exe; do
		[ ! -e "$exe" ] || echo "$rel $arch $exp $exe"
	done < "$dir/jobs" > "$dir/built"
	mv "$dir/built" "$dir/jobs"
fi

"$gen" $mode $skipped < "$dir/jobs"
