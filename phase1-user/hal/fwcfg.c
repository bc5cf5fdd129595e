/*
 * What the board tells its firmware: see fwcfg.h.
 */
#include "fwcfg.h"

#include <stdio.h>
#include <string.h>

#define PORT_MESSAGE 0x402
#define PORT_SELECT  0x510
#define PORT_DATA    1 /* from there */

#define MESSAGE_HERE 0xe9 /* how firmware finds out that the port is there */

enum {
	KEY_SIGNATURE = 0,
	KEY_ID = 1,
	KEY_CPUS = 5,
	KEY_CPUS_MAX = 0x0f,
	KEY_DIRECTORY = 0x19,
	KEY_FILES = 0x20
};

#define NAME_MAX_BYTES 56

static void put_big(u8 *at, u32 value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		at[i] = value >> 8 * (bytes - 1 - i);
}

/* The bytes behind a key; those of unknown keys are none. */
static const u8 *item(const struct fwcfg *f, u32 *size)
{
	static const u8 signature[] = {'Q', 'E', 'M', 'U'}, id[] = {1, 0, 0, 0}, one[] = {1, 0};
	const unsigned i = f->key - KEY_FILES;

	switch (f->key) {
	case KEY_SIGNATURE:
		*size = sizeof(signature);
		return signature;
	case KEY_ID:
		*size = sizeof(id);
		return id;
	case KEY_CPUS:
	case KEY_CPUS_MAX:
		*size = sizeof(one);
		return one;
	case KEY_DIRECTORY:
		*size = 4 + f->files * 64;
		return f->directory;
	}
	*size = i < f->files ? f->file[i].size : 0;
	return i < f->files ? f->file[i].data : NULL;
}

static u64 cfg_read(void *opaque, u64 offset, unsigned size)
{
	struct fwcfg *f = opaque;
	const u8 *data;
	u32 total;

	(void)size;
	if (offset != PORT_DATA)
		return 0;
	data = item(f, &total);
	return f->offset < total ? data[f->offset++] : 0;
}

static void cfg_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct fwcfg *f = opaque;

	if (offset || size != 2)
		return;
	f->key = value;
	f->offset = 0;
}

static u64 message_read(void *opaque, u64 offset, unsigned size)
{
	(void)opaque, (void)offset, (void)size;
	return MESSAGE_HERE;
}

static void message_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct fwcfg *f = opaque;

	(void)offset, (void)size;
	if (f->say)
		f->say(f->opaque, value);
}

void fwcfg_init(struct fwcfg *f)
{
	memset(f, 0, sizeof(*f));
}

void fwcfg_add(struct fwcfg *f, const char *name, const void *data, u32 size)
{
	u8 *entry = f->directory + 4 + f->files * 64;

	f->file[f->files] = (struct fwcfg_file){name, data, size};
	put_big(entry, size, 4);
	put_big(entry + 4, KEY_FILES + f->files, 2);
	snprintf((char *)entry + 8, NAME_MAX_BYTES, "%s", name);
	put_big(f->directory, ++f->files, 4);
}

bool fwcfg_register(struct fwcfg *f, struct bus *b)
{
	static const struct bus_ops cfg = {cfg_read, cfg_write, 2};
	static const struct bus_ops message = {message_read, message_write, 1};

	return bus_register_io(b, PORT_SELECT, 2, &cfg, f) &&
	       bus_register_io(b, PORT_MESSAGE, 1, &message, f);
}
