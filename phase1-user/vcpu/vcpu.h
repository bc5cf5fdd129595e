/*
 * The parts of the vcpu process.
 *
 * main.c sets the process up; signal.c turns signals into traps and back; host.c gives the core
 * what common/host.h asks for; jail.c takes away what is not needed.
 */
#ifndef PLEX86_VCPU_H_PROCESS
#define PLEX86_VCPU_H_PROCESS

#include "../../common/core.h"
#include "shared.h"

/* The process's one piece of global state: signal handlers get no argument. */
extern struct vcpu_shared *shared;

void host_setup(void); /* probe and cache what the host offers; before the jail */
/* Each returns 0 or a negative error number. */
long signal_setup(void); /* alternate stack, handlers */
long timer_setup(void);
long ldt_probe(void);	   /* can LDT entries be set? */
long dispatch_setup(void); /* Syscall User Dispatch; not fatal: the jail traps the same calls */
long jail_setup(void);

/* Write guest state from vm->cpu into the CPU and run it; never returns. */
_Noreturn void signal_enter_guest(void);

/* The monitor's text: system calls from here are its own. */
extern __attribute__((visibility("hidden"))) const char monitor_text_start[], monitor_text_end[];

#endif
