/*
 * The virtio devices of one machine: opened from the command line, put on the bus, closed.
 *
 * Owns: the list of device kinds, device numbers and interrupt lines. A device is one file that
 * defines a struct hal_kind, named in the table of device.c.
 */
#ifndef PLEX86_HAL_DEVICE_H
#define PLEX86_HAL_DEVICE_H

#include "../error.h"
#include "../loop.h"
#include "virtio.h"

#define HAL_DEVICES_MAX 10 /* as many as there are free interrupt lines */

struct hal_device;

struct hal_kind {
	const char *option; /* "disk": the long option that adds one */
	bool quiet;	    /* interrupts so seldom that its line may be a dear one */
	/* Parse `spec` and open what it names. NULL: `e` says what is wrong (exit status 2). */
	struct hal_device *(*open)(const char *spec, struct error *e);
	/* The machine is built, the guest not yet running: watch descriptors, start threads. The
	 * device lock is not held. May be NULL. */
	bool (*start)(struct hal_device *d, struct loop *loop, struct error *e);
	/* For a snapshot, the guest standing still: come to rest, and add what load() needs beside
	 * the transport's state, which is there already when it is called. False: `e` says why not.
	 * Without save(): there can be no snapshot. */
	bool (*save)(struct hal_device *d, struct byte_writer *w, struct error *e);
	bool (*load)(struct hal_device *d, struct byte_reader *r, struct error *e);
	bool fixed_config; /* the configuration space must be as it was */
	/* The guest has stopped for good and the I/O thread with it: finish what was acknowledged,
	 * stop threads, close, free. */
	void (*destroy)(struct hal_device *d);
};

/* The head of every device's own structure. */
struct hal_device {
	const struct hal_kind *kind;
	struct virtio_device virtio;
	bool unasked;	 /* every guest has it: one without a driver is no mistake */
	const char *tag; /* of a file system: what the guest mounts it by. NULL: none */
};

struct hal {
	struct hal_device *device[HAL_DEVICES_MAX];
	unsigned count;
	struct virtio_board board;
};

/* Open a device; nothing of it is visible to a guest yet. */
bool hal_add(struct hal *h, const char *option, const char *spec, struct error *e);
/* The first device of a kind, or NULL. */
struct hal_device *hal_find(const struct hal *h, const char *option);
/* The interrupt lines devices may have, as a mask. They are levels: a line that stays high when its
 * interrupt is acknowledged has another reason to interrupt. */
u16 hal_irqs(void);
/* The kernel command line words for all devices, each preceded by a blank. */
void hal_cmdline(const struct hal *h, char *text, size_t size);
/* The same for the loader's tables: fills in h->count entries. */
struct boot_device;
unsigned hal_boot_devices(const struct hal *h, struct boot_device *device);
/* Put them on the bus and start them. */
bool hal_attach(struct hal *h, struct bus *bus, const struct virtio_board *board, struct loop *loop,
		struct error *e);
/* Doorbells have been rung: bits DEVICE_BELLS * slot + queue, of which any may be set. */
void hal_notify(struct hal *h, u64 bells);
/* A device the guest never looked at: the line that says which kernel option is missing. NULL if
 * device `i` was driven, or there is none. */
const char *hal_undriven(const struct hal *h, unsigned i, char *text, size_t size);
void hal_destroy(struct hal *h);

/* All devices, attached, at rest; and the same ones in another process, before the guest runs.
 * `*bells`: doorbells that must be rung then, for what came in between. */
bool hal_save(struct hal *h, struct byte_writer *w, struct error *e);
bool hal_load(struct hal *h, struct byte_reader *r, u64 *bells, struct error *e);
/* save() and load() of devices that have nothing to add. */
bool hal_save_nothing(struct hal_device *d, struct byte_writer *w, struct error *e);
bool hal_load_nothing(struct hal_device *d, struct byte_reader *r, struct error *e);

/* For the options of a spec "VALUE,key=value,flag": cut off the next word at a comma, in place.
 * Returns it, or NULL at the end. */
char *hal_next_word(char **rest);

#endif
