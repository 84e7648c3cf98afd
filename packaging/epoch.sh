#!/bin/sh
# Seconds since 1970 of the last change: git's last commit, or, in an archive that git made, that of the archive.
cd "$(dirname "$0")" || exit 1
if [ "$(git rev-parse --show-prefix 2>/dev/null)" = packaging/ ]; then
	git log -1 --format=%ct
else
	stat -c %Y commit
fi
