/*
 * What it takes to build a machine again: see config.h.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>
#include <x86intrin.h>
#include "../cmd/options.h"

#define CONFIG_VERSION 1

/* Clocks further apart than this make a guest's time wrong by more than its own correction by NTP
 * can mend, 500 ppm. */
#define KHZ_TOLERANCE 2000

void snapshot_config_host(struct snapshot_config *c, u64 tsc_khz)
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	c->boot_id[0] = '\0';
	if (f) {
		if (!fgets(c->boot_id, sizeof(c->boot_id), f))
			c->boot_id[0] = '\0';
		fclose(f);
	}
	c->boot_id[strcspn(c->boot_id, "\n")] = '\0';
	c->tsc = __rdtsc();
	c->tsc_khz = tsc_khz;
}

void snapshot_config_put(const struct snapshot_config *c, struct byte_writer *w)
{
	bytes_put_u32(w, CONFIG_VERSION);
	bytes_put_text(w, c->made_by);
	bytes_put_u64(w, c->memory);
	bytes_put_u8(w, c->abi);
	bytes_put_u8(w, c->multiboot);
	bytes_put_u8(w, c->deterministic);
	bytes_put_u8(w, c->no_fast_paths);
	bytes_put_u8(w, c->command);
	bytes_put_text(w, c->kernel);
	bytes_put_u64(w, c->kernel_size);
	bytes_put_u64(w, c->kernel_changed_ns);
	bytes_put_text(w, c->cmdline);
	bytes_put_text(w, c->name);
	bytes_put_u32(w, c->devices);
	for (unsigned i = 0; i < c->devices; i++) {
		bytes_put_text(w, c->device[i].option);
		bytes_put_text(w, c->device[i].spec);
		bytes_put_u8(w, c->device[i].unasked);
	}
	bytes_put_text(w, c->boot_id);
	bytes_put_u64(w, c->tsc);
	bytes_put_u64(w, c->tsc_khz);
}

static bool memory_valid(u64 memory)
{
	return memory >= MEMORY_MIN && memory <= MEMORY_MAX && memory % PAGE_SIZE_4K == 0;
}

bool snapshot_config_get(struct snapshot_config *c, struct byte_reader *r)
{
	if (bytes_get_u32(r) != CONFIG_VERSION)
		return false;
	bytes_get_text(r, c->made_by, sizeof(c->made_by));
	c->memory = bytes_get_u64(r);
	c->abi = bytes_get_bool(r);
	c->multiboot = bytes_get_bool(r);
	c->deterministic = bytes_get_bool(r);
	c->no_fast_paths = bytes_get_bool(r);
	c->command = bytes_get_bool(r);
	bytes_get_text(r, c->kernel, sizeof(c->kernel));
	c->kernel_size = bytes_get_u64(r);
	c->kernel_changed_ns = bytes_get_u64(r);
	bytes_get_text(r, c->cmdline, sizeof(c->cmdline));
	bytes_get_text(r, c->name, sizeof(c->name));
	c->devices = bytes_get_u32(r);
	if (r->failed || c->devices > HAL_DEVICES_MAX || !memory_valid(c->memory))
		return false;
	for (unsigned i = 0; i < c->devices; i++) {
		bytes_get_text(r, c->device[i].option, sizeof(c->device[i].option));
		bytes_get_text(r, c->device[i].spec, sizeof(c->device[i].spec));
		c->device[i].unasked = bytes_get_bool(r);
	}
	bytes_get_text(r, c->boot_id, sizeof(c->boot_id));
	c->tsc = bytes_get_u64(r);
	c->tsc_khz = bytes_get_u64(r);
	return bytes_all_read(r);
}

static u64 distance(u64 a, u64 b)
{
	return a > b ? a - b : b - a;
}

bool snapshot_clock_goes_on(const struct snapshot_config *then, const struct snapshot_config *now,
			    const char **why)
{
	if (then->deterministic)
		return true;
	if (now->tsc < then->tsc) {
		*why = "this host's time-stamp counter is behind that of the snapshot, and time "
		       "would stand still for the guest (the host has been started again, or is "
		       "another one; only --deterministic guests can go on there)";
		return false;
	}
	if (!strcmp(then->boot_id, now->boot_id) && then->boot_id[0])
		return true;
	if (distance(now->tsc_khz, then->tsc_khz) <= then->tsc_khz / KHZ_TOLERANCE)
		return true;
	*why = "this host's time-stamp counter runs at another speed than that of the snapshot "
	       "(it is another host; only --deterministic guests can go on there)";
	return false;
}
