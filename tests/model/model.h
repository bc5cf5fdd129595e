/*
 * An executable specification of 32-bit protected mode, as far as the core implements it.
 *
 * Owns: struct model, a processor with memory, and what all of the specification shares. Written
 * from the SDM's tables and pseudo-code (vol. 2: the instructions' "Operation"; vol. 3: chapters
 * 3-7), for clarity and not for speed. It shares nothing with common/ but the names of registers
 * and flags.
 *
 * An operation that faults never returns: fault() leaves it, and model_run() undoes what it did.
 */
#ifndef PLEX86_MODEL_H
#define PLEX86_MODEL_H

#include <setjmp.h>
#include <stdnoreturn.h>
#include "../../common/vcpu.h"

/* A descriptor, or the hidden part of a segment register, field by field (SDM vol. 3, 3.4.5). */
struct m_segment {
	u16 selector;
	u32 base, limit; /* limit in bytes */
	u8 type, dpl;
	bool s, present, big, granular, null;
};

struct m_table {
	u32 base;
	u16 limit;
};

struct m_registers {
	u32 gpr[8], eip, eflags;
	unsigned cpl;
	struct m_segment seg[SEG_COUNT], ldtr, tr;
	struct m_table gdtr, idtr;
	u32 cr0, cr2, cr3, cr4;
	u64 pdpte[4];
	bool nxe, shutdown;
};

enum m_outcome {
	M_DONE,
	M_FAULT,	/* m->fault says which */
	M_TASK_SWITCH,	/* a task switch would begin here */
	M_VM86,		/* the same for virtual-8086 mode */
	M_OUT_OF_SCOPE, /* touched what a plain machine does not have there (the PV page) */
};

struct m_fault {
	u8 vector;
	u32 error;   /* if it has one */
	u32 address; /* of a page fault */
};

/* A byte written, as long as the operation may still fault. */
struct m_write {
	u32 pa;
	u8 value;
};
#define M_WRITES_MAX 256

struct model {
	struct m_registers r;
	u8 *ram;
	u32 ram_size;
	/* With a CPU that has no privilege levels: there is a page that is out of scope, and AC
	 * does not last in inner levels. */
	bool deprivileged;
	u32 hole;
	struct m_fault fault;
	/* of the operation in progress */
	struct m_write write[M_WRITES_MAX];
	unsigned writes;
	enum m_outcome outcome;
	jmp_buf stop;
};

/* Do `operation`; if it does not come to its end, no register has changed, and of memory only what
 * the processor notes in tables (accessed, dirty). */
typedef void m_operation(struct model *m, const void *arg);
enum m_outcome model_run(struct model *m, m_operation *operation, const void *arg);
noreturn void fault(struct model *m, u8 vector, u32 error);
noreturn void page_fault(struct model *m, u32 la, u32 error);
noreturn void stop(struct model *m, enum m_outcome outcome);

/* ------------------------------------------------------------ paging ---- */

struct m_access {
	bool write, user, fetch;
};
/* The physical address of `la`, or a page fault. Sets A and D. */
u32 m_translate(struct model *m, u32 la, struct m_access access);
/* mov to CR0, CR3 or CR4, with the load of the PDPTEs. */
void m_move_to_cr(struct model *m, unsigned n, u32 value);

/* ------------------------------------------------------------ memory ---- */

/* Linear memory, by the processor for itself (tables, TSS) or for code of the present CPL. */
u64 m_read_system(struct model *m, u32 la, unsigned size);
void m_write_system(struct model *m, u32 la, u64 value, unsigned size);
/* Through a segment: type and limit are checked first, or alone. */
void m_check(struct model *m, enum seg_reg reg, u32 offset, unsigned size);
u32 m_read(struct model *m, enum seg_reg reg, u32 offset, unsigned size);
bool m_within(const struct m_segment *seg, u32 offset, unsigned size);

/* A stack: the present one, or one to be switched to. */
struct m_stack {
	struct m_segment ss;
	u32 esp;
	unsigned cpl;
};
struct m_stack m_present_stack(const struct model *m);
/* Are the `n` items of `size` bytes above (below) ESP within its limits? */
bool m_stack_holds(const struct m_stack *s, u32 depth, unsigned n, unsigned size);
bool m_stack_has_room(const struct m_stack *s, unsigned n, unsigned size);
u32 m_stack_read(struct model *m, const struct m_stack *s, u32 depth, unsigned size);
void m_push(struct model *m, struct m_stack *s, u32 value, unsigned size);
/* ESP or SP += delta. */
void m_stack_move(struct m_stack *s, u32 delta);

/* ------------------------------------------------------ segmentation ---- */

#define M_ERROR(selector) ((u32)(selector)&0xfffcu)

static inline bool m_is_null(u16 selector)
{
	return (selector & 0xfffcu) == 0;
}
struct m_segment m_unpack(u64 descriptor, u16 selector);
bool m_is_code(const struct m_segment *d);
bool m_is_conforming(const struct m_segment *d);
bool m_is_writable_data(const struct m_segment *d);
/* The descriptor of a selector that is not null; outside its table: `vector`(selector + ext). */
u64 m_read_descriptor(struct model *m, u16 selector, u8 vector, u32 ext);
/* "Accessed" is set in memory when a descriptor is loaded. */
void m_set_accessed(struct model *m, const struct m_segment *d);

void m_load_segment(struct model *m, enum seg_reg reg, u16 selector);
void m_lldt(struct model *m, u16 selector);
void m_ltr(struct model *m, u16 selector);
/* SS:ESP of a level from the TSS, with all checks. */
struct m_stack m_stack_of_level(struct model *m, unsigned level, u32 ext);

/* Far transfers. `next`: the address behind the instruction. */
void m_far_jump(struct model *m, u16 selector, u32 offset);
void m_far_call(struct model *m, u16 selector, u32 offset, unsigned size, u32 next);
void m_far_return(struct model *m, unsigned size, u32 release);
void m_iret(struct model *m, unsigned size);
/* What iret and far return have in common. */
struct m_segment m_return_code_segment(struct model *m, u16 selector);
struct m_segment m_return_stack_segment(struct model *m, u16 selector, unsigned level);
void m_drop_inner_segments(struct model *m);

/* -------------------------------------------- exceptions, interrupts ---- */

enum m_event_kind {
	M_EXTERNAL,
	M_EXCEPTION, /* int1 as well */
	M_SOFTWARE   /* int n, int3, into */
};
struct m_event {
	enum m_event_kind kind;
	u8 vector;
	bool has_error;
	u32 error;
	u32 eip; /* to be saved */
};
/* Deliver it, and the exceptions that this causes, up to shutdown. */
enum m_outcome m_deliver(struct model *m, struct m_event event);
bool m_has_error_code(u8 vector);

/* An instruction with all that follows: its fault, or the single-step trap behind it. */
enum m_step_kind { M_ORDINARY, M_LOADS_SS };
enum m_outcome m_step(struct model *m, m_operation *operation, const void *arg,
		      enum m_step_kind kind);

#endif
