/* Fields, words and slices of the process's memory, as the image has it. */
#include "heap/runtime/proc.h"

struct err *proc_get(const struct proc *p, uint64_t base, enum layout_id id, uint64_t *ret)
{
	return image_read_uint(p->img, base + p->layout.f[id].off, p->layout.f[id].size, ret);
}

struct err *proc_slice(const struct proc *p, uint64_t addr, uint64_t *ptr, uint64_t *len)
{
	TRY(image_read_word(p->img, addr, ptr));
	return image_read_word(p->img, addr + p->fmt.word, len);
}

bool proc_try_uint(const struct proc *p, uint64_t addr, unsigned size, uint64_t *ret)
{
	return image_try_uint(p->img, addr, size, ret);
}

bool proc_try_word(const struct proc *p, uint64_t addr, uint64_t *ret)
{
	return proc_try_uint(p, addr, p->fmt.word, ret);
}
