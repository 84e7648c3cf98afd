# The options of grf-rsp as `grf-rsp --help` prints them, for what is made of them: -v form=mdoc is the manual's list, bash, zsh and
# fish are those shells' completions.  --help is made of the one table in main.c (base/option.h says its shape).

BEGIN {
	if (form !~ /^(mdoc|bash|zsh|fish)$/) {
		print "options.awk: -v form=mdoc, bash, zsh or fish" >"/dev/stderr"
		exit failed = 1
	}
}

function quote(s) { gsub(/\\/, "\\e", s); return s }               # for roff
function shell(s) { gsub(/'/, "'\\''", s); return s }              # inside '...'

# What an option's argument may be: words, or "FILE", "DIR" and the like.  "[=auto|no]" is "auto no".
function words(arg) {
	gsub(/^\[?=?|\]$/, "", arg)
	if (arg !~ /^[a-z]+(\|[a-z]+)+$/)
		return ""
	gsub(/\|/, " ", arg)
	return arg
}

# Of a text what fits beside a list: to the first semicolon or parenthesis.
function short(text) {
	sub(/(;| \().*/, "", text)
	return text
}

function flush() {
	if (name == "")
		return
	sub(/^ +/, "", help)
	if (form == "mdoc")
		mdoc()
	else if (form == "bash")
		bash()
	else if (form == "zsh")
		zsh()
	else if (form == "fish")
		fish()
	name = help = ""
}

# Prints the words of a text in lines of at most 78 columns.
function fill(text,   n, i, word, line) {
	n = split(text, word, " ")
	line = word[1]
	for (i = 2; i <= n; i++) {
		if (length(line) + 1 + length(word[i]) > 78) {
			print line
			line = (word[i] ~ /^[.']/ ? "\\&" : "") word[i]
		} else {
			line = line " " word[i]
		}
	}
	print line
}

function mdoc() {
	printf ".It "
	if (letter != "")
		printf "Fl %s , ", letter
	printf "Fl -%s", name
	if (arg ~ /^\[=/)
		printf " Ns Oo = Ns Ar %s Oc", substr(arg, 3, length(arg) - 3)
	else if (arg != "")
		printf " Ar %s", arg
	print ""
	# A sentence: the first letter is a capital, the end a full stop;
	help = toupper(substr(help, 1, 1)) substr(help, 2) "."
	fill(quote(help))
}

function bash() {
	all = all " --" name (letter != "" ? " -" letter : "")
	if (arg != "" && arg !~ /^\[/)
		takes = takes " --" name (letter != "" ? " -" letter : "")
	if (words(arg) != "")
		choices = choices " [--" name "]='" words(arg) "'"
}

function zsh() {
	text = short(help)
	gsub(/\[/, "\\[", text)
	gsub(/\]/, "\\]", text)
	text = shell(text)
	value = ""
	if (words(arg) != "")
		value = ":value:(" words(arg) ")"
	else if (name == "pid")
		value = ":process:_grf_rsp_process"
	else if (name == "limit")
		value = ":limit:_grf_rsp_limit"
	else if (arg == "FILE")
		value = ":file:_files"
	else if (arg != "")
		value = ":argument: "
	equals = arg ~ /^\[/ ? "=-" : arg != "" ? "=" : ""
	if (arg ~ /^\[/)
		value = ":" value
	repeat = help ~ /repeatable/ ? "*" : ""
	if (letter != "")
		printf "\t'%s-%s%s[%s]%s' \\\n", repeat, letter, arg != "" ? "+" : "", text, value
	printf "\t'%s--%s%s[%s]%s' \\\n", repeat, name, equals, text, value
}

function fish() {
	text = short(help)
	printf "complete -c grf-rsp"
	if (letter != "")
		printf " -s %s", letter
	printf " -l %s", name
	if (words(arg) != "")
		printf " %s -a '%s'", arg ~ /^\[/ ? "-f" : "-x", words(arg)
	else if (name == "pid")
		printf " -x -a '(__grf_rsp_processes)'"
	else if (name == "limit")
		printf " -x -a '(__grf_rsp_limits)'"
	else if (arg == "FILE")
		printf " -r -F"
	else if (arg != "")
		printf " -x"
	printf " -d '%s'\n", shell(text)
}

/^[A-Z][A-Za-z ]*:$/ {
	flush()
	if (form == "mdoc") {
		if (groups++)
			print ".El"
		print ".Ss " substr($0, 1, length($0) - 1)
		print ".Bl -tag -width Ds"
	}
	listed = 1
	next
}
listed && /^  (-[a-z], |    )--[a-z]/ {
	flush()
	rest = substr($0, 7)
	letter = $0 ~ /^  -/ ? substr($0, 4, 1) : ""
	# The option's own words are those before two spaces, or all of the line.
	column = match(rest, /  +/)
	head = column ? substr(rest, 1, column - 1) : rest
	help = column ? substr(rest, column) : ""
	sub(/^--/, "", head)
	if (match(head, /[ [=]/)) {
		name = substr(head, 1, RSTART - 1)
		arg = substr(head, RSTART)
		sub(/^ /, "", arg)
	} else {
		name = head
		arg = ""
	}
	next
}
listed && /^                        / { sub(/^ +/, " "); help = help $0; next }
listed && /^ / { next }
/^$/ { next }
{ if (listed) { flush(); listed = 0 } }
END {
	if (failed)
		exit 1
	flush()
	if (form == "mdoc")
		print ".El"
	if (form == "bash")
		printf "\tlocal options='%s'\n\tlocal takes='%s '\n\tlocal -A choices=(%s)\n", substr(all, 2), takes, substr(choices, 2)
}
