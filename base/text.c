/*
 * Fields are looked for line by line.  Nothing here allocates: the guardian uses it, too
 * (rsp/guardian.h).
 */
#include "base/text.h"

#include <stddef.h>
#include <string.h>

const char *text_field(const char *text, const char *name)
{
	size_t len = strlen(name);

	while (text && strncmp(text, name, len)) {
		text = strchr(text, '\n');
		text = text ? text + 1 : NULL;
	}
	return text ? text + len + strspn(text + len, " \t") : NULL;
}
