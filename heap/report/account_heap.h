/* How the account is made; its shape is in heap/profile/account.h. */
#ifndef GRF_HEAP_REPORT_ACCOUNT_HEAP_H
#define GRF_HEAP_REPORT_ACCOUNT_HEAP_H

#include "heap/mark/mark.h"
#include "heap/profile/profile.h"

/* Fills r->account from the image, from what was marked and from the finished profile.  Numbers
 * that do not add up become notes of r. */
ERR_MUST_CHECK struct err *account_make(struct captured *h, const struct mark *m,
					const struct profile *p, struct report *r);

#endif
