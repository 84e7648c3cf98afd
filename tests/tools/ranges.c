/*
 * What a capture of a Go process reads: one line "ADDR LEN" (hexadecimal) for each range that is
 * asked of the stub, in that order, so that `rsp_read -b -R` can read the same with nothing else to
 * do.
 *
 *	ranges [-p PID] TARGET EXE
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/intr.h"
#include "heap/heap.h"
#include "rsp/rsp.h"
#include "target/live.h"

enum { AT_ENTRY_TYPE = 9 };

/* The process's memory, and a list of what was read. */
struct listing {
	struct mem_source source; /* first */
	struct mem_source *from;
	struct ranges ranges;
};

static struct err *listing_readv(struct mem_source *src, struct mem_range *r, size_t n)
{
	struct listing *l = (struct listing *)src;
	struct err *err = l->from->readv(l->from, r, n);

	for (size_t i = 0; i < n && !err; i++)
		if (r[i].got)
			err = vec_push(&l->ranges, ((struct range){ r[i].addr, r[i].got }));
	return err;
}

struct run {
	struct elf *exe;
	struct heap *heap;
	struct rsp *rsp;
	struct target *target;
	struct image *img;
	struct threads threads;
	struct listing listing;
};

static struct err *find_bias(struct run *r, uint64_t *bias)
{
	uint64_t entry;
	struct err *err;

	*bias = 0;
	if (!elf_is_dyn(r->exe))
		return NULL;
	err = target_auxv(r->target, AT_ENTRY_TYPE, &entry);
	if (!err)
		*bias = entry - elf_entry(r->exe);
	return err;
}

static struct err *capture(struct run *r, const char *target, const char *exe, uint64_t pid)
{
	struct rsp_options opts = { .pid = pid };
	struct unstable u;
	struct live *live;
	uint64_t bias;
	struct err *err;

	if ((err = elf_open(exe, &r->exe)) || (err = heap_create(r->exe, NULL, 0, &r->heap)) ||
	    (err = rsp_create(target, &opts, &r->rsp)) ||
	    (err = live_create(r->rsp, heap_machine(r->heap), &live)))
		return err;
	r->target = live_target(live);
	if ((err = find_bias(r, &bias)) || (err = image_create(elf_fmt(r->exe), &r->img)) ||
	    (err = heap_attach(r->heap, r->target, r->img, bias)) ||
	    (err = target_threads(r->target, &r->threads)))
		return err;
	r->listing.source.readv = listing_readv;
	r->listing.from = target_memory(r->target);
	image_set_source(r->img, &r->listing.source);
	err = heap_capture(r->heap, &r->threads, true, &u);
	return err ? err : rsp_detach(r->rsp);
}

int main(int argc, char **argv)
{
	struct run r = { 0 };
	uint64_t pid = 0;
	struct err *err;
	int opt;

	while ((opt = getopt(argc, argv, "p:")) != -1) {
		if (opt != 'p')
			return 2;
		pid = strtoull(optarg, NULL, 10);
	}
	if (argc - optind != 2) {
		fputs("usage: ranges [-p PID] TARGET EXE\n", stderr);
		return 2;
	}
	err = intr_install();
	if (!err)
		err = capture(&r, argv[optind], argv[optind + 1], pid);
	for (size_t i = 0; !err && i < r.listing.ranges.n; i++)
		printf("%" PRIx64 " %" PRIx64 "\n", r.listing.ranges.v[i].addr,
		       r.listing.ranges.v[i].len);
	if (err)
		fprintf(stderr, "ranges: %s\n", err->msg);
	target_destroy(r.target);
	rsp_destroy(r.rsp);
	heap_destroy(r.heap);
	image_destroy(r.img);
	elf_destroy(r.exe);
	vec_deinit(&r.threads);
	vec_deinit(&r.listing.ranges);
	err_destroy(err);
	return err != NULL;
}
