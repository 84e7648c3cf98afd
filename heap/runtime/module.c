/*
 * Reads moduledata, and looks up functions in its tables: ftab by pc, the _func record, the pc
 * tables that follow it.  What was found once is kept, as frames come back to the same pcs.
 */
#include "heap/runtime/module.h"

#include <inttypes.h>
#include <string.h>

#include "base/intr.h"
#include "base/limits.h"
#include "base/search.h"
#include "heap/runtime/proc.h"
#include "target/symname.h"

/* ------------------------------------------------------------------ moduledata */

static struct err *table_load(const struct proc *p, uint64_t slice, uint64_t elem, struct table *t,
			      const char *what)
{
	uint64_t ptr, len, left;

	TRY(proc_slice(p, slice, &ptr, &len));
	if (len > UINT32_MAX / elem)
		return err_create(ERR_BADDATA, "moduledata.%s has an absurd length", what);
	t->addr = ptr;
	t->len = len * elem;
	/* What the image has packed does not stay where it is; a table is never in the heap. */
	t->data = len && !image_packed(p->img, ptr, &left) ? image_ptr(p->img, ptr, t->len, NULL) :
							     NULL;
	if (len && !t->data)
		return err_fault(ptr, "moduledata.%s at 0x%" PRIx64 " cannot be read", what, ptr);
	return NULL;
}

static struct err *root_load(const struct proc *p, uint64_t md, enum layout_id start,
			     enum layout_id end, enum layout_id mask, struct bitmap_root *r)
{
	uint64_t bv = md + layout_off(&p->layout, mask);

	TRY(proc_get(p, md, start, &r->start));
	TRY(proc_get(p, md, end, &r->end));
	TRY(proc_get(p, bv, L_bitvector_n, &r->nbits));
	TRY(proc_get(p, bv, L_bitvector_bytedata, &r->mask));
	if (r->end < r->start || r->end - r->start > UINT32_MAX ||
	    r->nbits > (r->end - r->start) / p->fmt.word)
		return err_create(ERR_BADDATA,
				  "moduledata at 0x%" PRIx64 " has a mask larger than its data",
				  md);
	return NULL;
}

/* Text, types and variables. */
static struct err *module_ranges(const struct proc *p, struct module *m)
{
	const struct {
		enum layout_id id;
		uint64_t *ret;
	} words[] = {
		{ L_moduledata_text, &m->text },
		{ L_moduledata_etext, &m->etext },
		{ L_moduledata_minpc, &m->minpc },
		{ L_moduledata_maxpc, &m->maxpc },
		{ L_moduledata_types, &m->types },
		{ L_moduledata_etypes, &m->etypes },
		{ L_moduledata_noptrdata, &m->noptrdata },
		{ L_moduledata_enoptrdata, &m->enoptrdata },
		{ L_moduledata_noptrbss, &m->noptrbss },
		{ L_moduledata_enoptrbss, &m->enoptrbss },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		TRY(proc_get(p, m->addr, words[i].id, words[i].ret));
	TRY(root_load(p, m->addr, L_moduledata_data, L_moduledata_edata, L_moduledata_gcdatamask,
		      &m->data));
	TRY(root_load(p, m->addr, L_moduledata_bss, L_moduledata_ebss, L_moduledata_gcbssmask,
		      &m->bss));
	if (!layout_has(&p->layout, L_moduledata_rodata))
		return NULL;
	TRY(proc_get(p, m->addr, L_moduledata_rodata, &m->rodata));
	return proc_get(p, m->addr, L_moduledata_gofunc, &m->gofunc);
}

/* Names of files are in {funcnametab, cutab, filetab, pctab} (runtime/symtab.go since 1.16). */
static struct err *file_tables(const struct proc *p, struct module *m)
{
	uint64_t slice = 3ull * p->fmt.word;
	uint64_t names = m->addr + layout_off(&p->layout, L_moduledata_funcnametab);

	if (m->addr + layout_off(&p->layout, L_moduledata_pctab) != names + 3 * slice)
		return NULL;
	TRY(table_load(p, names + slice, 4, &m->cutab, "cutab"));
	return table_load(p, names + 2 * slice, 1, &m->filetab, "filetab");
}

/* The tables of functions, which pclntab's header begins. */
static struct err *module_tables(const struct proc *p, struct module *m)
{
	const struct layout *l = &p->layout;
	unsigned ftab_elem = layout_has(l, L_func_entryOff) ? 8 : 2 * p->fmt.word;
	uint64_t md = m->addr, header, quantum;

	TRY(table_load(p, md + layout_off(l, L_moduledata_funcnametab), 1, &m->funcnametab,
		       "funcnametab"));
	TRY(file_tables(p, m));
	TRY(table_load(p, md + layout_off(l, L_moduledata_pctab), 1, &m->pctab, "pctab"));
	TRY(table_load(p, md + layout_off(l, L_moduledata_pclntable), 1, &m->pclntable,
		       "pclntable"));
	TRY(table_load(p, md + layout_off(l, L_moduledata_ftab), ftab_elem, &m->ftab, "ftab"));
	TRY(table_load(p, md + layout_off(l, L_moduledata_textsectmap), layout_size(l, LS_textsect),
		       &m->textsectmap, "textsectmap"));
	TRY(proc_get(p, md, L_moduledata_pcHeader, &header));
	TRY(image_read_uint(p->img, header + layout_off(l, L_pcHeader_minLC), 1, &quantum));
	m->quantum = (uint32_t)quantum;
	m->nfunc = m->ftab.len / ftab_elem;
	if (m->textsectmap.len / layout_size(l, LS_textsect) > LIMIT_TEXT_SECTIONS)
		return err_create(ERR_BADDATA,
				  "moduledata at 0x%" PRIx64 " has too many sections of text", md);
	if (m->nfunc < 2 || !quantum || quantum > 16 || m->maxpc < m->minpc)
		return err_create(ERR_BADDATA, "moduledata at 0x%" PRIx64 " makes no sense", md);
	m->nfunc--; /* the last entry only ends the table */
	return NULL;
}

static struct err *module_load(struct proc *p, uint64_t md, uint64_t *next)
{
	struct module m = { .addr = md };
	struct binary *b;

	if (p->modules.v.n >= LIMIT_MODULES)
		return err_create(ERR_LIMIT, "more than %u modules", LIMIT_MODULES);
	TRY(proc_get(p, md, L_moduledata_next, next));
	TRY(module_ranges(p, &m));
	TRY(module_tables(p, &m));
	b = binary_at(p, md);
	if (b) {
		m.binary = (size_t)(b - p->binaries.v);
		b->module = p->modules.v.n;
	}
	return vec_push(&p->modules.v, m);
}

struct err *modules_load(struct proc *p)
{
	uint64_t md = p->var.firstmoduledata;

	while (md)
		TRY(err_wrapf(module_load(p, md, &md), "reading moduledata"));
	return NULL;
}

void modules_deinit(struct modules *m)
{
	vec_deinit(&m->v);
	map64_deinit(&m->funcs);
	map64_deinit(&m->pcs);
	map64_deinit(&m->programs);
	arena_deinit(&m->arena);
}

bool modules_have_type(const struct modules *m, uint64_t addr)
{
	for (size_t i = 0; i < m->v.n; i++)
		if (addr - m->v.v[i].types < m->v.v[i].etypes - m->v.v[i].types)
			return true;
	return false;
}

/* ------------------------------------------------------------------ text */

/* pc's place in the module's text, as an offset: through textsectmap where there are several
 * sections. */
static bool text_off(const struct proc *p, const struct module *m, uint64_t pc, uint64_t *off)
{
	uint32_t elem = layout_size(&p->layout, LS_textsect);
	uint64_t n = m->textsectmap.len / elem;

	*off = pc - m->text;
	if (n <= 1 || !layout_has(&p->layout, L_textsect_end))
		return true;
	for (uint64_t i = 0; i < n; i++) {
		const uint8_t *s = m->textsectmap.data + i * elem;
		uint64_t vaddr = proc_peek(p, s, L_textsect_vaddr),
			 end = proc_peek(p, s, L_textsect_end);
		uint64_t base = proc_peek(p, s, L_textsect_baseaddr);

		if (pc >= base &&
		    (pc < base + (end - vaddr) || (i == n - 1 && pc == base + (end - vaddr)))) {
			*off = pc - base + vaddr;
			return true;
		}
	}
	return false;
}

static uint64_t text_addr(const struct proc *p, const struct module *m, uint64_t off)
{
	uint32_t elem = layout_size(&p->layout, LS_textsect);
	uint64_t n = m->textsectmap.len / elem;

	if (n <= 1 || !layout_has(&p->layout, L_textsect_end))
		return m->text + off;
	for (uint64_t i = 0; i < n; i++) {
		const uint8_t *s = m->textsectmap.data + i * elem;
		uint64_t vaddr = proc_peek(p, s, L_textsect_vaddr),
			 end = proc_peek(p, s, L_textsect_end);

		if (off >= vaddr && (off < end || (i == n - 1 && off == end)))
			return proc_peek(p, s, L_textsect_baseaddr) + off - vaddr;
	}
	return m->text + off;
}

/* ------------------------------------------------------------------ functions */

/* Functions by name, with what makes them special. */
static const struct {
	const char *name;
	enum func_class cls;
} special_funcs[] = {
	{ "runtime.sigpanic", FUNC_SIGPANIC },
	{ "runtime.sigpanic0", FUNC_SIGPANIC },
	{ "runtime.asyncPreempt", FUNC_ASYNC_PREEMPT },
	{ "runtime.debugCallV1", FUNC_DEBUG_CALL },
	{ "runtime.debugCallV2", FUNC_DEBUG_CALL },
	{ "runtime.cgocallback", FUNC_CGOCALLBACK },
	{ "reflect.makeFuncStub", FUNC_REFLECT_STUB },
	{ "reflect.methodValueCall", FUNC_REFLECT_STUB },
	{ "gcWriteBarrier", FUNC_WRITE_BARRIER },
	{ "runtime.wbZero", FUNC_WRITE_BARRIER },
	{ "runtime.wbMove", FUNC_WRITE_BARRIER },
	{ "runtime.sigtramp", FUNC_SIGTRAMP },
	{ "runtime.cgoSigtramp", FUNC_SIGTRAMP },
	{ "runtime.gogo", FUNC_GOGO },
	{ "gogo", FUNC_GOGO },
	{ "runtime.copystack", FUNC_COPYSTACK },
	{ "racecall", FUNC_RACECALL },
	{ "runtime.nanotime1", FUNC_NANOTIME1 },
	{ "runtime.walltime", FUNC_NANOTIME1 },
	{ "time.now", FUNC_NANOTIME1 },
	{ "runtime.(*mheap).allocSpan", FUNC_SPAN_SETUP },
	{ "runtime.(*mheap).initSpan", FUNC_SPAN_SETUP },
	{ "runtime.(*mheap).alloc", FUNC_SPAN_SETUP },
	{ "runtime.(*mheap).alloc.func1", FUNC_SPAN_SETUP },
	{ "runtime.(*mheap).freeSpan", FUNC_SPAN_SETUP },
	{ "runtime.(*mheap).freeSpan.func1", FUNC_SPAN_SETUP },
	{ "runtime.(*mheap).freeSpanLocked", FUNC_SPAN_SETUP },
	{ "runtime.(*mheap).freeManual", FUNC_SPAN_SETUP },
	{ "runtime.(*mheap).allocManual", FUNC_SPAN_SETUP },
	{ "runtime.(*mcentral).grow", FUNC_SPAN_SETUP },
	{ "runtime.(*mcentral).cacheSpan", FUNC_SPAN_SETUP },
	{ "runtime.(*mcentral).uncacheSpan", FUNC_SPAN_SETUP },
	{ "runtime.(*mcache).refill", FUNC_SPAN_SETUP },
	{ "runtime.(*mcache).releaseAll", FUNC_SPAN_SETUP },
	{ "runtime.(*mcache).prepareForSweep", FUNC_SPAN_SETUP },
	{ "runtime.(*mcache).allocLarge", FUNC_SPAN_SETUP },
	{ "runtime.(*mspan).initHeapBits", FUNC_SPAN_SETUP },
	{ "runtime.(*sweepLocked).sweep", FUNC_SWEEP },
	{ "runtime.(*mspan).moveInlineMarks", FUNC_SWEEP },
};

/* How long a _func is: what follows begins right behind nfuncdata, its last field (1.17's struct is
 * padded). */
static uint32_t func_fixed(const struct proc *p)
{
	return layout_off(&p->layout, L_func_nfuncdata) + 1;
}

static enum func_class func_classify(const char *name)
{
	for (size_t i = 0; i < sizeof(special_funcs) / sizeof(*special_funcs); i++)
		if (!strcmp(special_funcs[i].name, name))
			return special_funcs[i].cls;
	if (!strncmp(name, "runtime.gcWriteBarrier", 22))
		return FUNC_WRITE_BARRIER;
	/* abi0 wrappers carry a suffix */
	if (!strcmp(name, "time.now.abi0"))
		return FUNC_NANOTIME1;
	return FUNC_NORMAL;
}

/* Package runtime, what it is made of, and what the compiler makes in it. */
static bool func_in_runtime(const char *name)
{
	static const char *const prefixes[] = {
		"runtime.", "runtime/internal/", "internal/runtime/", "internal/bytealg.",
		"gogo",     "gcWriteBarrier"
	};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
		if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
			return true;
	return !strchr(name, '.'); /* assembly helpers: callRet, setg_gcc, ... */
}

const char *func_name_at(const struct module *m, uint32_t off)
{
	if (off >= m->funcnametab.len ||
	    !memchr(m->funcnametab.data + off, 0, m->funcnametab.len - off))
		return "?";
	return (const char *)m->funcnametab.data + off;
}

static struct err *func_make(struct proc *p, const struct module *m, uint64_t funcoff,
			     struct func **ret)
{
	struct func *f = arena_alloc(&p->modules.arena, sizeof(*f));

	if (!f)
		return err_nomem();
	f->mod = m;
	f->data = m->pclntable.data + funcoff;
	f->left = m->pclntable.len - funcoff;
	f->name = symname_plain(&p->modules.arena,
				func_name_at(m, (uint32_t)proc_peek(p, f->data, L_func_nameOff)));
	if (!f->name)
		return err_nomem();
	f->args = (int32_t)proc_peek(p, f->data, L_func_args);
	f->deferreturn = (uint32_t)proc_peek(p, f->data, L_func_deferreturn);
	f->pcsp = (uint32_t)proc_peek(p, f->data, L_func_pcsp);
	f->npcdata = (uint32_t)proc_peek(p, f->data, L_func_npcdata);
	f->nfuncdata = (uint8_t)proc_peek(p, f->data, L_func_nfuncdata);
	f->flag = (uint8_t)proc_peek(p, f->data, L_func_flag);
	f->cls = func_classify(f->name);
	f->in_runtime = func_in_runtime(f->name);
	if (f->npcdata > (f->left - func_fixed(p)) / 4) {
		f->npcdata = 0;
		f->nfuncdata = 0;
	}
	*ret = f;
	return NULL;
}

/* The function at entry, made when it is first asked for; NULL, where there is a hole in the table,
 * or damage. */
static struct err *func_load(struct proc *p, const struct module *m, uint64_t entry, uint64_t end,
			     uint64_t funcoff, const struct func **ret)
{
	struct func *f = NULL;
	uint64_t *slot;
	bool is_new;

	TRY(map64_put(&p->modules.funcs, entry, 0, &slot, &is_new));
	if (is_new && funcoff < m->pclntable.len && m->pclntable.len - funcoff >= func_fixed(p)) {
		TRY(func_make(p, m, funcoff, &f));
		f->entry = entry;
		f->end = end;
		*slot = (uintptr_t)f;
	}
	*ret = (const struct func *)(uintptr_t)*slot;
	return NULL;
}

/* An entry of ftab: the function's entry (an offset since 1.18), and its _func in pclntable. */
static uint64_t ftab_entry(const struct proc *p, const struct module *m, uint64_t i)
{
	unsigned half = layout_has(&p->layout, L_func_entryOff) ? 4 : p->fmt.word;

	return bytes_uint(p->fmt, m->ftab.data + 2 * i * half, half);
}

static uint64_t ftab_funcoff(const struct proc *p, const struct module *m, uint64_t i)
{
	unsigned half = layout_has(&p->layout, L_func_entryOff) ? 4 : p->fmt.word;

	return bytes_uint(p->fmt, m->ftab.data + (2 * i + 1) * half, half);
}

static uint64_t ftab_addr(const struct proc *p, const struct module *m, uint64_t i)
{
	uint64_t entry = ftab_entry(p, m, i);

	return layout_has(&p->layout, L_func_entryOff) ? text_addr(p, m, entry) : entry;
}

struct ftab_key {
	const struct proc *p;
	const struct module *m;
	uint64_t key;
};

static bool ftab_behind(const void *arg, size_t i)
{
	const struct ftab_key *k = arg;

	return ftab_entry(k->p, k->m, i) > k->key;
}

struct err *func_find(struct proc *p, uint64_t pc, const struct func **ret)
{
	*ret = NULL;
	for (size_t i = 0; i < p->modules.v.n; i++) {
		const struct module *m = &p->modules.v.v[i];
		struct ftab_key k = { p, m, pc };
		uint64_t at;

		if (pc < m->minpc || pc >= m->maxpc)
			continue;
		if (layout_has(&p->layout, L_func_entryOff) && !text_off(p, m, pc, &k.key))
			return NULL;
		at = search_first(m->nfunc, ftab_behind, &k);
		if (!at--)
			return NULL;
		return func_load(p, m, ftab_addr(p, m, at), ftab_addr(p, m, at + 1),
				 ftab_funcoff(p, m, at), ret);
	}
	return NULL;
}

/* The offset of a name in funcnametab; false: it is not there. */
static bool funcname_find(const struct module *m, const char *name, uint64_t *off)
{
	const uint8_t *tab = m->funcnametab.data, *at = tab, *end;
	size_t len = strlen(name) + 1;

	if (!tab)
		return false;
	end = tab + m->funcnametab.len;
	while ((at = memmem(at, (size_t)(end - at), name, len))) {
		if (at > tab && !at[-1]) {
			*off = (uint64_t)(at - tab);
			return true;
		}
		at++;
	}
	return false;
}

struct err *func_named(struct proc *p, const struct module *m, const char *name,
		       const struct func **ret)
{
	uint64_t fixed = func_fixed(p), nameoff, off;

	*ret = NULL;
	if (!funcname_find(m, name, &nameoff))
		return NULL;
	for (uint64_t i = 0; i < m->nfunc; i++) {
		TRY(intr_check());
		off = ftab_funcoff(p, m, i);
		if (off < m->pclntable.len && m->pclntable.len - off >= fixed &&
		    proc_peek(p, m->pclntable.data + off, L_func_nameOff) == nameoff)
			return func_find(p, ftab_addr(p, m, i), ret);
	}
	return NULL;
}

/* ------------------------------------------------------------------ pc tables */

/* runtime.pcvalue (symtab.go): deltas of value and pc until pc is passed. */
int32_t func_pcvalue(const struct func *f, uint32_t off, uint64_t pc)
{
	const struct module *m = f->mod;
	struct cursor c;
	uint64_t at = f->entry;
	uint32_t val = UINT32_MAX; /* -1 */
	bool first = true;

	if (!off || off >= m->pctab.len)
		return -1;
	c = cursor_make(m->pctab.data + off, m->pctab.len - off, (struct bytes_fmt){ 8, false });
	for (unsigned n = 0; n < LIMIT_PC_STEPS; n++) {
		uint32_t d = (uint32_t)cursor_uvarint(&c);

		if (c.bad || (!d && !first))
			return -1;
		first = false;
		val += d & 1 ? ~(d >> 1) : d >> 1;
		at += cursor_uvarint(&c) * m->quantum;
		if (c.bad)
			return -1;
		if (pc < at)
			return (int32_t)val;
	}
	return -1;
}

int32_t func_pcdata(const struct proc *p, const struct func *f, unsigned table, uint64_t pc)
{
	if (table >= f->npcdata)
		return -1;
	return func_pcvalue(f, bytes_u32(p->fmt, f->data + func_fixed(p) + 4 * table), pc);
}

uint64_t func_funcdata(const struct proc *p, const struct func *f, unsigned i)
{
	uint64_t off = func_fixed(p) + 4ull * f->npcdata;
	unsigned size = p->fmt.word;
	uint64_t v;

	if (i >= f->nfuncdata)
		return 0;
	if (f->mod->gofunc) { /* 1.18+: offsets from moduledata.gofunc */
		size = 4;
	} else if (p->fmt.word == 8 && (off & 7)) { /* pointers, aligned */
		off += 4;
	}
	off += (uint64_t)i * size;
	if (off + size > f->left)
		return 0;
	v = bytes_uint(p->fmt, f->data + off, size);
	if (size == 4 && f->mod->gofunc)
		return v == UINT32_MAX ? 0 : f->mod->gofunc + v;
	return v;
}

static struct err *pcinfo_make(struct proc *p, uint64_t pc, struct pcinfo **ret)
{
	const struct func *f;
	struct pcinfo *pi;

	*ret = NULL;
	TRY(func_find(p, pc, &f));
	if (!f)
		return NULL;
	pi = arena_alloc(&p->modules.arena, sizeof(*pi));
	if (!pi)
		return err_nomem();
	pi->func = f;
	pi->spdelta = f->pcsp ? func_pcvalue(f, f->pcsp, pc) : -1;
	/* getStackMap: the call's own map is at pc - 1; a function not yet entered has its
	 * entry's. */
	pi->stackmap = pc != f->entry ? func_pcdata(p, f, PCDATA_STACKMAP, pc - 1) : -1;
	pi->unsafe = pc != f->entry &&
		     func_pcdata(p, f, PCDATA_UNSAFE_POINT, pc - 1) == UNSAFE_POINT_UNSAFE;
	*ret = pi;
	return NULL;
}

struct err *pcinfo_find(struct proc *p, uint64_t pc, const struct pcinfo **ret)
{
	struct pcinfo *pi;
	uint64_t *slot;
	bool is_new;

	TRY(map64_put(&p->modules.pcs, pc, 0, &slot, &is_new));
	if (is_new) {
		TRY(pcinfo_make(p, pc, &pi));
		*slot = (uintptr_t)pi;
	}
	*ret = (const struct pcinfo *)(uintptr_t)*slot;
	return NULL;
}
