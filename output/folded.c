/*
 * FlameGraph's collapsed stacks: "root;frame;frame BYTES", one line per path that holds something
 * itself.  Frames may have spaces in them: the value is behind the last one.
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
	for (uint32_t i = 0; i < frames->n; i++) {
		TRY(vec_push(&c->start, c->text.len));
		TRY(text_add_clean(&c->text, frames->str[i], true));
		TRY(buf_add(&c->text, "", 1));
	}
	return NULL;
}

/* Bytes by node.  Paths that differ only in their goroutines' labels are one line here: the first
 * of them has the bytes of all. */
static struct err *sum_bytes(const struct profile *p, uint64_t **ret)
{
	_cleanup_free_ uint64_t *bytes = calloc(p->nodes.n, sizeof(*bytes));
	_cleanup_free_ uint32_t *first = calloc(p->nodes.n, sizeof(*first));
	_cleanup_(map64_deinit) struct map64 seen = MAP64_INIT;
	uint64_t *at;

	if (!bytes || !first)
		return err_nomem();
	for (uint32_t i = 1; i < p->nodes.n; i++) {
		const struct profile_node *v = &p->nodes.v[i];

		first[i] = i;
		if (p->labels.n) {
			TRY(map64_put(&seen, (uint64_t)first[v->parent] << 32 | v->frame, i, &at,
				      NULL));
			first[i] = (uint32_t)*at;
		}
		bytes[first[i]] += v->bytes;
	}
	*ret = TAKE_PTR(bytes);
	return NULL;
}

struct err *folded_write(FILE *f, const struct profile *p)
{
	_cleanup_free_ uint64_t *bytes = NULL;
	_cleanup_(clean_frames_deinit) struct clean_frames clean = { BUF_INIT, VEC_INIT };
	_cleanup_vec_ VEC(uint32_t) path = VEC_INIT;

	TRY(clean_frames_init(&clean, &p->frames));
	TRY(sum_bytes(p, &bytes));
	for (uint32_t i = 1; i < p->nodes.n; i++) {
		if (!bytes[i])
			continue;
		if (i % NODES_PER_CHECK == 0)
			TRY(intr_check());
		path.n = 0;
		for (uint32_t at = i; at; at = p->nodes.v[at].parent)
			TRY(vec_push(&path, p->nodes.v[at].frame));
		while (path.n--) {
			fputs((const char *)clean.text.data + clean.start.v[path.v[path.n]], f);
			putc(path.n ? ';' : ' ', f);
		}
		if (fprintf(f, "%" PRIu64 "\n", bytes[i]) < 0 || ferror(f))
			return err_os(errno, "write");
	}
	return NULL;
}
