/*
 * Who is killed when memory runs out.  In a container that has its limit we would share it with the
 * process that is looked at: seen, at 420 MB with a heap of 250, the kernel took that one.
 */
#ifndef GRF_BASE_OOM_H
#define GRF_BASE_OOM_H

#include <stdbool.h>

/* From now on this process is the kernel's first choice (oom_score_adj 1000). */
void oom_offer(void);
/* It is. */
bool oom_offered(void);
/* In a child that must live: as it was before.  Safe after fork(). */
void oom_withdraw(void);

#endif
