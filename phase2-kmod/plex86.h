/*
 * The parts of the module.
 *
 * nexus.c and nexus.S switch worlds; tables.c has the guest's page tables; host.c gives the core
 * what common/host.h asks for; memory.c pins guest RAM; run.c runs the guest; user.c runs nothing
 * but its user code; chardev.c is /dev/plex86.
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
#include "../common/pv.h"
#undef vm_fault
#include "nexus.h"
#include "plex86-ioctl.h"

/* The guest's page tables: all that is mapped, and what of it user code may see. */
enum { VIEW_KERNEL, VIEW_USER, VIEWS, VIEW_NONE = ~0u };

struct space {
	u64 *root[VIEWS];
	u64 *directory[VIEWS][4];
	u64 *table[VIEWS][SHADOW_SLOTS]; /* NULL: none yet */
	u64 tls[HOST_TLS_COUNT];
};

/* One open /dev/plex86. `lock` guards all but `runner`, `kick`, `due` and vm.irq_lines. */
struct machine {
	struct mutex lock;
	u64 id;
	u8 *nexus;				    /* NX_PAGES contiguous pages */
	struct space *spaces[SHADOW_COUNT], *space; /* by shadow; NULL: never in force */
	unsigned space_count;
	struct list_head tables; /* pages of page tables, by page->lru */
	struct fpu_guest fpu;

	/* nexus.c's */
	bool away, pcids;
	unsigned view;	 /* the one to run the guest in */
	unsigned loaded; /* 2 * space + view: the tables CR3 points to; or VIEW_NONE */
	u64 stale;	 /* by bits of that kind: what the TLB has of them may be wrong */
	int tlb_cpu;
	u64 host_efer, host_sysenter_cs;
	u32 host_pkru;

	struct mm_struct *mm; /* who the pinned pages are accounted to */
	struct page **pages;  /* NULL: there is no RAM as yet */
	unsigned long page_count;

	struct plex86_run *run;
	struct plex86_user *user; /* in its place, of a machine of that kind */
	bool ready;		  /* PLEX86_SET_CPU has been called */
	bool started;		  /* guest code has run */
	bool core_ran; /* since the guest was entered: it may be at another privilege level */
	bool in_trap;  /* the guest has trapped, and not been entered since */
	bool exited;   /* vm.exit was given to the VMM, whose answer is awaited */
	u64 exit_at;   /* host_tsc() then */

	spinlock_t runner_lock;
	struct task_struct *runner; /* in PLEX86_RUN */
	wait_queue_head_t wait;	    /* of an idle guest */
	struct hrtimer timer;
	bool kick, due;

	struct vm vm; /* last: of its shadows there are as many as the module's parameter says; of
		       * a machine for user code none, and of the rest it uses `cpu`, to pass
		       * registers to nexus.c, pool.active and clock.deterministic */
};

static inline struct machine *machine_of(struct vm *vm)
{
	return container_of(vm, struct machine, vm);
}

/* nexus.c. 0 or a negative error number. */
int nexus_supported(void);
int nexus_create(struct machine *m);
void nexus_destroy(struct machine *m);
/* From here to go_home() interrupts are off and the monitor's tables in force. The guest's FPU
 * state must be in use. */
void go_away(struct machine *m);
void go_home(struct machine *m);
/* Run the guest with vm.cpu once; we are away. The vector of its trap, or -1: a host event, which
 * has been dealt with, or NX_VIEW_CHANGED; vm.cpu and hw are updated. NX_ABORTED, NX_FAULTED:
 * nothing has run, and they are not. After a host event we are home. The core's doings choose
 * `view` anew. */
int nexus_run(struct machine *m, struct trap *trap, u16 hw[SEG_COUNT]);
/* Descriptor `index` of the guest's LDT or GDT; made harmless. */
void nexus_set_descriptor(struct machine *m, bool ldt, unsigned index, u64 descriptor);
/* The tables in force now allow less than they did at `la`, or anywhere. */
#define FORGET_ALL (~0ull)
void nexus_forget(struct machine *m, u64 la);

/* tables.c. NULL: out of memory. */
struct space *tables_create_space(struct machine *m);
void tables_destroy(struct machine *m);
/* The 512 entries for `la` of the space in force. NULL: out of memory, or, if not `create`, none.
 */
u64 *tables_get(struct machine *m, unsigned view, u64 la, bool create);

/* Entries to be given to [la, end), all in one table. */
struct table_change {
	u64 la, end;
	bool map;  /* else only those that are there, which keep their page */
	u64 gpa;   /* if so */
	u64 flags; /* 0: none are to be there */
};
/* For what HOST_READ, HOST_WRITE and HOST_EXEC allow. */
u64 table_flags(unsigned prot);
/* In the space in force. False: out of memory. `*lost`: the page, with bit 0 set, of which
 * something was taken away; FORGET_ALL: several. */
bool tables_change(struct machine *m, unsigned view, const struct table_change *c, u64 *lost);
/* Tell the TLB. */
void tables_lost(struct machine *m, u64 lost);

/* memory.c */
int memory_set(struct machine *m, const struct plex86_memory *mem);
void memory_release(struct machine *m);

/* host.c */
enum hrtimer_restart host_timer_fired(struct hrtimer *timer);

/* run.c */
int machine_run(struct machine *m);
/* Have the runner look at irq_lines, kick and due. Any context. */
void machine_notify(struct machine *m);
/* Is there something that is done on the way back to user mode? */
bool must_return(void);
/* At home: let the host have its turn. False: must_return(). */
bool yield_to_host(void);

/* user.c: PLEX86_USER_MAP and PLEX86_USER_RUN. */
int user_map(struct machine *m);
int user_run(struct machine *m);

#endif
