/*
 * target/oci_profile.c: what profiles of both spellings say of a call, and files that are none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "target/oci_profile.h"
#include "tests/unit/check.h"

static struct oci_profile *parse(const char *text)
{
	struct oci_profile *p = NULL;

	ok(oci_profile_parse(text, strlen(text), &p));
	return p;
}

static enum oci_action ask(const char *text, const char *call, uint64_t arg)
{
	struct oci_profile *p = parse(text);
	enum oci_action a = oci_profile_action(p, call, (const uint64_t[6]){ arg });

	oci_profile_destroy(p);
	return a;
}

/* The OCI specification's, with Docker's condition on clone. */
#define OCI(rules) \
	"{\"linux\":{\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[" rules "]}}}"
#define RULE(name, action, args) \
	"{\"names\":[\"other\",\"" name "\"],\"action\":\"" action "\"" args "}"
#define ARG(op, value, two) \
	"{\"index\":0,\"op\":\"" op "\",\"value\":" #value ",\"valueTwo\":" #two "}"

static void specification(void **state)
{
	static const char docker[] = OCI(RULE("wait4", "SCMP_ACT_ALLOW", "") "," RULE(
		"clone", "SCMP_ACT_ALLOW",
		",\"args\":[" ARG("SCMP_CMP_MASKED_EQ", 2114060288, 0) "]"));

	assert_int_equal(ask(docker, "wait4", 0), OCI_ALLOW);
	assert_int_equal(ask(docker, "other", 0), OCI_ALLOW);
	assert_int_equal(ask(docker, "waitid", 0), OCI_ERRNO);
	assert_int_equal(ask(docker, "wait", 0), OCI_ERRNO);
	assert_int_equal(ask(docker, "clone", 0x4500), OCI_ALLOW);
	assert_int_equal(ask(docker, "clone", 0x10000000 | 17), OCI_ERRNO); /* CLONE_NEWUSER */
}

static void actions(void **state)
{
	static const struct {
		const char *text;
		enum oci_action want;
	} rows[] = {
		{ OCI(RULE("x", "SCMP_ACT_LOG", "")), OCI_ALLOW },
		{ OCI(RULE("x", "SCMP_ACT_ERRNO", "")), OCI_ERRNO },
		{ OCI(RULE("x", "SCMP_ACT_KILL", "")), OCI_OTHER },
		{ OCI(RULE("x", "SCMP_ACT_KILL_PROCESS", "")), OCI_OTHER },
		{ OCI(RULE("x", "SCMP_ACT_TRAP", "")), OCI_OTHER },
		{ OCI(RULE("x", "SCMP_ACT_TRACE", "")), OCI_OTHER },
		{ OCI(RULE("x", "SCMP_ACT_NOTIFY", "")), OCI_OTHER },
		{ OCI(RULE("x", "SCMP_ACT_NEW", "")), OCI_OTHER },
		{ "{\"linux\":{\"seccomp\":{}}}", OCI_OTHER },
		{ "{\"linux\":{\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\"}}}", OCI_ALLOW },
		/* two that fit: the same, or nobody knows */
		{ OCI(RULE("x", "SCMP_ACT_ALLOW", "") "," RULE("x", "SCMP_ACT_ALLOW", "")),
		  OCI_ALLOW },
		{ OCI(RULE("x", "SCMP_ACT_ALLOW", "") "," RULE("x", "SCMP_ACT_KILL", "")),
		  OCI_OTHER },
		{ OCI(RULE("x", "SCMP_ACT_KILL", "") "," RULE("x", "SCMP_ACT_ALLOW", "")),
		  OCI_OTHER },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (ask(rows[i].text, "x", 0) != rows[i].want)
			fail_msg("%s", rows[i].text);
	}
}

static void comparisons(void **state)
{
	static const struct {
		const char *op;
		uint64_t yes, no;
	} rows[] = {
		{ "SCMP_CMP_EQ", 5, 4 }, { "SCMP_CMP_NE", 4, 5 }, { "SCMP_CMP_GT", 6, 5 },
		{ "SCMP_CMP_GE", 5, 4 }, { "SCMP_CMP_LT", 4, 5 }, { "SCMP_CMP_LE", 5, 6 },
	};
	char text[400];

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		snprintf(text, sizeof(text),
			 OCI(RULE("x", "SCMP_ACT_ALLOW",
				  ",\"args\":[{\"index\":0,\"value\":5,\"op\":\"%s\"}]")),
			 rows[i].op);
		assert_int_equal(ask(text, "x", rows[i].yes), OCI_ALLOW);
		assert_int_equal(ask(text, "x", rows[i].no), OCI_ERRNO);
		/* runc's numbers are in the same order, from 1. */
		snprintf(text, sizeof(text),
			 "{\"config\":{\"seccomp\":{\"default_action\":2,\"syscalls\":[{\"name\":"
			 "\"x\",\"action\":4,\"args\":[{\"index\":0,\"value\":5,\"op\":%d}]}]}}}",
			 (int)i + 1);
		assert_int_equal(ask(text, "x", rows[i].yes), OCI_ALLOW);
		assert_int_equal(ask(text, "x", rows[i].no), OCI_ERRNO);
	}
	/* All conditions hold; of two about one argument any does (runc's way). */
	assert_int_equal(ask(OCI(RULE("x", "SCMP_ACT_ALLOW",
				      ",\"args\":[" ARG("SCMP_CMP_EQ", 5,
							0) ",{\"index\":1,\"op\":"
							   "\"SCMP_CMP_EQ\",\"value\":1}]")),
			     "x", 5),
			 OCI_ERRNO);
	assert_int_equal(ask(OCI(RULE("x", "SCMP_ACT_ALLOW",
				      ",\"args\":[" ARG("SCMP_CMP_EQ", 5, 0) "," ARG("SCMP_CMP_EQ",
										     6, 0) "]")),
			     "x", 6),
			 OCI_ALLOW);
	/* A condition that is not understood. */
	assert_int_equal(
		ask(OCI(RULE("x", "SCMP_ACT_ALLOW", ",\"args\":[" ARG("SCMP_CMP_X", 5, 0) "]")),
		    "x", 5),
		OCI_OTHER);
}

static void runc_state(void **state)
{
	static const char text[] =
		"{\"init_process_pid\":1497,\"init_process_start\":335374,\"config\":{\"seccomp\":{"
		"\"default_action\":2,\"default_errno_ret\":38,\"syscalls\":[{\"name\":\"clone\","
		"\"action\":4,\"errnoRet\":null,\"args\":[]}]}}}";
	struct oci_profile *p = parse(text), *none = parse("{\"config\":{\"seccomp\":null}}");

	assert_int_equal(oci_profile_pid(p), 1497);
	assert_int_equal(oci_profile_start(p), 335374);
	assert_true(oci_profile_there(p));
	assert_false(oci_profile_there(none));
	assert_int_equal(ask(text, "clone", 0), OCI_ALLOW);
	assert_int_equal(ask(text, "wait4", 0), OCI_ERRNO);
	oci_profile_destroy(p);
	oci_profile_destroy(none);
}

/* Every beginning of a good file, nests, and members of other kinds. */
static void nonsense(void **state)
{
	static const char good[] =
		OCI(RULE("x", "SCMP_ACT_ALLOW", ",\"args\":[" ARG("SCMP_CMP_EQ", 5, 0) "]"));
	static const char *const odd[] = {
		"{\"linux\":{\"seccomp\":{\"syscalls\":[1,[],{\"names\":5,\"args\":7},{\"names\":[1],"
		"\"action\":[]},{\"name\":\"x\",\"args\":[1,{\"index\":-1},{\"index\":99}]}]}}}",
		"{\"linux\":{\"seccomp\":[]}}",
		"{\"linux\":{\"seccomp\":{\"syscalls\":{}}},\"init_process_pid\":\"1\"}",
	};
	static char deep[200000];
	struct oci_profile *p = NULL;

	for (size_t n = 0; n < sizeof(good) - 1; n++)
		bad(oci_profile_parse(good, n, &p), ERR_BADDATA);
	memset(deep, '[', sizeof(deep));
	bad(oci_profile_parse(deep, sizeof(deep), &p), ERR_BADDATA);
	memcpy(deep, "{\"linux\":", 9);
	bad(oci_profile_parse(deep, sizeof(deep), &p), ERR_BADDATA);
	bad(oci_profile_parse("{\"linux\":5", 10, &p), ERR_BADDATA);
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++)
		assert_int_equal(ask(odd[i], "x", 0), OCI_OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(specification), cmocka_unit_test(actions),
		cmocka_unit_test(comparisons),   cmocka_unit_test(runc_state),
		cmocka_unit_test(nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
