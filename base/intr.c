#include "base/intr.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t intr_signo;
static int intr_pipe[2] = { -1, -1 };

static void intr_handler(int signo)
{
	int saved = errno;

	intr_signo = signo;
	if (write(intr_pipe[1], "", 1) < 0) {
		/* The pipe is full: it is readable already, which is all that counts. */
	}
	errno = saved;
}

struct err *intr_install(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction sa = { .sa_handler = intr_handler };

	if (pipe2(intr_pipe, O_CLOEXEC | O_NONBLOCK))
		return err_os(errno, "pipe");
	sigemptyset(&sa.sa_mask);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		struct sigaction old;

		/* nohup and background jobs start us with a signal ignored: leave it so. */
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN)
			continue;
		if (sigaction(signals[i], &sa, NULL))
			return err_os(errno, "sigaction");
	}
	return NULL;
}

int intr_signal(void)
{
	return intr_signo;
}

int intr_fd(void)
{
	return intr_pipe[0];
}

struct err *intr_check(void)
{
	if (!intr_signo)
		return NULL;
	return err_create(ERR_INTR, "stopped by SIG%s", sigabbrev_np(intr_signo));
}
