/*
 * The instructions that sequences are made of.
 *
 * Owns: the meaning of a row of forms[] (forms.c).
 */
#ifndef RANDOM_FORMS_H
#define RANDOM_FORMS_H

enum form_modrm {
	NO_MODRM,
	RM_ANY,
	RM_MEM,
	RM_REG,
};

enum form_immediate {
	NO_IMM,
	IMM_8,
	IMM_Z, /* 16 or 32 bits, by the operand size */
	IMM_ENTER,
	IMM_MOFFS,
	IMM_REL8,
	IMM_RELZ,
};

#define F_SIZE16 0x0001u /* may have a 66 */
#define F_LOCK	 0x0002u /* may have a lock, if its operand is in memory */
#define F_REP	 0x0004u /* a string instruction */
#define F_CL	 0x0008u /* takes CL: a small one is loaded */
#define F_DIV	 0x0010u /* EDX is made small, so that not each one faults */
#define F_BIT	 0x0020u /* the register operand is a bit offset */
#define F_ALIGN	 0x0040u /* mostly aligned to 16 */
#define F_X87	 0x0080u /* changes the condition codes of the FPU's status word ... */
#define F_FSW	 0x0100u /* ... reads it */
#define F_SSE	 0x0200u /* changes exception flags of MXCSR ... */
#define F_MXCSR	 0x0400u /* ... reads it */
#define F_FLAGS	 0x0800u /* takes EFLAGS from the stack: some that do no harm are pushed */
#define F_BX	 0x1000u /* EBX points to a table */

struct form {
	unsigned char map, first, last;
	unsigned char prefix; /* the mandatory one, or 0 */
	unsigned char ext;    /* which values of ModRM.reg there are, when not all; 0: all */
	unsigned char modrm, immediate;
	unsigned char weight;
	unsigned short flags;
};
extern const struct form forms[];
extern const unsigned form_count;

#endif
