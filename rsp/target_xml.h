/*
 * target.xml: the registers, in the order and with the offsets that `g` uses.
 *
 * Register numbers count up in document order, over all included files, unless
 * regnum="..." says otherwise; `g` is the registers by number, without gaps.
 * lldb-server's say offset="..." themselves.
 * Source: gdb's manual, "Target Descriptions".
 */
#ifndef GRF_RSP_TARGET_XML_H
#define GRF_RSP_TARGET_XML_H

#include "base/buf.h"
#include "base/err.h"
#include "base/vec.h"
#include "rsp/rsp.h"

struct target_xml {
	VEC(struct rsp_reg) regs;
	char arch[64]; /* "i386:x86-64"; "": it names none */
};

/* Gets one file's text ("target.xml", "64bit-core.xml") into ret. */
typedef struct err *target_xml_fetch(void *arg, const char *name, struct buf *ret);

/* x is zeroed before. */
ERR_MUST_CHECK struct err *target_xml_read(struct target_xml *x, target_xml_fetch *fetch,
					   void *arg);
void target_xml_deinit(struct target_xml *x);

#endif
