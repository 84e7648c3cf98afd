/* What --version says. */
#include "output/version.h"

#include <expat.h>
#include <json-c/json.h>
#include <protobuf-c/protobuf-c.h>
#include <zlib.h>

#include "heap/profile/schema.h"
#include "output/internal.h"

static const char *commit(void)
{
	return *GRF_COMMIT ? " (" GRF_COMMIT ")" : "";
}

void version_print(FILE *f, const struct known *known)
{
	XML_Expat_Version xml = XML_ExpatVersionInfo();

	fprintf(f, "grf-rsp %s%s\n", GRF_VERSION, commit());
	fprintf(f,
		"libelf 0.%u, libdwarf %s, zlib %s, expat %d.%d.%d, protobuf-c %s, json-c %s, %s\n",
		known->libelf, known->libdwarf, zlibVersion(), xml.major, xml.minor, xml.micro,
		protobuf_c_version(), json_c_version(), sqlite_version());
	fprintf(f, "Go 1.%u to 1.%u.%u\n", known->oldest, known->newest, known->newest_patch);
	fprintf(f, "JSON " JSON_SCHEMA "\n");
}
