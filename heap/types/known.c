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
	/* [P]poolLocal, sync/pool.go */
	{ "sync.Pool", "local", { "sync.poolLocal", true, NULL } },
	{ "sync.Pool", "victim", { "sync.poolLocal", true, NULL } },
	/* sync/map.go until 1.23; an atomic.Pointer[any] from 1.20 on */
	{ "sync.entry", "p", { "interface {}", false, "$mapval" } },
	{ "arena.Arena", "a", { "runtime.userArena", false, NULL } },   /* arena/arena.go */
	{ "runtime.timeTimer", "c", { "runtime.hchan", false, NULL } }, /* chan time.Time */
	/* runtime/pprof/runtime.go */
	{ "runtime.g", "labels", { "runtime/pprof.labelMap", false, NULL } },
};

const struct known_pointer *known_field(const char *strct, const char *field)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		if (!strcmp(fields[i].strct, strct) && !strcmp(fields[i].field, field))
			return &fields[i].points;
	return NULL;
}

/* Without type arguments: "internal/sync.entry[K,V]" is internal/sync.entry. */
static bool is_type(const char *type, const char *base)
{
	size_t len = strlen(base);

	return !strncmp(type, base, len) && (!type[len] || type[len] == '[');
}

const char *known_step(const char *strct, const char *field)
{
	static const struct {
		const char *strct, *field; /* NULL: all others */
		const char *step;
	} rows[] = {
		{ "sync.Map", NULL, "" },                  /* sync/map.go, hashtriemap.go */
		{ "internal/sync.HashTrieMap", NULL, "" }, /* internal/sync/hashtriemap.go */
		{ "internal/sync.node", NULL, "" },
		{ "internal/sync.indirect", NULL, "" },
		{ "internal/sync.entry", "key", "$mapkey" },
		{ "internal/sync.entry", "value", "$mapval" },
		{ "internal/sync.entry", NULL, "" },
		{ "internal/concurrent.HashTrieMap", NULL, "" }, /* 1.23 */
		{ "internal/concurrent.node", NULL, "" },
		{ "internal/concurrent.indirect", NULL, "" },
		{ "internal/concurrent.entry", "key", "$mapkey" },
		{ "internal/concurrent.entry", "value", "$mapval" },
		{ "internal/concurrent.entry", NULL, "" },
		{ "sync.readOnly", NULL, "" }, /* sync/map.go until 1.23 */
		{ "sync.entry", NULL, "" },
		{ "sync.Pool", NULL, "" }, /* sync/pool.go, poolqueue.go */
		{ "sync.poolLocal", NULL, "" },
		{ "sync.poolLocalInternal", "private", "$elem" },
		{ "sync.poolLocalInternal", NULL, "" },
		{ "sync.poolChain", NULL, "" },
		{ "sync.poolChainElt", NULL, "" },
		{ "sync.poolDequeue", NULL, "" },
		{ "container/list.List", NULL, "" },
		{ "container/list.Element", "Value", "$elem" },
		{ "container/list.Element", NULL, "" },
		{ "container/ring.Ring", "Value", "$elem" },
		{ "container/ring.Ring", NULL, "" },
		{ "sync/atomic.Pointer", NULL, "" },
		{ "sync/atomic.Value", NULL, "" },
		{ "runtime.timer", NULL, "" }, /* runtime/time.go */
		{ "runtime.timeTimer", NULL, "" },
		{ "runtime.g", NULL, "" }, /* runtime/runtime2.go */
		{ "runtime.gobuf", NULL, "" },
		{ "runtime._defer", NULL, "" },
		{ "runtime.sudog", "elem", NULL },
		{ "runtime.sudog", "c", NULL },
		{ "runtime.sudog", NULL, "" },
		{ "context.valueCtx", "Context", "" }, /* context/context.go */
		{ "context.cancelCtx", "Context", "" },
		{ "context.timerCtx", "cancelCtx", "" },
		{ "context.afterFuncCtx", "cancelCtx", "" },
		{ "context.withoutCancelCtx", "c", "" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (is_type(strct, rows[i].strct) &&
		    (!rows[i].field || !strcmp(rows[i].field, field)))
			return rows[i].step;
	/* sync/oncefunc.go: a closure's variables, or a struct of them. */
	return !strncmp(strct, "sync.Once", 9) && strchr(strct + 9, '.') ? "" : NULL;
}

const char *known_element(const char *type)
{
	while (*type == '*')
		type++;
	if (!strcmp(type, "sync.eface")) /* sync/poolqueue.go: poolDequeue.vals */
		return "$elem";
	if (!strcmp(type, "sync.poolLocal") || !strcmp(type, "sync.entry"))
		return "";
	return NULL;
}

bool known_inside(const char *type)
{
	return !strcmp(type, "sync.readOnly"); /* until 1.19 in sync.Map.read, an atomic.Value */
}

bool known_wrapper(const char *func)
{
	return !strncmp(func, "sync.OnceValue", 14) || !strncmp(func, "sync.OnceFunc", 13);
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
