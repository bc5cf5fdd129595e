/*
 * Capstone's names for what the core knows by name.
 *
 * Owns: the map from Capstone instruction ids to enum insn_op, and which operands each of those
 * operations reads and writes. Knows nothing of encodings.
 */
#include "probe.h"

static const u8 ops[X86_INS_ENDING] = {
	[X86_INS_IN] = OP_IN,		[X86_INS_OUT] = OP_OUT,
	[X86_INS_INSB] = OP_INS,	[X86_INS_INSW] = OP_INS,
	[X86_INS_INSD] = OP_INS,	[X86_INS_OUTSB] = OP_OUTS,
	[X86_INS_OUTSW] = OP_OUTS,	[X86_INS_OUTSD] = OP_OUTS,
	[X86_INS_HLT] = OP_HLT,		[X86_INS_CLI] = OP_CLI,
	[X86_INS_STI] = OP_STI,		[X86_INS_PUSHF] = OP_PUSHF,
	[X86_INS_PUSHFD] = OP_PUSHF,	[X86_INS_PUSHFQ] = OP_PUSHF,
	[X86_INS_POPF] = OP_POPF,	[X86_INS_POPFD] = OP_POPF,
	[X86_INS_POPFQ] = OP_POPF,	[X86_INS_IRET] = OP_IRET,
	[X86_INS_IRETD] = OP_IRET,	[X86_INS_IRETQ] = OP_IRET,
	[X86_INS_CLTS] = OP_CLTS,	[X86_INS_LMSW] = OP_LMSW,
	[X86_INS_SMSW] = OP_SMSW,	[X86_INS_LGDT] = OP_LGDT,
	[X86_INS_LIDT] = OP_LIDT,	[X86_INS_LLDT] = OP_LLDT,
	[X86_INS_LTR] = OP_LTR,		[X86_INS_SGDT] = OP_SGDT,
	[X86_INS_SIDT] = OP_SIDT,	[X86_INS_SLDT] = OP_SLDT,
	[X86_INS_STR] = OP_STR,		[X86_INS_INVLPG] = OP_INVLPG,
	[X86_INS_INVPCID] = OP_INVPCID, [X86_INS_WBINVD] = OP_WBINVD,
	[X86_INS_INVD] = OP_INVD,	[X86_INS_RDMSR] = OP_RDMSR,
	[X86_INS_WRMSR] = OP_WRMSR,	[X86_INS_RDTSC] = OP_RDTSC,
	[X86_INS_RDTSCP] = OP_RDTSCP,	[X86_INS_RDPMC] = OP_RDPMC,
	[X86_INS_CPUID] = OP_CPUID,	[X86_INS_XSETBV] = OP_XSETBV,
	[X86_INS_XGETBV] = OP_XGETBV,	[X86_INS_MONITOR] = OP_MONITOR,
	[X86_INS_MWAIT] = OP_MWAIT,	[X86_INS_CLAC] = OP_CLAC,
	[X86_INS_STAC] = OP_STAC,	[X86_INS_SYSENTER] = OP_SYSENTER,
	[X86_INS_SYSEXIT] = OP_SYSEXIT, [X86_INS_SYSCALL] = OP_SYSCALL,
	[X86_INS_SYSRET] = OP_SYSRET,	[X86_INS_LAR] = OP_LAR,
	[X86_INS_LSL] = OP_LSL,		[X86_INS_VERR] = OP_VERR,
	[X86_INS_VERW] = OP_VERW,	[X86_INS_ARPL] = OP_ARPL,
	[X86_INS_SWAPGS] = OP_SWAPGS,	[X86_INS_UD0] = OP_UD,
	[X86_INS_UD2] = OP_UD,		[X86_INS_UD2B] = OP_UD,
	[X86_INS_INT] = OP_INT,		[X86_INS_INT3] = OP_INT3,
	[X86_INS_INTO] = OP_INTO,	[X86_INS_INT1] = OP_INT1,
	[X86_INS_JMP] = OP_JMP,		[X86_INS_CALL] = OP_CALL,
	[X86_INS_RET] = OP_RET,		[X86_INS_JO] = OP_JCC,
	[X86_INS_JNO] = OP_JCC,		[X86_INS_JB] = OP_JCC,
	[X86_INS_JAE] = OP_JCC,		[X86_INS_JE] = OP_JCC,
	[X86_INS_JNE] = OP_JCC,		[X86_INS_JBE] = OP_JCC,
	[X86_INS_JA] = OP_JCC,		[X86_INS_JS] = OP_JCC,
	[X86_INS_JNS] = OP_JCC,		[X86_INS_JP] = OP_JCC,
	[X86_INS_JNP] = OP_JCC,		[X86_INS_JL] = OP_JCC,
	[X86_INS_JGE] = OP_JCC,		[X86_INS_JLE] = OP_JCC,
	[X86_INS_JG] = OP_JCC,		[X86_INS_JCXZ] = OP_LOOP,
	[X86_INS_JECXZ] = OP_LOOP,	[X86_INS_JRCXZ] = OP_LOOP,
	[X86_INS_LOOP] = OP_LOOP,	[X86_INS_LOOPE] = OP_LOOP,
	[X86_INS_LOOPNE] = OP_LOOP,	[X86_INS_LJMP] = OP_LJMP,
	[X86_INS_LCALL] = OP_LCALL,	[X86_INS_RETF] = OP_LRET,
	[X86_INS_RETFQ] = OP_LRET,	[X86_INS_LDS] = OP_LDS,
	[X86_INS_LES] = OP_LES,		[X86_INS_LFS] = OP_LFS,
	[X86_INS_LGS] = OP_LGS,		[X86_INS_LSS] = OP_LSS,
	[X86_INS_MOV] = OP_MOV,		[X86_INS_MOVABS] = OP_MOV,
	[X86_INS_MOVZX] = OP_MOVZX,	[X86_INS_MOVSX] = OP_MOVSX,
	[X86_INS_MOVSXD] = OP_MOVSX,	[X86_INS_XCHG] = OP_XCHG,
	[X86_INS_ADD] = OP_ADD,		[X86_INS_OR] = OP_OR,
	[X86_INS_ADC] = OP_ADC,		[X86_INS_SBB] = OP_SBB,
	[X86_INS_AND] = OP_AND,		[X86_INS_SUB] = OP_SUB,
	[X86_INS_XOR] = OP_XOR,		[X86_INS_CMP] = OP_CMP,
	[X86_INS_TEST] = OP_TEST,	[X86_INS_INC] = OP_INC,
	[X86_INS_DEC] = OP_DEC,		[X86_INS_NOT] = OP_NOT,
	[X86_INS_NEG] = OP_NEG,		[X86_INS_BT] = OP_BT,
	[X86_INS_BTS] = OP_BTS,		[X86_INS_BTR] = OP_BTR,
	[X86_INS_BTC] = OP_BTC,		[X86_INS_XADD] = OP_XADD,
	[X86_INS_CMPXCHG] = OP_CMPXCHG, [X86_INS_MOVSB] = OP_MOVS,
	[X86_INS_MOVSW] = OP_MOVS,	[X86_INS_MOVSD] = OP_MOVS,
	[X86_INS_MOVSQ] = OP_MOVS,	[X86_INS_STOSB] = OP_STOS,
	[X86_INS_STOSW] = OP_STOS,	[X86_INS_STOSD] = OP_STOS,
	[X86_INS_STOSQ] = OP_STOS,	[X86_INS_LODSB] = OP_LODS,
	[X86_INS_LODSW] = OP_LODS,	[X86_INS_LODSD] = OP_LODS,
	[X86_INS_LODSQ] = OP_LODS,	[X86_INS_CMPSB] = OP_CMPS,
	[X86_INS_CMPSW] = OP_CMPS,	[X86_INS_CMPSD] = OP_CMPS,
	[X86_INS_CMPSQ] = OP_CMPS,	[X86_INS_SCASB] = OP_SCAS,
	[X86_INS_SCASW] = OP_SCAS,	[X86_INS_SCASD] = OP_SCAS,
	[X86_INS_SCASQ] = OP_SCAS,	[X86_INS_PUSH] = OP_PUSH,
	[X86_INS_POP] = OP_POP,
};

static bool is_seg(const cs_x86_op *o)
{
	return o->type == X86_OP_REG &&
	       (o->reg == X86_REG_ES || o->reg == X86_REG_CS || o->reg == X86_REG_SS ||
		o->reg == X86_REG_DS || o->reg == X86_REG_FS || o->reg == X86_REG_GS);
}

static bool is_reg_in(const cs_x86_op *o, unsigned first, unsigned last)
{
	return o->type == X86_OP_REG && o->reg >= first && o->reg <= last;
}

/* MOV, PUSH and POP are several instructions to us. */
static enum insn_op by_operands(enum insn_op op, const cs_x86 *x)
{
	const cs_x86_op *dst = &x->operands[0], *src = &x->operands[1];

	if (op == OP_PUSH && is_seg(dst))
		return OP_PUSH_SEG;
	if (op == OP_POP && is_seg(dst))
		return OP_POP_SEG;
	if (op != OP_MOV)
		return op;
	if (is_seg(dst))
		return OP_MOV_TO_SEG;
	if (is_seg(src))
		return OP_MOV_FROM_SEG;
	if (is_reg_in(dst, X86_REG_CR0, X86_REG_CR15))
		return OP_MOV_TO_CR;
	if (is_reg_in(src, X86_REG_CR0, X86_REG_CR15))
		return OP_MOV_FROM_CR;
	if (is_reg_in(dst, X86_REG_DR0, X86_REG_DR15))
		return OP_MOV_TO_DR;
	if (is_reg_in(src, X86_REG_DR0, X86_REG_DR15))
		return OP_MOV_FROM_DR;
	return op;
}

enum insn_op capstone_op(const cs_insn *insn)
{
	const cs_x86 *x = &insn->detail->x86;

	/* Capstone gives the SSE instructions MOVSD and CMPSD the ids of the string ones. */
	if (x->opcode[0] == 0x0f && (insn->id == X86_INS_MOVSD || insn->id == X86_INS_CMPSD))
		return OP_OTHER;
	return by_operands((enum insn_op)ops[insn->id], x);
}

unsigned op_access(enum insn_op op, unsigned index)
{
	switch (op) {
	case OP_XCHG:
	case OP_XADD:
		return ACCESS_READ | ACCESS_WRITE;
	case OP_INVLPG:
		return ACCESS_NONE;
	case OP_ADD:
	case OP_OR:
	case OP_ADC:
	case OP_SBB:
	case OP_AND:
	case OP_SUB:
	case OP_XOR:
	case OP_INC:
	case OP_DEC:
	case OP_NOT:
	case OP_NEG:
	case OP_BTS:
	case OP_BTR:
	case OP_BTC:
	case OP_CMPXCHG:
	case OP_ARPL:
		return index ? ACCESS_READ : ACCESS_READ | ACCESS_WRITE;
	case OP_IN:
	case OP_MOV_FROM_CR:
	case OP_MOV_TO_CR:
	case OP_MOV_FROM_DR:
	case OP_MOV_TO_DR:
	case OP_SMSW:
	case OP_SGDT:
	case OP_SIDT:
	case OP_SLDT:
	case OP_STR:
	case OP_LAR:
	case OP_LSL:
	case OP_MOV_TO_SEG:
	case OP_MOV_FROM_SEG:
	case OP_POP_SEG:
	case OP_LDS:
	case OP_LES:
	case OP_LFS:
	case OP_LGS:
	case OP_LSS:
	case OP_MOV:
	case OP_MOVZX:
	case OP_MOVSX:
	case OP_POP:
		return index ? ACCESS_READ : ACCESS_WRITE;
	default:
		return ACCESS_READ;
	}
}
