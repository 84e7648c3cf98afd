/*
 * Why objects are alive: for each root that leads to any of them, the shortest way to each, the
 * ways of one path put together.
 */
#ifndef GRF_HEAP_PROFILE_WHY_H
#define GRF_HEAP_PROFILE_WHY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/vec.h"
#include "heap/profile/account.h"

struct why_way {
	const char *const *path; /* frames, root first */
	uint32_t npath;
	uint32_t root;        /* the ways of one root are told by this: 0, 1, ... */
	struct amount behind; /* of the objects that were asked for */
	uint64_t example;     /* the address of one of them */
};

VEC_NAMED(why_ways, struct why_way);

struct why_report {
	const char *pattern;  /* NULL: nobody asked */
	const char *nothing;  /* no object was found, and why; else NULL */
	struct amount asked;  /* the objects that it says */
	uint64_t types;       /* of so many types */
	const char *type;     /* of one type: which */
	struct why_ways ways; /* owners before borrowers, of a root the widest first */
	uint64_t roots;       /* that lead there */
	uint64_t roots_left;  /* of them not looked at: there were too many */
	uint64_t ways_left;   /* narrow ones, beyond WHY_WAYS of a root */
	struct arena arena;
};

enum {
	WHY_WAYS = 20,  /* of one root */
	WHY_ROOTS = 64, /* whose ways are told */
};

void why_report_deinit(struct why_report *r);

#endif
