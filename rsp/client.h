/*
 * struct rsp, shared by the files that make up rsp.h: client.c (life), threads.c,
 * memory.c, files.c.
 */
#ifndef GRF_RSP_CLIENT_H
#define GRF_RSP_CLIENT_H

#include "rsp/conn.h"
#include "rsp/features.h"
#include "rsp/guardian.h"
#include "rsp/rsp.h"
#include "rsp/target_xml.h"

struct rsp {
	struct conn *conn;
	struct features f;
	struct guardian guardian;
	struct guardian_state state; /* where there is no guardian's page */
	struct guardian_state *shared;
	uint64_t pid;
	bool stopped; /* the debuggee is held, and is ours to let go */
	bool by_pid;  /* we attached to it: the stub is not ours to end */
	bool exited;
	bool physical;  /* memory is physical whenever it is stopped */
	unsigned owed;  /* replies under way */
	bool ahead_may; /* rsp_ahead_check() */
	/* rsp/ahead.c: of them, questions that were not asked yet, each NUL-terminated */
	struct buf ahead;
	size_t ahead_pos; /* the first of them */
	uint64_t last_fd; /* the last that vFile:open gave */
	bool forks;
	bool others; /* the stub held another process before we came */
	bool lost;   /* what the stub will say next is not known: an error cut a reply short */
	bool vcont_asked, vcont;   /* vCont?: it is known, and can continue and step */
	struct rsp_thread current; /* of the last stop reply */
	struct rsp_break {
		bool set;
		char type; /* of Z and z */
		unsigned kind;
		uint64_t addr;
	} brk;
	int64_t stopped_at;
	uint64_t stopped_ns, stopped_total_ns;
	struct buf reply; /* the last rsp_command()'s, runs spelled out, NUL-terminated */
	struct target_xml xml;
	bool xml_read;
	uint64_t good_addr; /* memory that could be read once */
	bool have_good_addr;
	/* memory requests under way, by now (rsp/memory.c); 0: none was sent yet */
	unsigned window;
	uint64_t in_flight;    /* bytes of their replies */
	int64_t round_trip_ns; /* the shortest seen */
	uint64_t memory_bytes, memory_ns;
};

/* One packet out.  Replies come back in order, by rsp_next(). */
ERR_MUST_CHECK struct err *rsp_send(struct rsp *rsp, const char *fmt, ...) ERR_PRINTF(2, 3);
ERR_MUST_CHECK struct err *rsp_send_bytes(struct rsp *rsp, const void *payload, size_t len);
/* The next reply as it is on the wire; valid until the next call. */
ERR_MUST_CHECK struct err *rsp_next_raw(struct rsp *rsp, const uint8_t **p, size_t *len);
/* The next reply, into rsp->reply. */
ERR_MUST_CHECK struct err *rsp_next(struct rsp *rsp);
/*
 * rsp/ahead.c: what is asked at every stop, sent right behind vAttach;pid.  The order is that in
 * which it is asked: what is skipped is lost.
 *
 * Only if that one will succeed, for all that can be seen before: after a vAttach that fails
 * gdbserver 13 waits for acks again, takes what follows for anything else, and may interrupt its
 * own process group (docs/PROTOCOL.md).
 */
ERR_MUST_CHECK struct err *rsp_ahead_check(struct rsp *rsp, uint64_t pid);
ERR_MUST_CHECK struct err *rsp_ahead_stop(struct rsp *rsp, uint64_t pid);
/* Was this packet sent ahead?  Then the next reply is its. */
ERR_MUST_CHECK struct err *rsp_ahead_find(struct rsp *rsp, const void *payload, size_t len,
					  bool *found);
void rsp_ahead_forget(struct rsp *rsp);

enum { RSP_THREADS_AT_ONCE = 32 }; /* questions, of the first batch */

#define RSP_XFER "qXfer:%s:read:%s:%zx,%zx"
/* How much of an object is asked for at a time. */
size_t rsp_xfer_piece(const struct rsp *rsp);

/* One packet out, its reply in rsp->reply. */
ERR_MUST_CHECK struct err *rsp_command(struct rsp *rsp, const char *fmt, ...) ERR_PRINTF(2, 3);

/* Finds the place in the stream of replies again, if an error left it in the middle. */
ERR_MUST_CHECK struct err *rsp_resync(struct rsp *rsp);
/* rsp/snapshot.c: after D, with the stub telling of forks: the process's own children that it
 * caught run, too. */
ERR_MUST_CHECK struct err *rsp_free_children(struct rsp *rsp);
/* The process is held, since then. */
void rsp_set_stopped(struct rsp *rsp, int64_t since);
/* It runs. */
void rsp_set_running(struct rsp *rsp);
/* rsp->reply is a stop reply: the thread it names becomes the current one.  ERR_EXITED: the end
 * of the process. */
ERR_MUST_CHECK struct err *rsp_take_stop(struct rsp *rsp, struct rsp_thread *t);

/* What a reply says by its form: ERR_REMOTE for Exx, ERR_UNSUPPORTED for an empty one, else
 * NULL. */
ERR_MUST_CHECK struct err *rsp_check(const struct buf *reply, const char *what);
/* E01 or E.text, nothing else: no hex data looks like it. */
bool rsp_is_error(const uint8_t *p, size_t len);

/* pPID.TID, PID.TID's parts may be negative or 0 ("all", "any"): those are refused. *end behind
 * it. */
bool rsp_parse_thread(const char *s, const char **end, struct rsp_thread *ret);

/* Is it still there?  ERR_EXITED if memory that could be read once cannot any more. */
ERR_MUST_CHECK struct err *rsp_check_alive(struct rsp *rsp);

#endif
