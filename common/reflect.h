/*
 * Delivery of exceptions and interrupts to the guest through its own IDT.
 *
 * Owns: SDM vol. 3 chapter 6 but for task gates: checks, stack switch, error codes, double and
 * triple fault; and what real mode and vm86 do in its place.
 */
#ifndef PLEX86_REFLECT_H
#define PLEX86_REFLECT_H

#include "vm.h"

enum event_kind {
	EVENT_EXTERNAL, /* from the interrupt controller */
	EVENT_FAULT,	/* a processor exception */
	EVENT_SOFT,	/* int n, int3, into: the gate's DPL counts */
};

/* Deliver `vector`; vm->cpu.rip is the address to be saved. False: vm->exit is set (task gate or
 * host refusal). A triple fault sets vm->cpu.shutdown and returns true. */
bool reflect(struct vm *vm, u8 vector, enum event_kind kind, bool has_error, u32 error);
/* The same for int n, int3, into: rip is the instruction's, which is `length` bytes long. */
bool reflect_soft(struct vm *vm, u8 vector, unsigned length);
/* Deliver the exception in vm->exc. */
bool reflect_exception(struct vm *vm);

/* Replace the low bytes of the stack pointer that the stack segment's B bit selects. */
void stack_set(struct vm *vm, u32 sp);
struct stack {
	struct segment ss;
	u32 sp;
	bool user; /* rights of the accesses */
};
/* Is there room for `n` dwords or words (`size` 4 or 2)? If not, #SS(fault_error) is raised. */
bool stack_has_room(struct vm *vm, const struct stack *stack, unsigned n, unsigned size,
		    u32 fault_error);
/* Could they be written as far as paging goes? If not, the page fault is raised. */
bool stack_probe(struct vm *vm, const struct stack *stack, unsigned n, unsigned size);
/* Write them (at most 35) where there is room, the last one at the lowest address, below SS:ESP of
 * the given stack, which is moved. */
bool stack_push(struct vm *vm, struct stack *stack, const u32 *values, unsigned n, unsigned size);
/* SS:ESP for privilege level `cpl` from the TSS, checked; `ext` is the EXT bit of error codes. */
bool stack_from_tss(struct vm *vm, unsigned cpl, u32 ext, struct stack *stack);

#endif
