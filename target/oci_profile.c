/*
 * Both kinds of file have the same rules: a list of names, or one, an action, conditions on
 * arguments.  The specification spells actions and comparisons by libseccomp's names, runc numbers
 * them.
 *
 * All conditions of a rule must hold; but runc makes a rule of each if two are about one argument.
 * Where several rules fit, and differ, libseccomp's choice depends on their order, and nothing is
 * said here.
 */
#include "target/oci_profile.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

enum { JSON_DEPTH = 32, ARGS = 6 };

struct oci_profile {
	struct json_object *root;
	struct json_object *seccomp; /* in root; NULL: none */
	uint64_t pid, start;
};

DEFINE_CLEANUP(json_tokener_free, struct json_tokener *)
DEFINE_CLEANUP(oci_profile_destroy, struct oci_profile *)

/* A member by either name; NULL: there is none, or it is null. */
static struct json_object *member(const struct json_object *o, const char *name, const char *other)
{
	struct json_object *v = NULL;

	if (!json_object_is_type(o, json_type_object))
		return NULL;
	if (!json_object_object_get_ex(o, name, &v) && other)
		json_object_object_get_ex(o, other, &v);
	return v;
}

static uint64_t number(const struct json_object *o)
{
	return json_object_is_type(o, json_type_int) ? json_object_get_uint64(o) : 0;
}

static size_t length(const struct json_object *o)
{
	return json_object_is_type(o, json_type_array) ? json_object_array_length(o) : 0;
}

void oci_profile_destroy(struct oci_profile *p)
{
	if (!p)
		return;
	json_object_put(p->root);
	free(p);
}

struct err *oci_profile_parse(const char *text, size_t len, struct oci_profile **ret)
{
	_cleanup_(cleanup_json_tokener_free) struct json_tokener *tok =
		json_tokener_new_ex(JSON_DEPTH);
	_cleanup_(cleanup_oci_profile_destroy) struct oci_profile *p = calloc(1, sizeof(*p));
	struct json_object *in;

	if (!p || !tok)
		return err_nomem();
	if (len > INT32_MAX)
		return err_create(ERR_LIMIT, "a container's description is too long");
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT);
	p->root = json_tokener_parse_ex(tok, text, (int)len);
	if (!json_object_is_type(p->root, json_type_object))
		return err_create(ERR_BADDATA, "no JSON object");
	/* runc's state has it in config, the specification's in linux. */
	in = member(p->root, "config", "linux");
	if (!in)
		return err_create(ERR_BADDATA, "no container's description");
	p->seccomp = member(in, "seccomp", NULL);
	p->pid = number(member(p->root, "init_process_pid", NULL));
	p->start = number(member(p->root, "init_process_start", NULL));
	*ret = TAKE_PTR(p);
	return NULL;
}

bool oci_profile_there(const struct oci_profile *p)
{
	return json_object_is_type(p->seccomp, json_type_object);
}

uint64_t oci_profile_pid(const struct oci_profile *p)
{
	return p->pid;
}

uint64_t oci_profile_start(const struct oci_profile *p)
{
	return p->start;
}

/* ------------------------------------------------------------------ rules */

/* runc's numbers are the places in these lists, from 1. */
static int word(const struct json_object *o, const char *const *words, int n)
{
	const char *s;

	if (json_object_is_type(o, json_type_int)) {
		int64_t v = json_object_get_int64(o);

		return v >= 1 && v <= n ? (int)v : 0;
	}
	if (!json_object_is_type(o, json_type_string))
		return 0;
	s = json_object_get_string((struct json_object *)o);
	for (int i = 0; i < n; i++) {
		if (!strcmp(s, words[i]))
			return i + 1;
	}
	return 0;
}

static enum oci_action action(const struct json_object *o)
{
	static const char *const words[] = { "SCMP_ACT_KILL",  "SCMP_ACT_ERRNO", "SCMP_ACT_TRAP",
					     "SCMP_ACT_ALLOW", "SCMP_ACT_TRACE", "SCMP_ACT_LOG" };

	switch (word(o, words, 6)) {
	case 2:
		return OCI_ERRNO;
	case 4:
	case 6: /* allowed, and written to the log */
		return OCI_ALLOW;
	default:
		return OCI_OTHER;
	}
}

/* Does one condition hold?  What is not understood does not: *odd. */
static bool holds(const struct json_object *c, const uint64_t args[ARGS], bool *odd)
{
	static const char *const words[] = { "SCMP_CMP_EQ",       "SCMP_CMP_NE", "SCMP_CMP_GT",
					     "SCMP_CMP_GE",       "SCMP_CMP_LT", "SCMP_CMP_LE",
					     "SCMP_CMP_MASKED_EQ" };
	uint64_t index = number(member(c, "index", NULL)), v = number(member(c, "value", NULL));
	uint64_t two = number(member(c, "valueTwo", "value_two"));
	uint64_t arg = index < ARGS ? args[index] : 0;
	int op = index < ARGS ? word(member(c, "op", NULL), words, 7) : 0;

	switch (op) {
	case 1:
		return arg == v;
	case 2:
		return arg != v;
	case 3:
		return arg > v;
	case 4:
		return arg >= v;
	case 5:
		return arg < v;
	case 6:
		return arg <= v;
	case 7:
		return (arg & v) == two;
	default:
		*odd = true;
		return false;
	}
}

static bool names_call(const struct json_object *rule, const char *call)
{
	const struct json_object *names = member(rule, "names", NULL);
	struct json_object *one = member(rule, "name", NULL);

	if (json_object_is_type(one, json_type_string) &&
	    !strcmp(json_object_get_string(one), call))
		return true;
	for (size_t i = 0; i < length(names); i++) {
		struct json_object *s = json_object_array_get_idx(names, i);

		if (json_object_is_type(s, json_type_string) &&
		    !strcmp(json_object_get_string(s), call))
			return true;
	}
	return false;
}

static bool rule_fits(const struct json_object *rule, const uint64_t args[ARGS], bool *odd)
{
	const struct json_object *list = member(rule, "args", NULL);
	unsigned seen[ARGS] = { 0 };
	size_t n = length(list), held = 0;
	bool twice = false;

	for (size_t i = 0; i < n; i++) {
		const struct json_object *c = json_object_array_get_idx(list, i);
		uint64_t index = number(member(c, "index", NULL));

		held += holds(c, args, odd);
		twice = twice || (index < ARGS && seen[index]++);
	}
	return twice ? held > 0 : held == n;
}

enum oci_action oci_profile_action(const struct oci_profile *p, const char *call,
				   const uint64_t args[ARGS])
{
	const struct json_object *rules = member(p->seccomp, "syscalls", NULL);
	enum oci_action ret = OCI_OTHER;
	bool fits = false, odd = false;

	for (size_t i = 0; i < length(rules); i++) {
		const struct json_object *rule = json_object_array_get_idx(rules, i);
		enum oci_action a;

		if (!names_call(rule, call) || !rule_fits(rule, args, &odd))
			continue;
		a = action(member(rule, "action", NULL));
		odd = odd || (fits && a != ret);
		ret = a;
		fits = true;
	}
	if (odd)
		return OCI_OTHER;
	return fits ? ret : action(member(p->seccomp, "defaultAction", "default_action"));
}
