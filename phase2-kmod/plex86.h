/*
 * The parts of the module.
 *
 * nexus.c and nexus.S switch worlds; tables.c keeps the guest's page tables; host.c gives the core
 * what common/host.h asks for; memory.c pins guest RAM; run.c runs the guest; chardev.c is /dev/plex86.
 */
#ifndef PLEX86_KMOD_H
#define PLEX86_KMOD_H

#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <asm/io.h>
#include <asm/fpu/api.h>
#define vm_fault plex86_fault /* the kernel has a struct of this name */
#include "../common/core.h"
#undef vm_fault
#include "nexus.h"
#include "plex86-ioctl.h"

/* One open /dev/plex86. `lock` guards all but `runner`, `kick`, `due` and vm.irq_lines. */
struct machine {
	struct mutex lock;
	u8 *nexus; /* NX_PAGES contiguous pages */
	u64 *root; /* what CR3 points to while the guest runs */
	struct list_head tables; /* pages of page tables, by page->lru */
	struct fpu_guest fpu;

	struct mm_struct *mm; /* who the pinned pages are accounted to */
	struct page **pages;
	unsigned long page_count;

	struct plex86_run *run;
	bool ready;   /* PLEX86_SET_CPU has been called */
	bool started; /* guest code has run */
	bool exited;  /* vm.exit was given to the VMM, whose answer is awaited */

	spinlock_t runner_lock;
	struct task_struct *runner; /* in PLEX86_RUN */
	wait_queue_head_t wait;	    /* of an idle guest */
	struct hrtimer timer;
	bool kick, due;

	struct vm vm;
};

static inline struct machine *machine_of(struct vm *vm)
{
	return container_of(vm, struct machine, vm);
}

/* nexus.c. 0 or a negative error number. */
int nexus_supported(void);
int nexus_create(struct machine *m);
void nexus_destroy(struct machine *m);
/* Run the guest with vm.cpu once. The vector of its trap, or -1: a host event, which has been dealt
 * with; vm.cpu and hw are updated. NX_ABORTED, NX_FAULTED: nothing has run, and they are not. The guest's FPU state must be in use. */
int nexus_run(struct machine *m, struct trap *trap, u16 hw[SEG_COUNT]);
/* Descriptor `index` of the guest's LDT or GDT; made harmless. */
void nexus_set_descriptor(struct machine *m, bool ldt, unsigned index, u64 descriptor);

/* tables.c: the page tables that `root` points to. */
int tables_create(struct machine *m);
void tables_destroy(struct machine *m);
/* The entry for `va`, or NULL: out of memory, or, if not `create`, no table there. */
u64 *tables_entry(struct machine *m, u64 va, bool create);

/* memory.c */
int memory_set(struct machine *m, const struct plex86_memory *mem);
void memory_release(struct machine *m);

/* host.c */
enum hrtimer_restart host_timer_fired(struct hrtimer *timer);

/* run.c */
int machine_run(struct machine *m);
/* Have the runner look at irq_lines, kick and due. Any context. */
void machine_notify(struct machine *m);

#endif
