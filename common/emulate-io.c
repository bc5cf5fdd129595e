/*
 * Port I/O: in, out, ins, outs; the permission checks and the core's own chips.
 *
 * Owns: SDM vol. 1, chapter 19. Ports that are not the core's become EXIT_IO.
 */
#include "emulate.h"
#include "interrupt.h"
#include "mem.h"
#include "pv.h"
#include "segment.h"

/* The I/O permission bitmap in the TSS (SDM vol. 1, 19.5.2). One of 16 bits has none. */
static bool bitmap_allows(struct vm *vm, u16 port, unsigned size)
{
	const struct segment *tr = &vm->cpu.tr;
	u16 base, bits;
	u32 offset;

	if (seg_is_null(tr->selector) || seg_is_tss16(tr) || tr->limit < 0x67)
		return false;
	if (!mem_read(vm, (u32)(tr->base + 0x66), &base, 2, false))
		return false;
	offset = base + port / 8;
	if (offset + 1 > tr->limit)
		return false;
	if (!mem_read(vm, (u32)(tr->base + offset), &bits, 2, false))
		return false;
	return !(bits >> (port & 7) & ((1u << size) - 1));
}

static bool allowed(struct vm *vm, u16 port, unsigned size)
{
	const bool vm86 = vm->cpu.rflags & FLAG_VM;

	if ((vm_cpl(vm) <= vm->cpu.iopl && !vm86) || bitmap_allows(vm, port, size))
		return true;
	return raise_error(vm, EXC_GP, 0);
}

static void byte_port(struct vm *vm, u16 port, bool write, u8 *value)
{
	if (pic_owns(port)) {
		if (write)
			pic_write(&vm->pic, port, *value);
		else
			*value = pic_read(&vm->pic, port);
	} else if (pit_owns(port)) {
		u64 now = clock_now(vm);

		if (write) {
			pit_write(&vm->pit, port, *value, now);
			timer_update(vm, now);
		} else {
			*value = pit_read(&vm->pit, port, now);
		}
	} else {
		if (write)
			cmos_write(&vm->cmos, port, *value, clock_utc(vm));
		else
			*value = cmos_read(&vm->cmos, port, clock_utc(vm));
	}
}

bool core_port(struct vm *vm, u16 port, unsigned size, bool write, u32 *value)
{
	u32 in = 0;

	if (!pic_owns(port) && !pit_owns(port) && !cmos_owns(port))
		return false;
	/* Wider accesses reach byte registers one after the other. */
	for (unsigned i = 0; i < size; i++) {
		u16 p = port + i;
		u8 byte = write ? *value >> (8 * i) : 0xff;

		if (pic_owns(p) || pit_owns(p) || cmos_owns(p))
			byte_port(vm, p, write, &byte);
		in |= (u32)byte << (8 * i);
	}
	if (!write)
		*value = in;
	return true;
}

/* Do the access here, or leave it to the VMM. */
static enum emu access_port(struct vm *vm, const struct insn *insn, u16 port, unsigned size,
			    bool write, u32 *value)
{
	trace(vm, EV_IO, port | size << 16 | write << 20, write ? *value : 0);
	if (core_port(vm, port, size, write, value) ||
	    (!write && port_window_read(&vm->window, port, size, value)))
		return EMU_NEXT;
	vm->exit = (struct vm_exit){.kind = EXIT_IO};
	vm->exit.io.port = port;
	vm->exit.io.size = size;
	vm->exit.io.write = write;
	vm->exit.io.value = write ? *value : 0xffffffffu;
	vm->pending.kind = PENDING_IO;
	vm->pending.insn = *insn;
	return EMU_EXIT;
}

/* ----------------------------------------------------------- in, out ---- */

static u16 port_operand(const struct vm *vm, const struct insn *insn, unsigned i)
{
	if (insn->opnd[i].kind == OPND_IMM)
		return insn->imm & 0xff;
	return vm->cpu.gpr[GPR_DX];
}

static enum emu finish_reg_in(struct vm *vm, const struct insn *insn, u32 value)
{
	const struct operand ax = {.kind = OPND_REG, .reg = GPR_AX, .size = insn->opnd[0].size};

	reg_write(vm, &ax, value);
	return EMU_NEXT;
}

enum emu emulate_in(struct vm *vm, const struct insn *insn)
{
	unsigned size = insn->opnd[0].size;
	u16 port = port_operand(vm, insn, 1);
	enum emu result;
	u32 value;

	if (!allowed(vm, port, size))
		return EMU_FAULT;
	result = access_port(vm, insn, port, size, false, &value);
	return result == EMU_NEXT ? finish_reg_in(vm, insn, value) : result;
}

enum emu emulate_out(struct vm *vm, const struct insn *insn)
{
	unsigned size = insn->opnd[1].size;
	u16 port = port_operand(vm, insn, 0);
	u32 value = vm->cpu.gpr[GPR_AX];

	if (size < 4)
		value &= (1u << (8 * size)) - 1;
	if (!allowed(vm, port, size))
		return EMU_FAULT;
	return access_port(vm, insn, port, size, true, &value);
}

/* --------------------------------------------------------- ins, outs ---- */

static u32 address_mask(const struct insn *insn)
{
	return insn->addr_size == 2 ? 0xffffu : 0xffffffffu;
}

static void step_index(struct vm *vm, const struct insn *insn, enum gpr reg, unsigned size)
{
	u32 mask = address_mask(insn), old = vm->cpu.gpr[reg];
	u32 next = vm->cpu.rflags & FLAG_DF ? old - size : old + size;

	vm->cpu.gpr[reg] = (old & ~mask) | (next & mask);
}

/* One element is done: count it. With a repeat prefix the instruction starts again, so that
 * interrupts are taken between elements. */
static enum emu next_element(struct vm *vm, const struct insn *insn)
{
	u32 mask = address_mask(insn), count = vm->cpu.gpr[GPR_CX];

	if (!insn->rep)
		return EMU_NEXT;
	vm->cpu.gpr[GPR_CX] = (count & ~mask) | ((count - 1) & mask);
	return (count - 1) & mask ? EMU_DONE : EMU_NEXT;
}

static bool nothing_to_do(const struct vm *vm, const struct insn *insn)
{
	return insn->rep && !(vm->cpu.gpr[GPR_CX] & address_mask(insn));
}

static enum emu finish_ins(struct vm *vm, const struct insn *insn, u32 value)
{
	unsigned size = insn->op_size;
	u64 la;

	/* Checked before the port was read; the tables cannot have changed since. */
	if (!mem_linear(vm, SEG_ES, vm->cpu.gpr[GPR_DI] & address_mask(insn), size, true, &la) ||
	    !mem_write(vm, la, &value, size, vm_cpl(vm) == 3))
		return EMU_FAULT;
	step_index(vm, insn, GPR_DI, size);
	return next_element(vm, insn);
}

enum emu emulate_ins(struct vm *vm, const struct insn *insn)
{
	unsigned size = insn->op_size;
	u16 port = vm->cpu.gpr[GPR_DX];
	enum emu result;
	u32 value = 0;
	u64 la;

	if (!allowed(vm, port, size))
		return EMU_FAULT;
	if (nothing_to_do(vm, insn))
		return EMU_NEXT;
	/* The port must not be read if the value cannot be stored. */
	if (!mem_linear(vm, SEG_ES, vm->cpu.gpr[GPR_DI] & address_mask(insn), size, true, &la) ||
	    !mem_probe_write(vm, la, size, vm_cpl(vm) == 3))
		return EMU_FAULT;
	result = access_port(vm, insn, port, size, false, &value);
	return result == EMU_NEXT ? finish_ins(vm, insn, value) : result;
}

enum emu emulate_outs(struct vm *vm, const struct insn *insn)
{
	enum seg_reg seg = insn->seg_override == REG_NONE ? SEG_DS : insn->seg_override;
	unsigned size = insn->op_size;
	u16 port = vm->cpu.gpr[GPR_DX];
	enum emu result;
	u32 value = 0;
	u64 la;

	if (!allowed(vm, port, size))
		return EMU_FAULT;
	if (nothing_to_do(vm, insn))
		return EMU_NEXT;
	if (!mem_linear(vm, seg, vm->cpu.gpr[GPR_SI] & address_mask(insn), size, false, &la) ||
	    !mem_read(vm, la, &value, size, vm_cpl(vm) == 3))
		return EMU_FAULT;
	result = access_port(vm, insn, port, size, true, &value);
	if (result != EMU_NEXT)
		return result;
	step_index(vm, insn, GPR_SI, size);
	return next_element(vm, insn);
}

/* The VMM has answered: finish the instruction as its emulator would have. */
enum emu finish_in(struct vm *vm, const struct insn *insn, u32 value)
{
	switch (insn->op) {
	case OP_IN:
		return finish_reg_in(vm, insn, value);
	case OP_INS:
		return finish_ins(vm, insn, value);
	case OP_OUTS:
		step_index(vm, insn, GPR_SI, insn->op_size);
		return next_element(vm, insn);
	default:
		return EMU_NEXT;
	}
}
