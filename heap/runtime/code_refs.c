/*
 * The patterns, by architecture: what cmd/internal/obj of Go 1.17 to 1.27 makes of an address.
 *
 *	amd64		a displacement of 32 bits from the instruction's end, which is 0, 1, 2 or 4
 *			bytes behind the displacement (an immediate)
 *	386		the address itself, as a displacement
 *	arm		the address itself, in a pool behind the function
 *	s390x		LARL and the relative loads and stores: twice a displacement of 32 bits
 *	others		two instructions: one has the upper bits, the next the lower 12 or 16, as
 *			an addition, a load or a store on the same register
 */
#include "heap/runtime/code_refs.h"

#include <string.h>

#include "base/intr.h"

enum { CHECK_EVERY = 1 << 20 }; /* bytes of code between two looks for signals */

struct scan {
	const uint8_t *code;
	uint64_t addr, len; /* where the code is in the process, and its bytes */
	struct bytes_fmt fmt;
	uint64_t lo, hi;
	code_ref_fn found;
	void *arg;
};

static struct err *scan_hit(const struct scan *s, uint64_t at, uint64_t target, bool store)
{
	return s->found(s->arg, (struct code_ref){ s->addr + at, target, store });
}

static bool scan_within(const struct scan *s, uint64_t target)
{
	return target - s->lo < s->hi - s->lo;
}

static uint32_t word32(const struct scan *s, uint64_t at)
{
	return bytes_u32(s->fmt, s->code + at);
}

/* ------------------------------------------------------------------ bytes */

/*
 * The bytes of an immediate behind the displacement of the instruction whose opcode ends at op
 * (Intel's manual, volume 2, appendix A): op[-1] tells two-byte opcodes.
 */
static unsigned immediate_amd64(const uint8_t *op, uint8_t modrm, bool op_size)
{
	bool test = !(modrm & 0x38); /* of F6 and F7, TEST alone has one */

	if (op[-1] == 0x0f)
		return *op == 0xba || *op == 0xa4 || *op == 0xac || *op == 0xc2 || *op == 0xc6 ||
		       (*op >= 0x70 && *op <= 0x73);
	switch (*op) {
	case 0x80:
	case 0x83:
	case 0xc0:
	case 0xc1:
	case 0xc6:
	case 0x6b:
		return 1;
	case 0x81:
	case 0xc7:
	case 0x69:
		return op_size ? 2 : 4;
	case 0xf6:
		return test;
	case 0xf7:
		return test ? op_size ? 2 : 4 : 0;
	default:
		return 0;
	}
}

/* Whether the prefix for operands of 16 bits is there, maybe before a REX without W. */
static bool operand_size(const uint8_t *op)
{
	return op[-1] == 0x66 || (op[-2] == 0x66 && (op[-1] & 0xf8) == 0x40);
}

/* MOV of a register or a constant into memory */
static bool stores_amd64(const uint8_t *op)
{
	return op[-1] != 0x0f && (*op == 0x89 || *op == 0xc7 || *op == 0x88 || *op == 0xc6);
}

static struct err *scan_amd64(const struct scan *s, uint64_t from, uint64_t to)
{
	for (uint64_t i = from < 4 ? 4 : from; i < to && i + 4 <= s->len; i++) {
		const uint8_t *op = s->code + i - 2;
		uint64_t target = s->addr + i + 4 + (uint64_t)(int64_t)(int32_t)word32(s, i);

		/* ModRM with mod 0 and rm 5: an address relative to the instruction's end */
		if ((op[1] & 0xc7) != 5 || target - s->lo + 4 > s->hi - s->lo + 4)
			continue;
		target += immediate_amd64(op, op[1], operand_size(op));
		if (scan_within(s, target))
			TRY(scan_hit(s, i, target, stores_amd64(op)));
	}
	return NULL;
}

/* 386's MOV into memory: A3 or, with a ModRM of mod 0 and rm 5, 89 and C7.  arm's pools say
 * nothing. */
static bool stores_386(const uint8_t *address)
{
	return address[-1] == 0xa3 ||
	       ((address[-1] & 0xc7) == 5 && (address[-2] == 0x89 || address[-2] == 0xc7));
}

static struct err *scan_absolute(const struct scan *s, uint64_t from, uint64_t to, bool is_386)
{
	for (uint64_t i = from < 4 ? 4 : from; i < to && i + 4 <= s->len; i++)
		if (scan_within(s, word32(s, i)))
			TRY(scan_hit(s, i, word32(s, i), is_386 && stores_386(s->code + i)));
	return NULL;
}

static struct err *scan_386(const struct scan *s, uint64_t from, uint64_t to)
{
	return scan_absolute(s, from, to, true);
}

static struct err *scan_arm(const struct scan *s, uint64_t from, uint64_t to)
{
	return scan_absolute(s, from, to, false);
}

static struct err *scan_s390x(const struct scan *s, uint64_t from, uint64_t to)
{
	for (uint64_t i = from & ~1ull; i < to && i + 6 <= s->len; i += 2) {
		uint64_t target;
		bool store;

		if (s->code[i] != 0xc0 && s->code[i] != 0xc4)
			continue;
		target = s->addr + i + 2 * (uint64_t)(int64_t)(int32_t)word32(s, i + 2);
		/* STHRL, STGRL, STRL */
		store = s->code[i] == 0xc4 &&
			((s->code[i + 1] & 15) == 7 || (s->code[i + 1] & 11) == 11);
		if (scan_within(s, target))
			TRY(scan_hit(s, i, target, store));
	}
	return NULL;
}

/* ------------------------------------------------------------------ pairs of instructions */

static uint64_t extend(uint32_t v, unsigned bits)
{
	return (uint64_t)((int64_t)((uint64_t)v << (64 - bits)) >> (64 - bits));
}

/* What two instructions, the first at pc, make together; 0: no address.  *store: the second writes
 * there. */
static uint64_t pair_arm64(uint64_t pc, uint32_t a, uint32_t b, bool *store)
{
	uint64_t page = pc & ~0xfffull, imm;

	if ((a & 0x9f000000) != 0x90000000 || (b >> 5 & 31) != (a & 31)) /* ADRP */
		return 0;
	page += extend((a >> 5 & 0x7ffff) << 2 | (a >> 29 & 3), 21) << 12;
	imm = b >> 10 & 0xfff;
	if ((b & 0xff800000) == 0x91000000) /* ADD, 64 bits, not shifted */
		return page + imm;
	*store = !(b & 0x00c00000);
	if ((b & 0x3b000000) == 0x39000000) /* LDR, STR with an unsigned offset, by their size */
		return page + (imm << (b >> 30));
	return 0;
}

static uint64_t pair_riscv64(uint64_t pc, uint32_t a, uint32_t b, bool *store)
{
	uint32_t op = b & 0x7f;
	uint64_t hi = pc + extend(a & 0xfffff000, 32);

	if ((a & 0x7f) != 0x17 || (b >> 15 & 31) != (a >> 7 & 31)) /* AUIPC */
		return 0;
	if (op == 0x13 || op == 0x03 || op == 0x07) /* ADDI, loads */
		return hi + extend(b >> 20, 12);
	*store = true;
	if (op == 0x23 || op == 0x27)
		return hi + extend((b >> 25) << 5 | (b >> 7 & 31), 12);
	return 0;
}

static uint64_t pair_loong64(uint64_t pc, uint32_t a, uint32_t b, bool *store)
{
	uint32_t op = b >> 22;

	if (a >> 25 != 0x0d || (b >> 5 & 31) != (a & 31)) /* PCALAU12I */
		return 0;
	/* ADDI.D, loads and stores with 12 bits */
	if (op != 0x0b && (op < 0xa0 || op > 0xaf))
		return 0;
	*store = op >= 0xa4 && op <= 0xa7;
	return (pc & ~0xfffull) + (extend(a >> 5 & 0xfffff, 20) << 12) +
	       extend(b >> 10 & 0xfff, 12);
}

static uint64_t pair_ppc64(uint64_t pc, uint32_t a, uint32_t b, bool *store)
{
	uint32_t op = b >> 26, reg = a >> 21 & 31;
	uint64_t lo = extend(b & 0xffff, 16);

	if (a >> 26 != 15 || (a >> 16 & 31) || (b >> 16 & 31) != reg) /* ADDIS reg, 0 */
		return 0;
	if (op == 58 || op == 62) /* LD, STD: the lowest two bits belong to the opcode */
		lo &= ~3ull;
	else if (op != 14 && (op < 32 || op > 55)) /* ADDI, loads and stores */
		return 0;
	*store = op == 62 || (op >= 36 && op <= 39) || op == 44 || op == 45;
	return (extend(a & 0xffff, 16) << 16) + lo;
}

static uint64_t pair_mips(uint64_t pc, uint32_t a, uint32_t b, bool *store)
{
	uint32_t op = b >> 26;

	if (a >> 26 != 15 || (b >> 21 & 31) != (a >> 16 & 31)) /* LUI */
		return 0;
	/* ADDIU, DADDIU, loads and stores */
	if (op != 9 && op != 25 && (op < 32 || op > 63))
		return 0;
	*store = (op >= 40 && op <= 46) || op == 63;
	return (uint32_t)((a << 16) + (uint32_t)extend(b & 0xffff, 16));
}

typedef uint64_t (*pair_fn)(uint64_t pc, uint32_t a, uint32_t b, bool *store);

/* mips64 adds a register between the two: the second may be one instruction further. */
static struct err *scan_pairs(const struct scan *s, uint64_t from, uint64_t to, pair_fn pair)
{
	for (uint64_t i = from & ~3ull; i < to && i + 8 <= s->len; i += 4) {
		uint32_t a = word32(s, i);

		for (unsigned k = 4; k <= 8 && i + k + 4 <= s->len; k += 4) {
			bool store = false;
			uint64_t target = pair(s->addr + i, a, word32(s, i + k), &store);

			if (!target)
				continue;
			if (scan_within(s, target))
				TRY(scan_hit(s, i, target, store));
			break;
		}
	}
	return NULL;
}

/* ------------------------------------------------------------------ by architecture */

static const struct {
	const char *goarch;
	struct err *(*bytes)(const struct scan *s, uint64_t from, uint64_t to);
	pair_fn pair;
} patterns[] = {
	{ "amd64", scan_amd64, NULL },     { "386", scan_386, NULL },
	{ "arm", scan_arm, NULL },         { "s390x", scan_s390x, NULL },
	{ "arm64", NULL, pair_arm64 },     { "riscv64", NULL, pair_riscv64 },
	{ "loong64", NULL, pair_loong64 }, { "ppc64", NULL, pair_ppc64 },
	{ "ppc64le", NULL, pair_ppc64 },   { "mips", NULL, pair_mips },
	{ "mipsle", NULL, pair_mips },     { "mips64", NULL, pair_mips },
	{ "mips64le", NULL, pair_mips },
};

struct err *code_refs(struct proc *p, const struct module *m, uint64_t lo, uint64_t hi,
		      code_ref_fn found, void *arg, bool *known)
{
	struct scan s = {
		.addr = m->text, .fmt = p->fmt, .lo = lo, .hi = hi, .found = found, .arg = arg
	};
	size_t i = 0, n = sizeof(patterns) / sizeof(*patterns);

	while (i < n && strcmp(patterns[i].goarch, p->arch->name))
		i++;
	*known = i < n;
	if (i == n || m->etext <= m->text)
		return NULL;
	s.code = image_ptr(p->img, m->text, 1, &s.len);
	if (!s.code)
		return NULL;
	if (s.len > m->etext - m->text)
		s.len = m->etext - m->text;
	for (uint64_t at = 0; at < s.len; at += CHECK_EVERY) {
		uint64_t to = s.len - at > CHECK_EVERY ? at + CHECK_EVERY : s.len;

		TRY(intr_check());
		if (patterns[i].pair)
			TRY(scan_pairs(&s, at, to, patterns[i].pair));
		else
			TRY(patterns[i].bytes(&s, at, to));
	}
	return NULL;
}
