/*
 * heap/layout/ and heap/types/ on real Go executables: the table is held against DWARF, and DWARF's
 * types against the runtime's descriptors, which know nothing of each other.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "heap/types/type.h"
#include "target/dwarf_int.h"
#include "tests/unit/check.h"
#include "tests/unit/gobuild.h"

static const char source[] =
	"package main\n"
	"import (\"bytes\"; \"container/list\"; \"encoding/asn1\"; \"fmt\"; \"io\"; \"io/fs\"\n"
	"	\"net/url\"; \"os\"; \"path/filepath\"; \"reflect\"; \"sync\"; \"time\")\n"
	"type Inner struct { A, B int32 }\n"
	"type Order struct { ID int; Name string; Tags []string; Next *Order\n"
	"	M map[string]*Order; C <-chan int; F func(int, ...string) error; E error\n"
	"	Any interface{}; In Inner; Arr [3]*Order }\n"
	"type Big [200]byte\n"
	"type One struct { P *Order }\n"
	"type Wrapped struct { *bytes.Buffer; io.Reader; n int }\n"
	"type Color uint8\n"
	"type Header map[string][]string\n"
	"type Fn func(*Order) (int, error)\n"
	"type Self *Self\n"
	"var v = []interface{}{Order{}, &Order{}, map[string]*Order{}, map[Big]Big{},\n"
	"	map[int]struct{}{}, map[Inner]Color{}, One{}, [1]One{}, [2]One{}, Wrapped{},\n"
	"	&Wrapped{}, Color(1), Header{}, Fn(nil), new(Self), make(chan<- Order),\n"
	"	make(chan (<-chan Inner)), struct { X int \"json:\\\"x\\\"\"; Inner }{},\n"
	"	func(a string, b ...*Order) (x, y int) { return }, func() {}, time.Time{},\n"
	"	&sync.Mutex{}, []map[string][]*bytes.Buffer{}, map[interface{}]func(){},\n"
	"	[0]int{}, struct{}{}, uintptr(1), complex(1, 2), \"x\", map[uint8]Order{},\n"
	"	map[string]Big{}}\n"
	"var a1 One; var a2 [1]One; var a3 [2]One; var a4 Self; var a5 map[Big]Big\n"
	"var a6 map[Inner]Color; var a7 Header; var a8 map[string]*Order; var a9 *Order\n"
	"var b1 url.Values; var b2 filepath.WalkFunc; var b3 fs.FS; var b4 list.List\n"
	"var b5 asn1.ObjectIdentifier; var b6 fs.FileMode\n"
	"func main() {\n"
	"	a5 = map[Big]Big{}; a6 = map[Inner]Color{}; a7 = Header{}\n"
	"	fmt.Sprint(&a1, &a2, &a3, &a4, &a5, &a6, &a7, &a8, &a9)\n"
	"	fmt.Sprint(&b1, &b2, &b3, &b4, &b5, &b6)\n"
	"	for _, x := range v {\n"
	"		t := reflect.TypeOf(x); fmt.Fprintln(os.Stderr, t, t.Size())\n"
	"	}\n"
	"	m := map[string]*Order{\"a\": {}}\n"
	"	var o *Order = m[\"a\"]\n"
	"	e := 3\n"
	"	f := func() { e++; fmt.Println(o, m, e) }\n"
	"	go f()\n"
	"}\n";

struct prog {
	struct elf *e;
	struct dwarf *d;
	struct image *img;
	struct layout layout;
	struct types_module mod;
	int minor;
};

static void prog_open(struct prog *p, const char *path, const char *goarch)
{
	const struct elf_segment *seg;
	const char *version, *mod;
	uint64_t md, size;
	size_t n, i;
	bool exact;

	ok(elf_open(path, &p->e));
	ok(dwarf_create(p->e, &p->d));
	ok(image_create(elf_fmt(p->e), &p->img));
	n = elf_segments(p->e, &seg);
	for (i = 0; i < n; i++)
		if (seg[i].filesz)
			ok(image_lend(p->img, seg[i].addr, seg[i].data, seg[i].filesz));
	ok(elf_go_buildinfo(p->e, &version, &mod));
	ok(layout_find(version, goarch, &p->layout, &exact));
	p->minor = atoi(version + 4);
	assert_true(elf_symbol(p->e, "runtime.firstmoduledata", &md, &size));
	assert_int_equal(size, layout_size(&p->layout, LS_moduledata));
	p->mod = (struct types_module){ .dwarf = p->d };
	ok(image_read_word(p->img, md + layout_off(&p->layout, L_moduledata_types), &p->mod.types));
	ok(image_read_word(p->img, md + layout_off(&p->layout, L_moduledata_etypes),
			   &p->mod.etypes));
	assert_true(p->mod.types < p->mod.etypes);
}

static void prog_close(struct prog *p)
{
	image_destroy(p->img);
	dwarf_destroy(p->d);
	elf_destroy(p->e);
}

/* ------------------------------------------------------------------ layouts */

static void check_layout(const struct prog *p)
{
	struct layout l;

	ok(layout_from_dwarf(p->d, NULL, &l));
	for (int i = 0; i < LAYOUT_N; i++) {
		if (l.f[i].off != p->layout.f[i].off || l.f[i].size != p->layout.f[i].size)
			print_error("%s: DWARF %u %u, table %u %u (`make layouts` not run?)\n",
				    layout_name(i), l.f[i].off, l.f[i].size, p->layout.f[i].off,
				    p->layout.f[i].size);
		assert_int_equal(l.f[i].off, p->layout.f[i].off);
		assert_int_equal(l.f[i].size, p->layout.f[i].size);
	}
}

static void test_find(void **state)
{
	struct layout a, b;
	bool exact;

	ok(layout_find("go1.26.8", "amd64", &a, &exact));
	assert_true(exact);
	assert_int_equal(layout_off(&a, L_mheap_arenas), 66008); /* measured by hand */
	ok(layout_find("go1.26.8", "arm64", &b, &exact));
	assert_int_equal(layout_off(&b, L_mheap_arenas), 66072);
	ok(layout_find("go1.26.8", "s390x", &b, &exact));
	assert_int_equal(layout_off(&b, L_mheap_arenas), 66200);
	ok(layout_find("go1.26.8", "mips64", &b, &exact));
	assert_int_equal(layout_off(&b, L_mheap_arenas), 65976);

	/* between two measured patches, beyond them, and releases that are none */
	ok(layout_find("go1.26.3", "amd64", &b, &exact));
	assert_true(exact);
	assert_memory_equal(&a, &b, sizeof(a));
	ok(layout_find("go1.26.99", "amd64", &b, &exact));
	assert_false(exact);
	assert_memory_equal(&a, &b, sizeof(a));
	ok(layout_find("go1.26rc1", "amd64", &b, &exact));
	assert_false(exact);
	ok(layout_find("devel go1.26-1a2b3c4d Tue Jan 6 00:00:00 2026 +0000", "amd64", &b, &exact));
	assert_false(exact);
	assert_memory_equal(&a, &b, sizeof(a));
	ok(layout_find("go1.18", "amd64", &b, &exact));
	assert_true(exact);
	assert_false(layout_has(&b, L_mspan_freeIndexForScan)); /* came with a patch */
	ok(layout_find("go1.18.10", "amd64", &b, &exact));
	assert_true(exact);
	assert_true(layout_has(&b, L_mspan_freeIndexForScan));
}

/* Experiments that change nothing, and those that do, in both spellings. */
static void test_find_experiments(void **state)
{
	struct layout a, b, c;
	bool exact;

	ok(layout_find("go1.26.8", "amd64", &a, &exact));
	ok(layout_find("go1.26.8-X:jsonv2", "amd64", &b, &exact));
	assert_true(exact);
	assert_memory_equal(&a, &b, sizeof(a));
	ok(layout_find("go1.26.8-X:nogreenteagc,jsonv2", "amd64", &b, &exact));
	assert_true(exact);
	assert_memory_not_equal(&a, &b, sizeof(a));
	ok(layout_find("go1.25.5", "amd64", &a, &exact));
	assert_false(layout_has(&a, L_hmap_B));
	ok(layout_find("go1.25.5 X:noswissmap", "amd64", &b, &exact));
	assert_true(exact && layout_has(&b, L_hmap_B) && !layout_has(&b, LS_spanInlineMarkBits));
	ok(layout_find("go1.25.5 X:greenteagc,noswissmap", "amd64", &c, &exact));
	assert_true(exact && layout_has(&c, L_hmap_B) && layout_has(&c, LS_spanInlineMarkBits));
	ok(layout_find("go1.25.5 X:noswissmap", "mips", &b, &exact));
	assert_false(exact);
	ok(layout_find("go1.26.8-X:staticlockranking", "amd64", &b, &exact));
	assert_false(exact);
}

static void test_find_none(void **state)
{
	struct layout l;
	struct err *err;
	bool exact;

	err = layout_find("go1.99.1", "amd64", &l, &exact);
	assert_true(err_is(err, ERR_VERSION));
	assert_non_null(strstr(err->msg, "go1.26"));
	err_destroy(err);
	bad(layout_find("go1.26.8", "vax", &l, &exact), ERR_VERSION);
	bad(layout_find("nonsense", "amd64", &l, &exact), ERR_VERSION);
}

/* ------------------------------------------------------------------ types */

static bool same_map(const struct go_map *a, const struct go_map *b)
{
	return a->swiss == b->swiss && a->indirect_key == b->indirect_key &&
	       a->indirect_elem == b->indirect_elem && a->group_size == b->group_size &&
	       a->keys_off == b->keys_off && a->key_stride == b->key_stride &&
	       a->elems_off == b->elems_off && a->elem_stride == b->elem_stride &&
	       a->overflow_off == b->overflow_off;
}

static const char *name_of(const struct go_type *t)
{
	return t ? t->name : "(none)";
}

static void check_same_type(const struct go_type *a, const struct go_type *b)
{
	if (a->kind != b->kind || a->size != b->size || a->direct != b->direct ||
	    a->len != b->len || a->is_iface_empty != b->is_iface_empty)
		print_error("%s: kind %d %d, size %u %u, direct %d %d\n", a->name, a->kind, b->kind,
			    (unsigned)a->size, (unsigned)b->size, a->direct, b->direct);
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->direct, b->direct);
	assert_int_equal(a->len, b->len);
	assert_int_equal(a->is_iface_empty, b->is_iface_empty);
}

/* Elements, fields and maps' numbers, when both were expanded. */
static void check_same_inside(const struct go_type *a, const struct go_type *b)
{
	if (!a->elem != !b->elem ||
	    (a->elem && (a->elem->kind != b->elem->kind || a->elem->size != b->elem->size)))
		print_error("%s: element %s, %s\n", a->name, name_of(a->elem), name_of(b->elem));
	assert_int_equal(!a->elem, !b->elem);
	if (a->elem) {
		assert_int_equal(a->elem->kind, b->elem->kind);
		assert_int_equal(a->elem->size, b->elem->size);
	}
	if (a->kind == KIND_STRUCT)
		assert_int_equal(a->nfields, b->nfields);
	for (uint32_t k = 0; a->kind == KIND_STRUCT && k < a->nfields; k++) {
		assert_string_equal(a->fields[k].name, b->fields[k].name);
		assert_int_equal(a->fields[k].offset, b->fields[k].offset);
		assert_non_null(a->fields[k].type);
		assert_non_null(b->fields[k].type);
		assert_int_equal(a->fields[k].type->kind, b->fields[k].type->kind);
		assert_int_equal(a->fields[k].type->size, b->fields[k].type->size);
	}
	if (a->kind == KIND_MAP) {
		assert_non_null(a->key);
		assert_non_null(b->map);
		if (!a->map || !same_map(a->map, b->map))
			print_error("%s: map numbers differ\n", a->name);
		assert_non_null(a->map);
		assert_true(same_map(a->map, b->map));
	}
}

/* Every DW_AT_go_runtime_type: the DIE is read by DWARF, and its descriptor without any DWARF. */
static void check_joined(const struct prog *p)
{
	struct types_module bare = p->mod;
	struct types *dt, *rt;
	size_t n = 0, names = 0, maps = 0, i;
	uint64_t die;

	bare.dwarf = NULL;
	ok(types_create(p->img, &p->layout, &p->mod, 1, &dt));
	ok(types_create(p->img, &p->layout, &bare, 1, &rt));
	ok(dwarf_type_by_runtime(p->d, 0, &die)); /* the tables are made by the first question */
	for (i = 0; i < p->d->by_runtime.cap; i++) {
		const struct map64_slot *slot = &p->d->by_runtime.slots[i];
		struct go_type *a, *b, *again;

		if (slot->key == MAP64_EMPTY)
			continue;
		ok(types_from_die(dt, 0, p->d->names.v[slot->val].die, &a));
		ok(types_from_runtime(rt, p->mod.types + slot->key, &b));
		assert_non_null(a);
		if (!b)
			print_error("%s: no descriptor\n", a->name);
		assert_non_null(b);
		check_same_type(a, b);
		n++;
		names += !strcmp(a->name, b->name);
		maps += a->kind == KIND_MAP;
		if (strcmp(a->name, b->name) && getenv("NAMES"))
			print_message("%s | %s\n", a->name, b->name);
		/* It is one type, by whichever way it comes. */
		assert_int_equal(a->rtype, p->mod.types + slot->key);
		ok(types_from_runtime(dt, a->rtype, &again));
		assert_ptr_equal(a, again);
		ok(types_expand(dt, a));
		ok(types_expand(rt, b));
		check_same_inside(a, b);
	}
	if (getenv("NAMES"))
		print_message("1.%d: %zu types, %zu names equal, %zu maps\n", p->minor, n, names,
			      maps);
	assert_true(n > 300 && maps > 5);
	assert_true(names > n * 95 / 100);
	types_destroy(dt);
	types_destroy(rt);
}

static struct go_type *named(struct types *t, const char *name)
{
	struct go_type *x;

	ok(types_by_name(t, name, &x));
	if (!x)
		print_error("no type %s\n", name);
	assert_non_null(x);
	ok(types_expand(t, x));
	return x;
}

static const struct go_field *field(const struct go_type *t, const char *name)
{
	for (uint32_t i = 0; i < t->nfields; i++)
		if (!strcmp(t->fields[i].name, name))
			return &t->fields[i];
	print_error("no field %s in %s\n", name, t->name);
	fail();
	return NULL;
}

static void check_map(const struct prog *p, struct types *t, const char *name, uint32_t swiss[5],
		      uint32_t old[6], bool indirect_key, bool indirect_elem)
{
	const struct go_type *x = named(t, name);
	const struct go_map *m = x->map;
	const uint32_t *w = p->minor >= 24 ? swiss : old;

	assert_non_null(m);
	assert_int_equal(m->swiss, p->minor >= 24);
	assert_int_equal(m->group_size, w[0]);
	assert_int_equal(m->keys_off, w[1]);
	assert_int_equal(m->key_stride, w[2]);
	assert_int_equal(m->elems_off, w[3]);
	assert_int_equal(m->elem_stride, w[4]);
	if (!m->swiss)
		assert_int_equal(m->overflow_off, w[5]);
	assert_int_equal(m->indirect_key, indirect_key);
	assert_int_equal(m->indirect_elem, indirect_elem);
}

/* Where each kind keeps its package path: the full name is in no descriptor's own string. */
static void check_full_names(const struct prog *p)
{
	static const char *const names[] = {
		"net/url.Values",      "path/filepath.WalkFunc",         "io/fs.FS",
		"container/list.List", "encoding/asn1.ObjectIdentifier", "io/fs.FileMode"
	};
	struct types_module bare = p->mod;
	struct types *dt, *rt;

	bare.dwarf = NULL;
	ok(types_create(p->img, &p->layout, &p->mod, 1, &dt));
	ok(types_create(p->img, &p->layout, &bare, 1, &rt));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct go_type *a = named(dt, names[i]), *b;

		assert_true(a->rtype);
		ok(types_from_runtime(rt, a->rtype, &b));
		assert_non_null(b);
		assert_string_equal(b->name, names[i]);
	}
	types_destroy(dt);
	types_destroy(rt);
}

/* Numbers from the definition in the source, by hand. */
static void check_order(const struct go_type *order)
{
	const struct go_type *any = field(order, "Any")->type;

	assert_string_equal(order->name, "main.Order");
	assert_int_equal(order->kind, KIND_STRUCT);
	assert_int_equal(order->size, 144);
	assert_int_equal(order->nfields, 11);
	assert_int_equal(field(order, "Tags")->offset, 24);
	assert_int_equal(field(order, "Arr")->offset, 120);
	assert_string_equal(field(order, "Tags")->type->name, "[]string");
	assert_string_equal(field(order, "M")->type->name, "map[string]*main.Order");
	assert_string_equal(field(order, "Next")->type->name, "*main.Order");
	assert_string_equal(field(order, "F")->type->name, "func(int, ...string) error");
	assert_string_equal(field(order, "E")->type->name, "error");
	assert_string_equal(field(order, "Arr")->type->name, "[3]*main.Order");
	assert_string_equal(field(order, "C")->type->name, "<-chan int");
	assert_false(field(order, "E")->type->is_iface_empty);
	assert_true(any->is_iface_empty);
	assert_int_equal(any->kind, KIND_INTERFACE);
	assert_int_equal(any->size, 16);
	assert_true(field(order, "M")->type->direct && field(order, "F")->type->direct &&
		    field(order, "Next")->type->direct);
	assert_false(field(order, "Name")->type->direct || order->direct);
}

static void check_pointers(struct types *t, struct go_type *order, bool with_dwarf)
{
	struct go_type *x = field(order, "Next")->type, *y;

	ok(types_expand(t, x));
	assert_ptr_equal(x->elem, order);
	ok(types_pointer_to(t, order, &y));
	if (with_dwarf)
		assert_ptr_equal(x, y);
	assert_string_equal(y->name, "*main.Order");
	ok(types_pointer_to(t, y, &x));
	assert_string_equal(x->name, "**main.Order");
	assert_int_equal(x->size, 8);
	assert_ptr_equal(x->elem, y);
	assert_true(x->direct);
	ok(types_pointer_to(t, y, &y));
	assert_ptr_equal(x, y);
}

/* What only DWARF lists by name. */
static void check_by_name(const struct prog *p, struct types *t)
{
	struct go_type *x;

	assert_true(named(t, "main.One")->direct && named(t, "[1]main.One")->direct &&
		    !named(t, "[2]main.One")->direct);
	x = named(t, "main.Self");
	assert_int_equal(x->kind, KIND_POINTER);
	assert_ptr_equal(x->elem, x);
	check_map(p, t, "map[string]*main.Order", (uint32_t[]){ 200, 8, 24, 24, 24 },
		  (uint32_t[]){ 208, 8, 16, 136, 8, 200 }, false, false);
	check_map(p, t, "map[main.Big]main.Big", (uint32_t[]){ 136, 8, 16, 16, 16 },
		  (uint32_t[]){ 144, 8, 8, 72, 8, 136 }, true, true);
	check_map(p, t, "map[main.Inner]main.Color", (uint32_t[]){ 104, 8, 12, 16, 12 },
		  (uint32_t[]){ 88, 8, 8, 72, 1, 80 }, false, false);
	assert_string_equal(named(t, "main.Header")->elem->name, "[]string");
	assert_int_equal(named(t, "unsafe.Pointer")->kind, KIND_UNSAFE_POINTER);
	assert_int_equal(named(t, "uintptr")->kind, KIND_UINTPTR);
	ok(types_by_name(t, "main.NoSuch", &x));
	assert_null(x);
}

static void check_no_types(struct types *t, uint64_t rtype)
{
	const uint64_t addrs[] = { 0, rtype + 1, 0x7fff00000000, ~0ull - 7 };
	struct go_type *x;

	for (size_t i = 0; i < sizeof(addrs) / sizeof(*addrs); i++) {
		ok(types_from_runtime(t, addrs[i], &x));
		assert_null(x);
	}
	ok(types_from_die(t, 0, 3, &x));
	ok(types_from_die(t, 0, 1ull << 40, &x));
	assert_null(x);
}

static void check_known(const struct prog *p, bool with_dwarf)
{
	struct types_module mod = p->mod;
	struct go_type *order;
	struct types *t, *dt;
	uint64_t addr;

	ok(types_create(p->img, &p->layout, &mod, 1, &dt));
	addr = named(dt, "main.Order")->rtype;
	assert_true(addr);
	if (!with_dwarf)
		mod.dwarf = NULL;
	ok(types_create(p->img, &p->layout, &mod, 1, &t));
	ok(types_from_runtime(t, addr, &order));
	assert_non_null(order);
	ok(types_expand(t, order));
	check_order(order);
	check_pointers(t, order, with_dwarf);
	if (with_dwarf)
		check_by_name(p, t);
	check_no_types(t, addr);
	types_destroy(t);
	types_destroy(dt);
}

static void check_closure(const struct prog *p)
{
	const struct dwarf_var *v;
	struct go_type *c;
	struct types *t;
	uint64_t entry, size;
	size_t n;

	ok(types_create(p->img, &p->layout, &p->mod, 1, &t));
	ok(dwarf_globals(p->d, &v, &n));
	assert_true(elf_symbol(p->e, "main.main.func1", &entry, &size) ||
		    elf_symbol(p->e, "main.main.func2", &entry, &size));
	ok(types_closure(t, entry, "main.main.func1", 0, &c));
	assert_non_null(c);
	assert_int_equal(c->nfields, 4);
	assert_int_equal(c->size, 32);
	assert_string_equal(c->fields[0].name, "F");
	assert_string_equal(field(c, "m")->type->name, "map[string]*main.Order");
	assert_string_equal(field(c, "o")->type->name, "*main.Order");
	assert_string_equal(field(c, "e")->type->name, "*int");
	for (n = 1; ok(types_closure(t, entry, "main.main.func1", (unsigned)n, &c)), c; n++)
		assert_int_equal(c->nfields, 4);
	assert_int_equal(n, p->minor < 23 ? 6 : 1); /* the orders of three */
	/* Of what captures nothing, or says nothing about it, only the function is known. */
	ok(types_closure(t, entry + 1, "main.other", 0, &c));
	assert_non_null(c);
	assert_true(c->closure);
	assert_int_equal(c->nfields, 1);
	assert_string_equal(c->name, "main.other");
	types_destroy(t);
}

static void test_releases(void **state)
{
	static const char *const archs[] = { "amd64", "386", "s390x" };

	for (int i = 0; i < NRELEASES; i++) {
		for (int k = 0; k < 3; k++) {
			struct prog p = { 0 };
			char path[512], env[64];

			snprintf(env, sizeof(env), "GOARCH=%s", archs[k]);
			if (!go_build(go_releases[i], env, "", source, "t", path, sizeof(path)))
				continue;
			prog_open(&p, path, archs[k]);
			check_layout(&p);
			check_joined(&p);
			check_full_names(&p);
			if (k == 0) {
				check_known(&p, true);
				check_known(&p, false);
				check_closure(&p);
			}
			prog_close(&p);
		}
	}
}

/* A dot in the last element of an import path is escaped in symbols and DWARF, not in
 * descriptors. */
static void test_escaped(void **state)
{
	static const char main_source[] =
		"package main\nimport (\"example.com/prog/yaml.v3\"; \"fmt\")\n"
		"func main() { yaml.F(&yaml.Node{}); fmt.Println(yaml.Root) }\n";
	static const char want[] = "*example.com/prog/yaml.v3.Node";

	go_package = "yaml.v3";
	go_package_source =
		"package yaml\ntype Node struct { A *Node }\nvar Root = map[string]*Node{}\n"
		"func F(n *Node) { Root[\"a\"] = n }\n";
	for (int i = 0; i < NRELEASES; i++) {
		struct prog p = { 0 };
		struct types *t, *rt;
		struct go_type *x, *y;
		const struct dwarf_var *v;
		char path[512];
		size_t n, k;

		if (!go_build(go_releases[i], "", "", main_source, "y", path, sizeof(path)))
			continue;
		prog_open(&p, path, "amd64");
		ok(dwarf_globals(p.d, &v, &n));
		for (k = 0; k < n && strcmp(v[k].name, "example.com/prog/yaml.v3.Root"); k++)
			;
		assert_true(k < n);
		ok(types_create(p.img, &p.layout, &p.mod, 1, &t));
		p.mod.dwarf = NULL;
		ok(types_create(p.img, &p.layout, &p.mod, 1, &rt));
		ok(types_from_die(t, 0, v[k].type, &x));
		assert_non_null(x);
		assert_string_equal(x->name, "map[string]*example.com/prog/yaml.v3.Node");
		x = named(t, want);
		assert_string_equal(x->name, want);
		ok(types_from_runtime(rt, x->rtype, &y));
		assert_string_equal(y->name, want);
		types_destroy(t);
		types_destroy(rt);
		prog_close(&p);
	}
	go_package = NULL;
}

/* ------------------------------------------------------------------ damaged */

static void walk(struct types *t, struct go_type *x, int depth)
{
	if (!x || depth > 6)
		return;
	err_destroy(types_expand(t, x));
	assert_true(strlen(x->name) <= LIMIT_NAME + 1024);
	walk(t, x->elem, depth + 1);
	walk(t, x->key, depth + 1);
	for (uint32_t i = 0; i < x->nfields && i < 8; i++)
		walk(t, x->fields[i].type, depth + 1);
}

/* Descriptors with random bytes in them: NULL or some type, never an error, a crash or a hang. */
static void test_damaged(void **state)
{
	struct prog p = { 0 };
	char path[512];
	uint8_t *bytes, *orig;
	uint64_t len;
	uint64_t die;

	if (!go_build("1.26.8", "", "", source, "t", path, sizeof(path)))
		return;
	prog_open(&p, path, "amd64");
	len = p.mod.etypes - p.mod.types;
	orig = malloc(len);
	bytes = malloc(len);
	assert_true(orig && bytes);
	ok(image_read(p.img, p.mod.types, orig, len));
	ok(dwarf_type_by_runtime(p.d, 0, &die));
	srand(3);
	for (int k = 0; k < 300; k++) {
		struct types_module mod = p.mod;
		struct image *img;
		struct types *t;
		uint64_t part = k % 3 ? len : (uint64_t)rand() % len; /* cut images too */

		memcpy(bytes, orig, len);
		for (int n = 0; n < 2000; n++)
			bytes[(size_t)rand() % len] = (uint8_t)rand();
		ok(image_create(elf_fmt(p.e), &img));
		if (part)
			ok(image_lend(img, p.mod.types, bytes, part));
		if (k % 2)
			mod.dwarf = NULL;
		ok(types_create(img, &p.layout, &mod, 1, &t));
		for (size_t i = (size_t)rand() % 40; i < p.d->by_runtime.cap; i += 40) {
			struct go_type *x;

			if (p.d->by_runtime.slots[i].key == MAP64_EMPTY)
				continue;
			ok(types_from_runtime(t, p.mod.types + p.d->by_runtime.slots[i].key, &x));
			walk(t, x, 0);
		}
		types_destroy(t);
		image_destroy(img);
	}
	free(orig);
	free(bytes);
	prog_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),      cmocka_unit_test(test_find_experiments),
		cmocka_unit_test(test_find_none), cmocka_unit_test(test_releases),
		cmocka_unit_test(test_escaped),   cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests_name("type", tests, go_setup, go_teardown);
}
