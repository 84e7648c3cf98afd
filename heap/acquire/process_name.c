/*
 * Processes are listed by /proc where the process is local, and else by the stub
 * (qXfer:osdata:read:processes, gdb's manual, "Operating System Information"), which has each
 * command line as one text.  A list is gone through once; those that fit are kept.
 */
#include "heap/acquire/process_name.h"

#include <dirent.h>
#include <expat.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "rsp/rsp.h"

enum {
	SHOWN = 6,     /* processes that a message lists */
	SHOWN_MAX = 60 /* bytes of the command of each */
};

struct found {
	const char *name;
	uint64_t pid; /* the first */
	size_t n;
	struct buf list; /* "12 (./web -a), 15 (./web -b)" */
};

static void found_deinit(struct found *f)
{
	buf_deinit(&f->list);
}

/* Is it the name of the file at this path?  A name with a slash is the whole path. */
static bool names_file(const char *name, const char *path, size_t len)
{
	const char *slash = strchr(name, '/') ? NULL : memrchr(path, '/', len);
	size_t skip = slash ? (size_t)(slash + 1 - path) : 0;

	return len - skip == strlen(name) && !memcmp(path + skip, name, len - skip);
}

static struct err *found_add(struct found *f, uint64_t pid, const char *command)
{
	char shown[SHOWN_MAX + 1];

	f->pid = f->n ? f->pid : pid;
	if (f->n++ >= SHOWN)
		return f->n == SHOWN + 1 ? buf_addstr(&f->list, ", ...") : NULL;
	snprintf(shown, sizeof(shown), "%s", command);
	for (char *c = shown; *c; c++)
		*c = *c < ' ' || *c > '~' ? '?' : *c; /* it goes to a terminal */
	return buf_addf(&f->list, "%s%" PRIu64 " (%s)", f->n > 1 ? ", " : "", pid, shown);
}

static struct err *found_end(struct found *f, uint64_t *pid)
{
	if (!f->n)
		return err_create(ERR_OS, "no process there is named %s: give its id", f->name);
	if (f->n > 1)
		return err_create(ERR_OS, "%zu processes are named %s: %s; give the id of one",
				  f->n, f->name, (const char *)f->list.data);
	*pid = f->pid;
	return NULL;
}

/* ------------------------------------------------------------------ here */

/* The begin of a file of /proc/PID; returns its length, 0 where it cannot be read. */
static size_t read_head(uint64_t pid, const char *file, char *dst, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/%s", pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, dst, size - 1);
	close(fd);
	dst[n > 0 ? n : 0] = 0;
	return n > 0 ? (size_t)n : 0;
}

/* Adds the process if it has the name.  A kernel thread and a zombie have no command line. */
static struct err *try_here(struct found *f, uint64_t pid)
{
	char path[64], exe[PATH_MAX], command[PATH_MAX];
	size_t n = read_head(pid, "cmdline", command, sizeof(command));
	ssize_t len;

	if (!n || pid == (uint64_t)getpid())
		return NULL;
	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/exe", pid);
	len = readlink(path, exe, sizeof(exe));
	if (!names_file(f->name, command, strlen(command)) &&
	    (len <= 0 || !names_file(f->name, exe, (size_t)len)))
		return NULL;
	for (size_t i = 0; i + 1 < n; i++)
		command[i] = command[i] ? command[i] : ' ';
	return found_add(f, pid, command);
}

DEFINE_CLEANUP(closedir, DIR *)

struct err *process_name_here(const char *name, uint64_t *pid)
{
	_cleanup_(found_deinit) struct found f = { .name = name, .list = BUF_INIT };
	_cleanup_(cleanup_closedir) DIR *proc = opendir("/proc");
	const struct dirent *e;

	if (!proc)
		return err_create(ERR_UNSUPPORTED, "/proc cannot be read: give a process id");
	while ((e = readdir(proc)))
		if (*e->d_name >= '1' && *e->d_name <= '9')
			TRY(try_here(&f, strtoull(e->d_name, NULL, 10)));
	return found_end(&f, pid);
}

/* ------------------------------------------------------------------ there */

/* One <item> of the list after the other; the text of a <column> comes in pieces. */
struct listing {
	struct found *f;
	XML_Parser parser;
	struct err *err;
	struct buf *column; /* the one being read; NULL: none that matters */
	struct buf pid, command;
};

static void listing_deinit(struct listing *l)
{
	if (l->parser)
		XML_ParserFree(l->parser);
	err_destroy(l->err);
	buf_deinit(&l->pid);
	buf_deinit(&l->command);
}

static void listing_check(struct listing *l, struct err *err)
{
	if (err && !l->err) {
		l->err = err;
		XML_StopParser(l->parser, XML_FALSE);
	} else {
		err_destroy(err);
	}
}

static void XMLCALL start_element(void *arg, const char *element, const char **attr)
{
	struct listing *l = arg;

	l->column = NULL;
	if (!strcmp(element, "item"))
		l->pid.len = l->command.len = 0;
	if (strcmp(element, "column"))
		return;
	for (; attr[0]; attr += 2)
		if (!strcmp(attr[0], "name"))
			l->column = !strcmp(attr[1], "pid")     ? &l->pid :
				    !strcmp(attr[1], "command") ? &l->command :
								  NULL;
}

static void XMLCALL character_data(void *arg, const char *s, int len)
{
	struct listing *l = arg;

	if (l->column)
		listing_check(l, buf_add(l->column, s, (size_t)len));
}

/* Adds the process if the first word of its command line is the name. */
static struct err *try_there(struct listing *l)
{
	uint64_t pid;
	const char *command;

	TRY(buf_add(&l->pid, "", 1));
	TRY(buf_add(&l->command, "", 1));
	pid = strtoull((const char *)l->pid.data, NULL, 10);
	command = (const char *)l->command.data;
	if (!pid || !names_file(l->f->name, command, strcspn(command, " ")))
		return NULL;
	return found_add(l->f, pid, command);
}

static void XMLCALL end_element(void *arg, const char *element)
{
	struct listing *l = arg;

	l->column = NULL;
	if (!strcmp(element, "item"))
		listing_check(l, try_there(l));
}

/* A document type could define entities that grow without end. */
static void XMLCALL refuse_doctype(void *arg, const char *name, const char *sysid,
				   const char *pubid, int internal)
{
	if (internal)
		listing_check(arg, err_create(ERR_PROTO, "the stub's list has a document type"));
}

static struct err *parse_list(struct found *f, const struct buf *xml)
{
	_cleanup_(
		listing_deinit) struct listing l = { .f = f, .pid = BUF_INIT, .command = BUF_INIT };

	l.parser = XML_ParserCreate(NULL);
	if (!l.parser)
		return err_nomem();
	XML_SetUserData(l.parser, &l);
	XML_SetElementHandler(l.parser, start_element, end_element);
	XML_SetCharacterDataHandler(l.parser, character_data);
	XML_SetStartDoctypeDeclHandler(l.parser, refuse_doctype);
	if (xml->len > INT_MAX ||
	    XML_Parse(l.parser, (const char *)xml->data, (int)xml->len, 1) != XML_STATUS_OK)
		return l.err ? TAKE_PTR(l.err) :
			       err_create(ERR_PROTO, "the stub's list of processes is no XML");
	return NULL;
}

struct err *process_name_there(struct rsp *rsp, const char *name, uint64_t *pid)
{
	_cleanup_(found_deinit) struct found f = { .name = name, .list = BUF_INIT };
	_cleanup_buf_ struct buf xml = BUF_INIT;
	struct err *err = rsp_xfer(rsp, "osdata", "processes", &xml);

	if (err_catch(&err, ERR_REMOTE) || err_catch(&err, ERR_UNSUPPORTED))
		return err_create(ERR_UNSUPPORTED,
				  "-p %s: this stub does not list processes: give the id", name);
	TRY(err);
	TRY(parse_list(&f, &xml));
	return found_end(&f, pid);
}
