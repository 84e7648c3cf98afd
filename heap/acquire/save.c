/*
 * What was captured, as a core file: what of memory, of EXE and of the threads goes into it.  The
 * format is target/core_write.c's, what --scrub leaves out heap/acquire/scrub.c's.
 */
#include "heap/acquire/save.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "heap/acquire/scrub.h"
#include "heap/capture/captured.h"
#include "rsp/rsp.h"
#include "target/core.h"
#include "target/core_write.h"
#include "target/ranges.h"

/* ------------------------------------------------------------------ all memory */

/* Reads a line of /proc/PID/maps: "start-end perms offset dev inode path".  True for memory that
 * can be read and is no unchanged file. */
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
	char path[64], *line, *save;

	if (!rsp_features(a->rsp)->vfile || !rsp_pid(a->rsp))
		return err_create(ERR_UNSUPPORTED,
				  "--full needs the process's /proc/PID/maps, and this stub gives "
				  "no files");
	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/maps", rsp_pid(a->rsp));
	TRY(err_wrapf(rsp_file_read(a->rsp, path, LIMIT_MAPS, &text), "--full"));
	line = text.len ? strtok_r((char *)text.data, "\n", &save) : NULL;
	for (; line; line = strtok_r(NULL, "\n", &save)) {
		struct range r;

		if (map_line(line, &r))
			TRY(vec_push(ret, r));
	}
	return NULL;
}

/* *ret is NULL where nobody has it; what needed it has said so. */
static struct err *save_auxv(const struct acquire *a, const struct buf **ret)
{
	struct err *err = target_auxv_bytes(a->target, ret);

	if (err_catch(&err, ERR_NODEBUG))
		*ret = NULL;
	return err;
}

/* All memory, where more is wanted than what the analysis needs: a core of ours is copied whole,
 * unless it is meant to become small. */
static struct err *full_ranges(struct acquire *a, struct ranges *want)
{
	bool copy = a->core && core_info(a->core).ours && !core_info(a->core).full && !a->o.scrub;

	if (!a->o.full && !copy)
		return NULL;
	return a->core ? core_ranges(a->core, want) : live_ranges(a, want);
}

struct err *save_fetch(struct acquire *a)
{
	const struct ranges *peeked = target_peeked(a->target);
	_cleanup_vec_ struct ranges want = VEC_INIT;
	const struct buf *auxv;

	if (!a->o.save)
		return NULL;
	TRY(save_auxv(a, &auxv)); /* it is kept */
	for (size_t i = 0; i < peeked->n; i++)
		TRY(vec_push(&want, peeked->v[i]));
	TRY(full_ranges(a, &want));
	return image_try(a->img, &want);
}

/* ------------------------------------------------------------------ writing */

VEC_NAMED(core_files, struct core_file);

enum { PAGE = 4096 };

/* EXE as the process has it mapped. */
static struct err *exe_files(const struct acquire *a, const char *path, struct core_files *ret)
{
	const struct elf_segment *segs;
	size_t n = elf_segments(a->exe, &segs);

	for (size_t i = 0; i < n; i++) {
		uint64_t start = (segs[i].addr + a->bias) & ~(uint64_t)(PAGE - 1);
		uint64_t end = (segs[i].addr + a->bias + segs[i].filesz + PAGE - 1) &
			       ~(uint64_t)(PAGE - 1);
		uint64_t off = elf_segment_offset(a->exe, &segs[i]) & ~(uint64_t)(PAGE - 1);

		if (segs[i].filesz)
			TRY(vec_push(ret, ((struct core_file){ start, end, off, path })));
	}
	return NULL;
}

static uint64_t span_end(const struct span *s)
{
	return s->base + s->npages * GO_PAGE;
}

/* Appends [at, end) without the pointer-free spans in it; s->v[k] is the first that ends behind
 * at. */
static struct err *add_gap(const struct spans *s, size_t k, uint64_t at, uint64_t end,
			   struct ranges *ret)
{
	for (; at < end; k++) {
		bool in = k < s->n && s->v[k].base < end;
		uint64_t upto = in ? s->v[k].base : end;

		if (in && s->v[k].ptrs != SPAN_NOSCAN)
			continue;
		if (upto > at)
			TRY(vec_push(ret, ((struct range){ at, upto - at })));
		if (!in)
			break;
		if (span_end(&s->v[k]) > at)
			at = span_end(&s->v[k]);
	}
	return NULL;
}

/*
 * What lies between what was asked for came along, and may have been looked at.  Of pointer-free
 * objects, and of a scrubbed core, it stays out.
 */
static struct err *add_gaps(const struct acquire *a, struct ranges *ret)
{
	const struct spans *s = &heap_captured(a->heap)->spans;
	_cleanup_vec_ struct ranges all = VEC_INIT;

	TRY(image_fetched(a->img, &all));
	for (size_t i = 0, k = 0; i < all.n; i++) {
		while (k < s->n && span_end(&s->v[k]) <= all.v[i].addr)
			k++;
		TRY(add_gap(s, k, all.v[i].addr, all.v[i].addr + all.v[i].len, ret));
	}
	return NULL;
}

/* Appends, of what tells whether EXE is the right one, what is at hand; pieces may overlap. */
static struct err *add_samples(const struct acquire *a, struct ranges *ret)
{
	_cleanup_vec_ struct ranges samples = VEC_INIT;
	uint64_t end = 0;

	TRY(heap_samples(a->heap, &samples));
	ranges_sort(&samples);
	for (size_t i = 0; i < samples.n; i++) {
		struct range r = samples.v[i];

		if (r.addr < end) {
			uint64_t skip = end - r.addr < r.len ? end - r.addr : r.len;

			r.addr += skip;
			r.len -= skip;
		}
		if (r.addr + r.len > end)
			end = r.addr + r.len;
		if (r.len && image_ptr(a->img, r.addr, r.len, NULL))
			TRY(vec_push(ret, r));
	}
	return NULL;
}

/* What was captured, and, of EXE, what tells whether it is the right one. */
static struct err *save_ranges(const struct acquire *a, struct ranges *ret)
{
	TRY(image_remembered(a->img, ret));
	if (!a->o.scrub)
		TRY(add_gaps(a, ret));
	ranges_merge(ret, 0);
	TRY(add_samples(a, ret));
	ranges_sort(ret);
	return NULL;
}

struct err *save_write(const struct acquire *a, FILE *f)
{
	_cleanup_free_ char *path =
		a->remote_exe ? strdup(a->remote_exe) : realpath(elf_file(a->exe), NULL);
	_cleanup_(scrub_destroy) struct scrub *s = NULL;
	_cleanup_vec_ struct ranges ranges = VEC_INIT;
	_cleanup_vec_ struct core_files files = VEC_INIT;
	_cleanup_vec_ struct threads threads = VEC_INIT;
	const struct buf *auxv;

	if (!path)
		return err_nomem();
	TRY(save_auxv(a, &auxv));
	TRY(exe_files(a, path, &files));
	TRY(save_ranges(a, &ranges));
	for (size_t i = 0; i < a->threads.n; i++)
		TRY(vec_push(&threads, a->threads.v[i]));
	if (a->o.scrub) {
		TRY(scrub_create(heap_captured(a->heap), &s));
		scrub_threads(s, &threads);
	}
	return core_write(f, &(struct core_contents){ .arch = heap_machine(a->heap),
						      .threads = &threads,
						      .auxv = auxv,
						      .exe = path,
						      .pid = a->report->pid,
						      .time_ns = a->report->time_unix_ns,
						      .mono_ns = a->report->time_mono_ns,
						      .scrubbed = a->o.scrub,
						      .full = a->o.full,
						      .files = files.v,
						      .nfiles = files.n,
						      .img = a->img,
						      .ranges = &ranges,
						      .filter = a->o.scrub ? scrub_words : NULL,
						      .arg = s });
}
