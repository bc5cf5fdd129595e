/*
 * Interrupts between the chips and the guest: see interrupt.h.
 *
 * Owns: when one is delivered, which is late enough not to lose what the guest waits for.
 */
#include "interrupt.h"
#include "clock.h"
#include "debug.h"
#include "device-page.h"
#include "mem.h"
#include "pv.h"
#include "reflect.h"
#include "shadow.h"

#define TRAP_CALL_LENGTH 5

#define OPCODE_CALL 0xe8
#define OPCODE_CLI  0xfa
#define OPCODE_HLT  0xf4
#define OPCODE_STI  0xfb

/* Tell the interrupt controller which lines the VMM moved, and whether the PIT ticked. */
static void poll_lines(struct vm *vm)
{
	u32 lines = __atomic_load_n(&vm->irq_lines, __ATOMIC_ACQUIRE);
	u32 changed = (lines ^ vm->irq_seen) & 0xffff;

	for (; changed; changed &= changed - 1) {
		unsigned irq = __builtin_ctz(changed);

		pic_set_line(&vm->pic, irq, lines >> irq & 1);
	}
	if ((lines ^ vm->irq_seen) >= DEVICE_NEWS)
		device_page_look(vm);
	vm->irq_seen = lines;
}

/* A PIT programmed to tick faster than this would leave the guest no time to run. */
#define MIN_TICK_NS 20000u

void timer_update(struct vm *vm, u64 now)
{
	u64 deadline = pit_deadline(&vm->pit, now);

	vm->timer = deadline && deadline < now + MIN_TICK_NS ? now + MIN_TICK_NS : deadline;
}

static void poll_timer(struct vm *vm)
{
	u64 now;

	if (!vm->timer || !clock_due(vm, vm->timer))
		return;
	now = clock_now(vm);
	if (now < vm->timer)
		return;
	if (pit_take_edges(&vm->pit, now)) {
		/* Ticks missed while the host ran something else coalesce, as on a busy PC. */
		pic_set_line(&vm->pic, 0, false);
		pic_set_line(&vm->pic, 0, true);
	}
	timer_update(vm, now);
}

/* Is `rip` right behind an sti, as the macro or as the instruction? */
static bool behind_sti(struct vm *vm, u32 rip)
{
	static const u8 macro[] = {0x36, 0xc7, 0x05, 0x00, 0xf0, 0xff,
				   0xff, 0x00, 0x02, 0x00, 0x00};
	u32 la = (u32)(vm->cpu.seg[SEG_CS].base + rip);
	u8 bytes[sizeof(macro)];

	if (mem_byte_before(vm, rip, OPCODE_STI))
		return true;
	return mem_read(vm, la - sizeof(macro), bytes, sizeof(bytes), false) &&
	       !__builtin_memcmp(bytes, macro, sizeof(macro));
}

/* Is at `la` a call of the stub that stands for the next instruction's trap? */
static bool is_trap_call(struct vm *vm, u32 la)
{
	const u32 target = PLEX86_PV_PAGE + PLEX86_PV_STUB_TRAP;
	u8 code[TRAP_CALL_LENGTH];
	u32 displacement;

	if (!mem_read(vm, la, code, sizeof(code), false) || code[0] != OPCODE_CALL)
		return false;
	mem_copy(&displacement, code + 1, sizeof(displacement));
	return la + sizeof(code) + displacement == target;
}

/* At the hlt of `sti; hlt`, or at the call in front of it? True: rip is behind the hlt now. */
static bool skip_hlt(struct vm *vm)
{
	const u32 base = (u32)vm->cpu.seg[SEG_CS].base, at = (u32)vm->cpu.rip;
	u32 call = at, hlt = at;
	u8 opcode;

	if (is_trap_call(vm, base + at))
		hlt += TRAP_CALL_LENGTH;
	else if (is_trap_call(vm, base + at - TRAP_CALL_LENGTH))
		call -= TRAP_CALL_LENGTH;
	if (!mem_read(vm, base + hlt, &opcode, sizeof(opcode), false) || opcode != OPCODE_HLT ||
	    !behind_sti(vm, call))
		return false;
	vm->cpu.rip = hlt + 1;
	return true;
}

/* The instruction behind sti runs before any interrupt (SDM vol. 2, STI). Two cases matter:
 * `sti; hlt` must not lose the wake-up by returning to the hlt, and in `sti; cli` nothing may be
 * delivered at all. For the rest, delivering one instruction early cannot be told apart from an
 * interrupt that came later. True: do not deliver now. */
static bool sti_shadow(struct vm *vm)
{
	static const u8 cli_macro[] = {0x36, 0xc7, 0x05, 0x00, 0xf0, 0xff,
				       0xff, 0x00, 0x00, 0x00, 0x00};
	u8 next[sizeof(cli_macro)];
	unsigned n;
	bool cli;

	if (vm_cpl(vm) != 0 || vm->cpu.halted)
		return false;
	n = mem_fetch(vm, next, sizeof(next));
	if (!n)
		return false;
	if ((next[0] == OPCODE_HLT || next[0] == OPCODE_CALL) && skip_hlt(vm))
		return false;
	cli = next[0] == OPCODE_CLI ||
	      (n == sizeof(next) && !__builtin_memcmp(next, cli_macro, sizeof(next)));
	return cli && behind_sti(vm, (u32)vm->cpu.rip);
}

/* A line each, all nested: no more can come at once, but with automatic EOI, a trap gate and a
 * level that stays. There a CPU would be busy for ever as well, but it could be turned off. */
#define MAX_AT_ONCE 16

/* Deliver what is pending. False: vm->exit is set. */
static bool deliver_interrupts(struct vm *vm)
{
	for (unsigned n = 0; pic_pending(&vm->pic) && !vm->cpu.shutdown; n++) {
		if (n == MAX_AT_ONCE || !vm_if(vm) || debug_holds_interrupts(vm) ||
		    sti_shadow(vm)) {
			/* The store that sets IF again, or clears it, will trap. */
			shadow_pv_protect(vm, false);
			return true;
		}
		if (!reflect(vm, pic_ack(&vm->pic), EVENT_EXTERNAL, false, 0))
			return false;
		debug_completed(&vm->debug);
	}
	shadow_pv_protect(vm, true);
	return true;
}

bool interrupts_take(struct vm *vm)
{
	bool ok;

	/* In a deterministic run the VMM moves them where the guest has stopped by its own doing.
	 */
	poll_lines(vm);
	if (!clock_moved(vm))
		return true;
	poll_timer(vm);
	ok = vm->cpu.shutdown || deliver_interrupts(vm);
	clock_settled(vm);
	return ok;
}

bool interrupts_skip_wait(struct vm *vm)
{
	if (!vm->cpu.halted || !vm_if(vm) || !clock_skip(vm, vm->timer))
		return true;
	poll_timer(vm);
	if (!deliver_interrupts(vm))
		return false;
	clock_settled(vm);
	if (!vm->cpu.halted)
		return true;
	/* A timer that wakes nobody: the VMM must have its chance to end this, and a moment that is
	 * told from the one before. */
	vm->clock.events++;
	vm->exit = (struct vm_exit){.kind = EXIT_KICKED};
	return false;
}
