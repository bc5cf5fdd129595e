/*
 * common/segment.c, emulate-seg.c and emulate-far.c against the model: one instruction a case.
 */
#include "operation.h"

enum { DONE, FAULT, TASK, VM86, SKIPPED };

/* What came of it on the core, in the model's terms. */
static enum m_outcome core_outcome(struct contest *c, enum emu emu)
{
	const struct vm *vm = c->vm;

	if (emu == EMU_FAULT)
		return M_FAULT;
	if (emu != EMU_EXIT)
		return M_DONE;
	if (vm->exit.kind == EXIT_FAULT && vm->exit.fault.reason == FAULT_TASK)
		return M_TASK_SWITCH;
	if (vm->exit.kind == EXIT_FAULT && vm->exit.fault.reason == FAULT_MODE)
		return M_VM86;
	differ(c, "core stops: exit %u, reason %u", vm->exit.kind, vm->exit.fault.reason);
	return M_DONE;
}

static void compare_fault(struct contest *c)
{
	const struct m_fault *model = &c->model.fault;
	const struct exception_info *core = &c->vm->exc;

	if (model->vector == core->vector && (model->error == core->error || !core->has_error) &&
	    m_has_error_code(model->vector) == core->has_error &&
	    (model->vector != EXC_PF || model->address == core->address))
		return;
	differ(c, "model faults: %s error %#x address %#x, core: %s error %#x address %#llx",
	       vector_name(model->vector), model->error, model->address, vector_name(core->vector),
	       core->error, (unsigned long long)core->address);
}

static void compare_outcome(struct contest *c, enum m_outcome model, enum m_outcome core)
{
	static const char *const names[] = {"done", "a fault", "a task switch", "vm86"};
	const struct m_fault *f = &c->model.fault;

	if (model == core)
		return;
	if (model == M_FAULT)
		differ(c, "model has %s error %#x address %#x, core %s", vector_name(f->vector),
		       f->error, f->address, names[core]);
	else
		differ(c, "model has %s, core %s (%s error %#x address %#llx)", names[model],
		       names[core], vector_name(c->vm->exc.vector), c->vm->exc.error,
		       (unsigned long long)c->vm->exc.address);
}

static unsigned run(struct contest *c)
{
	const struct trap trap = {.vector = EXC_GP};
	enum m_outcome model, core;
	struct operation o;

	machine_make(c);
	if (chance(&c->dice, 3))
		c->model.r.eflags |= FLAG_NT;
	o = random_operation(c, roll_below(&c->dice, KINDS));
	operation_describe(&o, c->what, sizeof(c->what));
	contest_begin(c);
	model = model_run(&c->model, operation_run, &o);
	if (model == M_OUT_OF_SCOPE)
		return SKIPPED;
	core = core_outcome(c, emulate(c->vm, &trap));
	compare_outcome(c, model, core);
	if (model == M_FAULT)
		compare_fault(c);
	compare_registers(c);
	compare_memory(c, model != M_DONE);
	return model == M_DONE ? DONE : model == M_FAULT ? FAULT : model == M_VM86 ? VM86 : TASK;
}

int main(int argc, char **argv)
{
	static const char *const outcomes[] = {
		[DONE] = "done", [FAULT] = "faulted",	[TASK] = "task switches",
		[VM86] = "vm86", [SKIPPED] = "skipped",
	};
	static const struct suite suite = {"model-segment", run,      MACHINE_RAM,
					   40000,	    outcomes, ARRAY_SIZE(outcomes)};

	return suite_main(&suite, argc, argv);
}
