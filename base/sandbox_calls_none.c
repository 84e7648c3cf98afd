/* In the place of sandbox_calls.c where there is no libseccomp. */
#include "base/sandbox.h"

const char *sandbox_calls(bool makes)
{
	return "built without libseccomp";
}
