/*
 * A container's id is in its processes' cgroup; by that its runtime keeps what it was started with,
 * the profile among it.  Names are used again, and what is left of a dead container lies about: so
 * the first process that the runtime has noted must be there, in the same cgroup, and have been
 * started when it says.
 *
 * A filter that the process has set itself is counted in Seccomp_filters, and no file tells of it.
 */
#include "target/seccomp.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "rsp/rsp.h"
#include "target/cgroup.h"
#include "target/oci_profile.h"
#include "target/process_start.h"

enum { ID_MAX = 128 };

DEFINE_CLEANUP(oci_profile_destroy, struct oci_profile *)

#define BY_CONSENT "; --fork=seccomp goes on all the same (docs/FORK.md)"

/* ------------------------------------------------------------------ where runtimes keep it */

/* pid_file: where the first process is noted, if the file itself does not say. */
static const struct place {
	const char *before, *after, *pid_file;
} places[] = {
	/* runc's, by whoever calls it: podman and CRI-O, Docker, containerd */
	{ "/run/runc/", "/state.json", NULL },
	{ "/run/docker/runtime-runc/moby/", "/state.json", NULL },
	{ "/run/containerd/runc/k8s.io/", "/state.json", NULL },
	{ "/run/containerd/runc/moby/", "/state.json", NULL },
	{ "/run/containerd/runc/default/", "/state.json", NULL },
	/* containerd's bundles (also Docker's, nerdctl's, k3s's), whatever the runtime */
	{ "/run/containerd/io.containerd.runtime.v2.task/k8s.io/", "/config.json", "/init.pid" },
	{ "/run/containerd/io.containerd.runtime.v2.task/moby/", "/config.json", "/init.pid" },
	{ "/run/containerd/io.containerd.runtime.v2.task/default/", "/config.json", "/init.pid" },
	{ "/run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/", "/config.json",
	  "/init.pid" },
	/* CRI-O's and podman's */
	{ "/run/containers/storage/overlay-containers/", "/userdata/config.json",
	  "/userdata/pidfile" },
	{ "/var/lib/containers/storage/overlay-containers/", "/userdata/config.json", NULL },
};

/* podman has the pid elsewhere than the rest. */
static const char podman_pid[] = "/run/containers/storage/overlay-containers/";

/* The container's id: 64 hex digits in the path of the cgroup, else its last part. */
static bool container_id(const char *path, char id[ID_MAX])
{
	const char *last = strrchr(path, '/');
	size_t len;

	for (const char *s = path; *s; s += len ? len : 1) {
		len = strspn(s, "0123456789abcdef");
		if (len == 64) {
			memcpy(id, s, len);
			id[len] = 0;
			return true;
		}
	}
	last = last ? last + 1 : path;
	len = strlen(last);
	if (!len || len >= ID_MAX || !strcmp(last, "..") || !strcmp(last, "."))
		return false;
	memcpy(id, last, len + 1);
	return true;
}

static struct err *read_cgroup(struct rsp *rsp, uint64_t pid, struct buf *text, bool *found)
{
	return rsp_file_text(rsp, text, found, "/proc/%" PRIu64 "/cgroup", pid);
}

/* Is the container whose first process was `first` the one that the process is in? */
static struct err *same_container(struct rsp *rsp, uint64_t pid, uint64_t first, uint64_t start,
				  bool *ret)
{
	_cleanup_buf_ struct buf ours = BUF_INIT, its = BUF_INIT;
	uint64_t t;
	bool found;

	*ret = false;
	TRY(read_cgroup(rsp, first, &its, &found));
	if (!found)
		return NULL;
	TRY(read_cgroup(rsp, pid, &ours, &found));
	if (!found || strcmp((const char *)ours.data, (const char *)its.data) != 0)
		return NULL;
	TRY(process_start(rsp, first, &t));
	*ret = !start || t == start;
	return NULL;
}

static struct err *first_process(struct rsp *rsp, const struct place *p, const char *id,
				 uint64_t *ret)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	bool found;

	TRY(rsp_file_text(rsp, &text, &found, "%s%s%s", p->pid_file ? p->before : podman_pid, id,
			  p->pid_file ? p->pid_file : "/userdata/pidfile"));
	*ret = found ? strtoull((const char *)text.data, NULL, 10) : 0;
	return NULL;
}

/* *ret stays NULL where there is no such file, or it is about another container. */
static struct err *read_place(struct rsp *rsp, const struct place *p, const char *id, uint64_t pid,
			      struct buf *path, struct oci_profile **ret)
{
	_cleanup_(cleanup_oci_profile_destroy) struct oci_profile *profile = NULL;
	_cleanup_buf_ struct buf text = BUF_INIT;
	uint64_t first;
	struct err *err;
	bool found, same;

	buf_reset(path);
	TRY(buf_addf(path, "%s%s%s", p->before, id, p->after));
	TRY(rsp_file_text(rsp, &text, &found, "%s", (const char *)path->data));
	if (!found)
		return NULL;
	err = oci_profile_parse((const char *)text.data, strlen((const char *)text.data), &profile);
	if (err_catch(&err, ERR_BADDATA) || err_catch(&err, ERR_LIMIT))
		return NULL;
	TRY(err);
	first = oci_profile_pid(profile);
	if (!first)
		TRY(first_process(rsp, p, id, &first));
	if (!first)
		return NULL;
	TRY(same_container(rsp, pid, first, oci_profile_start(profile), &same));
	if (same)
		*ret = TAKE_PTR(profile);
	return NULL;
}

/* *ret stays NULL where none is to be found. */
static struct err *find_profile(struct rsp *rsp, uint64_t pid, struct buf *path,
				struct oci_profile **ret)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	const char *cgroup;
	char id[ID_MAX];
	bool found, v2;

	TRY(read_cgroup(rsp, pid, &text, &found));
	cgroup = found ? cgroup_path((char *)text.data, "freezer", &v2) : NULL;
	if (!cgroup || !container_id(cgroup, id))
		return NULL;
	for (size_t i = 0; i < sizeof(places) / sizeof(*places) && !*ret; i++)
		TRY(read_place(rsp, &places[i], id, pid, path, ret));
	return NULL;
}

/* ------------------------------------------------------------------ what it says */

/* What rsp/inject.h has the process, the middle and the snapshot call.  The first is the leap: it
 * is the process's own thread that makes it, before anything was tried. */
static const struct needed {
	const char *call;
	uint64_t args[6];
	bool may_fail;
} needed[] = {
	{ "clone", { 0x4500 }, false }, /* CLONE_VM | CLONE_VFORK | CLONE_FILES */
	{ "clone", { 0x411 }, false },  /* CLONE_FILES | SIGCHLD */
	{ "wait4", { UINT64_MAX, 0, 0x40000001 }, false },
	{ "wait4", { 1, 0, 0x40000000 }, false },
	{ "waitid", { 0, 0, 0, 0x0100000f, 1 }, false },
	{ "exit", { 111 }, false },
	{ "rt_sigaction", { 5, 0, 0, 8 }, false },
	{ "close_range", { 0, UINT32_MAX, 2 }, true },
	{ "alarm", { 1 }, true },
};

/* NULL: all is allowed. */
static const struct needed *not_allowed(const struct oci_profile *p)
{
	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++) {
		const struct needed *n = &needed[i];
		enum oci_action a = oci_profile_action(p, n->call, n->args);

		if (a != OCI_ALLOW && !(n->may_fail && a == OCI_ERRNO))
			return n;
	}
	return NULL;
}

static struct err *by_consent(struct buf *evidence)
{
	return buf_addstr(evidence,
			  "forked under a seccomp filter by --fork=seccomp: its profile is "
			  "not known, each call was tried first");
}

static struct err *check_profile(const struct oci_profile *p, const char *path, bool consent,
				 bool *known, struct buf *evidence)
{
	const struct needed *n;

	if (!oci_profile_there(p) && consent)
		return by_consent(evidence);
	if (!oci_profile_there(p))
		return err_create(ERR_UNSUPPORTED,
				  "a seccomp filter is on, which is not its container's: %s has "
				  "none%s",
				  path, BY_CONSENT);
	n = not_allowed(p);
	*known = !n;
	if (!n)
		return buf_addf(evidence,
				"forked under a seccomp filter: its container's profile (%s) "
				"allows the calls, and each was tried first",
				path);
	if (consent && n != needed)
		return buf_addf(evidence,
				"forked under a seccomp filter by --fork=seccomp, although the "
				"profile %s does not allow %s for certain: each call was tried "
				"first",
				path, n->call);
	if (n == needed && oci_profile_action(p, n->call, n->args) == OCI_OTHER)
		return err_create(ERR_UNSUPPORTED,
				  "the seccomp profile %s may kill the process for %s", path,
				  n->call);
	return err_create(ERR_UNSUPPORTED, "the seccomp profile %s does not allow %s", path,
			  n->call);
}

static uint64_t status_field(const struct buf *text, const char *name)
{
	const char *s = text_field((const char *)text->data, name);

	return s ? strtoull(s, NULL, 10) : 0;
}

struct err *seccomp_check(struct rsp *rsp, uint64_t pid, bool consent, bool *known,
			  struct buf *evidence)
{
	_cleanup_(cleanup_oci_profile_destroy) struct oci_profile *profile = NULL;
	_cleanup_buf_ struct buf text = BUF_INIT, path = BUF_INIT;
	uint64_t mode, filters;
	bool found;

	buf_reset(evidence);
	*known = false;
	TRY(rsp_file_text(rsp, &text, &found, "/proc/%" PRIu64 "/status", pid));
	mode = found ? status_field(&text, "Seccomp:") : 0;
	filters = found ? status_field(&text, "Seccomp_filters:") : 0;
	if (!mode)
		return NULL;
	if (mode != 2)
		return err_create(ERR_UNSUPPORTED, "seccomp's strict mode is on");
	if (filters != 1)
		return err_create(ERR_UNSUPPORTED,
				  filters ? "%" PRIu64 " seccomp filters are on, of which not all "
					    "can be known" :
					    "a seccomp filter is on, and the kernel does not say "
					    "how many (%" PRIu64 ")",
				  filters);
	TRY(find_profile(rsp, pid, &path, &profile));
	if (profile)
		return check_profile(profile, (const char *)path.data, consent, known, evidence);
	if (consent)
		return by_consent(evidence);
	return err_create(ERR_UNSUPPORTED,
			  "a seccomp filter is on, and its container's profile cannot be read "
			  "through the stub: it could kill the process for the calls%s",
			  BY_CONSENT);
}
