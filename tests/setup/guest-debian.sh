#!/bin/sh
# Makes DIR/vmlinuz and DIR/root: a kernel of Debian's for another architecture, and what gdbserver and a shell need in an
# initramfs. Nothing is installed, and no foreign architecture added.
#
#	guest-debian.sh DIR ARCH SUITE KERNEL	(Debian's names: guest-debian.sh DIR arm64 bookworm linux-image-cloud-arm64)
set -eu

usage="usage: guest-debian.sh DIR ARCH SUITE KERNEL"
dir=${1:?$usage} arch=${2:?$usage} suite=${3:?$usage} kernel=${4:?$usage}
if [ -e "$dir/root/bin/busybox" ]; then
	exit 0
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
	echo "guest-debian.sh: no apt-get to fetch a kernel with" >&2
	exit 1
fi
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
mkdir -p "$temp/lists/partial" "$temp/cache/archives/partial" "$temp/none" "$temp/kernel" "$temp/root" "$dir"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $suite main" >"$temp/sources.list"
options="-o APT::Architecture=$arch -o APT::Architectures=$arch -o Dir::State::lists=$temp/lists -o Dir::Cache=$temp/cache
	-o Dir::State::status=/dev/null -o Dir::Etc::sourcelist=$temp/sources.list -o Dir::Etc::sourceparts=$temp/none"
# shellcheck disable=SC2086
{
	apt-get $options update >"$temp/log" 2>&1 || { tail -n 3 "$temp/log" >&2; exit 1; }
	# The package without a version only depends on the one that has the kernel.
	kernel=$(apt-cache $options depends "$kernel" | sed -n 's/^ *Depends: *\(linux-image-[0-9][^ ]*\).*/\1/p' | head -n 1)
	echo "guest-debian.sh: fetching $kernel, gdbserver" >&2
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
small=$temp/small
mkdir -p "$small/lib" "$small/bin" "$small/mod"
loader=$(readelf -l "$temp/root/usr/bin/gdbserver" | sed -n 's/.*program interpreter: \(.*\)]/\1/p')
mkdir -p "$small$(dirname "$loader")"
cp -L "$(find "$temp/root" -name "$(basename "$loader")" | head -n 1)" "$small$loader"
for lib in libc.so.6 libm.so.6 libgcc_s.so.1 libstdc++.so.6 libdl.so.2 libpthread.so.0; do
	cp -L "$(find "$temp/root" -name "$lib" | head -n 1)" "$small/lib/"
done
cp "$(find "$temp/root" -path '*bin/busybox' | head -n 1)" "$temp/root/usr/bin/gdbserver" "$small/bin/"
for module in virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_mmio ccwgroup failover net_failover \
	virtio_net mii pcnet32; do
	find "$temp/kernel" -name "$module.ko" -exec cp {} "$small/mod/" \;
	find "$temp/kernel" -name "$module.ko.xz" -exec sh -c 'xz -dc "$1" >"$2"' - {} "$small/mod/$module.ko" \;
done
cp "$temp"/kernel/boot/vmlinu[xz]-* "$dir/vmlinuz"
rm -rf "$dir/root"
mv "$small" "$dir/root"
