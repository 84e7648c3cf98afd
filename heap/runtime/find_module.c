/*
 * runtime.firstmoduledata, in the file: a struct whose first word leads to a pclntab and whose
 * tables are that one's.
 */
#include <inttypes.h>
#include <string.h>

#include "base/intr.h"
#include "heap/runtime/find.h"

static bool elf_word(const struct proc *p, uint64_t addr, uint64_t *v)
{
	const uint8_t *b = elf_data(p->exe, addr, p->fmt.word);

	if (b)
		*v = bytes_word(p->fmt, b);
	return b;
}

/* Whether the words at addr are a moduledata whose tables are those of the pclntab it names. */
static bool is_moduledata(const struct proc *p, uint64_t addr)
{
	static const struct {
		enum layout_id table, off;
	} refs[] = {
		{ L_moduledata_funcnametab, L_pcHeader_funcnameOffset },
		{ L_moduledata_pctab, L_pcHeader_pctabOffset },
		{ L_moduledata_pclntable, L_pcHeader_pclnOffset },
	};
	const struct layout *l = &p->layout;
	uint64_t header, table, off;
	const uint8_t *b;

	if (!elf_word(p, addr + layout_off(l, L_moduledata_pcHeader), &header) ||
	    !(b = elf_data(p->exe, header, 8)) || !elf_is_pclntab(p->fmt, b))
		return false;
	for (size_t i = 0; i < sizeof(refs) / sizeof(*refs); i++)
		if (!elf_word(p, addr + layout_off(l, refs[i].table), &table) ||
		    !elf_word(p, header + layout_off(l, refs[i].off), &off) ||
		    table != header + off)
			return false;
	return true;
}

/* The link-time address of pclntab by its section; 0: the executable has none of these names. */
static uint64_t find_pclntab(const struct proc *p)
{
	static const char *const names[] = { ".gopclntab", ".data.rel.ro.gopclntab" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const struct elf_section *s = elf_section(p->exe, names[i]);
		const uint8_t *b = s && s->alloc ? elf_data(p->exe, s->addr, 8) : NULL;

		if (b && elf_is_pclntab(p->fmt, b))
			return s->addr;
	}
	return 0;
}

/*
 * How many moduledata there are in writable segments.  With a pclntab only words that are its
 * address are looked at: following each word of a large data segment would read the file from end
 * to end.
 */
static size_t scan_moduledata(const struct proc *p, uint64_t pclntab, uint64_t *ret)
{
	const uint64_t off = layout_off(&p->layout, L_moduledata_pcHeader);
	const struct elf_segment *segs;
	size_t n = elf_segments(p->exe, &segs), found = 0;

	for (size_t i = 0; i < n; i++) {
		const struct elf_segment *s = &segs[i];

		if (!s->write)
			continue;
		for (uint64_t at = 0; at + p->fmt.word <= s->filesz; at += p->fmt.word) {
			if (intr_signal())
				return 0;
			if (pclntab && bytes_word(p->fmt, s->data + at) != pclntab)
				continue;
			if (is_moduledata(p, s->addr + at - off)) {
				*ret = s->addr + at - off;
				found++;
			}
		}
	}
	return found;
}

struct err *find_moduledata(const struct proc *p, uint64_t *ret)
{
	uint64_t pclntab = find_pclntab(p);
	size_t found = pclntab ? scan_moduledata(p, pclntab, ret) : 0;

	if (!found)
		found = scan_moduledata(p, 0, ret);
	TRY(intr_check());
	if (found == 1)
		return NULL;
	return err_create(ERR_NODEBUG,
			  found ? "%s has %zu moduledata candidates" :
				  "no moduledata was found in %s (%zu candidates)",
			  elf_path(p->exe), found);
}
