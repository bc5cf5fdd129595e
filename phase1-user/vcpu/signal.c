/*
 * Signals into traps and back: the world switch of phase 1.
 *
 * Owns: the signal frame and the segment registers. A guest trap arrives as a signal; the handler
 * copies the frame into vm->cpu, asks the core, and by returning resumes whatever vm->cpu says.
 * All signals are blocked while it runs, so a signal always comes from guest code, or from the
 * monitor's side of the gate (gate.c). Frame and stack are shared by all vcpu processes: the one
 * that took the signal need not be the one that returns.
 */
#include "../../common/pv.h"
#include "../../common/segment.h"
#include "sys.h"
#include "vcpu.h"
#include "vsyscall.h"
#include <linux/mman.h>
#include <linux/signal.h>
#include <asm/sigcontext.h>
#include <asm/ucontext.h>

/* The handler's stack: frames of 12 KiB with AMX state, and the core's own depth. */
#define STACK_SIZE (256 * 1024)

/* UC_STRICT_RESTORE_SS: sigreturn takes SS as it is in the frame. */
#define RESTORE_SS 0x4

/* start.S */
extern __attribute__((visibility("hidden"))) void signal_entry(void), signal_restorer(void);

void handle_signal(int sig, siginfo_t *info, void *context); /* called by signal_entry */

/* -------------------------------------------------------- guest state ---- */

void save_selectors(u16 hw[SEG_COUNT])
{
	__asm__ volatile("mov %%ds, %0" : "=r"(hw[SEG_DS]));
	__asm__ volatile("mov %%es, %0" : "=r"(hw[SEG_ES]));
	__asm__ volatile("mov %%fs, %0" : "=r"(hw[SEG_FS]));
	__asm__ volatile("mov %%gs, %0" : "=r"(hw[SEG_GS]));
}

void load_selectors(const u16 hw[SEG_COUNT])
{
	__asm__ volatile("mov %0, %%ds" : : "r"(hw[SEG_DS]));
	__asm__ volatile("mov %0, %%es" : : "r"(hw[SEG_ES]));
	__asm__ volatile("mov %0, %%fs" : : "r"(hw[SEG_FS]));
	__asm__ volatile("mov %0, %%gs" : : "r"(hw[SEG_GS]));
}

static void save_guest(struct vcpu *cpu, const struct sigcontext *sc)
{
	cpu->gpr[GPR_AX] = (u32)sc->rax;
	cpu->gpr[GPR_CX] = (u32)sc->rcx;
	cpu->gpr[GPR_DX] = (u32)sc->rdx;
	cpu->gpr[GPR_BX] = (u32)sc->rbx;
	cpu->gpr[GPR_SP] = (u32)sc->rsp;
	cpu->gpr[GPR_BP] = (u32)sc->rbp;
	cpu->gpr[GPR_SI] = (u32)sc->rsi;
	cpu->gpr[GPR_DI] = (u32)sc->rdi;
	cpu->rip = (u32)sc->rip;
	cpu->rflags = (u32)sc->eflags;
}

/* sigreturn leaves ID and NT as the handler has them (FIX_EFLAGS in the host's signal.c). */
static void set_sticky_flags(u64 flags)
{
	const u64 sticky = FLAG_ID | FLAG_NT;
	u64 now = __builtin_ia32_readeflags_u64();

	if ((now ^ flags) & sticky)
		__builtin_ia32_writeeflags_u64((now & ~sticky) | (flags & sticky));
}

static void load_guest(const struct vcpu *cpu, struct sigcontext *sc)
{
	sc->rax = cpu->gpr[GPR_AX];
	sc->rcx = cpu->gpr[GPR_CX];
	sc->rdx = cpu->gpr[GPR_DX];
	sc->rbx = cpu->gpr[GPR_BX];
	sc->rsp = cpu->gpr[GPR_SP];
	sc->rbp = cpu->gpr[GPR_BP];
	sc->rsi = cpu->gpr[GPR_SI];
	sc->rdi = cpu->gpr[GPR_DI];
	sc->rip = cpu->rip;
	sc->eflags = cpu->rflags | FLAG_IF;
	sc->cs = cpu->hw_selector[SEG_CS];
	sc->ss = cpu->hw_selector[SEG_SS];
	load_selectors(cpu->hw_selector);
	set_sticky_flags(cpu->rflags);
}

/* --------------------------------------------------------------- traps ---- */

static void stop(enum vm_fault reason, u64 detail)
{
	struct vm *vm = &shared->vm;

	vm->exit = (struct vm_exit){.kind = EXIT_FAULT};
	vm->exit.fault.reason = reason;
	vm->exit.fault.detail = detail;
}

/* A host system call made by guest code, undone by the kernel. */
static enum core_next guest_syscall(struct vm *vm, u64 host_rip)
{
	struct segment *cs = &vm->cpu.seg[SEG_CS];
	u64 rip = vm->cpu.rip;
	u8 *code;

	/* sysenter, and AMD's 32-bit syscall, which we do not announce: the kernel has put the
	 * address of its vdso in place of theirs, and EIP is lost. */
	if (host_rip > ~0u) {
		stop(FAULT_ESCAPE, host_rip);
		return CORE_EXIT;
	}
	/* Peek at the instruction through the mapping it was just fetched from. */
	code = (u8 *)(u64)(u32)(cs->base + rip - 2);
	if (code[0] == 0xcd && code[1] == 0x80) {
		if (shared->hybrid.on)
			vsyscall_learn(vm, &shared->hybrid, (u64)code);
		return core_int80(vm);
	}
	stop(FAULT_ESCAPE, rip);
	return CORE_EXIT;
}

/* HLT in place of `int $0x80`: as if that had been trapped. */
static enum core_next guest_vsyscall(struct vm *vm)
{
	const u32 length = 2;

	vm->cpu.rip = (u32)(vm->cpu.rip + length);
	vm->cpu.rflags &= ~FLAG_RF; /* what faults has it set */
	return core_int80(vm);
}

static bool is_vsyscall(const struct vm *vm, const struct trap *trap)
{
	return shared->hybrid.on && trap->vector == EXC_GP && !trap->error &&
	       vsyscall_is_call(vm, &shared->hybrid, vm->cpu.seg[SEG_CS].base + vm->cpu.rip);
}

static enum core_next guest_fault(struct vm *vm, const siginfo_t *info, const struct sigcontext *sc)
{
	struct trap trap = {.vector = sc->trapno, .error = sc->err, .address = sc->cr2};

	/* A page fault that the host answered with SIGBUS: no memory left behind the memfd. */
	if (info->si_signo == SIGBUS && trap.vector == EXC_PF) {
		stop(FAULT_HOST_MAP, trap.address);
		return CORE_EXIT;
	}
	if (is_vsyscall(vm, &trap))
		return guest_vsyscall(vm);
	if (shared->hybrid.on && trap.vector == EXC_PF && (trap.error & PF_WRITE) &&
	    hybrid_code_written(vm, &shared->hybrid, trap.address))
		return core_kick(vm);
	return core_trap(vm, &trap);
}

static enum core_next dispatch(struct vm *vm, const siginfo_t *info, const struct sigcontext *sc)
{
	if (sc->cs == HOST_CS64) {
		stop(in_monitor_text(sc->rip) ? FAULT_MONITOR : FAULT_ESCAPE, sc->rip);
		return CORE_EXIT;
	}
	switch (info->si_signo) {
	case SIGSYS:
		return guest_syscall(vm, sc->rip);
	case SIGSEGV:
	case SIGBUS:
	case SIGILL:
	case SIGFPE:
	case SIGTRAP:
		if (info->si_code > 0)
			return guest_fault(vm, info, sc);
		break; /* sent by somebody, not raised by guest code */
	}
	trace(vm, EV_KICK, info->si_signo, 0);
	return core_kick(vm);
}

static enum core_next answer_trap(struct vm *vm, const u16 hw[SEG_COUNT], const siginfo_t *info,
				  const struct sigcontext *sc)
{
	core_sync_selectors(vm, hw);
	return dispatch(vm, info, sc);
}

/* Behind a system call or a breakpoint the instruction is done; a fault can be had again. */
static bool is_repeated(const siginfo_t *info)
{
	return info->si_signo != SIGSYS && info->si_signo != SIGTRAP;
}

static enum core_next answer_native(struct vm *vm, const u16 hw[SEG_COUNT], const siginfo_t *info,
				    const struct sigcontext *sc)
{
	const enum native_loads loads = native_take_selectors(vm, hw);

	if (loads == NATIVE_NONE || !is_repeated(info))
		return dispatch(vm, info, sc);
	return loads == NATIVE_FAULT ? native_fault(vm) : core_kick(vm);
}

/* What comes of a signal, until the guest can run with what vm->cpu says. */
static void answer(struct vm *vm, const siginfo_t *info, const struct sigcontext *sc)
{
	u16 hw[SEG_COUNT];

	if (!shared->started) {
		/* The monitor's own ud2, before any guest code: vm->cpu is for the VMM to fill. */
		shared->started = true;
		hand_over();
		pool_open();
		stats_trap_begins(vm);
		if (shared->restore)
			state_load(vm, &shared->state);
		if (shared->hybrid.on)
			native_start(vm);
		else
			run_until_resume(core_start(vm));
		return;
	}
	hw[SEG_CS] = sc->cs;
	hw[SEG_SS] = sc->ss;
	save_selectors(hw);
	save_guest(&vm->cpu, sc);
	if (shared->hybrid.on)
		run_until_native(answer_native(vm, hw, info, sc));
	else
		run_until_resume(answer_trap(vm, hw, info, sc));
}

void handle_signal(int sig, siginfo_t *info, void *context)
{
	struct ucontext *uc = context;
	struct vm *vm = &shared->vm;

	(void)sig;
	if (gate_interrupted(info, &uc->uc_mcontext))
		return;
	shared->baton.fpu = 0; /* the guest's FPU state is in the signal's frame */
	shared->fpu.frame = (u64)uc->uc_mcontext.fpstate;
	__atomic_store_n(&shared->mode, MODE_MONITOR, __ATOMIC_RELAXED);
	stats_trap_begins(vm);
	answer(vm, info, &uc->uc_mcontext);
	stats_trap_ends(vm);
	load_guest(&vm->cpu, &uc->uc_mcontext);
	uc->uc_flags |= RESTORE_SS;
}

/* --------------------------------------------------------------- set-up ---- */

static long set_handler(int sig)
{
	struct sigaction action = {
		.sa_handler = (__sighandler_t)(void *)signal_entry,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTORER,
		.sa_restorer = signal_restorer,
		.sa_mask = ~0ul,
	};

	return sys6(__NR_rt_sigaction, sig, (long)&action, 0, sizeof(action.sa_mask), 0, 0);
}

long signal_setup(void)
{
	static const int guest_signals[] = {SIGSEGV, SIGBUS, SIGILL,  SIGFPE,
					    SIGTRAP, SIGSYS, SIGALRM, SIGUSR1};
	stack_t stack = {.ss_size = STACK_SIZE};
	long ret;

	ret = sys_mmap(0, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (ret < 0 && ret > -4096)
		return ret;
	stack.ss_sp = (void *)ret;
	ret = sys3(__NR_sigaltstack, (long)&stack, 0, 0);
	for (unsigned i = 0; !ret && i < ARRAY_SIZE(guest_signals); i++)
		ret = set_handler(guest_signals[i]);
	return ret;
}

_Noreturn void signal_enter_guest(void)
{
	/* The frame of a signal is the only way to load CS, SS and EIP at once. */
	for (;;)
		__asm__ volatile("ud2");
}
