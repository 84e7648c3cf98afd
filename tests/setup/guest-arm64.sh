#!/bin/sh
# Makes DIR/vmlinuz and DIR/root: Debian's cloud kernel for arm64, and what gdbserver and a shell need in an initramfs. Nothing is
# installed, and no foreign architecture added.
#
#	guest-arm64.sh DIR
set -eu

dir=${1:?usage: guest-arm64.sh DIR}
if [ -e "$dir/root/bin/busybox" ]; then
	exit 0
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
	echo "guest-arm64.sh: no apt-get to fetch a kernel with" >&2
	exit 1
fi
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
mkdir -p "$temp/lists/partial" "$temp/cache/archives/partial" "$temp/kernel" "$temp/root" "$dir"
options="-o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State::lists=$temp/lists -o Dir::Cache=$temp/cache
	-o Dir::State::status=/dev/null"
# shellcheck disable=SC2086
{
	apt-get $options update >"$temp/log" 2>&1 || { tail -n 3 "$temp/log" >&2; exit 1; }
	kernel=$(apt-cache $options depends linux-image-cloud-arm64 | sed -n 's/^ *Depends: *\(linux-image-[0-9].*\)/\1/p' | head -n 1)
	echo "guest-arm64.sh: fetching $kernel, gdbserver" >&2
	(cd "$temp" && apt-get $options download "$kernel" gdbserver busybox-static libc6 libstdc++6 libgcc-s1 >"$temp/log" 2>&1) || {
		tail -n 3 "$temp/log" >&2
		exit 1
	}
}
for deb in "$temp"/*.deb; do
	case $deb in
	*/linux-image*) dpkg-deb -x "$deb" "$temp/kernel" ;;
	*) dpkg-deb -x "$deb" "$temp/root" ;;
	esac
done
# Only what is needed of it.
mkdir -p "$temp/small/lib" "$temp/small/bin" "$temp/small/mod"
cp -L "$temp"/root/lib/ld-linux-aarch64.so.1 "$temp/small/lib/"
for lib in libc.so.6 libm.so.6 libgcc_s.so.1 libstdc++.so.6 libdl.so.2 libpthread.so.0; do
	cp -L "$(find "$temp/root" -name "$lib" | head -n 1)" "$temp/small/lib/"
done
cp "$temp/root/bin/busybox" "$temp/root/usr/bin/gdbserver" "$temp/small/bin/"
for module in virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci failover net_failover virtio_net; do
	find "$temp/kernel" -name "$module.ko" -exec cp {} "$temp/small/mod/" \;
done
cp "$temp"/kernel/boot/vmlinuz-* "$dir/vmlinuz"
rm -rf "$dir/root"
mv "$temp/small" "$dir/root"
