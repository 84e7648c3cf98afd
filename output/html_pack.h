/* A stream that deflates what is written to it, and writes that as base64 to another one. */
#ifndef GRF_OUTPUT_HTML_PACK_H
#define GRF_OUTPUT_HTML_PACK_H

#include <stdio.h>

#include "base/err.h"

/* fclose() of *ret writes what is left, and leaves `to` open; what could not be written is an error
 * of one of the two. */
ERR_MUST_CHECK struct err *html_pack_open(FILE *to, FILE **ret);

#endif
