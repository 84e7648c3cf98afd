/*
 * Text of the kind that /proc has: lines that begin with a name.
 */
#ifndef GRF_BASE_TEXT_H
#define GRF_BASE_TEXT_H

/* What follows `name` at the beginning of a line, blanks skipped; NULL: no line begins so. */
const char *text_field(const char *text, const char *name);

#endif
