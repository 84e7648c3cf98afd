/*
 * Errors are allocated one by one, but for the one that says that there is no memory: it is static,
 * so that running out of memory can always be reported.
 */
#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char nomem_msg[] = "out of memory";
static struct err nomem = { .code = ERR_NOMEM, .msg = nomem_msg };

struct err *err_nomem(void)
{
	return &nomem;
}

static struct err *err_vcreate(enum err_code code, uint64_t addr, const char *fmt, va_list ap)
{
	struct err *err = malloc(sizeof(*err));

	if (!err)
		return &nomem;
	err->code = code;
	err->addr = addr;
	if (vasprintf(&err->msg, fmt, ap) < 0) {
		free(err);
		return &nomem;
	}
	return err;
}

struct err *err_create(enum err_code code, const char *fmt, ...)
{
	va_list ap;
	struct err *err;

	va_start(ap, fmt);
	err = err_vcreate(code, 0, fmt, ap);
	va_end(ap);
	return err;
}

struct err *err_os(int errnum, const char *fmt, ...)
{
	va_list ap;
	struct err *err;
	char *msg;

	va_start(ap, fmt);
	err = err_vcreate(ERR_OS, 0, fmt, ap);
	va_end(ap);
	if (err == &nomem)
		return err;
	if (asprintf(&msg, "%s: %s", err->msg, strerror(errnum)) >= 0) {
		free(err->msg);
		err->msg = msg;
	}
	return err;
}

struct err *err_fault(uint64_t addr, const char *fmt, ...)
{
	va_list ap;
	struct err *err;

	va_start(ap, fmt);
	err = err_vcreate(ERR_FAULT, addr, fmt, ap);
	va_end(ap);
	return err;
}

struct err *err_wrapf(struct err *err, const char *fmt, ...)
{
	va_list ap;
	char *what, *msg;
	int n;

	if (!err || err == &nomem)
		return err;
	va_start(ap, fmt);
	n = vasprintf(&what, fmt, ap);
	va_end(ap);
	if (n < 0)
		return err;
	if (asprintf(&msg, "%s: %s", what, err->msg) >= 0) {
		free(err->msg);
		err->msg = msg;
	}
	free(what);
	return err;
}

void err_destroy(struct err *err)
{
	if (!err || err == &nomem)
		return;
	free(err->msg);
	free(err);
}
