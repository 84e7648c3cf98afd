/*
 * Text that several outputs have in common: sizes, counts and times as people read them, strings of
 * the target made safe, and the line about coverage.
 */
#include "output/internal.h"

#include <inttypes.h>
#include <string.h>

const char *text_bytes(uint64_t n, char out[TEXT_BYTES_SIZE])
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double v = (double)n / 1024;
	unsigned u = 0;

	if (n < 1024) {
		snprintf(out, TEXT_BYTES_SIZE, "%" PRIu64 " bytes", n);
		return out;
	}
	/* from 1023.95 on it would be printed as "1024.0" */
	while (v >= 1023.95 && u + 1 < sizeof(units) / sizeof(*units)) {
		v /= 1024;
		u++;
	}
	snprintf(out, TEXT_BYTES_SIZE, "%.1f %s", v, units[u]);
	return out;
}

const char *text_count(uint64_t n, char out[TEXT_COUNT_SIZE])
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);
	char *p = out;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*p++ = ',';
		*p++ = digits[i];
	}
	*p = 0;
	return out;
}

const char *text_time(uint64_t ns, char out[TEXT_TIME_SIZE])
{
	if (ns < 1000000)
		snprintf(out, TEXT_TIME_SIZE, "%" PRIu64 " us", ns / 1000);
	else if (ns < 10000000)
		snprintf(out, TEXT_TIME_SIZE, "%.1f ms", (double)ns / 1e6);
	else if (ns < 1000000000)
		snprintf(out, TEXT_TIME_SIZE, "%" PRIu64 " ms", ns / 1000000);
	else
		snprintf(out, TEXT_TIME_SIZE, "%.1f s", (double)ns / 1e9);
	return out;
}

/* The length of the UTF-8 sequence at s, or 0.  RFC 3629: no surrogates, no overlong forms. */
static unsigned utf8_len(const unsigned char *s)
{
	unsigned n = s[0] < 0x80 ? 1 :
		     s[0] < 0xc2 ? 0 :
		     s[0] < 0xe0 ? 2 :
		     s[0] < 0xf0 ? 3 :
		     s[0] < 0xf5 ? 4 :
				   0;

	for (unsigned i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80) /* also stops at the NUL */
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

/* What a terminal or an editor obeys instead of showing it: C0, DEL, C1; marks and embeddings that
 * turn the direction of writing round; separators of lines. */
static bool is_control(const unsigned char *s, unsigned n)
{
	if (n == 1)
		return *s < 0x20 || *s == 0x7f;
	if (n == 2) /* U+0080 to U+009F, U+061C */
		return (s[0] == 0xc2 && s[1] < 0xa0) || (s[0] == 0xd8 && s[1] == 0x9c);
	if (n != 3 || s[0] != 0xe2)
		return false;
	if (s[1] == 0x80) /* U+200E, U+200F, U+2028 to U+202E */
		return s[2] == 0x8e || s[2] == 0x8f || (s[2] >= 0xa8 && s[2] <= 0xae);
	return s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9; /* U+2066 to U+2069 */
}

struct err *text_add_clean(struct buf *b, const char *str, bool folded)
{
	const unsigned char *s = (const unsigned char *)str;
	unsigned n;

	TRY(buf_reserve(b, strlen(str)));
	TRY(buf_add(b, "", 0)); /* so that an empty string has a NUL, too */
	for (; *s; s += n ? n : 1) {
		const char *repl = NULL;

		n = utf8_len(s);
		if (folded && *s == ';')
			repl = ":";
		else if (folded && (*s == '\n' || *s == '\r'))
			repl = " ";
		else if (!n || is_control(s, n))
			repl = "?";
		TRY(repl ? buf_addstr(b, repl) : buf_add(b, s, n));
	}
	return NULL;
}

static struct err *add_amount(struct buf *b, const char *what, uint64_t bytes, uint64_t objects)
{
	char human[TEXT_BYTES_SIZE];

	if (bytes < 1024)
		return buf_addf(b, "%s %" PRIu64 " bytes (%" PRIu64 " objects)", what, bytes,
				objects);
	return buf_addf(b, "%s %s (%" PRIu64 " bytes, %" PRIu64 " objects)", what,
			text_bytes(bytes, human), bytes, objects);
}

struct err *text_add_coverage(struct buf *b, const struct report *r)
{
	char human[TEXT_BYTES_SIZE];
	uint64_t sum = r->live_bytes + r->unreachable_bytes;

	TRY(add_amount(b, "live", r->live_bytes, r->live_objects));
	TRY(add_amount(b, " + unreachable", r->unreachable_bytes, r->unreachable_objects));
	TRY(add_amount(b, sum == r->allocated_bytes ? " = allocated" : " is NOT allocated",
		       r->allocated_bytes, r->allocated_objects));
	TRY(buf_addf(b, "; unnamed %" PRIu64 " bytes (%.2f %%); reads failed %" PRIu64,
		     r->unnamed_bytes,
		     r->live_bytes ? 100.0 * (double)r->unnamed_bytes / (double)r->live_bytes : 0.0,
		     r->failed_reads));
	if (r->failed_reads)
		TRY(buf_addf(b, " (%" PRIu64 " bytes)", r->failed_bytes));
	if (r->goroutines_partial)
		TRY(buf_addf(b, "; %" PRIu32 " of %" PRIu32 " goroutines not walked to their end",
			     r->goroutines_partial, r->goroutines));
	if (r->opaque_bytes)
		TRY(buf_addf(b, "; behind unsafe.Pointer alone %s",
			     text_bytes(r->opaque_bytes, human)));
	if (r->unnamed_steps)
		TRY(buf_addf(b, "; %" PRIu64 " unnamed step%s, named below", r->unnamed_steps,
			     r->unnamed_steps == 1 ? "" : "s"));
	if (r->smaller.nodes)
		TRY(buf_addf(b, "; %s of %" PRIu64 " nodes as [smaller]",
			     text_bytes(r->smaller.bytes, human), r->smaller.nodes));
	return NULL;
}

/* What is not known, or not seen. */
static struct err *add_gaps(struct buf *b, const struct report *r)
{
	uint64_t unnamed = r->unnamed_bytes + r->opaque_bytes;
	char human[TEXT_BYTES_SIZE];

	TRY(buf_addf(b, "\n             unnamed %.2f %%; reads failed %" PRIu64,
		     r->live_bytes ? 100.0 * (double)unnamed / (double)r->live_bytes : 0.0,
		     r->failed_reads));
	if (r->failed_reads)
		TRY(buf_addf(b, " (%" PRIu64 " bytes)", r->failed_bytes));
	if (r->smaller.nodes)
		TRY(buf_addf(b, "; %s of small parts as [smaller]",
			     text_bytes(r->smaller.bytes, human)));
	if (r->goroutines_partial)
		TRY(buf_addf(b, "; %" PRIu32 " of %" PRIu32 " goroutines not walked to their end",
			     r->goroutines_partial, r->goroutines));
	return NULL;
}

struct err *text_add_coverage_short(struct buf *b, const struct report *r)
{
	char live[TEXT_BYTES_SIZE], dead[TEXT_BYTES_SIZE], n[TEXT_COUNT_SIZE];
	bool whole = r->live_bytes + r->unreachable_bytes == r->allocated_bytes;

	TRY(buf_addf(b, "coverage     %s live in %s objects + %s unreachable %s allocated",
		     text_bytes(r->live_bytes, live), text_count(r->live_objects, n),
		     text_bytes(r->unreachable_bytes, dead), whole ? "=" : "is NOT"));
	TRY(add_gaps(b, r));
	return buf_addstr(b, "\n");
}

enum { LABEL = 13, WRAP = 80 }; /* where words begin behind a label, a number */

/* How many bytes of the line go on this one: all, or up to the last blank that fits. */
static size_t line_fits(const char *s, size_t n, size_t columns)
{
	size_t at = 0, blank = 0;

	for (size_t i = 0; i < n; i++) {
		if (((unsigned char)s[i] & 0xc0) != 0x80 && ++at > columns && blank)
			return blank;
		if (s[i] == ' ')
			blank = i;
	}
	return n;
}

/* Where the text of a line begins: behind a label, or behind the number of a row. */
static size_t line_indent(const char *s, size_t n)
{
	size_t indent = strspn(s, " "), digits = strspn(s + indent, "0123456789");

	if (!indent)
		return n > LABEL && s[LABEL - 1] == ' ' ? LABEL : 0;
	if (digits && !strncmp(s + indent + digits, "  ", 2))
		indent += digits + strspn(s + indent + digits, " ");
	return indent;
}

static struct err *add_line_wrapped(struct buf *b, const char *s, size_t n)
{
	size_t indent = line_indent(s, n), fits;
	bool command = !strncmp(s, "next ", 5);

	fits = command ? n : line_fits(s + indent, n > indent ? n - indent : 0, WRAP - indent);
	TRY(buf_add(b, s, fits == n ? n : indent + fits));
	for (size_t at = indent + fits; fits != n && at < n; at += fits) {
		at += s[at] == ' ';
		fits = line_fits(s + at, n - at, WRAP - indent);
		TRY(buf_addf(b, "\n%*s", (int)indent, ""));
		TRY(buf_add(b, s + at, fits));
	}
	return buf_addstr(b, "\n");
}

struct err *text_add_wrapped(struct buf *b, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		TRY(add_line_wrapped(b, text, n));
		text += n + (text[n] == '\n');
	}
	return NULL;
}

/* Is this "v2." or the like, which stands behind a package's name? */
static bool is_version(const char *s)
{
	return *s == 'v' && s[1] >= '0' && s[1] <= '9' && s[1 + strspn(s + 1, "0123456789")] == '.';
}

/* "github.com/a/b/v2.(*T).f" is "b.(*T).f"; the dots of a host are before the last slash. */
struct err *text_add_short(struct buf *b, const char *name)
{
	size_t n = strcspn(name, "([ "), start = n, version = 0;

	while (start && name[start - 1] != '/')
		start--;
	if (start && is_version(name + start)) {
		version = start;
		for (start--; start && name[start - 1] != '/';)
			start--;
	}
	if (version) {
		_cleanup_buf_ struct buf both = BUF_INIT;

		TRY(buf_add(&both, name + start, version - start - 1));
		TRY(buf_addstr(&both, name + version + strcspn(name + version, ".")));
		return text_add_clean(b, (const char *)both.data, false);
	}
	return text_add_clean(b, name + start, false);
}

struct err *text_add_place(struct buf *b, const struct code_line *at)
{
	const char *file = at->file, *dir;

	if (!file || !at->line)
		return NULL;
	/* the last directory tells files of one name apart */
	dir = strrchr(file, '/');
	while (dir && dir > file && dir[-1] != '/')
		dir--;
	TRY(buf_addstr(b, " ("));
	TRY(text_add_clean(b, dir ? dir : file, false));
	return buf_addf(b, ":%" PRIu32 ")", at->line);
}

/* "$mapval. (any = *main.T)" is "values" among the steps of a sentence, "byID. (T)" is "byID". */
static struct err *add_step(struct buf *b, const char *frame)
{
	_cleanup_buf_ struct buf name = BUF_INIT;
	const char *type = strstr(frame, ". (");

	if (!strncmp(frame, "$mapval.", 8))
		return buf_addstr(b, "values");
	if (!strncmp(frame, "$mapkey.", 8))
		return buf_addstr(b, "keys");
	if (!strncmp(frame, "$elem.", 6) || !strncmp(frame, "[].", 3))
		return buf_addstr(b, "elements");
	TRY(buf_add(&name, frame, type ? (size_t)(type - frame) : strlen(frame)));
	return text_add_short(b, (const char *)name.data);
}

struct err *text_add_path(struct buf *b, const char *const *frames, uint32_t n)
{
	uint32_t first = n > 1 && !strcmp(frames[0], "[goroutines]") ? 1 : 0;

	/* a local says which function it is of */
	if (first && n > 2 && !strstr(frames[2], ". ("))
		first = 2;
	for (uint32_t i = first; i < n; i++) {
		TRY(buf_addstr(b, i > first ? " > " : ""));
		TRY(add_step(b, frames[i]));
	}
	return NULL;
}
