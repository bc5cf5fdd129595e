/*
 * Tests of what must not harm the host: what its cases share.
 *
 * Owns: the VMM process that they torment, and how they say how it went. Every case runs in a
 * process group of its own; robust.c ends what it leaves, and looks whether the module is unused
 * again.
 */
#ifndef PLEX86_ROBUST_H
#define PLEX86_ROBUST_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>
#include "kmod-guest.h"

struct settings {
	const char *guest;  /* endure.pv.elf: guest/tests/endure.c */
	const char *module; /* plex86.ko, or NULL: the module is not to be unloaded */
	unsigned seconds;   /* how long to do what could be done for ever */
	unsigned limit;	    /* seconds that a case may take */
};
extern struct settings settings;

enum verdict { PASSED, FAILED, SKIPPED };
/* Say why, and give the verdict. */
enum verdict failed(const char *format, ...) __attribute__((format(printf, 1, 2)));
enum verdict skipped(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define REQUIRE(condition)                                                                  \
	do {                                                                                \
		if (!(condition))                                                           \
			return failed("%s:%d: not so: %s", __FILE__, __LINE__, #condition); \
	} while (0)

/* Memory that a case and its processes share, zeroed. */
void *shared_memory(size_t bytes);
void sleep_ms(unsigned ms);
/* Read or write a short file, as those of /proc and /sys. */
bool file_write(const char *path, const char *text);
bool file_read(const char *path, char *text, size_t size);
/* A field of /proc/meminfo, /proc/vmstat or the like; -1: there is none. */
long file_number(const char *path, const char *field);
unsigned cpus(void);
bool bind_to_cpu(pid_t pid, unsigned cpu);
/* How many files of the module are open. */
int module_users(void);
/* Is it unused, or will it be in some seconds? */
bool module_idle(void);

/* ------------------------------------------------------- the guest ---- */

/* What is known of a running guest; shared memory. */
struct watch {
	u32 rounds;	    /* that it has done */
	bool enough;	    /* to be set: it shall end */
	int status;	    /* of its end; -1: it runs */
	u32 host_fpu_wrong; /* times that the VMM found its own registers changed */
	char said[256];	    /* the begin of what it printed */
};

enum { GUEST_BROKEN = 1000 }; /* statuses above the guest's: GUEST_BROKEN + enum vm_fault */

/* Run it until it ends, or `once` until it needs the VMM. The status, -1 with errno if PLEX86_RUN
 * fails, -2 for `once`. */
int guest_run(struct kmod_guest *g, struct watch *w, bool once);
/* The same to its end on a thread of its own, whose argument a struct runner is. */
struct runner {
	struct kmod_guest guest;
	struct watch *watch;
};
void *run_thread(void *runner);
/* It does `rounds` more; false: not within a minute, or it has ended. */
bool guest_goes_on(const struct watch *w, u32 rounds);

/* A process that runs a guest. */
struct vmm {
	pid_t pid;
	struct watch *watch;
};
bool vmm_start(struct vmm *v);
/* Ask the guest to end: has it done so, finding nothing wrong? */
bool vmm_end(struct vmm *v);
void vmm_kill(struct vmm *v);
/* vmm_start() and vmm_goes_on() of `n` in an array. */
bool vmms_start(struct vmm *v, unsigned n);
bool vmms_end(struct vmm *v, unsigned n);

/* ------------------------------------------------------- the cases ---- */

typedef enum verdict case_fn(void);
/* robust-process.c */
case_fn case_run, case_kill, case_stop, case_ptrace, case_fork, case_dup, case_two;
/* robust-memory.c */
case_fn case_memory, case_arguments, case_memlock, case_leak, case_fail;
/* robust-host.c */
case_fn case_unload, case_migrate, case_hotplug, case_nmi;
/* robust-fuzz.c */
case_fn case_cpu, case_fuzz;
/* Interrupt this process by a signal, again and again. */
void start_interrupting(void);
/* robust-user.c */
case_fn case_kinds, case_user, case_user_fuzz;

#endif
