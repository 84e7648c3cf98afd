/*
 * Hand-made heaps of each era with words of them wrong, one or a few at a time: a run ends with an
 * error or with a profile, never with a crash, whatever is damaged.  Under SANITIZE=address it also
 * reads nothing that is not there.
 *
 * What is damaged follows from a number.  GRF_DAMAGE_FROM and GRF_DAMAGE_COUNT choose others than
 * the few that are always tried, and GRF_DAMAGE_SHOW=1 tells what became of each.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "heap/heap.h"
#include "tests/unit/check.h"
#include "tests/unit/fakeheap.h"

static uint64_t seed;

static uint64_t next_random(void)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return seed >> 33;
}

/* A word that is somewhere, nowhere, small, or at an edge. */
static uint64_t odd_value(struct fake *f, uint64_t old)
{
	const struct fake_piece *p = &f->pieces.v[next_random() % f->pieces.n];

	switch (next_random() % 8) {
	case 0:
		return 0;
	case 1:
		return old + (next_random() % 3 - 1) * f->fmt.word;
	case 2:
		return p->addr + next_random() % p->len / 8 * 8;
	case 3:
		return p->addr + p->len - 8;
	case 4:
		return next_random() % 100;
	case 5:
		return UINT64_MAX - next_random() % 16;
	case 6:
		return old ^ 1ull << next_random() % 64;
	default:
		return next_random() << next_random() % 40;
	}
}

/* One of the words that are not zero: the number-th, or how many there are. */
static uint64_t odd_place(struct fake *f, uint64_t number, uint64_t *count)
{
	*count = 0;
	for (size_t i = 0; i < f->pieces.n; i++) {
		const struct fake_piece *p = &f->pieces.v[i];

		for (uint64_t off = 0; off + f->fmt.word <= p->len; off += f->fmt.word)
			if (bytes_word(f->fmt, p->data + off) && (*count)++ == number)
				return p->addr + off;
	}
	return 0;
}

static void damage(struct fake *f)
{
	uint64_t n, at, old;

	odd_place(f, UINT64_MAX, &n);
	at = odd_place(f, next_random() % n, &n);
	old = bytes_word(f->fmt, fake_at(f, at, f->fmt.word));
	if (next_random() % 4)
		fake_word(f, at, odd_value(f, old));
	else
		*fake_at(f, at + next_random() % f->fmt.word, 1) = (uint8_t)next_random();
}

/* Whether there is a profile in spite of it. */
static bool one(const struct fake_era *era, uint64_t n)
{
	const struct analyse_options o = { .max_depth = 100, .goroutines = true };
	struct report r = { 0 };
	struct profile p;
	struct err *err;
	struct fake f;

	seed = n;
	fake_make(&f, era);
	for (uint64_t i = 1 + next_random() % 3; i; i--)
		damage(&f);
	ok(profile_init(&p));
	err = fake_open(&f, next_random() & 1);
	if (!err)
		err = fake_analyse(&f, &o, &p, &r);
	if (getenv("GRF_DAMAGE_SHOW"))
		print_message("%s %s %lu: %s\n", era->version, era->goarch, (unsigned long)n,
			      err ? err->msg : "a profile");
	profile_deinit(&p);
	report_deinit(&r);
	fake_free(&f);
	if (!err)
		return true;
	err_destroy(err);
	return false;
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *s = getenv(name);

	return s ? strtoull(s, NULL, 10) : otherwise;
}

static void random_words(void **state)
{
	uint64_t first = number("GRF_DAMAGE_FROM", 1), n = number("GRF_DAMAGE_COUNT", 100),
		 profiles = 0;

	for (size_t e = 0; e < fake_neras; e++)
		for (uint64_t i = first; i < first + n; i++)
			profiles += one(&fake_eras[e], i);
	/* some of it shows, some does not */
	assert_in_range(profiles, n > 10, fake_neras * n - (n > 10));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
