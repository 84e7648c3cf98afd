/* Slices of pointers to the runtime's structs: allspans, allgs, allp. */
#include "base/intr.h"
#include "base/limits.h"
#include "heap/runtime/find_int.h"

bool find_slice(const struct proc *p, uint64_t addr, struct slice *ret)
{
	return proc_try_word(p, addr, &ret->ptr) &&
	       proc_try_word(p, addr + p->fmt.word, &ret->len) &&
	       proc_try_word(p, addr + 2 * p->fmt.word, &ret->cap) &&
	       proc_is_pointer(p, ret->ptr) && ret->len && ret->len <= ret->cap &&
	       ret->cap < LIMIT_SPANS;
}

const uint8_t *find_element(const struct proc *p, uint64_t addr, uint64_t i, uint64_t size,
			    uint64_t *at)
{
	uint64_t ptr;

	if (!proc_try_word(p, addr, &ptr) || !proc_try_word(p, ptr + i * p->fmt.word, at))
		return NULL;
	return image_ptr(p->img, *at, size, NULL);
}

/* ------------------------------------------------------------------ tests and plans */

/* allspans' array is from the system, 64 KB at least (mheap.go, recordspan@go1.17-1.27). */
bool find_test_system_slice(struct proc *p, const struct spans *s, uint64_t addr)
{
	enum { ARRAY_MIN = 64 << 10, SYSTEM_PAGE = 4096 };
	struct slice x;

	return find_slice(p, addr, &x) && !(x.ptr & (SYSTEM_PAGE - 1)) &&
	       x.cap >= ARRAY_MIN / p->fmt.word && !binary_at(p, x.ptr);
}

bool find_test_heap_slice(struct proc *p, const struct spans *s, uint64_t addr)
{
	struct slice x;

	return find_slice(p, addr, &x) && spans_find(s, x.ptr);
}

bool find_test_pointers(struct proc *p, const struct spans *s, uint64_t addr)
{
	struct slice x;
	uint64_t v;

	if (!find_slice(p, addr, &x))
		return false;
	for (uint64_t i = 0; i < x.len && i < FIND_LOOK; i++)
		if (!proc_try_word(p, x.ptr + i * p->fmt.word, &v) || !proc_is_pointer(p, v))
			return false;
	return true;
}

struct err *find_plan_elements(struct proc *p, const struct spans *s, uint64_t addr,
			       struct ranges *want)
{
	struct slice x;

	if (!find_slice(p, addr, &x))
		return NULL;
	return vec_push(want, ((struct range){ x.ptr, (x.len < FIND_LOOK ? x.len : FIND_LOOK) *
							      p->fmt.word }));
}

struct err *find_plan_pointees(const struct proc *p, uint64_t addr, uint64_t size,
			       struct ranges *want)
{
	struct slice x;
	uint64_t v;

	if (!find_slice(p, addr, &x))
		return NULL;
	for (uint64_t i = 0; i < x.len && i < FIND_LOOK; i++)
		if (proc_try_word(p, x.ptr + i * p->fmt.word, &v))
			TRY(vec_push(want, ((struct range){ v, size })));
	return NULL;
}

/* ------------------------------------------------------------------ the widest */

static bool test_slice(struct proc *p, const struct spans *s, uint64_t addr)
{
	struct slice x;

	return find_slice(p, addr, &x);
}

static struct err *plan_all_elements(struct proc *p, const struct spans *s, uint64_t addr,
				     struct ranges *want)
{
	struct slice x;

	return find_slice(p, addr, &x) ?
		       vec_push(want, ((struct range){ x.ptr, x.len * p->fmt.word })) :
		       NULL;
}

static bool slice_has(const struct proc *p, uint64_t addr, uint64_t elem)
{
	struct slice x;
	uint64_t v;

	if (!find_slice(p, addr, &x))
		return false;
	for (uint64_t i = 0; i < x.len && !intr_signal(); i++)
		if (proc_try_word(p, x.ptr + i * p->fmt.word, &v) && v == elem)
			return true;
	return false;
}

/* Every element of `part` that was looked at is in `whole`, too. */
static bool slice_within(const struct proc *p, uint64_t part, uint64_t whole)
{
	struct slice x;
	uint64_t v;

	if (!find_slice(p, part, &x))
		return false;
	for (uint64_t i = 0; i < x.len && i < FIND_LOOK; i++)
		if (!proc_try_word(p, x.ptr + i * p->fmt.word, &v) || !slice_has(p, whole, v))
			return false;
	return true;
}

struct err *find_widest(struct proc *p, const struct spans *s, struct addrs *c, const char *what,
			uint64_t *ret)
{
	uint64_t most = 0, best = 0;
	struct slice x;

	if (c->n > 1)
		TRY(find_narrow(p, s, plan_all_elements, test_slice, c));
	for (size_t i = 0; i < c->n; i++) {
		if (!find_slice(p, c->v[i], &x) || x.len <= most)
			continue;
		most = x.len;
		best = c->v[i];
	}
	for (size_t i = 0; i < c->n; i++) {
		TRY(intr_check());
		if (c->v[i] != best && !slice_within(p, c->v[i], best))
			return find_one(c, what, ret);
	}
	if (!best)
		return find_one(c, what, ret);
	*ret = best;
	return NULL;
}
