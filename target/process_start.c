/* Field 22 of /proc/PID/stat (proc(5)); the second one is a name in brackets, which may hold
 * anything. */
#include "target/process_start.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "rsp/rsp.h"

struct err *process_start(struct rsp *rsp, uint64_t pid, uint64_t *ret)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	const char *s;
	bool found;

	*ret = 0;
	if (pid)
		TRY(rsp_file_text(rsp, &text, &found, "/proc/%" PRIu64 "/stat", pid));
	else
		TRY(rsp_file_text(rsp, &text, &found, "/proc/self/stat"));
	s = found ? strrchr((const char *)text.data, ')') : NULL;
	for (int field = 2; s && field < 22; field++) {
		s = strchr(s, ' ');
		s = s ? s + 1 : NULL;
	}
	*ret = s ? strtoull(s, NULL, 10) : 0;
	return NULL;
}
