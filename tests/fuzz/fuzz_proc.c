/*
 * The stub's files, as they are parsed: /proc/PID/{maps,smaps,status,stat,cgroup,pagemap}, cgroups,
 * containers' profiles, the list of processes.  Each file that is asked for is the next text of the
 * input (fuzz_text()); what is behind the last one is missing.
 */
#include <stdlib.h>
#include <string.h>

#include "heap/acquire/forecast.h"
#include "heap/acquire/outside.h"
#include "heap/acquire/process_name.h"
#include "heap/acquire/save.h"
#include "heap/capture/captured.h"
#include "heap/heap_int.h"
#include "rsp/rsp.h"
#include "target/cgroup.h"
#include "target/fork_room.h"
#include "target/oci_profile.h"
#include "target/precheck.h"
#include "target/process_start.h"
#include "target/reaper.h"
#include "target/seccomp.h"
#include "target/target_int.h"
#include "tests/fuzz/fuzz.h"

enum { PID = 4242 };

static struct fuzz_in texts;
static struct rsp *const stub = (struct rsp *)&texts; /* nobody looks into it */

struct err *__wrap_rsp_file_text(struct rsp *rsp, struct buf *text, bool *found, const char *fmt,
				 ...);
struct err *__wrap_rsp_file_read(struct rsp *rsp, const char *path, uint64_t limit,
				 struct buf *ret);
struct err *__wrap_rsp_file_read_at(struct rsp *rsp, const char *path, uint64_t off, uint64_t len,
				    struct buf *ret);
struct err *__wrap_rsp_xfer(struct rsp *rsp, const char *object, const char *annex,
			    struct buf *ret);
const struct rsp_features *__wrap_rsp_features(const struct rsp *rsp);
uint64_t __wrap_rsp_pid(const struct rsp *rsp);

/* The next text, appended. */
static struct err *next_text(struct buf *ret)
{
	struct err *err;
	char *s;

	if (!texts.n)
		return err_create(ERR_REMOTE, "there is no more");
	s = fuzz_text(&texts);
	err = buf_addstr(ret, s);
	free(s);
	return err;
}

struct err *__wrap_rsp_file_text(struct rsp *rsp, struct buf *text, bool *found, const char *fmt,
				 ...)
{
	buf_reset(text);
	*found = texts.n > 0;
	return *found ? next_text(text) : buf_addstr(text, "");
}

struct err *__wrap_rsp_file_read(struct rsp *rsp, const char *path, uint64_t limit, struct buf *ret)
{
	return next_text(ret);
}

struct err *__wrap_rsp_file_read_at(struct rsp *rsp, const char *path, uint64_t off, uint64_t len,
				    struct buf *ret)
{
	struct fuzz_in part = fuzz_take(&texts, len);

	return part.n ? buf_add(ret, part.p, part.n) : err_create(ERR_REMOTE, "nothing there");
}

struct err *__wrap_rsp_xfer(struct rsp *rsp, const char *object, const char *annex, struct buf *ret)
{
	return next_text(ret);
}

const struct rsp_features *__wrap_rsp_features(const struct rsp *rsp)
{
	static const struct rsp_features f = { .vfile = true, .extended = true, .no_ack = true };

	return &f;
}

uint64_t __wrap_rsp_pid(const struct rsp *rsp)
{
	return PID;
}

/* What looks at memory: two spans, so that there are arenas. */
static void memory_files(uint8_t how)
{
	static struct span spans[2] = { { .base = 0xc000000000, .npages = 1 },
					{ .base = 0xc000004000, .npages = 3 } };
	static struct report r;
	struct heap h = { .captured.spans = { .v = spans, .n = 2 } };
	struct acquire a = { .report = &r, .rsp = stub, .heap = &h };

	r = (struct report){ .outside = { 0 } };
	if (how & 1) {
		fuzz_drop(outside_look(&a));
	} else if (how & 2) {
		fuzz_drop(forecast_make(&a, stub, PID));
		forecast_choose(&a, stub);
		fuzz_drop(forecast_refuse(&a));
	} else {
		struct target t = { .auxv_read = true };

		a.target = &t;
		a.o = (struct acquire_options){ .save = true, .full = true };
		fuzz_drop(image_create((struct bytes_fmt){ 8, false }, &a.img));
		fuzz_drop(save_fetch(&a));
		image_destroy(a.img);
		buf_deinit(&t.auxv);
	}
	report_deinit(&r);
}

static void room(bool force)
{
	struct room r = { 0 };
	struct err *err = room_check(&r, stub, PID, force);

	if (!err)
		err = room_left(&r, stub);
	fuzz_drop(err);
	room_deinit(&r);
}

static void filter(bool consent)
{
	_cleanup_buf_ struct buf evidence = BUF_INIT;
	bool known;

	fuzz_drop(seccomp_check(stub, PID, consent, &known, &evidence));
}

static void profile(void)
{
	static const char *const calls[] = { "clone", "wait4", "waitid", "close_range", "exit" };
	uint64_t args[6] = { fuzz_u32(&texts), fuzz_u8(&texts), 17 };
	struct oci_profile *p = NULL;
	struct err *err = oci_profile_parse((const char *)texts.p, texts.n, &p);

	for (size_t i = 0; !err && i < sizeof(calls) / sizeof(*calls); i++)
		if ((unsigned)oci_profile_action(p, calls[i], args) > OCI_ERRNO)
			abort();
	fuzz_drop(err);
	oci_profile_destroy(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t number;
	uint8_t how;
	bool yes;

	texts = (struct fuzz_in){ data, size };
	how = fuzz_u8(&texts);
	switch (how & 15) {
	case 0:
		fuzz_drop(reaper_reaps(stub, PID, &yes));
		break;
	case 1:
		fuzz_drop(process_start(stub, PID, &number));
		break;
	case 2:
		fuzz_drop(cgroup_frozen(stub, PID, &yes));
		break;
	case 3:
		room(how & 16);
		break;
	case 4:
		filter(how & 16);
		break;
	case 5:
		fuzz_drop(precheck(stub, PID));
		break;
	case 6:
		fuzz_drop(process_name_there(stub, "zoo", &number));
		break;
	case 7:
		profile();
		break;
	default:
		memory_files(how >> 4);
	}
	return 0;
}
