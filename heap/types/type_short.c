/*
 * A package's name is the last element of its import path, without what marks a major version:
 * "gopkg.in/yaml.v3" is yaml, "github.com/hashicorp/golang-lru/v2" is golang-lru (the source may
 * call it lru: only the package clause knows).  Names are scanned left to right; in struct tags,
 * which are quoted, nothing is a path.
 */
#include "heap/types/type_short.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

enum { STRUCT_MAX = 60 };

static bool in_path(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '/' || c == '-' ||
	       c == '~' || c == '%' || c == '+' || c == '$' || (unsigned char)c >= 0x80;
}

/* "v2", "v3"; len: of s. */
static bool is_major_version(const char *s, size_t len)
{
	if (len < 2 || s[0] != 'v')
		return false;
	for (size_t i = 1; i < len; i++)
		if (!isdigit((unsigned char)s[i]))
			return false;
	return true;
}

/* The package's name in the path of len bytes. */
static const char *package_of(const char *path, size_t *len)
{
	const char *end = path + *len, *start = end;

	for (bool first = true;; first = false) {
		while (start > path && start[-1] != '/')
			start--;
		if (!first || !is_major_version(start, (size_t)(end - start)) || start == path)
			break;
		end = --start;
	}
	/* "yaml.v3"; the linker writes dots of the last element as %2e. */
	for (const char *p = start; p < end; p++) {
		size_t dot = *p == '.' ? 1 : end - p > 3 && !memcmp(p, "%2e", 3) ? 3 : 0;

		if (dot && is_major_version(p + dot, (size_t)(end - p) - dot))
			end = p;
	}
	*len = (size_t)(end - start);
	return start;
}

/* The dot between the package's path and the type, in a word whose last slash is given. */
static const char *type_dot(const char *slash, const char *end)
{
	const char *dot = memchr(slash, '.', (size_t)(end - slash)), *next;

	while (dot && (next = memchr(dot + 1, '.', (size_t)(end - dot - 1))) &&
	       is_major_version(dot + 1, (size_t)(next - dot - 1)))
		dot = next;
	return dot;
}

/* One run of characters that a path can have: "net/http.Server", "main.T", "int". */
static struct err *short_word(const char *word, size_t len, struct buf *out)
{
	const char *slash = memrchr(word, '/', len), *end = word + len;
	const char *dot = slash ? type_dot(slash, end) : NULL;
	size_t n;

	if (!dot)
		return buf_add(out, word, len);
	n = (size_t)(dot - word);
	word = package_of(word, &n);
	TRY(buf_add(out, word, n));
	return buf_add(out, dot, (size_t)(end - dot));
}

/* The length of "struct {...}" or of a quoted tag at s, to its closing character; 0: it has
 * none. */
static size_t closed_len(const char *s, char close)
{
	size_t depth = 0;

	for (size_t i = 0; s[i]; i++) {
		if (close != '"' && s[i] == '"') {
			size_t tag = closed_len(s + i, '"');

			if (!tag)
				return 0;
			i += tag - 1;
		} else if (close == '"' && s[i] == '\\' && s[i + 1]) {
			i++;
		} else if (close == '"' && i && s[i] == '"') {
			return i + 1;
		} else if (close == '}') {
			depth += s[i] == '{';
			depth -= s[i] == '}' && depth;
			if (s[i] == '}' && !depth)
				return i + 1;
		}
	}
	return 0;
}

struct err *type_short(const char *name, struct buf *out)
{
	static const char strct[] = "struct {";

	/* What generic code has of type `any` (sync.Map since 1.27) is of its shape. */
	if (!strcmp(name, "interface {}") || !strcmp(name, "go.shape.interface {}"))
		return buf_addstr(out, "any");
	while (*name) {
		size_t len = 0;

		if (!strncmp(name, strct, sizeof(strct) - 1)) {
			len = closed_len(name, '}');
			if (len > STRUCT_MAX) {
				TRY(buf_addstr(out, "struct {…}"));
				name += len;
				continue;
			}
			len = sizeof(strct) - 1;
			TRY(buf_add(out, name, len));
		} else if (*name == '"') {
			len = closed_len(name, '"');
			len = len ? len : 1;
			TRY(buf_add(out, name, len));
		} else if (!strncmp(name, "...", 3) || !in_path(*name)) {
			len = *name == '.' ? 3 : 1;
			TRY(buf_add(out, name, len));
		} else {
			while (in_path(name[len]))
				len++;
			TRY(short_word(name, len, out));
		}
		name += len;
	}
	return NULL;
}
