/*
 * plex86 run, before the guest exists: see run.h.
 *
 * Owns: what is opened and read, in which order; what cannot work is found out here.
 */
#include "run.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "cmdline.h"
#include "../snapshot/about.h"

#define FIRMWARE       "/usr/share/seabios/bios.bin"
#define VIDEO_FIRMWARE "/usr/share/seabios/vgabios-isavga.bin"

bool run_is_pipe(const struct run *r)
{
	if (r->console.kind == TARGET_STDIO)
		return !isatty(STDIN_FILENO);
	return r->console.kind == TARGET_FILE;
}

/* Does only the output go elsewhere than to the user's terminal? A shell shows that it is talked
 * to; what a command says is data. */
static bool is_captured(const struct run *r)
{
	return r->console.kind == TARGET_STDIO && r->options.command && !run_is_pipe(r) &&
	       !isatty(STDOUT_FILENO);
}

u64 run_khz(const struct run *r)
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
		.tsc_khz = image_is_linux(&r->image) ? run_khz(r) : 0,
		.verbose = o->verbose,
		.pipe = run_is_pipe(r) || o->deterministic,
		.captured = is_captured(r),
		.image = o->image != NULL,
		.hvc = hal_find(&r->hal, "virtio-console") != NULL,
		.stock = !r->image.abi,
	};

	hal_cmdline(&r->hal, devices, sizeof(devices));
	if (image_is_linux(&r->image))
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

	if (!image_is_linux(&r->image) || r->options.pc || r->options.deterministic)
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

/* Lines as on a PC's screen, if the console is a terminal. */
static bool is_terminal(const struct run *r)
{
	return r->console.kind == TARGET_PTY ||
	       (r->console.kind == TARGET_STDIO && isatty(STDOUT_FILENO));
}

static bool open_pc(struct run *r)
{
	const struct run_options *o = &r->options;
	struct pc *pc = &r->pc;

	pc->wanted = true;
	pc->firmware = r->image.kind == IMAGE_FIRMWARE;
	pc->serial = o->pc_serial;
	pc->terminal = is_terminal(r);
	pc->verbose = o->verbose;
	pc->video = r->video.data;
	pc->video_size = r->video.size;
	for (unsigned i = 0; i < o->devices; i++)
		if (!pc_add_disk(pc, o->device[i].spec, &r->error))
			return false;
	return true;
}

static bool open_devices(struct run *r)
{
	const struct run_options *o = &r->options;

	if (r->snapshot)
		return open_saved_devices(r);
	if (o->pc)
		return open_pc(r);
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

	if (!kit_kernel(&r->kit, &o->kernel, &o->initrd, &r->error))
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

/* Firmware of Debian's, from where it is installed. */
static bool read_firmware_file(struct run *r, struct blob *blob, const char *path)
{
	if (!access(path, R_OK))
		return blob_read(blob, "firmware", path, &r->error);
	return error_set(
		&r->error,
		"firmware '%s': %s (it is in the package seabios: apt-get install seabios; "
		"--bios FILE names another one)",
		path, strerror(errno));
}

static bool read_firmware(struct run *r)
{
	struct run_options *o = &r->options;

	o->kernel = o->bios ? o->bios : FIRMWARE;
	if (!read_firmware_file(r, &r->kernel, o->kernel) ||
	    !image_is_firmware(&r->image, &r->kernel, &r->error))
		return false;
	stat(o->kernel, &r->kernel_file);
	return read_firmware_file(r, &r->video, VIDEO_FIRMWARE);
}

static bool read_guest(struct run *r)
{
	const struct run_options *o = &r->options;

	if (!o->kernel)
		return read_firmware(r);
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
	if (snapshot_kernel_is(c, &r->kernel_file) &&
	    (r->options.trace || r->options.profile || r->options.gdb))
		blob_read(&r->kernel, "kernel", c->kernel, &ignored);
	return true;
}

/* A Linux that was not built for plex86 needs an engine that emulates it. */
static bool choose_engine(struct run *r)
{
	struct run_options *o = &r->options;
	const char *kernel = o->kernel ? o->kernel : "";

	if (r->image.abi || r->image.kind == IMAGE_MULTIBOOT)
		return true;
	if (!o->engine_given) {
		o->engine = o->kmod ? ENGINE_HYBRID_KMOD : ENGINE_HYBRID;
		fprintf(stderr,
			"plex86: kernel '%s' was not built for plex86: it is emulated, its "
			"programs run natively (--engine %s)\n",
			kernel, o->engine);
	}
	if (!engine_needs_note(o->engine))
		return true;
	return error_set(&r->error,
			 "kernel '%s': %s without the plex86 note, so it cannot run in engine '%s' "
			 "(take --engine hybrid, or build one that can with guest/build-kernel)",
			 kernel, r->image.name, o->engine);
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

bool run_prepare(struct run *r)
{
	const struct run_options *o = &r->options;

	if (!engine_exists(o->engine))
		return error_set(&r->error,
				 "engine '%s': there is none of this name (see plex86 run --help)",
				 o->engine);
	if (!(r->snapshot ? read_saved_guest(r) : read_guest(r)) || !choose_engine(r))
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
