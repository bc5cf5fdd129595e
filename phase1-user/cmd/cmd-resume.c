/*
 * plex86 resume: go on with a guest that was saved.
 *
 * Owns: making of a snapshot's config and the command line the options of a run. All else is that
 * of plex86 run.
 */
#include <stdio.h>
#include <string.h>
#include "cmd.h"
#include "options.h"
#include "../snapshot/snapshot.h"

const char resume_help[] =
	"usage: plex86 resume [OPTION...] FILE\n"
	"\n"
	"Go on with the guest that plex86 snapshot, or plex86 run --snapshot-to, has put into FILE: with\n"
	"its memory, programs, devices and screen as they were, on either engine. The console is\n"
	"connected as by plex86 run. FILE stays what it is and can be resumed again.\n"
	"\n"
	"The guest's disks must hold what they did: one that the guest may write must not have been\n"
	"written since. Its network cards are new: connections through -n user are lost, addresses\n"
	"stay. It finds that the time in between has passed.\n"
	"\n"
	"A guest goes on where the CPU has what it found on the first one, and the same vector\n"
	"registers; and on a host whose time-stamp counter has not been set back since (by a reboot).\n"
	"A --deterministic guest has a time of its own.\n"
	"\n"
	"Options, as those of plex86 run:\n"
	"      --kmod, --engine NAME    the engine to go on with; default: user\n"
	"      --console WHERE, --name NAME, --timeout SECONDS, --expect REGEX, --stats, --trace FILE,\n"
	"      --snapshot-to FILE, --snapshot-on-crash FILE, --no-jail, -v, -h\n"
	"      --gdb[=WHERE]            serve a debugger\n"
	"      --gdb-wait               the same, and the guest stands still, just as it was saved, until\n"
	"                               the debugger lets it go: for one that has been saved at its end\n"
	"  -d, --disk DISK              in place of the first (second, ...) disk: the same bytes under\n"
	"                               another name\n"
	"  -n, --net NETWORK            in place of the first (second, ...) network card\n"
	"\n"
	"Exit status: that of plex86 run; 2 if FILE is no snapshot, is damaged or cannot go on here\n";

/* The n-th `option` of the command line; NULL: as many were not given. */
static const char *given(const struct run_options *o, const char *option, unsigned n)
{
	for (unsigned i = 0; i < o->devices; i++)
		if (!strcmp(o->device[i].option, option) && !n--)
			return o->device[i].spec;
	return NULL;
}

/* How many devices of a kind the guest was asked to have before device `end`. */
static unsigned saved(const struct snapshot_config *c, const char *option, unsigned end)
{
	unsigned n = 0;

	for (unsigned i = 0; i < end; i++)
		n += !c->device[i].unasked && !strcmp(c->device[i].option, option);
	return n;
}

static bool all_have_a_place(const struct run_options *o, const struct snapshot_config *c,
			     struct error *e)
{
	static const char *const kinds[] = {"disk", "net"};
	unsigned known = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const char *spec = given(o, kinds[i], saved(c, kinds[i], c->devices));

		if (spec)
			return error_set(e, "resume: --%s '%s': the guest has not so many",
					 kinds[i], spec);
	}
	for (unsigned i = 0; i < o->devices; i++)
		known +=
			!strcmp(o->device[i].option, "disk") || !strcmp(o->device[i].option, "net");
	return known == o->devices ||
	       error_set(e, "resume: only disks and network cards can be given anew");
}

/* A card keeps its address. */
static const char *with_mac(const char *spec, const char *saved_spec, char *text, size_t size)
{
	const char *mac = strstr(saved_spec, ",mac=");

	if (!mac || strstr(spec, ",mac="))
		return spec;
	snprintf(text, size, "%s%.22s", spec, mac);
	return text;
}

static bool take_devices(struct run_options *o, const struct snapshot_config *c,
			 char texts[][SNAPSHOT_TEXT + 32], struct error *e)
{
	const struct run_options asked = *o;

	if (!all_have_a_place(o, c, e))
		return false;
	o->devices = 0;
	for (unsigned i = 0; i < c->devices; i++) {
		const struct snapshot_device *d = &c->device[i];
		const char *spec = given(&asked, d->option, saved(c, d->option, i));

		if (d->unasked)
			continue;
		if (spec && !strcmp(d->option, "net"))
			spec = with_mac(spec, d->spec, texts[i], sizeof(texts[i]));
		o->device[o->devices++] = (struct device_option){d->option, spec ? spec : d->spec};
	}
	return true;
}

static bool complete(struct run_options *o, const struct snapshot_config *c,
		     char texts[][SNAPSHOT_TEXT + 32], struct error *e)
{
	static char *no_words[] = {NULL};

	o->kernel = c->kernel;
	o->memory = c->memory;
	o->deterministic = c->deterministic;
	o->no_fast_paths = c->no_fast_paths;
	o->command = c->command ? no_words : NULL;
	return take_devices(o, c, texts, e);
}

int cmd_resume(int argc, char **argv, char **all_argv)
{
	static char texts[HAL_DEVICES_MAX][SNAPSHOT_TEXT + 32]; /* specs, until we exit */
	struct snapshot *snapshot = NULL;
	struct run_options o;
	struct error e;

	if (options_parse_resume(&o, argc, argv, &e)) {
		if (o.help) {
			fputs(resume_help, stdout);
			options_free(&o);
			return STATUS_OK;
		}
		snapshot = snapshot_open(o.snapshot, &e);
	}
	if (snapshot && complete(&o, snapshot_config(snapshot), texts, &e))
		return run_options_run(&o, snapshot, all_argv);
	fprintf(stderr, "plex86: %s\n", e.text);
	snapshot_close(snapshot);
	options_free(&o);
	return STATUS_USAGE;
}
