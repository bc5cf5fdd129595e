/*
 * The commands of the control socket: see control.h, which documents each.
 *
 * Owns: the table. A command adds its answer with control_reply(); "ok" is added for it unless it
 * returns why it failed. It runs on the I/O thread with the device lock held, so it must be quick.
 */
#include "control.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* `arguments` is the rest of the line, without leading blanks. Returns NULL or what went wrong. */
typedef const char *command(struct control *c, struct control_client *client,
			    const char *arguments);

static const char *status(struct control *c, struct control_client *client, const char *arguments)
{
	struct machine *m = control_machine(c);
	struct engine_memory memory;
	struct stats stats;

	if (*arguments)
		return "status takes no arguments";
	machine_stats(m, &stats);
	engine_get_memory(m->engine, &memory);
	control_reply(client, "name %s\npid %d\n", control_name(c), getpid());
	control_reply(client, "size %" PRIu64 "\nresident %" PRIu64 "\nshared %" PRIu64 "\n",
		      memory.ram_size, memory.ram_resident, memory.shared_resident);
	control_reply(client, "uptime %" PRIu64 "\ntraps %" PRIu64 "\nagent %s\n", stats.ns,
		      stats_traps(&stats), machine_agent_listens(m) ? "yes" : "no");
	return NULL;
}

static const char *stat(struct control *c, struct control_client *client, const char *arguments)
{
	char text[STATS_TEXT_SIZE];
	struct stats stats;

	if (*arguments)
		return "stat takes no arguments";
	machine_stats(control_machine(c), &stats);
	stats_lines(&stats, text, sizeof(text));
	control_reply(client, "%s", text);
	return NULL;
}

static const char *stop(struct control *c, struct control_client *client, const char *arguments)
{
	struct machine *m = control_machine(c);

	if (!strcmp(arguments, "force"))
		machine_stop(m);
	else if (!*arguments)
		machine_power_off(m);
	else
		return "stop: no other argument than force";
	control_reply(client, "agent %s\n", machine_agent_listens(m) ? "yes" : "no");
	control_await_end(client);
	return NULL;
}

static const struct {
	const char *name;
	command *run;
} commands[] = {
	{"status", status},
	{"stat", stat},
	{"stop", stop},
};

void control_run_command(struct control *c, struct control_client *client, char *line)
{
	const size_t word = strcspn(line, " ");
	const char *arguments = line + word + strspn(line + word, " "), *why;

	line[word] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, line))
			continue;
		why = commands[i].run(c, client, arguments);
		if (why)
			control_reply(client, "error %s\n", why);
		else
			control_reply(client, "ok\n");
		return;
	}
	control_reply(client, "error unknown command\n");
}
