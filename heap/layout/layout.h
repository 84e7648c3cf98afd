/*
 * Where the fields of the Go runtime's structures are, per release, GOARCH and experiments.  Code
 * branches on shape ("does the field exist"), never on a version number.
 *
 * The rows are generated from the toolchains' own DWARF (`make layouts` writes
 * heap/layout/layout_table.inc) and checked in, so that capture needs no DWARF and stripped
 * programs work.
 *
 * LAYOUT_FIELDS lists F(id, struct, field, required) and S(id, struct, required): names as in
 * DWARF; "a|b" are alternates (renamed structs and fields), "a.b" goes into an embedded struct;
 * S gives the struct's size.  A field that is absent has off == LAYOUT_ABSENT.
 */
#ifndef GRF_HEAP_LAYOUT_LAYOUT_H
#define GRF_HEAP_LAYOUT_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "target/dwarf.h"
#include "target/target.h"

#define LAYOUT_TYPE "internal/abi.Type|runtime._type"
#define LAYOUT_STRUCT_FIELD "internal/abi.StructField|runtime.structfield"
#define LAYOUT_SWISS_MAP_TYPE "internal/abi.MapType|internal/abi.SwissMapType"
#define LAYOUT_OLD_MAP_TYPE "internal/abi.MapType|internal/abi.OldMapType|runtime.maptype"
#define LAYOUT_MAP_TYPE \
	"internal/abi.MapType|internal/abi.SwissMapType|internal/abi.OldMapType|runtime.maptype"

/* clang-format off */
#define LAYOUT_FIELDS(F, S) \
	/* the heap */ \
	F(mheap_sweepgen, "runtime.mheap", "sweepgen", 1) \
	F(mheap_allspans, "runtime.mheap", "allspans", 1) \
	F(mheap_arenas, "runtime.mheap", "arenas", 1) \
	F(mheap_pagesInUse, "runtime.mheap", "pagesInUse", 0) \
	F(mheap_spanalloc, "runtime.mheap", "spanalloc", 0) \
	F(mheap_cachealloc, "runtime.mheap", "cachealloc", 0) \
	F(fixalloc_inuse, "runtime.fixalloc", "inuse", 0) \
	F(heapArena_bitmap, "runtime.heapArena", "bitmap|heapArenaPtrScalar.bitmap", 0) \
	F(heapArena_noMorePtrs, "runtime.heapArena", \
	  "noMorePtrs|heapArenaPtrScalar.noMorePtrs", 0) \
	F(heapArena_spans, "runtime.heapArena", "spans", 1) \
	F(heapArena_pageInUse, "runtime.heapArena", "pageInUse", 1) \
	F(heapArena_pageUseSpanInlineMarkBits, "runtime.heapArena", \
	  "pageUseSpanInlineMarkBits", 0) \
	S(heapArena, "runtime.heapArena", 1) \
	S(spanInlineMarkBits, "runtime.spanInlineMarkBits", 0) \
	F(mspan_startAddr, "runtime.mspan", "startAddr", 1) \
	F(mspan_npages, "runtime.mspan", "npages", 1) \
	F(mspan_freeindex, "runtime.mspan", "freeindex", 1) \
	F(mspan_freeIndexForScan, "runtime.mspan", "freeIndexForScan", 0) \
	F(mspan_nelems, "runtime.mspan", "nelems", 1) \
	F(mspan_allocBits, "runtime.mspan", "allocBits", 1) \
	F(mspan_gcmarkBits, "runtime.mspan", "gcmarkBits", 1) \
	F(mspan_sweepgen, "runtime.mspan", "sweepgen", 1) \
	F(mspan_allocCount, "runtime.mspan", "allocCount", 1) \
	F(mspan_spanclass, "runtime.mspan", "spanclass", 1) \
	F(mspan_state, "runtime.mspan", "state", 1) \
	F(mspan_elemsize, "runtime.mspan", "elemsize", 1) \
	F(mspan_limit, "runtime.mspan", "limit", 1) \
	F(mspan_specials, "runtime.mspan", "specials", 1) \
	F(mspan_isUserArenaChunk, "runtime.mspan", "isUserArenaChunk", 0) \
	F(mspan_largeType, "runtime.mspan", "largeType", 0) \
	S(mspan, "runtime.mspan", 1) \
	/* what the runtime counts itself: heap/report/account.c */ \
	F(mstats_heapStats, "runtime.mstats", "heapStats", 0) \
	F(mstats_heap_sys, "runtime.mstats", "heap_sys", 0) \
	F(mstats_heap_inuse, "runtime.mstats", "heap_inuse", 0) \
	F(mstats_heap_released, "runtime.mstats", "heap_released", 0) \
	F(mstats_stacks_sys, "runtime.mstats", "stacks_sys", 0) \
	F(mstats_mspan_sys, "runtime.mstats", "mspan_sys", 0) \
	F(mstats_mcache_sys, "runtime.mstats", "mcache_sys", 0) \
	F(mstats_buckhash_sys, "runtime.mstats", "buckhash_sys", 0) \
	F(mstats_gcMiscSys, "runtime.mstats", "gcMiscSys", 0) \
	F(mstats_other_sys, "runtime.mstats", "other_sys", 0) \
	F(mstats_last_gc_nanotime, "runtime.mstats", "last_gc_nanotime", 0) \
	F(gcController_heapInUse, "runtime.gcControllerState", "heapInUse", 0) \
	F(gcController_heapFree, "runtime.gcControllerState", "heapFree", 0) \
	F(gcController_heapReleased, "runtime.gcControllerState", "heapReleased", 0) \
	F(consistentHeapStats_stats, "runtime.consistentHeapStats", "stats", 0) \
	F(heapStatsDelta_inStacks, "runtime.heapStatsDelta", "inStacks", 0) \
	F(heapStatsDelta_inWorkBufs, "runtime.heapStatsDelta", "inWorkBufs", 0) \
	F(heapStatsDelta_inPtrScalarBits, "runtime.heapStatsDelta", "inPtrScalarBits", 0) \
	S(heapStatsDelta, "runtime.heapStatsDelta", 0) \
	F(schedt_lastpoll, "runtime.schedt", "lastpoll", 0) \
	/* specials */ \
	F(special_next, "runtime.special", "next", 1) \
	F(special_offset, "runtime.special", "offset", 1) \
	F(special_kind, "runtime.special", "kind", 1) \
	S(special, "runtime.special", 1) \
	F(specialfinalizer_fn, "runtime.specialfinalizer", "fn", 1) \
	F(specialfinalizer_fint, "runtime.specialfinalizer", "fint", 1) \
	F(specialfinalizer_ot, "runtime.specialfinalizer", "ot", 1) \
	F(specialWeakHandle_handle, "runtime.specialWeakHandle", "handle", 0) \
	F(specialCleanup_fn, "runtime.specialCleanup", "fn", 0) \
	F(specialCleanup_cleanup, "runtime.specialCleanup", "cleanup", 0) \
	F(cleanupFn_call, "runtime.cleanupFn", "call", 0) \
	F(cleanupFn_fn, "runtime.cleanupFn", "fn", 0) \
	F(cleanupFn_arg, "runtime.cleanupFn", "arg", 0) \
	S(cleanupFn, "runtime.cleanupFn", 0) \
	/* queued finalizers and cleanups */ \
	F(finblock_alllink, "runtime.finBlock|runtime.finblock", "alllink", 1) \
	F(finblock_cnt, "runtime.finBlock|runtime.finblock", "cnt", 1) \
	F(finblock_fin, "runtime.finBlock|runtime.finblock", "fin", 1) \
	S(finblock, "runtime.finBlock|runtime.finblock", 1) \
	F(finalizer_fn, "runtime.finalizer", "fn", 1) \
	F(finalizer_arg, "runtime.finalizer", "arg", 1) \
	F(finalizer_fint, "runtime.finalizer", "fint", 1) \
	F(finalizer_ot, "runtime.finalizer", "ot", 1) \
	S(finalizer, "runtime.finalizer", 1) \
	F(cleanupQueue_all, "runtime.cleanupQueue", "all", 0) \
	F(cleanupBlock_alllink, "runtime.cleanupBlock", "alllink|cleanupBlockHeader.alllink", 0) \
	F(cleanupBlock_n, "runtime.cleanupBlock", "n|cleanupBlockHeader.n", 0) \
	F(cleanupBlock_cleanups, "runtime.cleanupBlock", "cleanups", 0) \
	S(cleanupBlock, "runtime.cleanupBlock", 0) \
	/* goroutines and threads */ \
	F(stack_lo, "runtime.stack", "lo", 1) \
	F(stack_hi, "runtime.stack", "hi", 1) \
	F(g_stack, "runtime.g", "stack", 1) \
	F(g__panic, "runtime.g", "_panic", 1) \
	F(g__defer, "runtime.g", "_defer", 1) \
	F(g_m, "runtime.g", "m", 1) \
	F(g_sched, "runtime.g", "sched", 1) \
	F(g_syscallsp, "runtime.g", "syscallsp", 1) \
	F(g_syscallpc, "runtime.g", "syscallpc", 1) \
	F(g_syscallbp, "runtime.g", "syscallbp", 0) \
	F(g_stktopsp, "runtime.g", "stktopsp", 1) \
	F(g_atomicstatus, "runtime.g", "atomicstatus", 1) \
	F(g_goid, "runtime.g", "goid", 1) \
	F(g_waitsince, "runtime.g", "waitsince", 1) \
	F(g_waitreason, "runtime.g", "waitreason", 1) \
	F(g_asyncSafePoint, "runtime.g", "asyncSafePoint", 1) \
	F(g_gopc, "runtime.g", "gopc", 1) \
	F(g_startpc, "runtime.g", "startpc", 1) \
	F(g_waiting, "runtime.g", "waiting", 1) \
	F(g_labels, "runtime.g", "labels", 1) \
	F(g_parentGoid, "runtime.g", "parentGoid", 0) \
	F(g_xRegs, "runtime.g", "xRegs", 0) \
	S(g, "runtime.g", 1) \
	F(gobuf_sp, "runtime.gobuf", "sp", 1) \
	F(gobuf_pc, "runtime.gobuf", "pc", 1) \
	F(gobuf_g, "runtime.gobuf", "g", 1) \
	F(gobuf_ctxt, "runtime.gobuf", "ctxt", 1) \
	F(gobuf_lr, "runtime.gobuf", "lr", 1) \
	F(gobuf_bp, "runtime.gobuf", "bp", 1) \
	F(m_g0, "runtime.m", "g0", 1) \
	F(m_gsignal, "runtime.m", "gsignal", 1) \
	F(m_curg, "runtime.m", "curg", 1) \
	F(m_procid, "runtime.m", "procid", 1) \
	F(m_p, "runtime.m", "p", 1) \
	F(m_alllink, "runtime.m", "alllink", 1) \
	F(m_vdsoSP, "runtime.m", "vdsoSP", 1) \
	F(m_vdsoPC, "runtime.m", "vdsoPC", 1) \
	F(m_incgo, "runtime.m", "incgo", 1) \
	F(m_id, "runtime.m", "id", 1) \
	S(m, "runtime.m", 1) \
	F(p_id, "runtime.p", "id", 1) \
	F(p_status, "runtime.p", "status", 1) \
	F(p_m, "runtime.p", "m", 1) \
	F(p_mcache, "runtime.p", "mcache", 1) \
	F(p_timers, "runtime.p", "timers", 1) \
	F(mcache_tiny, "runtime.mcache", "tiny", 1) \
	F(mcache_tinyoffset, "runtime.mcache", "tinyoffset", 1) \
	F(mcache_alloc, "runtime.mcache", "alloc", 1) \
	S(mcache, "runtime.mcache", 1) \
	F(defer_heap, "runtime._defer", "heap", 1) \
	F(defer_sp, "runtime._defer", "sp", 1) \
	F(defer_fn, "runtime._defer", "fn", 1) \
	F(defer_link, "runtime._defer", "link", 1) \
	S(defer, "runtime._defer", 1) \
	F(panic_link, "runtime._panic", "link", 1) \
	S(panic, "runtime._panic", 1) \
	F(sudog_elem, "runtime.sudog", "elem", 1) \
	F(sudog_waitlink, "runtime.sudog", "waitlink", 1) \
	F(sudog_c, "runtime.sudog", "c", 1) \
	S(sudog, "runtime.sudog", 1) \
	F(stackObjectRecord_off, "runtime.stackObjectRecord", "off", 1) \
	F(stackObjectRecord_size, "runtime.stackObjectRecord", "size", 1) \
	F(stackObjectRecord_ptrdata, "runtime.stackObjectRecord", "ptrBytes|ptrdata|_ptrdata", 1) \
	F(stackObjectRecord_gcdataoff, "runtime.stackObjectRecord", "gcdataoff", 0) \
	F(stackObjectRecord_gcdata, "runtime.stackObjectRecord", "gcdata", 0) \
	S(stackObjectRecord, "runtime.stackObjectRecord", 1) \
	/* modules */ \
	F(moduledata_pcHeader, "runtime.moduledata", "pcHeader", 1) \
	F(moduledata_funcnametab, "runtime.moduledata", "funcnametab", 1) \
	F(moduledata_cutab, "runtime.moduledata", "cutab", 1) \
	F(moduledata_filetab, "runtime.moduledata", "filetab", 1) \
	F(moduledata_pctab, "runtime.moduledata", "pctab", 1) \
	F(moduledata_pclntable, "runtime.moduledata", "pclntable", 1) \
	F(moduledata_ftab, "runtime.moduledata", "ftab", 1) \
	F(moduledata_minpc, "runtime.moduledata", "minpc", 1) \
	F(moduledata_maxpc, "runtime.moduledata", "maxpc", 1) \
	F(moduledata_text, "runtime.moduledata", "text", 1) \
	F(moduledata_etext, "runtime.moduledata", "etext", 1) \
	F(moduledata_noptrdata, "runtime.moduledata", "noptrdata", 1) \
	F(moduledata_enoptrdata, "runtime.moduledata", "enoptrdata", 1) \
	F(moduledata_data, "runtime.moduledata", "data", 1) \
	F(moduledata_edata, "runtime.moduledata", "edata", 1) \
	F(moduledata_bss, "runtime.moduledata", "bss", 1) \
	F(moduledata_ebss, "runtime.moduledata", "ebss", 1) \
	F(moduledata_noptrbss, "runtime.moduledata", "noptrbss", 1) \
	F(moduledata_enoptrbss, "runtime.moduledata", "enoptrbss", 1) \
	F(moduledata_end, "runtime.moduledata", "end", 1) \
	F(moduledata_gcdata, "runtime.moduledata", "gcdata", 1) \
	F(moduledata_gcbss, "runtime.moduledata", "gcbss", 1) \
	F(moduledata_types, "runtime.moduledata", "types", 1) \
	F(moduledata_etypes, "runtime.moduledata", "etypes", 1) \
	F(moduledata_typedesclen, "runtime.moduledata", "typedesclen", 0) \
	F(moduledata_rodata, "runtime.moduledata", "rodata", 0) \
	F(moduledata_gofunc, "runtime.moduledata", "gofunc", 0) \
	F(moduledata_textsectmap, "runtime.moduledata", "textsectmap", 1) \
	F(moduledata_typelinks, "runtime.moduledata", "typelinks", 0) \
	F(moduledata_itablinks, "runtime.moduledata", "itablinks", 0) \
	F(moduledata_itaboffset, "runtime.moduledata", "itaboffset", 0) \
	F(moduledata_modulename, "runtime.moduledata", "modulename", 1) \
	F(moduledata_gcdatamask, "runtime.moduledata", "gcdatamask", 1) \
	F(moduledata_gcbssmask, "runtime.moduledata", "gcbssmask", 1) \
	F(moduledata_bad, "runtime.moduledata", "bad", 1) \
	F(moduledata_next, "runtime.moduledata", "next", 1) \
	S(moduledata, "runtime.moduledata", 1) \
	F(bitvector_n, "runtime.bitvector", "n", 1) \
	F(bitvector_bytedata, "runtime.bitvector", "bytedata", 1) \
	F(textsect_vaddr, "runtime.textsect", "vaddr", 1) \
	F(textsect_end, "runtime.textsect", "end", 0) \
	F(textsect_length, "runtime.textsect", "length", 0) \
	F(textsect_baseaddr, "runtime.textsect", "baseaddr", 1) \
	S(textsect, "runtime.textsect", 1) \
	F(pcHeader_minLC, "runtime.pcHeader", "minLC", 1) \
	F(pcHeader_nfunc, "runtime.pcHeader", "nfunc", 1) \
	F(pcHeader_textStart, "runtime.pcHeader", "textStart", 0) \
	F(pcHeader_funcnameOffset, "runtime.pcHeader", "funcnameOffset", 1) \
	F(pcHeader_pctabOffset, "runtime.pcHeader", "pctabOffset", 1) \
	F(pcHeader_pclnOffset, "runtime.pcHeader", "pclnOffset", 1) \
	F(func_entry, "runtime._func", "entry", 0) \
	F(func_entryOff, "runtime._func", "entryOff|entryoff", 0) \
	F(func_nameOff, "runtime._func", "nameOff|nameoff", 1) \
	F(func_args, "runtime._func", "args", 1) \
	F(func_deferreturn, "runtime._func", "deferreturn", 1) \
	F(func_pcsp, "runtime._func", "pcsp", 1) \
	F(func_npcdata, "runtime._func", "npcdata", 1) \
	F(func_funcID, "runtime._func", "funcID", 1) \
	F(func_flag, "runtime._func", "flag", 1) \
	F(func_nfuncdata, "runtime._func", "nfuncdata", 1) \
	S(func, "runtime._func", 1) \
	/* types */ \
	F(type_size, LAYOUT_TYPE, "Size_|size", 1) \
	F(type_ptrdata, LAYOUT_TYPE, "PtrBytes|ptrdata", 1) \
	F(type_tflag, LAYOUT_TYPE, "TFlag|tflag", 1) \
	F(type_kind, LAYOUT_TYPE, "Kind_|kind", 1) \
	F(type_gcdata, LAYOUT_TYPE, "GCData|gcdata", 1) \
	F(type_str, LAYOUT_TYPE, "Str|str", 1) \
	F(type_ptrToThis, LAYOUT_TYPE, "PtrToThis|ptrToThis", 1) \
	S(type, LAYOUT_TYPE, 1) \
	F(arraytype_elem, "internal/abi.ArrayType|runtime.arraytype", "Elem|elem", 1) \
	F(arraytype_len, "internal/abi.ArrayType|runtime.arraytype", "Len|len", 1) \
	F(structtype_fields, "internal/abi.StructType|runtime.structtype", "Fields|fields", 1) \
	F(structfield_name, LAYOUT_STRUCT_FIELD, "Name|name", 1) \
	F(structfield_typ, LAYOUT_STRUCT_FIELD, "Typ|typ", 1) \
	F(structfield_offset, LAYOUT_STRUCT_FIELD, "Offset|offset|offsetAnon", 1) \
	/* up to go1.18: offset<<1 | embedded */ \
	F(structfield_offsetAnon, "runtime.structfield", "offsetAnon", 0) \
	S(structfield, LAYOUT_STRUCT_FIELD, 1) \
	F(itab_type, "internal/abi.ITab|runtime.itab", "Type|_type", 1) \
	S(itab, "internal/abi.ITab|runtime.itab", 1) \
	/* maps and channels */ \
	F(maptype_key, LAYOUT_MAP_TYPE, "Key|key", 1) \
	F(maptype_elem, LAYOUT_MAP_TYPE, "Elem|elem", 1) \
	F(maptype_group, LAYOUT_SWISS_MAP_TYPE, "Group", 0) \
	F(maptype_bucket, LAYOUT_OLD_MAP_TYPE, "Bucket|bucket", 0) \
	F(maptype_flags, LAYOUT_MAP_TYPE, "Flags|flags", 1) \
	F(maptype_slotSize, LAYOUT_SWISS_MAP_TYPE, "SlotSize", 0) \
	F(maptype_elemOff, LAYOUT_SWISS_MAP_TYPE, "ElemOff", 0) \
	F(maptype_keysOff, "internal/abi.MapType", "KeysOff", 0) \
	F(maptype_keyStride, "internal/abi.MapType", "KeyStride", 0) \
	F(maptype_elemsOff, "internal/abi.MapType", "ElemsOff", 0) \
	F(maptype_elemStride, "internal/abi.MapType", "ElemStride", 0) \
	F(map_dirPtr, "internal/runtime/maps.Map", "dirPtr", 0) \
	F(map_dirLen, "internal/runtime/maps.Map", "dirLen", 0) \
	S(map, "internal/runtime/maps.Map", 0) \
	F(table_groups, "internal/runtime/maps.table", "groups", 0) \
	F(table_lengthMask, "internal/runtime/maps.groupsReference", "lengthMask", 0) \
	S(table, "internal/runtime/maps.table", 0) \
	F(hmap_B, "runtime.hmap", "B", 0) \
	F(hmap_buckets, "runtime.hmap", "buckets", 0) \
	F(hmap_oldbuckets, "runtime.hmap", "oldbuckets", 0) \
	F(hmap_extra, "runtime.hmap", "extra", 0) \
	S(hmap, "runtime.hmap", 0) \
	F(hchan_qcount, "runtime.hchan", "qcount", 1) \
	F(hchan_dataqsiz, "runtime.hchan", "dataqsiz", 1) \
	F(hchan_buf, "runtime.hchan", "buf", 1) \
	F(hchan_elemsize, "runtime.hchan", "elemsize", 1) \
	F(hchan_elemtype, "runtime.hchan", "elemtype", 1) \
	F(hchan_recvx, "runtime.hchan", "recvx", 1) \
	F(hchan_sendx, "runtime.hchan", "sendx", 1) \
	S(hchan, "runtime.hchan", 1)
/* clang-format on */

enum layout_id {
#define LAYOUT_F_(id, s, f, r) L_##id,
#define LAYOUT_S_(id, s, r) LS_##id,
	/* clang-format off */
	LAYOUT_FIELDS(LAYOUT_F_, LAYOUT_S_)
#undef LAYOUT_F_
#undef LAYOUT_S_
	LAYOUT_N
	/* clang-format on */
};

#define LAYOUT_ABSENT UINT32_MAX

/* "mheap_arenas"; "S mheap" for a struct's size. */
const char *layout_name(enum layout_id id);

struct layout_field {
	/* bytes; LAYOUT_ABSENT: this release has no such field; 0 for an S() entry that is there */
	uint32_t off;
	uint32_t size; /* bytes of the field, or of the struct for S() */
};

struct layout {
	struct layout_field f[LAYOUT_N];
};

static inline bool layout_has(const struct layout *l, enum layout_id id)
{
	return l->f[id].off != LAYOUT_ABSENT;
}

static inline uint32_t layout_off(const struct layout *l, enum layout_id id)
{
	return l->f[id].off;
}

static inline uint32_t layout_size(const struct layout *l, enum layout_id id)
{
	return l->f[id].size;
}

enum { LAYOUT_OLDEST = 17 }; /* go1.17 */

/*
 * The table's row for a release ("go1.26.8", as runtime.Version() says, experiments included:
 * "go1.25.5 X:noswissmap", "go1.26.8-X:nogreenteagc") and a GOARCH.  ERR_VERSION: none; the
 * message says what the nearest ones are.  A patch release that is not in the table takes the
 * row of the nearest patch of the same minor release, and *exact is false.
 */
ERR_MUST_CHECK struct err *layout_find(const char *version, const char *goarch, struct layout *ret,
				       bool *exact);
/* The same, and the row's name ("go1.26.8", "go1.25.5 X:noswissmap"). */
enum { LAYOUT_ROW_NAME = 160 };
ERR_MUST_CHECK struct err *layout_find_row(const char *version, const char *goarch,
					   struct layout *ret, bool *exact,
					   char name[LAYOUT_ROW_NAME]);

/* The releases in the table: go1.oldest to go1.newest.patch. */
void layout_known(unsigned *oldest, unsigned *newest, unsigned *patch);

/* The minor release that is meant; false: it cannot be told.  *newest is the table's last for this
 * GOARCH. */
bool layout_minor(const char *version, const char *goarch, unsigned *minor, unsigned *newest);

/*
 * From the program's own DWARF.  A struct that DWARF does not have at all (the linker drops types
 * that nothing uses) is as in base, or absent where base is NULL.  ERR_NODEBUG: it has no Go types;
 * ERR_VERSION names the first required field that is missing.
 */
ERR_MUST_CHECK struct err *layout_from_dwarf(struct dwarf *d, const struct layout *base,
					     struct layout *ret);

/* ERR_BADDATA names a field that lies outside of its struct, or a size that makes no sense:
 * layout_from_dwarf() gives no such layout, so that its users need not look. */
ERR_MUST_CHECK struct err *layout_check(const struct layout *l);

/* The largest size, and the largest end, that the table has anywhere for each entry. */
struct layout_extreme {
	uint64_t size, end;
	bool empty; /* somewhere its size is 0 */
};
void layout_extremes(struct layout_extreme ret[LAYOUT_N]);
/* Every layout of the table, for tests; false: there is no i-th. */
bool layout_at(int i, struct layout *ret);

/* The name of a field of the table's layout that DWARF contradicts; NULL: there is none.  A field
 * that only DWARF knows is no contradiction. */
const char *layout_contradicts(const struct layout *table, const struct layout *dwarf);

#endif
