/*
 * Labels of goroutines: g.labels is a *runtime/pprof.labelMap, which is
 *
 *	until 1.23	map[string]string, an hmap: a word
 *	since 1.24	struct { list []struct{ key, value string } }: a slice's three words
 *
 * The slot's size shows which of them it is.
 */
#include "heap/runtime/labels.h"

#include <stdlib.h>
#include <string.h>

#include "base/intr.h"

enum {
	LABELS_MAX = 64,
	LABEL_LEN = 256,
	/* runtime/map.go@1.23: bucketCnt (abi.MapBucketCount) and minTopHash */
	BUCKET_SLOTS = 8,
	MIN_TOPHASH = 5,
	LABEL_MAP_B = 4, /* log2 of the buckets that LABELS_MAX labels need at most */
};

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

	if (!hmap || !proc_get_try(p, hmap, L_hmap_B, &b) || b > LABEL_MAP_B ||
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

static void find_labels(const struct proc *p, const struct spans *spans, const struct goroutine *g,
			struct labels *ret)
{
	uint64_t at, ptr, len, word = p->fmt.word;
	const struct span *sp;

	ret->n = 0;
	if (g->status == G_DEAD || g->status == G_DEADEXTRA ||
	    !proc_get_try(p, g->addr, L_g_labels, &at) || !at || !proc_try_word(p, at, &ptr))
		return;
	sp = spans_find(spans, at);
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

struct err *labels_plan(const struct proc *p, const struct spans *spans, const struct stacks *s,
			struct ranges *want)
{
	struct labels l;
	struct range r;

	for (size_t i = 0; i < s->gs.n; i++) {
		TRY(intr_check());
		find_labels(p, spans, &s->gs.v[i], &l);
		for (size_t k = 0; k < 2 * l.n; k++)
			if (string_at(p, k & 1 ? l.v[k / 2].value : l.v[k / 2].key, &r) && r.len)
				TRY(vec_push(want, r));
	}
	return NULL;
}

static int text_cmp(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Makes "key=value" of one label; *ret is NULL if one of its texts was not captured. */
static struct err *label_text(const struct proc *p, const struct label *l, struct arena *arena,
			      const char **ret)
{
	const uint8_t *key, *value;
	struct range k, v;

	*ret = NULL;
	if (!string_at(p, l->key, &k) || !string_at(p, l->value, &v))
		return NULL;
	key = k.len ? image_ptr(p->img, k.addr, k.len, NULL) : (const uint8_t *)"";
	value = v.len ? image_ptr(p->img, v.addr, v.len, NULL) : (const uint8_t *)"";
	if (!key || !value)
		return NULL;
	*ret = arena_printf(arena, "%.*s=%.*s", (int)k.len, (const char *)key, (int)v.len,
			    (const char *)value);
	return *ret ? NULL : err_nomem();
}

struct err *labels_read(const struct proc *p, const struct spans *spans, const struct goroutine *g,
			struct arena *arena, const char **ret)
{
	const char *text[LABELS_MAX];
	struct labels l;
	size_t n = 0;

	*ret = NULL;
	find_labels(p, spans, g, &l);
	for (size_t i = 0; i < l.n; i++) {
		TRY(label_text(p, &l.v[i], arena, &text[n]));
		n += text[n] != NULL;
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
