/*
 * Core files are read with pread(), so that a page of one is in memory only while it is copied.
 *
 * What the core does not have is looked for in EXE, or in the other file that the process had
 * mapped there: coredump_filter leaves out pages that nobody wrote to.
 */
#include "target/core.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/intr.h"
#include "base/limits.h"
#include "base/regular.h"
#include "base/search.h"
#include "target/core_note.h"
#include "target/elf_note.h"
#include "target/target_int.h"

enum {
	READ_MAX = 1 << 30, /* of one pread() */
	FIRST_PAGE = 4096,
	/* Memory that nobody touched is read as zeros, and is not in the file: at least so much of
	 * it, or so many times what the file has. */
	ZEROS_MIN = 1 << 30,
	ZEROS_TIMES = 64,
	PROGRESS = 16 << 20,
	INTR_EVERY = 256, /* ranges */
};

struct segment {
	uint64_t addr, memsz;
	uint64_t off, filesz; /* filesz: what the headers promise */
	bool writable;
};

struct mapping { /* of a file */
	uint64_t start, end, off;
	const char *path; /* in core.files */
};

struct core {
	struct target t;  /* first */
	char *path, *exe; /* exe: info's */
	char *most_why;   /* the target's */
	struct core_info info;
	int fd;
	uint64_t size; /* of the file */
	uint16_t machine;
	struct bytes_fmt fmt;
	VEC(struct segment) segments; /* by address */
	VEC(struct mapping) maps;
	char *files;
	const char *file; /* of maps, open as file_fd (-1: not what was mapped, or not here) */
	int file_fd;
	VEC(struct buf) prstatus; /* until core_target() */
	uint64_t note_bytes;
	uint64_t from_exe;
	bool has_auxv;
	bool anonymous;        /* it has memory that is no file's */
	const struct elf *elf; /* EXE */
	uint64_t bias;
};

bool core_is_file(const char *target)
{
	struct stat st;

	return stat(target, &st) == 0 && S_ISREG(st.st_mode);
}

void core_destroy(struct core *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->prstatus.n; i++)
		buf_deinit(&c->prstatus.v[i]);
	vec_deinit(&c->prstatus);
	vec_deinit(&c->segments);
	vec_deinit(&c->maps);
	buf_deinit(&c->t.auxv);
	free(c->path);
	free(c->exe);
	free(c->most_why);
	free(c->files);
	cleanup_close(&c->file_fd);
	cleanup_close(&c->fd);
	free(c);
}

DEFINE_CLEANUP(core_destroy, struct core *)
DEFINE_CLEANUP(elf_end, Elf *)

/* ------------------------------------------------------------------ headers */

/* A total order: segments that begin at one address overlap, which is an error. */
static int segment_cmp(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* A total order: paths are in one text. */
static int mapping_cmp(const void *a, const void *b)
{
	const struct mapping *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->path < y->path ? -1 : x->path > y->path;
}

/* Says of a file that is no core what it is, by its first bytes, and what to do with it. */
static struct err *not_a_core(const uint8_t *b, size_t n)
{
	static const struct {
		const char *magic;
		uint8_t len;
		const char *name, *command;
	} packed[] = {
		{ "\x28\xb5\x2f\xfd", 4, "zstd", "zstd -d" },
		{ "\x04\x22\x4d\x18", 4, "lz4", "lz4 -d" },
		{ "\xfd"
		  "7zXZ",
		  5, "xz", "xz -d" },
		{ "\x1f\x8b", 2, "gzip", "gunzip" },
	};

	for (size_t i = 0; i < sizeof(packed) / sizeof(*packed); i++)
		if (n >= packed[i].len && !memcmp(b, packed[i].magic, packed[i].len))
			return err_create(
				ERR_BADDATA,
				"packed with %s: unpack it first (%s FILE; or, of systemd's: "
				"coredumpctl dump -o core PID)",
				packed[i].name, packed[i].command);
	return err_create(ERR_BADDATA,
			  n ? "neither a core file nor a stub" : "an empty file, no core");
}

/* Up to len bytes; *got is less at the end of the file only. */
static struct err *core_read_at(const struct core *c, uint64_t off, void *dst, uint64_t len,
				uint64_t *got)
{
	uint8_t *p = dst;

	for (*got = 0; *got < len;) {
		uint64_t want = len - *got < READ_MAX ? len - *got : READ_MAX;
		ssize_t n = off + *got < c->size ?
				    pread(c->fd, p + *got, want, (off_t)(off + *got)) :
				    0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_os(errno, "reading %s", c->path);
		if (!n)
			break;
		*got += (uint64_t)n;
	}
	return NULL;
}

/* ------------------------------------------------------------------ notes */

static struct err *note_auxv(struct core *c, const uint8_t *d, size_t len)
{
	c->has_auxv = true;
	buf_reset(&c->t.auxv);
	return buf_add(&c->t.auxv, d, len);
}

/* The files that were mapped: their number, the page size; of each start, end, offset in pages; the
 * paths (fs/binfmt_elf.c: fill_files_note()). */
static struct err *note_files(struct core *c, const uint8_t *d, size_t len)
{
	struct cursor k = cursor_make(d, len, c->fmt);
	uint64_t n = cursor_word(&k), page = cursor_word(&k);
	const char *path, *end;

	if (k.bad || n > cursor_left(&k) / (3 * c->fmt.word) || c->files)
		return NULL; /* it gives names only: a core is one without it */
	c->files = malloc(len + 1);
	if (!c->files)
		return err_nomem();
	memcpy(c->files, d, len);
	c->files[len] = 0;
	end = c->files + len;
	path = c->files + (2 + 3 * n) * c->fmt.word;
	for (uint64_t i = 0; i < n && path < end; i++) {
		struct mapping m = { .path = path };

		m.start = cursor_word(&k);
		m.end = cursor_word(&k);
		m.off = cursor_word(&k) * page;
		TRY(vec_push(&c->maps, m));
		path += strlen(path) + 1;
	}
	return NULL;
}

static struct err *note_psinfo(struct core *c, const uint8_t *d, size_t len)
{
	size_t pid = prpsinfo_pid(c->fmt, len);

	if (len >= pid + 4)
		c->info.pid = bytes_u32(c->fmt, d + pid);
	return NULL;
}

static struct err *note_status(struct core *c, const uint8_t *d, size_t len)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	if (c->prstatus.n >= LIMIT_THREADS)
		return err_create(ERR_LIMIT, "more than %u threads", LIMIT_THREADS);
	TRY(buf_add(&b, d, len));
	TRY(vec_push(&c->prstatus, b));
	b = (struct buf)BUF_INIT;
	return NULL;
}

/* Our own note: time, flags, monotonic time; cores of earlier versions have less. */
static void note_capture(struct core *c, const uint8_t *d, size_t len)
{
	struct cursor k = cursor_make(d, len, c->fmt);

	if (len < 8)
		return;
	c->info.ours = true;
	c->info.time_ns = (int64_t)cursor_uint(&k, 8);
	c->info.full = cursor_uint(&k, 8) & CORE_FULL;
	c->info.mono_ns = cursor_uint(&k, 8);
}

static struct err *note_one(struct core *c, const struct elf_note *n)
{
	if (elf_note_is(n, CORE_OWNER, CORE_NOTE_CAPTURE))
		note_capture(c, n->desc, n->len);
	if (n->name_len < 4 || memcmp(n->name, "CORE", 4))
		return NULL;
	switch (n->type) {
	case NT_PRSTATUS:
		return note_status(c, n->desc, n->len);
	case NT_PRPSINFO:
		return note_psinfo(c, n->desc, n->len);
	case NT_AUXV:
		return note_auxv(c, n->desc, n->len);
	case NT_FILE:
		return note_files(c, n->desc, n->len);
	default:
		return NULL;
	}
}

static struct err *core_read_notes(struct core *c, Elf *elf, uint64_t off, uint64_t len)
{
	struct elf_note note;
	struct cursor notes;
	Elf_Data *data;

	if (off >= c->size)
		return err_create(ERR_BADDATA, "cut before its notes: no thread can be read");
	if (len > c->size - off)
		len = c->size - off;
	c->note_bytes += len; /* headers may name the same ones again and again */
	if (c->note_bytes > LIMIT_CORE_NOTES)
		return err_create(ERR_LIMIT, "%" PRIu64 " bytes of notes", c->note_bytes);
	data = elf_getdata_rawchunk(elf, (int64_t)off, len, ELF_T_BYTE);
	if (!data)
		return err_create(ERR_BADDATA, "its notes cannot be read: %s", elf_errmsg(-1));
	notes = cursor_make(data->d_buf, data->d_size, c->fmt);
	while (elf_note_next(&notes, &note))
		TRY(note_one(c, &note));
	return NULL;
}

/* ------------------------------------------------------------------ opening */

static struct err *read_segment(struct core *c, Elf *elf, size_t i)
{
	GElf_Phdr ph;

	if (!gelf_getphdr(elf, (int)i, &ph))
		return err_create(ERR_BADDATA, "program header %zu cannot be read (cut?)", i);
	if (ph.p_type == PT_NOTE)
		return core_read_notes(c, elf, ph.p_offset, ph.p_filesz);
	if (ph.p_type != PT_LOAD || !ph.p_memsz)
		return NULL;
	if (ph.p_filesz > ph.p_memsz || ph.p_vaddr + (ph.p_memsz - 1) < ph.p_vaddr ||
	    ph.p_offset + ph.p_filesz < ph.p_offset)
		return err_create(ERR_BADDATA, "program header %zu makes no sense", i);
	return vec_push(&c->segments, ((struct segment){ ph.p_vaddr, ph.p_memsz, ph.p_offset,
							 ph.p_filesz, !!(ph.p_flags & PF_W) }));
}

static struct err *core_read_headers(struct core *c, Elf *elf)
{
	GElf_Ehdr eh;
	size_t n;

	if (elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &eh))
		return err_create(ERR_BADDATA, "a damaged ELF file");
	if (eh.e_type != ET_CORE)
		return err_create(ERR_BADDATA,
				  "an executable, not a core file: it goes behind TARGET");
	c->machine = eh.e_machine;
	c->fmt = (struct bytes_fmt){ eh.e_ident[EI_CLASS] == ELFCLASS64 ? 8 : 4,
				     eh.e_ident[EI_DATA] == ELFDATA2MSB };
	/* Section 0 counts headers of which there are more than 65534; the kernel writes it at the
	 * end, so that a cut core lacks it. */
	if (elf_getphdrnum(elf, &n) || (n == PN_XNUM && eh.e_shoff >= c->size))
		return err_create(ERR_BADDATA, "cut: its program headers cannot be counted");
	if (n > LIMIT_CORE_SEGMENTS)
		return err_create(ERR_LIMIT, "%zu program headers", n);
	for (size_t i = 0; i < n; i++) {
		TRY(intr_check());
		TRY(read_segment(c, elf, i));
	}
	if (c->maps.n)
		qsort(c->maps.v, c->maps.n, sizeof(*c->maps.v), mapping_cmp);
	if (!c->prstatus.n)
		return err_create(ERR_BADDATA, "a core file without threads (NT_PRSTATUS)");
	if (c->segments.n)
		qsort(c->segments.v, c->segments.n, sizeof(*c->segments.v), segment_cmp);
	for (size_t i = 1; i < c->segments.n; i++)
		if (c->segments.v[i].addr - c->segments.v[i - 1].addr < c->segments.v[i - 1].memsz)
			return err_create(ERR_BADDATA, "segments overlap at 0x%" PRIx64,
					  c->segments.v[i].addr);
	return NULL;
}

struct mapping_key {
	const struct mapping *v;
	uint64_t addr;
};

static bool mapping_behind(const void *arg, size_t i)
{
	const struct mapping_key *k = arg;

	return k->v[i].start > k->addr;
}

/* The mapping that holds addr; NULL: none. */
static const struct mapping *mapping_at(const struct core *c, uint64_t addr)
{
	struct mapping_key k = { c->maps.v, addr };
	size_t i = search_first(c->maps.n, mapping_behind, &k);

	return i && addr < c->maps.v[i - 1].end ? &c->maps.v[i - 1] : NULL;
}

/* EXE is the file that holds the program's entry, or its headers. */
static struct err *core_find_exe(struct core *c)
{
	struct cursor k = cursor_make(c->t.auxv.data, c->t.auxv.len, c->fmt);
	const struct mapping *m = NULL;
	uint64_t key, val;

	while (cursor_left(&k) && !m) {
		key = cursor_word(&k);
		val = cursor_word(&k);
		if (key == AT_ENTRY || key == AT_PHDR)
			m = mapping_at(c, val);
	}
	if (!m)
		return NULL;
	c->info.exe = c->exe = strdup(m->path);
	return c->exe ? NULL : err_nomem();
}

static struct err *core_open_(struct core *c)
{
	_cleanup_(cleanup_elf_end) Elf *elf = NULL;
	uint8_t magic[8];
	struct stat st;
	uint64_t got;

	TRY(regular_open(c->path, &c->fd, &st));
	c->size = (uint64_t)st.st_size;
	c->info.time_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	TRY(core_read_at(c, 0, magic, sizeof(magic), &got));
	if (got < SELFMAG || memcmp(magic, ELFMAG, SELFMAG))
		return not_a_core(magic, got);
	elf_version(EV_CURRENT);
	elf = elf_begin(c->fd, ELF_C_READ, NULL);
	if (!elf)
		return err_create(ERR_BADDATA, "a damaged ELF file: %s", elf_errmsg(-1));
	TRY(core_read_headers(c, elf));
	for (size_t i = 0; i < c->segments.n && !c->anonymous; i++) {
		const struct segment *s = &c->segments.v[i];

		c->anonymous = s->writable && s->filesz && !mapping_at(c, s->addr);
	}
	return core_find_exe(c);
}

struct err *core_open(const char *path, struct core **ret)
{
	_cleanup_(cleanup_core_destroy) struct core *c = calloc(1, sizeof(*c));
	struct err *err;

	if (!c)
		return err_nomem();
	c->fd = c->file_fd = -1;
	c->path = strdup(path);
	err = c->path ? core_open_(c) : err_nomem();
	if (err)
		return err_wrapf(err, "%s", path);
	*ret = TAKE_PTR(c);
	return NULL;
}

/* ------------------------------------------------------------------ what it says */

struct core_info core_info(const struct core *c)
{
	return c->info;
}

/* How much of a segment's promised bytes the file has. */
static uint64_t segment_present(const struct core *c, const struct segment *s)
{
	if (s->off >= c->size)
		return 0;
	return s->filesz < c->size - s->off ? s->filesz : c->size - s->off;
}

uint64_t core_cut(const struct core *c, uint64_t *at)
{
	uint64_t cut = 0;

	for (size_t i = 0; i < c->segments.n; i++) {
		const struct segment *s = &c->segments.v[i];
		uint64_t have = segment_present(c, s);

		if (have < s->filesz && !cut)
			*at = s->addr + have;
		cut += s->filesz - have;
	}
	return cut;
}

uint64_t core_from_exe(const struct core *c)
{
	return c->from_exe;
}

struct err *core_ranges(const struct core *c, struct ranges *ret)
{
	for (size_t i = 0; i < c->segments.n; i++) {
		uint64_t have = segment_present(c, &c->segments.v[i]);

		if (have)
			TRY(vec_push(ret, ((struct range){ c->segments.v[i].addr, have })));
	}
	return NULL;
}

/* ------------------------------------------------------------------ the target */

struct segment_key {
	const struct segment *v;
	uint64_t addr;
};

static bool segment_ends_behind(const void *arg, size_t i)
{
	const struct segment_key *key = arg;

	return key->v[i].addr + (key->v[i].memsz - 1) >= key->addr;
}

/* The first segment that ends behind addr; NULL: none. */
static const struct segment *segment_lookup(const struct core *c, uint64_t addr)
{
	const struct segment_key key = { c->segments.v, addr };
	size_t i = search_first(c->segments.n, segment_ends_behind, &key);

	return i < c->segments.n ? &c->segments.v[i] : NULL;
}

/* Is the file at m's path what was mapped?  The core has the first page of every ELF file
 * (coredump_filter, bit 4). */
static bool is_mapped_file(const struct core *c, const struct mapping *m, int fd)
{
	uint8_t here[FIRST_PAGE], there[FIRST_PAGE];
	uint64_t got = 0;

	for (size_t i = 0; i < c->maps.n && !intr_signal(); i++) {
		const struct mapping *x = &c->maps.v[i];
		const struct segment *s = segment_lookup(c, x->start);

		if (x->off || strcmp(x->path, m->path) || !s || s->addr > x->start ||
		    s->filesz < x->start - s->addr + FIRST_PAGE)
			continue;
		err_destroy(
			core_read_at(c, s->off + (x->start - s->addr), there, FIRST_PAGE, &got));
		return got == FIRST_PAGE && pread(fd, here, FIRST_PAGE, 0) == FIRST_PAGE &&
		       !memcmp(here, there, FIRST_PAGE);
	}
	return false;
}

/* Bytes of another file that was mapped there: a shared object's code and constants. */
static uint64_t read_mapped(struct core *c, uint64_t addr, uint8_t *dst, uint64_t len)
{
	const struct mapping *m = mapping_at(c, addr);
	struct stat st;
	ssize_t n;

	if (!m)
		return 0;
	if (c->file != m->path) {
		cleanup_close(&c->file_fd);
		c->file = m->path;
		c->file_fd = -1;
		err_destroy(regular_open(m->path, &c->file_fd, &st));
		if (c->file_fd >= 0 && !is_mapped_file(c, m, c->file_fd)) {
			close(c->file_fd);
			c->file_fd = -1;
		}
	}
	if (len > m->end - addr)
		len = m->end - addr;
	n = c->file_fd >= 0 ? pread(c->file_fd, dst, len, (off_t)(m->off + (addr - m->start))) : 0;
	return n > 0 ? (uint64_t)n : 0;
}

static bool is_variable(const struct elf *e, uint64_t addr)
{
	const struct elf_segment *s;
	size_t n = elf_segments(e, &s);

	for (size_t i = 0; i < n; i++)
		if (addr - s[i].addr < s[i].memsz)
			return s[i].write;
	return false;
}

/* Memory that the core left out, from the file that was mapped there; how much of it there is. */
static uint64_t read_file(struct core *c, uint64_t addr, uint8_t *dst, uint64_t len)
{
	const uint8_t *p;

	/* A segment of EXE's that ends in between has less of it: the half of that is tried. */
	for (uint64_t n = c->elf ? len : 0; n; n /= 2) {
		p = elf_data(c->elf, addr - c->bias, n);
		if (p) {
			memcpy(dst, p, n);
			if (is_variable(c->elf, addr - c->bias))
				c->from_exe += n;
			return n;
		}
	}
	return read_mapped(c, addr, dst, len);
}

/*
 * Is it memory that the process had and never touched?  The kernel writes none of such a mapping
 * (fs/coredump.c: vma_dump_size()).  Where coredump_filter leaves out all memory that is no file's,
 * that cannot be told.
 */
static bool is_untouched(const struct core *c, const struct segment *s)
{
	return !c->info.ours && c->anonymous && !s->filesz && s->writable &&
	       !mapping_at(c, s->addr);
}

static struct err *core_read_range(struct core *c, struct mem_range *r)
{
	for (r->got = 0; r->got < r->len;) {
		uint64_t addr = r->addr + r->got, left = r->len - r->got, n;
		const struct segment *s = segment_lookup(c, addr);

		TRY(intr_check());
		if (!s || s->addr > addr) {
			/* A core of ours has headers only for what it has: EXE's constants are in
			 * EXE. */
			if (!c->info.ours || !c->elf || is_variable(c->elf, addr - c->bias))
				break;
			n = s && s->addr - addr < left ? s->addr - addr : left;
			n = read_file(c, addr, r->dst + r->got, n);
		} else if (addr - s->addr < s->filesz) {
			n = s->filesz - (addr - s->addr);
			n = n < left ? n : left;
			TRY(core_read_at(c, s->off + (addr - s->addr), r->dst + r->got, n, &n));
		} else {
			uint64_t all = s->memsz - (addr - s->addr);

			all = all < left ? all : left;
			n = read_file(c, addr, r->dst + r->got, all);
			if (!n && is_untouched(c, s)) {
				memset(r->dst + r->got, 0, all);
				n = all;
			}
		}
		if (!n)
			break;
		r->got += n;
	}
	return NULL;
}

static struct err *core_readv(struct mem_source *src, struct mem_range *ranges, size_t n)
{
	struct core *c = (struct core *)src;
	uint64_t bytes = 0, said = 0;

	for (size_t i = 0; i < n; i++) {
		if (i % INTR_EVERY == 0)
			TRY(intr_check());
		TRY(core_read_range(c, &ranges[i]));
		bytes += ranges[i].got;
		if (c->t.progress && bytes - said >= PROGRESS) {
			c->t.progress(c->t.progress_arg, bytes);
			said = bytes;
		}
	}
	return NULL;
}

static struct err *core_auxv(struct target *t, struct buf *ret)
{
	(void)ret; /* it is there from the start */
	return ((struct core *)t)->has_auxv ?
		       NULL :
		       err_create(ERR_NODEBUG, "the core file has no auxiliary vector");
}

static void fill_thread(const struct core *c, const struct core_regs *regs, const struct buf *note,
			struct thread *th)
{
	const struct arch *a = c->t.arch;
	unsigned word = c->fmt.word;

	th->tid = bytes_u32(c->fmt, note->data + prstatus_pid(c->fmt));
	for (size_t i = 0; i < regs->n; i++)
		for (unsigned k = 0; k < a->nregs && *regs->names[i]; k++)
			if (!strcmp(a->reg_names[k], regs->names[i])) {
				th->regs[k] = bytes_word(c->fmt, note->data + prstatus_reg(c->fmt) +
									 i * word);
				th->have[k] = true;
			}
	th->valid = th->have[a->pc] && th->have[a->sp];
}

static struct err *core_threads(struct target *t, struct threads *ret)
{
	const struct core *c = (const struct core *)t;
	const struct core_regs *regs = core_regs_find(c->machine, c->fmt);

	if (!regs)
		return err_create(ERR_UNSUPPORTED, "registers in core files of %s are not known",
				  arch_machine_name(c->machine));
	ret->n = 0;
	for (size_t i = 0; i < c->prstatus.n; i++) {
		struct thread th = { 0 };

		if (c->prstatus.v[i].len < prstatus_reg(c->fmt) + regs->n * regs->word)
			return err_create(ERR_BADDATA,
					  "a thread's registers take %zu bytes, not %zu",
					  c->prstatus.v[i].len, prstatus_size(regs));
		fill_thread(c, regs, &c->prstatus.v[i], &th);
		TRY(vec_push(ret, th));
	}
	threads_sort(ret);
	return NULL;
}

static void core_target_destroy(struct target *t)
{
	(void)t; /* the core's */
}

/* All that is in the file, what it lacks if it is cut, and a bound for zeros. */
static struct err *set_most(struct core *c)
{
	uint64_t zeros = c->size < UINT64_MAX / ZEROS_TIMES / 4 ? c->size * ZEROS_TIMES : c->size;
	uint64_t at, most = c->size + core_cut(c, &at) + (zeros < ZEROS_MIN ? ZEROS_MIN : zeros);

	if (asprintf(&c->most_why, "%s, of %.1f MB, cannot have %.1f GB", c->path,
		     (double)c->size / 1e6, (double)most / 1e9) < 0) {
		c->most_why = NULL;
		return err_nomem();
	}
	target_set_most(&c->t, most, c->most_why);
	return NULL;
}

static const struct target_ops core_ops = { core_target_destroy, core_threads, core_auxv };

struct err *core_target(struct core *c, const struct arch *arch, struct target **ret)
{
	if (c->machine != arch->elf_machine || c->fmt.word != arch->fmt.word ||
	    c->fmt.big != arch->fmt.big)
		return err_create(ERR_BADDATA, "%s is of a program for %s, EXE is for %s", c->path,
				  arch_machine_name(c->machine), arch->name);
	c->t.source = (struct mem_source){ core_readv, true };
	TRY(set_most(c));
	c->t.ops = &core_ops;
	c->t.arch = arch;
	*ret = &c->t;
	return NULL;
}

void core_set_exe(struct core *c, const struct elf *exe, uint64_t bias)
{
	c->elf = exe;
	c->bias = bias;
}
