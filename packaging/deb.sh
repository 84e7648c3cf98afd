#!/bin/sh
# deb.sh VERSION SOURCE.tar.gz DIR (packaging.mk runs it): makes Debian's package of the source in DIR, by dpkg-buildpackage and packaging/debian, and the source
# package. The changelog of the package says where to look: CHANGELOG.md is installed beside it.
set -eu
version=$1 source=$(realpath "$2") dir=$3
if ! command -v dpkg-buildpackage >/dev/null || ! command -v dh >/dev/null; then
	echo "deb.sh: dpkg-buildpackage and dh are missing: apt-get install dpkg-dev debhelper" >&2
	exit 1
fi

rm -rf "$dir"
mkdir -p "$dir"
cd "$dir"
cp "$source" "grf-rsp_$version.orig.tar.gz"
tar xzf "grf-rsp_$version.orig.tar.gz"
cd "grf-rsp-$version"
cp -r packaging/debian debian
cat >debian/changelog <<END
grf-rsp ($version-1) unstable; urgency=medium

  * Packaged by the project itself; CHANGELOG.md says what is new.

 -- $(sed -n 's/^Maintainer: //p' debian/control)  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
END
dpkg-buildpackage -us -uc
cd ..
ls -1 ./*.deb
