/*
 * The optimal string alignment distance, from the usual table: cell [i][j] is the distance
 * between the first i bytes of one word and the first j of the other..
 */
#include "base/similar.h"

#include <string.h>

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

unsigned similar_distance(const char *a, const char *b)
{
	unsigned d[SIMILAR_MAX + 1][SIMILAR_MAX + 1];
	size_t n = strlen(a), m = strlen(b);

	if (n > SIMILAR_MAX || m > SIMILAR_MAX)
		return SIMILAR_MAX;
	for (size_t i = 0; i <= n; i++)
		d[i][0] = (unsigned)i;
	for (size_t j = 0; j <= m; j++)
		d[0][j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		for (size_t j = 1; j <= m; j++) {
			d[i][j] = least(d[i - 1][j], d[i][j - 1]) + 1;
			d[i][j] = least(d[i][j], d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
		}
	}
	return d[n][m];
}
