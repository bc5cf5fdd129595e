/*
 * An instruction for both: its bytes for the core, what it means for the model.
 */
#ifndef PLEX86_OPERATION_H
#define PLEX86_OPERATION_H

#include "machine.h"

enum kind {
	MOV_SEG,
	POP_SEG,
	LOAD_FAR, /* lds and so on */
	FAR_JUMP,
	FAR_CALL,
	FAR_RETURN,
	LOAD_LDT,
	LOAD_TR,
	IRET,
	KINDS
};

struct operation {
	enum kind kind;
	unsigned size;	  /* of the operand: 2 or 4 */
	enum seg_reg reg; /* MOV_SEG, POP_SEG, LOAD_FAR */
	bool in_memory;	  /* the operand, at seg:offset; else it is here or in AX */
	enum seg_reg seg;
	u32 offset;
	u16 selector;
	u32 target, release;
	unsigned length; /* of its bytes */
};

/* A random one, with its bytes, operands and stack in the machine's memory. */
struct operation random_operation(struct contest *c, enum kind kind);
/* The model's part: an m_operation. */
void operation_run(struct model *m, const void *operation);
void operation_describe(const struct operation *o, char *text, size_t size);

#endif
