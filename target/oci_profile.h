/*
 * The seccomp profile that a container was started with, as its runtime has written it down: runc's
 * state.json, or the config.json of the OCI runtime specification.  Pure: what a profile says of a
 * call, as libseccomp makes a filter of it.
 *
 * Sources: opencontainers/runtime-spec, config-linux.md (seccomp); opencontainers/runc,
 * libcontainer/configs (Seccomp, its numbers); libseccomp's seccomp_rule_add(3).
 */
#ifndef GRF_TARGET_OCI_PROFILE_H
#define GRF_TARGET_OCI_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct oci_profile;

enum oci_action {
	OCI_OTHER, /* kills, traps, asks, or it cannot be told */
	OCI_ALLOW,
	OCI_ERRNO,
};

/* ERR_BADDATA: it is no such file. */
ERR_MUST_CHECK struct err *oci_profile_parse(const char *text, size_t len,
					     struct oci_profile **ret);
void oci_profile_destroy(struct oci_profile *p); /* NULL is fine */

/* false: the container has none. */
bool oci_profile_there(const struct oci_profile *p);
/* The container's first process, and when it was started (field 22 of /proc/PID/stat); 0: the file
 * does not say. */
uint64_t oci_profile_pid(const struct oci_profile *p);
uint64_t oci_profile_start(const struct oci_profile *p);

/* What becomes of a system call by this name. */
enum oci_action oci_profile_action(const struct oci_profile *p, const char *call,
				   const uint64_t args[6]);

#endif
