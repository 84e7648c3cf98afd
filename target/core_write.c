/*
 * ELF header; program headers; notes; memory; and, where there are more headers than 16 bits count,
 * section header 0 with their number (gABI, PN_XNUM).
 */
#include "target/core_write.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/intr.h"
#include "target/core_note.h"

enum { CHUNK = 4 << 20, BLOCK = 4096 };

/* ------------------------------------------------------------------ numbers */

static struct err *put(struct buf *b, struct bytes_fmt f, uint64_t v, unsigned size)
{
	uint8_t out[8];

	bytes_put(f, out, v, size);
	return buf_add(b, out, size);
}

static struct err *put_word(struct buf *b, struct bytes_fmt f, uint64_t v)
{
	return put(b, f, v, f.word);
}

static struct err *put_zeros(struct buf *b, size_t n)
{
	struct err *err = buf_reserve(b, n);

	if (!err) {
		memset(b->data + b->len, 0, n);
		b->len += n;
	}
	return err;
}

/* ------------------------------------------------------------------ notes */

static struct err *put_note(struct buf *b, struct bytes_fmt f, const char *owner, uint32_t type,
			    const struct buf *desc)
{
	size_t name = strlen(owner) + 1;
	struct err *err;

	if ((err = put(b, f, name, 4)) || (err = put(b, f, desc->len, 4)) ||
	    (err = put(b, f, type, 4)) || (err = buf_add(b, owner, name)) ||
	    (err = put_zeros(b, -name & 3)) || (err = buf_add(b, desc->data, desc->len)))
		return err;
	return put_zeros(b, -desc->len & 3);
}

static struct err *add_status(struct buf *b, const struct core_contents *c,
			      const struct core_regs *regs, const struct thread *th)
{
	_cleanup_buf_ struct buf d = BUF_INIT;
	const struct arch *a = c->arch;
	struct err *err = put_zeros(&d, prstatus_pid(a->fmt));

	if (!err)
		err = put(&d, a->fmt, th->tid, 4);
	if (!err)
		err = put_zeros(&d, prstatus_reg(a->fmt) - d.len);
	for (size_t i = 0; i < regs->n && !err; i++) {
		uint64_t v = 0;

		for (unsigned k = 0; k < a->nregs && *regs->names[i]; k++)
			if (th->have[k] && !strcmp(a->reg_names[k], regs->names[i]))
				v = th->regs[k];
		err = put_word(&d, a->fmt, v);
	}
	if (!err)
		err = put_word(&d, a->fmt, 0);
	return err ? err : put_note(b, a->fmt, "CORE", NT_PRSTATUS, &d);
}

static struct err *add_psinfo(struct buf *b, const struct core_contents *c)
{
	_cleanup_buf_ struct buf d = BUF_INIT;
	const char *base = strrchr(c->exe, '/');
	/* as prstatus_pid() in target/core.c: 128 bytes where uids take four */
	bool narrow = c->arch->fmt.word == 4;
	char fname[16] = "", args[80] = "";
	struct err *err = put_zeros(&d, narrow ? 16 : 24);

	strncpy(fname, base ? base + 1 : c->exe, sizeof(fname) - 1);
	strncpy(args, c->exe, sizeof(args) - 1);
	if (!err)
		err = put(&d, c->arch->fmt, c->pid, 4);
	if (!err)
		err = put_zeros(&d, 12);
	if (!err)
		err = buf_add(&d, fname, sizeof(fname));
	if (!err)
		err = buf_add(&d, args, sizeof(args));
	return err ? err : put_note(b, c->arch->fmt, "CORE", NT_PRPSINFO, &d);
}

static struct err *add_files(struct buf *b, const struct core_contents *c)
{
	_cleanup_buf_ struct buf d = BUF_INIT;
	struct bytes_fmt f = c->arch->fmt;
	struct err *err = put_word(&d, f, c->nfiles);

	if (!err)
		err = put_word(&d, f, BLOCK);
	for (size_t i = 0; i < c->nfiles && !err; i++) {
		err = put_word(&d, f, c->files[i].start);
		if (!err)
			err = put_word(&d, f, c->files[i].end);
		if (!err)
			err = put_word(&d, f, c->files[i].off / BLOCK);
	}
	for (size_t i = 0; i < c->nfiles && !err; i++)
		err = buf_add(&d, c->files[i].path, strlen(c->files[i].path) + 1);
	return err ? err : put_note(b, f, "CORE", NT_FILE, &d);
}

static struct err *add_notes(struct buf *b, const struct core_contents *c)
{
	const struct core_regs *regs = core_regs_find(c->arch->elf_machine, c->arch->fmt);
	_cleanup_buf_ struct buf own = BUF_INIT;
	struct bytes_fmt f = c->arch->fmt;
	struct err *err;

	if (!regs)
		return err_create(ERR_UNSUPPORTED, "registers in core files of %s are not known",
				  c->arch->name);
	/* Process-wide notes come behind the first thread's (fs/binfmt_elf.c). */
	err = c->threads->n ? add_status(b, c, regs, &c->threads->v[0]) : NULL;
	if (!err)
		err = add_psinfo(b, c);
	if (!err && c->auxv)
		err = put_note(b, f, "CORE", NT_AUXV, c->auxv);
	if (!err)
		err = add_files(b, c);
	if (!err)
		err = put(&own, f, (uint64_t)c->time_ns, 8);
	if (!err)
		err = put(&own, f, (c->scrubbed ? CORE_SCRUBBED : 0) | (c->full ? CORE_FULL : 0),
			  8);
	if (!err)
		err = put(&own, f, c->mono_ns, 8);
	if (!err)
		err = put_note(b, f, CORE_OWNER, CORE_NOTE_CAPTURE, &own);
	for (size_t i = 1; i < c->threads->n && !err; i++)
		err = add_status(b, c, regs, &c->threads->v[i]);
	return err;
}

/* ------------------------------------------------------------------ headers */

static struct err *add_phdr(struct buf *b, struct bytes_fmt f, uint32_t type, uint32_t flags,
			    uint64_t off, uint64_t addr, uint64_t len, uint64_t memsz)
{
	struct err *err = put(b, f, type, 4);

	if (!err && f.word == 8)
		err = put(b, f, flags, 4);
	if (!err)
		err = put_word(b, f, off);
	if (!err)
		err = put_word(b, f, addr);
	if (!err)
		err = put_word(b, f, 0);
	if (!err)
		err = put_word(b, f, len);
	if (!err)
		err = put_word(b, f, memsz);
	if (!err && f.word == 4)
		err = put(b, f, flags, 4);
	return err ? err : put_word(b, f, 1);
}

struct sizes {
	unsigned ehdr, phdr, shdr;
};

static struct sizes elf_sizes(struct bytes_fmt f)
{
	return f.word == 8 ? (struct sizes){ 64, 56, 64 } : (struct sizes){ 52, 32, 40 };
}

static struct err *add_ehdr(struct buf *b, const struct core_contents *c, uint64_t nphdrs)
{
	struct bytes_fmt f = c->arch->fmt;
	struct sizes s = elf_sizes(f);
	bool many = nphdrs >= PN_XNUM;
	const uint8_t ident[EI_NIDENT] = { ELFMAG0,
					   ELFMAG1,
					   ELFMAG2,
					   ELFMAG3,
					   f.word == 8 ? ELFCLASS64 : ELFCLASS32,
					   f.big ? ELFDATA2MSB : ELFDATA2LSB,
					   EV_CURRENT };
	const struct {
		uint64_t v;
		unsigned size;
	} fields[] = {
		{ ET_CORE, 2 },
		{ c->arch->elf_machine, 2 },
		{ EV_CURRENT, 4 },
		{ 0, f.word },
		{ s.ehdr + (many ? s.shdr : 0), f.word },
		{ many ? s.ehdr : 0, f.word },
		{ 0, 4 },
		{ s.ehdr, 2 },
		{ s.phdr, 2 },
		{ many ? PN_XNUM : nphdrs, 2 },
		{ many ? s.shdr : 0, 2 },
		{ many, 2 },
		{ 0, 2 },
	};
	struct err *err = buf_add(b, ident, sizeof(ident));

	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields) && !err; i++)
		err = put(b, f, fields[i].v, fields[i].size);
	if (err || !many)
		return err;
	/* Section 0: all zero but sh_info. */
	err = put_zeros(b, f.word == 8 ? 44 : 28);
	if (!err)
		err = put(b, f, nphdrs, 4);
	return err ? err : put_zeros(b, s.ehdr + s.shdr - b->len);
}

static struct err *add_headers(struct buf *b, const struct core_contents *c, size_t notes_len)
{
	const struct ranges *r = c->ranges;
	struct bytes_fmt f = c->arch->fmt;
	struct sizes s = elf_sizes(f);
	uint64_t n = r->n + 1, off;
	struct err *err = add_ehdr(b, c, n);

	off = b->len + n * s.phdr;
	if (!err)
		err = add_phdr(b, f, PT_NOTE, 0, off, 0, notes_len, 0);
	off += notes_len;
	for (size_t i = 0; i < r->n && !err; i++) {
		err = add_phdr(b, f, PT_LOAD, PF_R | PF_W, off, r->v[i].addr, r->v[i].len,
			       r->v[i].len);
		off += r->v[i].len;
	}
	return err;
}

/* ------------------------------------------------------------------ the file */

struct file {
	FILE *f;
	bool seekable;
	uint64_t at, hole; /* where we are; of it: zeros not yet written */
};

static struct err *file_write(struct file *o, const uint8_t *p, size_t len)
{
	while (len) {
		size_t n = BLOCK - o->at % BLOCK < len ? BLOCK - o->at % BLOCK : len;
		bool zero = o->seekable && n == BLOCK && !p[0] && !memcmp(p, p + 1, n - 1);

		if (!zero && o->hole) {
			if (fseeko(o->f, (off_t)o->at, SEEK_SET))
				return err_os(errno, "seek");
			o->hole = 0;
		}
		if (zero)
			o->hole += n;
		else if (fwrite(p, 1, n, o->f) != n)
			return err_os(errno, "write");
		o->at += n;
		p += n;
		len -= n;
	}
	return NULL;
}

/* Zeros at the end, too, are part of the file. */
static struct err *file_end(struct file *o)
{
	if (!o->hole)
		return NULL;
	if (fflush(o->f) || ftruncate(fileno(o->f), (off_t)o->at) || fseeko(o->f, 0, SEEK_END))
		return err_os(errno, "write");
	return NULL;
}

static struct err *write_memory(struct file *o, const struct core_contents *c)
{
	_cleanup_free_ uint8_t *chunk = malloc(CHUNK);
	struct err *err = chunk ? NULL : err_nomem();

	for (size_t i = 0; i < c->ranges->n && !err; i++) {
		struct range r = c->ranges->v[i];

		while (r.len && !err) {
			uint64_t n = r.len < CHUNK ? r.len : CHUNK;

			err = intr_check();
			if (!err)
				err = image_read(c->img, r.addr, chunk, n);
			if (!err && c->filter)
				err = c->filter(c->arg, r.addr, chunk, n);
			if (!err)
				err = file_write(o, chunk, n);
			r.addr += n;
			r.len -= n;
		}
	}
	return err;
}

struct err *core_write(FILE *f, const struct core_contents *c)
{
	_cleanup_buf_ struct buf head = BUF_INIT, notes = BUF_INIT;
	struct file o = { .f = f, .seekable = ftello(f) == 0 };
	struct err *err = add_notes(&notes, c);

	if (!err)
		err = add_headers(&head, c, notes.len);
	if (!err)
		err = file_write(&o, head.data, head.len);
	if (!err)
		err = file_write(&o, notes.data, notes.len);
	if (!err)
		err = write_memory(&o, c);
	return err ? err : file_end(&o);
}
