/* --base, --every, --times, --limit: what they say, and whether they go together. */
#include "output/growth_options.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "target/core.h"

enum { DEFAULT_TIMES = 4 };

void growth_options_deinit(struct growth_options *g)
{
	vec_deinit(&g->bases);
	limits_deinit(&g->limits);
}

struct err *growth_parse_every(const char *s, struct growth_options *g)
{
	static const struct {
		const char *name;
		double seconds;
	} units[] = { { "", 1 },   { "s", 1 },    { "ms", 0.001 },
		      { "m", 60 }, { "min", 60 }, { "h", 3600 } };
	double v = 0;
	char *end = (char *)s;

	if ((*s >= '0' && *s <= '9') || *s == '.')
		v = strtod(s, &end);
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (end != s && !strcmp(end, units[i].name) && v * units[i].seconds >= 0.01 &&
		    v * units[i].seconds <= 30 * 86400) {
			g->every_ns = (uint64_t)(v * units[i].seconds * 1e9);
			return NULL;
		}
	}
	return err_create(ERR_USAGE, "--every %s: not a time from 10ms to 720h, as 30s or 5m", s);
}

static struct err *check_series(const struct growth_options *g, const struct acquire_options *a)
{
	if (g->times && !g->every_ns)
		return err_create(ERR_USAGE, "--times is about --every");
	if (!g->every_ns)
		return NULL;
	if (a->until)
		return err_create(ERR_USAGE, "--until and --every: one or the other");
	if (a->target && core_is_file(a->target))
		return err_create(ERR_USAGE, "--every is about a process: %s is a file", a->target);
	return NULL;
}

struct err *growth_options_check(struct growth_options *g, struct acquire_options *acquire,
				 struct analyse_options *analyse, bool save_only)
{
	struct limits_need need = limits_need(&g->limits);
	bool growth = g->bases.n || g->every_ns;

	TRY(check_series(g, acquire));
	if (g->every_ns && !g->times)
		g->times = DEFAULT_TIMES;
	if (g->bases.n + (g->every_ns ? g->times : 1) > LIMIT_CAPTURES)
		return err_create(ERR_USAGE, "more than %u captures to compare", LIMIT_CAPTURES);
	if (save_only && (growth || g->limits.v.n))
		return err_create(ERR_USAGE, "--save-only analyses nothing: not with %s",
				  g->bases.n  ? "--base" :
				  g->every_ns ? "--every" :
						"--limit");
	if (need.growth && !growth)
		return err_create(ERR_USAGE,
				  "--limit %s: growth since when?  --base or --every says so",
				  need.growth_text);
	acquire->series = g->every_ns != 0;
	acquire->outside |= need.outside || (growth && !save_only);
	analyse->goroutines |= need.goroutines || growth;
	return NULL;
}
