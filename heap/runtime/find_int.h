/* What the finders of heap/find*.c share. */
#ifndef GRF_HEAP_RUNTIME_FIND_INT_H
#define GRF_HEAP_RUNTIME_FIND_INT_H

#include "heap/runtime/find.h"

/* Addresses of words that can be what is looked for. */
VEC_NAMED(addrs, uint64_t);

/* A candidate test: whether the word (or slice header) at addr can be what is looked for. */
typedef bool (*find_test)(struct proc *p, const struct spans *s, uint64_t addr);
/* What a test will read of it: appended to want. */
typedef struct err *(*find_plan)(struct proc *p, const struct spans *s, uint64_t addr,
				 struct ranges *want);

/* The words of variables that pass; initialised: of .data, else of those that start as zero. */
ERR_MUST_CHECK struct err *find_each_word(struct proc *p, const struct spans *s, find_test test,
					  bool initialised, struct addrs *out);
/* Keeps the candidates that pass, after fetching what the test reads. */
ERR_MUST_CHECK struct err *find_narrow(struct proc *p, const struct spans *s, find_plan plan,
				       find_test test, struct addrs *c);

/* find_queue.c: allfin and gcCleanups; 0 where nothing waits. */
ERR_MUST_CHECK struct err *find_queues(struct proc *p, const struct spans *s);
/* A pointer to a block, and its first block. */
bool find_test_block(struct proc *p, const struct spans *s, uint64_t addr);
ERR_MUST_CHECK struct err *find_plan_block(struct proc *p, const struct spans *s, uint64_t addr,
					   struct ranges *want);

#endif
