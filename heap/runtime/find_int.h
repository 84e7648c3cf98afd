/*
 * What the finders share: candidates are words of variables (or slice headers, or pointers to
 * structs), each of which is looked at and followed to what it leads to.
 */
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

/* find_words.c: the words of variables that pass; initialised: of .data, else of those that start
 * as zero. */
ERR_MUST_CHECK struct err *find_each_word(struct proc *p, const struct spans *s, find_test test,
					  bool initialised, struct addrs *out);
/* Keeps the candidates that pass, after fetching what the test reads. */
ERR_MUST_CHECK struct err *find_narrow(struct proc *p, const struct spans *s, find_plan plan,
				       find_test test, struct addrs *c);
/* The one candidate; ERR_NODEBUG: none, or several. */
ERR_MUST_CHECK struct err *find_one(const struct addrs *c, const char *what, uint64_t *ret);
/* Is addr in the variables of the first module? */
bool find_in_variables(const struct proc *p, uint64_t addr);

/* find_slice.c: slices of pointers. */
enum { FIND_LOOK = 64 }; /* elements that are looked at */
struct slice {
	uint64_t ptr, len, cap;
};
/* Whether a slice header is at addr. */
bool find_slice(const struct proc *p, uint64_t addr, struct slice *ret);
/* size bytes of what element i of the slice at addr points to, which is *at; NULL: they are not in
 * the image. */
const uint8_t *find_element(const struct proc *p, uint64_t addr, uint64_t i, uint64_t size,
			    uint64_t *at);
/* Candidate tests: allspans' array is from the system, those of allgs and allp in the heap; all
 * elements looked at are pointers. */
bool find_test_system_slice(struct proc *p, const struct spans *s, uint64_t addr);
bool find_test_heap_slice(struct proc *p, const struct spans *s, uint64_t addr);
bool find_test_pointers(struct proc *p, const struct spans *s, uint64_t addr);
/* The elements that are looked at; what they point to. */
ERR_MUST_CHECK struct err *find_plan_elements(struct proc *p, const struct spans *s, uint64_t addr,
					      struct ranges *want);
ERR_MUST_CHECK struct err *find_plan_pointees(const struct proc *p, uint64_t addr, uint64_t size,
					      struct ranges *want);
/*
 * The slice of all ps (or gs): words that happen to look like a slice of some of them can stand
 * beside it, so it is the longest, which must have what the others have.
 */
ERR_MUST_CHECK struct err *find_widest(struct proc *p, const struct spans *s, struct addrs *c,
				       const char *what, uint64_t *ret);

/* find_allm.c */
ERR_MUST_CHECK struct err *find_allm(struct proc *p, const struct spans *s);
bool find_test_m_pointer(struct proc *p, const struct spans *s, uint64_t addr);
bool find_test_m_links(struct proc *p, const struct spans *s, uint64_t addr);
ERR_MUST_CHECK struct err *find_plan_m(struct proc *p, const struct spans *s, uint64_t addr,
				       struct ranges *want);
ERR_MUST_CHECK struct err *find_plan_m_g0(struct proc *p, const struct spans *s, uint64_t addr,
					  struct ranges *want);

/* find_itabs.c: itabTable; 0 where there are none or several candidates: the itabs that are made at
 * run time stay unknown then, and names poorer. */
ERR_MUST_CHECK struct err *find_itab_table(struct proc *p, const struct spans *s);
bool find_test_table_pointer(struct proc *p, const struct spans *s, uint64_t addr);
bool find_test_table_head(struct proc *p, const struct spans *s, uint64_t addr);
ERR_MUST_CHECK struct err *find_plan_table_head(struct proc *p, const struct spans *s,
						uint64_t addr, struct ranges *want);
ERR_MUST_CHECK struct err *find_plan_table(struct proc *p, const struct spans *s, uint64_t addr,
					   struct ranges *want);

/* find_queue.c: allfin and gcCleanups; 0 where nothing waits. */
ERR_MUST_CHECK struct err *find_queues(struct proc *p, const struct spans *s);
/* A pointer to a block, and its first block. */
bool find_test_block(struct proc *p, const struct spans *s, uint64_t addr);
ERR_MUST_CHECK struct err *find_plan_block(struct proc *p, const struct spans *s, uint64_t addr,
					   struct ranges *want);

#endif
