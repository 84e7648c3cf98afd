#!/bin/sh
# Prints the path of a Linux kernel for virtual machines (Debian's for clouds), fetching it if need be into DIR; nothing is
# installed.
#
#	guest.sh DIR    ->  DIR/boot/vmlinuz-6.1.0-56-cloud-amd64
#
# KERNEL=path names another one.
set -eu

dir=${1:?usage: guest.sh DIR}
if [ -n "${KERNEL:-}" ]; then
	echo "$KERNEL"
	exit 0
fi
found=$(ls "$dir"/boot/vmlinuz-* 2>/dev/null | tail -n 1)
if [ -z "$found" ]; then
	if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
		echo "guest.sh: no apt-get to fetch a kernel with; KERNEL=path names one" >&2
		exit 1
	fi
	# The package without a version only depends on the one that has the kernel.
	package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: *\(linux-image-[0-9].*\)/\1/p' | head -n 1)
	if [ -z "$package" ]; then
		echo "guest.sh: no package linux-image-cloud-amd64 (apt-get update?); KERNEL=path names a kernel" >&2
		exit 1
	fi
	temp=$(mktemp -d)
	trap 'rm -rf "$temp"' EXIT
	echo "guest.sh: fetching $package" >&2
	(cd "$temp" && apt-get download "$package" >/dev/null && dpkg-deb --fsys-tarfile ./*.deb | tar -x ./boot) >&2
	mkdir -p "$dir/boot"
	mv "$temp"/boot/vmlinuz-* "$dir/boot/"
	found=$(ls "$dir"/boot/vmlinuz-* | tail -n 1)
fi
echo "$found"
