/*
 * Errors.  Every function that can fail returns `struct err *`: NULL is
 * success, anything else is owned by the caller, who must pass it up, absorb
 * it with err_destroy(), or report it.  Libraries never print and never exit.
 *
 *	err = err_create(ERR_FAULT, "no memory at 0x%" PRIx64, addr);
 *	return err_wrapf(err, "reading allgs");   // "reading allgs: no memory at ..."
 *
 * A code says what kind of thing went wrong, so that a caller can absorb a
 * FAULT and still pass a CLOSED up:
 *
 *	err = image_read_word(img, addr, &word);
 *	if (err_catch(&err, ERR_FAULT))
 *		word = 0;
 *	TRY(err);
 *
 * TRY() returns from the function around it when its argument is an error.  What the function owns
 * by then is under a scope guard (base/cleanup.h), so that a sequence of steps reads as a list:
 *
 *	TRY(plan_masks(h, &want));
 *	TRY(need(h, &want));
 */
#ifndef GRF_BASE_ERR_H
#define GRF_BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum err_code {
	ERR_NOMEM = 1,   /* out of memory here */
	ERR_OS,          /* a system call failed here (errno is in the message) */
	ERR_TIMEOUT,     /* the stub was silent too long */
	ERR_CLOSED,      /* the stub closed the connection */
	ERR_PROTO,       /* the stub broke the protocol */
	ERR_REMOTE,      /* the stub answered with an error */
	ERR_UNSUPPORTED, /* the stub, or we, cannot do this */
	ERR_FAULT,       /* memory that cannot be read; err->addr has its address */
	ERR_BADDATA,     /* what was read makes no sense */
	ERR_NODEBUG,     /* no DWARF, no symbols, no such entry */
	ERR_VERSION,     /* a Go release we know no layout of */
	ERR_LIMIT,       /* a named limit of base/limits.h was reached */
	ERR_EXITED,      /* the process being read is gone */
	ERR_INTR,        /* a signal asked us to stop (base/intr.h) */
	ERR_USAGE,       /* the command line (main.c: exit status 2) */
};

struct err {
	enum err_code code;
	uint64_t addr; /* ERR_FAULT: the first address that could not be read */
	char *msg;
};

#define ERR_MUST_CHECK __attribute__((warn_unused_result))
#define ERR_PRINTF(f, a) __attribute__((format(printf, f, a)))

ERR_MUST_CHECK struct err *err_create(enum err_code code, const char *fmt, ...) ERR_PRINTF(2, 3);

/* An ERR_OS whose message ends with ": " and strerror(errnum). */
ERR_MUST_CHECK struct err *err_os(int errnum, const char *fmt, ...) ERR_PRINTF(2, 3);

/* An ERR_FAULT whose addr is set. */
ERR_MUST_CHECK struct err *err_fault(uint64_t addr, const char *fmt, ...) ERR_PRINTF(2, 3);

/* The one error that needs no memory; err_destroy() of it does nothing. */
ERR_MUST_CHECK struct err *err_nomem(void);

/* Puts the formatted text and ": " before the message; code and address stay.  NULL stays NULL. */
ERR_MUST_CHECK struct err *err_wrapf(struct err *err, const char *fmt, ...) ERR_PRINTF(2, 3);

/* err may be NULL. */
void err_destroy(struct err *err);

static inline bool err_is(const struct err *err, enum err_code code)
{
	return err && err->code == code;
}

/* Absorbs an error of this code: *err is NULL afterwards, and true is returned. */
static inline bool err_catch(struct err **err, enum err_code code)
{
	if (!err_is(*err, code))
		return false;
	err_destroy(*err);
	*err = NULL;
	return true;
}

/* Returns the error that `x` is, if it is one, from the function around. */
#define TRY(x)                             \
	do {                               \
		struct err *try_err = (x); \
		if (try_err)               \
			return try_err;    \
	} while (0)

#endif
