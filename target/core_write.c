/*
 * A core file is written front to back: ELF header; program headers; notes; memory.  Where there
 * are more program headers than 16 bits count, section header 0, which follows the ELF header, has
 * their number (gABI, PN_XNUM).
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
#include "target/elf_header.h"

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
	TRY(buf_reserve(b, n));
	memset(b->data + b->len, 0, n);
	b->len += n;
	return NULL;
}

/* ------------------------------------------------------------------ notes */

static struct err *put_note(struct buf *b, struct bytes_fmt f, const char *owner, uint32_t type,
			    const struct buf *desc)
{
	size_t name = strlen(owner) + 1;

	TRY(put(b, f, name, 4));
	TRY(put(b, f, desc->len, 4));
	TRY(put(b, f, type, 4));
	TRY(buf_add(b, owner, name));
	TRY(put_zeros(b, -name & 3));
	TRY(buf_add(b, desc->data, desc->len));
	return put_zeros(b, -desc->len & 3);
}

static struct err *add_status(struct buf *b, const struct core_contents *c,
			      const struct core_regs *regs, const struct thread *th)
{
	_cleanup_buf_ struct buf d = BUF_INIT;
	const struct arch *a = c->arch;

	TRY(put_zeros(&d, prstatus_pid(a->fmt)));
	TRY(put(&d, a->fmt, th->tid, 4));
	TRY(put_zeros(&d, prstatus_reg(a->fmt) - d.len));
	for (size_t i = 0; i < regs->n; i++) {
		uint64_t v = 0;

		for (unsigned k = 0; k < a->nregs && *regs->names[i]; k++)
			if (th->have[k] && !strcmp(a->reg_names[k], regs->names[i]))
				v = th->regs[k];
		TRY(put_word(&d, a->fmt, v));
	}
	TRY(put_word(&d, a->fmt, 0)); /* pr_fpvalid */
	return put_note(b, a->fmt, "CORE", NT_PRSTATUS, &d);
}

static struct err *add_psinfo(struct buf *b, const struct core_contents *c)
{
	_cleanup_buf_ struct buf d = BUF_INIT;
	const char *base = strrchr(c->exe, '/');
	char fname[16] = "", args[80] = ""; /* as wide as struct elf_prpsinfo has them */

	strncpy(fname, base ? base + 1 : c->exe, sizeof(fname) - 1);
	strncpy(args, c->exe, sizeof(args) - 1);
	TRY(put_zeros(&d, prpsinfo_pid(c->arch->fmt, PRPSINFO_SIZE)));
	TRY(put(&d, c->arch->fmt, c->pid, 4));
	TRY(put_zeros(&d, 3 * 4)); /* pr_ppid, pr_pgrp, pr_sid */
	TRY(buf_add(&d, fname, sizeof(fname)));
	TRY(buf_add(&d, args, sizeof(args)));
	return put_note(b, c->arch->fmt, "CORE", NT_PRPSINFO, &d);
}

static struct err *add_files(struct buf *b, const struct core_contents *c)
{
	_cleanup_buf_ struct buf d = BUF_INIT;
	struct bytes_fmt f = c->arch->fmt;

	TRY(put_word(&d, f, c->nfiles));
	TRY(put_word(&d, f, BLOCK));
	for (size_t i = 0; i < c->nfiles; i++) {
		TRY(put_word(&d, f, c->files[i].start));
		TRY(put_word(&d, f, c->files[i].end));
		TRY(put_word(&d, f, c->files[i].off / BLOCK));
	}
	for (size_t i = 0; i < c->nfiles; i++)
		TRY(buf_add(&d, c->files[i].path, strlen(c->files[i].path) + 1));
	return put_note(b, f, "CORE", NT_FILE, &d);
}

static struct err *add_capture(struct buf *b, const struct core_contents *c)
{
	_cleanup_buf_ struct buf d = BUF_INIT;
	struct bytes_fmt f = c->arch->fmt;

	TRY(put(&d, f, (uint64_t)c->time_ns, 8));
	TRY(put(&d, f, (c->scrubbed ? CORE_SCRUBBED : 0) | (c->full ? CORE_FULL : 0), 8));
	TRY(put(&d, f, c->mono_ns, 8));
	return put_note(b, f, CORE_OWNER, CORE_NOTE_CAPTURE, &d);
}

/* Notes of the whole process come behind the first thread's (fs/binfmt_elf.c). */
static struct err *add_notes(struct buf *b, const struct core_contents *c)
{
	const struct core_regs *regs = core_regs_find(c->arch->elf_machine, c->arch->fmt);

	if (!regs)
		return err_create(ERR_UNSUPPORTED, "registers in core files of %s are not known",
				  c->arch->name);
	if (c->threads->n)
		TRY(add_status(b, c, regs, &c->threads->v[0]));
	TRY(add_psinfo(b, c));
	if (c->auxv)
		TRY(put_note(b, c->arch->fmt, "CORE", NT_AUXV, c->auxv));
	TRY(add_files(b, c));
	TRY(add_capture(b, c));
	for (size_t i = 1; i < c->threads->n; i++)
		TRY(add_status(b, c, regs, &c->threads->v[i]));
	return NULL;
}

/* ------------------------------------------------------------------ headers */

/* The fields of Elf64_Phdr and Elf32_Phdr in order; flags stand in different places. */
static struct err *add_phdr(struct buf *b, struct bytes_fmt f, const Elf64_Phdr *ph)
{
	TRY(put(b, f, ph->p_type, 4));
	if (f.word == 8)
		TRY(put(b, f, ph->p_flags, 4));
	TRY(put_word(b, f, ph->p_offset));
	TRY(put_word(b, f, ph->p_vaddr));
	TRY(put_word(b, f, ph->p_paddr));
	TRY(put_word(b, f, ph->p_filesz));
	TRY(put_word(b, f, ph->p_memsz));
	if (f.word == 4)
		TRY(put(b, f, ph->p_flags, 4));
	return put_word(b, f, ph->p_align);
}

/* Section 0 is all zeros but for sh_info. */
static struct err *add_section0(struct buf *b, struct bytes_fmt f, uint64_t nphdrs)
{
	size_t end = b->len + shdr_size(f);

	TRY(put_zeros(b,
		      f.word == 8 ? offsetof(Elf64_Shdr, sh_info) : offsetof(Elf32_Shdr, sh_info)));
	TRY(put(b, f, nphdrs, 4));
	return put_zeros(b, end - b->len);
}

static struct err *add_ehdr(struct buf *b, const struct core_contents *c, uint64_t nphdrs)
{
	struct bytes_fmt f = c->arch->fmt;
	bool many = nphdrs >= PN_XNUM;
	const uint8_t ident[EI_NIDENT] = {
		[EI_MAG0] = ELFMAG0,
		[EI_MAG1] = ELFMAG1,
		[EI_MAG2] = ELFMAG2,
		[EI_MAG3] = ELFMAG3,
		[EI_CLASS] = f.word == 8 ? ELFCLASS64 : ELFCLASS32,
		[EI_DATA] = f.big ? ELFDATA2MSB : ELFDATA2LSB,
		[EI_VERSION] = EV_CURRENT,
	};
	const struct {
		uint64_t v;
		unsigned size;
	} fields[] = {
		{ ET_CORE, 2 },                                       /* e_type */
		{ c->arch->elf_machine, 2 },                          /* e_machine */
		{ EV_CURRENT, 4 },                                    /* e_version */
		{ 0, f.word },                                        /* e_entry */
		{ ehdr_size(f) + (many ? shdr_size(f) : 0), f.word }, /* e_phoff */
		{ many ? ehdr_size(f) : 0, f.word },                  /* e_shoff */
		{ 0, 4 },                                             /* e_flags */
		{ ehdr_size(f), 2 },                                  /* e_ehsize */
		{ phdr_size(f), 2 },                                  /* e_phentsize */
		{ many ? PN_XNUM : nphdrs, 2 },                       /* e_phnum */
		{ many ? shdr_size(f) : 0, 2 },                       /* e_shentsize */
		{ many, 2 },                                          /* e_shnum */
		{ 0, 2 },                                             /* e_shstrndx */
	};

	TRY(buf_add(b, ident, sizeof(ident)));
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		TRY(put(b, f, fields[i].v, fields[i].size));
	return many ? add_section0(b, f, nphdrs) : NULL;
}

static struct err *add_headers(struct buf *b, const struct core_contents *c, size_t notes_len)
{
	const struct ranges *r = c->ranges;
	struct bytes_fmt f = c->arch->fmt;
	uint64_t n = r->n + 1, off;

	TRY(add_ehdr(b, c, n));
	off = b->len + n * phdr_size(f);
	TRY(add_phdr(
		b, f,
		&(Elf64_Phdr){
			.p_type = PT_NOTE, .p_offset = off, .p_filesz = notes_len, .p_align = 1 }));
	off += notes_len;
	for (size_t i = 0; i < r->n; i++) {
		TRY(add_phdr(b, f,
			     &(Elf64_Phdr){ .p_type = PT_LOAD,
					    .p_flags = PF_R | PF_W,
					    .p_offset = off,
					    .p_vaddr = r->v[i].addr,
					    .p_filesz = r->v[i].len,
					    .p_memsz = r->v[i].len,
					    .p_align = 1 }));
		off += r->v[i].len;
	}
	return NULL;
}

/* ------------------------------------------------------------------ the file */

struct file {
	FILE *f;
	bool seekable;
	uint64_t at;   /* bytes so far */
	uint64_t hole; /* of these, the last ones: zeros that were not written */
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

/* Zeros at the end are part of the file, too. */
static struct err *file_end(struct file *o)
{
	if (!o->hole)
		return NULL;
	if (fflush(o->f) || ftruncate(fileno(o->f), (off_t)o->at) || fseeko(o->f, 0, SEEK_END))
		return err_os(errno, "write");
	return NULL;
}

static struct err *write_range(struct file *o, const struct core_contents *c, struct range r,
			       uint8_t chunk[CHUNK])
{
	while (r.len) {
		uint64_t n = r.len < CHUNK ? r.len : CHUNK;

		TRY(intr_check());
		TRY(image_read(c->img, r.addr, chunk, n));
		if (c->filter)
			TRY(c->filter(c->arg, r.addr, chunk, n));
		TRY(file_write(o, chunk, n));
		r.addr += n;
		r.len -= n;
	}
	return NULL;
}

static struct err *write_memory(struct file *o, const struct core_contents *c)
{
	_cleanup_free_ uint8_t *chunk = malloc(CHUNK);

	if (!chunk)
		return err_nomem();
	for (size_t i = 0; i < c->ranges->n; i++)
		TRY(write_range(o, c, c->ranges->v[i], chunk));
	return NULL;
}

struct err *core_write(FILE *f, const struct core_contents *c)
{
	_cleanup_buf_ struct buf head = BUF_INIT, notes = BUF_INIT;
	struct file o = { .f = f, .seekable = ftello(f) == 0 };

	TRY(add_notes(&notes, c));
	TRY(add_headers(&head, c, notes.len));
	TRY(file_write(&o, head.data, head.len));
	TRY(file_write(&o, notes.data, notes.len));
	TRY(write_memory(&o, c));
	return file_end(&o);
}
