/* A process in a whole machine, shown as a target like any other. */
#include <elf.h>
#include <stdlib.h>

#include "target/guest.h"
#include "target/target_int.h"

struct guest_target {
	struct target t; /* first */
	struct target *machine;
	struct guest *g;
};

static struct err *guest_readv(struct mem_source *src, struct mem_range *ranges, size_t n)
{
	struct mem_source *m = guest_memory(((struct guest_target *)src)->g);

	return m->readv(m, ranges, n);
}

static void guest_target_destroy(struct target *t)
{
	struct guest_target *gt = (struct guest_target *)t;

	guest_destroy(gt->g);
	target_destroy(gt->machine);
	free(gt);
}

static struct err *guest_target_threads(struct target *t, struct threads *ret)
{
	return guest_threads(((struct guest_target *)t)->g, ret);
}

static struct err *add_word(struct buf *b, struct bytes_fmt fmt, uint64_t v)
{
	uint8_t bytes[8];

	bytes_put(fmt, bytes, v, fmt.word);
	return buf_add(b, bytes, fmt.word);
}

/* The entries of the auxiliary vector that are known. */
static struct err *guest_target_auxv(struct target *t, struct buf *ret)
{
	static const uint64_t types[] = { AT_PHDR, AT_PHNUM, AT_ENTRY };
	struct guest *g = ((struct guest_target *)t)->g;

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		uint64_t v;
		struct err *err = guest_auxv(g, types[i], &v);

		if (err_catch(&err, ERR_NODEBUG))
			continue;
		TRY(err);
		TRY(add_word(ret, t->arch->fmt, types[i]));
		TRY(add_word(ret, t->arch->fmt, v));
	}
	return NULL;
}

static void guest_target_progress(void *arg, uint64_t bytes)
{
	struct target *t = arg;

	if (t->progress)
		t->progress(t->progress_arg, bytes);
}

struct err *guest_target_create(struct target *machine, struct guest *g, struct target **ret)
{
	static const struct target_ops ops = { guest_target_destroy, guest_target_threads,
					       guest_target_auxv };
	struct guest_target *gt = calloc(1, sizeof(*gt));

	if (!gt)
		return err_nomem();
	gt->t = (struct target){ .source = { guest_readv },
				 .ops = &ops,
				 .arch = target_arch(machine),
				 .auxv = BUF_INIT };
	gt->machine = machine;
	gt->g = g;
	guest_set_progress(g, guest_target_progress, gt);
	*ret = &gt->t;
	return NULL;
}
