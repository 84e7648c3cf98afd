/* runtime.itabTable: a pointer to a hash table of itabs whose types are in a module. */
#include "base/intr.h"
#include "base/limits.h"
#include "heap/runtime/find_int.h"

enum { ITABS_MIN = 64, TABLES_MAX = 1000 }; /* entries; itabInitSize is 512 */

/* Whether addr points to {size, count uintptr; entries [size]*itab}, which is never more than three
 * quarters full (runtime/iface.go, itabAdd). */
static bool table_head(struct proc *p, uint64_t addr, uint64_t *table, uint64_t *size,
		       uint64_t *count)
{
	return proc_try_word(p, addr, table) && proc_try_word(p, *table, size) &&
	       proc_try_word(p, *table + p->fmt.word, count) && *size >= ITABS_MIN &&
	       *size <= LIMIT_ITABS && !(*size & (*size - 1)) && *count && *count <= *size / 4 * 3;
}

bool find_test_table_head(struct proc *p, const struct spans *s, uint64_t addr)
{
	uint64_t table, size, count;

	return table_head(p, addr, &table, &size, &count);
}

bool find_test_table_pointer(struct proc *p, const struct spans *s, uint64_t addr)
{
	uint64_t v;

	return proc_try_word(p, addr, &v) && proc_is_pointer(p, v) && !spans_find(s, v) &&
	       (find_in_variables(p, v) || !binary_at(p, v));
}

struct err *find_plan_table_head(struct proc *p, const struct spans *s, uint64_t addr,
				 struct ranges *want)
{
	uint64_t v;

	return proc_try_word(p, addr, &v) ? vec_push(want, ((struct range){ v, 2 * p->fmt.word })) :
					    NULL;
}

struct err *find_plan_table(struct proc *p, const struct spans *s, uint64_t addr,
			    struct ranges *want)
{
	uint64_t table, size, count;

	if (!table_head(p, addr, &table, &size, &count))
		return NULL;
	return vec_push(want, ((struct range){ table, (2 + size) * p->fmt.word }));
}

/* As many entries as it says; those at hand (the linker's) are of types in a module. */
static bool test_itab_table(struct proc *p, const struct spans *s, uint64_t addr)
{
	uint64_t table, size, count, v, type, n = 0, known = 0;

	if (!table_head(p, addr, &table, &size, &count))
		return false;
	for (uint64_t i = 0; i < size && !intr_signal(); i++) {
		if (!proc_try_word(p, table + (2 + i) * p->fmt.word, &v))
			return false;
		if (!v)
			continue;
		n++;
		if (!proc_try_word(p, v + layout_off(&p->layout, L_itab_type), &type))
			continue;
		if (!modules_have_type(&p->modules, type))
			return false;
		known++;
	}
	return known && n - count <= 1; /* one may be on its way in */
}

struct err *find_itab_table(struct proc *p, const struct spans *s)
{
	_cleanup_vec_ struct addrs c = VEC_INIT;

	p->var.itabTable = 0;
	TRY(find_each_word(p, s, find_test_table_pointer, true, &c));
	TRY(find_narrow(p, s, find_plan_table_head, find_test_table_head, &c));
	if (c.n > TABLES_MAX) /* each may be of 16 million */
		return NULL;
	TRY(find_narrow(p, s, find_plan_table, test_itab_table, &c));
	if (c.n == 1)
		p->var.itabTable = c.v[0];
	return NULL;
}
