#!/bin/sh
# Runs fuzzers, two at a time, for so many seconds each, on their corpora; says how many runs each
# made, and fails if one of them found something.  `make fuzz` calls it.
#
#	run.sh OBJDIR SECONDS [NAME...]
#
# What they find is in OBJDIR/fuzz/found; what they learn, in OBJDIR/fuzz/NAME, and the next run
# goes on from there.
set -eu

cd "$(dirname "$0")/../.."
dir=$1/fuzz
seconds=$2
shift 2
one() {
	name=$1
	corpus=tests/fuzz/corpus/$name
	mkdir -p "$dir/$name"
	dict=
	if [ -e "$corpus.dict" ]; then
		dict=-dict=$corpus.dict
	fi
	log=$dir/$name.log
	# shellcheck disable=SC2086
	if "$dir/../tests/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 \
		-max_len="$(cat "$corpus.len" 2>/dev/null || echo 300)" -len_control=0 -entropic=0 $dict \
		-artifact_prefix="$dir/found/$name-" "$dir/$name" "$corpus" >"$log" 2>&1; then
		printf '  %-10s %s\n' "$name" "$(sed -n 's/^Done \(.*\)/\1/p' "$log")"
	else
		echo "fuzz: $name has found something: $(ls "$dir/found/$name-"* 2>/dev/null), and $log" >&2
		grep -v -e '^#' -e '^INFO' -e NEW_FUNC "$log" | tail -60 >&2
		return 1
	fi
}

if [ "${GRF_FUZZ_ONE:-}" ]; then
	one "$GRF_FUZZ_ONE"
	exit
fi
mkdir -p "$dir/found" "$dir/exe"
rm -f "$dir"/found/*
# Small executables, as a linker leaves them: of DWARF 5 and of DWARF 4.
exes=
for release in ${GRF_FUZZ_RELEASES:-1.26.8 1.24.10}; do
	exe=$dir/exe/$release
	if [ ! -e "$exe" ]; then
		go=$(tests/setup/go.sh "$release") || continue
		cp tests/fuzz/exe.go "$dir/exe/main.go"
		(cd "$dir/exe" && GO111MODULE=off GOTOOLCHAIN=local GOFLAGS= CGO_ENABLED=0 \
			"$go" build -ldflags=-compressdwarf=false -o "$release" main.go)
	fi
	exes="$exes $(realpath "$exe")"
done
export GRF_FUZZ_EXES="$exes"

# A big allocation is not kept aside for long: new memory each time would take most of the time.
export UBSAN_OPTIONS=print_stacktrace=1
export ASAN_OPTIONS="quarantine_size_mb=16:detect_stack_use_after_return=0:${ASAN_OPTIONS:-}"
# The heap's EXE is a file.
if [ -w /dev/shm ]; then
	export TMPDIR=/dev/shm
fi

names=$*
if [ -z "$names" ]; then
	names=$(cd tests/fuzz && ls fuzz_*.c | sed 's/^fuzz_//; s/\.c$//')
fi
# shellcheck disable=SC2086
printf '%s\n' $names | xargs -P "${GRF_FUZZ_JOBS:-2}" -I NAME env GRF_FUZZ_ONE=NAME sh "$0" "$(dirname "$dir")" "$seconds"
