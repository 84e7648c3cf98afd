#!/bin/sh
# sysroot.sh ARCH DIR: unpacks into DIR what a static grf-rsp for Debian's ARCH is linked with, at the versions of this machine's Debian,
# and lists its files in DIR/files: a path, its package, its version. Nothing of the machine itself is changed.
set -eu
arch=$1 dir=$2
packages="libc6-dev libc6 linux-libc-dev libcrypt-dev libelf-dev libdwarf-dev zlib1g-dev libexpat1-dev libprotobuf-c-dev libjson-c-dev libmd-dev libseccomp-dev"

[ "$(cat "$dir/packages" 2>/dev/null)" != "$packages" ] || exit 0
rm -rf "$dir"
mkdir -p "$dir/apt/lists/partial" "$dir/debs"
options="-qq -o APT::Architecture=$arch -o APT::Architectures::=$arch -o Dir::State::Lists=$dir/apt/lists -o Dir::State::status=/dev/null
	-o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root"
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$dir/sources"
options="$options -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::sourcelist=$dir/sources"
# shellcheck disable=SC2086
apt-get $options update
# shellcheck disable=SC2086
(cd "$dir/debs" && apt-get $options download $packages)
for deb in "$dir"/debs/*.deb; do
	dpkg-deb -x "$deb" "$dir"
	dpkg-deb -c "$deb" | awk -v p="$(dpkg-deb -f "$deb" Package)" -v v="$(dpkg-deb -f "$deb" Version)" \
		'/^[-l]/ { sub(/^\./, "", $6); print $6, p, v }' >>"$dir/files.tmp"
done
rm -rf "$dir/apt" "$dir/debs"
mv "$dir/files.tmp" "$dir/files"
echo "$packages" >"$dir/packages"
