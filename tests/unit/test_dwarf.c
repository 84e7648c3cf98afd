/*
 * target/dwarf against real Go programs, which print what they know of themselves: addresses of
 * globals and locals, field offsets, what a closure holds where.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/wait.h>

#include "target/dwarf.h"
#include "tests/unit/gobuild.h"

static const char source[] =
	"package main\n"
	"import (\"fmt\"; \"os\"; \"runtime\"; \"unsafe\")\n"
	"type Order struct { ID int; Name string; Tags []string; Next *Order; m map[string]*Order; Flag bool; C chan int }\n"
	"var Cache map[string]*Order\n"
	"var Table [7]Order\n"
	"var sink func() int\n"
	"var pcs []uintptr\n"
	"var last *Order\n"
	"type addrs struct { big, x uintptr }\n"
	"var got addrs\n"
	"//go:noinline\n"
	"func here() { var p [1]uintptr; runtime.Callers(2, p[:]); pcs = append(pcs, p[0]) }\n"
	"//go:noinline\n"
	"func keepBig(p *[4]*Order) { got.big = uintptr(unsafe.Pointer(p)) }\n"
	"//go:noinline\n"
	"func keepX(p *Order) { got.x = uintptr(unsafe.Pointer(p)); p.ID = 1 }\n"
	"//go:noinline\n"
	"func order(n int) *Order { return &Order{ID: n} }\n"
	"//go:noinline\n"
	"func use(o *Order) { o.ID++ }\n"
	"//go:noinline\n"
	"func work(o *Order, names []string, n int) (res string) {\n"
	"	big := [4]*Order{o, o, o, o}\n"
	"	keepBig(&big)\n"
	"	esc := 42\n"
	"	var x Order\n"
	"	keepX(&x)\n"
	"	str := o.Name + \"x\"\n"
	"	sink = func() int { esc++; return esc + len(str) + len(names) + n }\n"
	"	{\n"
	"		inner := order(n)\n"
	"		here()\n"
	"		use(inner)\n"
	"	}\n"
	"	{\n"
	"		other := order(n)\n"
	"		here()\n"
	"		use(other)\n"
	"	}\n"
	"	inlined(o)\n"
	"	keepBig(&big)\n"
	"	keepX(&x)\n"
	"	return fmt.Sprint(str, names, o, n)\n"
	"}\n"
	"func inlined(o *Order) { inl := o.Next; here(); last = inl }\n"
	"//go:noinline\n"
	"func capture(a int, b string, c *Order) func() string {\n"
	"	e := 5\n"
	"	f := func() string { e++; return fmt.Sprint(a, b, c, e) }\n"
	"	w := *(**[8]uintptr)(unsafe.Pointer(&f))\n"
	"	fmt.Println(\"closure\", w[0])\n"
	"	for i := 1; i < 6; i++ {\n"
	"		switch w[i] {\n"
	"		case uintptr(a): fmt.Println(\"capture a\", i*8)\n"
	"		case uintptr(unsafe.Pointer(c)): fmt.Println(\"capture c\", i*8)\n"
	"		case uintptr(len(b)): fmt.Println(\"capture b\", i*8-8)\n"
	"		case uintptr(unsafe.Pointer(&e)): fmt.Println(\"capture e\", i*8)\n"
	"		}\n"
	"	}\n"
	"	return f\n"
	"}\n"
	"func main() {\n"
	"	o := &Order{ID: 1, Name: os.Args[0], Next: &Order{}}\n"
	"	Cache = map[string]*Order{\"a\": o}\n"
	"	work(o, os.Args, len(os.Args))\n"
	"	s := capture(123456789, \"123456789012345678901\", o)\n"
	"	s()\n"
	"	fmt.Println(\"global Cache\", uintptr(unsafe.Pointer(&Cache)))\n"
	"	fmt.Println(\"global Table\", uintptr(unsafe.Pointer(&Table)))\n"
	"	fmt.Println(\"size Table\", unsafe.Sizeof(Table))\n"
	"	fmt.Println(\"size Order\", unsafe.Sizeof(*o))\n"
	"	fmt.Println(\"field Name\", unsafe.Offsetof(o.Name))\n"
	"	fmt.Println(\"field Tags\", unsafe.Offsetof(o.Tags))\n"
	"	fmt.Println(\"field Next\", unsafe.Offsetof(o.Next))\n"
	"	fmt.Println(\"field m\", unsafe.Offsetof(o.m))\n"
	"	fmt.Println(\"field C\", unsafe.Offsetof(o.C))\n"
	"	fmt.Println(\"pc\", pcs[0])\n"
	"	fmt.Println(\"pc-other\", pcs[1])\n"
	"	fmt.Println(\"pc-inlined\", pcs[2])\n"
	"	fmt.Println(\"entry inlined\", runtime.FuncForPC(pcs[2]-1).Entry())\n"
	"	fmt.Println(\"x-big\", int(got.x)-int(got.big))\n"
	"	fmt.Println(\"entry work\", runtime.FuncForPC(pcs[0]-1).Entry())\n"
	"}\n";

static char *facts; /* what the program printed */

/* The number behind "key " at the beginning of a line. */
static int64_t fact(const char *key)
{
	const char *p = facts;
	size_t len = strlen(key);

	while (p && *p) {
		if (!strncmp(p, key, len) && p[len] == ' ')
			return strtoll(p + len, NULL, 10);
		p = strchr(p, '\n');
		p += p != NULL;
	}
	print_error("the program does not say: %s\n%s\n", key, facts);
	fail();
	return 0;
}

static void ok(struct err *err)
{
	if (err)
		print_error("%s\n", err->msg);
	assert_null(err);
}

static uint64_t type_named(struct dwarf *d, const char *name)
{
	uint64_t die = 0;

	ok(dwarf_type_by_name(d, name, &die));
	if (!die)
		print_error("no type %s\n", name);
	assert_true(die);
	return die;
}

static struct dwarf_type type_of(struct dwarf *d, uint64_t die)
{
	struct dwarf_type t;

	ok(dwarf_type(d, die, &t));
	return t;
}

static void check_types(struct dwarf *d)
{
	static const struct {
		const char *field, *type;
		int kind;
	} fields[] = {
		{ "ID", "int", 2 },
		{ "Name", "string", 24 },
		{ "Tags", "[]string", 23 },
		{ "Next", "*main.Order", 22 },
		{ "m", "map[string]*main.Order", 21 },
		{ "Flag", "bool", 1 },
		{ "C", "chan int", 18 },
	};
	uint64_t die = type_named(d, "main.Order"), off;
	struct dwarf_type t = type_of(d, die);
	struct dwarf_member *m;
	char key[64];
	size_t n, i;

	assert_int_equal(t.tag, DWARF_T_STRUCT);
	assert_int_equal(t.go_kind, 25);
	assert_int_equal(t.size, fact("size Order"));
	assert_true(t.go_runtime_type);
	ok(dwarf_type_by_runtime(d, t.go_runtime_type, &off));
	assert_int_equal(off, die);
	ok(dwarf_members(d, die, &m, &n));
	assert_int_equal(n, 7);
	for (i = 0; i < n; i++) {
		struct dwarf_type ft = type_of(d, m[i].type);

		assert_string_equal(m[i].name, fields[i].field);
		assert_false(m[i].embedded);
		if (ft.tag == DWARF_T_TYPEDEF && !ft.go_kind)
			ft = type_of(d, ft.elem);
		assert_string_equal(ft.name, fields[i].type);
		assert_int_equal(ft.go_kind, fields[i].kind);
		if (i != 0 && i != 5) {
			snprintf(key, sizeof(key), "field %s", m[i].name);
			assert_int_equal(m[i].offset, fact(key));
		}
	}
	assert_int_equal(type_of(d, m[2].type).size, 24); /* slice */
	assert_int_equal(type_of(d, m[4].type).size, 8);  /* map */
	assert_int_equal(type_of(d, type_of(d, m[4].type).go_elem).go_kind, 22);
	assert_int_equal(type_of(d, type_of(d, m[4].type).go_key).go_kind, 24);
	free(m);
	ok(dwarf_type_by_name(d, "main.NoSuchType", &die));
	assert_int_equal(die, 0);
	t = type_of(d, type_named(d, "error"));
	assert_int_equal(t.go_kind, 20);
	assert_int_equal(t.size, 16);
	t = type_of(d, type_named(d, "uintptr"));
	assert_int_equal(t.go_kind, 12);
	assert_true(t.go_runtime_type > 0 && t.go_runtime_type < 0x100000);
}

static void check_globals(struct dwarf *d, const struct elf *e)
{
	const struct dwarf_var *v;
	size_t n, i, same = 0, found = 0;
	uint64_t addr, size;

	ok(dwarf_globals(d, &v, &n));
	assert_true(n > 100);
	for (i = 0; i < n; i++) {
		assert_true(!i || v[i - 1].addr <= v[i].addr);
		if (!strcmp(v[i].name, "main.Cache")) {
			assert_int_equal(v[i].addr, fact("global Cache"));
			assert_int_equal(v[i].size, 8);
			assert_int_equal(type_of(d, v[i].type).go_kind, 21);
			found++;
		}
		if (!strcmp(v[i].name, "main.Table")) {
			assert_int_equal(v[i].addr, fact("global Table"));
			assert_int_equal(v[i].size, fact("size Table"));
			found++;
		}
		if (elf_symbol(e, v[i].name, &addr, &size)) {
			assert_int_equal(v[i].addr, addr);
			same++;
		}
	}
	assert_int_equal(found, 2);
	assert_true(same > n * 9 / 10);
}

static const struct dwarf_local *find(const struct dwarf_local *l, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(l[i].name, name))
			return &l[i];
	return NULL;
}

static const struct dwarf_local *must_find(const struct dwarf_local *l, size_t n, const char *name)
{
	const struct dwarf_local *x = find(l, n, name);

	if (!x)
		print_error("no local %s\n", name);
	assert_non_null(x);
	return x;
}

static void check_locals(struct dwarf *d, int minor)
{
	const struct dwarf_local *big, *x, *esc, *inner, *names, *str;
	struct dwarf_local *l;
	size_t n, i;
	uint64_t sum = 0;

	ok(dwarf_locals(d, (uint64_t)fact("pc") - 1, &l, &n));
	for (i = 0; i < n; i++) {
		assert_string_equal(l[i].func, "main.work");
		assert_null(strchr(l[i].name, '&'));
		assert_null(strchr(l[i].name, '.'));
	}
	big = must_find(l, n, "big");
	x = must_find(l, n, "x");
	inner = must_find(l, n, "inner");
	esc = must_find(l, n, "esc");
	assert_null(find(l, n, "other")); /* a block that pc is not in */
	assert_null(find(l, n, "inl"));   /* an inlined call likewise */
	assert_int_equal(x->cfa_off - big->cfa_off, fact("x-big"));
	assert_int_equal(big->size, 32);
	assert_int_equal(big->var_off, 0);
	assert_int_equal(inner->size, 8);
	assert_false(big->by_ref || big->param);
	assert_true(esc->by_ref);
	assert_int_equal(esc->size, 8);
	assert_int_equal(type_of(d, esc->type).go_kind, 22);
	/* the slice parameter, spilled: whole or in pieces, every byte once, at 8(CFA) */
	names = must_find(l, n, "names");
	assert_true(names->param);
	for (i = 0; i < n; i++) {
		if (strcmp(l[i].name, "names"))
			continue;
		assert_int_equal(l[i].cfa_off, names->cfa_off + (int64_t)l[i].var_off);
		sum += l[i].size;
	}
	assert_int_equal(sum, 24);
	assert_int_equal(names->cfa_off, 8);
	/* a string in two places: pointer and length */
	for (i = 0, sum = 0; i < n; i++)
		if (!strcmp(l[i].name, "str"))
			sum += l[i].size;
	str = must_find(l, n, "str");
	assert_int_equal(str->var_off, 0);
	assert_int_equal(sum, 16);
	free(l);

	/* what is given back comes again */
	dwarf_locals_done(d);
	l = NULL;
	ok(dwarf_locals(d, (uint64_t)fact("pc") - 1, &l, &n));
	must_find(l, n, "big");
	assert_int_equal(must_find(l, n, "names")->cfa_off, 8);
	free(l);

	/* a block's variables end with it, though their lists go on to the function's end */
	l = NULL;
	ok(dwarf_locals(d, (uint64_t)fact("pc-other") - 1, &l, &n));
	assert_null(find(l, n, "inner"));
	assert_null(find(l, n, "inl"));
	must_find(l, n, "other");
	must_find(l, n, "big");
	free(l);
	l = NULL;
	ok(dwarf_locals(d, (uint64_t)fact("pc-inlined") - 1, &l, &n));
	assert_null(find(l, n, "other"));
	assert_string_equal(must_find(l, n, "inl")->func, "main.inlined");
	if (fact("entry inlined") == fact("entry work")) /* go1.17 does not inline it */
		assert_string_equal(must_find(l, n, "big")->func, "main.work");
	else
		assert_true(minor < 20);
	free(l);

	/* at the entry nothing but spill slots and registers; unknown pcs have nothing */
	l = NULL;
	ok(dwarf_locals(d, (uint64_t)fact("entry work"), &l, &n));
	assert_null(find(l, n, "big"));
	assert_null(find(l, n, "x"));
	assert_null(find(l, n, "esc"));
	free(l);
	l = NULL;
	ok(dwarf_locals(d, 0x10, &l, &n));
	assert_int_equal(n, 0);
	free(l);
}

static void check_captures(struct dwarf *d, int minor)
{
	static const struct {
		const char *name;
		bool by_ref;
		int kind;
	} want[] = { { "a", false, 2 }, { "b", false, 24 }, { "c", false, 22 }, { "e", true, 22 } };
	struct dwarf_capture *c = NULL;
	size_t n, i, k;
	char key[64];

	ok(dwarf_captures(d, (uint64_t)fact("closure"), &c, &n));
	assert_int_equal(n, 4);
	for (k = 0; k < 4; k++) {
		for (i = 0; i < n && strcmp(c[i].name, want[k].name); i++)
			;
		assert_true(i < n);
		snprintf(key, sizeof(key), "capture %s", want[k].name);
		if (minor >= 23) /* before, the order of the fields is not known for sure */
			assert_int_equal(c[i].offset, fact(key));
		assert_int_equal(c[i].by_ref, want[k].by_ref);
		assert_int_equal(type_of(d, c[i].type).go_kind, want[k].kind);
	}
	free(c);
	c = NULL;
	ok(dwarf_captures(d, (uint64_t)fact("closure") + 1, &c, &n)); /* no entry */
	assert_int_equal(n, 0);
	free(c);
}

static void check_exe(const char *path, int minor)
{
	struct elf *e;
	struct dwarf *d;

	ok(elf_open(path, &e));
	ok(dwarf_create(e, &d));
	check_types(d);
	check_globals(d, e);
	check_locals(d, minor);
	check_captures(d, minor);
	dwarf_destroy(d);
	elf_destroy(e);
}

static void test_releases(void **state)
{
	static const char *const flags[] = { "", "-ldflags=-compressdwarf=false" };

	for (int i = 0; i < NRELEASES; i++) {
		for (int k = 0; k < 2; k++) {
			char path[512];

			if (!go_build(go_releases[i], "", flags[k], source, "d", path,
				      sizeof(path)))
				continue;
			facts = go_output(go_releases[i], "./d");
			check_exe(path, atoi(go_releases[i] + 2));
			free(facts);
		}
	}
}

static void test_stripped(void **state)
{
	char path[512];
	struct elf *e;
	struct dwarf *d = NULL;
	struct err *err;

	if (!go_build("1.26.8", "", "-ldflags=\"-s -w\"", source, "s", path, sizeof(path)))
		return;
	ok(elf_open(path, &e));
	err = dwarf_create(e, &d);
	assert_true(err_is(err, ERR_NODEBUG));
	err_destroy(err);
	assert_null(d);
	elf_destroy(e);
}

/* ------------------------------------------------------------------ damaged */

static void use_type(struct dwarf *d, uint64_t die)
{
	struct dwarf_member *m = NULL;
	struct dwarf_type t;
	struct err *err = dwarf_type(d, die, &t);
	size_t n = 0;

	if (!err) {
		if (t.name[0])
			err_destroy(dwarf_type_by_name(d, t.name, &die));
		err_destroy(dwarf_type_by_runtime(d, t.go_runtime_type, &die));
	}
	err_destroy(err);
	err = dwarf_members(d, die, &m, &n);
	for (size_t i = 0; !err && i < n; i++)
		err = dwarf_type(d, m[i].type, &t);
	err_destroy(err);
	free(m);
}

static void use_pc(struct dwarf *d, uint64_t pc)
{
	struct dwarf_local *l = NULL;
	struct dwarf_capture *c = NULL;
	struct err *err = dwarf_locals(d, pc, &l, &(size_t){ 0 });
	uint64_t type;

	if (!err)
		free(l);
	err_destroy(err);
	err = dwarf_captures(d, pc, &c, &(size_t){ 0 });
	if (!err)
		free(c);
	err_destroy(err);
	err = dwarf_first_param(d, pc, &type);
	if (!err && type)
		use_type(d, type);
	err_destroy(err);
}

/* Everything the API does, on whatever is there; whether names are to be had at all. */
static bool use_all(const char *path)
{
	static const char *const functions[] = { "main.work",          "main.work.func1",
						 "main.capture.func1", "main.main",
						 "runtime.mallocgc",   "fmt.(*pp).doPrintf" };
	static const char *const types[] = { "runtime.g", "runtime.mheap", "main.Order", "error",
					     "map[string]*main.Order" };
	const struct dwarf_var *v;
	struct elf *e = NULL;
	struct dwarf *d = NULL;
	struct err *err = elf_open(path, &e);
	uint64_t die, off, size, lo;
	size_t n = 0, i;
	bool ret;

	if (!err)
		err = dwarf_create(e, &d);
	if (!err)
		err = dwarf_globals(d, &v, &n);
	ret = !err;
	for (i = 0; ret && i < n; i += 1 + n / 64)
		use_type(d, v[i].type);
	for (i = 0; ret && i < sizeof(types) / sizeof(*types); i++) {
		ok(dwarf_type_by_name(d, types[i], &die));
		use_type(d, die);
	}
	for (i = 0; ret && i < sizeof(functions) / sizeof(*functions); i++)
		if (elf_symbol(e, functions[i], &lo, &size))
			for (off = 0; off < size; off += off < 16 ? 4 : 1 + size / 32)
				use_pc(d, lo + off);
	err_destroy(err);
	dwarf_destroy(d);
	elf_destroy(e);
	return ret;
}

static void keep_crash(const char *file, const char *what, int k, int status)
{
	char cmd[2048];

	snprintf(cmd, sizeof(cmd), "cp %s %s/crash-%s-%d", file,
		 getenv("KEEP") ? getenv("KEEP") : go_dir, what, k);
	if (system(cmd))
		print_error("could not keep the file\n");
	print_error("%s: mutation %d: %s %d\n", what, k, WIFSIGNALED(status) ? "signal" : "exit",
		    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

enum { NAMES, NO_NAMES, CRASHED };

/* What becomes of use_all() in a process of its own, for 20 seconds at most. */
static int use_forked(const char *file, const char *what, int k)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		alarm(20);
		_exit(use_all(file) ? NAMES : NO_NAMES);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) <= NO_NAMES)
		return WEXITSTATUS(status);
	keep_crash(file, what, k, status);
	return CRASHED;
}

/*
 * Mutations, `each` of every .debug_* section by itself: 1 to 6 bytes, half of them at its
 * beginning, where headers are; every tenth file is cut, too.  Sections that only lists are in must
 * not cost the names.
 */
static void mutate(const char *release, const char *flags, int each)
{
	const struct elf_section *secs;
	char path[512], bad[512];
	unsigned char *orig, *bytes;
	size_t len, nsecs, mutated = 0;
	struct elf *e;

	if (!go_build(release, "", flags, source, "m", path, sizeof(path)))
		return;
	orig = read_file(path, &len);
	bytes = malloc(len);
	assert_non_null(bytes);
	ok(elf_open(path, &e));
	nsecs = elf_sections(e, &secs);
	snprintf(bad, sizeof(bad), "%s/mutated", go_dir);
	srand(getenv("SEED") ? (unsigned)atoi(getenv("SEED")) : 7);
	assert_int_equal(use_forked(path, release, -1), NAMES);
	for (size_t i = 0; i < nsecs; i++) {
		const struct elf_section *s = &secs[i];
		char what[128];
		bool lists = strstr(s->name, "loc") || strstr(s->name, "rnglists") ||
			     strstr(s->name, "ranges");

		if ((strncmp(s->name, ".debug_", 7) && strncmp(s->name, ".zdebug_", 8)) || !s->size)
			continue;
		mutated++;
		snprintf(what, sizeof(what), "%s-%s", release, s->name);
		for (int k = 0; k < each; k++) {
			bool cut = k % 10 == 9;
			int rc;

			memcpy(bytes, orig, len);
			for (int n = 1 + rand() % 6; n; n--) {
				size_t span = rand() % 2 && s->size > 64 ? 64 : s->size;

				bytes[elf_section_offset(e, s) + (size_t)rand() % span] =
					(unsigned char)rand();
			}
			write_file(bad, bytes, cut ? (size_t)rand() % len : len);
			rc = use_forked(bad, what, k);
			assert_int_not_equal(rc, CRASHED);
			if (lists && !cut)
				assert_int_equal(rc, NAMES);
		}
	}
	assert_true(mutated >= 5);
	elf_destroy(e);
	free(orig);
	free(bytes);
}

static void test_damaged(void **state)
{
	int each = getenv("CASES") ? atoi(getenv("CASES")) : 15;

	mutate("1.26.8", "-ldflags=-compressdwarf=false", each);
	mutate("1.24.10", "-ldflags=-compressdwarf=false", each);
	mutate("1.26.8", "", each / 8); /* compressed: nearly all of it is noticed there */
	mutate("1.17.13", "", each / 8);
}

/* Compressed in a way that is not read: said so, and that is all. */
static void test_zstd(void **state)
{
	char path[512], bad[512];
	const struct elf_section *s;
	unsigned char *bytes;
	struct dwarf *d = NULL;
	struct elf *e;
	struct err *err;
	size_t len;

	if (!go_build("1.26.8", "", "", source, "z", path, sizeof(path)))
		return;
	ok(elf_open(path, &e));
	s = elf_section(e, ".debug_info");
	assert_true(s && s->compressed);
	bytes = read_file(path, &len);
	bytes[elf_section_offset(e, s)] = 2; /* ch_type: ELFCOMPRESS_ZSTD */
	elf_destroy(e);
	snprintf(bad, sizeof(bad), "%s/zstd", go_dir);
	write_file(bad, bytes, len);
	ok(elf_open(bad, &e));
	err = dwarf_create(e, &d);
	assert_true(err_is(err, ERR_NODEBUG));
	assert_non_null(strstr(err->msg, "zstd"));
	assert_non_null(strstr(err->msg, "objcopy"));
	err_destroy(err);
	elf_destroy(e);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_releases),
		cmocka_unit_test(test_stripped),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_zstd),
	};

	return cmocka_run_group_tests_name("dwarf", tests, go_setup, go_teardown);
}
