/* --base, --every, --times: what they say, and whether they go together. */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "heap/acquire/series.h"
#include "target/core.h"

enum { DEFAULT_TIMES = 4 };

struct err *series_parse_every(const char *s, uint64_t *ret)
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
			*ret = (uint64_t)(v * units[i].seconds * 1e9);
			return NULL;
		}
	}
	return err_create(ERR_USAGE, "--every %s: not a time from 10ms to 720h, as 30s or 5m", s);
}

static struct err *check_every(const struct series_options *o, const struct acquire_options *a)
{
	if (o->times && !o->every_ns)
		return err_create(ERR_USAGE, "--times is about --every");
	if (!o->every_ns)
		return NULL;
	if (a->until)
		return err_create(ERR_USAGE, "--until and --every: one or the other");
	if (a->target && core_is_file(a->target))
		return err_create(ERR_USAGE, "--every is about a process: %s is a file", a->target);
	return NULL;
}

struct err *series_check(struct series_options *o, struct acquire_options *acquire,
			 struct analyse_options *analyse)
{
	TRY(check_every(o, acquire));
	if (o->every_ns && !o->times)
		o->times = DEFAULT_TIMES;
	if (o->nbases + (o->every_ns ? o->times : 1) > LIMIT_CAPTURES)
		return err_create(ERR_USAGE, "more than %u captures to compare", LIMIT_CAPTURES);
	o->acquire = acquire;
	o->analyse = analyse;
	acquire->series = o->every_ns != 0;
	acquire->outside |= series_wanted(o);
	analyse->goroutines |= series_wanted(o);
	return NULL;
}
