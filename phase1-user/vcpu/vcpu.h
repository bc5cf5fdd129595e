/*
 * The parts of the vcpu process.
 *
 * main.c sets the processes up; signal.c turns signals into traps and back, handover.c
 * waits for the VMM; gate.c and gate.S let
 * the guest's kernel in without a signal; host.c and pool.c give the core what common/host.h asks
 * for, host-time.c the time; fpu.c shows the VMM the FPU's registers; baton.c changes from one
 * process to another; jail.c takes away what is not needed.
 */
#ifndef PLEX86_VCPU_H_PROCESS
#define PLEX86_VCPU_H_PROCESS

#include "../../common/native.h"
#include "handover.h"
#include "timer.h"
#include <linux/signal.h>
#include <asm/sigcontext.h>

#define HOST_CS64 0x33

void host_setup(void); /* probe and cache what the host offers; before the jail */
/* Each returns 0 or a negative error number. */
long signal_setup(void);   /* alternate stack, handlers */
long ldt_probe(void);	   /* can LDT entries be set? */
long dispatch_setup(void); /* Syscall User Dispatch; not fatal: the jail traps the same calls */
long jail_setup(void);

/* The hybrid engine's: the same, until it is at user code that can run natively; the emulator runs
 * what is before that (native.c). */
void run_until_native(enum core_next next);
/* Before the guest's first run; and that. */
void native_setup(struct vm *vm);
void native_start(struct vm *vm);

/* Let the guest in through the gate, if this host can. */
void gate_setup(void);
/* A signal found the process at `sc`: true if that was the monitor's side of the gate, and the
 * signal is taken note of. */
bool gate_interrupted(const siginfo_t *info, struct sigcontext *sc);

/* Which registers there are. */
void fpu_setup(void);

/* Fork the processes for the shadows that the first one does not serve, as many as the host lets us
 * have. Each prepares itself by prepare() and sleeps until it is needed; one that cannot (false)
 * sleeps for good. */
void pool_create(bool (*prepare)(void));
/* Before the first guest instruction: tell the core how many there are. */
void pool_open(void);
/* This process has just been passed the baton: bring its segments and timer in line. */
enum host_error host_arrive(struct vm *vm);
#define NATIVE_LDT 512 /* entries that a process's LDT may have */
/* If the guest has or had an LDT: empty those entries of this process's that native_keeps() does
 * not want, so that a load of them is a trap. */
enum host_error host_hide_segments(struct vm *vm);

/* Write guest state from vm->cpu into the CPU and run it; never returns. */
_Noreturn void signal_enter_guest(void);

/* The monitor's text: system calls from here are its own. */
extern __attribute__((visibility("hidden"))) const char monitor_text_start[], monitor_text_end[];
static inline bool in_monitor_text(u64 rip)
{
	return rip >= (u64)monitor_text_start && rip < (u64)monitor_text_end;
}

/* The segment registers that a signal frame does not hold, as the hardware has them now. */
void save_selectors(u16 hw[SEG_COUNT]);
void load_selectors(const u16 hw[SEG_COUNT]);

#endif
