/*
 * Labels of goroutines: g.labels is a *runtime/pprof.labelMap, which is
 *	until 1.23	map[string]string, an hmap: a word
 *	since 1.24	struct { list []struct{ key, value string } }: a slice's three words
 * Which it is shows in the slot's size.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "heap/report/goroutine_heap.h"

enum { LABELS_MAX = 64, LABEL_LEN = 256, BUCKET_SLOTS = 8, MIN_TOPHASH = 5 };

struct label { /* addresses of two string headers */
	uint64_t key, value;
};

struct labels {
	struct label v[LABELS_MAX];
	size_t n;
};

static void add_bucket(const struct proc *p, uint64_t bucket, struct labels *ret)
{
	uint64_t word = p->fmt.word, steps = 0;

	while (bucket && steps++ < LABELS_MAX) {
		const uint8_t *top = image_ptr(p->img, bucket, BUCKET_SLOTS, NULL);

		for (uint64_t i = 0; top && i < BUCKET_SLOTS; i++)
			if (top[i] >= MIN_TOPHASH && ret->n < LABELS_MAX)
				ret->v[ret->n++] =
					(struct label){ bucket + BUCKET_SLOTS + 2 * word * i,
							bucket + BUCKET_SLOTS +
								2 * word * (BUCKET_SLOTS + i) };
		if (!proc_try_word(p, bucket + BUCKET_SLOTS + 4 * word * BUCKET_SLOTS, &bucket))
			return;
	}
}

static void find_in_map(const struct proc *p, uint64_t hmap, struct labels *ret)
{
	uint64_t b, buckets, old, size = BUCKET_SLOTS + (4 * BUCKET_SLOTS + 1) * p->fmt.word;

	if (!hmap || !proc_get_try(p, hmap, L_hmap_B, &b) || b > 4 ||
	    !proc_get_try(p, hmap, L_hmap_buckets, &buckets) ||
	    !proc_get_try(p, hmap, L_hmap_oldbuckets, &old))
		return;
	for (uint64_t i = 0; buckets && i < 1ull << b; i++)
		add_bucket(p, buckets + i * size, ret);
	/* as many, or half of them, which are followed by others' */
	for (uint64_t i = 0; old && i < 1ull << b; i++)
		if (i < (1ull << b) / 2)
			add_bucket(p, old + i * size, ret);
}

static void find_labels(const struct heap *h, const struct goroutine *g, struct labels *ret)
{
	const struct proc *p = &h->proc;
	uint64_t at, ptr, len, word = p->fmt.word;
	const struct span *sp;

	ret->n = 0;
	if (g->status == G_DEAD || g->status == G_DEADEXTRA ||
	    !proc_get_try(p, g->addr, L_g_labels, &at) || !at || !proc_try_word(p, at, &ptr))
		return;
	sp = spans_find(&h->spans, at);
	if (sp && sp->elemsize <= 2 * word) {
		find_in_map(p, ptr, ret);
		return;
	}
	if (!proc_try_word(p, at + word, &len))
		return;
	for (uint64_t i = 0; i < len && ret->n < LABELS_MAX; i++)
		ret->v[ret->n++] = (struct label){ ptr + 4 * word * i, ptr + (4 * i + 2) * word };
}

static bool string_at(const struct proc *p, uint64_t at, struct range *ret)
{
	if (!proc_try_word(p, at, &ret->addr) || !proc_try_word(p, at + p->fmt.word, &ret->len))
		return false;
	if (ret->len > LABEL_LEN)
		ret->len = LABEL_LEN;
	return true;
}

struct err *labels_plan(struct heap *h, struct ranges *want)
{
	struct labels l;
	struct range r;
	struct err *err = NULL;

	for (size_t i = 0; i < h->stacks.gs.n && !err; i++) {
		find_labels(h, &h->stacks.gs.v[i], &l);
		for (size_t k = 0; k < 2 * l.n && !err; k++)
			if (string_at(&h->proc, k & 1 ? l.v[k / 2].value : l.v[k / 2].key, &r) &&
			    r.len)
				err = vec_push(want, r);
	}
	return err;
}

static int text_cmp(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct err *labels_read(const struct heap *h, const struct goroutine *g, struct arena *arena,
			const char **ret)
{
	const struct proc *p = &h->proc;
	const char *text[LABELS_MAX];
	struct labels l;
	size_t n = 0;

	*ret = NULL;
	find_labels(h, g, &l);
	for (size_t i = 0; i < l.n; i++) {
		struct range k, v;
		const uint8_t *kp, *vp;

		if (!string_at(p, l.v[i].key, &k) || !string_at(p, l.v[i].value, &v))
			continue;
		kp = k.len ? image_ptr(p->img, k.addr, k.len, NULL) : (const uint8_t *)"";
		vp = v.len ? image_ptr(p->img, v.addr, v.len, NULL) : (const uint8_t *)"";
		if (!kp || !vp)
			continue;
		text[n] = arena_printf(arena, "%.*s=%.*s", (int)k.len, (const char *)kp, (int)v.len,
				       (const char *)vp);
		if (!text[n++])
			return err_nomem();
	}
	if (n)
		qsort(text, n, sizeof(*text), text_cmp);
	for (size_t i = 0; i < n; i++) {
		*ret = *ret ? arena_printf(arena, "%s\n%s", *ret, text[i]) : text[i];
		if (!*ret)
			return err_nomem();
	}
	return NULL;
}
