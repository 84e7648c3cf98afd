/*
 * The .debug_* sections, each inflated at most once: libdwarf, the lists' decoder and the index all
 * read the same bytes.
 */
#ifndef GRF_TARGET_DWARF_SECTIONS_H
#define GRF_TARGET_DWARF_SECTIONS_H

#include <stdint.h>

#include "base/err.h"
#include "target/elf.h"

enum dwarf_section_id {
	/* libdwarf is shown these ... */
	DWARF_S_INFO,
	DWARF_S_ABBREV,
	DWARF_S_ADDR,
	DWARF_S_STR,
	DWARF_S_LINE_STR,
	DWARF_S_STR_OFFSETS,
	DWARF_S_SHOWN,
	/* ... and never these: version 20210528 crashes on damaged ones. */
	DWARF_S_LOC = DWARF_S_SHOWN,
	DWARF_S_RANGES,
	DWARF_S_LOCLISTS,
	DWARF_S_RNGLISTS,
	DWARF_S_COUNT
};

struct dwarf_sections;

/* Finds them; nothing is inflated yet.  e must outlive it.  ERR_NODEBUG: no .debug_info that can be
 * read, err->msg says why. */
ERR_MUST_CHECK struct err *dwarf_sections_create(struct elf *e, struct dwarf_sections **ret);
void dwarf_sections_destroy(struct dwarf_sections *s);

/* "" if there is no such section. */
const char *dwarf_section_name(const struct dwarf_sections *s, enum dwarf_section_id id);
/* The inflated size, by the headers; 0: none. */
uint64_t dwarf_section_len(const struct dwarf_sections *s, enum dwarf_section_id id);
/* Its bytes, NULL if there is none.  They live as long as s, or until dropped. */
ERR_MUST_CHECK struct err *dwarf_section_load(struct dwarf_sections *s, enum dwarf_section_id id,
					      const uint8_t **data, uint64_t *len);
/* Frees what was inflated; loading it again inflates it again. */
void dwarf_section_drop(struct dwarf_sections *s, enum dwarf_section_id id);
struct elf *dwarf_sections_elf(const struct dwarf_sections *s);

#endif
