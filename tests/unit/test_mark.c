/*
 * A whole analysis of a hand-made heap of each era, through the functions of heap/heap.h: roots,
 * walk, marking, places, naming.  The builder knows what is live, and by which path.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "heap/heap.h"
#include "tests/unit/check.h"
#include "tests/unit/fakeheap.h"

struct run {
	struct fake f;
	struct profile p;
	struct report r;
};

static void run(struct run *x, bool symbols, unsigned max_depth)
{
	const struct analyse_options o = { .max_depth = max_depth, .goroutines = true };

	memset(&x->r, 0, sizeof(x->r));
	fake_load(&x->f, symbols);
	ok(profile_init(&x->p));
	ok(fake_analyse(&x->f, &o, &x->p, &x->r));
}

static void run_end(struct run *x)
{
	profile_deinit(&x->p);
	report_deinit(&x->r);
	fake_free(&x->f);
}

/* The node that this path leads to, frames divided by '|'; NULL: none. */
static const struct profile_node *node_at(const struct profile *p, const char *path)
{
	uint32_t parent = 0;

	while (*path) {
		size_t len = strcspn(path, "|");
		uint32_t i;

		for (i = 1; i < p->nodes.n; i++) {
			const char *frame = p->frames.str[p->nodes.v[i].frame];

			if (p->nodes.v[i].parent == parent && strlen(frame) == len &&
			    !strncmp(frame, path, len))
				break;
		}
		if (i == p->nodes.n)
			return NULL;
		parent = i;
		path += len + (path[len] == '|');
	}
	return &p->nodes.v[parent];
}

static void check_node(const struct run *x, const char *path, uint64_t objects, uint64_t bytes)
{
	const struct profile_node *n = node_at(&x->p, path);

	if (!n)
		fail_msg("%s %s has no %s", x->f.era.version, x->f.era.goarch, path);
	if (n->objects != objects || n->bytes != bytes)
		fail_msg("%s %s, %s: %lu objects, %lu bytes; expected %lu, %lu", x->f.era.version,
			 x->f.era.goarch, path, (unsigned long)n->objects, (unsigned long)n->bytes,
			 (unsigned long)objects, (unsigned long)bytes);
}

static void check_tree(const struct run *x, const char *root, const char *second)
{
	const struct fake *f = &x->f;
	uint64_t node = f->spans[FAKE_NODES].elemsize, leaf = f->spans[FAKE_LEAVES].elemsize,
		 big = f->spans[FAKE_BIG].elemsize, huge = f->spans[FAKE_HUGE].elemsize;
	char path[256];

	check_node(x, root, 1, node);
	check_node(x, second, 1, node);
	snprintf(path, sizeof(path), "%s|$sub_objects$", root);
	if (!fake_has_header(f, FAKE_BIG)) { /* nothing says what a large object is */
		check_node(x, path, 7, 2 * node + 3 * leaf + big + huge);
	} else {
		check_node(x, path, 3, node + leaf + big);
		snprintf(path, sizeof(path), "%s|$sub_objects$|leaf. (*main.big)", root);
		check_node(x, path, 1, leaf);
		snprintf(path, sizeof(path), "%s|$sub_objects$|next. (*main.big)", root);
		check_node(x, path, 1, huge);
		strcat(path, "|[0]. (main.big)|next. (*main.big)");
		check_node(x, path, 1, node);
		snprintf(path, sizeof(path),
			 "%s|$sub_objects$|next. (*main.big)|[10+]. (main.big)|leaf. (*main.big)",
			 root);
		check_node(x, path, 1, leaf);
	}
	check_node(x, "main.worker", 3, 3 * node);
	check_node(x, "main.spin", 2, 2 * node);
	/* a finalizer's object is named by the type that the finalizer takes */
	check_node(x, "runtime.SetFinalizer.obj|next. (*main.node)", 1, node);
	check_node(x, "runtime.SetFinalizer.fn", 1, leaf);
	check_node(x, "runtime.SetFinalizer.queued", 1, node);
	if (layout_has(&f->l, L_cleanupQueue_all))
		check_node(x, "runtime.AddCleanup.queued", 1, leaf);
	else
		assert_null(node_at(&x->p, "runtime.AddCleanup.queued"));
	/* gs and ps are entered last */
	check_node(x, "[goroutines]|main.worker", 1, f->spans[FAKE_GS].elemsize);
	check_node(x, "[goroutines]|main.spin", 1, f->spans[FAKE_GS].elemsize);
	check_node(x, "runtime.allp|$sub_objects$", 1, f->spans[FAKE_PS].elemsize);
	check_node(x, "runtime.mcache.tiny", 1, leaf);
}

static void check_account(const struct run *x)
{
	const struct account *a = &x->r.account;
	uint64_t objects, bytes, allocated, allocated_bytes, inuse = 0;
	bool cleanups = layout_has(&x->f.l, L_cleanupQueue_all);

	fake_live(&x->f, &objects, &bytes);
	fake_allocated(&x->f, &allocated, &allocated_bytes);
	assert_int_equal(x->r.live_objects, objects);
	assert_int_equal(x->r.live_bytes, bytes);
	assert_int_equal(x->r.allocated_objects, allocated);
	assert_int_equal(x->r.allocated_bytes, allocated_bytes);
	assert_int_equal(x->r.unreachable_objects, allocated - objects);
	assert_int_equal(x->r.unreachable_bytes, allocated_bytes - bytes);
	assert_int_equal(x->r.failed_reads, 0);
	assert_int_equal(x->r.goroutines, 2);
	assert_int_equal(x->r.goroutines_partial, 0);
	assert_int_equal(a->waiting.objects, 1);
	assert_int_equal(a->garbage.objects, cleanups ? 2 : 3);
	assert_int_equal(a->unswept.objects, 0);
	assert_int_equal(a->finalizers_queued, 1);
	assert_int_equal(a->cleanups_queued, cleanups);
	assert_int_equal(a->live[LIVE_FINALIZERS].objects, 2);
	assert_int_equal(a->live[LIVE_QUEUED].objects, cleanups ? 2 : 1);
	assert_int_equal(a->live[LIVE_GOROUTINES].objects, 7);
	assert_int_equal(a->live[LIVE_VARIABLES].objects, 9);
	assert_int_equal(a->manual, GO_PAGE);
	for (unsigned i = 0; i < FAKE_STACKS; i++)
		inuse += x->f.spans[i].npages * GO_PAGE;
	assert_int_equal(a->heap_inuse, inuse);
	assert_int_equal(a->heap_alloc, allocated_bytes);
	assert_int_equal(a->stacks[STACK_RUNNING].count, 1);
	assert_int_equal(a->stacks[STACK_WAITING].count, 1);
	assert_int_equal(a->stacks[STACK_WAITING].bytes, x->f.stack_len[0]);
}

static void each_era(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		struct run x;

		fake_make(&x.f, &fake_eras[e]);
		run(&x, true, 100);
		check_account(&x);
		check_tree(&x, "main.root", "main.second");
		run_end(&x);
	}
}

/* Without symbols the runtime's variables are found by shape, and the program's have no names. */
static void stripped(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		struct run x;

		fake_make(&x.f, &fake_eras[e]);
		run(&x, false, 100);
		check_account(&x);
		check_tree(&x, ".data+0x0", ".bss+0x0");
		run_end(&x);
	}
}

static void same_bytes(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		struct run x, y;

		fake_make(&x.f, &fake_eras[e]);
		fake_make(&y.f, &fake_eras[e]);
		run(&x, true, 100);
		run(&y, true, 100);
		assert_int_equal(x.p.nodes.n, y.p.nodes.n);
		assert_memory_equal(x.p.nodes.v, y.p.nodes.v, x.p.nodes.n * sizeof(*x.p.nodes.v));
		assert_int_equal(x.p.frames.n, y.p.frames.n);
		for (uint32_t i = 0; i < x.p.frames.n; i++)
			assert_string_equal(x.p.frames.str[i], y.p.frames.str[i]);
		run_end(&x);
		run_end(&y);
	}
}

static void depth_is_limited(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		struct run x;

		fake_make(&x.f, &fake_eras[e]);
		run(&x, true, 2);
		for (uint32_t i = 0; i < x.p.nodes.n; i++)
			assert_in_range(x.p.nodes.v[i].depth, 0, 3);
		if (fake_has_header(&x.f, FAKE_BIG))
			check_node(&x, "main.root|$sub_objects$|[deeper]", 4,
				   x.f.spans[FAKE_HUGE].elemsize + x.f.spans[FAKE_NODES].elemsize +
					   2 * x.f.spans[FAKE_LEAVES].elemsize);
		check_account(&x);
		run_end(&x);
	}
}

/* Rings, pointers to themselves, and words that only look like pointers change nothing. */
static void pointers_into_nowhere(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		struct run x;
		struct fake *f = &x.f;
		const struct fake_span *s;
		uint64_t word, two;

		fake_make(f, &fake_eras[e]);
		s = &f->spans[FAKE_NODES];
		word = f->fmt.word;
		two = 2 * word;
		fake_word(f, fake_node(f, NODE_SECOND), fake_node(f, NODE_SECOND));
		fake_word(f, fake_node(f, NODE_SECOND) + two, fake_node(f, NODE_ROOT) + two);
		fake_word(f, fake_node(f, NODE_NEXT) + two, fake_node(f, NODE_ROOT));
		fake_word(f, fake_node(f, NODE_LOCAL), fake_node(f, NODE_FREE));
		fake_word(f, fake_node(f, NODE_LOCAL) + two, f->stack[0]);
		fake_word(f, fake_node(f, NODE_ARG), s->base + s->nelems * s->elemsize);
		fake_word(f, fake_node(f, NODE_ARG) + two, f->spans[FAKE_DEAD].base);
		fake_word(f, fake_node(f, NODE_ON_STACK), 1);
		fake_word(f, fake_node(f, NODE_ON_STACK) + two, UINT64_MAX >> (64 - 8 * word));
		/* no pointer to the collector */
		fake_word(f, fake_node(f, NODE_QUEUED) + word, fake_node(f, NODE_GARBAGE));
		run(&x, true, 100);
		check_account(&x);
		run_end(&x);
	}
}

/* gs and ps belong to the last pass, whoever points to them. */
static void scheduler_comes_last(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		struct run x;

		fake_make(&x.f, &fake_eras[e]);
		fake_word(&x.f, fake_node(&x.f, NODE_ROOT), x.f.gs[0]);
		/* what it kept alive is found another way */
		fake_word(&x.f, fake_node(&x.f, NODE_SECOND), fake_node(&x.f, NODE_NEXT));
		run(&x, true, 100);
		check_node(&x, "main.root|$sub_objects$", 1, x.f.spans[FAKE_LEAVES].elemsize);
		check_node(&x, "[goroutines]|main.worker", 1, x.f.spans[FAKE_GS].elemsize);
		check_node(&x, "[goroutines]|main.spin", 1, x.f.spans[FAKE_GS].elemsize);
		check_account(&x);
		run_end(&x);
	}
}

/* In objects of unknown type an interface shows its type; a reflect.Type, of which the second word
 * is a descriptor too, is not taken for the first word of another. */
static void untyped_interfaces(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		for (int is_type = 0; is_type < 2; is_type++) {
			struct run x;
			struct fake *f = &x.f;
			uint64_t word, node;

			fake_make(f, &fake_eras[e]);
			word = f->fmt.word;
			node = f->spans[FAKE_NODES].elemsize;
			if (is_type)
				fake_word(f, fake_node(f, NODE_ROOT), f->types[FAKE_T_PNODE]);
			fake_word(f, fake_node(f, NODE_ROOT) + word, f->types[FAKE_T_NODE]);
			fake_word(f, fake_node(f, NODE_ROOT) + 2 * word,
				  fake_node(f, NODE_GARBAGE));
			fake_word(f, fake_node(f, NODE_GARBAGE), fake_node(f, NODE_LATE));
			run(&x, false, 100);
			if (is_type) {
				check_node(&x, ".data+0x0|$sub_objects$", 2, 2 * node);
				assert_null(node_at(&x.p,
						    ".data+0x0|$sub_objects$|next. (*main.node)"));
			} else {
				check_node(&x, ".data+0x0|$sub_objects$|next. (*main.node)", 1,
					   node);
			}
			run_end(&x);
		}
	}
}

/* A descriptor that cannot be read: what hangs on the object is lost, and that is counted. */
static void unreadable_types(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		uint64_t objects, bytes;
		struct run x;

		fake_make(&x.f, &fake_eras[e]);
		if (!fake_has_header(&x.f, FAKE_BIG)) {
			fake_free(&x.f);
			continue;
		}
		fake_word(&x.f, x.f.spans[FAKE_BIG].base, 0x12345678);
		run(&x, true, 100);
		fake_live(&x.f, &objects, &bytes);
		assert_int_equal(x.r.failed_reads, 1);
		/* the huge one, and what it and the big one held */
		assert_int_equal(x.r.live_objects, objects - 4);
		run_end(&x);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_era),
		cmocka_unit_test(stripped),
		cmocka_unit_test(same_bytes),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(pointers_into_nowhere),
		cmocka_unit_test(scheduler_comes_last),
		cmocka_unit_test(untyped_interfaces),
		cmocka_unit_test(unreadable_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
