/*
 * What the VMM and the vcpu processes of a machine share: a memfd mapped by all.
 *
 * Owns: the hand-over protocol. `turn` says whose vm->exit and vm->cpu are; the others wait on it
 * as a futex. Of the vcpu processes one runs, number vm.pool.active; for the others see baton.h.
 * With the hybrid engine there is the emulator beside them, which runs what they cannot (hybrid.c).
 * The VMM trusts nothing in here: guest code that broke out of its 32-bit world could have written
 * all of it.
 */
#ifndef PLEX86_VCPU_SHARED_H
#define PLEX86_VCPU_SHARED_H

#include "../../common/state.h"
#include "../engine/fpu.h"
#include "baton.h"
#include "hybrid.h"

/* File descriptors the vcpu process is started with. */
#define VCPU_FD_RAM    3 /* guest RAM, the PV page and the register pages behind it */
#define VCPU_FD_SHARED 4 /* struct vcpu_shared */
#define VCPU_FD_KMOD   5 /* with hybrid.kmod alone: the machine of /dev/plex86 */

enum vcpu_turn {
	TURN_VCPU, /* the vcpu processes, or the emulator if that is all there is */
	TURN_VMM,
	TURN_EMULATOR, /* the hybrid engine's */
};

/* FUTEX_WAIT_BITSET's and FUTEX_WAKE_BITSET's mask of who waits for `turn`. */
#define TURN_BIT(turn) (1u << (turn))

/* What the vcpu process is doing, so that the VMM knows how to get its attention. */
enum vcpu_mode {
	MODE_MONITOR, /* looks at irq_lines and kick before it runs the guest */
	MODE_GUEST,   /* needs a signal */
	MODE_IDLE,    /* needs `wake` to change */
};

/* A step of the vcpu process's start that failed. X(NAME, "what was attempted"). */
#define VCPU_STEPS(X)                          \
	X(NONE, "start")                       \
	X(MAP_RAM, "map guest RAM")            \
	X(SIGNALS, "install signal handlers")  \
	X(LDT, "set LDT entries (modify_ldt)") \
	X(TIMER, "create a timer")             \
	X(JAIL, "install the seccomp filter")  \
	X(TSC, "have RDTSC trap (PR_SET_TSC)") \
	X(EMULATOR, "use libunicorn")          \
	X(KMOD, "map the page of /dev/plex86") \
	X(TRAPS, "keep the guest's system calls from the host")

enum vcpu_step {
#define VCPU_STEP_ENUM(name, text) STEP_##name,
	VCPU_STEPS(VCPU_STEP_ENUM)
#undef VCPU_STEP_ENUM
		STEP_COUNT
};

/* How long to look at `turn` before sleeping, in TSC cycles: some 100 us. Exits come in bursts, and
 * waking a sleeper on another CPU takes half of that each time, in a virtual machine above all. */
#define TURN_SPIN     250000u
#define TURN_MAX_SKIP 31

/* What one side has learnt about looking; in memory of its own. */
struct turn_patience {
	u32 misses; /* 0, or how many waits in a row went without a look after the last miss */
	u32 skip;   /* of these, how many are still to come */
};

/* The guest's registers while it is in the monitor by way of the gate, in the order that gate.S
 * pushes and pops them, and the gate's stack, whose top they are. */
struct gate_frame {
	u64 di, si, bp, bx, dx, cx, ax;
	u64 rip, cs, rflags, sp, ss; /* for iretq */
};
#define GATE_STACK (64 * 1024)
#define GATE_FPU   (16 * 1024) /* XSAVE with AMX is 11 KiB */
struct gate {
	u8 stack[GATE_STACK];
	struct gate_frame frame;
	u64 noted;   /* the signal that came in the meantime: look again before the guest runs */
	bool reload; /* a descriptor has changed: segment registers may hold what it was */
	u8 fpu[GATE_FPU] __attribute__((aligned(64))); /* for the baton */
};

/* The guest's FPU and vector registers while it stands still. */
struct vcpu_fpu {
	u64 mask;     /* components in `area`; 0: there is no XSAVE, only the legacy ones */
	u64 frame;    /* those of the last signal's frame */
	bool changed; /* by the VMM, since the last exit */
	u8 area[FPU_AREA] __attribute__((aligned(64)));
};

struct vcpu_shared {
	u32 turn;	 /* enum vcpu_turn, a futex */
	u32 runner;	 /* enum vcpu_turn: whose turn it was before the VMM's, and will be again;
			  * while the guest runs, who needs a signal */
	u32 mode;	 /* enum vcpu_mode */
	u32 wake;	 /* a futex the idle vcpu waits on */
	u32 kick;	 /* the VMM wants EXIT_KICKED */
	u32 debug_asked; /* the VMM has filled in `debug`, in its turn */
	struct debug_request debug;

	/* Set by the VMM before the start. */
	u64 ram_size;
	u32 vmm_pid;
	bool abi;
	bool fast_paths;
	bool deterministic, paced, common_cpu;
	u64 stop_at, flip_at; /* struct clock's */
	bool jail;
	u32 spin; /* there is a CPU for each side: look for the turn a while before sleeping */

	/* Set by the first vcpu process before it gives up its first turn. */
	u32 processes; /* vcpu processes, itself included */
	s32 pid[SHADOW_COUNT];
	u32 failed_step; /* enum vcpu_step */
	s32 failed_errno;
	char failed_why[96]; /* or, if it is not empty, this */
	bool dispatch;	     /* Syscall User Dispatch is on */
	bool cpuid_faults;   /* CPUID traps in user code as well */

	/* The vcpu processes' own. */
	bool started;		       /* the first signal has come */
	struct turn_patience patience; /* of whichever of them waits */
	u64 ldt[HOST_SLOT_TLS0];       /* descriptors that all processes should have */
	struct baton baton;
	struct gate gate;
	struct vcpu_fpu fpu;

	/* Set by the VMM before the second turn: begin with this. */
	bool restore;
	struct machine_state state;

	struct hybrid hybrid;
	struct trace_ring trace;
	struct vm vm;
};

/* Is it `turn`'s turn, or, for the VMM, has a doorbell been rung? */
static inline bool turn_is(const struct vcpu_shared *s, enum vcpu_turn turn)
{
	return __atomic_load_n(&s->turn, __ATOMIC_ACQUIRE) == turn ||
	       (turn == TURN_VMM && __atomic_load_n(&s->vm.devices.rung, __ATOMIC_ACQUIRE));
}

/* The same, looking for a while if that can help. Where CPUs are short the other side cannot run
 * while we look: so each miss makes us go to sleep at once more often, and the scheduler prefer us
 * when we wake. */
static inline bool turn_comes(const struct vcpu_shared *s, enum vcpu_turn turn,
			      struct turn_patience *p)
{
	u64 start;

	if (turn_is(s, turn))
		return true;
	if (!s->spin)
		return false;
	if (p->skip) {
		p->skip--;
		return false;
	}
	start = __builtin_ia32_rdtsc();
	while (__builtin_ia32_rdtsc() - start < TURN_SPIN) {
		__builtin_ia32_pause();
		if (turn_is(s, turn)) {
			p->misses = 0;
			return true;
		}
	}
	p->misses = p->misses < TURN_MAX_SKIP ? p->misses * 2 + 1 : TURN_MAX_SKIP;
	p->skip = p->misses;
	return false;
}

#endif
