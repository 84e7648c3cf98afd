/*
 * /proc/self/oom_score_adj goes from -1000, never, to 1000, before all others.  Anybody may raise
 * his own, and lower it again to what it was.
 */
#include "base/oom.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const char oom_path[] = "/proc/self/oom_score_adj";
static char oom_before[16];
static bool oom_is_offered;

static bool oom_write(const char *text)
{
	int fd = open(oom_path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return n > 0;
}

void oom_offer(void)
{
	int fd = open(oom_path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, oom_before, sizeof(oom_before) - 1);

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return;
	oom_before[n] = 0;
	oom_is_offered = oom_write("1000");
}

bool oom_offered(void)
{
	return oom_is_offered;
}

void oom_withdraw(void)
{
	if (oom_is_offered)
		oom_write(oom_before);
}
