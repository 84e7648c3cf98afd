#!/bin/sh
# Prints the path of axe-core's script, which looks for what people with screen readers, keyboards or weak eyes cannot
# use in a page. It is fetched by npm when it is not there yet: axe-core (MPL-2.0) is for the tests alone, and is no part
# of grf-rsp.
set -eu

version=4.10.2
dir=${HOME:-/root}/.cache/grf-rsp-tests/axe-core-$version
if [ ! -f "$dir/axe.min.js" ]; then
	if ! command -v npm >/dev/null; then
		echo "axe.sh: no npm" >&2
		exit 1
	fi
	tmp=$(mktemp -d)
	trap 'rm -rf "$tmp"' EXIT
	(cd "$tmp" && npm pack --silent "axe-core@$version" >/dev/null && tar xzf "axe-core-$version.tgz") >&2
	mkdir -p "$dir"
	mv "$tmp/package/axe.min.js" "$dir/axe.min.js.$$"
	mv "$dir/axe.min.js.$$" "$dir/axe.min.js"
fi
echo "$dir/axe.min.js"
