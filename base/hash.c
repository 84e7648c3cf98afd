/*
 * Both tables probe linearly in an array whose size is a power of two, and double it when it is
 * three quarters full.  Nothing is ever deleted.
 */
#include "base/hash.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

uint64_t hash_seed;

/* Without any randomness yet, early in a machine's life, it stays 0. */
__attribute__((constructor)) static void hash_seed_init(void)
{
	if (getrandom(&hash_seed, sizeof(hash_seed), GRND_NONBLOCK) != sizeof(hash_seed))
		hash_seed = 0;
}

void map64_deinit(struct map64 *m)
{
	free(m->slots);
	*m = (struct map64)MAP64_INIT;
}

static inline size_t map64_find(const struct map64 *m, uint64_t key)
{
	size_t i = hash_key(key) & (m->cap - 1);

	while (m->slots[i].key != key && m->slots[i].key != MAP64_EMPTY)
		i = (i + 1) & (m->cap - 1);
	return i;
}

uint64_t *map64_get(const struct map64 *m, uint64_t key)
{
	size_t i;

	if (key == MAP64_EMPTY)
		return m->has_odd ? (uint64_t *)&m->odd.val : NULL;
	if (!m->cap)
		return NULL;
	i = map64_find(m, key);
	return m->slots[i].key == key ? &m->slots[i].val : NULL;
}

static struct err *map64_grow(struct map64 *m)
{
	struct map64 big = *m;

	big.cap = m->cap ? m->cap * 2 : 64;
	big.slots = malloc(big.cap * sizeof(*big.slots));
	if (!big.slots)
		return err_nomem();
	for (size_t i = 0; i < big.cap; i++)
		big.slots[i].key = MAP64_EMPTY;
	for (size_t i = 0; i < m->cap; i++)
		if (m->slots[i].key != MAP64_EMPTY)
			big.slots[map64_find(&big, m->slots[i].key)] = m->slots[i];
	free(m->slots);
	*m = big;
	return NULL;
}

struct err *map64_put(struct map64 *m, uint64_t key, uint64_t init, uint64_t **val, bool *is_new)
{
	struct map64_slot *s;
	bool fresh;

	if (key == MAP64_EMPTY) {
		s = &m->odd;
		fresh = !m->has_odd;
		m->has_odd = true;
	} else {
		if ((m->n + 1) * 4 > m->cap * 3)
			TRY(map64_grow(m));
		s = &m->slots[map64_find(m, key)];
		fresh = s->key != key;
	}
	if (is_new)
		*is_new = fresh;
	if (fresh) {
		*s = (struct map64_slot){ key, init };
		m->n++;
	}
	*val = &s->val;
	return NULL;
}

void strtab_deinit(struct strtab *t)
{
	arena_deinit(&t->arena);
	free(t->str);
	free(t->slots);
	*t = (struct strtab)STRTAB_INIT;
}

static uint32_t strtab_find(const struct strtab *t, const char *s)
{
	uint32_t i = (uint32_t)hash_name(s, strlen(s)) & (t->nslots - 1);

	while (t->slots[i] && strcmp(t->str[t->slots[i] - 1], s))
		i = (i + 1) & (t->nslots - 1);
	return i;
}

static struct err *strtab_grow(struct strtab *t)
{
	uint32_t nslots = t->nslots ? t->nslots * 2 : 64, cap = nslots / 4 * 3, i;
	const char **str = realloc(t->str, cap * sizeof(*str));
	uint32_t *slots;

	if (!str)
		return err_nomem();
	t->str = str;
	slots = calloc(nslots, sizeof(*slots));
	if (!slots)
		return err_nomem();
	free(t->slots);
	t->slots = slots;
	t->nslots = nslots;
	t->cap = cap;
	for (i = 0; i < t->n; i++)
		t->slots[strtab_find(t, t->str[i])] = i + 1;
	return NULL;
}

struct err *strtab_add(struct strtab *t, const char *s, uint32_t *id)
{
	uint32_t i;

	if (t->n == t->cap)
		TRY(strtab_grow(t));
	i = strtab_find(t, s);
	if (!t->slots[i]) {
		char *copy = arena_strdup(&t->arena, s);

		if (!copy)
			return err_nomem();
		t->str[t->n++] = copy;
		t->slots[i] = t->n;
	}
	*id = t->slots[i] - 1;
	return NULL;
}
