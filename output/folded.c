/*
 * FlameGraph's collapsed stacks: "root;frame;frame BYTES", one line per path that holds something
 * itself.  Frames may hold spaces; the value is what follows the last one.
 */
#include "output/internal.h"

#include <errno.h>
#include <inttypes.h>

#include "base/cleanup.h"
#include "base/intr.h"

/* Every frame's clean form, made once: clean.data + start[id]. */
struct clean_frames {
	struct buf text;
	VEC(size_t) start;
};

static void clean_frames_deinit(struct clean_frames *c)
{
	buf_deinit(&c->text);
	vec_deinit(&c->start);
}

static struct err *clean_frames_init(struct clean_frames *c, const struct strtab *frames)
{
	struct err *err = NULL;

	for (uint32_t i = 0; !err && i < frames->n; i++) {
		err = vec_push(&c->start, c->text.len);
		if (!err)
			err = text_add_clean(&c->text, frames->str[i], true);
		if (!err)
			err = buf_add(&c->text, "", 1);
	}
	return err;
}

/* Bytes by node.  Paths that differ in their goroutines' labels only are one line here: the
 * first has the bytes of all. */
static struct err *sum_bytes(const struct profile *p, uint64_t **ret)
{
	uint64_t *bytes = calloc(p->nodes.n, sizeof(*bytes)), *at;
	_cleanup_free_ uint32_t *first = calloc(p->nodes.n, sizeof(*first));
	struct map64 seen = MAP64_INIT;
	struct err *err = bytes && first ? NULL : err_nomem();

	for (uint32_t i = 1; i < p->nodes.n && !err; i++) {
		const struct profile_node *v = &p->nodes.v[i];

		first[i] = i;
		if (p->labels.n) {
			err = map64_put(&seen, (uint64_t)first[v->parent] << 32 | v->frame, i, &at,
					NULL);
			if (!err)
				first[i] = (uint32_t)*at;
		}
		bytes[first[i]] += v->bytes;
	}
	map64_deinit(&seen);
	if (err) {
		free(bytes);
		return err;
	}
	*ret = bytes;
	return NULL;
}

struct err *folded_write(FILE *f, const struct profile *p)
{
	_cleanup_free_ uint64_t *bytes = NULL;
	__attribute__((cleanup(clean_frames_deinit))) struct clean_frames clean = { BUF_INIT,
										    VEC_INIT };
	VEC(uint32_t) path = VEC_INIT;
	struct err *err;

	err = clean_frames_init(&clean, &p->frames);
	if (!err)
		err = sum_bytes(p, &bytes);
	for (uint32_t i = 1; !err && i < p->nodes.n; i++) {
		if (!bytes[i])
			continue;
		if (i % 4096 == 0)
			err = intr_check();
		path.n = 0;
		for (uint32_t at = i; !err && at; at = p->nodes.v[at].parent)
			err = vec_push(&path, p->nodes.v[at].frame);
		if (err)
			break;
		while (path.n--) {
			fputs((const char *)clean.text.data + clean.start.v[path.v[path.n]], f);
			putc(path.n ? ';' : ' ', f);
		}
		if (fprintf(f, "%" PRIu64 "\n", bytes[i]) < 0 || ferror(f))
			err = err_os(errno, "write");
	}
	vec_deinit(&path);
	return err;
}
