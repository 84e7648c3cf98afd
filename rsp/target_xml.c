/*
 * The files are read with expat, without namespaces: QEMU writes <xi:include> and never declares
 * xi.
 *
 * What a hostile stub could send, and what holds it: entities are never expanded (a
 * document that declares one is refused, which ends every entity bomb), depth and counts
 * have limits, includes are a work list inside one budget of files and bytes.
 */
#include "rsp/target_xml.h"

#include <expat.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"

enum {
	MAX_FILES = 64,
	MAX_DEPTH = 64,
	MAX_INCLUDE_DEPTH = 8,
	MAX_REGS = 4096,
	MAX_REGNUM = 1 << 16,
	MAX_BITS = 1 << 20, /* SME's ZA is half of it */
	MAX_TEXT = 4 << 20, /* all files together; gdbserver's are 30 KB */
};

struct walk {
	struct target_xml *x;
	target_xml_fetch *fetch;
	void *arg;
	unsigned files, depth, include_depth;
	size_t text;
	uint32_t next_regnum;
	bool in_arch;
	struct err *err;
	XML_Parser parser; /* of the file being read */
};

static void xml_read_file(struct walk *w, const char *name);

/* Notes the first error, and stops the parser; NULL is fine. */
static void fail(struct walk *w, struct err *err)
{
	if (!err)
		return;
	if (w->err)
		err_destroy(err);
	else
		w->err = err;
	if (w->parser)
		XML_StopParser(w->parser, XML_FALSE);
}

static const char *attr(const char **atts, const char *name)
{
	for (; *atts; atts += 2) {
		if (!strcmp(atts[0], name))
			return atts[1];
	}
	return NULL;
}

static bool xml_number(const char *s, uint32_t max, uint32_t *ret)
{
	char *end;
	unsigned long v;

	if (!s || *s < '0' || *s > '9')
		return false;
	v = strtoul(s, &end, 10);
	if (*end || v > max)
		return false;
	*ret = (uint32_t)v;
	return true;
}

static void add_reg(struct walk *w, const char **atts)
{
	const char *name = attr(atts, "name"), *regnum = attr(atts, "regnum");
	const char *offset = attr(atts, "offset");
	struct rsp_reg reg = { .regnum = w->next_regnum, .offset = UINT32_MAX };
	uint32_t bits;

	if (!name || !xml_number(attr(atts, "bitsize"), MAX_BITS, &bits) || !bits || bits % 8 ||
	    (regnum && !xml_number(regnum, MAX_REGNUM, &reg.regnum)) ||
	    (offset && !xml_number(offset, MAX_TEXT, &reg.offset)) || w->x->regs.n >= MAX_REGS) {
		fail(w, err_create(ERR_PROTO,
				   "the stub's target.xml has a register that makes no sense"));
		return;
	}
	/* A longer name is none of those anyone asks for. */
	strncpy(reg.name, name, sizeof(reg.name) - 1);
	reg.size = bits / 8;
	w->next_regnum = reg.regnum + 1;
	fail(w, vec_push(&w->x->regs, reg));
}

static void on_start(void *arg, const char *name, const char **atts)
{
	struct walk *w = arg;
	const char *href;

	if (w->err)
		return;
	if (++w->depth > MAX_DEPTH) {
		fail(w, err_create(ERR_LIMIT, "the stub's target.xml is nested too deep"));
		return;
	}
	if (!strcmp(name, "reg")) {
		add_reg(w, atts);
	} else if (!strcmp(name, "architecture")) {
		w->in_arch = !*w->x->arch;
	} else if (!strcmp(name, "xi:include")) {
		XML_Parser outer = w->parser;

		href = attr(atts, "href");
		if (!href || strlen(href) > 200 || w->include_depth >= MAX_INCLUDE_DEPTH) {
			fail(w, err_create(ERR_PROTO, "the stub's target.xml includes nonsense"));
			return;
		}
		w->include_depth++;
		xml_read_file(w, href);
		w->include_depth--;
		w->parser = outer;
		if (w->err)
			XML_StopParser(outer, XML_FALSE);
	}
}

static void on_end(void *arg, const char *name)
{
	struct walk *w = arg;

	w->depth--;
	w->in_arch = false;
}

static void on_text(void *arg, const char *s, int len)
{
	struct walk *w = arg;
	size_t have = strlen(w->x->arch);

	if (!w->in_arch || w->err)
		return;
	for (int i = 0; i < len && have + 1 < sizeof(w->x->arch); i++) {
		if (s[i] > ' ' && s[i] < 127)
			w->x->arch[have++] = s[i];
	}
}

static void on_entity(void *arg, const char *name, int is_param, const char *value, int value_len,
		      const char *base, const char *system_id, const char *public_id,
		      const char *notation)
{
	fail(arg, err_create(ERR_PROTO, "the stub's target.xml declares entities"));
}

static void xml_read_file(struct walk *w, const char *name)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	unsigned depth = w->depth;
	struct err *err;

	w->parser = NULL;
	if (++w->files > MAX_FILES) {
		fail(w, err_create(ERR_LIMIT, "the stub's target.xml includes too many files"));
		return;
	}
	err = w->fetch(w->arg, name, &text);
	if (err) {
		fail(w, err);
		return;
	}
	w->text += text.len;
	if (w->text > MAX_TEXT) {
		fail(w, err_create(ERR_LIMIT, "the stub's target.xml is too long"));
		return;
	}
	w->parser = XML_ParserCreate("UTF-8");
	if (!w->parser) {
		fail(w, err_nomem());
		return;
	}
	XML_SetUserData(w->parser, w);
	XML_SetElementHandler(w->parser, on_start, on_end);
	XML_SetCharacterDataHandler(w->parser, on_text);
	XML_SetEntityDeclHandler(w->parser, on_entity);
	if (XML_Parse(w->parser, (const char *)text.data, (int)text.len, 1) != XML_STATUS_OK &&
	    !w->err)
		w->err = err_create(ERR_PROTO, "the stub's %s is damaged at line %lu: %s", name,
				    (unsigned long)XML_GetCurrentLineNumber(w->parser),
				    XML_ErrorString(XML_GetErrorCode(w->parser)));
	XML_ParserFree(w->parser);
	w->parser = NULL;
	w->depth = depth;
}

static int by_regnum(const void *a, const void *b)
{
	const struct rsp_reg *x = a, *y = b;

	return x->regnum < y->regnum ? -1 : x->regnum > y->regnum;
}

struct err *target_xml_read(struct target_xml *x, target_xml_fetch *fetch, void *arg)
{
	struct walk w = { .x = x, .fetch = fetch, .arg = arg };
	uint32_t offset = 0;

	xml_read_file(&w, "target.xml");
	if (w.err) {
		target_xml_deinit(x);
		return w.err;
	}
	if (x->regs.n)
		qsort(x->regs.v, x->regs.n, sizeof(*x->regs.v), by_regnum);
	for (size_t i = 0; i < x->regs.n; i++) {
		if (i && x->regs.v[i].regnum == x->regs.v[i - 1].regnum) {
			target_xml_deinit(x);
			return err_create(ERR_PROTO, "the stub's target.xml has a register twice");
		}
		/* lldb-server's are where it says, the parts of other registers too (eax in
		 * rax). */
		if (x->regs.v[i].offset != UINT32_MAX)
			continue;
		x->regs.v[i].offset = offset;
		offset += x->regs.v[i].size; /* at most MAX_REGS * MAX_BITS / 8: half of 32 bits */
	}
	return NULL;
}

void target_xml_deinit(struct target_xml *x)
{
	vec_deinit(&x->regs);
	x->arch[0] = 0;
}
