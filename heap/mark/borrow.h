/*
 * References that only borrow what they lead to: naming takes them when all that the owners hold is
 * named, so that an object's path ends at the structure whose release would free it.  What is live
 * does not depend on it.
 *
 * Four kinds of references borrow, found on six servers (nats, etcd, prometheus, pocketbase,
 * VictoriaMetrics, gopls): one set of rules names the owner on all of them.
 *
 *	closures and method values	a metric's callback, a deferred function, an event handler
 *	a sync.Pool's contents		a parser that was put back still points to what it parsed
 *	a context's values, children	its parent is where it came from: that is followed
 *	foreign			a path that began in the standard library or a dependency
 *				reaches a struct of the main module, which that only serves
 */
#ifndef GRF_HEAP_MARK_BORROW_H
#define GRF_HEAP_MARK_BORROW_H

#include "heap/mark/edge.h"
#include "heap/mark/walk.h"

/* Does this word of a holder of that type (NULL: unknown) borrow, wherever the path began? */
bool borrow_step(const struct go_type *holder, const struct edge *e);

/* Does a path from r only serve the object that has this place? */
static inline bool borrow_foreign(const struct mark_root *r, const struct place *target)
{
	return r->foreign && target->main;
}

#endif
