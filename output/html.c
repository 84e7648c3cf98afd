/*
 * A page: one HTML file that needs no other, no network and no server.  Its text, style and script
 * are made by the build (output/html/build.sh) of output/html/; here come its title, the terminal's
 * text for who has no script, and the data.  docs/PAGE.md describes it.
 *
 * The page's security policy allows the one script and the one style that the build put there, by
 * their hashes, and no request at all.  The data is base64 and can end neither its element nor
 * anything else; what stands in the page as text is escaped.
 */
#include "output/html_data.h"
#include "output/html_pack.h"
#include "output/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The page in parts, page_parts[HTML_PARTS], between which the three are written. */
#include "output/html_page.inc"

static struct err *put_part(FILE *f, unsigned i)
{
	const struct html_part *part = &html_parts[i];

	return fwrite(part->data, 1, part->len, f) == part->len ? NULL : err_os(errno, "write");
}

static void put_escaped(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (*s == '<')
			fputs("&lt;", f);
		else if (*s == '>')
			fputs("&gt;", f);
		else if (*s == '&')
			fputs("&amp;", f);
		else if (*s == '"')
			fputs("&quot;", f);
		else
			putc(*s, f);
	}
}

/* "leak, pid 4711 - grf-rsp" */
static struct err *put_title(FILE *f, const struct report *r)
{
	const char *exe = r->exe && *r->exe ? r->exe : r->target ? r->target : "?";
	const char *slash = strrchr(exe, '/');
	_cleanup_buf_ struct buf b = BUF_INIT;

	TRY(text_add_clean(&b, slash && slash[1] ? slash + 1 : exe, false));
	if (r->pid)
		TRY(buf_addf(&b, ", pid %" PRIu64, r->pid));
	TRY(buf_addstr(&b, " - grf-rsp"));
	put_escaped(f, (const char *)b.data);
	return NULL;
}

static struct err *put_summary(FILE *f, const struct profile *p, const struct report *r)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	TRY(summary_add(&b, p, r));
	put_escaped(f, (const char *)b.data);
	return NULL;
}

static struct err *put_data(FILE *f, const struct profile *p, const struct report *r)
{
	struct err *err;
	FILE *pack;

	TRY(html_pack_open(f, &pack));
	err = html_data_write(pack, p, r);
	errno = EIO;
	if (fclose(pack) && !err)
		err = err_os(errno, "write");
	return err;
}

struct err *html_write(FILE *f, const struct profile *p, const struct report *r)
{
	TRY(put_part(f, 0));
	TRY(put_title(f, r));
	TRY(put_part(f, 1));
	TRY(put_summary(f, p, r));
	TRY(put_part(f, 2));
	TRY(put_data(f, p, r));
	TRY(put_part(f, 3));
	return fflush(f) || ferror(f) ? err_os(errno, "write") : NULL;
}
