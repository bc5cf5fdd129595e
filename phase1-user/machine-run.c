/*
 * Running the machine: see machine.h.
 *
 * Owns: what comes of each exit, standing still, and who is asked before a run ends.
 */
#include "machine.h"

#include "pc.h"
#include "record/travel.h"

/* ---- standing still ---- */

/* The run thread is to look. */
static void call_run_thread(struct machine *m)
{
	pthread_cond_signal(&m->moved);
	engine_kick(m->engine);
}

void machine_pause(struct machine *m, unsigned who)
{
	if (!m->paused)
		call_run_thread(m);
	m->paused |= who;
}

void machine_continue(struct machine *m, unsigned who)
{
	m->paused &= ~who;
	pthread_cond_signal(&m->moved);
}

void machine_do(struct machine *m, struct machine_job *job)
{
	struct machine_job **end = &m->jobs;

	while (*end)
		end = &(*end)->next;
	job->next = NULL;
	*end = job;
	call_run_thread(m);
}

static void do_jobs(struct machine *m)
{
	while (m->jobs && !m->end) {
		struct machine_job *job = m->jobs;

		m->jobs = job->next;
		job->run(job);
	}
}

/* The guest stands between two instructions: do what has waited for that, and stay while somebody
 * wants it. */
static void stand_still(struct machine *m)
{
	do_jobs(m);
	if (!m->paused || m->end)
		return;
	events_emit(&m->events, "paused", json_paused(m->paused));
	while (m->paused && !m->end) {
		m->still = true;
		pthread_cond_wait(&m->moved, &m->loop->lock);
		m->still = false;
		do_jobs(m);
	}
	if (!m->end)
		events_emit(&m->events, "continued", NULL);
}

/* Has the debugger taken this exit? Then it has let the guest go again. */
static bool stood_for_debugger(struct machine *m, const struct vm_exit *exit)
{
	if (!m->debugger || !m->debugger->exited(m->debugger, exit))
		return false;
	m->paused |= PAUSE_DEBUGGER;
	stand_still(m);
	return true;
}

/* ---- running ---- */

static void handle_io(struct machine *m, const struct vm_exit *exit)
{
	u64 value = exit->io.value;

	bus_io(&m->bus, exit->io.port, exit->io.size, exit->io.write, &value);
	/* The console's thread gathers bytes; here they would only wait. */
	serial_flush(&m->serial);
	if (!exit->io.write)
		engine_complete(m->engine, value);
	/* Only accesses to the port make room for more input. */
	if ((exit->io.port & ~7) == SERIAL_COM1)
		console_drained(m->console);
}

static void handle_mmio(struct machine *m, const struct vm_exit *exit)
{
	u64 value = exit->mmio.value;

	bus_mmio(&m->bus, exit->mmio.gpa, exit->mmio.size, exit->mmio.write, &value);
	if (!exit->mmio.write)
		engine_complete(m->engine, value);
}

/* The guest is at its end: has a debugger brought it back from there? */
static bool went_back(struct machine *m, const struct vm_exit *exit)
{
	m->travelled = false;
	return stood_for_debugger(m, exit) && m->travelled;
}

/* It has asked for its end; elsewhere only a replay can go on from. */
static void end_as_asked(struct machine *m, const struct vm_exit *exit)
{
	const enum machine_end end = m->ending;

	m->ending = END_NONE;
	if (!m->travel || !went_back(m, exit))
		machine_end_run(m, end, m->ending_value);
}

bool machine_answer(struct machine *m, const struct vm_exit *exit)
{
	switch (exit->kind) {
	case EXIT_IO:
		handle_io(m, exit);
		return true;
	case EXIT_MMIO:
		handle_mmio(m, exit);
		return true;
	}
	return false;
}

static void crash(struct machine *m, const struct vm_exit *exit)
{
	const bool gone = exit->kind == EXIT_FAULT && exit->fault.reason == FAULT_GONE;

	if (!gone && went_back(m, exit))
		return;
	m->exit = *exit;
	/* A guest that is being ended has not crashed. */
	if (!m->end)
		events_emit(&m->events, "crashed", json_crash(exit));
	machine_end_run(m, gone ? END_GONE : END_CRASH, 0);
}

/* At a stop that may have been for its sake. */
static void serve_recorder(struct machine *m, const struct vm_exit *exit)
{
	const enum recorder_stop stop = exit->kind == EXIT_KICKED ? recorder_kicked(m->recorder)
								  : recorder_stopped(m->recorder);

	switch (stop) {
	case RECORDER_GO_ON:
		console_drained(m->console);
		break;
	case RECORDER_MARK:
		travel_note(m->travel);
		break;
	case RECORDER_USER:
	case RECORDER_OVER:
		m->exit = *exit;
		machine_end_run(m, END_EVENTS, 0);
		break;
	case RECORDER_PARTED:
		machine_end_run(m, END_PARTED, 0);
		break;
	case RECORDER_ERROR:
		machine_end_run(m, END_RECORD, recorder_error(m->recorder));
		break;
	}
}

static void debug_stop(struct machine *m, const struct vm_exit *exit)
{
	/* A debugger that has just gone leaves stops behind that mean nothing any more. */
	if (exit->debug.reason != DEBUG_STOP_EVENTS && (m->debugger || m->debugged)) {
		stood_for_debugger(m, exit);
		return;
	}
	if (m->recorder && exit->debug.reason == DEBUG_STOP_EVENTS) {
		serve_recorder(m, exit);
		return;
	}
	m->exit = *exit;
	machine_end_run(m, END_EVENTS, 0);
}

static void handle_exit(struct machine *m, const struct vm_exit *exit)
{
	if (machine_answer(m, exit)) {
		if (m->ending)
			end_as_asked(m, exit);
		return;
	}
	switch (exit->kind) {
	case EXIT_BELL:
		hal_notify(m->hal, engine_take_bells(m->engine));
		return;
	case EXIT_HALTED:
		m->ending = END_HALTED;
		end_as_asked(m, exit);
		return;
	case EXIT_KICKED:
		stand_still(m);
		if (m->recorder && !m->end)
			serve_recorder(m, exit);
		return;
	case EXIT_DEBUG:
		debug_stop(m, exit);
		return;
	default:
		/* EXIT_SHUTDOWN, EXIT_FAULT, or whatever a broken engine says. */
		crash(m, exit);
	}
}

static void write_trace(struct machine *m, const struct vm_exit *exit)
{
	const bool still = exit->kind != EXIT_BELL;
	int error = m->trace ? trace_file_drain(m->trace, m->engine, still) : 0;

	if (error)
		machine_end_run(m, END_TRACE, error);
}

void machine_stats(const struct machine *m, struct stats *s)
{
	struct vm_stats counted;
	struct tsc_sample now;

	engine_get_stats(m->engine, &counted);
	tsc_begin(&now);
	stats_collect(s, &counted, now.ns - m->started.ns, now.tsc, tsc_khz(&m->started));
}

static void show_stats(struct machine *m)
{
	char text[STATS_TEXT_SIZE];
	struct stats stats;

	m->stats_wanted = false;
	machine_stats(m, &stats);
	stats_table(&stats, text, sizeof(text));
	console_message(m->console, text);
}

/* A snapshot wants the guest between two instructions, and the answer to its last access given. */
static void come_to_rest(struct machine *m, const struct vm_exit *last)
{
	struct vm_exit exit;

	if (last->kind != EXIT_IO && last->kind != EXIT_MMIO)
		return;
	engine_kick(m->engine);
	engine_run(m->engine, &exit);
}

void machine_run(struct machine *m)
{
	struct vm_exit exit = {.kind = EXIT_NONE};

	loop_lock(m->loop);
	machine_update_size(m);
	if (m->travel)
		travel_note(m->travel);
	stand_still(m);
	loop_unlock(m->loop);
	/* Behind a doorbell the guest is still running: it has been asked to stop. */
	while (!__atomic_load_n(&m->end, __ATOMIC_ACQUIRE) || exit.kind == EXIT_BELL) {
		engine_run(m->engine, &exit);
		if (exit.kind == EXIT_BELL) /* the guest is not waiting */
			loop_yield(m->loop);
		loop_lock(m->loop);
		handle_exit(m, &exit);
		write_trace(m, &exit);
		if (m->stats_wanted)
			show_stats(m);
		loop_unlock(m->loop);
	}
	if (m->save_end)
		come_to_rest(m, &exit);
	loop_lock(m->loop);
	if (m->pc)
		pc_end(m->pc);
	console_route_booted(&m->route);
	loop_unlock(m->loop);
}

void machine_end_recording(struct machine *m)
{
	const bool natural = m->end == END_HALTED || m->end == END_VALUE || m->end == END_RESET ||
			     m->end == END_CRASH;

	if (!m->recorder || m->end == END_GONE)
		return;
	if (!recorder_end(m->recorder, machine_end_text(m->end), m->value, natural))
		m->end = END_PARTED;
	else if (recorder_error(m->recorder) && m->end != END_RECORD) {
		m->end = END_RECORD;
		m->value = recorder_error(m->recorder);
	}
}
