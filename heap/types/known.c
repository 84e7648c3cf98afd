/*
 * Facts about the standard library's own structures, a table for each kind of fact.
 */
#include "heap/types/known.h"

#include <stddef.h>
#include <string.h>

static const struct {
	const char *strct, *field;
	struct known_pointer points;
} fields[] = {
	{ "sync.Pool", "local", { "sync.poolLocal", true } }, /* [P]poolLocal, sync/pool.go */
	{ "sync.Pool", "victim", { "sync.poolLocal", true } },
	{ "sync.entry", "p", { "interface {}", false } },         /* until 1.19, sync/map.go */
	{ "arena.Arena", "a", { "runtime.userArena", false } },   /* arena/arena.go */
	{ "runtime.timeTimer", "c", { "runtime.hchan", false } }, /* chan time.Time */
	/* runtime/pprof/runtime.go */
	{ "runtime.g", "labels", { "runtime/pprof.labelMap", false } },
};

const struct known_pointer *known_field(const char *strct, const char *field)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		if (!strcmp(fields[i].strct, strct) && !strcmp(fields[i].field, field))
			return &fields[i].points;
	return NULL;
}

const char *known_pointee(const char *type)
{
	/* runtime/time.go@1.23: newTimer returns the *time.Timer that a timeTimer begins with. */
	if (!strcmp(type, "time.Timer") || !strcmp(type, "time.Ticker"))
		return "runtime.timeTimer";
	return NULL;
}

const struct known_container *known_container(const char *type)
{
	/* timers.heap points to the timer inside a timeTimer (runtime/time.go@1.23) */
	static const struct known_container rows[] = { { "runtime.timer", "runtime.timeTimer",
							 "timer" } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (!strcmp(rows[i].inner, type))
			return &rows[i];
	return NULL;
}

bool known_interface(const char *type)
{
	static const char *const names[] = { "sync.eface", "runtime.eface",
					     "sync/atomic.efaceWords",
					     "internal/abi.EmptyInterface",
					     "reflect.emptyInterface" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(names[i], type))
			return true;
	return false;
}

const char *known_closure(const char *func, unsigned word, struct arena *arena, unsigned *off)
{
	size_t len = strlen(func);
	const char *dot, *open;

	*off = 0;
	if (!strcmp(func, "reflect.makeFuncStub")) /* reflect/makefunc.go */
		return "reflect.makeFuncImpl";
	if (!strcmp(func, "reflect.methodValueCall"))
		return "reflect.methodValue";
	/* A method value: {F uintptr; R receiver}, in pkg.T.Method-fm or pkg.(*T).Method-fm. */
	if (len < 4 || strcmp(func + len - 3, "-fm"))
		return NULL;
	for (dot = func + len; dot > func && *dot != '.';)
		dot--;
	if (dot == func)
		return NULL;
	*off = word;
	open = strstr(func, ".(*");
	if (open && dot[-1] == ')')
		return arena_printf(arena, "*%.*s.%.*s", (int)(open - func), func,
				    (int)(dot - 1 - (open + 3)), open + 3);
	return arena_strndup(arena, func, (size_t)(dot - func));
}
