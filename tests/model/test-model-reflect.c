/*
 * common/reflect.c, and what trap.c makes of an instruction's end, against the model: one event a
 * case, or one instruction with the fault or the single step that follows from it, up to the double
 * fault and the triple.
 */
#include "operation.h"

#include <stdio.h>

enum cause {
	EXTERNAL,
	EXCEPTION,
	INT_N,	    /* trapped as such */
	INT_BEHIND, /* int3 and into, which trap behind themselves */
	INT_80,	    /* a system call of the host's, undone */
	INT_1,
	INSTRUCTION,
	CAUSES
};

struct reflected {
	enum cause cause;
	u8 vector;
	bool has_error;
	u32 error;
	unsigned length; /* of the instruction */
	struct operation op;
};

static void put_code(struct contest *c, u32 at, const u8 *bytes, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		machine_put(c, at + i, bytes[i], 1);
}

static void random_exception(struct contest *c, struct reflected *r)
{
	struct dice *d = &c->dice;

	r->vector = PICK(d, EXC_DE, EXC_DB, EXC_BR, EXC_UD, EXC_NM, EXC_TS, EXC_NP, EXC_SS, EXC_GP,
			 EXC_GP, EXC_PF, EXC_PF, EXC_MF, EXC_AC, EXC_XM);
	r->has_error = m_has_error_code(r->vector);
	r->error = r->has_error ? roll(d) & 0xffff : 0;
}

/* `int n` and its short forms at CS:EIP. */
static void random_int(struct contest *c, struct reflected *r)
{
	struct dice *d = &c->dice;
	u8 bytes[2] = {0xcd, roll_below(d, MIDT_ENTRIES)};

	if (r->cause == INT_BEHIND)
		bytes[1] = PICK(d, EXC_BP, EXC_OF);
	if (r->cause == INT_80 || (r->cause == INT_N && chance(d, 10)))
		bytes[1] = SYSCALL_VECTOR;
	r->vector = bytes[1];
	r->length = 2;
	if (r->cause != INT_80 && chance(d, 50) && (r->vector == EXC_BP || r->vector == EXC_OF)) {
		bytes[0] = r->vector == EXC_BP ? 0xcc : 0xce;
		r->length = 1;
	}
	/* into traps if OF is set. */
	c->model.r.eflags |= FLAG_OF;
	if (r->cause == INT_1) {
		bytes[0] = 0xf1;
		r->vector = EXC_DB;
		r->length = 1;
	}
	put_code(c, AT_MCODE, bytes, 2);
}

static struct reflected random_event(struct contest *c)
{
	struct dice *d = &c->dice;
	struct reflected r = {.cause = roll_below(d, CAUSES)};

	switch (r.cause) {
	case EXTERNAL:
		r.vector = roll_below(d, MIDT_ENTRIES);
		break;
	case EXCEPTION:
		random_exception(c, &r);
		break;
	case INSTRUCTION:
		r.op = random_operation(c, chance(d, 35) ? IRET : roll_below(d, KINDS));
		break;
	default:
		random_int(c, &r);
		break;
	}
	return r;
}

/* --------------------------------------------------------------- model ---- */

static enum m_outcome on_model(struct model *m, const struct reflected *r)
{
	const struct m_event event = {.kind = r->cause == EXTERNAL ? M_EXTERNAL
					      : r->cause == EXCEPTION || r->cause == INT_1
						      ? M_EXCEPTION
						      : M_SOFTWARE,
				      .vector = r->vector,
				      .has_error = r->has_error,
				      .error = r->error,
				      .eip = m->r.eip + r->length};
	const bool loads_ss =
		(r->op.kind == MOV_SEG || r->op.kind == POP_SEG) && r->op.reg == SEG_SS;

	if (r->cause == INSTRUCTION)
		return m_step(m, operation_run, &r->op, loads_ss ? M_LOADS_SS : M_ORDINARY);
	/* An instruction that is a trap finds RF clear: the one before it has cleared it. The fault
	 * by which the core learns of some has set it again. */
	if (r->cause == INT_N || r->cause == INT_1)
		m->r.eflags &= ~FLAG_RF;
	if (r->cause == INT_1)
		m->r.eip = event.eip; /* a trap: faults of its delivery are not the instruction's */
	return m_deliver(m, event);
}

/* ---------------------------------------------------------------- core ---- */

static enum m_outcome stopped(struct contest *c)
{
	const struct vm_exit *exit = &c->vm->exit;

	if (exit->kind == EXIT_FAULT && exit->fault.reason == FAULT_TASK)
		return M_TASK_SWITCH;
	if (exit->kind == EXIT_FAULT && exit->fault.reason == FAULT_MODE)
		return M_VM86;
	if (exit->kind != EXIT_SHUTDOWN)
		differ(c, "core stops: exit %u, reason %u", exit->kind, exit->fault.reason);
	return M_DONE;
}

static enum m_outcome on_core(struct contest *c, const struct reflected *r)
{
	struct vm *vm = c->vm;
	enum core_next next;

	if (r->cause == INT_N && (vm->cpu.rflags & FLAG_VM)) {
		/* Whether it is one, or a #GP by IOPL, has been the CPU's to say. */
		vm->cpu.rflags &= ~(u64)FLAG_RF;
		return reflect_soft(vm, r->vector, r->length) ? M_DONE : stopped(c);
	}
	switch (r->cause) {
	case EXTERNAL:
		return reflect(vm, r->vector, EVENT_EXTERNAL, false, 0) ? M_DONE : stopped(c);
	case EXCEPTION:
		return reflect(vm, r->vector, EVENT_FAULT, r->has_error, r->error) ? M_DONE
										   : stopped(c);
	case INT_BEHIND:
		vm->cpu.rip = (u32)(vm->cpu.rip + r->length);
		next = trap_vector(vm, r->vector, 0);
		break;
	case INT_80:
		vm->cpu.rip = (u32)(vm->cpu.rip + r->length);
		next = core_int80(vm);
		break;
	default:
		next = trap_vector(vm, EXC_GP, 0);
		break;
	}
	return next == CORE_RESUME ? M_DONE : stopped(c);
}

/* ------------------------------------------------------------- compare ---- */

enum { HANDLED, SHUTDOWN, DONE, TASK, VM86, SKIPPED };

static unsigned run(struct contest *c)
{
	static const char *const names[] = {"external", "exception", "int",	   "int behind",
					    "int 80",	"int1",	     "instruction"};
	struct dice *d = &c->dice;
	enum m_outcome model, core;
	struct reflected r;
	int n;

	machine_make(c);
	c->model.r.eflags |= (chance(d, 10) ? FLAG_TF : 0) | (chance(d, 3) ? FLAG_NT : 0) |
			     (chance(d, 30) ? FLAG_RF : 0);
	if ((c->model.r.cpl == 3 || c->vm->levels) && chance(d, 30))
		c->model.r.eflags |= FLAG_AC;
	r = random_event(c);
	if (c->vm->levels && r.cause <= INT_N && chance(d, 20))
		machine_enter_vm86(c);
	n = snprintf(c->what, sizeof(c->what), "%s %#x error %#x ", names[r.cause], r.vector,
		     r.error);
	if (r.cause == INSTRUCTION)
		operation_describe(&r.op, c->what + n, sizeof(c->what) - n);
	contest_begin(c);
	model = on_model(&c->model, &r);
	if (model == M_OUT_OF_SCOPE)
		return SKIPPED;
	core = on_core(c, &r);
	DIFFER_UNLESS_EQUAL(c, "outcome (0: done, 2: task switch, 3: vm86)", model, core);
	if (model == M_TASK_SWITCH)
		return TASK;
	if (model == M_VM86)
		return VM86;
	compare_registers(c);
	compare_memory(c, true);
	if (c->model.r.shutdown)
		return SHUTDOWN;
	return r.cause == INSTRUCTION ? DONE : HANDLED;
}

int main(int argc, char **argv)
{
	static const char *const outcomes[] = {
		[HANDLED] = "handled",
		[SHUTDOWN] = "shut down",
		[DONE] = "instructions done or handled",
		[TASK] = "task switches",
		[VM86] = "vm86",
		[SKIPPED] = "skipped",
	};
	static const struct suite suite = {"model-reflect", run,      MACHINE_RAM,
					   40000,	    outcomes, ARRAY_SIZE(outcomes)};

	return suite_main(&suite, argc, argv);
}
