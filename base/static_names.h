/* How names of hosts are looked up in the static binary. */
#ifndef GRF_BASE_STATIC_NAMES_H
#define GRF_BASE_STATIC_NAMES_H

#include <features.h>

void static_names(void);

#endif
