/*
 * Delivery of exceptions and interrupts: see reflect.h.
 */
#include "reflect.h"
#include "mem.h"
#include "pv.h"
#include "segment.h"

enum { GATE_TASK = 5, GATE_INT16 = 6, GATE_TRAP16 = 7, GATE_INT32 = 14, GATE_TRAP32 = 15 };

/* A call gate's frame is the largest: SS, ESP, 31 parameters, CS, EIP. */
#define STACK_PUSH_MAX 35

struct gate {
	u16 selector;
	u32 offset;
	u8 type, dpl;
	bool present;
};

static u32 stack_mask(const struct segment *ss)
{
	return ss->attr & SEG_DB ? 0xffffffffu : 0xffffu;
}

void stack_set(struct vm *vm, u32 sp)
{
	u32 mask = stack_mask(&vm->cpu.seg[SEG_SS]);

	vm->cpu.gpr[GPR_SP] = ((u32)vm->cpu.gpr[GPR_SP] & ~mask) | (sp & mask);
}

/* Where the `n`th item from the present top goes. */
static u32 stack_offset(const struct stack *stack, unsigned n, unsigned size)
{
	return (stack->sp - n * size) & stack_mask(&stack->ss);
}

bool stack_has_room(struct vm *vm, const struct stack *stack, unsigned n, unsigned size,
		    u32 fault_error)
{
	for (unsigned i = 1; i <= n; i++)
		if (!seg_access_ok(&stack->ss, stack_offset(stack, i, size), size, true))
			return raise_error(vm, EXC_SS, fault_error);
	return true;
}

/* Pushes go downwards: CR2 is the first one's that faults. */
bool stack_probe(struct vm *vm, const struct stack *stack, unsigned n, unsigned size)
{
	for (unsigned i = 1; i <= n; i++) {
		u64 la = (u32)(stack->ss.base + stack_offset(stack, i, size));

		if (!mem_probe_write(vm, la, size, stack->user))
			return false;
	}
	return true;
}

bool stack_push(struct vm *vm, struct stack *stack, const u32 *values, unsigned n, unsigned size)
{
	const u32 mask = stack_mask(&stack->ss), lowest = stack_offset(stack, n, size);
	/* The stack pointer wraps around between items, if it does. */
	const unsigned at_once = n * size - 1 <= mask - lowest ? n : 1;
	u8 bytes[STACK_PUSH_MAX * 4];

	if (!stack_probe(vm, stack, n, size))
		return false;
	for (unsigned i = 0; i < n; i++)
		mem_copy(bytes + (n - 1 - i) * size, &values[i], size);
	for (unsigned i = n; i > 0; i -= at_once) {
		u64 la = (u32)(stack->ss.base + stack_offset(stack, i, size));

		if (!mem_write(vm, la, bytes + (n - i) * size, at_once * size, stack->user))
			return false;
	}
	stack->sp = (stack->sp & ~mask) | lowest;
	return true;
}

bool stack_from_tss(struct vm *vm, unsigned cpl, u32 ext, struct stack *stack)
{
	const struct segment *tr = &vm->cpu.tr;
	const unsigned size = seg_is_tss16(tr) ? 2 : 4;
	const u32 offset = size + 2 * size * cpl;
	u32 esp = 0;
	u16 ss;
	u64 desc;

	if (seg_is_null(tr->selector) || offset + size + 1 > tr->limit)
		return raise_error(vm, EXC_TS, (tr->selector & ~3) | ext);
	if (!mem_read(vm, (u32)(tr->base + offset), &esp, size, false) ||
	    !mem_read(vm, (u32)(tr->base + offset + size), &ss, 2, false))
		return false;
	if (seg_is_null(ss))
		return raise_error(vm, EXC_TS, ext);
	if (!seg_fetch(vm, ss, EXC_TS, ext, &desc))
		return false;
	seg_unpack(desc, ss, &stack->ss);
	if ((ss & 3u) != cpl || seg_dpl(&stack->ss) != cpl || !seg_is_writable_data(&stack->ss))
		return raise_error(vm, EXC_TS, (ss & ~3) | ext);
	if (!(stack->ss.attr & SEG_P))
		return raise_error(vm, EXC_SS, (ss & ~3) | ext);
	stack->sp = esp;
	stack->user = cpl == 3;
	return seg_mark_accessed(vm, ss, desc);
}

/* In real mode: three words on the stack, and an entry of the vector table (SDM vol. 3, 20.1.4). */
static bool deliver_real(struct vm *vm, u8 vector, u32 saved_rip)
{
	const u32 frame[] = {vm_flags(vm), vm->cpu.seg[SEG_CS].selector, saved_rip};
	struct stack stack = {vm->cpu.seg[SEG_SS], (u32)vm->cpu.gpr[GPR_SP], false};
	struct segment *cs = &vm->cpu.seg[SEG_CS];
	u16 entry[2]; /* IP, CS */

	if (vector * 4u + 3 > vm->cpu.idtr.limit)
		return raise(vm, EXC_GP);
	if (!mem_read(vm, vm->cpu.idtr.base + vector * 4u, entry, sizeof(entry), false) ||
	    !stack_has_room(vm, &stack, ARRAY_SIZE(frame), sizeof(u16), 0) ||
	    !stack_push(vm, &stack, frame, ARRAY_SIZE(frame), sizeof(u16)))
		return false;
	stack_set(vm, stack.sp);
	vm->cpu.rip = entry[0];
	cs->selector = entry[1];
	cs->base = entry[1] << 4;
	vm->cpu.rflags &= ~(u64)(FLAG_TF | FLAG_RF | FLAG_AC);
	vm_set_if(vm, 0);
	vm->cpu.halted = false;
	return true;
}

/* From vm86 the data segments are saved as well, and null in the handler. */
static void leave_vm86(struct vm *vm)
{
	static const enum seg_reg data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

	for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
		seg_install_null(vm, data[i], 0);
}

static bool read_gate(struct vm *vm, u8 vector, enum event_kind kind, u32 ext, struct gate *gate)
{
	u32 error = vector * 8u + 2 + ext;
	u64 raw;

	if (vector * 8u + 7 > vm->cpu.idtr.limit)
		return raise_error(vm, EXC_GP, error);
	if (!mem_read(vm, (u32)(vm->cpu.idtr.base + vector * 8u), &raw, 8, false))
		return false;
	gate->selector = raw >> 16;
	gate->offset = (raw & 0xffff) | (raw >> 32 & 0xffff0000u);
	gate->type = raw >> 40 & 0x1f;
	gate->dpl = raw >> 45 & 3;
	gate->present = raw >> 47 & 1;
	if (gate->type != GATE_TASK && (gate->type & ~9) != GATE_INT16)
		return raise_error(vm, EXC_GP, error);
	if (kind == EVENT_SOFT && gate->dpl < vm_cpl(vm))
		return raise_error(vm, EXC_GP, error);
	if (!gate->present)
		return raise_error(vm, EXC_NP, error);
	if (!(gate->type & 8))
		gate->offset &= 0xffff;
	return true;
}

static bool read_target(struct vm *vm, const struct gate *gate, u32 ext, struct segment *cs)
{
	u32 error = (gate->selector & ~3) | ext;
	u64 desc;

	if (seg_is_null(gate->selector))
		return raise_error(vm, EXC_GP, ext);
	if (!seg_fetch(vm, gate->selector, EXC_GP, ext, &desc))
		return false;
	seg_unpack(desc, gate->selector, cs);
	if (!seg_is_code(cs) || seg_dpl(cs) > vm_cpl(vm))
		return raise_error(vm, EXC_GP, error);
	if (!(cs->attr & SEG_P))
		return raise_error(vm, EXC_NP, error);
	return seg_mark_accessed(vm, gate->selector, desc);
}

/* Enter the handler: the frame is on `stack`, everything has been checked. */
static bool enter_handler(struct vm *vm, const struct gate *gate, struct segment *cs,
			  unsigned new_cpl, const struct stack *stack, bool switched)
{
	cs->selector = (cs->selector & ~3) | new_cpl;
	if (!seg_install(vm, SEG_CS, cs))
		return false;
	if (switched) {
		if (!seg_install(vm, SEG_SS, &stack->ss))
			return false;
		vm->cpu.gpr[GPR_SP] = stack->sp;
	} else {
		stack_set(vm, stack->sp);
	}
	vm->cpu.rip = gate->offset;
	/* AC has no effect below CPL 3, but hardware without these levels runs the guest's kernel
	 * at CPL 3. */
	vm->cpu.rflags &= ~(u64)(FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM |
				 (new_cpl < 3 && !vm->levels ? FLAG_AC : 0));
	if (!(gate->type & 1))
		vm_set_if(vm, 0);
	pv_page(vm)->cpl = new_cpl;
	shadow_set_user_view(vm, new_cpl == 3);
	vm->cpu.halted = false;
	return true;
}

static bool stop_for_task(struct vm *vm, u16 selector)
{
	vm->exit.kind = EXIT_FAULT;
	vm->exit.fault.reason = FAULT_TASK;
	vm->exit.fault.detail = selector;
	return false;
}

static bool deliver(struct vm *vm, u8 vector, enum event_kind kind, bool has_error, u32 error,
		    u32 saved_rip)
{
	u32 ext = kind == EVENT_SOFT ? 0 : 1;
	unsigned cpl = vm_cpl(vm), size, n = 0;
	struct stack stack = {vm->cpu.seg[SEG_SS], (u32)vm->cpu.gpr[GPR_SP], cpl == 3};
	struct segment cs;
	struct gate gate;
	u32 frame[10];
	const bool vm86 = vm->cpu.rflags & FLAG_VM;
	bool inner;

	vm->exit.kind = EXIT_NONE;
	if (!(vm->cpu.cr0 & CR0_PE))
		return deliver_real(vm, vector, saved_rip);
	if (!read_gate(vm, vector, kind, ext, &gate))
		return false;
	if (gate.type == GATE_TASK)
		return stop_for_task(vm, gate.selector);
	if (!read_target(vm, &gate, ext, &cs))
		return false;
	inner = !seg_is_conforming(&cs) && seg_dpl(&cs) < cpl;
	if (vm86 && (!inner || seg_dpl(&cs)))
		return raise_error(vm, EXC_GP, (gate.selector & ~3) | ext);
	if (vm86) {
		frame[n++] = vm->cpu.seg[SEG_GS].selector;
		frame[n++] = vm->cpu.seg[SEG_FS].selector;
		frame[n++] = vm->cpu.seg[SEG_DS].selector;
		frame[n++] = vm->cpu.seg[SEG_ES].selector;
	}
	if (inner) {
		frame[n++] = vm->cpu.seg[SEG_SS].selector;
		frame[n++] = (u32)vm->cpu.gpr[GPR_SP];
		if (!stack_from_tss(vm, seg_dpl(&cs), ext, &stack))
			return false;
	}
	frame[n++] = vm_flags(vm);
	frame[n++] = vm->cpu.seg[SEG_CS].selector;
	frame[n++] = saved_rip;
	if (has_error)
		frame[n++] = error;
	size = gate.type & 8 ? 4 : 2;
	if (!stack_has_room(vm, &stack, n, size, inner ? (stack.ss.selector & ~3) | ext : ext))
		return false;
	if (gate.offset > cs.limit)
		return raise_error(vm, EXC_GP, ext);
	if (!stack_push(vm, &stack, frame, n, size))
		return false;
	if (vm86)
		leave_vm86(vm);
	return enter_handler(vm, &gate, &cs, inner ? seg_dpl(&cs) : cpl, &stack, inner);
}

static bool is_contributory(u8 vector)
{
	return vector == EXC_DE || (vector >= EXC_TS && vector <= EXC_GP);
}

/* SDM vol. 3, table 6-5: does `second`, raised while delivering `first`, make a double fault? */
static bool makes_double_fault(u8 first, u8 second)
{
	if (is_contributory(first))
		return is_contributory(second);
	if (first == EXC_PF)
		return is_contributory(second) || second == EXC_PF;
	return false;
}

/* The exception in vm->exc is going to be delivered. */
static void commit_cr2(struct vm *vm)
{
	if (vm->exc.vector == EXC_PF)
		vm->cpu.cr2 = pv_page(vm)->cr2 = vm->exc.address;
}

/* `length`: bytes of the instruction at rip that the saved address lies behind (soft interrupts).
 * If their delivery faults, the fault is the instruction's. */
static bool reflect_event(struct vm *vm, u8 vector, enum event_kind kind, bool has_error, u32 error,
			  unsigned length)
{
	for (;;) {
		u8 second;

		trace(vm, kind == EVENT_EXTERNAL ? EV_IRQ : EV_INJECT, vector, error);
		if (deliver(vm, vector, kind, has_error, error, (u32)vm->cpu.rip + length))
			return true;
		if (vm->exit.kind != EXIT_NONE)
			return false;
		second = vm->exc.vector;
		commit_cr2(vm);
		if (kind == EVENT_FAULT && vector == EXC_DF) {
			trace(vm, EV_SHUTDOWN, 0, 0);
			vm->cpu.shutdown = true;
			return true;
		}
		if (kind == EVENT_FAULT && makes_double_fault(vector, second)) {
			vector = EXC_DF;
			has_error = true;
			error = 0;
			continue;
		}
		/* The image of any fault has RF set (SDM vol. 3, 17.3.1.1). */
		vm->cpu.rflags |= FLAG_RF;
		vector = second;
		has_error = vm->exc.has_error;
		error = vm->exc.error;
		kind = EVENT_FAULT;
		length = 0;
	}
}

bool reflect(struct vm *vm, u8 vector, enum event_kind kind, bool has_error, u32 error)
{
	return reflect_event(vm, vector, kind, has_error, error, 0);
}

bool reflect_soft(struct vm *vm, u8 vector, unsigned length)
{
	return reflect_event(vm, vector, EVENT_SOFT, false, 0, length);
}

bool reflect_exception(struct vm *vm)
{
	commit_cr2(vm);
	vm->cpu.rflags |= FLAG_RF;
	return reflect(vm, vm->exc.vector, EVENT_FAULT, vm->exc.has_error, vm->exc.error);
}
