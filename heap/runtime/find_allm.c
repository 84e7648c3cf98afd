/* runtime.allm: a word that leads to an m from which alllink leads through all others. */
#include "base/intr.h"
#include "base/limits.h"
#include "heap/runtime/find_int.h"
#include "heap/runtime/ring.h"

/* Can an m or a g be at addr?  The first ones are variables, the others objects of their size. */
static bool can_be(const struct proc *p, const struct spans *s, uint64_t addr, uint64_t size)
{
	const struct span *sp;

	if (!proc_is_pointer(p, addr))
		return false;
	sp = spans_find(s, addr);
	return sp ? sp->elemsize >= size && sp->elemsize < 2 * size : find_in_variables(p, addr);
}

bool find_test_m_pointer(struct proc *p, const struct spans *s, uint64_t addr)
{
	uint64_t v;

	return proc_try_word(p, addr, &v) && can_be(p, s, v, layout_size(&p->layout, LS_m));
}

/* An m that has a g0, and leads to another m. */
bool find_test_m_links(struct proc *p, const struct spans *s, uint64_t addr)
{
	uint64_t m, g0, next;

	return proc_try_word(p, addr, &m) &&
	       proc_try_word(p, m + layout_off(&p->layout, L_m_g0), &g0) &&
	       can_be(p, s, g0, layout_size(&p->layout, LS_g)) &&
	       proc_try_word(p, m + layout_off(&p->layout, L_m_alllink), &next) &&
	       (!next || can_be(p, s, next, layout_size(&p->layout, LS_m)));
}

struct err *find_plan_m(struct proc *p, const struct spans *s, uint64_t addr, struct ranges *want)
{
	uint64_t v;

	return proc_try_word(p, addr, &v) ?
		       vec_push(want, ((struct range){ v, layout_size(&p->layout, LS_m) })) :
		       NULL;
}

struct err *find_plan_m_g0(struct proc *p, const struct spans *s, uint64_t addr,
			   struct ranges *want)
{
	uint64_t m, g0;

	if (!proc_try_word(p, addr, &m) ||
	    !proc_try_word(p, m + layout_off(&p->layout, L_m_g0), &g0))
		return NULL;
	return vec_push(want, ((struct range){ g0, layout_size(&p->layout, LS_g) }));
}

/* m.g0.m is m. */
static bool is_m(struct proc *p, uint64_t m)
{
	uint64_t g0, back;

	return proc_try_word(p, m + layout_off(&p->layout, L_m_g0), &g0) &&
	       g0 >= MIN_LEGAL_POINTER &&
	       proc_try_word(p, g0 + layout_off(&p->layout, L_g_m), &back) && back == m;
}

static bool test_m(struct proc *p, const struct spans *s, uint64_t addr)
{
	uint64_t m;

	return proc_try_word(p, addr, &m) && is_m(p, m);
}

static struct err *try_object(struct proc *p, const struct spans *s, uint64_t addr, uint64_t len)
{
	struct range r = spans_around(s, addr, len);
	struct ranges want = { &r, 1, 1 };

	return image_ptr(p->img, addr, len, NULL) ? NULL : image_try(p->img, &want);
}

/* Fetches m and its g0; false: no m is there. */
static struct err *try_m(struct proc *p, const struct spans *s, uint64_t m, bool *ret)
{
	uint64_t g0;

	TRY(try_object(p, s, m, layout_size(&p->layout, LS_m)));
	if (proc_try_word(p, m + layout_off(&p->layout, L_m_g0), &g0))
		TRY(try_object(p, s, g0, layout_size(&p->layout, LS_g)));
	*ret = is_m(p, m);
	return NULL;
}

/* Length of the alllink chain, fetched as it goes; 0: it leads out of the ms, or back.  *left: how
 * many steps may still be taken, for all candidates together. */
static struct err *chain_length(struct proc *p, const struct spans *s, uint64_t m, uint64_t *left,
				uint64_t *ret)
{
	struct ring ring = { 0 };
	uint64_t len = 0;
	bool ok;

	*ret = 0;
	for (; m; len++) {
		struct err *err = ring_check(&ring, m, "a chain of ms");

		TRY(intr_check());
		if (err_catch(&err, ERR_BADDATA))
			return NULL;
		TRY(err);
		TRY(try_m(p, s, m, &ok));
		if (!ok || len > LIMIT_MS || !*left || !--*left ||
		    !proc_try_word(p, m + layout_off(&p->layout, L_m_alllink), &m))
			return NULL;
	}
	*ret = len;
	return NULL;
}

/* allm is the head of the list of all ms: of the pointers to ms, the one with the longest way.  A
 * second pointer to the head is as good as the first. */
struct err *find_allm(struct proc *p, const struct spans *s)
{
	_cleanup_vec_ struct addrs c = VEC_INIT;
	uint64_t best = 0, left = 4 * LIMIT_MS, m, len;

	TRY(find_each_word(p, s, find_test_m_pointer, false, &c));
	TRY(find_narrow(p, s, find_plan_m, find_test_m_links, &c));
	TRY(find_narrow(p, s, find_plan_m_g0, test_m, &c));
	for (size_t i = 0; i < c.n && left; i++) {
		if (!proc_try_word(p, c.v[i], &m))
			continue;
		TRY(chain_length(p, s, m, &left, &len));
		if (len > best) {
			best = len;
			p->var.allm = c.v[i];
		}
	}
	return best ? NULL : err_create(ERR_NODEBUG, "runtime.allm was not found without symbols");
}
