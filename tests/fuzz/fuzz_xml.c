/*
 * rsp/target_xml: the input has up to three files, target.xml first, which may include each other.
 */
#include <stdlib.h>
#include <string.h>

#include "rsp/target_xml.h"
#include "tests/fuzz/fuzz.h"

static char *files[3];

static struct err *fetch(void *arg, const char *name, struct buf *ret)
{
	size_t i = strcmp(name, "target.xml") ? 1 + strlen(name) % 2 : 0;

	return buf_addstr(ret, files[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	struct target_xml x = { 0 };

	for (int i = 0; i < 3; i++)
		files[i] = fuzz_text(&in);
	fuzz_drop(target_xml_read(&x, fetch, NULL));
	for (size_t i = 0; i < x.regs.n; i++)
		if (!x.regs.v[i].size || strlen(x.regs.v[i].name) >= sizeof(x.regs.v[i].name))
			abort();
	target_xml_deinit(&x);
	for (int i = 0; i < 3; i++)
		free(files[i]);
	return 0;
}
