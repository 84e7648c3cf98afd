/*
 * A bump allocator, for many small things that live and die together.
 * The memory is zeroed and 16-byte aligned.  NULL means that there is no memory left.
 */
#ifndef GRF_BASE_ARENA_H
#define GRF_BASE_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *head;
};

#define ARENA_INIT   \
	{            \
		NULL \
	}

void arena_deinit(struct arena *a);
void *arena_alloc(struct arena *a, size_t size);
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t len);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
