#!/bin/sh
# Prints the path of a `go` command of the given release, fetching it if need be:
#
#	go.sh 1.26.8    ->  /home/me/go/pkg/mod/golang.org/toolchain@v0.0.1-go1.26.8.linux-amd64/bin/go
#
# Releases come through the Go module proxy, as modules golang.org/toolchain; any go command from
# 1.17 on can get them.  GOPROXY and the like are honoured.  Run the printed command with
# GOTOOLCHAIN=local, or it may choose another release by itself.
set -eu

version=${1:?usage: go.sh VERSION}
export HOME="${HOME:-/root}"

# GO=path says which go command to start from.
go=${GO:-$(command -v go || true)}
if [ -z "$go" ] && [ -x /usr/local/go/bin/go ]; then
	go=/usr/local/go/bin/go
fi
if [ -z "$go" ]; then
	echo "go.sh: no go command: run \`make deps\`, or see https://go.dev/dl/" >&2
	exit 1
fi
if [ "$(GOTOOLCHAIN=local "$go" env GOVERSION)" = "go$version" ]; then
	echo "$go"
	exit 0
fi

module=golang.org/toolchain@v0.0.1-go$version.$("$go" env GOHOSTOS)-$("$go" env GOHOSTARCH)
root=$("$go" env GOMODCACHE)/$module
if [ ! -x "$root/bin/go" ]; then
	# `go mod download` wants to be in a module; an empty one does.  An old go command does not know
	# flags of a new one that GOFLAGS may hold.
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
	echo "go.sh: fetching Go $version" >&2
	(cd "$dir" && echo 'module empty' >go.mod && GOFLAGS=-mod=mod GOTOOLCHAIN=local "$go" mod download "$module") >&2
	# Before 1.21 the files lose their executable bits, and the cache is read-only.
	if [ ! -x "$root/bin/go" ]; then
		chmod -R u+w "$root/bin" "$root/pkg/tool"
		chmod -R a+x "$root/bin" "$root/pkg/tool"
	fi
fi
[ "$(GOTOOLCHAIN=local "$root/bin/go" env GOVERSION)" = "go$version" ]
echo "$root/bin/go"
