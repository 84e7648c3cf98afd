/* What the report of other memory owns. */
#include "heap/profile/outside.h"

void outside_deinit(struct outside *o)
{
	for (size_t i = 0; i < o->absent.n; i++)
		free(o->absent.v[i].bits);
	vec_deinit(&o->absent);
	vec_deinit(&o->arenas);
	free(o->absent_root);
}
