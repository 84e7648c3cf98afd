/* The data of a page, as JSON. */
#ifndef GRF_OUTPUT_HTML_DATA_H
#define GRF_OUTPUT_HTML_DATA_H

#include <stdio.h>

#include "heap/profile/profile.h"

ERR_MUST_CHECK struct err *html_data_write(FILE *f, const struct profile *p,
					   const struct report *r);

#endif
