#!/bin/sh
# rpm.sh VERSION SOURCE.tar.gz DIR (packaging.mk runs it): makes RPM's packages of the source in DIR, by rpmbuild. On a system whose packages
# are not RPM's, what it is built with cannot be looked up: RPMBUILD="rpmbuild --nodeps".
set -eu
version=$1 source=$(realpath "$2") dir=$3
here=$(realpath "$(dirname "$0")")
if ! command -v rpmbuild >/dev/null; then
	echo "rpm.sh: rpmbuild is missing" >&2
	exit 1
fi
if command -v dpkg >/dev/null; then
	RPMBUILD=${RPMBUILD:-rpmbuild --nodeps}
fi
rm -rf "$dir"
mkdir -p "$dir/SOURCES"
dir=$(realpath "$dir")
cp "$source" "$dir/SOURCES"
sed "s/@VERSION@/$version/" "$here/grf-rsp.spec" >"$dir/grf-rsp.spec"
${RPMBUILD:-rpmbuild} --quiet -ba --define "_topdir $dir" "$dir/grf-rsp.spec" >"$dir/log" 2>&1 ||
	{ tail -n 50 "$dir/log" >&2; exit 1; }
find "$dir" -name '*.rpm'
