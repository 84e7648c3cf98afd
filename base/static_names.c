/*
 * For the static binary alone, which is linked with -u static_names: glibc would load libraries for
 * what /etc/nsswitch.conf names beside files and DNS, and a static program must not load any.
 */
#include "base/static_names.h"

#ifdef __GLIBC__
#include <nss.h>
#endif

__attribute__((constructor)) void static_names(void)
{
#ifdef __GLIBC__
	__nss_configure_lookup("hosts", "files dns");
	__nss_configure_lookup("services", "files");
#endif
}
