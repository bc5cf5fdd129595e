/*
 * Asking a running machine for a snapshot: see request.h.
 */
#include "request.h"

#include <stdio.h>
#include <string.h>
#include "snapshot.h"

static void say(struct machine *m, const char *text)
{
	char line[sizeof(((struct error *)0)->text) + 16];

	snprintf(line, sizeof(line), "plex86: %s\n", text);
	console_message(m->console, line);
}

bool machine_snapshot(struct machine *m, const char *path, struct error *e)
{
	struct snapshot_result result;
	char text[300];

	if (!m->about)
		return error_set(e, "snapshot '%s': this machine cannot be saved", path);
	if (!snapshot_take(m, m->about, path, &result, e))
		return false;
	snprintf(text, sizeof(text), "snapshot '%.200s': %.1f MB in %.2f s", path,
		 result.bytes / 1e6, result.ns / 1e9);
	say(m, text);
	return true;
}

static void take(struct machine_job *job)
{
	struct snapshot_request *r =
		(struct snapshot_request *)((char *)job - offsetof(struct snapshot_request, job));
	struct machine *m = (struct machine *)((char *)r - offsetof(struct machine, snapshot));
	struct error e;
	const bool ok = machine_snapshot(m, r->path, &e);

	r->pending = false;
	if (r->done)
		r->done(r->owner, ok ? NULL : e.text);
	else if (!ok)
		say(m, e.text);
	if (ok && r->stop)
		machine_stop(m);
}

const char *snapshot_request(struct machine *m, const char *path, bool stop, snapshot_done *done,
			     void *owner)
{
	struct snapshot_request *r = &m->snapshot;

	if (r->pending)
		return "a snapshot is being taken";
	if (strlen(path) >= sizeof(r->path))
		return "its path is too long";
	strcpy(r->path, path);
	r->pending = true;
	r->stop = stop;
	r->done = done;
	r->owner = owner;
	r->job.run = take;
	machine_do(m, &r->job);
	return NULL;
}

void snapshot_forget(struct machine *m, void *owner)
{
	struct snapshot_request *r = &m->snapshot;

	if (r->pending && r->done && r->owner == owner)
		r->done = NULL;
}
