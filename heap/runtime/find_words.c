/*
 * The search through the words of variables: first each word by itself, then, of those that are
 * left, what they lead to, all candidates' at once.
 */
#include "base/intr.h"
#include "heap/runtime/find_int.h"

/* The words of all variables, also those without pointers to the collector (mheap_ is one). */
enum region { REGION_NOPTRDATA, REGION_DATA, REGION_BSS, REGION_NOPTRBSS, REGIONS };

static void regions(const struct proc *p, struct range out[REGIONS])
{
	const struct module *m = &p->modules.v.v[0];

	out[REGION_NOPTRDATA] = (struct range){ m->noptrdata, m->enoptrdata - m->noptrdata };
	out[REGION_DATA] = (struct range){ m->data.start, m->data.end - m->data.start };
	out[REGION_BSS] = (struct range){ m->bss.start, m->bss.end - m->bss.start };
	out[REGION_NOPTRBSS] = (struct range){ m->noptrbss, m->enoptrbss - m->noptrbss };
}

bool find_in_variables(const struct proc *p, uint64_t addr)
{
	struct range r[REGIONS];

	regions(p, r);
	for (size_t i = 0; i < REGIONS; i++)
		if (addr - r[i].addr < r[i].len)
			return true;
	return false;
}

/* Of .noptrbss only the begin is in the image (heap/capture/capture.c). */
static struct err *region_words(struct proc *p, const struct spans *s, const struct range *r,
				find_test test, struct addrs *out)
{
	for (uint64_t a = r->addr; a + 3 * p->fmt.word <= r->addr + r->len; a += p->fmt.word) {
		if (!image_ptr(p->img, a, p->fmt.word, NULL))
			break;
		TRY(intr_check());
		if (test(p, s, a))
			TRY(vec_push(out, a));
	}
	return NULL;
}

/*
 * The words of variables that start as zero are those of .bss and .noptrbss.  All that is looked
 * for is there but itabTable, which starts as &itabTableInit, in .data; in .noptrdata are a large
 * program's tables of numbers, which look like anything.
 */
struct err *find_each_word(struct proc *p, const struct spans *s, find_test test, bool initialised,
			   struct addrs *out)
{
	struct range r[REGIONS];

	regions(p, r);
	if (initialised)
		return region_words(p, s, &r[REGION_DATA], test, out);
	TRY(region_words(p, s, &r[REGION_BSS], test, out));
	return region_words(p, s, &r[REGION_NOPTRBSS], test, out);
}

struct err *find_narrow(struct proc *p, const struct spans *s, find_plan plan, find_test test,
			struct addrs *c)
{
	_cleanup_vec_ struct ranges want = VEC_INIT;
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++) {
		TRY(intr_check());
		TRY(plan(p, s, c->v[i], &want));
	}
	TRY(image_try(p->img, &want));
	for (size_t i = 0; i < c->n; i++) {
		TRY(intr_check());
		if (test(p, s, c->v[i]))
			c->v[n++] = c->v[i];
	}
	c->n = n;
	return NULL;
}

struct err *find_one(const struct addrs *c, const char *what, uint64_t *ret)
{
	if (c->n != 1)
		return err_create(ERR_NODEBUG,
				  "runtime.%s was not found without symbols (%zu candidates)", what,
				  c->n);
	*ret = c->v[0];
	return NULL;
}
