#!/bin/sh
# deb.sh VERSION SOURCE.tar.gz DIR: makes Debian's package of the source in DIR, by dpkg-buildpackage and packaging/debian, and the source
# package. The changelog of the package says where to look: CHANGELOG.md is installed beside it.
set -eu
version=$1 source=$(realpath "$2") dir=$3
here=$(realpath "$(dirname "$0")")
if ! command -v dpkg-buildpackage >/dev/null || ! command -v dh >/dev/null; then
	echo "deb.sh: dpkg-buildpackage and dh are missing: apt-get install dpkg-dev debhelper" >&2
	exit 1
fi
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(sh "$here/epoch.sh")}
export SOURCE_DATE_EPOCH

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
# What the make around this one was told is not for the package.
env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u OBJDIR -u CFLAGS dpkg-buildpackage -us -uc
cd ..
ls -1 ./*.deb
