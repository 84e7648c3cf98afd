/* What the unit tests say of errors: none, or one of this kind.  After cmocka.h. */
#ifndef GRF_TESTS_CHECK_H
#define GRF_TESTS_CHECK_H

#include "base/err.h"

/* Is it built with AddressSanitizer? */
#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

static inline void ok(struct err *err)
{
	if (err)
		fail_msg("%s", err->msg);
}

static inline void bad(struct err *err, enum err_code code)
{
	if (!err || err->code != code)
		fail_msg("expected code %d, got %d (%s)", code, err ? (int)err->code : 0,
			 err ? err->msg : "no error");
	err_destroy(err);
}

#endif
