#!/bin/sh
# fill.sh GRF FORM TEMPLATE: prints TEMPLATE with the options in the place of its line @OPTIONS@ (options.awk has the forms), and with the
# version and the date of the last change (SOURCE_DATE_EPOCH, or git's) in the places of @VERSION@ and @DATE@.
set -eu
here=$(dirname "$0")
date=$(date -u -d "@${SOURCE_DATE_EPOCH:-$(sh "$here/epoch.sh")}" '+%B %-d, %Y')
version=$("$1" --version | sed -n '1s/^grf-rsp \([^ ]*\).*/\1/p')
options=$("$1" --help | awk -v form="$2" -f "$here/options.awk")
printf '%s\n' "$options" | sed -e '/^@OPTIONS@$/{' -e 'r /dev/stdin' -e d -e '}' \
	-e "s/@VERSION@/$version/" -e "s/@DATE@/$date/" "$3"
