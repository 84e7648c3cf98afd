/* What the analysis was built with, for --version. */
#ifndef GRF_HEAP_PROFILE_KNOWN_H
#define GRF_HEAP_PROFILE_KNOWN_H

struct known {
	unsigned oldest, newest, newest_patch; /* Go 1.oldest to 1.newest.newest_patch */
	unsigned libelf;                       /* 0.188: 188; what it was built with */
	const char *libdwarf;                  /* "20210528"; as it is loaded */
};

#endif
