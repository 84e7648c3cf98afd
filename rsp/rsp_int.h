/*
 * struct rsp, and what the files behind rsp.h give each other.  Each uses only those before it:
 *
 *	exchange.c	one packet out, one reply in (rsp/exchange.h)
 *	files.c		what comes in pieces: qXfer objects, files, monitor output
 *	memory.c	memory, pipelined
 *	threads.c	threads and registers
 *	break.c		the breakpoint
 *	ahead.c		what is asked together with vAttach
 *	port.c		the connection as rsp/inject.h wants it
 *	stop.c		stops, resuming, detaching
 *	released.c	does the process run that was let go
 *	snapshot.c	a snapshot by fork
 *	client.c	the life of it all: handshake and goodbye
 */
#ifndef GRF_RSP_RSP_INT_H
#define GRF_RSP_RSP_INT_H

#include "rsp/exchange.h"
#include "rsp/features.h"
#include "rsp/guardian.h"
#include "rsp/rsp.h"
#include "rsp/target_xml.h"

enum { RSP_LIMIT_TEXT = 256 };

struct rsp {
	struct exchange x;
	struct features f;
	struct guardian guardian;
	struct guardian_state state; /* where there is no guardian's page */
	struct guardian_state *shared;
	uint64_t pid;
	bool stopped;   /* the debuggee is held, and is ours to let go */
	bool exited;    /* it has ended */
	bool forks;     /* the stub tells of forks, and holds children that it is told of */
	bool others;    /* the stub held another process before we came */
	bool physical;  /* memory is physical whenever the debuggee is stopped */
	bool ahead_may; /* ahead_check() found nothing against it */
	bool vcont_asked, vcont; /* the stub was asked for vCont; it can continue and step by it */
	struct rsp_thread current; /* of the last stop reply */
	struct rsp_break {
		bool set;
		char type; /* of Z and z */
		unsigned kind;
		uint64_t addr;
	} brk;
	uint64_t last_fd; /* the last that vFile:open gave */
	int64_t stopped_at;
	uint64_t stop_limit_ns;
	char stop_limit_text[RSP_LIMIT_TEXT];
	uint64_t stopped_ns, stopped_total_ns;
	struct target_xml xml;
	bool xml_read;
	uint64_t good_addr; /* memory that could be read once */
	bool have_good_addr;
	/* How many memory requests may be under way by now (rsp/memory.c); 0: none was sent yet. */
	unsigned window;
	uint64_t in_flight;    /* and how many bytes their replies may have */
	int64_t round_trip_ns; /* the shortest seen */
	uint64_t memory_bytes, memory_ns;
};

enum { RSP_THREADS_AT_ONCE = 32 }; /* questions, of the first batch */

#define RSP_XFER "qXfer:%s:read:%s:%zx,%zx"
/* How much of an object is asked for at a time. */
size_t rsp_xfer_piece(const struct rsp *rsp);

/* pPID.TID as a stub spells it; *end gets what follows.  "All" (-1) and "any" (0) are refused. */
bool rsp_parse_thread(const char *s, const char **end, struct rsp_thread *ret);

/*
 * ahead.c: what is asked at every stop is sent right behind vAttach.  ahead_check() looks, before
 * it, whether that vAttach will succeed as far as can be seen: after one that fails gdbserver 13
 * waits for acknowledgements again, takes what follows for something else, and may interrupt its
 * own process group (docs/PROTOCOL.md).
 */
ERR_MUST_CHECK struct err *ahead_check(struct rsp *rsp, uint64_t pid);
ERR_MUST_CHECK struct err *ahead_send(struct rsp *rsp, uint64_t pid);

/* port.c: system calls in the process, by way of this connection (rsp/inject.h). */
struct port {
	struct inject_port inject; /* first: what its functions get */
	struct rsp *rsp;
	struct err *err; /* the connection's, if that was it */
};
ERR_MUST_CHECK struct err *port_create(struct rsp *rsp, struct port **ret);
void port_destroy(struct port *p);
DEFINE_CLEANUP(port_destroy, struct port *)
/* What went wrong, as an error; `code` is that of what the connection is not to blame for. */
struct err *port_failure(struct port *p, enum err_code code);
/* After D, with a stub that tells of forks: lets go of the process's own children that the stub has
 * caught. */
ERR_MUST_CHECK struct err *port_free_children(struct rsp *rsp);

/* released.c: how a process was left that was let go; and what to do about it, appended: nothing if
 * it runs. */
ERR_MUST_CHECK struct err *released_look(struct rsp *rsp, enum undo_left *left, uint64_t *tracer);
ERR_MUST_CHECK struct err *released_text(uint64_t pid, enum undo_left left, uint64_t tracer,
					 struct buf *ret);

/* stop.c: the process may be held from now on, since then: rsp_set_stop_limit() counts. */
void stop_may_begin(struct rsp *rsp, int64_t since);
/* The process is held, since then. */
void stop_begins(struct rsp *rsp, int64_t since);
/* The same, with the process that the stop reply's thread belongs to. */
void stop_begins_at(struct rsp *rsp, int64_t since, const struct rsp_thread *t);
/* x.reply is a stop reply: the thread that it names becomes the current one.  ERR_EXITED: the
 * process has ended. */
ERR_MUST_CHECK struct err *stop_take_reply(struct rsp *rsp, struct rsp_thread *t);
/* `m` and `g` are about this thread from now on. */
ERR_MUST_CHECK struct err *stop_select(struct rsp *rsp, const struct rsp_thread *t);
/* By vAttach. */
ERR_MUST_CHECK struct err *stop_attach(struct rsp *rsp, uint64_t pid);
/* D, also to a whole machine, which rsp_detach() resumes. */
ERR_MUST_CHECK struct err *stop_detach(struct rsp *rsp);
/* The packet alone. */
ERR_MUST_CHECK struct err *stop_send_detach(struct rsp *rsp);

#endif
