/*
 * Control transfers between segments and privilege levels: iret, int n, far jmp, call and ret.
 *
 * Owns: the checks of SDM vol. 2 for these instructions, call gates included. Task switches stop
 * the guest with a report.
 */
#include "emulate.h"
#include "mem.h"
#include "pv.h"
#include "reflect.h"
#include "segment.h"
#include "stubs.h"

#define IRET_USER_FLAGS                                                                            \
	(FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_TF | FLAG_DF | FLAG_OF | FLAG_NT | \
	 FLAG_RF | FLAG_AC | FLAG_ID)

static enum emu fault(struct vm *vm, enum exception vector, u32 error)
{
	raise_error(vm, vector, error);
	return EMU_FAULT;
}

static enum emu stop(struct vm *vm, enum vm_fault reason, u64 detail)
{
	vm->exit.kind = EXIT_FAULT;
	vm->exit.fault.reason = reason;
	vm->exit.fault.detail = detail;
	return EMU_EXIT;
}

static void set_cpl(struct vm *vm, unsigned cpl)
{
	pv_page(vm)->cpl = cpl;
	shadow_set_user_view(vm, cpl == 3);
}

static void set_outer_cpl(struct vm *vm, unsigned cpl)
{
	seg_drop_inner(vm, cpl);
	set_cpl(vm, cpl);
}

/* A user segment's 3 GiB limit stands for page protection: EIP beyond it is a fetch to fault
 * later, not a #GP now. */
static bool eip_ok(struct vm *vm, const struct segment *cs, u32 eip)
{
	return eip <= cs->limit || seg_is_abi_user(vm, cs->selector);
}

/* The code segment that iret or far ret returns to. */
static bool return_cs(struct vm *vm, u16 selector, struct segment *cs)
{
	unsigned rpl = selector & 3;
	u64 desc;

	if (seg_is_null(selector))
		return raise_error(vm, EXC_GP, 0);
	if (!seg_fetch(vm, selector, EXC_GP, 0, &desc))
		return false;
	if (rpl < vm_cpl(vm))
		return raise_error(vm, EXC_GP, selector & ~3u);
	seg_unpack(desc, selector, cs);
	if (!seg_is_code(cs) || (seg_is_conforming(cs) ? seg_dpl(cs) > rpl : seg_dpl(cs) != rpl))
		return raise_error(vm, EXC_GP, selector & ~3u);
	if (!(cs->attr & SEG_P))
		return raise_error(vm, EXC_NP, selector & ~3u);
	return seg_mark_accessed(vm, selector, desc);
}

static bool return_ss(struct vm *vm, u16 selector, unsigned cpl, struct segment *ss)
{
	u64 desc;

	if (seg_is_null(selector))
		return raise_error(vm, EXC_GP, 0);
	if (!seg_fetch(vm, selector, EXC_GP, 0, &desc))
		return false;
	if ((selector & 3u) != cpl)
		return raise_error(vm, EXC_GP, selector & ~3u);
	seg_unpack(desc, selector, ss);
	if (!seg_is_writable_data(ss) || seg_dpl(ss) != cpl)
		return raise_error(vm, EXC_GP, selector & ~3u);
	if (!(ss->attr & SEG_P))
		return raise_error(vm, EXC_SS, selector & ~3u);
	return seg_mark_accessed(vm, selector, desc);
}

/* Install CS, and SS:ESP if the level changes. */
static enum emu transfer(struct vm *vm, const struct segment *cs, u32 eip, const struct segment *ss,
			 u32 esp)
{
	if (!seg_install(vm, SEG_CS, cs))
		return EMU_EXIT;
	if (ss) {
		if (!seg_install(vm, SEG_SS, ss))
			return EMU_EXIT;
		stack_set(vm, esp);
	}
	vm->cpu.rip = eip;
	return EMU_DONE;
}

/* ------------------------------------------------------------- iret ---- */

/* Flags from an iret image, by the rights of the level that executed it. */
static void restore_flags(struct vm *vm, u32 image, unsigned cpl, unsigned size)
{
	u32 mask = IRET_USER_FLAGS;

	if (size == 2)
		mask &= 0xffff;
	/* RF, which 16 bits do not have, is the trap's that brought us here. */
	vm->cpu.rflags = (vm->cpu.rflags & ~(u64)(mask | FLAG_RF)) | (image & mask) | FLAG_ONE;
	if (cpl <= vm->cpu.iopl)
		vm_set_if(vm, image);
	if (cpl == 0)
		vm->cpu.iopl = (image & FLAG_IOPL) >> 12;
}

/* Return from a nested task: the checks that come before the switch itself. */
static enum emu iret_nested(struct vm *vm)
{
	const u16 busy16 = 0x3, busy32 = 0xb;
	struct segment tss;
	u16 type;
	u16 link;
	u64 desc;

	if (!mem_read(vm, vm->cpu.tr.base, &link, 2, false))
		return EMU_FAULT;
	if (link & 4)
		return fault(vm, EXC_TS, link & ~3u);
	if (!seg_fetch(vm, link, EXC_TS, 0, &desc))
		return EMU_FAULT;
	seg_unpack(desc, link, &tss);
	type = tss.attr & (SEG_S | SEG_TYPE);
	if (type != busy16 && type != busy32)
		return fault(vm, EXC_TS, link & ~3u);
	if (!(tss.attr & SEG_P))
		return fault(vm, EXC_NP, link & ~3u);
	return stop(vm, FAULT_TASK, link);
}

enum emu emulate_iret(struct vm *vm, const struct insn *insn)
{
	unsigned size = insn->op_size, cpl = vm_cpl(vm);
	u32 eip, sel, flags, esp = 0, ss_sel = 0;
	struct segment cs, ss;
	enum emu result;
	bool outer;

	if (vm->cpu.rflags & FLAG_NT)
		return iret_nested(vm);
	if (!stack_holds(vm, 0, 3, size) || !stack_peek(vm, 0, size, &eip) ||
	    !stack_peek(vm, size, size, &sel) || !stack_peek(vm, 2 * size, size, &flags))
		return EMU_FAULT;
	if (size == 4 && (flags & FLAG_VM) && cpl == 0)
		return stop(vm, FAULT_MODE, flags);
	if (!return_cs(vm, sel, &cs))
		return EMU_FAULT;
	outer = (sel & 3) > cpl;
	if (outer) {
		if (!stack_holds(vm, 3 * size, 2, size) || !stack_peek(vm, 3 * size, size, &esp) ||
		    !stack_peek(vm, 4 * size, size, &ss_sel) ||
		    !return_ss(vm, ss_sel, sel & 3, &ss))
			return EMU_FAULT;
	}
	if (!eip_ok(vm, &cs, eip))
		return fault(vm, EXC_GP, 0);
	if (outer && !seg_sync_tls(vm))
		return EMU_EXIT;
	if (outer)
		stubs_refresh(vm);
	trace(vm, EV_IRET, sel, eip);
	if (!outer)
		stack_set(vm, (u32)vm->cpu.gpr[GPR_SP] + 3 * size);
	result = transfer(vm, &cs, eip, outer ? &ss : NULL, esp);
	if (result != EMU_DONE)
		return result;
	restore_flags(vm, flags, cpl, size);
	if (outer)
		set_outer_cpl(vm, sel & 3);
	shadow_fill_expected(vm);
	return EMU_IRET;
}

/* -------------------------------------------------------- interrupts ---- */

static enum emu soft_interrupt(struct vm *vm, const struct insn *insn, u8 vector)
{
	/* A trap's image has RF clear; the #GP that brought us here has set it. */
	vm->cpu.rflags &= ~(u64)FLAG_RF;
	trace(vm, EV_INT, vector, 0);
	return reflect_soft(vm, vector, insn->length) ? EMU_HANDLER : EMU_EXIT;
}

enum emu emulate_int(struct vm *vm, const struct insn *insn)
{
	return soft_interrupt(vm, insn, insn->imm);
}

enum emu emulate_int3(struct vm *vm, const struct insn *insn)
{
	return soft_interrupt(vm, insn, EXC_BP);
}

enum emu emulate_into(struct vm *vm, const struct insn *insn)
{
	if (!(vm->cpu.rflags & FLAG_OF))
		return EMU_NEXT;
	return soft_interrupt(vm, insn, EXC_OF);
}

/* icebp is a trap that does not look at the gate's DPL. */
enum emu emulate_int1(struct vm *vm, const struct insn *insn)
{
	insn_skip(vm, insn);
	vm->cpu.rflags &= ~(u64)FLAG_RF;
	return reflect(vm, EXC_DB, EVENT_FAULT, false, 0) ? EMU_HANDLER : EMU_EXIT;
}

/* --------------------------------------------------- far jmp, call, ret ---- */

enum { SYS_TASK_GATE = 5, SYS_CALL_GATE16 = 4, SYS_CALL_GATE32 = 12 };

struct far_pointer {
	u16 selector;
	u32 offset;
};

static bool read_far_pointer(struct vm *vm, const struct insn *insn, struct far_pointer *p)
{
	unsigned size = insn->op_size;
	bool user = vm_cpl(vm) == 3;
	u64 la;

	p->offset = insn->imm;
	p->selector = insn->far_selector;
	if (insn->opnd[0].kind == OPND_FAR)
		return true;
	p->offset = 0;
	return mem_linear(vm, insn->mem.seg, mem_offset(vm, insn), size + 2, false, &la) &&
	       mem_read(vm, la, &p->offset, size, user) &&
	       mem_read(vm, (u32)(la + size), &p->selector, 2, user);
}

/* A code segment reached directly: conforming DPL <= CPL, else RPL <= CPL and DPL == CPL. */
static bool direct_target(struct vm *vm, u16 selector, u64 desc, struct segment *cs)
{
	unsigned cpl = vm_cpl(vm);

	seg_unpack(desc, selector, cs);
	if (seg_is_conforming(cs) ? seg_dpl(cs) > cpl : (selector & 3u) > cpl || seg_dpl(cs) != cpl)
		return raise_error(vm, EXC_GP, selector & ~3u);
	if (!(cs->attr & SEG_P))
		return raise_error(vm, EXC_NP, selector & ~3u);
	cs->selector = (selector & ~3u) | cpl;
	return seg_mark_accessed(vm, selector, desc);
}

struct call_gate {
	struct segment cs;
	u32 offset;
	unsigned params, size;
};

/* The gate's own checks and those of the code segment behind it. */
static bool read_call_gate(struct vm *vm, u16 selector, u64 desc, bool jump, struct call_gate *g)
{
	unsigned cpl = vm_cpl(vm), dpl = desc >> 45 & 3;
	u16 target = desc >> 16;
	u64 code;

	if (dpl < cpl || dpl < (selector & 3u))
		return raise_error(vm, EXC_GP, selector & ~3u);
	if (!(desc >> 47 & 1))
		return raise_error(vm, EXC_NP, selector & ~3u);
	if (seg_is_null(target))
		return raise_error(vm, EXC_GP, 0);
	if (!seg_fetch(vm, target, EXC_GP, 0, &code))
		return false;
	seg_unpack(code, target, &g->cs);
	if (!seg_is_code(&g->cs) || seg_dpl(&g->cs) > cpl ||
	    (jump && !seg_is_conforming(&g->cs) && seg_dpl(&g->cs) != cpl))
		return raise_error(vm, EXC_GP, target & ~3u);
	if (!(g->cs.attr & SEG_P))
		return raise_error(vm, EXC_NP, target & ~3u);
	g->size = (desc >> 40 & 0xf) == SYS_CALL_GATE32 ? 4 : 2;
	g->offset = (desc & 0xffff) | (g->size == 4 ? desc >> 32 & 0xffff0000u : 0);
	g->params = desc >> 32 & 0x1f;
	return seg_mark_accessed(vm, target, code);
}

/* A TSS or a task gate: the checks that come before the switch itself. */
static enum emu far_task(struct vm *vm, u16 selector, const struct segment *seg)
{
	if (seg_dpl(seg) < vm_cpl(vm) || seg_dpl(seg) < (selector & 3u))
		return fault(vm, EXC_GP, selector & ~3u);
	/* There are no TSS in an LDT (SDM vol. 3, 8.2.2), but task gates there are. */
	if ((seg->attr & SEG_TYPE) != SYS_TASK_GATE && (selector & 4))
		return fault(vm, EXC_GP, selector & ~3u);
	if (!(seg->attr & SEG_P))
		return fault(vm, EXC_NP, selector & ~3u);
	return stop(vm, FAULT_TASK, selector);
}

/* Look up what the pointer names. *gate says whether it is a call gate. */
static enum emu far_target(struct vm *vm, u16 selector, bool jump, bool *gate, struct segment *cs,
			   struct call_gate *g)
{
	u64 desc;

	if (seg_is_null(selector))
		return fault(vm, EXC_GP, 0);
	if (!seg_fetch(vm, selector, EXC_GP, 0, &desc))
		return EMU_FAULT;
	seg_unpack(desc, selector, cs);
	*gate = false;
	if (seg_is_code(cs))
		return direct_target(vm, selector, desc, cs) ? EMU_NEXT : EMU_FAULT;
	if (cs->attr & SEG_S)
		return fault(vm, EXC_GP, selector & ~3u);
	switch (cs->attr & SEG_TYPE) {
	case SYS_CALL_GATE16:
	case SYS_CALL_GATE32:
		*gate = true;
		return read_call_gate(vm, selector, desc, jump, g) ? EMU_NEXT : EMU_FAULT;
	case SYS_TASK_GATE:
	case 1:
	case 9: /* available TSS */
		return far_task(vm, selector, cs);
	default:
		return fault(vm, EXC_GP, selector & ~3u);
	}
}

enum emu emulate_ljmp(struct vm *vm, const struct insn *insn)
{
	struct far_pointer p;
	struct call_gate g;
	struct segment cs;
	enum emu result;
	bool gate;

	if (!read_far_pointer(vm, insn, &p))
		return EMU_FAULT;
	result = far_target(vm, p.selector, true, &gate, &cs, &g);
	if (result != EMU_NEXT)
		return result;
	if (gate) {
		cs = g.cs;
		cs.selector = (cs.selector & ~3u) | vm_cpl(vm);
		p.offset = g.offset;
	}
	if (!eip_ok(vm, &cs, p.offset))
		return fault(vm, EXC_GP, 0);
	trace(vm, EV_SEGMENT, SEG_CS, cs.selector);
	return transfer(vm, &cs, p.offset, NULL, 0);
}

/* Push the return address on the present stack. */
static enum emu call_same(struct vm *vm, const struct insn *insn, struct segment *cs, u32 offset,
			  unsigned size)
{
	const u32 frame[2] = {vm->cpu.seg[SEG_CS].selector, (u32)vm->cpu.rip + insn->length};
	struct stack stack = {vm->cpu.seg[SEG_SS], (u32)vm->cpu.gpr[GPR_SP], vm_cpl(vm) == 3};
	enum emu result;

	if (!stack_has_room(vm, &stack, 2, size, 0))
		return EMU_FAULT;
	if (!eip_ok(vm, cs, offset))
		return fault(vm, EXC_GP, 0);
	if (!stack_push(vm, &stack, frame, 2, size))
		return EMU_FAULT;
	result = transfer(vm, cs, offset, NULL, 0);
	if (result == EMU_DONE)
		stack_set(vm, stack.sp);
	return result;
}

/* To an inner level: new stack from the TSS, parameters copied from the old one. */
static enum emu call_inner(struct vm *vm, const struct insn *insn, struct call_gate *g)
{
	const unsigned cpl = seg_dpl(&g->cs), size = g->size;
	unsigned n = 0;
	struct stack stack;
	u32 frame[2 + 31 + 2];
	enum emu result;

	if (!stack_from_tss(vm, cpl, 0, &stack) ||
	    !stack_has_room(vm, &stack, g->params + 4, size, stack.ss.selector & ~3u))
		return EMU_FAULT;
	if (g->offset > g->cs.limit)
		return fault(vm, EXC_GP, 0);
	if (!stack_probe(vm, &stack, 2, size) || !stack_holds(vm, 0, g->params, size))
		return EMU_FAULT;
	frame[n++] = vm->cpu.seg[SEG_SS].selector;
	frame[n++] = (u32)vm->cpu.gpr[GPR_SP];
	for (unsigned i = g->params; i-- > 0;)
		if (!stack_peek(vm, i * size, size, &frame[n++]))
			return EMU_FAULT;
	frame[n++] = vm->cpu.seg[SEG_CS].selector;
	frame[n++] = (u32)vm->cpu.rip + insn->length;
	if (!stack_push(vm, &stack, frame, n, size))
		return EMU_FAULT;
	g->cs.selector = (g->cs.selector & ~3u) | cpl;
	result = transfer(vm, &g->cs, g->offset, &stack.ss, stack.sp);
	if (result != EMU_DONE)
		return result;
	vm->cpu.gpr[GPR_SP] = stack.sp; /* all of it, however wide the new stack is */
	set_cpl(vm, cpl);
	return EMU_DONE;
}

enum emu emulate_lcall(struct vm *vm, const struct insn *insn)
{
	struct far_pointer p;
	struct call_gate g;
	struct segment cs;
	enum emu result;
	bool gate;

	if (!read_far_pointer(vm, insn, &p))
		return EMU_FAULT;
	result = far_target(vm, p.selector, false, &gate, &cs, &g);
	if (result != EMU_NEXT)
		return result;
	trace(vm, EV_SEGMENT, SEG_CS, p.selector);
	if (!gate)
		return call_same(vm, insn, &cs, p.offset, insn->op_size);
	if (!seg_is_conforming(&g.cs) && seg_dpl(&g.cs) < vm_cpl(vm))
		return call_inner(vm, insn, &g);
	g.cs.selector = (g.cs.selector & ~3u) | vm_cpl(vm);
	return call_same(vm, insn, &g.cs, g.offset, g.size);
}

enum emu emulate_lret(struct vm *vm, const struct insn *insn)
{
	unsigned size = insn->op_size, cpl = vm_cpl(vm);
	u32 release = insn->nopnds ? (u16)insn->imm : 0;
	u32 eip, sel, esp = 0, ss_sel = 0;
	struct segment cs, ss;
	enum emu result;
	bool outer;

	if (!stack_holds(vm, 0, 2, size) || !stack_peek(vm, 0, size, &eip) ||
	    !stack_peek(vm, size, size, &sel) || !return_cs(vm, sel, &cs))
		return EMU_FAULT;
	outer = (sel & 3) > cpl;
	if (outer && (!stack_holds(vm, 2 * size + release, 2, size) ||
		      !stack_peek(vm, 2 * size + release, size, &esp) ||
		      !stack_peek(vm, 3 * size + release, size, &ss_sel) ||
		      !return_ss(vm, ss_sel, sel & 3, &ss)))
		return EMU_FAULT;
	if (!eip_ok(vm, &cs, eip))
		return fault(vm, EXC_GP, 0);
	if (outer && !seg_sync_tls(vm))
		return EMU_EXIT;
	trace(vm, EV_SEGMENT, SEG_CS, sel);
	if (!outer)
		stack_set(vm, (u32)vm->cpu.gpr[GPR_SP] + 2 * size + release);
	result = transfer(vm, &cs, eip, outer ? &ss : NULL, esp + release);
	if (result == EMU_DONE && outer)
		set_outer_cpl(vm, sel & 3);
	return result;
}
