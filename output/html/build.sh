#!/bin/sh
# Makes the page that is in the binary: build.sh OBJDIR
#
# The modules become one script, in an order in which each comes after those that it imports, without
# their import and export words: so names are unique across modules, and an import is one line
# (test/page.test.mjs holds both). The style and the script are put into page.html, with their hashes
# in its security policy; what comes out is OBJDIR/output/page.html, and, cut at @TITLE@, @SUMMARY@ and
# @DATA@, OBJDIR/output/html_page.inc for output/html.c.
#
# Nothing but a shell, awk and coreutils is needed.
set -eu
export LC_ALL=C

out=$1/output
here=$(dirname "$0")
mkdir -p "$out"

# The order in which modules stand in the page, each after those that it imports.
modules() {
	awk -v here="$here" '
	function visit(m,   line, f) {
		if (m in seen)
			return
		seen[m] = 1
		f = here "/" m
		while ((getline line < f) > 0)
			if (line ~ /^import /) {
				sub(/.*"\.\//, "", line)
				sub(/".*/, "", line)
				wants[m] = wants[m] " " line
			}
		close(f)
		n[m] = split(wants[m], list, " ")
		for (i[m] = 1; i[m] <= n[m]; i[m]++) {
			split(wants[m], list, " ")
			visit(list[i[m]])
		}
		print m
	}
	BEGIN { visit("main.mjs") }'
}

# hash FILE: its SHA-256 in base64, as a security policy has it.
hash() {
	octal=$(sha256sum "$1" | awk '{
		for (i = 1; i <= 64; i += 2)
			printf "\\%03o", (index("0123456789abcdef", substr($1, i, 1)) - 1) * 16 + \
				index("0123456789abcdef", substr($1, i + 1, 1)) - 1
	}')
	# shellcheck disable=SC2059
	printf "$octal" | base64
}

# Lines that are comments, indents and empty lines stay behind.
for m in $(modules); do
	sed -e '/^import /d' -e 's/^export //' -e 's/^[	 ]*//' -e '/^\/\//d' -e '/^$/d' "$here/$m"
done >"$out/page.js"
sed -e 's/^[	 ]*//' -e '/^\/\*.*\*\/$/d' -e '/^$/d' "$here/page.css" >"$out/page.css"

# What ends the element, or begins a comment in it, must not be in it.
if grep -qiE '</script|<!--' "$out/page.js" || grep -qi '</style' "$out/page.css"; then
	echo "build.sh: the script or the style holds what would end it" >&2
	exit 1
fi

# An element's text is hashed as it stands between its tags.
printf '%s' "$(cat "$out/page.js")" >"$out/page.js.tmp" && mv "$out/page.js.tmp" "$out/page.js"
printf '%s' "$(cat "$out/page.css")" >"$out/page.css.tmp" && mv "$out/page.css.tmp" "$out/page.css"
awk -v script="$(hash "$out/page.js")" -v style="$(hash "$out/page.css")" -v js="$out/page.js" -v css="$out/page.css" '
	function put(f,   line, first) {
		first = 1
		ORS = ""
		while ((getline line < f) > 0) {
			print (first ? "" : "\n") line
			first = 0
		}
		ORS = "\n"
	}
	{
		gsub(/@SCRIPT_HASH@/, "sha256-" script)
		gsub(/@STYLE_HASH@/, "sha256-" style)
	}
	/@STYLE@/ { printf "<style>"; put(css); print "</style>"; next }
	/@SCRIPT@/ { printf "<script type=\"module\">"; put(js); print "</script>"; next }
	{ print }' "$here/page.html" >"$out/page.html.tmp"
mv "$out/page.html.tmp" "$out/page.html"

# The parts as arrays of bytes.
{
	echo '/* Made by output/html/build.sh. */'
	echo 'struct html_part { const unsigned char *data; size_t len; };'
	i=0
	for part in 1 2 3 4; do
		awk -v part=$part '
			{ page = page $0 "\n" }
			END { ORS = ""; split(page, parts, /@(TITLE|SUMMARY|DATA)@/); print parts[part] }' "$out/page.html" >"$out/part.tmp"
		echo "static const unsigned char html_part_$i[] = {"
		od -An -v -tx1 "$out/part.tmp" | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g'
		echo "};"
		i=$((i + 1))
	done
	rm -f "$out/part.tmp"
	echo 'static const struct html_part html_parts[] = {'
	for i in 0 1 2 3; do
		echo "{ html_part_$i, sizeof(html_part_$i) },"
	done
	echo '};'
} >"$out/html_page.inc.tmp"
mv "$out/html_page.inc.tmp" "$out/html_page.inc"
