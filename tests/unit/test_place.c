/*
 * heap/mark/place.c, resolve.c, name_roots.c and walk.c on a hand-made heap of each era: what a
 * type says of a slot and of each pointer word in it, which roots there are by name, and which
 * pointers a walk visits in which order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "heap/heap.h"
#include "heap/mark/mark.h"
#include "heap/mark/name.h"
#include "tests/unit/check.h"
#include "tests/unit/fakeheap.h"

/* A captured heap with its stacks scanned, its roots collected and its types open. */
struct scene {
	struct fake f;
	struct places places;
	struct types *types;
	struct strtab frames;
	struct arena arena;
	struct report report;
	struct root_list list;
};

static void scene_make(struct scene *s, const struct fake_era *era)
{
	struct unstable u = { NULL };
	struct captured *h;

	memset(s, 0, sizeof(*s));
	fake_make(&s->f, era);
	fake_load(&s->f, true);
	h = fake_captured(&s->f);
	ok(heap_capture(s->f.heap, &s->f.threads, false, &u));
	assert_null(u.why);
	ok(spans_attach(s->f.p, &h->spans));
	for (size_t i = 0; i < 2; i++) {
		ok(stacks_walk(s->f.p, &h->stacks, i));
		ok(stacks_scan(s->f.p, &h->stacks, &h->spans, i, &h->roots));
	}
	ok(roots_collect(s->f.p, &h->spans, &h->masks, &h->roots));
	ok(debug_open(s->f.heap, &s->report));
	ok(debug_types(s->f.heap, &s->types));
	ok(places_init(&s->places, h, s->types, &s->frames, false));
	ok(name_roots(h, &s->places, &s->arena, &s->list));
}

static void scene_free(struct scene *s)
{
	root_list_deinit(&s->list);
	places_deinit(&s->places);
	types_destroy(s->types);
	arena_deinit(&s->arena);
	strtab_deinit(&s->frames);
	report_deinit(&s->report);
	fake_free(&s->f);
}

static struct go_type *type_of(struct scene *s, enum fake_type id)
{
	struct go_type *t;

	ok(types_from_runtime(s->types, s->f.types[id], &t));
	assert_non_null(t);
	return t;
}

static uint32_t place_of(struct scene *s, enum place_mode mode, enum fake_type id, uint64_t off)
{
	uint32_t place;

	ok(place_get(&s->places, mode, type_of(s, id), off, &place));
	return place;
}

/* The pointer word at off of an object with this place: its frames, joined by '|'. */
static const struct edge *check_edge(struct scene *s, uint32_t place, uint64_t off,
				     const char *frames, int64_t index)
{
	const struct edge *e;
	char got[256] = "";
	int64_t i;

	ok(edge_get(&s->places, place, off, &e, &i));
	for (uint32_t k = 0; k < e->nframes; k++) {
		strcat(got, k ? "|" : "");
		strcat(got, s->frames.str[e->frames[k].text]);
	}
	assert_string_equal(got, frames);
	assert_int_equal(i, index);
	return e;
}

static void places(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		uint32_t one, tile, later, array;
		const struct place *p;
		struct scene s;
		uint64_t word;

		scene_make(&s, &fake_eras[e]);
		word = s.f.fmt.word;
		one = place_of(&s, PLACE_ONE, FAKE_T_NODE, 0);
		assert_int_not_equal(one, 0);
		assert_int_equal(place_of(&s, PLACE_ONE, FAKE_T_NODE, 0), one);
		later = place_of(&s, PLACE_ONE, FAKE_T_NODE, word);
		assert_int_not_equal(later, one);
		tile = place_of(&s, PLACE_TILE, FAKE_T_NODE, 0);
		/* an array is its elements */
		array = place_of(&s, PLACE_ONE, FAKE_T_HUGE, 0);
		p = &s.places.v.v[array];
		assert_int_equal(p->mode, PLACE_TILE);
		assert_ptr_equal(p->type, type_of(&s, FAKE_T_BIG));
		assert_int_equal(p->unit, FAKE_BIG_SIZE);
		p = &s.places.v.v[one];
		assert_int_equal(p->mask, FAKE_POINTERS);
		assert_true(p->mask_known);
		assert_int_equal(p->unit, 0);

		check_edge(&s, one, 0, "next. (*main.node)", -1);
		check_edge(&s, one, 2 * word, "leaf. (*main.node)", -1);
		check_edge(&s, one, 4 * word, "$sub_objects$", -1); /* behind it */
		check_edge(&s, later, 3 * word, "leaf. (*main.node)", -1);
		check_edge(&s, later, 0, "$sub_objects$", -1); /* before it */
		check_edge(&s, tile, 2 * word, "leaf. (*main.node)", 0);
		check_edge(&s, tile, 8 * word, "next. (*main.node)", 2);
		check_edge(&s, array, 39 * FAKE_BIG_SIZE, "next. (*main.big)", 39);
		check_edge(&s, 0, 0, "$sub_objects$", -1);
		scene_free(&s);
	}
}

/* How well a place explains the bits of a small object. */
static void fits(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		uint32_t one, later, tile;
		const struct span *sp;
		struct scene s;

		scene_make(&s, &fake_eras[e]);
		sp = fake_span_of(&s.f, FAKE_NODES);
		one = place_of(&s, PLACE_ONE, FAKE_T_NODE, 0);
		later = place_of(&s, PLACE_ONE, FAKE_T_NODE, s.f.fmt.word);
		tile = place_of(&s, PLACE_TILE, FAKE_T_PNODE, 0);
		assert_int_equal(place_fit(&s.places, one, sp, FAKE_POINTERS), 2);
		assert_int_equal(place_fit(&s.places, one, sp, 7), 2);
		assert_int_equal(place_fit(&s.places, one, sp, 1), -1); /* a pointer that is none */
		assert_int_equal(place_fit(&s.places, later, sp, 2 | 8), 2);
		assert_int_equal(place_fit(&s.places, later, sp, FAKE_POINTERS), -1);
		assert_int_equal(place_fit(&s.places, tile, sp, 15), 4);
		assert_int_equal(place_fit(&s.places, tile, sp, 3), 2);
		assert_int_equal(place_fit(&s.places, 0, sp, 3), 0);
		scene_free(&s);
	}
}

/* What a pointer of a known type says of its target, and what the target says of itself. */
static void resolves(void **state)
{
	struct seen seen;

	for (size_t e = 0; e < fake_neras; e++) {
		uint64_t object, value, word;
		const struct span *sp;
		const struct edge *edge;
		uint32_t place, want;
		struct scene s;

		scene_make(&s, &fake_eras[e]);
		word = s.f.fmt.word;
		sp = fake_span_of(&s.f, FAKE_NODES);
		object = fake_node(&s.f, NODE_ROOT);
		value = fake_node(&s.f, NODE_NEXT);
		edge = check_edge(&s, place_of(&s, PLACE_ONE, FAKE_T_NODE, 0), 0,
				  "next. (*main.node)", -1);
		assert_int_equal(edge->target, EDGE_LEAF);
		ok(edge_resolve(&s.places, edge, object, value, sp, NODE_NEXT, &place, &seen));
		assert_int_equal(place, place_of(&s, PLACE_ONE, FAKE_T_NODE, 0));
		/* into the middle of the slot */
		ok(edge_resolve(&s.places, edge, object, value + word, sp, NODE_NEXT, &place,
				&seen));
		assert_int_equal(place, place_of(&s, PLACE_ONE, FAKE_T_NODE, word));

		ok(place_of_header(&s.places, fake_span_of(&s.f, FAKE_BIG), 0, &place));
		want = fake_has_header(&s.f, FAKE_BIG) ? place_of(&s, PLACE_ONE, FAKE_T_BIG, 8) : 0;
		assert_int_equal(place, want);
		ok(place_of_header(&s.places, fake_span_of(&s.f, FAKE_HUGE), 0, &place));
		want = want ? place_of(&s, PLACE_TILE, FAKE_T_BIG, 0) : 0;
		assert_int_equal(place, want);
		ok(place_of_header(&s.places, sp, NODE_ROOT, &place));
		assert_int_equal(place, 0);
		/* a number is no function, a pointer's word no closure's code */
		ok(place_of_closure(&s.places, sp, NODE_ROOT, 0, &place));
		assert_int_equal(place, 0);
		scene_free(&s);
	}
}

/* A type whose fields all begin at its start and are of one type, and so on: no program has it. */
static void shape_without_end(void **state)
{
	enum { LEVELS = 60 };
	struct go_type leaf = {
		.name = "leaf", .kind = KIND_UNSAFE_POINTER, .size = 8, .expanded = true, .id = 1000
	};
	struct go_type levels[LEVELS];
	struct go_field fields[LEVELS][2];
	struct scene s;
	uint32_t place;

	scene_make(&s, &fake_eras[0]);
	for (int i = 0; i < LEVELS; i++) {
		struct go_type *below = i ? &levels[i - 1] : &leaf;

		fields[i][0] = (struct go_field){ .name = "a", .type = below };
		fields[i][1] = (struct go_field){ .name = "b", .type = below };
		levels[i] = (struct go_type){ .name = "level",
					      .kind = KIND_STRUCT,
					      .size = 8,
					      .expanded = true,
					      .id = (uint32_t)(1001 + i),
					      .nfields = 2,
					      .fields = fields[i] };
	}
	ok(place_get(&s.places, PLACE_ONE, &levels[4], 0, &place));
	assert_true(s.places.v.v[place].mask_known);
	assert_int_equal(s.places.v.v[place].mask, 1);
	ok(place_get(&s.places, PLACE_ONE, &levels[LEVELS - 1], 0, &place));
	assert_false(s.places.v.v[place].mask_known);
	scene_free(&s);
}

/* Any number of elements that take no room, in an array that is said to have some. */
static void elements_of_no_size(void **state)
{
	struct go_type elem = {
		.name = "struct {}", .kind = KIND_STRUCT, .expanded = true, .id = 1000
	};
	struct go_type array = { .name = "array",
				 .kind = KIND_ARRAY,
				 .size = 8,
				 .expanded = true,
				 .id = 1001,
				 .elem = &elem,
				 .len = UINT64_MAX };
	struct go_field field = { .name = "a", .type = &array };
	struct go_type strct = { .name = "strct",
				 .kind = KIND_STRUCT,
				 .size = 8,
				 .expanded = true,
				 .id = 1002,
				 .nfields = 1,
				 .fields = &field };
	struct scene s;
	uint32_t place;

	scene_make(&s, &fake_eras[0]);
	ok(place_get(&s.places, PLACE_ONE, &strct, 0, &place));
	assert_int_equal(s.places.v.v[place].mask, 0);
	scene_free(&s);
}

/* ------------------------------------------------------------------ roots by name */

static const struct mark_root *root_to(const struct scene *s, uint64_t value)
{
	for (size_t i = 0; i < s->list.roots.n; i++)
		if (s->list.roots.v[i].value == value)
			return &s->list.roots.v[i];
	fail_msg("%s %s: 0x%lx is no root", s->f.era.version, s->f.era.goarch,
		 (unsigned long)value);
	return NULL;
}

static void check_name(const struct scene *s, uint64_t value, uint8_t pass, const char *label)
{
	const struct mark_root *r = root_to(s, value);

	const char *got = root_name_of(&s->list, r)->label;

	assert_int_equal(r->pass, pass);
	if (label)
		assert_string_equal(got, label);
	else
		assert_null(got);
}

static void names(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		const struct mark_root *r;
		struct scene s;

		scene_make(&s, &fake_eras[e]);
		check_name(&s, fake_node(&s.f, NODE_ROOT), PASS_VARIABLES, "main.root");
		check_name(&s, fake_node(&s.f, NODE_SECOND) + 4, PASS_VARIABLES, "main.second");
		check_name(&s, fake_node(&s.f, NODE_ALLGS), PASS_RUNTIME, "runtime.allgs");
		check_name(&s, fake_node(&s.f, NODE_ALLP), PASS_RUNTIME, "runtime.allp");
		check_name(&s, fake_node(&s.f, NODE_LOCAL), PASS_GOROUTINES, NULL);
		check_name(&s, fake_node(&s.f, NODE_REGISTER), PASS_GOROUTINES_GUESSED, NULL);
		check_name(&s, fake_node(&s.f, NODE_GUESSED), PASS_GOROUTINES_GUESSED, NULL);
		check_name(&s, fake_node(&s.f, NODE_QUEUED), PASS_SPECIALS,
			   "runtime.SetFinalizer.queued");
		check_name(&s, fake_node(&s.f, NODE_OF_FINALIZED), PASS_SPECIALS,
			   "runtime.SetFinalizer.obj");
		check_name(&s, fake_leaf(&s.f, LEAF_TINY), PASS_RUNTIME, "runtime.mcache.tiny");
		r = root_to(&s, fake_node(&s.f, NODE_OF_FINALIZED));
		assert_ptr_equal(root_name_of(&s.list, r)->type, type_of(&s, FAKE_T_NODE));
		assert_int_equal(r->var_off, 0);
		for (size_t i = 1; i < s.list.roots.n; i++)
			assert_true(s.list.roots.v[i - 1].pass < s.list.roots.v[i].pass ||
				    (s.list.roots.v[i - 1].pass == s.list.roots.v[i].pass &&
				     s.list.roots.v[i - 1].addr <= s.list.roots.v[i].addr));
		scene_free(&s);
	}
}

/* ------------------------------------------------------------------ the walk */

struct counting {
	struct walk walk; /* first: visit gets it */
	uint64_t pointers, seen, dead, later;
	uint8_t last_pass;
	bool order;
};

static struct err *visit(struct walk *w, struct walk_ptr *v, size_t n)
{
	struct counting *c = (struct counting *)w;

	c->order &= w->pass >= c->last_pass;
	c->last_pass = w->pass;
	for (size_t i = 0; i < n; i++) {
		c->pointers++;
		switch (walk_state(w, &v[i])) {
		case WALK_NEW:
			TRY(walk_enter(w, &v[i], 0));
			break;
		case WALK_SEEN:
			c->seen++;
			break;
		case WALK_DEAD:
			c->dead++;
			break;
		default:
			c->later++;
			TRY(walk_later(w, &v[i], NULL));
		}
	}
	return NULL;
}

static void walks(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		struct counting c = { .order = true };
		uint64_t objects, bytes;
		uint32_t *by_scan;
		struct scene s;

		scene_make(&s, &fake_eras[e]);
		by_scan = calloc(fake_spans(&s.f)->nscan + 1, sizeof(*by_scan));
		c.walk.h = fake_captured(&s.f);
		c.walk.roots = s.list.roots.v;
		c.walk.nroots = s.list.roots.n;
		c.walk.visit = visit;
		c.walk.by_scan = by_scan;
		ok(walk_run(&c.walk));
		fake_live(&s.f, &objects, &bytes);
		assert_int_equal(c.walk.objects, objects);
		assert_int_equal(c.walk.bytes, bytes);
		assert_int_equal(c.walk.unread, 0);
		assert_true(c.order);
		assert_int_equal(c.dead, 0);
		assert_int_equal(c.pointers, objects + c.seen + c.later);
		/* each object once, whatever leads to it */
		for (unsigned i = 0; i < FAKE_STACKS; i++) {
			const struct span *sp = fake_span_of(&s.f, i);

			for (uint32_t k = 0; k < sp->nelems; k++) {
				uint32_t id = sp->first_id + k;

				assert_int_equal(c.walk.seen[id / 8] >> (id & 7) & 1,
						 fake_is_live(&s.f, i, k));
			}
		}
		walk_deinit(&c.walk);
		free(by_scan);
		scene_free(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places),
		cmocka_unit_test(shape_without_end),
		cmocka_unit_test(elements_of_no_size),
		cmocka_unit_test(fits),
		cmocka_unit_test(resolves),
		cmocka_unit_test(names),
		cmocka_unit_test(walks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
