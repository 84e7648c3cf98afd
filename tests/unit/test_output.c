/*
 * The outputs of a small made-up profile: their bytes, and files that are whole or not there.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "base/buf.h"
#include "heap/profile/profile.h"
#include "output/output.h"
#include "output/profile.pb-c.h"
#include "tests/unit/check.h"

/* A directory of its own for every test, where nothing may stay behind. */
static char dir[64];

static int setup(void **state)
{
	strcpy(dir, "/tmp/grf-rsp-output.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static unsigned n_files(void)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2; /* . and .. */
}

static int teardown(void **state)
{
	char cmd[96];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd);
}

static const char *in_dir(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void expect_err(struct err *err, enum err_code code, const char *part)
{
	assert_non_null(err);
	if (err->code != code || !strstr(err->msg, part))
		fail_msg("error %d '%s'", err->code, err->msg);
	err_destroy(err);
}

/* Adds objects at "root\0frame\0...\0\0". */
static void add(struct profile *p, const char *path, uint64_t bytes, uint64_t objects)
{
	uint32_t at = 0;

	for (; *path; path += strlen(path) + 1)
		ok(profile_child(p, at, path, &at));
	p->nodes.v[at].bytes += bytes;
	p->nodes.v[at].objects += objects;
}

#define ODD "k\x01\xff\xc3\xa9;\n"
static void sample_profile(struct profile *p, struct report *r)
{
	ok(profile_init(p));
	add(p, "main.cache\0", 100, 1);
	add(p, "main.cache\0next. (*main.Node)\0", 200, 2);
	add(p, "main.cache\0next. (*main.Node)\0[10+]. (map[string]int)\0", 4096, 3);
	add(p, "main.(*T).run.x\0$mapval. (*github.com/a/b.Box[go.shape.int])\0", 50000, 4);
	add(p, "main.odd\0" ODD "\0", 7, 1);
	add(p, "main.nothing\0", 0, 0);
	*r = (struct report){
		.target = "localhost:2345",
		.exe = "/srv/orders",
		.version = "go1.26.8",
		.goarch = "amd64",
		.build_id = "0badcafe",
		.pid = 4242,
		.threads = 9,
		.goroutines = 1203,
		.live_bytes = 54403,
		.live_objects = 11,
		.unreachable_bytes = 16777216,
		.unreachable_objects = 2,
		.allocated_bytes = 54403 + 16777216,
		.allocated_objects = 13,
		.unnamed_bytes = 544,
		.stopped_ns = 412345678,
		.stopped_total_ns = 412345678,
		.stops = 1,
		.captured_bytes = 123456,
		.time_unix_ns = 1700000000123456789,
	};
}

static char *slurp(const char *path, size_t *len)
{
	struct buf b = BUF_INIT;
	gzFile f = gzopen(path, "rb"); /* reads plain files as well */
	char chunk[65536];
	int n;

	assert_non_null(f);
	while ((n = gzread(f, chunk, sizeof(chunk))) > 0)
		ok(buf_add(&b, chunk, (size_t)n));
	assert_int_equal(n, 0);
	assert_int_equal(gzclose(f), Z_OK);
	ok(buf_addstr(&b, ""));
	if (len)
		*len = b.len;
	return (char *)b.data;
}

static void write_file(const char *name, const struct profile *p, const struct report *r)
{
	struct output *o;

	ok(output_open(in_dir(name), &o));
	assert_int_equal(n_files(), 0);
	ok(output_write(o, p, r));
	output_destroy(o);
	assert_int_equal(n_files(), 1);
}

static void test_tree(void **state)
{
	struct profile p;
	uint32_t a, b, c;

	ok(profile_init(&p));
	assert_int_equal(p.nodes.n, 1);
	ok(profile_child(&p, 0, "a", &a));
	ok(profile_child(&p, a, "a", &b));
	ok(profile_child(&p, 0, "a", &c));
	assert_int_equal(a, c);
	assert_int_not_equal(a, b);
	assert_int_equal(p.nodes.v[b].depth, 2);
	assert_int_equal(p.nodes.v[b].parent, a);
	assert_int_equal(p.frames.n, 1);
	profile_deinit(&p);
}

static void test_folded(void **state)
{
	struct profile p;
	struct report r;
	char *text;

	sample_profile(&p, &r);
	write_file("a.folded", &p, &r);
	text = slurp(in_dir("a.folded"), NULL);
	assert_string_equal(text,
			    "main.cache 100\n"
			    "main.cache;next. (*main.Node) 200\n"
			    "main.cache;next. (*main.Node);[10+]. (map[string]int) 4096\n"
			    "main.(*T).run.x;$mapval. (*github.com/a/b.Box[go.shape.int]) 50000\n"
			    "main.odd;k??\xc3\xa9:  7\n");
	free(text);
	profile_deinit(&p);
}

static const char *str(const Pprof__Profile *pb, int64_t i)
{
	assert_in_range(i, 0, pb->n_string_table - 1);
	return pb->string_table[i];
}

static const char *location_name(const Pprof__Profile *pb, uint64_t id)
{
	for (size_t i = 0; i < pb->n_location; i++) {
		if (pb->location[i]->id != id)
			continue;
		/* or pprof looks for code there */
		assert_int_equal(pb->location[i]->mapping_id, 0);
		assert_int_equal(pb->location[i]->n_line, 1);
		for (size_t j = 0; j < pb->n_function; j++)
			if (pb->function[j]->id == pb->location[i]->line[0]->function_id)
				return str(pb, pb->function[j]->name);
	}
	fail_msg("no location %" PRIu64, id);
	return NULL;
}

static void test_pprof(void **state)
{
	struct profile p;
	struct report r;
	Pprof__Profile *pb;
	size_t len;
	char *raw;

	sample_profile(&p, &r);
	write_file("grf.out", &p, &r);
	raw = slurp(in_dir("grf.out"), &len);
	pb = pprof__profile__unpack(NULL, len, (uint8_t *)raw);
	assert_non_null(pb);
	assert_string_equal(str(pb, 0), "");
	assert_int_equal(pb->n_sample_type, 2);
	assert_string_equal(str(pb, pb->sample_type[0]->type), "inuse_objects");
	assert_string_equal(str(pb, pb->sample_type[0]->unit), "count");
	assert_string_equal(str(pb, pb->sample_type[1]->type), "inuse_space");
	assert_string_equal(str(pb, pb->sample_type[1]->unit), "bytes");
	assert_string_equal(str(pb, pb->default_sample_type), "inuse_space");
	assert_int_equal(pb->time_nanos, 1700000000123456789);
	assert_int_equal(pb->n_comment, 3);
	assert_string_equal(
		str(pb, pb->comment[0]),
		"live 53.1 KiB (54403 bytes, 11 objects) + unreachable 16.0 MiB (16777216 bytes, "
		"2 objects) = allocated 16.1 MiB (16831619 bytes, 13 objects); "
		"unnamed 544 bytes (1.00 %); reads failed 0");
	assert_string_equal(str(pb, pb->comment[1]), "grf-rsp " GRF_VERSION);
	assert_int_equal(pb->n_mapping, 1);
	assert_string_equal(str(pb, pb->mapping[0]->filename), "/srv/orders");
	assert_string_equal(str(pb, pb->mapping[0]->build_id), "0badcafe");

	/* Five nodes hold something; nothing names main.nothing. */
	assert_int_equal(pb->n_sample, 5);
	assert_int_equal(pb->n_function, 7);
	assert_int_equal(pb->n_location, 7);
	assert_int_equal(pb->sample[2]->n_value, 2);
	assert_int_equal(pb->sample[2]->value[0], 3);
	assert_int_equal(pb->sample[2]->value[1], 4096);
	assert_int_equal(pb->sample[2]->n_location_id, 3);
	assert_string_equal(location_name(pb, pb->sample[2]->location_id[0]),
			    "[10+]. (map[string]int)");
	assert_string_equal(location_name(pb, pb->sample[2]->location_id[1]), "next. (*main.Node)");
	assert_string_equal(location_name(pb, pb->sample[2]->location_id[2]), "main.cache");
	assert_string_equal(location_name(pb, pb->sample[4]->location_id[0]), "k??\xc3\xa9;?");
	for (size_t i = 0; i < pb->n_string_table; i++)
		assert_string_not_equal(pb->string_table[i], "main.nothing");
	pprof__profile__free_unpacked(pb, NULL);
	free(raw);
	profile_deinit(&p);
}

static char *file_bytes(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	char *s = malloc(1 << 20);

	assert_non_null(f);
	*len = fread(s, 1, 1 << 20, f);
	fclose(f);
	return s;
}

static void test_same_bytes(void **state)
{
	struct profile p;
	struct report r;
	char *a, *b;
	size_t na, nb;

	sample_profile(&p, &r);
	write_file("a", &p, &r);
	a = file_bytes(in_dir("a"), &na);
	assert_int_equal(unlink(in_dir("a")), 0);
	write_file("b", &p, &r);
	b = file_bytes(in_dir("b"), &nb);
	assert_int_equal(na, nb);
	assert_memory_equal(a, b, na);
	assert_memory_equal(a + 4, "\0\0\0\0", 4); /* gzip's MTIME */
	free(a);
	free(b);
	profile_deinit(&p);
}

static void test_summary(void **state)
{
	struct profile p;
	struct report r;
	char *text = NULL;
	size_t len;
	FILE *f;

	sample_profile(&p, &r);
	for (int i = 0; i < 12; i++) {
		char path[32];

		memset(path, 0, sizeof(path));
		snprintf(path, sizeof(path), "main.r%02d", i);
		add(&p, path, 10, 1);
	}
	ok(report_note(&r, "no debug information: names from %s", "runtime types"));
	ok(report_detail(&r, "detail \x1b[2J"));
	f = open_memstream(&text, &len);
	ok(output_summary(f, &p, &r, "my grf.out", false));
	fclose(f);
	assert_string_equal(
		text,
		"process      /srv/orders, pid 4242\n"
		"             go1.26.8 amd64, 9 threads, 1,203 goroutines\n"
		"build id     0badcafe\n"
		"coverage     live 53.1 KiB (54403 bytes, 11 objects) + unreachable 16.0 MiB "
		"(16777216 bytes, 2 objects) = allocated 16.1 MiB (16831619 bytes, 13 objects); "
		"unnamed 544 bytes (1.00 %); reads failed 0\n"
		"\n"
		"        live    share       objects  who keeps it\n"
		"    48.8 KiB   91.9 %             4  main.(*T).run.x\n"
		"     4.3 KiB    8.1 %             6  main.cache\n"
		"    10 bytes    0.0 %             1  main.r00\n"
		"    10 bytes    0.0 %             1  main.r01\n"
		"    10 bytes    0.0 %             1  main.r02\n"
		"    10 bytes    0.0 %             1  main.r03\n"
		"    10 bytes    0.0 %             1  main.r04\n"
		"    10 bytes    0.0 %             1  main.r05\n"
		"    10 bytes    0.0 %             1  main.r06\n"
		"    10 bytes    0.0 %             1  main.r07\n"
		"    47 bytes    0.1 %             5  (6 more roots)\n"
		"\n"
		"stopped      412 ms, 120.6 KiB read; it runs again\n"
		"note         no debug information: names from runtime types\n"
		"next         go tool pprof -http=:8080 'my grf.out'\n");
	free(text);
	report_deinit(&r);
	profile_deinit(&p);
}

/* -v: the details, cleaned, and the line for scripts.  The coverage line says what went wrong. */
static void test_verbose_summary(void **state)
{
	struct profile p;
	struct report r;
	char *text = NULL;
	size_t len;
	FILE *f;

	sample_profile(&p, &r);
	ok(report_detail(&r, "detail \x1b[2J"));
	r.allocated_bytes++;
	r.failed_reads = 3;
	r.failed_bytes = 64;
	r.goroutines_partial = 2;
	r.stops = 4;
	f = open_memstream(&text, &len);
	ok(output_summary(f, &p, &r, NULL, true));
	fclose(f);
	assert_non_null(strstr(text, "is NOT allocated 16.1 MiB (16831620 bytes"));
	assert_non_null(strstr(
		text, "reads failed 3 (64 bytes); 2 of 1203 goroutines not walked to their end\n"));
	assert_non_null(strstr(text, "\ndetail       detail ?[2J\n"));
	assert_non_null(strstr(
		text, "\ntotals: live_bytes=54403 live_objects=11 unreachable_bytes=16777216 "));
	assert_non_null(strstr(text, " allocated_bytes=16831620 "));
	assert_non_null(strstr(text, " failed_reads=3 "));
	assert_non_null(strstr(text, " goroutines=1203 goroutines_partial=2 stops=4 "));
	assert_null(strstr(text, "next "));
	free(text);
	report_deinit(&r);
	profile_deinit(&p);
}

static void test_txt_is_verbose_summary(void **state)
{
	struct profile p;
	struct report r;
	char *text;

	sample_profile(&p, &r);
	write_file("a.txt", &p, &r);
	text = slurp(in_dir("a.txt"), NULL);
	assert_non_null(strstr(text, "\ntotals: live_bytes=54403 "));
	free(text);
	profile_deinit(&p);
}

/* Found when it is opened, before anything is stopped. */
static void test_not_writable(void **state)
{
	struct output *o = NULL;

	expect_err(output_open(in_dir("no/such/dir/x"), &o), ERR_OS,
		   "no/such/dir/x': No such file");
	expect_err(output_open(dir, &o), ERR_OS, "Is a directory");
	expect_err(output_open(in_dir("new/"), &o), ERR_OS, "Is a directory");
	expect_err(output_open("", &o), ERR_OS, "No such file");
	expect_err(output_open("/proc/grf.out", &o), ERR_OS, "/proc/grf.out");
	if (geteuid()) { /* for root every file is writable */
		close(creat(in_dir("ro"), 0444));
		expect_err(output_open(in_dir("ro"), &o), ERR_OS, "Permission denied");
		unlink(in_dir("ro"));
		assert_int_equal(chmod(dir, 0555), 0);
		expect_err(output_open(in_dir("x"), &o), ERR_OS, "Permission denied");
		assert_int_equal(chmod(dir, 0755), 0);
	}
	assert_null(o);
	assert_int_equal(n_files(), 0);
	output_destroy(NULL);
}

static void test_abandoned(void **state)
{
	struct output *o;
	int status;
	pid_t pid;

	ok(output_open(in_dir("x"), &o));
	output_destroy(o);
	assert_int_equal(n_files(), 0);

	/* Where O_TMPFILE works even a killed process leaves nothing. */
	status = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	if (status < 0)
		return;
	close(status);
	pid = fork();
	if (pid == 0) {
		if (!output_open(in_dir("x"), &o))
			raise(SIGKILL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(n_files(), 0);
}

static struct err *write_word(void *word, FILE *f)
{
	return fputs(word, f) < 0 ? err_os(errno, "writing") : NULL;
}

/* A core has the process's memory: it is its owner's alone. */
static void test_modes(void **state)
{
	static const struct {
		const char *name;
		mode_t mode;
	} files[] = { { "m.core", 0600 }, { "m.folded", 0644 }, { "m.json", 0644 } };
	mode_t mask = umask(022);
	struct output *o;
	struct stat st;

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		ok(output_open(in_dir(files[i].name), &o));
		ok(output_fill(o, write_word, (void *)"x"));
		output_destroy(o);
		assert_int_equal(stat(in_dir(files[i].name), &st), 0);
		assert_int_equal(st.st_mode & 07777, files[i].mode);
		assert_int_equal(unlink(in_dir(files[i].name)), 0);
	}
	umask(mask);
}

static void test_replaces_old_file(void **state)
{
	struct profile p;
	struct report r;
	struct output *o;
	struct stat st;
	char *text;
	FILE *f;

	sample_profile(&p, &r);
	f = fopen(in_dir("old.folded"), "w");
	assert_non_null(f);
	fputs("old\n", f);
	fclose(f);
	assert_int_equal(chmod(in_dir("old.folded"), 0640), 0);
	assert_int_equal(symlink("old.folded", in_dir("link.folded")), 0);
	ok(output_open(in_dir("link.folded"), &o));
	text = slurp(in_dir("old.folded"), NULL);
	assert_string_equal(text, "old\n"); /* until the new one is whole */
	free(text);
	ok(output_write(o, &p, &r));
	output_destroy(o);
	text = slurp(in_dir("old.folded"), NULL);
	assert_int_equal(strncmp(text, "main.cache 100\n", 15), 0);
	free(text);
	assert_int_equal(lstat(in_dir("link.folded"), &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat(in_dir("old.folded"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(n_files(), 2);
	profile_deinit(&p);
}

static void big_profile(struct profile *p, unsigned chains, unsigned depth)
{
	char frame[64];

	ok(profile_init(p));
	for (unsigned c = 0; c < chains; c++) {
		uint32_t at = 0;

		snprintf(frame, sizeof(frame), "main.chain%u", c);
		for (unsigned d = 0; d < depth; d++) {
			ok(profile_child(p, at, d ? "next. (*main.Node)" : frame, &at));
			p->nodes.v[at].bytes = 16 + c;
			p->nodes.v[at].objects = 1;
		}
	}
}

/* A full disk: an error, the old file as it was, no temporary file. */
static void disk_full(const char *name)
{
	struct rlimit old, small = { 4096, 4096 };
	struct profile p;
	struct report r = { 0 };
	struct output *o;
	struct err *err;
	char *text;
	FILE *f;

	big_profile(&p, 20000, 2);
	f = fopen(in_dir(name), "w");
	assert_non_null(f);
	fputs("old\n", f);
	fclose(f);
	signal(SIGXFSZ, SIG_IGN);
	ok(output_open(in_dir(name), &o));
	getrlimit(RLIMIT_FSIZE, &old);
	small.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_FSIZE, &small);
	err = output_write(o, &p, &r);
	setrlimit(RLIMIT_FSIZE, &old);
	expect_err(err, ERR_OS, "File too large");
	output_destroy(o);
	text = slurp(in_dir(name), NULL);
	assert_string_equal(text, "old\n");
	free(text);
	assert_int_equal(n_files(), 1);
	profile_deinit(&p);
}

static void test_disk_full_pprof(void **state)
{
	disk_full("full.out");
}

static void test_disk_full_folded(void **state)
{
	disk_full("full.folded");
}

static void test_device(void **state)
{
	struct profile p;
	struct report r;
	struct output *o;
	struct stat st;

	sample_profile(&p, &r);
	ok(output_open("/dev/null", &o));
	ok(output_write(o, &p, &r));
	output_destroy(o);
	assert_int_equal(stat("/dev/null", &st), 0);
	assert_true(S_ISCHR(st.st_mode));
	ok(output_open("/dev/full", &o));
	expect_err(output_write(o, &p, &r), ERR_OS,
		   "cannot write '/dev/full': write: No space left");
	output_destroy(o);
	profile_deinit(&p);
}

/* A million nodes, 100 deep: seconds even under sanitizers, and no memory to speak of. */
static void test_big(void **state)
{
	struct rusage before, after;
	struct profile p;
	struct report r = { 0 };
	struct output *o;

	big_profile(&p, 10000, 100);
	getrusage(RUSAGE_SELF, &before);
	ok(output_open("/dev/null", &o));
	ok(output_write(o, &p, &r));
	output_destroy(o);
	ok(output_open(in_dir("x.folded"), &o));
	ok(output_write(o, &p, &r));
	output_destroy(o);
	getrusage(RUSAGE_SELF, &after);
	assert_in_range(after.ru_maxrss - before.ru_maxrss, 0, 20 << 10); /* KB */
	profile_deinit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree),
		cmocka_unit_test_setup_teardown(test_folded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pprof, setup, teardown),
		cmocka_unit_test_setup_teardown(test_same_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_summary, setup, teardown),
		cmocka_unit_test_setup_teardown(test_verbose_summary, setup, teardown),
		cmocka_unit_test_setup_teardown(test_txt_is_verbose_summary, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_writable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_abandoned, setup, teardown),
		cmocka_unit_test_setup_teardown(test_modes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replaces_old_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_disk_full_pprof, setup, teardown),
		cmocka_unit_test_setup_teardown(test_disk_full_folded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_device, setup, teardown),
		cmocka_unit_test_setup_teardown(test_big, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
