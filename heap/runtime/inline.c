/*
 * PCDATA_InlTreeIndex gives a pc's place in FUNCDATA_InlTree, an array of runtime.inlinedCall
 * (runtime/symtab.go, symtabinl.go).  Until 1.19 an element is {parent int16; funcID, pad uint8;
 * file, line, func, parentPc int32}, since then {funcID uint8; pad [3]uint8; nameOff, parentPc,
 * startLine int32}.
 */
#include "heap/runtime/inline.h"

#include "heap/layout/layout.h"

enum { PCDATA_INL_TREE_INDEX = 2, FUNCDATA_INL_TREE = 3, SHORT_SINCE = 20 };

const char *inline_name(const struct proc *p, const struct func *f, uint64_t pc)
{
	int32_t index = pc > f->entry ? func_pcdata(p, f, PCDATA_INL_TREE_INDEX, pc - 1) : -1;
	uint64_t tree = func_funcdata(p, f, FUNCDATA_INL_TREE), name;
	unsigned minor, newest, size = 16, off = 4;

	if (index < 0 || !tree || !layout_minor(p->version, p->arch->name, &minor, &newest))
		return NULL;
	if (minor < SHORT_SINCE) {
		size = 20;
		off = 12;
	}
	if (!proc_try_uint(p, tree + (uint64_t)index * size + off, 4, &name))
		return NULL;
	return func_name_at(f->mod, (uint32_t)name);
}
