/*
 * Pointers in words of which nothing is known, as in stripped programs: an interface is still one,
 * as its first word says of which type the value is.
 */
#include "heap/mark/edge.h"

enum { WORDS_MAX = 8 }; /* that are looked at before a pointer */

/* The type that this word stands for as the first one of an interface: by an itab, which begins
 * with two descriptors (abi.ITab), or by a descriptor, which does not; NULL: by neither. */
static struct err *type_of_word(struct places *p, uint64_t word, struct go_type **ret)
{
	const struct proc *pr = &p->h->proc;
	uint64_t inter, type;

	*ret = NULL;
	if (!word || word % pr->fmt.word || spans_find(&p->h->spans, word))
		return NULL;
	if (proc_try_word(pr, word, &inter) && modules_have_type(&pr->modules, inter) &&
	    proc_try_word(pr, word + layout_off(&pr->layout, L_itab_type), &type) &&
	    modules_have_type(&pr->modules, type))
		word = type;
	if (!modules_have_type(&pr->modules, word))
		return NULL;
	return types_from_runtime(p->types, word, ret);
}

/*
 * The type of the interface whose second word is at addr; NULL: it is hardly one.  A reflect.Type
 * has a descriptor as its second word: of several such words in a row every other one is a first.
 */
static struct err *interface_before(struct places *p, uint64_t addr, uint64_t room,
				    struct go_type **ret)
{
	const struct proc *pr = &p->h->proc;
	struct go_type *first = NULL, *type;
	uint64_t word;
	unsigned n;

	for (n = 0; n < WORDS_MAX && (n + 1) * pr->fmt.word <= room; n++) {
		if (!proc_try_word(pr, addr - (n + 1) * pr->fmt.word, &word))
			break;
		TRY(type_of_word(p, word, &type));
		if (!type)
			break;
		if (!n)
			first = type;
	}
	*ret = n & 1 ? first : NULL;
	return NULL;
}

struct err *untyped_resolve(struct places *p, uint64_t addr, uint64_t room, uint64_t value,
			    const struct span *sp, uint32_t index, uint32_t *place)
{
	struct go_type *dyn;

	*place = 0;
	TRY(interface_before(p, addr, room, &dyn));
	return dyn ? value_resolve(p, dyn, addr, value, sp, index, place) : NULL;
}
