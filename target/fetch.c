#include "target/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "rsp/rsp.h"

enum { HEAD = 64 << 10, ID_MAX = 200 }; /* Go puts its notes into the first page */

/* A note's contents as a file name: Go's id is text with slashes, GNU's is bytes. */
static void id_from_note(const GElf_Nhdr *n, const char *name, const uint8_t *desc, char *id)
{
	if (n->n_namesz == 4 && !memcmp(name, "Go\0", 3) && n->n_type == 4 &&
	    n->n_descsz < ID_MAX) {
		snprintf(id, ID_MAX, "%.*s", (int)n->n_descsz, (const char *)desc);
		for (char *c = id; *c; c++)
			if (!strchr("-_", *c) && !(*c >= '0' && *c <= '9') &&
			    !((*c | 32) >= 'a' && (*c | 32) <= 'z'))
				*c = '.';
	} else if (n->n_namesz == 4 && !memcmp(name, "GNU", 4) && n->n_type == NT_GNU_BUILD_ID &&
		   !*id && n->n_descsz * 2 < ID_MAX) {
		for (unsigned i = 0; i < n->n_descsz; i++)
			snprintf(id + 2 * i, 3, "%02x", desc[i]);
	}
}

/* The build id in the first part of an ELF file; "" if there is none. */
static void build_id(uint8_t *head, size_t len, char id[ID_MAX])
{
	Elf *e;
	size_t n = 0;

	*id = 0;
	elf_version(EV_CURRENT);
	e = elf_memory((char *)head, len);
	if (!e)
		return;
	if (elf_getphdrnum(e, &n))
		n = 0;
	for (size_t i = 0; i < n && i < 64; i++) {
		GElf_Phdr ph;
		Elf_Data *d;
		GElf_Nhdr nh;
		size_t off = 0, next, name, desc;

		if (!gelf_getphdr(e, (int)i, &ph) || ph.p_type != PT_NOTE || ph.p_offset > len ||
		    ph.p_filesz > len - ph.p_offset)
			continue;
		d = elf_getdata_rawchunk(e, (int64_t)ph.p_offset, ph.p_filesz, ELF_T_NHDR);
		while (d && (next = gelf_getnote(d, off, &nh, &name, &desc)) > 0) {
			id_from_note(&nh, (const char *)d->d_buf + name,
				     (const uint8_t *)d->d_buf + desc, id);
			off = next;
		}
	}
	elf_end(e);
}

/* Makes the folder and its parents' last two steps; errors show when the file is made. */
static char *cache_dir(void)
{
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	char *base = NULL, *dir = NULL;

	if (xdg && *xdg == '/') {
		if (asprintf(&base, "%s", xdg) < 0)
			return NULL;
	} else if (asprintf(&base, "%s/.cache", home && *home ? home : "/tmp") < 0) {
		return NULL;
	}
	mkdir(base, 0700);
	if (asprintf(&dir, "%s/grf-rsp", base) < 0)
		dir = NULL;
	else
		mkdir(dir, 0700);
	free(base);
	return dir;
}

static struct err *find_path(struct rsp *rsp, uint64_t pid, char **ret, struct buf *head)
{
	_cleanup_buf_ struct buf exec = BUF_INIT;
	struct err *err;
	char annex[20];

	if (!rsp_features(rsp)->vfile)
		return err_create(ERR_UNSUPPORTED,
				  "this stub cannot read files: give the executable as EXE");
	if (pid) {
		if (asprintf(ret, "/proc/%" PRIu64 "/exe", pid) < 0)
			return err_nomem();
		err = rsp_file_read_at(rsp, *ret, 0, HEAD, head);
		if (!err_is(err, ERR_REMOTE))
			return err;
		err_destroy(err);
		free(*ret);
		*ret = NULL;
	}
	snprintf(annex, sizeof(annex), "%" PRIx64, pid);
	err = rsp_xfer(rsp, "exec-file", pid ? annex : "", &exec);
	if (err)
		return err_wrapf(err, "finding the executable (give it as EXE)");
	*ret = strdup((const char *)exec.data);
	if (!*ret)
		return err_nomem();
	return err_wrapf(rsp_file_read_at(rsp, *ret, 0, HEAD, head),
			 "reading the executable (give it as EXE)");
}

static struct err *write_all(int fd, const uint8_t *p, size_t len, const char *path)
{
	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_os(errno, "writing %s", path);
		p += n;
		len -= (size_t)n;
	}
	return NULL;
}

struct err *fetch_exe(struct rsp *rsp, uint64_t pid, char **path, char **remote_path,
		      bool *temporary)
{
	_cleanup_free_ char *remote = NULL, *dir = NULL, *tmp = NULL, *final = NULL;
	_cleanup_buf_ struct buf head = BUF_INIT, file = BUF_INIT;
	_cleanup_close_ int fd = -1;
	char id[ID_MAX];
	struct stat st;
	struct err *err;

	err = find_path(rsp, pid, &remote, &head);
	if (err)
		return err;
	build_id(head.data, head.len, id);
	dir = cache_dir();
	if (!dir || (*id && asprintf(&final, "%s/%s", dir, id) < 0) ||
	    asprintf(&tmp, "%s/fetch-XXXXXX", dir) < 0)
		return err_nomem();
	*temporary = !*id;
	if (final && stat(final, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
		*path = TAKE_PTR(final);
		*remote_path = TAKE_PTR(remote);
		return NULL;
	}
	fd = mkstemp(tmp);
	if (fd < 0)
		return err_os(errno, "making %s", tmp);
	err = rsp_file_read(rsp, remote, LIMIT_EXE_SIZE, &file);
	if (!err)
		err = write_all(fd, file.data, file.len, tmp);
	if (!err && final && rename(tmp, final))
		err = err_os(errno, "renaming %s", tmp);
	if (err) {
		unlink(tmp);
		return err_wrapf(err, "fetching the executable");
	}
	*path = final ? TAKE_PTR(final) : TAKE_PTR(tmp);
	*remote_path = TAKE_PTR(remote);
	return NULL;
}
