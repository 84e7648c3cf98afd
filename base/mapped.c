/*
 * One handler for all mappings.  It runs in whoever touched the page, and never while the list is
 * changed, since that touches none.
 */
#include "base/mapped.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/intr.h"

struct mapped {
	struct mapped *next;
	uint8_t *data;
	uint64_t len; /* a multiple of pages */
	char *name;
};

static struct mapped *all;

/* What is behind the end of a file that was cut is gone, too. */
static bool zero_from(struct mapped *m, uint64_t off)
{
	int saved = errno;
	void *p = mmap(m->data + off, m->len - off, PROT_READ,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);

	errno = saved;
	return p != MAP_FAILED;
}

static void on_sigbus(int signo, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr, page = (uintptr_t)sysconf(_SC_PAGESIZE);

	for (struct mapped *m = all; m; m = m->next) {
		uint64_t off = at - (uintptr_t)m->data;

		if (off < m->len && zero_from(m, off & ~(uint64_t)(page - 1))) {
			intr_lose(m->name);
			return;
		}
	}
	signal(signo, SIG_DFL); /* not ours: it comes again */
}

static struct err *handler_install(void)
{
	struct sigaction sa = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };

	sigemptyset(&sa.sa_mask);
	if (sigaction(SIGBUS, &sa, NULL))
		return err_os(errno, "sigaction");
	return NULL;
}

DEFINE_CLEANUP(mapped_destroy, struct mapped *)

struct err *mapped_create(int fd, uint64_t len, const char *name, struct mapped **ret,
			  const uint8_t **data)
{
	_cleanup_(cleanup_mapped_destroy) struct mapped *m = calloc(1, sizeof(*m));
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	void *p;

	if (!m || !(m->name = strdup(name)))
		return err_nomem();
	TRY(handler_install());
	p = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return err_os(errno, "mapping");
	m->data = p;
	m->len = (len + page - 1) & ~(page - 1);
	m->next = all;
	all = m;
	*data = m->data;
	*ret = TAKE_PTR(m);
	return NULL;
}

void mapped_destroy(struct mapped *m)
{
	struct mapped **at = &all;

	if (!m)
		return;
	while (*at && *at != m)
		at = &(*at)->next;
	if (*at)
		*at = m->next;
	if (m->data)
		munmap(m->data, m->len);
	free(m->name);
	free(m);
}
