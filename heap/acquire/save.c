#include "heap/acquire/save.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "heap/heap_int.h"
#include "heap/acquire/scrub.h"
#include "rsp/rsp.h"
#include "target/core.h"
#include "target/core_write.h"
#include "target/ranges.h"

/* ------------------------------------------------------------------ all memory */

/* A line of /proc/PID/maps: "start-end perms offset dev inode path".  What can be read and is no
 * unchanged file. */
static bool map_line(const char *line, struct range *ret)
{
	uint64_t start, end;
	char perms[5], path[16] = "";

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %*s %15s", &start, &end, perms,
		   path) < 3 ||
	    end <= start)
		return false;
	*ret = (struct range){ start, end - start };
	return perms[0] == 'r' && (perms[1] == 'w' || !*path) && strncmp(path, "[vv", 3) &&
	       strncmp(path, "[vs", 3);
}

static struct err *live_ranges(struct acquire *a, struct ranges *ret)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct err *err;
	char path[64], *line, *save;

	if (!rsp_features(a->rsp)->vfile || !rsp_pid(a->rsp))
		return err_create(
			ERR_UNSUPPORTED,
			"--full needs the process's /proc/PID/maps, and this stub gives no files");
	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/maps", rsp_pid(a->rsp));
	err = rsp_file_read(a->rsp, path, LIMIT_MAPS, &text);
	if (err)
		return err_wrapf(err, "--full");
	line = text.len ? strtok_r((char *)text.data, "\n", &save) : NULL;
	for (; line && !err; line = strtok_r(NULL, "\n", &save)) {
		struct range r;

		if (map_line(line, &r))
			err = vec_push(ret, r);
	}
	return err;
}

/* NULL: nobody has it; what needed it has said so. */
static struct err *save_auxv(const struct acquire *a, const struct buf **ret)
{
	struct err *err = target_auxv_bytes(a->target, ret);

	if (!err_is(err, ERR_NODEBUG))
		return err;
	*ret = NULL;
	err_destroy(err);
	return NULL;
}

struct err *save_fetch(struct acquire *a)
{
	const struct ranges *peeked = target_peeked(a->target);
	struct ranges want = VEC_INIT;
	const struct buf *auxv;
	struct err *err;

	if (!a->o.save)
		return NULL;
	err = save_auxv(a, &auxv);
	for (size_t i = 0; i < peeked->n && !err; i++)
		err = vec_push(&want, peeked->v[i]);
	/* One of ours is copied whole, unless it is meant to become small. */
	if (!err && (a->o.full || (a->core && core_info(a->core).ours && !core_info(a->core).full &&
				   !a->o.scrub)))
		err = a->core ? core_ranges(a->core, &want) : live_ranges(a, &want);
	if (!err)
		err = image_try(a->img, &want);
	vec_deinit(&want);
	return err;
}

/* ------------------------------------------------------------------ writing */

/* EXE as the process has it mapped. */
VEC_NAMED(core_files, struct core_file);

enum { PAGE = 4096 };

static struct err *exe_files(const struct acquire *a, const char *path, struct core_files *ret)
{
	const struct elf_segment *segs;
	size_t n = elf_segments(a->exe, &segs);
	struct err *err = NULL;

	for (size_t i = 0; i < n && !err; i++) {
		uint64_t start = (segs[i].addr + a->bias) & ~(uint64_t)(PAGE - 1);
		uint64_t end = (segs[i].addr + a->bias + segs[i].filesz + PAGE - 1) &
			       ~(uint64_t)(PAGE - 1);
		uint64_t off = elf_segment_offset(a->exe, &segs[i]) & ~(uint64_t)(PAGE - 1);

		if (segs[i].filesz)
			err = vec_push(ret, ((struct core_file){ start, end, off, path }));
	}
	return err;
}

/*
 * What lies between what was asked for came along, and may have been looked at.  Of pointer-free
 * objects, and of a scrubbed core, it stays out.
 */
static struct err *add_gaps(const struct acquire *a, struct ranges *ret)
{
	const struct spans *s = &a->heap->spans;
	struct ranges all = VEC_INIT;
	struct err *err = image_fetched(a->img, &all);
	size_t k = 0;

	for (size_t i = 0; i < all.n && !err; i++) {
		uint64_t at = all.v[i].addr, end = at + all.v[i].len;

		while (k < s->n && s->v[k].base + s->v[k].npages * GO_PAGE <= at)
			k++;
		for (size_t n = k; at < end && !err; n++) {
			bool in = n < s->n && s->v[n].base < end;
			uint64_t upto = in ? s->v[n].base : end;

			if (in && s->v[n].ptrs != SPAN_NOSCAN)
				continue;
			if (upto > at)
				err = vec_push(ret, ((struct range){ at, upto - at }));
			at = in && s->v[n].base + s->v[n].npages * GO_PAGE > at ?
				     s->v[n].base + s->v[n].npages * GO_PAGE :
			     in ? at :
				  end;
		}
	}
	vec_deinit(&all);
	return err;
}

/* What was captured; and, of EXE, what tells whether it is the right one. */
static struct err *save_ranges(const struct acquire *a, bool scrub, struct ranges *ret)
{
	struct ranges samples = VEC_INIT;
	struct err *err = image_remembered(a->img, ret);
	uint64_t end = 0;

	if (!err && !scrub)
		err = add_gaps(a, ret);
	ranges_merge(ret, 0);
	if (!err)
		err = heap_samples(a->heap, &samples);
	ranges_sort(&samples);
	for (size_t i = 0; i < samples.n && !err; i++) {
		struct range r = samples.v[i];

		if (r.addr < end) { /* they may overlap each other */
			uint64_t skip = end - r.addr < r.len ? end - r.addr : r.len;

			r.addr += skip;
			r.len -= skip;
		}
		if (r.addr + r.len > end)
			end = r.addr + r.len;
		if (r.len && image_ptr(a->img, r.addr, r.len, NULL))
			err = vec_push(ret, r);
	}
	vec_deinit(&samples);
	ranges_sort(ret);
	return err;
}

struct err *save_write(const struct acquire *a, FILE *f)
{
	bool scrub = a->o.scrub;
	_cleanup_free_ char *path =
		a->remote_exe ? strdup(a->remote_exe) : realpath(elf_path(a->exe), NULL);
	_cleanup_(scrub_destroy) struct scrub *s = NULL;
	struct ranges ranges = VEC_INIT;
	struct core_files files = VEC_INIT;
	struct threads threads = VEC_INIT;
	const struct buf *auxv = NULL;
	struct err *err = path ? NULL : err_nomem();

	if (!err)
		err = save_auxv(a, &auxv);
	if (!err)
		err = exe_files(a, path, &files);
	if (!err)
		err = save_ranges(a, scrub, &ranges);
	for (size_t i = 0; i < a->threads.n && !err; i++)
		err = vec_push(&threads, a->threads.v[i]);
	if (!err && scrub)
		err = scrub_create(a->heap, &s);
	if (!err && scrub)
		scrub_threads(s, &threads);
	if (!err)
		err = core_write(f, &(struct core_contents){ .arch = heap_machine(a->heap),
							     .threads = &threads,
							     .auxv = auxv,
							     .exe = path,
							     .pid = a->report->pid,
							     .time_ns = a->report->time_unix_ns,
							     .mono_ns = a->report->time_mono_ns,
							     .scrubbed = scrub,
							     .full = a->o.full,
							     .files = files.v,
							     .nfiles = files.n,
							     .img = a->img,
							     .ranges = &ranges,
							     .filter = scrub ? scrub_words : NULL,
							     .arg = s });
	vec_deinit(&threads);
	vec_deinit(&files);
	vec_deinit(&ranges);
	return err;
}
