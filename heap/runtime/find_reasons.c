/*
 * runtime.waitReasonStrings without its symbol: an array of strings in .data whose first one is
 * empty and whose second one is known (runtime/runtime2.go, waitReasonGCAssistMarking, all of 1.17
 * to 1.27).
 */
#include <string.h>

#include "heap/runtime/find_int.h"

static bool is_reasons(struct proc *p, const struct spans *s, uint64_t addr)
{
	static const char second[] = "GC assist marking";
	uint64_t word = p->fmt.word, len, ptr;
	const uint8_t *text;

	if (!proc_try_word(p, addr + word, &len) || len ||
	    !proc_try_word(p, addr + 3 * word, &len) || len != sizeof(second) - 1 ||
	    !proc_try_word(p, addr + 2 * word, &ptr))
		return false;
	text = image_ptr(p->img, ptr, len, NULL);
	return text && !memcmp(text, second, len);
}

struct err *find_wait_reasons(struct proc *p, const struct spans *s)
{
	_cleanup_vec_ struct addrs found = VEC_INIT;

	TRY(find_each_word(p, s, is_reasons, true, &found));
	if (found.n == 1)
		p->var.waitReasons = found.v[0];
	return NULL;
}
