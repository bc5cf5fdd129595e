/*
 * Asking a machine for a snapshot: see request.h.
 */
#include "request.h"

#include <stdio.h>
#include "snapshot.h"

static void say(struct machine *m, const char *text)
{
	char line[sizeof(((struct error *)0)->text) + 16];

	snprintf(line, sizeof(line), "plex86: %s\n", text);
	console_message(m->console, line);
}

bool machine_snapshot(struct machine *m, const char *path, struct snapshot_result *result,
		      struct error *e)
{
	if (!m->about)
		return error_set(e, "snapshot '%s': %s", path, m->unsaved);
	return snapshot_take(m, m->about, path, result, e);
}

static void take(struct machine_job *job)
{
	struct machine *m =
		(struct machine *)((char *)job - offsetof(struct machine, snapshot_job));
	struct snapshot_result result;
	struct error e;
	char text[300];

	m->snapshot_wanted = false;
	if (!machine_snapshot(m, m->snapshot_to, &result, &e)) {
		say(m, e.text);
		return;
	}
	snprintf(text, sizeof(text), "snapshot '%.200s': %.1f MB in %.2f s", m->snapshot_to,
		 result.bytes / 1e6, result.ns / 1e9);
	say(m, text);
}

void snapshot_request(struct machine *m)
{
	if (m->snapshot_wanted)
		return;
	m->snapshot_wanted = true;
	m->snapshot_job.run = take;
	machine_do(m, &m->snapshot_job);
}
