#!/bin/sh
# What building and testing grf-rsp needs: installs what is missing (Debian and its kin, as root or by
# sudo), or says what to install (elsewhere).  Changes nothing when everything is there.
#
# The tests' Go release is fetched as well (go.sh); Debian's own, whatever its age, does that.
#
#	deps.sh			to build, and for the demo
#	deps.sh tests		and pytest, emulators, debuggers, other compilers, a browser: where these but the first cannot be
#				had, their tests are skipped and say so
#	deps.sh packages	and what makes packages and bare systems
#	deps.sh machines	and what the other architectures want: compilers, whole machines
set -eu

tests=${1:-}

cd "$(dirname "$0")"
GO_VERSION=${GO_VERSION:-1.26.8}

have_header() {
	for f in "$@"; do
		for cc in gcc cc clang; do
			if command -v $cc >/dev/null && echo "#include <$f>" | $cc -E - >/dev/null 2>&1; then
				return 0
			fi
		done
	done
	return 1
}

# Package names are Debian's.
missing=
need() { # need PACKAGE CHECK...
	package=$1
	shift
	"$@" >/dev/null 2>&1 || missing="$missing $package"
}
# gcc and clang are both fine; without either, gcc.
if ! command -v gcc >/dev/null && ! command -v clang >/dev/null && ! command -v cc >/dev/null; then
	missing="$missing gcc"
fi
need make command -v make
need pkg-config command -v pkg-config
need libc6-dev have_header stdio.h
need libelf-dev have_header gelf.h
need libdwarf-dev have_header libdwarf.h libdwarf/libdwarf.h libdwarf-0/libdwarf.h
need libmd-dev have_header sha2.h
need zlib1g-dev have_header zlib.h
need libexpat1-dev have_header expat.h
need libjson-c-dev have_header json-c/json.h
need libsqlite3-dev have_header sqlite3.h
need libseccomp-dev have_header seccomp.h
need libprotobuf-c-dev have_header protobuf-c/protobuf-c.h
need protobuf-c-compiler command -v protoc-c
# cmocka.h wants others before it.
have_cmocka() {
	for cc in gcc cc clang; do
		printf '%s\n' '#include <stdarg.h>' '#include <stddef.h>' '#include <setjmp.h>' '#include <stdint.h>' \
			'#include <cmocka.h>' | $cc -E - >/dev/null 2>&1 && return 0
	done
	return 1
}
need libcmocka-dev have_cmocka
need gdbserver command -v gdbserver
need python3 command -v python3
if ! command -v go >/dev/null && [ ! -x /usr/local/go/bin/go ]; then
	missing="$missing golang-go"
fi

# Any python3 that has these will do; the packages are for Debian's.
have_pytest() {
	for python in ${PYTHON:-} /usr/bin/python3 python3; do
		$python -c "import pytest, pytest_timeout, xdist" && return 0
	done
	return 1
}
if [ "$tests" ]; then
	need "python3-pytest python3-pytest-timeout python3-pytest-xdist" have_pytest
fi

wanted=
want() { # want PACKAGE COMMAND
	command -v "$2" >/dev/null || wanted="$wanted $1"
}
if [ "$tests" ]; then
	want qemu-system-x86 qemu-system-x86_64
	want qemu-user qemu-aarch64
	want gdb gdb
	/usr/bin/python3 -c "import jsonschema" 2>/dev/null || wanted="$wanted python3-jsonschema"
	want clang clang
	# libFuzzer and the sanitizers' runtime (make fuzz)
	echo 'int main(void) { return 0; }' | clang -fsanitize=address,undefined -x c - -o /dev/null 2>/dev/null ||
		wanted="$wanted libclang-rt-$(clang -dumpversion 2>/dev/null | grep -o '^[0-9]*' || echo 14)-dev"
	want clang-format-14 clang-format-14
	want cppcheck cppcheck
	want valgrind valgrind
	want chromium chromium
	want chromium-driver chromedriver
	/usr/bin/python3 -c "import selenium" 2>/dev/null || wanted="$wanted python3-selenium"
	want nodejs node
	want npm npm
	want podman podman
	want prometheus promtool
	want visualvm visualvm
	want sqlite3 sqlite3
	want runc runc
	want mandoc mandoc
	want zsh zsh
	want fish fish
fi
# Package, release and archive: make check-packages.
if [ "$tests" = packages ]; then
	want dpkg-dev dpkg-buildpackage
	want debhelper dh
	want lintian lintian
	want rpm rpmbuild
	want cpio cpio
	want debootstrap debootstrap
	want "gcc-aarch64-linux-gnu libc6-dev-arm64-cross" aarch64-linux-gnu-gcc
fi
if [ "$tests" = machines ]; then
	want qemu-system-arm qemu-system-aarch64
	want qemu-system-ppc qemu-system-ppc64
	want qemu-system-misc qemu-system-s390x
	want qemu-system-mips qemu-system-mips64el
	for cross in aarch64-linux-gnu:arm64 riscv64-linux-gnu:riscv64 powerpc64le-linux-gnu:ppc64el s390x-linux-gnu:s390x \
		mips64el-linux-gnuabi64:mips64el mips64-linux-gnuabi64:mips64 mipsel-linux-gnu:mipsel mips-linux-gnu:mips \
		i686-linux-gnu:i386 arm-linux-gnueabihf:armhf; do
		want "gcc-${cross%:*} libc6-dev-${cross#*:}-cross" "${cross%:*}-gcc"
	done
fi

if [ -n "$missing" ]; then
	# The module proxy speaks https.
	case $missing in *golang-go*) missing="$missing ca-certificates" ;; esac
	if ! command -v apt-get >/dev/null; then
		echo "deps: missing, by Debian's package names:$missing" >&2
		echo "deps: install them with this system's package manager, then run make again" >&2
		exit 1
	fi
	sudo=
	if [ "$(id -u)" -ne 0 ]; then
		sudo=sudo
		if ! command -v sudo >/dev/null; then
			echo "deps: not root, and there is no sudo; as root: apt-get install -y$missing" >&2
			exit 1
		fi
	fi
	echo "deps: installing$missing"
	# shellcheck disable=SC2086
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
fi

# All at once, which is a third of the time; one by one where one of them cannot be had.
install_wanted() {
	sudo=
	[ "$(id -u)" -eq 0 ] || sudo="sudo -n"
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >/dev/null 2>&1
}
# shellcheck disable=SC2086
if [ "$wanted" ] && ! install_wanted $wanted; then
	for package in $wanted; do
		install_wanted "$package" || echo "deps: $package could not be installed: its tests will be skipped" >&2
	done
fi

[ -z "$tests" ] || ./axe.sh >/dev/null || echo "deps: axe-core could not be fetched: its test will be skipped" >&2
./go.sh "$GO_VERSION" >/dev/null
