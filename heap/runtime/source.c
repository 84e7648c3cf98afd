/*
 * A function's pc tables have, for each pc, the number of its file and the line; cutab and filetab
 * lead from the number to a name (runtime/symtab.go, funcline1 and funcfile).  What is inlined
 * there is an entry of FUNCDATA_InlTree, an array of runtime.inlinedCall (symtabinl.go); its
 * parentPc is where in f the call stands that was inlined.  Until 1.19 an element is {parent int16;
 * funcID, pad uint8; file, line, func, parentPc int32}, since then {funcID uint8; pad [3]uint8;
 * nameOff, parentPc, startLine int32}.
 */
#include "heap/runtime/source.h"

#include <string.h>

#include "base/intr.h"
#include "heap/layout/layout.h"
#include "target/symname.h"

enum { PCDATA_INL_TREE_INDEX = 2, FUNCDATA_INL_TREE = 3, SHORT_SINCE = 20, INLINED_MAX = 200 };

/* The _func record: {..., pcsp, pcfile, pcln, npcdata, cuOffset uint32} in all releases. */
static bool func_word(const struct proc *p, const struct func *f, enum layout_id after,
		      unsigned words, uint32_t *ret)
{
	uint64_t off = layout_off(&p->layout, after) + 4 * words;

	if (off + 4 > f->left)
		return false;
	*ret = bytes_u32(p->fmt, f->data + off);
	return true;
}

static const char *file_name(const struct proc *p, const struct func *f, uint64_t pc)
{
	const struct module *m = f->mod;
	uint32_t table, unit, off;
	int32_t number;

	if (!m->cutab.data || !m->filetab.data || !func_word(p, f, L_func_pcsp, 1, &table) ||
	    !func_word(p, f, L_func_npcdata, 1, &unit))
		return NULL;
	number = func_pcvalue(f, table, pc);
	if (number < 0 || ((uint64_t)unit + (uint32_t)number) * 4 + 4 > m->cutab.len)
		return NULL;
	off = bytes_u32(p->fmt, m->cutab.data + ((uint64_t)unit + (uint32_t)number) * 4);
	if (off >= m->filetab.len || !memchr(m->filetab.data + off, 0, m->filetab.len - off))
		return NULL;
	return (const char *)m->filetab.data + off;
}

static struct source_line line_at(const struct proc *p, const struct func *f, const char *name,
				  uint64_t pc)
{
	uint32_t table;
	int32_t line = func_word(p, f, L_func_pcsp, 2, &table) ? func_pcvalue(f, table, pc) : -1;

	return (struct source_line){ name, file_name(p, f, pc), line > 0 ? (uint32_t)line : 0 };
}

/* What is inlined at pc: its name, and where the call stands.  False: nothing is. */
static bool inlined_at(const struct proc *p, const struct func *f, uint64_t pc, const char **name,
		       uint64_t *parent)
{
	int32_t index = func_pcdata(p, f, PCDATA_INL_TREE_INDEX, pc);
	uint64_t tree = func_funcdata(p, f, FUNCDATA_INL_TREE), at, off, rel;
	unsigned minor, newest, size = 16, first = 4;

	if (index < 0 || !tree || !layout_minor(p->version, p->arch->name, &minor, &newest))
		return false;
	if (minor < SHORT_SINCE) {
		size = 20;
		first = 12;
	}
	at = tree + (uint64_t)index * size + first;
	if (!proc_try_uint(p, at, 4, &off) || !proc_try_uint(p, at + 4, 4, &rel))
		return false;
	*name = func_name_at(f->mod, (uint32_t)off);
	*parent = f->entry + rel;
	return true;
}

struct err *source_at(const struct proc *p, const struct func *f, uint64_t pc, bool returns,
		      struct source_lines *ret)
{
	const char *name;
	uint64_t parent;

	TRY(intr_check());
	if (returns && pc > f->entry)
		pc--;
	for (int i = 0; i < INLINED_MAX && inlined_at(p, f, pc, &name, &parent); i++) {
		TRY(vec_push(ret, line_at(p, f, name, pc)));
		if (parent < f->entry || parent >= f->end)
			break;
		pc = parent;
	}
	return vec_push(ret, line_at(p, f, f->name, pc));
}

const char *source_inlined(const struct proc *p, const struct func *f, uint64_t pc)
{
	const char *name;
	uint64_t parent;

	return pc > f->entry && inlined_at(p, f, pc - 1, &name, &parent) ? name : NULL;
}

bool source_is_gowrap(const char *function)
{
	return strstr(function, ".gowrap") || strstr(function, "dwrap\302\267");
}

struct source_line source_of(const struct proc *p, const struct func *f)
{
	return line_at(p, f, f->name, f->entry);
}
