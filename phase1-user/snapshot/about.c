/*
 * What a running guest's snapshot would say of it: see about.h.
 */
#include "about.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../hal/netdev.h"

u64 about_changed_ns(const struct stat *st)
{
	return st->st_mtim.tv_sec * 1000000000ull + st->st_mtim.tv_nsec;
}

void about_absolute(char *to, size_t size, const char *text, size_t prefix)
{
	const size_t end = prefix + strcspn(text + prefix, ",");
	char path[PATH_MAX], real[PATH_MAX];

	if (end - prefix < sizeof(path)) {
		memcpy(path, text + prefix, end - prefix);
		path[end - prefix] = '\0';
		if (realpath(path, real) && prefix + strlen(real) + strlen(text + end) < size) {
			memcpy(to, text, prefix);
			strcpy(to + prefix, real);
			strcat(to, text + end);
			return;
		}
	}
	snprintf(to, size, "%s", text);
}

/* A guest keeps the address that its card had, whoever chooses one next time. */
static void put_mac(char *spec, size_t size, const struct hal_device *d)
{
	const size_t used = strlen(spec);
	u8 mac[6];

	if (strstr(spec, ",mac="))
		return;
	net_get_mac(d, mac);
	snprintf(spec + used, size - used, ",mac=%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
		 mac[2], mac[3], mac[4], mac[5]);
}

static void put_spec(struct snapshot_device *to, const char *spec, const struct hal_device *d)
{
	const bool net = !strcmp(to->option, "net");

	if (!strcmp(to->option, "disk") && !strstr(spec, "://"))
		about_absolute(to->spec, sizeof(to->spec), spec, 0);
	else if (net && !strncmp(spec, "lan=", 4))
		about_absolute(to->spec, sizeof(to->spec), spec, 4);
	else
		snprintf(to->spec, sizeof(to->spec), "%s", spec);
	if (net)
		put_mac(to->spec, sizeof(to->spec), d);
}

static void put_devices(struct snapshot_config *c, const struct run_options *o,
			const struct hal *hal)
{
	unsigned asked = 0;

	c->devices = hal->count;
	for (unsigned i = 0; i < hal->count; i++) {
		const struct hal_device *d = hal->device[i];
		struct snapshot_device *to = &c->device[i];

		snprintf(to->option, sizeof(to->option), "%s", d->kind->option);
		to->unasked = d->unasked;
		if (!d->unasked && asked < o->devices)
			put_spec(to, o->device[asked++].spec, d);
	}
}

void snapshot_about(struct snapshot_config *c, const struct run_options *o, const struct hal *hal,
		    const struct stat *kernel)
{
	const char *slash = strrchr(o->kernel, '/');

	snprintf(c->made_by, sizeof(c->made_by), "plex86");
	c->memory = o->memory;
	c->deterministic = o->deterministic;
	c->no_fast_paths = o->no_fast_paths;
	c->command = o->command != NULL;
	about_absolute(c->kernel, sizeof(c->kernel), o->kernel, 0);
	c->kernel_size = kernel->st_size;
	c->kernel_changed_ns = about_changed_ns(kernel);
	snprintf(c->name, sizeof(c->name), "%.*s", (int)sizeof(c->name) - 1,
		 slash ? slash + 1 : o->kernel);
	put_devices(c, o, hal);
}

bool snapshot_kernel_is(const struct snapshot_config *c, struct stat *kernel)
{
	if (!stat(c->kernel, kernel) && (u64)kernel->st_size == c->kernel_size &&
	    about_changed_ns(kernel) == c->kernel_changed_ns)
		return true;
	memset(kernel, 0, sizeof(*kernel));
	return false;
}
