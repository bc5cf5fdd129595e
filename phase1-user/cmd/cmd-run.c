/*
 * plex86 run: from options to an exit status.
 *
 * Owns: the order in which things are set up and taken down again. What cannot work is found out
 * before the guest runs, and the terminal is raw only while it does.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "aftermath.h"
#include "cmd.h"
#include "run.h"
#include "../snapshot/about.h"
#include "../watch/stats.h"
#include "test-debug.h"
#include "verdict.h"

#define PATIENCE_MS 500 /* for output still to be written when the user wants to leave */

/* How long input waits for the guest's init, seconds. A whole distribution may take its time, and
 * what it gets before its login is lost. */
#define BOOT_PATIENCE_S	      3
#define BOOT_PATIENCE_STOCK_S 60 /* emulated, and not built to start quickly */
#define BOOT_PATIENCE_IMAGE_S 300

static int failed(struct run *r, int status)
{
	fprintf(stderr, "plex86: %s\n", r->error.text);
	return status;
}

static bool load_guest(struct run *r)
{
	struct boot_device device[HAL_DEVICES_MAX];
	const struct boot boot = {
		.ram = engine_ram(r->engine),
		.ram_size = r->options.memory,
		.cmdline = r->cmdline,
		.initrd = r->initrd,
		.device = device,
		.devices = hal_boot_devices(&r->hal, device),
	};
	struct vm *state = calloc(1, sizeof(*state));
	bool ok;

	if (!state)
		return error_set(&r->error, "machine: out of memory");
	if (r->options.verbose)
		fprintf(stderr, "plex86: guest address spaces kept at a time: %u\n",
			engine_spaces(r->engine));
	engine_get_state(r->engine, state);
	ok = image_load(&r->image, &boot, &state->cpu, &r->error);
	if (ok)
		engine_set_cpu(r->engine, &state->cpu);
	free(state);
	return ok;
}

/* A guest may run for long: the files, as large as all the rest of us, are not kept for the case
 * that a crash wants symbols. */
static void drop_files(struct run *r)
{
	blob_free(&r->kernel);
	blob_free(&r->initrd);
	r->image.file = (struct blob){0};
}

/* Was there something to report? */
static bool report_crash(struct run *r)
{
	const struct aftermath aftermath = {
		.machine = &r->machine,
		.ram_size = r->options.memory,
		.khz = run_khz(r),
		.kernel = r->options.kernel,
		.kernel_file = &r->kernel_file,
		.symbols = r->symbols,
		.hang = &r->hang,
		.argv = r->argv,
		.file = r->report,
	};

	return aftermath_report(&aftermath);
}

/* A device without a driver is the commonest mistake in a guest's configuration. */
static void report_undriven(const struct run *r)
{
	char text[160];

	for (unsigned i = 0; i < r->hal.count; i++)
		if (hal_undriven(&r->hal, i, text, sizeof(text)))
			fprintf(stderr, "plex86: %s\n", text);
}

/* The guest whose end has been reported, for a debugger to look at later. */
static void save_crash(struct run *r)
{
	const char *path = r->options.crash_snapshot;
	struct snapshot_result result;
	bool ok;

	loop_lock(&r->loop);
	ok = machine_snapshot(&r->machine, path, &result, &r->error);
	loop_unlock(&r->loop);
	if (ok)
		fprintf(stderr, "plex86: snapshot '%s': %.1f MB (plex86 resume --gdb-wait %s)\n",
			path, result.bytes / 1e6, path);
	else
		fprintf(stderr, "plex86: %s\n", r->error.text);
}

static void write_results(struct run *r)
{
	char text[STATS_TEXT_SIZE];
	struct stats stats;

	if (!report_crash(r))
		report_undriven(r);
	else if (r->options.crash_snapshot)
		save_crash(r);
	if (!r->options.stats)
		return;
	machine_stats(&r->machine, &stats);
	stats_table(&stats, text, sizeof(text));
	fputs(text, stderr);
}

/* A reader that has gone knows enough. */
static int close_events(struct run *r, int status, int error)
{
	if (!error || error == EPIPE)
		return status;
	error_set(&r->error, "events '%s': writing them: %s", r->options.json,
		  error == ENOBUFS ? "the reader takes too little" : strerror(error));
	return failed(r, STATUS_SELF);
}

static void emit(struct run *r, const char *name, json_t *data)
{
	loop_lock(&r->loop);
	events_emit(&r->machine.events, name, data);
	loop_unlock(&r->loop);
}

static int close_trace(struct run *r, int status)
{
	int error = r->trace ? trace_file_close(r->trace) : 0;

	r->trace = NULL;
	if (!error || r->machine.end == END_TRACE)
		return status;
	error_set(&r->error, "trace file '%s': writing it: %s", r->options.trace, strerror(error));
	return failed(r, STATUS_SELF);
}

static int write_profile(struct run *r, int status)
{
	int error = r->profile.file ? profile_write(&r->profile) : 0;

	if (!error)
		return status;
	error_set(&r->error, "profile '%s': writing it: %s", r->profile.path, strerror(error));
	return failed(r, STATUS_SELF);
}

/* The machine and its console are there: run it. */
static int run_machine(struct run *r)
{
	struct machine *m = &r->machine;
	bool impatient;
	int status, events_error;

	if (r->console.kind == TARGET_PTY)
		fprintf(stderr, "plex86: console: %s\n", r->console.name);
	if ((r->control && !control_start(r->control, m, r->who, &r->error)) ||
	    (r->gdb && !gdb_start(r->gdb, m, r->options.gdb_wait, &r->error)) ||
	    !loop_start(&r->loop, &r->error) || !console_start(m->console, &r->error)) {
		console_close(m->console, 0);
		return failed(r, STATUS_SELF);
	}
	if (r->events)
		event_file_start(r->events, &r->loop, &m->events);
	emit(r, "started", json_copy(r->who));
	machine_run(m);
	machine_end_recording(m);
	status = verdict_status(m, &r->options);
	emit(r, "ended", json_ended(m, status));
	events_error = r->events ? event_file_finish(r->events, PATIENCE_MS) : 0;
	if (r->control)
		control_end(r->control);
	if (r->gdb)
		gdb_end(r->gdb, status);
	impatient = m->end == END_QUIT || m->end == END_SIGNAL || m->end == END_OUTPUT ||
		    m->end == END_LATE;
	r->stuck = !console_close(m->console, impatient ? PATIENCE_MS : -1);
	/* What was written last is lost like the rest, though the guest has ended meanwhile. */
	if ((m->end == END_VALUE || m->end == END_HALTED) && m->output_error &&
	    m->output_error != EPIPE) {
		m->end = END_OUTPUT;
		m->value = m->output_error;
		status = verdict_status(m, &r->options);
	}
	if (r->console.kind == TARGET_STDIO)
		pc_leave_terminal(&r->pc);
	write_results(r);
	if (verdict_explain(m, &r->options, &r->error))
		failed(r, status);
	return close_events(r, write_profile(r, close_trace(r, status)), events_error);
}

/* What looks at the guest while it runs. */
static bool watch(struct run *r)
{
	r->hang.limit_ns = r->options.hang_ns;
	if (r->options.hang_ns && !hang_start(&r->hang, &r->machine, &r->error))
		return false;
	return !r->options.profile || profile_start(&r->profile, &r->machine, &r->error);
}

/* Why there are no snapshots of this run; NULL: there are. */
static const char *cannot_be_saved(const struct run *r)
{
	if (r->pc.wanted)
		return "a PC (--machine pc) cannot be saved";
	/* What a recording has had of its file is nowhere but there. */
	if (r->options.record || r->options.replay)
		return "a run that is recorded or replayed cannot be saved";
	return NULL;
}

/* What a snapshot would say of it. */
static void describe_machine(struct run *r)
{
	struct snapshot_config *c = &r->about;

	snapshot_about(c, &r->options, &r->hal, &r->kernel_file);
	c->abi = r->image.abi;
	c->multiboot = r->image.kind == IMAGE_MULTIBOOT;
	snprintf(c->cmdline, sizeof(c->cmdline), "%s", r->cmdline);
	r->machine.unsaved = cannot_be_saved(r);
	if (!r->machine.unsaved)
		r->machine.about = c;
	r->machine.snapshot_to = r->options.snapshot_to;
	r->machine.save_end = r->options.crash_snapshot != NULL;
}

/* The snapshot cannot be had. */
static int give_up(struct run *r, struct console *console)
{
	console_close(console, 0);
	machine_destroy(&r->machine);
	return failed(r, STATUS_USAGE);
}

static unsigned boot_patience(const struct run *r)
{
	if (r->options.image)
		return BOOT_PATIENCE_IMAGE_S;
	return r->image.abi ? BOOT_PATIENCE_S : BOOT_PATIENCE_STOCK_S;
}

/* A debugger that comes first finds the guest as it was saved. */
static bool take_up_saved(struct run *r)
{
	if (!snapshot_restore(r->snapshot, &r->machine, &r->error))
		return false;
	return !r->options.gdb_wait || engine_take_up(r->engine) ||
	       error_set(&r->error, "snapshot '%s': the engine does not start with it",
			 r->options.snapshot);
}

static void attach_recorder(struct run *r)
{
	struct hal_device *card = hal_find(&r->hal, "net");
	struct machine *m = &r->machine;

	recorder_attach(m->recorder, r->engine, &m->serial, r->options.stop_after);
	if (card)
		recorder_attach_card(m->recorder, card);
}

static int run_engine(struct run *r, struct console *console)
{
	struct machine *m = &r->machine;
	int status;

	if (!r->snapshot && !load_guest(r)) {
		console_close(console, 0);
		return failed(r, STATUS_USAGE);
	}
	drop_files(r);
	if (machine_init(m, r->engine, r->options.memory, r->options.deterministic, &r->hal, &r->pc,
			 &r->loop, &r->error) &&
	    machine_set_goal(m, r->options.timeout_ns, r->options.expect, &r->error) && watch(r)) {
		m->console = console;
		m->started = r->tsc;
		describe_machine(r);
		if (r->snapshot && !take_up_saved(r))
			return give_up(r, console);
		if (!r->snapshot && image_is_linux(&r->image) && !r->pc.wanted && run_is_pipe(r))
			input_gate_hold(&m->input, boot_patience(r));
		m->trace = r->trace;
		m->recorder = r->recording.recorder;
		if (m->recorder)
			attach_recorder(r);
		m->travel = r->travel;
		m->debugged = r->options.test_debug != NULL;
		if (m->debugged)
			test_debug(r->engine, r->options.test_debug);
		status = run_machine(r);
	} else {
		console_close(console, 0);
		status = failed(r, STATUS_SELF);
	}
	if (!r->stuck) {
		hang_stop(&r->hang);
		profile_stop(&r->profile);
		machine_destroy(m);
	}
	return status;
}

/* Devices may still be at work in guest RAM: that comes to an end before the RAM does. */
static void end_devices(struct run *r)
{
	loop_stop(&r->loop);
	pc_destroy(&r->pc);
	hal_destroy(&r->hal);
	/* Who went back in a replay has another one. */
	engine_destroy(r->machine.engine ? r->machine.engine : r->engine);
	travel_destroy(r->travel);
}

/* A debugger of a replay can go back. */
static bool plan_travel(struct run *r, const struct engine_config *config)
{
	/* Devices belong to the engine they were made for. */
	if (!r->options.replay || !r->gdb || r->hal.count)
		return true;
	r->travel = travel_create(&r->machine, r->options.engine, config, &r->about, &r->error);
	return r->travel != NULL;
}

static int run_with_loop(struct run *r)
{
	const struct console_config console_config = {
		.target = &r->console,
		.room = machine_input_room,
		.receive = machine_input,
		.event = machine_console_event,
		.owner = &r->machine,
		.quote_pipe = image_is_linux(&r->image) && !r->pc.wanted,
	};
	const struct engine_config engine_config = {
		.ram_size = r->options.memory,
		.abi = r->image.abi,
		.keep_trace = r->trace != NULL,
		.no_jail = r->options.no_jail,
		.no_fast_paths = r->options.no_fast_paths,
		.deterministic = r->options.deterministic,
		.paced = r->options.record != NULL,
		.common_cpu = r->options.common_cpu,
		.stop_at = r->options.stop_after,
		.flip_at = r->options.test_flip,
		.level_irqs = r->pc.wanted   ? PC_LEVEL_IRQS
			      : r->hal.count ? hal_irqs()
					     : 0,
	};
	struct console *console = console_open(&r->loop, &console_config, &r->error);
	int status;

	if (!console)
		return failed(r, STATUS_SELF);
	r->engine = engine_create(r->options.engine, &engine_config, r->error.text,
				  sizeof(r->error.text));
	if (!r->engine) {
		console_close(console, 0);
		return failed(r, STATUS_HOST);
	}
	if (!plan_travel(r, &engine_config)) {
		console_close(console, 0);
		engine_destroy(r->engine);
		return failed(r, STATUS_SELF);
	}
	status = run_engine(r, console);
	/* A stuck thread may hold the lock that devices need to finish; all of it ends with us. */
	if (!r->stuck)
		end_devices(r);
	return status;
}

static int run_guest(struct run *r)
{
	int status;

	machine_block_signals();
	if (!loop_init(&r->loop, &r->error))
		return failed(r, STATUS_SELF);
	status = run_with_loop(r);
	if (!r->stuck)
		loop_destroy(&r->loop);
	return status;
}

static int run(struct run *r)
{
	tsc_begin(&r->tsc);
	if (!run_prepare(r))
		return failed(r, STATUS_USAGE);
	return run_guest(r);
}

int cmd_run(int argc, char **argv, char **all_argv)
{
	struct run_options options;
	struct error e;

	if (!options_parse_run(&options, argc, argv, &e)) {
		fprintf(stderr, "plex86: %s\n", e.text);
		options_free(&options);
		return STATUS_USAGE;
	}
	if (!options.help)
		return run_options_run(&options, NULL, all_argv);
	fputs(run_help, stdout);
	options_free(&options);
	return STATUS_OK;
}

int run_options_run(struct run_options *o, struct snapshot *snapshot, char **all_argv)
{
	struct run *r = calloc(1, sizeof(*r));
	int status;

	if (!r) {
		fprintf(stderr, "plex86: run: out of memory\n");
		return STATUS_SELF;
	}
	r->argv = all_argv;
	r->options = *o;
	r->snapshot = snapshot;
	status = run(r);
	/* A stuck thread uses the loop and the machine in here until the process ends. */
	if (r->stuck) {
		if (r->control)
			control_abandon(r->control);
		if (r->gdb)
			gdb_abandon(r->gdb);
		return status;
	}
	if (r->control)
		control_close(r->control);
	if (r->gdb)
		gdb_close(r->gdb);
	if (r->events)
		event_file_close(r->events);
	json_decref(r->who);
	if (r->trace)
		trace_file_close(r->trace);
	if (r->report)
		fclose(r->report);
	profile_close(&r->profile);
	console_target_close(&r->console);
	recording_end(&r->recording);
	pc_destroy(&r->pc);
	hal_destroy(&r->hal);
	snapshot_close(r->snapshot);
	symbols_free(r->symbols);
	blob_free(&r->kernel);
	blob_free(&r->initrd);
	blob_free(&r->video);
	options_free(&r->options);
	kit_free(&r->kit);
	free(r);
	return status;
}
