/* How the account is made; heap/profile/account.h is its shape. */
#ifndef GRF_HEAP_REPORT_ACCOUNT_HEAP_H
#define GRF_HEAP_REPORT_ACCOUNT_HEAP_H

#include "heap/mark/mark.h"
#include "heap/profile/profile.h"

/* After naming: from the image, what was marked and the profile.  What does not add up becomes a
 * note of r. */
ERR_MUST_CHECK struct err *account_make(struct heap *h, const struct mark *m,
					const struct profile *p, struct report *r);

#endif
