/*
 * A run and what is recorded of it: see recording.h.
 */
#include "recording.h"
#include "../../common/fnv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "../snapshot/about.h"

/* Found again from wherever it is replayed. */
static bool note_file(char **path, u64 *digest, const char *what, const struct blob *blob,
		      struct error *e)
{
	if (!blob->data)
		return true;
	*path = realpath(blob->path, NULL);
	*digest = fnv64(blob->data, blob->size);
	return *path || error_set(e, "record: %s '%s': %s", what, blob->path, strerror(errno));
}

static bool note_words(struct record_run *run, char *const *words, struct error *e)
{
	for (unsigned i = 0; words && words[i]; i++) {
		if (i == RECORD_WORDS_MAX)
			return error_set(e, "record: a command of more than %d words",
					 RECORD_WORDS_MAX);
		run->command[i] = strdup(words[i]);
		if (!run->command[i])
			return error_set(e, "record: out of memory");
	}
	return true;
}

/* What tells a disk's file from another, or itself at another time. */
static bool look_at_disk(struct record_disk *d, const char *spec)
{
	const size_t length = strcspn(spec, ",");
	char *path = strndup(spec, length);
	struct stat st;
	const bool ok = path && !stat(path, &st);

	free(path);
	if (!ok)
		return false;
	d->size = st.st_size;
	d->changed_ns = about_changed_ns(&st);
	return true;
}

static bool note_disk(struct record_run *run, const char *given, struct error *e)
{
	struct record_disk *d = &run->disk[run->disks];
	char spec[SNAPSHOT_TEXT];

	about_absolute(spec, sizeof(spec), given, 0);
	if (!look_at_disk(d, spec))
		return error_set(e, "record: disk '%s': %s", given, strerror(errno));
	d->spec = strdup(spec);
	run->disks += d->spec != NULL;
	return d->spec || error_set(e, "record: out of memory");
}

/* Disks and one network: a recorded run has no other devices. */
static bool note_devices(struct record_run *run, const struct run_options *o, struct error *e)
{
	_Static_assert(RECORD_DISKS_MAX >= DEVICE_OPTIONS_MAX, "there is room for each");

	for (unsigned i = 0; i < o->devices; i++) {
		const struct device_option *d = &o->device[i];

		if (!strcmp(d->option, "net")) {
			run->network_place = run->disks;
			run->network = strdup(d->spec);
			if (!run->network)
				return error_set(e, "record: out of memory");
		} else if (!note_disk(run, d->spec, e)) {
			return false;
		}
	}
	return true;
}

static bool same_disks(const struct record_run *run, const struct run_options *o, struct error *e)
{
	for (unsigned i = 0; i < run->disks; i++) {
		const struct record_disk *was = &run->disk[i];
		struct record_disk is;

		if (!look_at_disk(&is, was->spec) || is.size != was->size ||
		    is.changed_ns != was->changed_ns)
			return error_set(e,
					 "replay '%s': disk '%s' has been changed since the "
					 "recorded run, or is another one",
					 o->replay, was->spec);
	}
	return o->devices == run->disks + (run->network != NULL) ||
	       error_set(e, "replay '%s': with the devices of the recorded run, and no others",
			 o->replay);
}

static bool begin_record(struct recording *rec, const struct run_options *o,
			 const struct blob *kernel, const struct blob *initrd, const char *cmdline,
			 struct error *e)
{
	struct record_run *run = &rec->run;

	if (!note_file(&run->kernel, &run->kernel_digest, "kernel", kernel, e) ||
	    !note_file(&run->initrd, &run->initrd_digest, "initrd", initrd, e) ||
	    !note_devices(run, o, e) || !note_words(run, o->command, e))
		return false;
	run->memory = o->memory;
	run->cmdline = strdup(cmdline);
	if (!run->cmdline)
		return error_set(e, "record '%s': out of memory", o->record);
	rec->recorder = recorder_create(o->record, run, e);
	return rec->recorder != NULL;
}

static bool is_same(const struct blob *blob, const char *path, u64 digest)
{
	if (!blob->data || !path)
		return !blob->data && !path;
	return fnv64(blob->data, blob->size) == digest;
}

static bool begin_replay(struct recording *rec, const struct run_options *o,
			 const struct blob *kernel, const struct blob *initrd, char *cmdline,
			 struct error *e)
{
	const struct record_run *run = &rec->run;

	if (!record_read(&rec->run, o->replay, e))
		return false;
	if (!is_same(kernel, run->kernel, run->kernel_digest))
		return error_set(e, "replay '%s': kernel '%s' is not the one of the recorded run",
				 o->replay, o->kernel);
	if (!is_same(initrd, run->initrd, run->initrd_digest))
		return error_set(e, "replay '%s': initrd '%s' is not the one of the recorded run",
				 o->replay, o->initrd ? o->initrd : "");
	if (run->memory != o->memory || strlen(run->cmdline) > CMDLINE_MAX)
		return error_set(e, "replay '%s': not with these options", o->replay);
	if (!same_disks(run, o, e))
		return false;
	strcpy(cmdline, run->cmdline);
	rec->recorder = recorder_replay(run);
	return rec->recorder || error_set(e, "replay '%s': out of memory", o->replay);
}

bool recording_begin(struct recording *rec, const struct run_options *o, const struct blob *kernel,
		     const struct blob *initrd, char *cmdline, struct error *e)
{
	memset(rec, 0, sizeof(*rec));
	if (o->record)
		return begin_record(rec, o, kernel, initrd, cmdline, e);
	return !o->replay || begin_replay(rec, o, kernel, initrd, cmdline, e);
}

void recording_end(struct recording *rec)
{
	recorder_free(rec->recorder);
	record_free(&rec->run);
	rec->recorder = NULL;
}
