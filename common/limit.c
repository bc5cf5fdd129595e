/*
 * The 3 GiB limit of the ABI's user segments, seen as what it stands for: page protection.
 *
 * Owns: turning a user #GP(0) or #SS(0) that only comes from this limit into the page fault that
 * a flat segment would have given.
 */
#include "emulate.h"
#include "mem.h"
#include "paging.h"
#include "pv.h"
#include "segment.h"

/* The page fault of a user access at `la`, which no user code may reach. */
static bool protection_fault(struct vm *vm, u32 la, bool write, bool fetch)
{
	struct access access = {.write = write, .fetch = fetch, .user = true};
	struct walk w;
	u32 error;

	if (paging_check(vm, paging_walk(vm, la, &w), &w, access, &error))
		error |= PF_PRESENT; /* a user page up there: out of reach all the same */
	trace(vm, EV_LIMIT, la, error);
	raise_page_fault(vm, la, error);
	return true;
}

/* Does [offset, offset + size) of segment `reg` cross the limit? Then that is the fault. */
bool limit_access_fault(struct vm *vm, enum seg_reg reg, u32 offset, unsigned size, bool write)
{
	u32 last = offset + (size ? size : 1) - 1;

	if (vm_cpl(vm) != 3 || !seg_is_abi_user(vm, vm->cpu.seg[reg].selector))
		return false;
	if (offset < PLEX86_USER_LIMIT && last < PLEX86_USER_LIMIT && last >= offset)
		return false;
	if (offset < PLEX86_USER_LIMIT)
		offset = PLEX86_USER_LIMIT; /* the first byte that faults */
	return protection_fault(vm, offset, write, false);
}

static bool branch_beyond(struct vm *vm, u32 target)
{
	if (target < PLEX86_USER_LIMIT || !seg_is_abi_user(vm, vm->cpu.seg[SEG_CS].selector))
		return false;
	return protection_fault(vm, target, false, true);
}

static bool push_beyond(struct vm *vm, unsigned bytes)
{
	return limit_access_fault(vm, SEG_SS, (u32)vm->cpu.gpr[GPR_SP] - bytes, bytes, true);
}

static bool pop_beyond(struct vm *vm, unsigned bytes)
{
	return limit_access_fault(vm, SEG_SS, (u32)vm->cpu.gpr[GPR_SP], bytes, false);
}

static bool target_beyond(struct vm *vm, const struct insn *insn)
{
	u64 target;

	if (insn->opnd[0].kind == OPND_REL)
		target = vm->cpu.rip + insn->length + insn->imm;
	else if (!operand_read(vm, insn, 0, insn->op_size, &target))
		return false;
	return branch_beyond(vm, (u32)target);
}

static bool return_beyond(struct vm *vm, const struct insn *insn)
{
	u32 target;

	if (pop_beyond(vm, insn->stack_size))
		return true;
	return stack_peek(vm, 0, insn->stack_size, &target) && branch_beyond(vm, target);
}

static bool string_beyond(struct vm *vm, const struct insn *insn, bool source, bool dest,
			  bool dest_write)
{
	enum seg_reg seg = insn->seg_override == REG_NONE ? SEG_DS : insn->seg_override;
	unsigned size = insn->op_size;

	return (source && limit_access_fault(vm, seg, (u32)vm->cpu.gpr[GPR_SI], size, false)) ||
	       (dest && limit_access_fault(vm, SEG_ES, (u32)vm->cpu.gpr[GPR_DI], size, dest_write));
}

/* Implicit stack users that the decoder does not name. */
static bool other_beyond(struct vm *vm, const struct insn *insn)
{
	if (insn->map)
		return false;
	switch (insn->opcode) {
	case 0x60: /* pusha */
		return push_beyond(vm, 8 * insn->stack_size);
	case 0x61: /* popa */
		return pop_beyond(vm, 8 * insn->stack_size);
	case 0xc8: /* enter */
		return push_beyond(vm, insn->stack_size);
	case 0xc9: /* leave */
		return limit_access_fault(vm, SEG_SS, (u32)vm->cpu.gpr[GPR_BP], insn->stack_size,
					  false);
	case 0xd7: { /* xlat */
		enum seg_reg seg = insn->seg_override == REG_NONE ? SEG_DS : insn->seg_override;

		return limit_access_fault(
			vm, seg, (u32)vm->cpu.gpr[GPR_BX] + (u8)vm->cpu.gpr[GPR_AX], 1, false);
	}
	default:
		return false;
	}
}

static bool implicit_beyond(struct vm *vm, const struct insn *insn)
{
	switch (insn->op) {
	case OP_PUSH:
	case OP_PUSHF:
	case OP_PUSH_SEG:
		return push_beyond(vm, insn->stack_size);
	case OP_POP:
	case OP_POPF:
	case OP_POP_SEG:
		return pop_beyond(vm, insn->stack_size);
	case OP_CALL:
		return target_beyond(vm, insn) || push_beyond(vm, insn->stack_size);
	case OP_JMP:
	case OP_JCC:
	case OP_LOOP:
		return target_beyond(vm, insn);
	case OP_RET:
		return return_beyond(vm, insn);
	case OP_MOVS:
		return string_beyond(vm, insn, true, true, true);
	case OP_CMPS:
		return string_beyond(vm, insn, true, true, false);
	case OP_STOS:
	case OP_INS:
		return string_beyond(vm, insn, false, true, true);
	case OP_SCAS:
		return string_beyond(vm, insn, false, true, false);
	case OP_LODS:
	case OP_OUTS:
		return string_beyond(vm, insn, true, false, false);
	default:
		return other_beyond(vm, insn);
	}
}

bool limit_fault(struct vm *vm, const struct insn *insn)
{
	const struct mem_operand *m = &insn->mem;

	if (vm_cpl(vm) != 3)
		return false;
	if (insn->has_mem && m->access &&
	    limit_access_fault(vm, m->seg, mem_offset(vm, insn), m->size, m->access & ACCESS_WRITE))
		return true;
	return implicit_beyond(vm, insn);
}

bool limit_fetch_fault(struct vm *vm, u32 la)
{
	return branch_beyond(vm, la);
}
