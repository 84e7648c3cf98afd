/*
 * Whether the heap changed while it was read.  A stub that holds one thread lets the others run on
 * (QEMU's user mode).  Every allocation and every sweep changes a span's head, so all of them are
 * read once more, last of all.
 */
#include "heap/capture/capture.h"

#include <stdlib.h>
#include <string.h>

/* The part of an mspan that changes: from the first of these fields to the last. */
static struct range moving_part(const struct layout *l)
{
	static const enum layout_id ids[] = { L_mspan_freeindex, L_mspan_allocCount,
					      L_mspan_sweepgen, L_mspan_state };
	uint64_t lo = UINT64_MAX, hi = 0;

	for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
		uint64_t off = layout_off(l, ids[i]), end = off + layout_size(l, ids[i]);

		lo = off < lo ? off : lo;
		hi = end > hi ? end : hi;
	}
	return (struct range){ lo, hi - lo };
}

struct err *capture_moved(const struct captured *c, struct mem_source *src, uint64_t *moved)
{
	const struct proc *p = &c->proc;
	uint64_t slice = p->var.mheap_ + layout_off(&p->layout, L_mheap_allspans), ptr, len, at;
	struct range part = moving_part(&p->layout);
	_cleanup_free_ struct mem_range *r = NULL;
	_cleanup_free_ uint8_t *now = NULL;
	uint64_t n = 0;
	uint8_t head[16];

	TRY(proc_slice(p, slice, &ptr, &len));
	r = calloc(len + 1, sizeof(*r));
	now = malloc((len + 1) * part.len);
	if (!r || !now)
		return err_nomem();
	r[0] = (struct mem_range){ slice, 2u * p->fmt.word, head, 0 };
	for (uint64_t i = 0; i < len; i++) {
		TRY(image_read_word(p->img, ptr + i * p->fmt.word, &at));
		r[i + 1] = (struct mem_range){ at + part.addr, part.len, now + i * part.len, 0 };
	}
	TRY(src->readv(src, r, len + 1));
	for (uint64_t i = 0; i <= len; i++) {
		const uint8_t *then = image_ptr(p->img, r[i].addr, r[i].len, NULL);

		n += !then || r[i].got < r[i].len || memcmp(then, r[i].dst, r[i].len);
	}
	*moved = n;
	return NULL;
}
