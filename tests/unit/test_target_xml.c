/*
 * rsp/target_xml against descriptions no stub should send.  Those that stubs do send, QEMU's
 * sloppy ones too, are in test_rsp.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rsp/target_xml.h"
#include "tests/unit/check.h"

#define LEN(a) (sizeof(a) / sizeof(*(a)))

static struct err *fetch_one(void *arg, const char *name, struct buf *ret)
{
	return buf_addstr(ret, arg);
}

static void test_xml_hostile(void **state)
{
	static const char *const refused[] = {
		"",
		"<target>",
		"<target></wrong>",
		"<target><xi:include href=\"target.xml\"/></target>",
		"<target><xi:include/></target>",
		"<target><reg name=\"a\" bitsize=\"4000000000\"/></target>",
		"<target><reg name=\"a\" bitsize=\"-8\"/></target>",
		"<target><reg name=\"a\" bitsize=\"7\"/></target>",
		"<target><reg name=\"a\"/></target>",
		"<target><reg bitsize=\"8\"/></target>",
		"<target><reg name=\"a\" bitsize=\"8\" regnum=\"99999999999999999999\"/></target>",
		"<target><reg name=\"a\" bitsize=\"8\" regnum=\"1\"/><reg name=\"b\" bitsize=\"8\" "
		"regnum=\"1\"/></target>",
		"<!DOCTYPE t [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">"
		"<!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;\">]><t>&c;</t>",
		"<!DOCTYPE t [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><t>&x;</t>",
	};
	struct target_xml x = { 0 };
	struct buf deep = BUF_INIT;
	struct err *err;

	for (size_t i = 0; i < LEN(refused); i++) {
		err = target_xml_read(&x, fetch_one, (void *)refused[i]);
		if (!err)
			fail_msg("taken: %s", refused[i]);
		err_destroy(err);
		assert_int_equal(x.regs.n, 0);
	}
	for (int i = 0; i < 100000; i++)
		ok(buf_addstr(&deep, "<a>"));
	bad(target_xml_read(&x, fetch_one, deep.data), ERR_LIMIT);
	buf_reset(&deep);
	ok(buf_addstr(&deep, "<a>"));
	for (int i = 0; i < 10000; i++)
		ok(buf_addf(&deep, "<reg name=\"r%d\" bitsize=\"8\"/>", i));
	ok(buf_addstr(&deep, "</a>"));
	bad(target_xml_read(&x, fetch_one, deep.data), ERR_PROTO);
	buf_deinit(&deep);
	/* A name longer than anyone's is cut, and no harm done. */
	ok(target_xml_read(&x, fetch_one,
			   (void *)"<t><architecture>a</architecture><architecture>b</architecture>"
				   "<reg name=\"abcdefghijklmnopqrstuvwxyz\" bitsize=\"8\"/></t>"));
	assert_string_equal(x.arch, "a");
	assert_string_equal(x.regs.v[0].name, "abcdefghijklmnopqrstuvw");
	target_xml_deinit(&x);
}

/* As lldb-server has it: the order is not that of `g`, and registers overlap. */
static void test_xml_offsets(void **state)
{
	struct target_xml x = { 0 };

	ok(target_xml_read(
		&x, fetch_one,
		(void *)"<t><reg name=\"rax\" bitsize=\"64\" offset=\"80\" regnum=\"0\"/>"
			"<reg name=\"rsp\" bitsize=\"64\" offset=\"152\" regnum=\"1\"/>"
			"<reg name=\"eax\" bitsize=\"32\" offset=\"80\" regnum=\"2\"/></t>"));
	assert_int_equal(x.regs.n, 3);
	assert_int_equal(x.regs.v[0].offset, 80);
	assert_int_equal(x.regs.v[1].offset, 152);
	assert_int_equal(x.regs.v[2].offset, 80);
	target_xml_deinit(&x);
	bad(target_xml_read(&x, fetch_one,
			    (void *)"<t><reg name=\"a\" bitsize=\"8\" offset=\"-1\"/></t>"),
	    ERR_PROTO);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_xml_hostile),
		cmocka_unit_test(test_xml_offsets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
