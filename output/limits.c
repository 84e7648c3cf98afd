/* One table: what a limit is called, what it is about, and how it is written. */
#include "output/limits.h"

#include <stdlib.h>
#include <string.h>

#include "output/internal.h"

enum unit { UNIT_BYTES, UNIT_RATE, UNIT_COUNT };

struct limit_kind {
	const char *name;
	enum unit unit;
	bool growth, goroutines, outside; /* what it needs */
	/* false: not known */
	bool (*value)(const struct report *r, double *ret);
};

/* ------------------------------------------------------------------ values */

static bool live(const struct report *r, double *ret)
{
	*ret = (double)r->live_bytes;
	return true;
}

static bool unreachable(const struct report *r, double *ret)
{
	*ret = (double)r->unreachable_bytes;
	return true;
}

static bool goroutines(const struct report *r, double *ret)
{
	*ret = r->goroutines;
	return true;
}

static bool leaked(const struct report *r, double *ret)
{
	*ret = (double)r->goroutines_of.leaked;
	return r->goroutines_of.grouped;
}

static bool rss(const struct report *r, double *ret)
{
	*ret = (double)r->outside.rss;
	return r->outside.known && !r->outside.core;
}

static bool outside(const struct report *r, double *ret)
{
	*ret = (double)(r->outside.c_heap + r->outside.anonymous);
	return r->outside.known && !r->outside.core;
}

static bool growth(const struct report *r, double *ret)
{
	*ret = (double)r->growth.live;
	return r->growth.made;
}

static bool growth_rate(const struct report *r, double *ret)
{
	*ret = r->growth.ns ? (double)r->growth.live * 60e9 / (double)r->growth.ns : 0;
	return r->growth.made && r->growth.ns;
}

static const struct limit_kind kinds[] = {
	{ "live", UNIT_BYTES, .value = live },
	{ "unreachable", UNIT_BYTES, .value = unreachable },
	{ "growth", UNIT_BYTES, .growth = true, .value = growth },
	{ "growth-rate", UNIT_RATE, .growth = true, .value = growth_rate },
	{ "goroutines", UNIT_COUNT, .value = goroutines },
	{ "leaked-goroutines", UNIT_COUNT, .goroutines = true, .value = leaked },
	{ "rss", UNIT_BYTES, .outside = true, .value = rss },
	{ "outside", UNIT_BYTES, .outside = true, .value = outside },
};

enum { KINDS = sizeof(kinds) / sizeof(*kinds) };

/* ------------------------------------------------------------------ what is given */

void limits_deinit(struct limits *l)
{
	vec_deinit(&l->v);
}

/* "1.5G", "10M", "4096"; *end: behind it. */
static bool parse_size(const char *s, const char **end, double *ret)
{
	static const char units[] = "KMGTP";
	const char *unit;
	char *after;

	if (!((*s >= '0' && *s <= '9') || *s == '.') || s[1] == 'x' || s[1] == 'X')
		return false;
	*ret = strtod(s, &after);
	unit = *after ? strchr(units, *after) : NULL;
	if (unit) {
		for (ptrdiff_t i = 0; i <= unit - units; i++)
			*ret *= 1024;
		after++;
		after += !strncmp(after, "iB", 2) ? 2 : 0;
	}
	after += *after == 'B';
	*end = after;
	return *ret <= 1e18;
}

/* "/min": how many minutes. */
static bool parse_per(const char *s, double *minutes)
{
	static const struct {
		const char *name;
		double minutes;
	} per[] = { { "/s", 1.0 / 60 }, { "/min", 1 },       { "/m", 1 },
		    { "/h", 60 },       { "/day", 24 * 60 }, { "/d", 24 * 60 } };

	for (size_t i = 0; i < sizeof(per) / sizeof(*per); i++) {
		if (!strcmp(s, per[i].name)) {
			*minutes = per[i].minutes;
			return true;
		}
	}
	return false;
}

static bool parse_most(const char *s, enum unit unit, double *ret)
{
	double minutes = 1;
	const char *end;

	if (unit == UNIT_COUNT && s[strspn(s, "0123456789")])
		return false;
	if (!parse_size(s, &end, ret))
		return false;
	if (unit != UNIT_RATE)
		return !*end;
	if (!parse_per(end, &minutes))
		return false;
	*ret /= minutes;
	return true;
}

static struct err *unknown(const char *text)
{
	_cleanup_buf_ struct buf names = BUF_INIT;

	for (size_t i = 0; i < KINDS; i++)
		TRY(buf_addf(&names, "%s%s", i ? ", " : "", kinds[i].name));
	return err_create(ERR_USAGE, "--limit %s: there is %s", text, (const char *)names.data);
}

struct err *limits_add(struct limits *l, const char *text)
{
	static const char *const how[] = { [UNIT_BYTES] = "a size, as 2G or 512M",
					   [UNIT_RATE] = "a rate, as 1M/min or 10M/h",
					   [UNIT_COUNT] = "a number" };
	const char *eq = strchr(text, '=');
	struct limit x = { .text = text };

	for (size_t i = 0; eq && i < KINDS; i++)
		if (strlen(kinds[i].name) == (size_t)(eq - text) &&
		    !strncmp(text, kinds[i].name, (size_t)(eq - text)))
			x.kind = &kinds[i];
	if (!x.kind)
		return unknown(text);
	if (!parse_most(eq + 1, x.kind->unit, &x.most))
		return err_create(ERR_USAGE, "--limit %s: not %s", text, how[x.kind->unit]);
	return vec_push(&l->v, x);
}

struct limits_need limits_need(const struct limits *l)
{
	struct limits_need n = { 0 };

	for (size_t i = 0; i < l->v.n; i++) {
		const struct limit_kind *k = l->v.v[i].kind;

		n.growth |= k->growth;
		n.goroutines |= k->goroutines;
		n.outside |= k->outside;
		if (k->growth)
			n.growth_text = l->v.v[i].text;
	}
	return n;
}

/* ------------------------------------------------------------------ is it exceeded? */

static void add_line(const struct limit *x, double value, FILE *f)
{
	char s[TEXT_BYTES_SIZE], n[TEXT_COUNT_SIZE];

	if (x->kind->unit == UNIT_COUNT)
		fprintf(f, "grf-rsp: --limit %s is exceeded: %s\n", x->text,
			text_count((uint64_t)value, n));
	else
		fprintf(f, "grf-rsp: --limit %s is exceeded: %s%s (%.0f bytes)\n", x->text,
			text_bytes((uint64_t)value, s), x->kind->unit == UNIT_RATE ? "/min" : "",
			value);
}

struct err *limits_check(const struct limits *l, const struct report *r, FILE *f, bool *exceeded)
{
	*exceeded = false;
	for (size_t i = 0; i < l->v.n; i++) {
		const struct limit *x = &l->v.v[i];
		double value;

		if (!x->kind->value(r, &value))
			return err_create(ERR_UNSUPPORTED, "--limit %s: that is not known here",
					  x->text);
		if (value <= x->most)
			continue;
		add_line(x, value, f);
		*exceeded = true;
	}
	return NULL;
}
