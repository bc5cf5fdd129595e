/*
 * plex86 run: from options to an exit status.
 *
 * Owns: the order in which things are set up and taken down again. What cannot work is found out
 * before the guest runs, and the terminal is raw only while it does.
 */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "aftermath.h"
#include "cmd.h"
#include "cmdline.h"
#include "control.h"
#include "event-file.h"
#include "gdb.h"
#include "kit.h"
#include "loader/loader.h"
#include "machine.h"
#include "options.h"
#include "profile.h"
#include "recording.h"
#include "snapshot/about.h"
#include "snapshot/snapshot.h"
#include "stats.h"
#include "test-debug.h"
#include "tsc.h"
#include "verdict.h"

#define PATIENCE_MS 500 /* for output still to be written when the user wants to leave */

/* How long input waits for the guest's init, seconds. A whole distribution may take its time, and
 * what it gets before its login is lost. */
#define BOOT_PATIENCE_S	      3
#define BOOT_PATIENCE_IMAGE_S 300

struct run {
	struct run_options options;
	struct kit kit;
	char **argv;
	struct tsc_sample tsc;
	struct blob kernel, initrd; /* until they are in guest RAM */
	struct stat kernel_file;
	struct image image;
	struct hal hal;
	struct console_target console;
	struct control *control;   /* NULL: none */
	struct event_file *events; /* NULL: none */
	struct gdb_server *gdb;	   /* NULL: none */
	json_t *who;		   /* what the guest is, for those */
	char cmdline[CMDLINE_MAX + 1];
	struct recording recording;
	struct symbols *symbols;
	struct trace_file *trace;
	struct loop loop;
	struct engine *engine;
	struct machine machine;
	struct snapshot *snapshot;    /* that it goes on from; NULL: it begins */
	struct snapshot_config about; /* what a snapshot would say */
	struct hang hang;
	struct profile profile;
	FILE *report; /* --report, NULL: none */
	bool stuck;   /* a thread hangs in a write and needs what it uses until we exit */
	struct error error;
};

static int failed(struct run *r, int status)
{
	fprintf(stderr, "plex86: %s\n", r->error.text);
	return status;
}

/* ---- before the guest exists ---- */

/* Is the console no terminal, so that bytes should pass as they are? */
static bool is_pipe(const struct run *r)
{
	if (r->console.kind == TARGET_STDIO)
		return !isatty(STDIN_FILENO);
	return r->console.kind == TARGET_FILE;
}

/* Does only the output go elsewhere than to the user's terminal? A shell shows that it is talked
 * to; what a command says is data. */
static bool is_captured(const struct run *r)
{
	return r->console.kind == TARGET_STDIO && r->options.command && !is_pipe(r) &&
	       !isatty(STDOUT_FILENO);
}

static u64 run_khz(const struct run *r)
{
	return r->options.deterministic ? CLOCK_TSC_KHZ : tsc_khz(&r->tsc);
}

static bool compose_cmdline(struct run *r)
{
	struct run_options *o = &r->options;
	char devices[CMDLINE_MAX + 1];
	const struct cmdline_config config = {
		.devices = devices,
		.append = o->append,
		.command = o->command,
		.tsc_khz = r->image.kind == IMAGE_MULTIBOOT ? 0 : run_khz(r),
		.verbose = o->verbose,
		.pipe = is_pipe(r) || o->deterministic,
		.captured = is_captured(r),
		.image = o->image != NULL,
		.hvc = hal_find(&r->hal, "virtio-console") != NULL,
	};

	hal_cmdline(&r->hal, devices, sizeof(devices));
	if (r->image.kind != IMAGE_MULTIBOOT)
		return cmdline_linux(&config, r->cmdline, sizeof(r->cmdline), &r->error);
	if (o->command)
		return error_set(&r->error,
				 "command '%s': only Linux guests can run one, and kernel "
				 "'%s' is %s",
				 o->command[0], o->kernel, r->image.name);
	if (strlen(o->append) > CMDLINE_MAX)
		return error_set(&r->error,
				 "command line: %zu bytes, but a guest takes at most %d "
				 "(shorten -a)",
				 strlen(o->append), CMDLINE_MAX);
	strcpy(r->cmdline, o->append);
	return true;
}

/* What every Linux has use for, and none is hurt by. */
static bool add_unasked(struct run *r)
{
	static const char *const kinds[] = {"rng", "balloon", "virtio-console", "agent"};
	/* Whoever names a console shall have that one. */
	const char *not = cmdline_names_console(r->options.append) ? "virtio-console" : "";

	if (r->image.kind == IMAGE_MULTIBOOT || r->options.deterministic)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!strcmp(kinds[i], not ))
			continue;
		if (!hal_add(&r->hal, kinds[i], "", &r->error))
			return false;
		r->hal.device[r->hal.count - 1]->unasked = true;
	}
	return true;
}

/* What the guest knows, in its order; the options have the specs of those that were asked for. */
static bool open_saved_devices(struct run *r)
{
	const struct snapshot_config *c = snapshot_config(r->snapshot);
	const struct device_option *next = r->options.device;

	for (unsigned i = 0; i < c->devices; i++) {
		const struct snapshot_device *d = &c->device[i];

		if (!hal_add(&r->hal, d->option, d->unasked ? d->spec : next++->spec, &r->error))
			return false;
		r->hal.device[i]->unasked = d->unasked;
	}
	return true;
}

static bool open_devices(struct run *r)
{
	const struct run_options *o = &r->options;

	if (r->snapshot)
		return open_saved_devices(r);
	if (!add_unasked(r))
		return false;
	for (unsigned i = 0; i < o->devices; i++)
		if (!hal_add(&r->hal, o->device[i].option, o->device[i].spec, &r->error))
			return false;
	return true;
}

/* Names of what guest/ builds become paths. */
static bool find_guest(struct run *r)
{
	struct run_options *o = &r->options;

	if (!kit_kernel(&r->kit, &o->kernel, &r->error))
		return false;
	return !o->image || kit_image(&r->kit, &o->device[0].spec, &r->error);
}

/* Whoever asked for a name shall have it; else a guest does without rather than not run. */
static bool take_name(struct run *r)
{
	const char *after = r->options.image ? r->options.image : r->options.kernel;

	r->control = control_open(r->options.name, after, &r->error);
	if (r->control || r->options.name)
		return r->control != NULL;
	fprintf(stderr, "plex86: %s: plex86 ps will not show this guest\n", r->error.text);
	return true;
}

static bool read_guest(struct run *r)
{
	const struct run_options *o = &r->options;

	if (!find_guest(r) || !blob_read(&r->kernel, "kernel", o->kernel, &r->error) ||
	    !image_identify(&r->image, &r->kernel, &r->error))
		return false;
	stat(o->kernel, &r->kernel_file);
	return !o->initrd || blob_read(&r->initrd, "initrd", o->initrd, &r->error);
}

/* The guest is in the snapshot; of its kernel there may be the file with the symbols. */
static bool read_saved_guest(struct run *r)
{
	const struct snapshot_config *c = snapshot_config(r->snapshot);
	struct error ignored;

	r->image.kind = c->multiboot ? IMAGE_MULTIBOOT : IMAGE_ELF;
	strcpy(r->image.name, "a snapshot");
	r->image.abi = c->abi;
	strcpy(r->cmdline, "");
	if (strlen(c->cmdline) < sizeof(r->cmdline))
		strcpy(r->cmdline, c->cmdline);
	if (snapshot_kernel_is(c, &r->kernel_file) && (r->options.trace || r->options.profile))
		blob_read(&r->kernel, "kernel", c->kernel, &ignored);
	return true;
}

static bool open_events(struct run *r)
{
	const struct run_options *o = &r->options;

	r->who = json_pack("{s:o, s:i, s:s, s:o, s:I}", "name",
			   r->control ? json_string(control_name(r->control)) : json_null(), "pid",
			   getpid(), "engine", o->engine, "kernel", json_text(o->kernel), "memory",
			   (json_int_t)o->memory);
	if (o->json)
		r->events = event_file_open(o->json, &r->error);
	return !o->json || r->events;
}

static bool begin_recording(struct run *r)
{
	return recording_begin(&r->recording, &r->options, &r->kernel, &r->initrd, r->cmdline,
			       &r->error);
}

static bool read_input_files(struct run *r)
{
	const struct run_options *o = &r->options;

	if (!engine_exists(o->engine))
		return error_set(&r->error,
				 "engine '%s': there is none of this name (see plex86 run --help)",
				 o->engine);
	if (!(r->snapshot ? read_saved_guest(r) : read_guest(r)))
		return false;
	if (!console_target_open(&r->console, o->console, &r->error))
		return false;
	if (!open_devices(r) || (!r->snapshot && !compose_cmdline(r)) || !begin_recording(r) ||
	    !take_name(r) || !open_events(r))
		return false;
	if (o->report && !(r->report = fopen(o->report, "we")))
		return error_set(&r->error, "report file '%s': %s", o->report, strerror(errno));
	if (o->trace || o->profile || o->gdb)
		r->symbols = symbols_read(r->kernel.data, r->kernel.size);
	if (o->profile && !profile_open(&r->profile, o->profile, r->symbols, &r->error))
		return false;
	if (o->gdb && !(r->gdb = gdb_open(o->gdb, r->symbols, &r->error)))
		return false;
	if (o->trace) {
		r->trace = trace_file_open(o->trace, r->symbols, run_khz(r), o->deterministic,
					   &r->error);
		if (!r->trace)
			return false;
	}
	if (o->verbose)
		fprintf(stderr, "plex86: kernel '%s': %s%s\nplex86: command line: %s\n", o->kernel,
			r->image.name, r->image.abi ? "" : ", without the plex86 note", r->cmdline);
	return true;
}

/* ---- the guest ---- */

static bool load_guest(struct run *r)
{
	const struct boot boot = {
		.ram = engine_ram(r->engine),
		.ram_size = r->options.memory,
		.cmdline = r->cmdline,
		.initrd = r->initrd,
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

static void write_results(struct run *r)
{
	char text[STATS_TEXT_SIZE];
	struct stats stats;

	if (!report_crash(r))
		report_undriven(r);
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

/* What a snapshot would say of it. */
static void describe_machine(struct run *r)
{
	struct snapshot_config *c = &r->about;

	snapshot_about(c, &r->options, &r->hal, &r->kernel_file);
	c->abi = r->image.abi;
	c->multiboot = r->image.kind == IMAGE_MULTIBOOT;
	snprintf(c->cmdline, sizeof(c->cmdline), "%s", r->cmdline);
	/* What a recording has had of its file is nowhere but there. */
	if (!r->options.record && !r->options.replay)
		r->machine.about = c;
	r->machine.snapshot_to = r->options.snapshot_to;
}

/* The snapshot cannot be had. */
static int give_up(struct run *r, struct console *console)
{
	console_close(console, 0);
	machine_destroy(&r->machine);
	return failed(r, STATUS_USAGE);
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
	if (machine_init(m, r->engine, r->options.memory, &r->hal, &r->loop, &r->error) &&
	    machine_set_goal(m, r->options.timeout_ns, r->options.expect, &r->error) && watch(r)) {
		m->console = console;
		m->started = r->tsc;
		describe_machine(r);
		if (r->snapshot && !snapshot_restore(r->snapshot, m, &r->error))
			return give_up(r, console);
		if (!r->snapshot && r->image.kind != IMAGE_MULTIBOOT && is_pipe(r))
			input_gate_hold(&m->input,
					r->options.image ? BOOT_PATIENCE_IMAGE_S : BOOT_PATIENCE_S);
		m->trace = r->trace;
		m->deterministic = r->options.deterministic;
		m->recorder = r->recording.recorder;
		if (m->recorder)
			recorder_attach(m->recorder, r->engine, &m->serial, r->options.stop_after);
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
	hal_destroy(&r->hal);
	engine_destroy(r->engine);
}

static int run_with_loop(struct run *r)
{
	const struct console_config console_config = {
		.target = &r->console,
		.room = machine_input_room,
		.receive = machine_input,
		.event = machine_console_event,
		.owner = &r->machine,
		.quote_pipe = r->image.kind != IMAGE_MULTIBOOT,
	};
	const struct engine_config engine_config = {
		.ram_size = r->options.memory,
		.abi = r->image.abi,
		.keep_trace = r->trace != NULL,
		.no_jail = r->options.no_jail,
		.no_fast_paths = r->options.no_fast_paths,
		.deterministic = r->options.deterministic,
		.paced = r->options.record != NULL,
		.stop_at = r->options.stop_after,
		.flip_at = r->options.test_flip,
		.level_irqs = r->hal.count ? hal_irqs() : 0,
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
	if (!read_input_files(r))
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
	hal_destroy(&r->hal);
	snapshot_close(r->snapshot);
	symbols_free(r->symbols);
	blob_free(&r->kernel);
	blob_free(&r->initrd);
	options_free(&r->options);
	kit_free(&r->kit);
	free(r);
	return status;
}
