/*
 * Monitor commands: what gdb sends of a line that begins with `monitor`.
 *
 * Owns: their names, arguments and help. What they tell is info.c's.
 */
#include "session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "info.h"
#include "../snapshot/request.h"

#define EVENTS_DEFAULT 20u
#define DUMP_MAX       4096u
#define WORDS	       4

struct call {
	struct gdb *g;
	unsigned words; /* behind the command's name */
	const char *word[WORDS];
	struct gdb_text *out;
};

/* A number as C has it: 0x... in base 16, others in base 10. */
static bool number(const struct call *c, const char *word, u32 *value)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(word, &end, 0);
	if (word[0] >= '0' && word[0] <= '9' && !*end && !errno && n <= UINT32_MAX) {
		*value = n;
		return true;
	}
	gdb_print(c->out, "'%s': not a number (0x... for hexadecimal)\n", word);
	return false;
}

/* ---- commands ---- */

static void info_registers(const struct call *c)
{
	gdb_info_registers(c->g->cpu.vm, c->g->symbols, c->out);
}

static void info_mem(const struct call *c)
{
	gdb_info_mem(c->g->cpu.vm, c->out);
}

static void info_events(const struct call *c)
{
	const struct machine *m = c->g->machine;
	const unsigned long khz = m->deterministic ? CLOCK_TSC_KHZ : tsc_khz(&m->started);
	u32 count = EVENTS_DEFAULT;

	if (!c->words || number(c, c->word[0], &count))
		gdb_info_events(m->engine, khz, c->g->symbols, count, c->out);
}

static void info_pic(const struct call *c)
{
	gdb_info_pic(c->g->cpu.vm, c->out);
}

static void info_pit(const struct call *c)
{
	gdb_info_pit(c->g->cpu.vm, c->out);
}

static void walk(const struct call *c)
{
	u32 la;

	if (number(c, c->word[0], &la))
		gdb_info_walk(c->g->cpu.vm, la, c->out);
}

static void phys(const struct call *c)
{
	u32 address, len;

	if (!number(c, c->word[0], &address) || !number(c, c->word[1], &len))
		return;
	if (len > DUMP_MAX)
		gdb_print(c->out, "at most %u bytes at a time\n", DUMP_MAX);
	else
		gdb_info_memory(c->g->cpu.vm, GDB_PHYSICAL, address, len, c->out);
}

static void trace_switch(const struct call *c)
{
	const struct machine *m = c->g->machine;
	const bool on = !strcmp(c->word[0], "on");
	int error;

	if (!on && strcmp(c->word[0], "off")) {
		gdb_print(c->out, "trace: on or off\n");
		return;
	}
	if (!m->trace) {
		gdb_print(c->out, "no trace file is open (start the guest with --trace FILE)\n");
		return;
	}
	/* What has happened until now is as it was. */
	error = trace_file_drain(m->trace, m->engine, true);
	if (error)
		gdb_print(c->out, "writing the trace file: %s\n", strerror(error));
	trace_file_mute(m->trace, !on);
}

static void snapshot(const struct call *c)
{
	struct snapshot_result result;
	struct error e;

	if (machine_snapshot(c->g->machine, c->word[0], &result, &e))
		gdb_print(c->out, "%s: %.1f MB in %.2f s\n", c->word[0], result.bytes / 1e6,
			  result.ns / 1e9);
	else
		gdb_print(c->out, "%s\n", e.text);
}

static void reset(const struct call *c)
{
	gdb_print(c->out, "a reset is not supported: end the guest (kill) and start it again\n");
}

static void quit(const struct call *c)
{
	gdb_kill(c->g);
}

static void help(const struct call *c);

/* `name` has its words with one space between them. */
static const struct command {
	const char *name, *arguments, *text;
	unsigned least, most;
	void (*run)(const struct call *c);
} commands[] = {
	{"help", "", "this text", 0, 0, help},
	{"info registers", "", "all registers, with segments' hidden parts", 0, 0, info_registers},
	{"info mem", "", "what the guest's page tables map", 0, 0, info_mem},
	{"info tlb", "", "the same: nothing beyond them is kept that could be shown", 0, 0,
	 info_mem},
	{"info events", " [N]", "the last virtualization events, 20 or N", 0, 1, info_events},
	{"info pic", "", "the interrupt controllers", 0, 0, info_pic},
	{"info pit", "", "the timer", 0, 0, info_pit},
	{"walk", " ADDRESS", "how the page tables translate a linear address", 1, 1, walk},
	{"phys", " ADDRESS LENGTH", "memory by physical address", 2, 2, phys},
	{"trace", " on|off", "go on with the file of --trace, or pause it", 1, 1, trace_switch},
	{"snapshot", " FILE", "save the guest as it is now, for plex86 resume", 1, 1, snapshot},
	{"reset", "", "not supported", 0, 0, reset},
	{"quit", "", "end the guest, as kill does", 0, 0, quit},
};

static void help(const struct call *c)
{
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
		gdb_print(c->out, "%-14s%-16s  %s\n", commands[i].name, commands[i].arguments,
			  commands[i].text);
	gdb_print(c->out, "Addresses are numbers as in C. To read and write physical memory with "
			  "gdb's own\ncommands: maint packet Qqemu.PhyMemMode:1\n");
}

/* ---- lines ---- */

/* Cut the line into words; one more than there is room for is counted. */
static unsigned split(char *line, const char *word[WORDS + 1])
{
	unsigned n = 0;
	char *rest = NULL;

	for (char *w = strtok_r(line, " \t", &rest); w && n <= WORDS;
	     w = strtok_r(NULL, " \t", &rest))
		word[n++] = w;
	return n;
}

/* How many words of the line are the command's name; 0: it is another one. */
static unsigned matches(const struct command *command, const char *const *word, unsigned words)
{
	const char *name = command->name;
	unsigned n = 0;

	for (; n < words; n++) {
		const size_t len = strcspn(name, " ");

		if (strlen(word[n]) != len || strncmp(word[n], name, len))
			return 0;
		name += len;
		if (!*name++)
			return n + 1;
	}
	return 0;
}

static void run(struct call *c, const struct command *command, const char *const *word,
		unsigned words)
{
	if (words < command->least || words > command->most) {
		gdb_print(c->out, "usage: %s%s\n", command->name, command->arguments);
		return;
	}
	c->words = words;
	for (unsigned i = 0; i < words; i++)
		c->word[i] = word[i];
	command->run(c);
}

void gdb_monitor(struct gdb *g, const char *line, struct gdb_text *out)
{
	struct call c = {.g = g, .out = out};
	const char *word[WORDS + 1];
	char *copy = strdup(line);
	unsigned words;

	if (!copy)
		return;
	words = split(copy, word);
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
		const unsigned n = matches(&commands[i], word, words);

		if (n) {
			run(&c, &commands[i], word + n, words - n);
			free(copy);
			return;
		}
	}
	gdb_print(out, "no such command (monitor help)\n");
	free(copy);
}
