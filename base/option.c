/* The options of a command line, of one table. */
#include "base/option.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/similar.h"

static int option_has_arg(const struct option_row *r)
{
	return !r->arg ? no_argument : *r->arg == '[' ? optional_argument : required_argument;
}

/* getopt's two lists: ":o:p:vq" and the long names. */
static void option_lists(const struct option_table *t, char shorts[2 * OPTION_ROWS + 2],
			 struct option longs[OPTION_ROWS + 1])
{
	assert(t->n <= OPTION_ROWS);
	*shorts++ = ':'; /* a missing argument is told from an unknown option */
	for (const struct option_row *r = t->rows; r < t->rows + t->n; r++) {
		if (!r->code)
			continue;
		*longs++ = (struct option){ r->name, option_has_arg(r), NULL, r->code };
		if (r->code < OPTION_LONG)
			*shorts++ = (char)r->code;
		if (r->code < OPTION_LONG && r->arg)
			*shorts++ = ':';
	}
	*shorts = 0;
	*longs = (struct option){ 0 };
}

int option_next(const struct option_table *t, int argc, char **argv)
{
	char shorts[2 * OPTION_ROWS + 2];
	struct option longs[OPTION_ROWS + 1];

	option_lists(t, shorts, longs);
	opterr = 0;
	return getopt_long(argc, argv, shorts, longs, NULL);
}

enum { HELP_COLUMN = 24, HELP_WIDTH = 80 };

/* Writes the words of `text` in lines that begin at HELP_COLUMN; the cursor is at `column`. */
static void help_wrap(FILE *f, const char *text, int column)
{
	if (column > HELP_COLUMN - 2) {
		putc('\n', f);
		column = 0;
	}
	fprintf(f, "%*s", HELP_COLUMN - column, "");
	column = HELP_COLUMN;
	while (*text) {
		int len = (int)strcspn(text, " ");

		if (column > HELP_COLUMN && column + 1 + len > HELP_WIDTH) {
			fprintf(f, "\n%*s", HELP_COLUMN, "");
			column = HELP_COLUMN;
		}
		column += fprintf(f, "%s%.*s", column > HELP_COLUMN ? " " : "", len, text);
		text += len + (text[len] == ' ');
	}
	putc('\n', f);
}

void option_help(FILE *f, const struct option_table *t)
{
	for (const struct option_row *r = t->rows; r < t->rows + t->n; r++) {
		int column;

		if (!r->code) {
			fprintf(f, "\n%s:\n", r->name);
			continue;
		}
		column = r->code < OPTION_LONG ? fprintf(f, "  -%c, --%s", r->code, r->name) :
						 fprintf(f, "      --%s", r->name);
		if (r->arg)
			column += fprintf(f, "%s%s", *r->arg == '[' ? "" : " ", r->arg);
		help_wrap(f, r->help, column);
	}
}

struct err *option_unknown(const struct option_table *t, char **argv)
{
	const char *word = argv[optind - 1], *nearest = NULL;
	char letter[] = { '-', (char)optopt, 0 }, name[SIMILAR_MAX + 1];
	unsigned least;

	/* Of a letter getopt does not say in which word it is. */
	if (optopt && optopt < OPTION_LONG) {
		word = letter;
		for (int i = 1; argv[i]; i++)
			if (!strncmp(argv[i], letter, strlen(letter)))
				word = argv[i];
	}
	snprintf(name, sizeof(name), "%s", word + strspn(word, "-"));
	name[strcspn(name, "=")] = 0;
	least = (unsigned)strlen(name) / 3 + 1;
	for (const struct option_row *r = t->rows; r < t->rows + t->n; r++) {
		unsigned distance = similar_distance(name, r->name);

		if (r->code && distance < least) {
			least = distance;
			nearest = r->name;
		}
	}
	if (!nearest || strlen(name) < 3)
		return err_create(ERR_USAGE, "unknown option %s", word);
	return err_create(ERR_USAGE, "unknown option %s, did you mean --%s?", word, nearest);
}

bool option_number(const char *s, unsigned long min, unsigned long max, unsigned long *ret)
{
	char *end;
	unsigned long v = strtoul(s, &end, 10);

	if (*s < '0' || *s > '9' || *end || v < min || v > max)
		return false;
	*ret = v;
	return true;
}

struct err *option_count(const char *option, const char *unit, unsigned long max, unsigned *ret)
{
	unsigned long n;

	if (!option_number(optarg, 1, max, &n))
		return err_create(ERR_USAGE, "%s %s: not a number%s from 1 to %lu", option, optarg,
				  unit, max);
	*ret = (unsigned)n;
	return NULL;
}
