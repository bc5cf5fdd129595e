/*
 * The control protocol: see control-commands.h, and docs/control.md for what each command means.
 *
 * A command runs on the I/O thread, or on the run thread if the guest has to stand still for it,
 * and must be quick.
 */
#include "control-commands.h"

#include <jansson.h>
#include <stdarg.h>
#include <string.h>
#include "../machine.h"
#include "../snapshot/request.h"
#include "stats-json.h"

struct failure {
	const char *class;
	struct error error;
};

/* Returns the result, or NULL: `f` says why. */
typedef json_t *command(struct control_session *s, json_t *arguments, struct failure *f);

struct control_command {
	const char *name;
	command *run;
	bool still;
};

/* ---- arguments and errors ---- */

#define fail(f, kind, ...) ((f)->class = (kind), error_set(&(f)->error, __VA_ARGS__))

/* All arguments, as json_unpack() describes them; others are a mistake. */
static bool take(json_t *arguments, struct failure *f, const char *format, ...)
{
	json_error_t error;
	va_list args;
	int bad;

	va_start(args, format);
	bad = json_vunpack_ex(arguments, &error, JSON_STRICT, format, args);
	va_end(args);
	return !bad || fail(f, "InvalidArguments", "%s", error.text);
}

static json_t *error_answer(const struct failure *f, json_t *id)
{
	return json_pack("{s:{s:s, s:o}, s:O*}", "error", "class", f->class, "desc",
			 json_text(f->error.text), "id", id);
}

/* ---- commands ---- */

static json_t *status(struct control_session *s, json_t *arguments, struct failure *f)
{
	struct machine *m = s->machine;
	struct engine_memory memory;
	struct stats stats;
	json_t *state, *paused;

	if (!take(arguments, f, "{}"))
		return NULL;
	machine_stats(m, &stats);
	engine_get_memory(m->engine, &memory);
	state = json_pack("{s:s, s:o, s:o, s:o, s:o, s:b}", "state",
			  m->paused ? "paused" : "running", "resident",
			  json_u64(memory.ram_resident), "shared", json_u64(memory.shared_resident),
			  "uptime_ns", json_u64(stats.ns), "traps", json_u64(stats_traps(&stats)),
			  "agent", machine_agent_listens(m));
	paused = json_paused(m->paused);
	json_object_update(state, paused);
	json_object_update(state, s->about);
	json_decref(paused);
	return state;
}

static json_t *stats(struct control_session *s, json_t *arguments, struct failure *f)
{
	struct stats stats;

	if (!take(arguments, f, "{}"))
		return NULL;
	machine_stats(s->machine, &stats);
	return stats_to_json(&stats);
}

static json_t *pause(struct control_session *s, json_t *arguments, struct failure *f)
{
	if (!take(arguments, f, "{}"))
		return NULL;
	machine_pause(s->machine, PAUSE_CONTROL);
	return json_object();
}

static json_t *go_on(struct control_session *s, json_t *arguments, struct failure *f)
{
	if (!take(arguments, f, "{}"))
		return NULL;
	machine_continue(s->machine, PAUSE_CONTROL);
	return json_object();
}

static json_t *stop(struct control_session *s, json_t *arguments, struct failure *f)
{
	struct machine *m = s->machine;
	int force = 0;

	if (!take(arguments, f, "{s?b}", "force", &force))
		return NULL;
	if (force) {
		machine_stop(m);
	} else {
		machine_power_off(m);
		/* It could not hear that. */
		machine_continue(m, PAUSE_CONTROL);
	}
	return json_pack("{s:b}", "agent", machine_agent_listens(m));
}

static json_t *snapshot(struct control_session *s, json_t *arguments, struct failure *f)
{
	struct snapshot_result result;
	const char *path;
	int end = 0;

	if (!take(arguments, f, "{s:s, s?b}", "path", &path, "stop", &end))
		return NULL;
	if (path[0] != '/') {
		fail(f, "InvalidArguments", "path: not an absolute one");
		return NULL;
	}
	if (!machine_snapshot(s->machine, path, &result, &f->error))
		return NULL;
	if (end)
		machine_stop(s->machine);
	return json_pack("{s:o, s:o}", "bytes", json_u64(result.bytes), "ns", json_u64(result.ns));
}

static json_t *subscribe(struct control_session *s, json_t *arguments, struct failure *f)
{
	if (!take(arguments, f, "{}"))
		return NULL;
	s->subscribed = true;
	return json_object();
}

static command list_commands;

static const struct control_command commands[] = {
	{"status", status, false},	 {"stats", stats, false},
	{"pause", pause, true},		 {"continue", go_on, false},
	{"stop", stop, false},		 {"snapshot", snapshot, true},
	{"subscribe", subscribe, false}, {"commands", list_commands, false},
};

static json_t *list_commands(struct control_session *s, json_t *arguments, struct failure *f)
{
	json_t *names, *events;

	(void)s;
	if (!take(arguments, f, "{}"))
		return NULL;
	names = json_array();
	events = json_array();
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		json_array_append_new(names, json_string(commands[i].name));
	for (size_t i = 0; event_names[i]; i++)
		json_array_append_new(events, json_string(event_names[i]));
	return json_pack("{s:o, s:o}", "commands", names, "events", events);
}

/* ---- requests ---- */

static bool find_command(struct control_request *q, const char *name, struct failure *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, name))
			q->command = &commands[i];
	return q->command || fail(f, "CommandNotFound", "there is no command '%s'", name);
}

static bool understand(struct control_request *q, json_t *request, struct failure *f)
{
	json_t *id = json_object_get(request, "id"), *arguments = NULL, *any;
	json_error_t error;
	const char *name;

	/* Known even of a request with another fault. */
	if (id && !json_is_string(id) && !json_is_integer(id))
		return fail(f, "InvalidRequest", "id: neither a string nor an integer");
	q->id = json_incref(id);
	if (json_unpack_ex(request, &error, JSON_STRICT, "{s:s, s?o, s?o}", "execute", &name,
			   "arguments", &arguments, "id", &any))
		return fail(f, "InvalidRequest", "%s", error.text);
	if (arguments && !json_is_object(arguments))
		return fail(f, "InvalidRequest", "arguments: not an object");
	q->arguments = arguments ? json_incref(arguments) : json_object();
	return find_command(q, name, f);
}

/* Its length bounds what the parser needs, and so does the library's limit of 2048 levels. */
static json_t *parse(const char *line, size_t len, struct failure *f)
{
	json_error_t error;
	json_t *json = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);

	if (!json)
		fail(f, "InvalidJson", "byte %d: %s", error.position, error.text);
	return json;
}

bool control_read(struct control_request *q, const char *line, size_t len, json_t **answer)
{
	struct failure f;
	json_t *request = parse(line, len, &f);
	bool ok;

	*q = (struct control_request){0};
	ok = request && understand(q, request, &f);
	if (!ok) {
		*answer = error_answer(&f, q->id);
		control_free(q);
	}
	json_decref(request);
	return ok;
}

json_t *control_too_long(void)
{
	struct failure f;

	fail(&f, "InvalidJson", "a line of more than %d bytes", CONTROL_REQUEST_MAX - 1);
	return error_answer(&f, NULL);
}

bool control_needs_still(const struct control_request *q)
{
	return q->command->still;
}

json_t *control_run(struct control_request *q, struct control_session *session)
{
	struct failure f = {.class = "Failed", .error = {"out of memory"}};
	json_t *result = q->command->run(session, q->arguments, &f), *answer;

	if (result)
		answer = json_pack("{s:o, s:O*}", "return", result, "id", q->id);
	else
		answer = error_answer(&f, q->id);
	control_free(q);
	return answer;
}

void control_free(struct control_request *q)
{
	json_decref(q->arguments);
	json_decref(q->id);
	*q = (struct control_request){0};
}

json_t *control_greeting(void)
{
	return json_pack("{s:{s:s, s:i}}", "plex86", "version", PLEX86_VERSION, "protocol",
			 CONTROL_PROTOCOL);
}
