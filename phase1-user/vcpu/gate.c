/*
 * The gate's other side: what signal.c does with a signal's frame, done with the guest's registers
 * as gate.S pushed them.
 *
 * Owns: struct gate in the shared memory. Signals are not blocked here: one that comes is noted,
 * and looked for again in gate.S before the guest runs. Nothing in the monitor touches FPU or
 * vector registers, so the guest's stay where they are.
 */
#include "../../common/pv.h"
#include "../../common/segment.h"
#include "vcpu.h"

#define HIDDEN __attribute__((visibility("hidden")))

/* gate.S */
extern HIDDEN const char gate_entry[], gate_leave[], gate_left[];
HIDDEN struct gate_frame *gate_stack; /* its end, where the frame's end is as well */

_Static_assert(sizeof(struct gate_frame) == 96 && offsetof(struct gate_frame, rflags) == 72 &&
		       offsetof(struct gate, noted) ==
			       offsetof(struct gate, frame) + sizeof(struct gate_frame),
	       "gate.S has these numbers");

/* What iretq may be given. IF and IOPL are the hardware's own affair at CPL 3. */
#define GUEST_FLAGS                                                                                \
	(FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_TF | FLAG_DF | FLAG_OF | FLAG_NT | \
	 FLAG_RF | FLAG_AC | FLAG_ID)

/* Called by gate.S. */
void gate_call(struct gate_frame *f, u32 stub);
void gate_look_again(struct gate_frame *f);

static void save_guest(struct vcpu *cpu, const struct gate_frame *f)
{
	cpu->gpr[GPR_AX] = (u32)f->ax;
	cpu->gpr[GPR_CX] = (u32)f->cx;
	cpu->gpr[GPR_DX] = (u32)f->dx;
	cpu->gpr[GPR_BX] = (u32)f->bx;
	cpu->gpr[GPR_SP] = (u32)f->sp;
	cpu->gpr[GPR_BP] = (u32)f->bp;
	cpu->gpr[GPR_SI] = (u32)f->si;
	cpu->gpr[GPR_DI] = (u32)f->di;
	cpu->rflags = (u32)f->rflags;
}

/* They are dear to load, and mostly there already. */
static void load_changed_selectors(const u16 hw[SEG_COUNT])
{
	u16 now[SEG_COUNT];

	save_selectors(now);
	if (now[SEG_DS] != hw[SEG_DS] || now[SEG_ES] != hw[SEG_ES] || now[SEG_FS] != hw[SEG_FS] ||
	    now[SEG_GS] != hw[SEG_GS] || shared->gate.reload)
		load_selectors(hw);
	shared->gate.reload = false;
}

static void load_guest(const struct vcpu *cpu, struct gate_frame *f)
{
	f->ax = (u32)cpu->gpr[GPR_AX];
	f->cx = (u32)cpu->gpr[GPR_CX];
	f->dx = (u32)cpu->gpr[GPR_DX];
	f->bx = (u32)cpu->gpr[GPR_BX];
	f->sp = (u32)cpu->gpr[GPR_SP];
	f->bp = (u32)cpu->gpr[GPR_BP];
	f->si = (u32)cpu->gpr[GPR_SI];
	f->di = (u32)cpu->gpr[GPR_DI];
	f->rip = (u32)cpu->rip;
	f->rflags = (cpu->rflags & GUEST_FLAGS) | FLAG_IF | FLAG_ONE;
	f->cs = cpu->hw_selector[SEG_CS];
	f->ss = cpu->hw_selector[SEG_SS];
	load_changed_selectors(cpu->hw_selector);
}

/* Run what the core decides, until the guest can go on with `f`. */
static void finish(struct gate_frame *f, enum core_next next)
{
	run_until_resume(next);
	stats_trap_ends(&shared->vm);
	load_guest(&shared->vm.cpu, f);
}

/* From here on the FPU has the guest's state, which goes along if another process goes on. */
static void begin(struct vm *vm)
{
	__atomic_store_n(&shared->mode, MODE_MONITOR, __ATOMIC_RELAXED);
	shared->baton.fpu = (u64)shared->gate.fpu;
	stats_trap_begins(vm);
}

void gate_call(struct gate_frame *f, u32 stub)
{
	struct vm *vm = &shared->vm;
	u16 hw[SEG_COUNT];

	begin(vm);
	/* The ABI asks for a flat CS, and a far jump leaves none behind. */
	hw[SEG_CS] = HOST_FLAT_CS;
	hw[SEG_SS] = f->ss;
	save_selectors(hw);
	save_guest(&vm->cpu, f);
	/* Whatever the guest may have made of it: there are two. */
	vm->cpu.rip = PLEX86_PV_PAGE +
		      (stub == PLEX86_PV_STUB_IRET ? PLEX86_PV_STUB_IRET : PLEX86_PV_STUB_TRAP);
	/* User code has no business here, and keeps the segments it is known to have. */
	if (vm_cpl(vm) == 0)
		core_sync_selectors(vm, hw);
	finish(f, core_gate(vm));
}

/* A signal came between the core's last look and the guest. */
void gate_look_again(struct gate_frame *f)
{
	begin(&shared->vm);
	trace(&shared->vm, EV_KICK, shared->gate.noted, 0);
	__atomic_store_n(&shared->gate.noted, 0, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST); /* forget it first, then look */
	finish(f, core_kick(&shared->vm));
}

bool gate_interrupted(const siginfo_t *info, struct sigcontext *sc)
{
	const u64 landing = PLEX86_PV_PAGE + PLEX86_PV_STUB_TRAP;

	/* A fault here is the monitor's own, and a 64-bit guest elsewhere is on the run. */
	if (sc->cs != HOST_CS64 || info->si_code > 0)
		return false;
	if (!in_monitor_text(sc->rip) && (sc->rip < landing || sc->rip > ~0u))
		return false;
	__atomic_store_n(&shared->gate.noted, info->si_signo, __ATOMIC_RELAXED);
	if (sc->rip >= (u64)gate_leave && sc->rip < (u64)gate_left)
		sc->rip = (u64)gate_leave;
	return true;
}

/* Is there XSAVE, and room for all that it saves? */
static bool can_carry_fpu(struct vm *vm)
{
	const u32 leaf_xsave = 0xd, osxsave = 1u << 27;
	u32 features[4], size[4];

	host_cpuid(vm, 1, 0, features);
	host_cpuid(vm, leaf_xsave, 0, size);
	return (features[2] & osxsave) && size[1] && size[1] <= GATE_FPU;
}

void gate_setup(void)
{
	u16 cs;

	__asm__ volatile("mov %%cs, %0" : "=r"(cs));
	if (cs != HOST_CS64 || !can_carry_fpu(&shared->vm))
		return;
	gate_stack = &shared->gate.frame + 1;
	shared->vm.gate = (u64)gate_entry;
}
