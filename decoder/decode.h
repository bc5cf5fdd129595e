/*
 * The instruction decoder.
 *
 * Owns: turning at most 15 bytes into a description of one x86 instruction. Freestanding: no libc,
 * no vcpu, no guest memory; the caller fetches the bytes and computes addresses from registers.
 * The opcode tables behind it are generated from Capstone when plex86 is built (decoder/gen/).
 */
#ifndef PLEX86_DECODE_H
#define PLEX86_DECODE_H

#include "../common/types.h"

#define INSN_MAX 15

/* Default operand and address size of the code segment (SDM vol. 3, 5.21). */
enum insn_mode { MODE_16, MODE_32, MODE_64 };

/* Segment registers in the order of their encoding in ModRM.reg. */
enum seg_reg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_COUNT };

/*
 * What the core may have to emulate or to look into. Everything else is OP_OTHER: its length, its
 * memory operand and the access it makes to it are still exact.
 */
enum insn_op {
	OP_OTHER,
	/* privileged or sensitive */
	OP_IN, OP_OUT, OP_INS, OP_OUTS, OP_HLT, OP_CLI, OP_STI, OP_PUSHF, OP_POPF, OP_IRET,
	OP_MOV_FROM_CR, OP_MOV_TO_CR, OP_MOV_FROM_DR, OP_MOV_TO_DR, OP_CLTS, OP_LMSW, OP_SMSW,
	OP_LGDT, OP_LIDT, OP_LLDT, OP_LTR, OP_SGDT, OP_SIDT, OP_SLDT, OP_STR, OP_INVLPG, OP_INVPCID,
	OP_WBINVD, OP_INVD, OP_RDMSR, OP_WRMSR, OP_RDTSC, OP_RDTSCP, OP_RDPMC, OP_CPUID, OP_XSETBV,
	OP_XGETBV, OP_MONITOR, OP_MWAIT, OP_CLAC, OP_STAC, OP_SYSENTER, OP_SYSEXIT, OP_SYSCALL,
	OP_SYSRET, OP_LAR, OP_LSL, OP_VERR, OP_VERW, OP_ARPL, OP_SWAPGS, OP_UD,
	/* control transfer */
	OP_INT, OP_INT3, OP_INTO, OP_INT1, OP_JMP, OP_CALL, OP_RET, OP_JCC, OP_LOOP,
	OP_LJMP, OP_LCALL, OP_LRET,
	/* segment registers */
	OP_MOV_TO_SEG, OP_MOV_FROM_SEG, OP_PUSH_SEG, OP_POP_SEG,
	OP_LDS, OP_LES, OP_LFS, OP_LGS, OP_LSS,
	/* forms emulated on device memory and on pages the host cannot map */
	OP_MOV, OP_MOVZX, OP_MOVSX, OP_XCHG, OP_ADD, OP_OR, OP_ADC, OP_SBB, OP_AND, OP_SUB, OP_XOR,
	OP_CMP, OP_TEST, OP_INC, OP_DEC, OP_NOT, OP_NEG, OP_BT, OP_BTS, OP_BTR, OP_BTC, OP_XADD,
	OP_CMPXCHG, OP_MOVS, OP_STOS, OP_LODS, OP_CMPS, OP_SCAS, OP_PUSH, OP_POP,
	OP_COUNT
};

enum operand_kind {
	OPND_NONE,
	OPND_REG,  /* general register; reg is its number, 0-15; see high_byte */
	OPND_SEG,  /* segment register; reg is an enum seg_reg */
	OPND_CR,   /* control register; reg is its number */
	OPND_DR,   /* debug register */
	OPND_MEM,  /* the memory operand described by insn.mem */
	OPND_IMM,  /* insn.imm, sign-extended to 64 bits where the instruction sign-extends it */
	OPND_REL,  /* branch displacement in insn.imm, relative to the next instruction */
	OPND_FAR,  /* ptr16:16/32 in insn.far_selector and insn.imm */
};

enum { ACCESS_NONE = 0, ACCESS_READ = 1, ACCESS_WRITE = 2 };

struct operand {
	u8 kind;      /* enum operand_kind */
	u8 reg;
	bool high_byte; /* AH, CH, DH, BH: reg is 0-3 */
	u8 size;      /* bytes */
	u8 access;    /* ACCESS_* */
};

#define REG_NONE 0xff
#define REG_IP   0xfe /* base is the address of the next instruction (64-bit mode) */

/* seg:[base + index * scale + disp], truncated to insn.addr_size bytes. */
struct mem_operand {
	u8 base, index; /* general register numbers, REG_NONE, REG_IP */
	u8 scale;
	u8 seg;         /* enum seg_reg, defaults and overrides applied */
	u16 size;       /* bytes accessed; 0 if none are (lea, nop, prefetch, invlpg) or not fixed */
	u8 access;      /* ACCESS_* */
	s64 disp;
};

/*
 * Operands are in Intel order: the destination first. Implicit memory operands of string
 * instructions and of push/pop are not in `opnd`; they follow from `op` and the sizes.
 */
struct insn {
	u8 length;      /* 1..15 */
	u8 op_size;     /* 2, 4 or 8: effective operand size; 1 for byte forms of string and I/O ops */
	u8 addr_size;   /* 2, 4 or 8 */
	u8 stack_size;  /* 2, 4 or 8: operand size of implicit stack pushes and pops */
	u8 rep;         /* 0, 0xf2 or 0xf3 if that prefix is present */
	bool lock;
	u8 seg_override; /* enum seg_reg, or REG_NONE */
	u8 prefix_len;  /* bytes before the opcode */
	u8 opcode;      /* last opcode byte (before ModRM) */
	u8 map;         /* 0 one-byte, 1 0F, 2 0F38, 3 0F3A */
	bool has_modrm;
	u8 modrm;
	u16 op;         /* enum insn_op */
	bool has_mem;
	u8 nopnds;
	struct operand opnd[3];
	struct mem_operand mem;
	u64 imm;
	u16 far_selector;
};

enum decode_result {
	DECODE_OK,
	DECODE_TRUNCATED, /* more bytes than `avail` are needed (and 15 are not exceeded) */
	DECODE_INVALID,   /* undefined (#UD), or longer than 15 bytes (#GP) */
};

/*
 * Decode one instruction from `bytes`, of which `avail` may be read. Reads no byte at or beyond
 * bytes + min(avail, 15). *insn is valid only if DECODE_OK is returned.
 */
enum decode_result insn_decode(const u8 *bytes, unsigned avail, enum insn_mode mode,
			       struct insn *insn);

#endif
