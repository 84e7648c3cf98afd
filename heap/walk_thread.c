#include "heap/walk_thread.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>

enum { BATCHES = 16 };

struct walk_thread {
	struct walk *w;
	pthread_t id;
	sem_t level;	    /* there is one to do, or it is to end */
	sem_t free, filled; /* batches; in turn */
	unsigned next_free, next_filled;
	bool end;
	int stop; /* the level is not wanted any more (atomic) */
	struct walk_batch batches[BATCHES];
};

static void wait_for(sem_t *s)
{
	while (sem_wait(s) && errno == EINTR)
		;
}

/* ------------------------------------------------------------------ in the thread */

static struct walk_batch *take_free(struct walk_thread *t)
{
	struct walk_batch *b;

	wait_for(&t->free);
	b = &t->batches[t->next_free++ % BATCHES];
	b->n = 0;
	b->last = false;
	return b;
}

struct thread_sink {
	struct walk_sink sink; /* first */
	struct walk_thread *t;
};

/* Errors end a level here; an interrupted one is no error of ours. */
static struct err *hand_over(struct walk_sink *s)
{
	struct walk_thread *t = ((struct thread_sink *)s)->t;

	walk_look_up(s->w, s->b);
	sem_post(&t->filled);
	s->b = take_free(t);
	return __atomic_load_n(&t->stop, __ATOMIC_RELAXED) ? err_create(ERR_INTR, "stopped") : NULL;
}

static void *run(void *arg)
{
	struct walk_thread *t = arg;

	for (;;) {
		struct thread_sink s = { { t->w, NULL, hand_over }, t };

		wait_for(&t->level);
		if (t->end)
			return NULL;
		s.sink.b = take_free(t);
		err_destroy(walk_expand_level(t->w, &s.sink));
		walk_look_up(t->w, s.sink.b);
		s.sink.b->last = true;
		sem_post(&t->filled);
	}
}

/* ------------------------------------------------------------------ from outside */

struct err *walk_thread_level(struct walk_thread *t)
{
	struct err *err = NULL;
	bool last = false;

	t->stop = 0;
	sem_post(&t->level);
	while (!last) {
		struct walk_batch *b;

		wait_for(&t->filled);
		b = &t->batches[t->next_filled++ % BATCHES];
		if (!err) {
			err = walk_visit(t->w, b);
			if (err)
				__atomic_store_n(&t->stop, 1, __ATOMIC_RELAXED);
		}
		last = b->last;
		sem_post(&t->free);
	}
	return err;
}

static bool one_core(void)
{
	cpu_set_t set;

	return !sched_getaffinity(0, sizeof(set), &set) && CPU_COUNT(&set) < 2;
}

struct walk_thread *walk_thread_start(struct walk *w)
{
	struct walk_thread *t;
	sigset_t all, old;
	int failed;

	if (one_core() || image_stats(w->h->proc.img).file_bytes)
		return NULL;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->w = w;
	sem_init(&t->level, 0, 0);
	sem_init(&t->free, 0, BATCHES);
	sem_init(&t->filled, 0, 0);
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	failed = pthread_create(&t->id, NULL, run, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!failed)
		return t;
	free(t);
	return NULL;
}

void walk_thread_end(struct walk_thread *t)
{
	if (!t)
		return;
	t->end = true;
	sem_post(&t->level);
	pthread_join(t->id, NULL);
	sem_destroy(&t->level);
	sem_destroy(&t->free);
	sem_destroy(&t->filled);
	free(t);
}
