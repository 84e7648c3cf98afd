#!/bin/sh
# dist.sh VERSION SOURCE.tar.gz DIR (packaging.mk runs it): makes in DIR, from that source, a static grf-rsp for amd64 and arm64, each with its SHA-256 and a bill
# of materials (SPDX), as the source has them. ARCHES="amd64": these alone. The same source gives the same bytes wherever and whenever it
# is made, with the same compiler: nothing of a folder or of the time gets in.
set -eu
version=$1 source=$(realpath "$2") dir=$(realpath "$3")
here=$(realpath "$(dirname "$0")")
export LC_ALL=C TZ=UTC

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
tar xzf "$source" -C "$tmp"
cd "$tmp/grf-rsp-$version"

for arch in ${ARCHES:-amd64 arm64}; do
	triplet=$(dpkg-architecture -a"$arch" -qDEB_HOST_MULTIARCH 2>/dev/null)
	compiler=$triplet-gcc
	if ! command -v "$compiler" >/dev/null; then
		echo "dist.sh: $compiler is missing: apt-get install gcc-$(echo "$triplet" | tr _ -) libc6-dev-$arch-cross" >&2
		exit 1
	fi
	sysroot=$(dirname "$dir")/sysroot-$arch
	sh packaging/sysroot.sh "$arch" "$sysroot"
	name=grf-rsp-$version-linux-$arch
	echo "  DIST $name"
	PKG_CONFIG_LIBDIR="$sysroot/usr/lib/$triplet/pkgconfig:$sysroot/usr/share/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$sysroot" \
		make -s -j"$(nproc)" static OBJDIR="build-$arch" SQLITE=no CC="$compiler --sysroot=$sysroot" STRIP="$triplet-strip" \
		AR="$triplet-ar" CFLAGS="-O2 -g -ffile-prefix-map=$PWD=. -ffile-prefix-map=$sysroot=" \
		LDFLAGS="-Wl,-Map=$tmp/$name.map" >"$tmp/log" 2>&1 || { cat "$tmp/log" >&2; exit 1; }
	cp "build-$arch/grf-rsp-static" "$dir/$name"
	python3 packaging/sbom.py "$version" "$dir/$name" "$tmp/$name.map" "$sysroot" >"$dir/$name.spdx.json"
done
cd "$dir"
python3 "$here/sbom.py" "$version" "$(basename "$source")" >"$(basename "$source").spdx.json"
for file in *.tar.gz grf-rsp-*-linux-*; do
	case $file in *.spdx.json | *.sha256) continue ;; esac
	sha256sum "$file" >"$file.sha256"
done
cat -- *.sha256
