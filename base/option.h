/*
 * The options of a command line, of one table: getopt's lists, --help, and "did you mean" are made
 * of it.  packaging/ reads what --help prints.
 */
#ifndef GRF_BASE_OPTION_H
#define GRF_BASE_OPTION_H

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"

enum { OPTION_LONG = 256 }; /* codes from here on are those of options without a letter */

struct option_row {
	int code; /* the option's letter, or from OPTION_LONG on; 0: a group's title */
	const char *name;
	const char *arg; /* as --help shows it: "FILE"; "[=WAY]": may be left out; NULL: none */
	const char *help;
};

struct option_table {
	const struct option_row *rows;
	int n; /* at most OPTION_ROWS */
};

enum { OPTION_ROWS = 64 };

/*
 * The next option's code, as getopt_long() gives it (-1: there are no more; '?': it is not known;
 * ':': its argument is missing).  optarg and optind are set.
 */
int option_next(const struct option_table *t, int argc, char **argv);

/* Writes the table: "  -p, --pid PID    what it does", in lines of at most 80 columns. */
void option_help(FILE *f, const struct option_table *t);

/* The error for the word that getopt has just refused, with the nearest option if one is near. */
ERR_MUST_CHECK struct err *option_unknown(const struct option_table *t, char **argv);

/* A decimal number from min to max; false: it is none. */
bool option_number(const char *s, unsigned long min, unsigned long max, unsigned long *ret);

/* Reads optarg, a number from 1 to max; unit is " of seconds" or "". */
ERR_MUST_CHECK struct err *option_count(const char *option, const char *unit, unsigned long max,
					unsigned *ret);

#endif
