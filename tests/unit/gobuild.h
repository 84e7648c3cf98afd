/*
 * For tests on real Go programs: builds one in a temporary directory with a given toolchain.
 * A toolchain that is not there (and cannot be fetched) is skipped, loudly.
 */
#ifndef GRF_TESTS_GOBUILD_H
#define GRF_TESTS_GOBUILD_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const go_releases[] = { "1.17.13", "1.22.12", "1.24.10", "1.26.8", "1.27.3" };
enum { NRELEASES = sizeof(go_releases) / sizeof(go_releases[0]) };

static char go_dir[256]; /* made by go_setup() */
/* a second package's directory and source; NULL: none */
static const char *go_package, *go_package_source;

static inline void write_file(const char *path, const void *p, size_t len)
{
	FILE *f = fopen(path, "wb");

	if (!f || fwrite(p, 1, len, f) != len || fclose(f))
		abort();
}

static inline int go_setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(go_dir, sizeof(go_dir), "%s/grf-test-XXXXXX", tmp ? tmp : "/tmp");
	return mkdtemp(go_dir) ? 0 : -1;
}

static inline int go_teardown(void **state)
{
	char cmd[512];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", go_dir);
	return system(cmd);
}

/* Runs `cd go_dir && ENV command`. */
static inline int go_sh(const char *release, const char *env, const char *command)
{
	char cmd[4096];

	snprintf(
		cmd, sizeof(cmd),
		"cd '%s' && GOTOOLCHAIN=go%s GOFLAGS=-mod=mod GOWORK=off CGO_ENABLED=0 %s sh -c '%s'",
		go_dir, release, env, command);
	return system(cmd);
}

static inline bool go_have(const char *release)
{
	if (!go_sh(release, "",
		   "go version 2>/dev/null | grep -q \"go$(echo $GOTOOLCHAIN | cut -c3-) \""))
		return true;
	fprintf(stderr, "*** SKIPPED: no Go toolchain %s ***\n", release);
	return false;
}

/* Writes source to a file and builds go_dir/NAME of it; false: skipped.  A failing build ends
 * the test. */
static inline bool go_build(const char *release, const char *env, const char *flags,
			    const char *source, const char *name, char *path, size_t cap)
{
	char cmd[1024], file[512];

	if (!go_have(release))
		return false;
	snprintf(path, cap, "%s/%s", go_dir, name);
	snprintf(
		cmd, sizeof(cmd),
		"rm -rf src; mkdir src; printf \"module example.com/prog\\n\\ngo 1.17\\n\" > src/go.mod");
	if (go_sh(release, env, cmd))
		abort();
	snprintf(file, sizeof(file), "%s/src/main.go", go_dir);
	write_file(file, source, strlen(source));
	if (go_package) {
		snprintf(cmd, sizeof(cmd), "mkdir src/%s", go_package);
		if (go_sh(release, env, cmd))
			abort();
		snprintf(file, sizeof(file), "%s/src/%s/x.go", go_dir, go_package);
		write_file(file, go_package_source, strlen(go_package_source));
	}
	snprintf(cmd, sizeof(cmd), "cd src && go build %s -o ../%s .", flags, name);
	if (go_sh(release, env, cmd))
		abort();
	return true;
}

/* The whole file, malloc'd. */
static inline unsigned char *read_file(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	unsigned char *p;
	long n;

	if (!f || fseek(f, 0, SEEK_END) || (n = ftell(f)) < 0 || fseek(f, 0, SEEK_SET))
		abort();
	p = malloc((size_t)n + 1);
	if (!p || fread(p, 1, (size_t)n, f) != (size_t)n)
		abort();
	p[n] = 0;
	fclose(f);
	*len = (size_t)n;
	return p;
}

/* What a command in go_dir prints, malloc'd, its last newline cut. */
static inline char *go_output(const char *release, const char *command)
{
	char cmd[2048], path[512];
	size_t len;
	char *s;

	snprintf(cmd, sizeof(cmd), "%s > output 2>&1", command);
	if (go_sh(release, "", cmd))
		abort();
	snprintf(path, sizeof(path), "%s/output", go_dir);
	s = (char *)read_file(path, &len);
	if (len && s[len - 1] == '\n')
		s[len - 1] = 0;
	return s;
}

#endif
