/*
 * Recording a deterministic run's input, and giving it again.
 *
 * Owns: when input reaches the guest: only where a count of guest-visible events has just been
 * reached, or where the guest waits, so that the count alone says when. All of it runs with the
 * loop's lock held.
 */
#ifndef PLEX86_RECORDER_H
#define PLEX86_RECORDER_H

#include "../engine/engine.h"
#include "../hal/device.h"
#include "../hal/serial.h"
#include "record-file.h"

struct recorder;

/* Record into the file `path`, which begins with `run`. NULL: `e` says why not. */
struct recorder *recorder_create(const char *path, const struct record_run *run, struct error *e);
/* Replay `run`, which must outlive it. NULL: out of memory. */
struct recorder *recorder_replay(const struct record_run *run);
void recorder_free(struct recorder *r);

/* Before the first run. `stop_at`: where the user wants it to stop besides; 0: nowhere. */
void recorder_attach(struct recorder *r, struct engine *engine, struct serial *serial, u64 stop_at);

/* The run has this network card. */
void recorder_attach_card(struct recorder *r, struct hal_device *card);

/* How much of what the guest's port has room for is wanted now, and the taking of it. I/O thread.
 */
size_t recorder_room(const struct recorder *r, size_t room);
size_t recorder_input(struct recorder *r, const u8 *data, size_t n);

/* What a stop has been for. */
enum recorder_stop {
	RECORDER_GO_ON,
	RECORDER_MARK,	 /* recorder_mark()'s */
	RECORDER_USER,	 /* the user's `stop_at` */
	RECORDER_OVER,	 /* what was recorded ended here, and not by the guest's doing */
	RECORDER_PARTED, /* the replay is not what was recorded */
	RECORDER_ERROR,	 /* writing the file failed: recorder_error() */
};

/* The guest stands still: EXIT_KICKED, or EXIT_DEBUG for its events. */
enum recorder_stop recorder_kicked(struct recorder *r);
enum recorder_stop recorder_stopped(struct recorder *r);
/* Of a replay, for who goes back in it: stop (RECORDER_MARK) at this count of events as well, 0: at
 * none; which of the inputs is next; and go on with another engine, which stands before that one.
 */
void recorder_mark(struct recorder *r, u64 events);
size_t recorder_position(const struct recorder *r);
void recorder_rewind(struct recorder *r, struct engine *engine, size_t position);
int recorder_error(const struct recorder *r);

/* The run has ended: `how` and `value` as machine.h has them, `natural` by what the guest did.
 * True: a replay ended as recorded, or there is nothing to compare with. */
bool recorder_end(struct recorder *r, const char *how, u64 value, bool natural);
/* Of a replay: what did not agree. */
const char *recorder_difference(const struct recorder *r);

#endif
