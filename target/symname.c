/* A name without '%' is returned as it is; only others are copied. */
#include "target/symname.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

const char *symname_plain(struct arena *arena, const char *s)
{
	char *out, *o;

	if (!strchr(s, '%'))
		return s;
	out = o = arena_strdup(arena, s);
	if (!out)
		return NULL;
	for (const char *p = s; *p; p++) {
		if (*p == '%' && isxdigit((unsigned char)p[1]) && isxdigit((unsigned char)p[2])) {
			char hex[3] = { p[1], p[2], 0 };

			*o++ = (char)strtoul(hex, NULL, 16);
			p += 2;
		} else {
			*o++ = *p;
		}
	}
	*o = 0;
	return out;
}
