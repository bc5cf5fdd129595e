/*
 * What a virtual disk is stored in: the border between virtio-blk and its backends.
 *
 * Owns: the request and the table of functions a backend brings. Everything here is called with
 * the device lock held (phase1-user/loop.h), except that open functions are called before any
 * thread exists. A backend does the waiting on threads of its own or in the kernel.
 */
#ifndef PLEX86_HAL_BLOCK_H
#define PLEX86_HAL_BLOCK_H

#include <sys/uio.h>
#include "../error.h"
#include "../loop.h"

#define BLOCK_SECTOR 512u
/* Segments a request may have: as many as a virtqueue's chain. */
#define BLOCK_SEGMENTS 256

enum block_op { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_DISCARD, BLOCK_WRITE_ZEROES };

/* One request. Its owner fills in the first part and leaves all of it alone until done(). */
struct block_request {
	enum block_op op;
	bool may_unmap;	    /* BLOCK_WRITE_ZEROES: the space may be given back */
	u64 offset, length; /* bytes, within the disk; whole sectors */
	unsigned segments;  /* reads and writes: together they have `length` bytes */
	struct iovec segment[BLOCK_SEGMENTS];

	/* The backend's. */
	int error; /* an errno value; 0: done */
	void *buffer;
	struct block_request *next;
};

struct block;

/* The user of a backend. */
struct block_owner {
	/* `r` has ended, with r->error. May be called within submit(), kick() and drain(). */
	void (*done)(void *opaque, struct block_request *r);
	/* Some done() calls have been made, and none will follow soon. Not called for those made
	 * within submit(), kick() and drain(). */
	void (*batch)(void *opaque);
	void *opaque;
};

/* Two of them are the same if nothing has been written in between. */
struct block_identity {
	u64 device, inode; /* 0 where only the contents count */
	u64 size, changed_ns;
};

struct block_ops {
	/* The guest will run soon: watch descriptors. */
	bool (*start)(struct block *b, struct loop *loop, struct error *e);
	/* Take a request. Requests in flight may be carried out in any order. A flush covers the
	 * writes that were done() before it was submitted. */
	void (*submit)(struct block *b, struct block_request *r);
	/* The last of a group of submit()s. */
	void (*kick)(struct block *b);
	/* Wait until all requests are done(). */
	void (*drain)(struct block *b);
	/* Nothing is in flight: close and free. */
	void (*close)(struct block *b);
	/* Nothing is in flight: what another process must find there to go on with it. False: `why`
	 * says why that cannot be told. May be NULL. */
	bool (*identify)(struct block *b, struct block_identity *id, const char **why);
};

/* The head of every backend's structure. */
struct block {
	const struct block_ops *ops;
	u64 size; /* bytes, a multiple of BLOCK_SECTOR */
	bool read_only;
	bool can_discard, can_write_zeroes;
	struct block_owner owner; /* set by the owner before start() */
};

/* What may be asked for behind a disk's name. */
struct block_options {
	bool read_only, cow;
};

/* Open a raw image or block device, with a private overlay if options.cow. */
struct block *block_file_open(const char *name, struct block_options options, struct error *e);
/* Connect to an NBD server; `uri` as libnbd knows them. */
struct block *block_nbd_open(const char *uri, struct block_options options, struct error *e);

#endif
