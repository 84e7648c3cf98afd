#!/bin/sh
# The commit that this tree is of, 12 digits, "+" if files of it were changed; nothing where it is not known.
cd "$(dirname "$0")" || exit 1
if [ "$(git rev-parse --show-prefix 2>/dev/null)" = packaging/ ]; then
	commit=$(git rev-parse --short=12 HEAD) || exit 0
	git diff --quiet HEAD 2>/dev/null || commit=$commit+
	echo "$commit"
else
	sed -n 's/^\([0-9a-f]\{12\}\)[0-9a-f]*$/\1/p' commit
fi
