/*
 * The command line of `plex86 run`: see options.h.
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/types.h"
#include "../control/control-dir.h"
#include "../engine/engine.h"
#include "../pattern.h"

#define HANG_MIN_S 0.1

static bool shift_of_suffix(const char *suffix, unsigned *shift)
{
	static const char letters[] = "KMG";
	const char *at;

	*shift = 0;
	if (!suffix[0])
		return true;
	at = strchr(letters, suffix[0] & ~0x20);
	if (!at || !*at || suffix[1])
		return false;
	*shift = 10 * (at - letters + 1);
	return true;
}

bool options_parse_memory(const char *text, u64 *bytes, struct error *e)
{
	unsigned long long n;
	unsigned shift;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || !shift_of_suffix(end, &shift))
		return error_set(e,
				 "memory size '%s': not a number with an optional suffix K, M or G",
				 text);
	if (errno || n > MEMORY_MAX >> shift)
		return error_set(e, "memory size '%s': too large: a guest can have at most 3G",
				 text);
	n <<= shift;
	if (n < MEMORY_MIN)
		return error_set(e, "memory size '%s': too small: a guest needs at least 4M%s",
				 text, shift ? "" : " (without a suffix the number counts bytes)");
	if (n % PAGE_SIZE_4K)
		return error_set(e, "memory size '%s': not a multiple of 4K", text);
	*bytes = n;
	return true;
}

/* Several -a are joined by spaces. */
static bool append(struct run_options *o, const char *text, struct error *e)
{
	size_t old = strlen(o->append);
	char *joined = realloc(o->append_buffer, old + strlen(text) + 2);

	if (!joined)
		return error_set(e, "command line: out of memory");
	if (!o->append_buffer)
		joined[0] = 0;
	if (old)
		strcat(joined, " ");
	strcat(joined, text);
	o->append = o->append_buffer = joined;
	return true;
}

static bool take_name(struct run_options *o, struct error *e)
{
	if (!control_name_valid(optarg))
		return error_set(
			e,
			"name '%s': not 1 to %d letters, digits or . _ + -, the first being "
			"a letter or digit",
			optarg, CONTROL_NAME_MAX);
	o->name = optarg;
	return true;
}

static bool take_seconds(u64 *ns, const char *what, double least, struct error *e)
{
	const double most = 1e9;
	char *end;
	double seconds = strtod(optarg, &end);

	if (optarg[0] < '0' || optarg[0] > '9' || *end || !(seconds > 0) || seconds > most)
		return error_set(e, "%s '%s': not a number of seconds above 0 and up to %.0f", what,
				 optarg, most);
	if (seconds < least)
		return error_set(e, "%s '%s': not %g seconds at least", what, optarg, least);
	*ns = seconds * 1e9 + 1;
	return true;
}

static bool take_count(u64 *count, const char *what, struct error *e)
{
	char *end;

	errno = 0;
	*count = strtoull(optarg, &end, 10);
	if (optarg[0] < '0' || optarg[0] > '9' || *end || errno || !*count)
		return error_set(e, "%s '%s': not a number of events above 0", what, optarg);
	return true;
}

static bool take_expect(struct run_options *o, struct error *e)
{
	regex_t compiled;

	if (!pattern_compile(&compiled, "expect", optarg, e))
		return false;
	regfree(&compiled);
	o->expect = optarg;
	return true;
}

/* -d, -n and the like: opened later, when all options are known to be right. */
static bool add_device(struct run_options *o, const char *option, const char *spec, struct error *e)
{
	if (o->devices == DEVICE_OPTIONS_MAX)
		return error_set(e, "run: more than %d devices", DEVICE_OPTIONS_MAX);
	o->device[o->devices++] = (struct device_option){option, spec};
	return true;
}

static bool add_net(struct run_options *o, const char *spec, struct error *e)
{
	o->net_given = true;
	return !strcmp(spec, "none") || add_device(o, "net", spec, e);
}

enum {
	OPT_STATS = 256,
	OPT_TRACE,
	OPT_JSON,
	OPT_NO_JAIL,
	OPT_NO_FAST_PATHS,
	OPT_CONSOLE,
	OPT_IMAGE,
	OPT_NAME,
	OPT_VHOST_USER,
	OPT_TIMEOUT,
	OPT_HANG,
	OPT_REPORT,
	OPT_PROFILE,
	OPT_EXPECT,
	OPT_DETERMINISTIC,
	OPT_ENGINE,
	OPT_KMOD,
	OPT_STOP_AFTER,
	OPT_SNAPSHOT_TO,
	OPT_CRASH_SNAPSHOT,
	OPT_RECORD,
	OPT_REPLAY,
	OPT_TEST_DEBUG,
	OPT_TEST_FLIP,
	OPT_COMMON_CPU,
	OPT_GDB,
	OPT_GDB_WAIT,
	OPT_MACHINE,
	OPT_BIOS,
};

static const struct option long_options[] = {
	{"kernel", required_argument, NULL, 'k'},
	{"initrd", required_argument, NULL, 'i'},
	{"image", required_argument, NULL, OPT_IMAGE},
	{"append", required_argument, NULL, 'a'},
	{"memory", required_argument, NULL, 'm'},
	{"machine", required_argument, NULL, OPT_MACHINE},
	{"bios", required_argument, NULL, OPT_BIOS},
	{"disk", required_argument, NULL, 'd'},
	{"net", required_argument, NULL, 'n'},
	{"share", required_argument, NULL, 's'},
	{"vhost-user", required_argument, NULL, OPT_VHOST_USER},
	{"console", required_argument, NULL, OPT_CONSOLE},
	{"name", required_argument, NULL, OPT_NAME},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	{"stats", no_argument, NULL, OPT_STATS},
	{"timeout", required_argument, NULL, OPT_TIMEOUT},
	{"hang", required_argument, NULL, OPT_HANG},
	{"profile", required_argument, NULL, OPT_PROFILE},
	{"report", required_argument, NULL, OPT_REPORT},
	{"expect", required_argument, NULL, OPT_EXPECT},
	{"trace", required_argument, NULL, OPT_TRACE},
	{"snapshot-to", required_argument, NULL, OPT_SNAPSHOT_TO},
	{"snapshot-on-crash", required_argument, NULL, OPT_CRASH_SNAPSHOT},
	{"json", required_argument, NULL, OPT_JSON},
	{"no-jail", no_argument, NULL, OPT_NO_JAIL},
	{"engine", required_argument, NULL, OPT_ENGINE},
	{"kmod", no_argument, NULL, OPT_KMOD},
	{"deterministic", no_argument, NULL, OPT_DETERMINISTIC},
	{"stop-after", required_argument, NULL, OPT_STOP_AFTER},
	{"test-flip-after", required_argument, NULL, OPT_TEST_FLIP}, /* in no help: for tests */
	{"common-cpu", no_argument, NULL, OPT_COMMON_CPU},	     /* plex86 diff's */
	{"record", required_argument, NULL, OPT_RECORD},
	{"replay", required_argument, NULL, OPT_REPLAY},	 /* plex86 replay's */
	{"test-debug", required_argument, NULL, OPT_TEST_DEBUG}, /* the same */
	{"gdb", optional_argument, NULL, OPT_GDB},
	{"gdb-wait", no_argument, NULL, OPT_GDB_WAIT},
	{"no-fast-paths", no_argument, NULL, OPT_NO_FAST_PATHS},
	{NULL, 0, NULL, 0}};

static bool take_machine(struct run_options *o, struct error *e)
{
	o->pc_serial = !strcmp(optarg, "pc,serial");
	o->pc = o->pc_serial || !strcmp(optarg, "pc");
	if (o->pc || !strcmp(optarg, "plex86"))
		return true;
	return error_set(e, "machine '%s': there is none of this name (plex86, pc, pc,serial)",
			 optarg);
}

/* Not two: which of them is meant? */
static bool take_engine(struct run_options *o, const char *name, struct error *e)
{
	if (o->engine_given && strcmp(o->engine, name))
		return error_set(e, "run: engines '%s' and '%s': a guest has one", o->engine, name);
	o->engine = name;
	o->engine_given = true;
	return true;
}

static bool take_option(struct run_options *o, int option, struct error *e)
{
	switch (option) {
	case 'k':
		o->kernel = optarg;
		return true;
	case 'i':
		o->initrd = optarg;
		return true;
	case 'a':
		return append(o, optarg, e);
	case 'm':
		return options_parse_memory(optarg, &o->memory, e);
	case 'd':
		return add_device(o, "disk", optarg, e);
	case 'n':
		return add_net(o, optarg, e);
	case 's':
		return add_device(o, "share", optarg, e);
	case OPT_VHOST_USER:
		return add_device(o, "vhost-user", optarg, e);
	case 'v':
		o->verbose = true;
		return true;
	case 'h':
		o->help = true;
		return true;
	case OPT_STATS:
		o->stats = true;
		return true;
	case OPT_JSON:
		o->json = optarg;
		return true;
	case OPT_TRACE:
		o->trace = optarg;
		return true;
	case OPT_SNAPSHOT_TO:
		o->snapshot_to = optarg;
		return true;
	case OPT_CRASH_SNAPSHOT:
		o->crash_snapshot = optarg;
		return true;
	case OPT_NO_FAST_PATHS:
		o->no_fast_paths = true;
		return true;
	case OPT_CONSOLE:
		o->console = optarg;
		return true;
	case OPT_IMAGE:
		o->image = optarg;
		return true;
	case OPT_NAME:
		return take_name(o, e);
	case OPT_TIMEOUT:
		return take_seconds(&o->timeout_ns, "timeout", 0, e);
	case OPT_HANG:
		return take_seconds(&o->hang_ns, "hang", HANG_MIN_S, e);
	case OPT_PROFILE:
		o->profile = optarg;
		return true;
	case OPT_REPORT:
		o->report = optarg;
		return true;
	case OPT_EXPECT:
		return take_expect(o, e);
	case OPT_ENGINE:
		return take_engine(o, optarg, e);
	case OPT_KMOD:
		o->kmod = true;
		return true;
	case OPT_DETERMINISTIC:
		o->deterministic = true;
		return true;
	case OPT_STOP_AFTER:
		return take_count(&o->stop_after, "stop-after", e);
	case OPT_COMMON_CPU:
		o->common_cpu = true;
		return true;
	case OPT_TEST_FLIP:
		return take_count(&o->test_flip, "test-flip-after", e);
	case OPT_GDB:
		o->gdb = optarg ? optarg : "";
		return true;
	case OPT_GDB_WAIT:
		o->gdb_wait = true;
		return true;
	case OPT_RECORD:
		o->record = optarg;
		return true;
	case OPT_REPLAY:
		o->replay = optarg;
		return true;
	case OPT_TEST_DEBUG:
		o->test_debug = optarg;
		return true;
	case OPT_NO_JAIL:
		o->no_jail = true;
		return true;
	case OPT_MACHINE:
		return take_machine(o, e);
	case OPT_BIOS:
		o->bios = optarg;
		return true;
	}
	return false;
}

static bool bad_option(int option, char **argv, struct error *e)
{
	const char *word = argv[optind - 1];

	if (option == ':')
		return error_set(e, "run: option '%s' needs a value (see plex86 run --help)", word);
	/* A bundled short option leaves optind at its word; optopt has the letter. */
	if (optopt > 0 && optopt < 256)
		return error_set(e, "run: unknown option '-%c' (see plex86 run --help)", optopt);
	return error_set(e, "run: unknown option '%s' (see plex86 run --help)", word);
}

static bool take_command(struct run_options *o, int argc, char **argv, struct error *e)
{
	const bool separated = optind > 0 && !strcmp(argv[optind - 1], "--");

	if (optind == argc && separated)
		return error_set(e, "run: no command behind '--'");
	if (optind < argc && !separated)
		return error_set(e,
				 "run: unexpected '%s' (a command for the guest goes behind '--')",
				 argv[optind]);
	if (optind < argc)
		o->command = argv + optind;
	return true;
}

/* An image comes with all that its system needs, as far as the user did not say otherwise. It is
 * the first disk, whatever others were named before. */
static bool complete_image(struct run_options *o, struct error *e)
{
	if (!o->kernel)
		o->kernel = KERNEL_DEFAULT;
	if (!add_device(o, "disk", o->image, e))
		return false;
	memmove(o->device + 1, o->device, (o->devices - 1) * sizeof(o->device[0]));
	o->device[0] = (struct device_option){"disk", o->image};
	return o->net_given || add_net(o, "user", e);
}

/* What comes in by it is kept and given again; what a backend offers has to be known as well. */
static bool check_deterministic_net(const struct run_options *o, const char *spec, unsigned nets,
				    struct error *e)
{
	if (!o->record && !o->replay)
		return error_set(
			e,
			"run: --deterministic with --net '%s': what comes in depends on "
			"the host's time (with --record FILE it is kept, for plex86 replay)",
			spec);
	if (nets > 1 || (!o->replay && strcmp(spec, "user") && strncmp(spec, "user,", 5)))
		return error_set(e,
				 "run: --record with --net '%s': a recorded run has one "
				 "network, and that is user[,OPTION...]",
				 spec);
	return true;
}

/* A disk that is always the same can be had again. */
static bool check_devices(const struct run_options *o, struct error *e)
{
	unsigned nets = 0;

	for (unsigned i = 0; i < o->devices; i++) {
		const struct device_option *d = &o->device[i];

		if (!strcmp(d->option, "net")) {
			if (!check_deterministic_net(o, d->spec, ++nets, e))
				return false;
			continue;
		}
		if (strcmp(d->option, "disk"))
			return error_set(e,
					 "run: --deterministic with --%s '%s': what a device does "
					 "depends on the host's time (only disks and, recorded, a "
					 "network can be)",
					 d->option, d->spec);
		if (strstr(d->spec, "://") || (!strstr(d->spec, ",ro") && !strstr(d->spec, ",cow")))
			return error_set(e,
					 "run: --deterministic with --disk '%s': it has to be the "
					 "same the next time (a file with ,ro or ,cow)",
					 d->spec);
	}
	return true;
}

/* A PC has no more than what its systems know, and begins with its firmware or a kernel. */
static bool check_pc(struct run_options *o, struct error *e)
{
	if (!o->pc && o->bios)
		return error_set(e, "run: --bios '%s': only --machine pc begins with firmware",
				 o->bios);
	if (!o->pc)
		return true;
	if (o->kernel && o->bios)
		return error_set(e,
				 "run: --bios '%s' and -k '%s': a machine begins with one of them",
				 o->bios, o->kernel);
	if (!o->kernel && (!strcmp(o->engine, ENGINE_DEFAULT) || !strcmp(o->engine, ENGINE_KMOD)))
		return error_set(e,
				 "run: --machine pc with --engine %s: firmware begins in real "
				 "mode, which only an emulator runs (leave --engine away)",
				 o->engine);
	if (o->image || o->command)
		return error_set(e, "run: --machine pc: --image and commands are for Linux on the "
				    "usual machine");
	if (o->deterministic)
		return error_set(e, "run: --machine pc: it cannot be --deterministic, for what it "
				    "shows and reads depends on the host's time");
	for (unsigned i = 0; i < o->devices; i++)
		if (strcmp(o->device[i].option, "disk"))
			return error_set(e,
					 "run: --machine pc with --%s '%s': of these it has disks "
					 "(-d) alone",
					 o->device[i].option, o->device[i].spec);
	return true;
}

/* What would bring the host's time or the outside world into a run that must not know them. */
static bool check_deterministic(const struct run_options *o, struct error *e)
{
	if (!o->deterministic && (o->stop_after || o->test_flip))
		return error_set(e, "run: --stop-after counts the events of a deterministic run: "
				    "give --deterministic as well");
	if (!o->deterministic && o->record)
		return error_set(e,
				 "run: --record '%s': only a deterministic run can be repeated: "
				 "give --deterministic as well",
				 o->record);
	if (o->record && o->crash_snapshot)
		return error_set(e, "run: --snapshot-on-crash with --record: a recorded run cannot "
				    "be saved (replay it: plex86 replay --gdb)");
	return !o->deterministic || check_devices(o, e);
}

/* Where there is an emulator, the module is for the rest. */
static bool settle_engine(struct run_options *o, struct error *e)
{
	const char *name = o->engine_given ? o->engine : ENGINE_KMOD;

	if (!o->engine && !o->kmod)
		o->engine = o->pc ? ENGINE_EMULATOR : ENGINE_DEFAULT;
	if (!o->kmod)
		return true;
	if (strcmp(name, ENGINE_KMOD) && strcmp(name, ENGINE_HYBRID) &&
	    strcmp(name, ENGINE_HYBRID_KMOD))
		return error_set(e,
				 "run: --kmod with --engine %s: it is for kmod (leave --engine "
				 "away) and hybrid",
				 name);
	o->engine = strcmp(name, ENGINE_HYBRID) ? name : ENGINE_HYBRID_KMOD;
	return true;
}

static bool take_options(struct run_options *o, int argc, char **argv, struct error *e)
{
	int option;

	*o = (struct run_options){.append = ""};
	optind = 1;
	while ((option = getopt_long(argc, argv, "+:k:i:a:m:d:n:s:vh", long_options, NULL)) != -1) {
		if (option == ':' || option == '?')
			return bad_option(option, argv, e);
		if (!take_option(o, option, e))
			return false;
	}
	if (!settle_engine(o, e))
		return false;
	if (o->gdb_wait && !o->gdb)
		o->gdb = "";
	return true;
}

bool options_parse_run(struct run_options *o, int argc, char **argv, struct error *e)
{
	if (!take_options(o, argc, argv, e))
		return false;
	if (o->help)
		return true;
	if (!take_command(o, argc, argv, e))
		return false;
	if (!o->memory)
		o->memory = o->image ? MEMORY_DEFAULT_IMAGE : MEMORY_DEFAULT;
	if (o->image && !complete_image(o, e))
		return false;
	if (!o->kernel && !o->pc)
		return error_set(e, "run: no kernel given (-k KERNEL or --image IMAGE; see plex86 "
				    "run --help)");
	return check_pc(o, e) && check_deterministic(o, e);
}

/* What only a machine that is new can be asked for. */
static const char *not_of_resume(const struct run_options *o)
{
	const struct {
		const char *option;
		bool given;
	} options[] = {
		{"-k", o->kernel != NULL},
		{"-i", o->initrd != NULL},
		{"--image", o->image != NULL},
		{"--machine", o->pc},
		{"--bios", o->bios != NULL},
		{"-a", o->append[0] != '\0'},
		{"-m", o->memory != 0},
		{"--deterministic", o->deterministic},
		{"--no-fast-paths", o->no_fast_paths},
		{"--stop-after", o->stop_after != 0},
		{"--record", o->record != NULL},
		{"--replay", o->replay != NULL},
		{"--test-flip-after", o->test_flip != 0},
		{"--common-cpu", o->common_cpu},
	};

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (options[i].given)
			return options[i].option;
	return NULL;
}

bool options_parse_resume(struct run_options *o, int argc, char **argv, struct error *e)
{
	const char *wrong;

	if (!take_options(o, argc, argv, e))
		return false;
	if (o->help)
		return true;
	wrong = not_of_resume(o);
	if (wrong)
		return error_set(e, "resume: %s: the snapshot has that already", wrong);
	if (optind == argc)
		return error_set(e, "resume: no snapshot given (see plex86 resume --help)");
	if (optind + 1 < argc)
		return error_set(e, "resume: unexpected '%s'", argv[optind + 1]);
	o->snapshot = argv[optind];
	return true;
}

void options_free(struct run_options *o)
{
	free(o->append_buffer);
	o->append_buffer = NULL;
}
