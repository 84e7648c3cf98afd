#!/bin/sh
# Includes go only downwards: main.c -> output -> heap -> target -> rsp -> base.  And each header
# compiles alone, so that nothing depends on the order of includes.
set -eu
cd "$(dirname "$0")/.."
CC=${CC:-cc}
OBJDIR=${OBJDIR:-build}
fail=0

below=
for layer in base rsp target heap output; do
	below="$below $layer"
	for f in "$layer"/*.c "$layer"/*.h "$layer"/*/*.c "$layer"/*/*.h; do
		[ -e "$f" ] || continue
		for inc in $(sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"\([^"]*\)".*/\1/p' "$f"); do
			case $inc in
			*/*) dir=${inc%%/*} ;;
			*) dir=$layer ;;
			esac
			case " $below " in
			*" $dir "*) ;;
			*)
				echo "$f includes $inc: $layer may include only$below" >&2
				fail=1
				;;
			esac
		done
	done
done

for h in base/*.h rsp/*.h target/*.h heap/*.h heap/*/*.h output/*.h; do
	[ -e "$h" ] || continue
	if ! echo "#include \"$h\"" | $CC -std=gnu11 -D_GNU_SOURCE -Wall -Werror -I. -I"$OBJDIR" ${CPPFLAGS:-} -fsyntax-only -x c -; then
		echo "$h does not compile alone" >&2
		fail=1
	fi
done
exit $fail
