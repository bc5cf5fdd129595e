/*
 * From a trap to the next run of the guest: see core.h.
 *
 * Owns: what each hardware exception means for the guest.
 */
#include "core.h"
#include "ahead.h"
#include "emulate.h"
#include "interrupt.h"
#include "mem.h"
#include "paging.h"
#include "pv.h"
#include "reflect.h"
#include "segment.h"
#include "stubs.h"

#define DR6_RESET 0xffff0ff0u
#define DR6_BS	  0x00004000u
#define DR7_RESET 0x00000400u

#define INT80_LENGTH 2

#define OPCODE_INT3 0xcc
#define OPCODE_INTO 0xce
#define OPCODE_INT1 0xf1

static enum core_next settle(struct vm *vm)
{
	if (!interrupts_take(vm))
		return CORE_EXIT;
	if (clock_stops(vm)) {
		vm->exit = (struct vm_exit){.kind = EXIT_DEBUG};
		vm->exit.debug.reason = DEBUG_STOP_EVENTS;
		return CORE_EXIT;
	}
	if (!interrupts_skip_wait(vm))
		return CORE_EXIT;
	if (vm->cpu.shutdown) {
		vm->exit = (struct vm_exit){.kind = EXIT_SHUTDOWN};
		return CORE_EXIT;
	}
	if (vm->cpu.halted) {
		vm->exit = (struct vm_exit){.kind = vm_if(vm) ? EXIT_IDLE : EXIT_HALTED};
		vm->exit.deadline = clock_wait_until(vm);
		return CORE_EXIT;
	}
	if (debug_settle(vm))
		return CORE_EXIT;
	if (vm->timer != vm->armed && !vm->clock.deterministic) {
		vm->armed = vm->timer;
		host_arm_timer(vm, vm->timer);
	}
	return CORE_RESUME;
}

/* --------------------------------------------------------------- traps ---- */

/* What follows from an emulated instruction. `stepping`: TF was set when it began. */
static enum core_next finish(struct vm *vm, enum emu result, bool stepping)
{
	if (result != EMU_EXIT)
		debug_completed(&vm->debug);
	switch (result) {
	case EMU_EXIT:
		return CORE_EXIT;
	case EMU_FAULT:
	case EMU_OTHER:
		if (!reflect_exception(vm))
			return CORE_EXIT;
		break;
	case EMU_SHADOW:
		/* The hardware's TF is set and steps over the next instruction. */
		vm->cpu.rflags &= ~(u64)FLAG_RF;
		break;
	case EMU_NEXT:
	case EMU_DONE:
	case EMU_IRET:
	case EMU_HANDLER:
		if (clock_flips(vm))
			vm->cpu.gpr[GPR_BX] ^= 1;
		if (result == EMU_NEXT || result == EMU_DONE)
			vm->cpu.rflags &= ~(u64)FLAG_RF;
		/* Behind an instruction that began with TF, even if it was iret that took it away.
		 */
		if (stepping && result != EMU_HANDLER) {
			vm->cpu.dr[6] |= DR6_BS;
			if (!reflect(vm, EXC_DB, EVENT_FAULT, false, 0))
				return CORE_EXIT;
		}
		break;
	}
	return settle(vm);
}

static enum core_next memory_access(struct vm *vm)
{
	bool stepping = vm->cpu.rflags & FLAG_TF, undefined;
	enum emu result = EMU_FAULT;
	struct insn insn;

	if (fetch_insn(vm, &insn, &undefined)) {
		result = emulate_memory(vm, &insn);
		if (result == EMU_NEXT)
			insn_skip(vm, &insn);
	} else if (undefined) {
		raise(vm, EXC_UD);
	}
	return finish(vm, result, stepping);
}

static enum core_next page_fault(struct vm *vm, const struct trap *trap, bool user)
{
	bool write = trap->error & PF_WRITE, fetch = trap->error & PF_FETCH;
	u32 error;

	switch (shadow_fault(vm, (u32)trap->address, write, fetch, user, &error)) {
	case SHADOW_FILLED:
		return settle(vm);
	case SHADOW_STOP:
		return CORE_EXIT;
	case SHADOW_EMULATE:
		return memory_access(vm);
	case SHADOW_GUEST:
		break;
	}
	trace(vm, EV_PF_GUEST, trap->address, error);
	raise_page_fault(vm, trap->address, error);
	shadow_expect(vm, trap->address, write, ahead_suggest(vm, trap->address, error));
	return finish(vm, EMU_FAULT, false);
}

static enum core_next reflect_trap(struct vm *vm, u8 vector, bool has_error, u32 error)
{
	debug_completed(&vm->debug);
	if (!reflect(vm, vector, EVENT_FAULT, has_error, error))
		return CORE_EXIT;
	return settle(vm);
}

/* int3 and into trap behind the instruction; `cd 03` and `cd 04` end up here as well. */
static enum core_next soft_trap(struct vm *vm, u8 vector)
{
	u8 opcode = vector == EXC_BP ? OPCODE_INT3 : OPCODE_INTO;
	unsigned length = mem_byte_before(vm, vm->cpu.rip, opcode) ? 1 : 2;

	vm->cpu.rip = (u32)(vm->cpu.rip - length);
	debug_completed(&vm->debug);
	if (!reflect_soft(vm, vector, length))
		return CORE_EXIT;
	return settle(vm);
}

/* `stepped`: TF was the debugger's. */
static enum core_next debug_trap(struct vm *vm, bool stepped)
{
	bool icebp = !(vm->cpu.rflags & FLAG_TF) && mem_byte_before(vm, vm->cpu.rip, OPCODE_INT1);

	if (stepped && !debug_trapped(vm))
		return settle(vm);
	if (!icebp)
		vm->cpu.dr[6] |= DR6_BS;
	return reflect_trap(vm, EXC_DB, false, 0);
}

static enum core_next alignment_check(struct vm *vm)
{
	if (vm_cpl(vm) == 3 && (vm->cpu.cr0 & CR0_AM))
		return reflect_trap(vm, EXC_AC, true, 0);
	/* Only user code is checked, and only if CR0.AM is set (SDM vol. 3, 6.15); the hardware
	 * takes the guest kernel for user code, and its own CR0.AM is the host's. */
	vm->cpu.rflags &= ~(u64)FLAG_AC;
	return settle(vm);
}

/* The `int $0x80` at rip. */
static enum core_next int80(struct vm *vm)
{
	trace(vm, EV_SYSCALL, vm->cpu.gpr[GPR_AX], vm->cpu.gpr[GPR_BX]);
	debug_completed(&vm->debug);
	if (!reflect_soft(vm, 0x80, INT80_LENGTH))
		return CORE_EXIT;
	return settle(vm);
}

/* A trap in a stub. The kernel's memory it touches is made present, so that it will not fault
 * there again; then its work is done here. False: the trap is that of the code the stub led to. */
static bool leave_stub(struct vm *vm, const struct trap *trap, bool stepped, enum core_next *next)
{
	const struct insn iret = {.op = OP_IRET, .op_size = 4, .length = 1};
	bool stepping = vm->cpu.rflags & FLAG_TF;
	u32 error;

	/* Nothing is made present for who has no business there, or by more than the rights he has.
	 */
	if (trap->vector == EXC_PF && !stubs_intruded(vm) &&
	    shadow_fault(vm, (u32)trap->address, trap->error & PF_WRITE, false,
			 vm->two_views && vm->user_view, &error) == SHADOW_STOP) {
		*next = CORE_EXIT;
		return true;
	}
	switch (stubs_leave(vm)) {
	case STUB_EXIT_IRET:
		*next = finish(vm, emulate_iret(vm, &iret), stepping);
		return true;
	case STUB_EXIT_SYSCALL:
		if (trap->vector == EXC_DB && !stepped)
			return false;
		*next = int80(vm);
		return true;
	case STUB_EXIT_DONE:
		if (trap->vector != EXC_PF)
			return false;
		debug_completed(&vm->debug);
		*next = settle(vm);
		return true;
	case STUB_EXIT_FOREIGN:
		break;
	}
	raise_error(vm, EXC_GP, 0);
	*next = finish(vm, EMU_FAULT, false);
	return true;
}

enum core_next core_trap(struct vm *vm, const struct trap *trap)
{
	const bool stepped = debug_entered(vm, trap->vector == EXC_DB);
	bool stepping = vm->cpu.rflags & FLAG_TF;
	enum core_next next;

	vm->exit.kind = EXIT_NONE;
	vm->pending.kind = PENDING_NONE;
	trace(vm, EV_TRAP, trap->vector, trap->error);
	if (stubs_contain(vm) && leave_stub(vm, trap, stepped, &next))
		return next;
	switch (trap->vector) {
	case EXC_PF:
		return page_fault(vm, trap, vm_cpl(vm) == 3);
	case EXC_GP:
	case EXC_SS:
	case EXC_NP:
	case EXC_TS:
		return finish(vm, emulate(vm, trap), stepping);
	case EXC_BP:
	case EXC_OF:
		return soft_trap(vm, trap->vector);
	case EXC_DB:
		return debug_trap(vm, stepped);
	case EXC_AC:
		return alignment_check(vm);
	case EXC_DE:
	case EXC_BR:
	case EXC_UD:
	case EXC_NM:
	case EXC_MF:
	case EXC_XM:
		return reflect_trap(vm, trap->vector, false, 0);
	default:
		vm->exit = (struct vm_exit){.kind = EXIT_FAULT};
		vm->exit.fault.reason = FAULT_INSN;
		vm->exit.fault.detail = trap->vector;
		return CORE_EXIT;
	}
}

/* ------------------------------------- of a CPU with privilege levels ---- */

static void levels_trap(struct vm *vm, const struct trap *trap)
{
	debug_entered(vm, false);
	vm->exit.kind = EXIT_NONE;
	vm->pending.kind = PENDING_NONE;
	trace(vm, EV_TRAP, trap->vector, trap->error);
}

enum core_next core_exception(struct vm *vm, const struct trap *trap, bool has_error)
{
	levels_trap(vm, trap);
	return reflect_trap(vm, trap->vector, has_error, trap->error);
}

enum core_next core_access(struct vm *vm, const struct trap *trap)
{
	levels_trap(vm, trap);
	return page_fault(vm, trap, trap->error & PF_USER);
}

/* The instruction that the stub stands for is dealt with as its own trap would be. */
enum core_next core_gate(struct vm *vm)
{
	const struct insn iret = {.op = OP_IRET, .op_size = 4, .length = 1};
	const struct trap trap = {.vector = EXC_GP};
	bool stepping;

	debug_entered(vm, false);
	stepping = vm->cpu.rflags & FLAG_TF;
	vm->exit.kind = EXIT_NONE;
	vm->pending.kind = PENDING_NONE;
	trace(vm, EV_GATE, 0, 0);
	switch (stubs_leave(vm)) {
	case STUB_EXIT_DONE:
		return finish(vm, emulate(vm, &trap), stepping);
	case STUB_EXIT_IRET:
		return finish(vm, emulate_iret(vm, &iret), stepping);
	default:
		raise_error(vm, EXC_GP, 0);
		return finish(vm, EMU_FAULT, false);
	}
}

enum core_next core_int80(struct vm *vm)
{
	debug_entered(vm, false);
	vm->exit.kind = EXIT_NONE;
	vm->cpu.rip = (u32)(vm->cpu.rip - INT80_LENGTH);
	return int80(vm);
}

enum core_next core_kick(struct vm *vm)
{
	const struct insn iret = {.op = OP_IRET, .op_size = 4, .length = 1};

	debug_entered(vm, false);
	vm->exit.kind = EXIT_NONE;
	/* Nothing can be delivered within a stub. */
	if (stubs_contain(vm) && stubs_leave(vm) == STUB_EXIT_IRET)
		return finish(vm, emulate_iret(vm, &iret), vm->cpu.rflags & FLAG_TF);
	return settle(vm);
}

enum core_next core_resume(struct vm *vm)
{
	bool stepping = vm->cpu.rflags & FLAG_TF;
	enum pending_kind kind = vm->pending.kind;
	enum emu result;

	vm->pending.kind = PENDING_NONE;
	switch (kind) {
	case PENDING_IO:
		result = finish_in(vm, &vm->pending.insn, vm->exit.io.value);
		break;
	case PENDING_MMIO:
		result = finish_mmio(vm, &vm->pending.insn, vm->exit.mmio.value);
		break;
	default:
		return core_kick(vm);
	}
	if (result == EMU_NEXT)
		insn_skip(vm, &vm->pending.insn);
	return finish(vm, result, stepping);
}

u64 core_deadline(struct vm *vm)
{
	return vm->timer;
}

/* --------------------------------------------------------------- start ---- */

void core_reset(struct vm *vm)
{
	mem_set(&vm->cpu, 0, sizeof(vm->cpu));
	vm->cpu.cr0 = CR0_PE | CR0_ET;
	vm->cpu.rflags = FLAG_ONE;
	vm->cpu.xcr0 = XCR0_X87;
	vm->cpu.dr[6] = DR6_RESET;
	vm->cpu.dr[7] = DR7_RESET;
	vm->pool.count = 1; /* for the engine to raise */
	pic_reset(&vm->pic);
	pit_reset(&vm->pit, clock_now(vm));
	cmos_reset(&vm->cmos);
	pv_reset(vm);
	cpu_identify(vm, &vm->cpu_identity);
}

bool core_load_segments(struct vm *vm)
{
	/* Whatever they hold, it is not what the host's registers do. */
	mem_set(vm->cpu.hw_selector, 0, sizeof(vm->cpu.hw_selector));
	if (!seg_init(vm))
		return false;
	for (unsigned reg = 0; reg < SEG_COUNT; reg++) {
		struct segment seg = vm->cpu.seg[reg];

		if (seg_is_null(seg.selector))
			seg_install_null(vm, reg, seg.selector);
		else if (!seg_install(vm, reg, &seg))
			return false;
	}
	return true;
}

enum core_next core_start(struct vm *vm)
{
	/* What is in vm->cpu may be of a machine that is not new: its address space wants a shadow,
	 * and its TLS selectors the descriptors they name, before registers can hold them. */
	if (!shadow_load_cr3(vm))
		return CORE_EXIT;
	if (!vm->levels && (!seg_sync_tls(vm) || !core_load_segments(vm)))
		return CORE_EXIT;
	return core_kick(vm);
}

void core_sync_selectors(struct vm *vm, const u16 hw[SEG_COUNT])
{
	stubs_sync_segments(vm, hw);
	for (unsigned reg = 0; reg < SEG_COUNT; reg++)
		if (hw[reg] != vm->cpu.hw_selector[reg])
			seg_note_native(vm, reg, hw[reg]);
}
