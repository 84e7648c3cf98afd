/*
 * --base files: one capture, and that with another one behind it.
 *
 *	how much of the input is the other file (2 bytes), changes: which number or string of the
 *	file becomes what (2 bytes each), 0xff, the file (without one: that below)
 */
#include <stdlib.h>
#include <string.h>

#include "heap/report/growth_base.h"
#include "tests/fuzz/fuzz.h"

/* What is changed where the input has no file. */
static const char whole[] =
	"{\"schema\":\"grf-rsp/1\",\"process\":{\"time\":1700000000000000000,"
	"\"build_id\":\"abc\",\"pid\":4242,\"started_ticks\":5,\"started_ns\":6,"
	"\"goroutines\":3},\"rules\":{\"fold\":\"recursion\",\"tree\":\"paths\","
	"\"stack_roots\":\"var\"},\"coverage\":{\"live_bytes\":300,\"live_objects\":3,"
	"\"unreachable_bytes\":1,\"unreachable_objects\":1},\"stop\":{"
	"\"stopped_ns\":100},\"memory\":{\"sys_bytes\":1000},\"outside\":{"
	"\"rss_bytes\":1000,\"c_heap_bytes\":1,\"anonymous_bytes\":2,"
	"\"files_bytes\":3},\"tree\":[{\"parent\":-1,\"frame\":\"main.root\","
	"\"bytes\":100,\"objects\":1},{\"parent\":0,\"frame\":\"next. (*main.node)\","
	"\"bytes\":200,\"objects\":2},{\"parent\":-1,\"frame\":\"main.b\",\"bytes\":0,"
	"\"objects\":0}],\"types\":[{\"type\":\"main.node\",\"bytes\":300,"
	"\"objects\":3}],\"goroutines\":[{\"function\":\"main.work\",\"count\":2,"
	"\"stack_bytes\":4096,\"alone_bytes\":7,\"verdict\":\"leaked\",\"created_by\":{"
	"\"function\":\"main.main\",\"file\":\"main.go\",\"line\":7},\"stack\":[{"
	"\"function\":\"main.work\",\"file\":\"main.go\",\"line\":9}]}],\"waste\":{"
	"\"slack\":[{\"path\":[\"main.root\"],\"wasted_bytes\":10}],\"maps\":[{"
	"\"path\":[\"main.root\",\"next. (*main.node)\"],\"wasted_bytes\":20}]}}";

static const char *const values[] = { "0",  "-1", "1",    "7",    "9223372036854775807",
				      "{}", "[]", "null", "true", "18446744073709551616",
				      "2",  "-7", "1e99", "\"\"", "123456789012345678" };

/* Where the n-th value behind a ':' or in an array begins, and how long it is. */
static const uint8_t *value_at(const struct fuzz_in *in, unsigned n, size_t *len)
{
	for (size_t i = 1; i < in->n; i++) {
		size_t k = i;

		if (!memchr(":[,", in->p[i - 1], 3) || memchr("{[", in->p[i], 2) || n--)
			continue;
		while (k < in->n && !memchr(",]}", in->p[k], 3))
			k++;
		*len = k - i;
		return in->p + i;
	}
	return NULL;
}

/* The file with one value changed; frees the old one. */
static struct fuzz_in changed(struct fuzz_in file, uint8_t which, uint8_t value)
{
	const char *to = values[value % (sizeof(values) / sizeof(*values))];
	size_t len, head;
	const uint8_t *at = value_at(&file, which, &len);
	uint8_t *p;

	if (!at)
		return file;
	head = (size_t)(at - file.p);
	p = malloc(file.n + strlen(to));
	if (!p)
		abort();
	memcpy(p, file.p, head);
	memcpy(p + head, to, strlen(to));
	memcpy(p + head + strlen(to), at + len, file.n - head - len);
	len = file.n - len + strlen(to);
	free((void *)file.p);
	return (struct fuzz_in){ p, len };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size }, script, first, file;
	uint16_t n = fuzz_u16(&in);
	struct growth_set s;
	char *text = fuzz_text(&in);

	script = (struct fuzz_in){ (uint8_t *)text, strlen(text) };
	first = fuzz_take(&in, n);
	if (!in.n)
		in = (struct fuzz_in){ (const uint8_t *)whole, sizeof(whole) - 1 };
	file = (struct fuzz_in){ memcpy(malloc(in.n), in.p, in.n), in.n };
	while (script.n > 1) {
		uint8_t which = fuzz_u8(&script);

		file = changed(file, which, fuzz_u8(&script));
	}
	fuzz_drop(growth_set_init(&s));
	fuzz_drop(growth_base_json(&s, fuzz_file(0, file.p, file.n), false));
	if (first.n)
		fuzz_drop(growth_base_json(&s, fuzz_file(1, first.p, first.n), true));
	fuzz_drop(growth_base_json(&s, fuzz_file(0, file.p, file.n), true));
	growth_set_deinit(&s);
	free((void *)file.p);
	free(text);
	return 0;
}
