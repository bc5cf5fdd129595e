/*
 * The virtio devices of one machine: see device.h.
 */
#include "device.h"
#include "../loader/loader.h"

#include <stdio.h>
#include <string.h>

/* Lines of the 8259 pair that nothing else on the board uses. The slave's, from 8 on, cost the
 * guest one more port access an interrupt: busy devices take the first, quiet ones the last. */
static const u8 free_irq[HAL_DEVICES_MAX] = {5, 6, 7, 3, 9, 10, 11, 12, 14, 15};

extern const struct hal_kind hal_agent, hal_balloon, hal_console, hal_disk, hal_net, hal_rng,
	hal_share, hal_vhost_user;

/* Every kind of device there is. */
static const struct hal_kind *const kinds[] = {
	&hal_agent, &hal_balloon, &hal_console, &hal_disk,
	&hal_net,   &hal_rng,	  &hal_share,	&hal_vhost_user,
};

static const struct hal_kind *find_kind(const char *option)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i]->option, option))
			return kinds[i];
	return NULL;
}

/* Two file systems of one tag would be one to the guest. */
static bool tag_taken(const struct hal *h, const char *tag)
{
	for (unsigned i = 0; tag && i < h->count; i++)
		if (h->device[i]->tag && !strcmp(h->device[i]->tag, tag))
			return true;
	return false;
}

static bool irq_taken(const struct hal *h, u8 irq)
{
	for (unsigned i = 0; i < h->count; i++)
		if (h->device[i]->virtio.irq == irq)
			return true;
	return false;
}

/* There is one: see HAL_DEVICES_MAX. */
static u8 choose_irq(const struct hal *h, bool quiet)
{
	unsigned i = quiet ? HAL_DEVICES_MAX - 1 : 0;

	while (irq_taken(h, free_irq[i]))
		i += quiet ? -1 : 1;
	return free_irq[i];
}

bool hal_add(struct hal *h, const char *option, const char *spec, struct error *e)
{
	const struct hal_kind *kind = find_kind(option);
	struct hal_device *d;

	if (!kind)
		return error_set(e, "device '%s': there is no such kind", option);
	if (h->count == HAL_DEVICES_MAX)
		return error_set(e, "%s '%s': a machine has at most %d devices", option, spec,
				 HAL_DEVICES_MAX);
	d = kind->open(spec, e);
	if (!d)
		return false;
	if (tag_taken(h, d->tag)) {
		error_set(e,
			  "%s '%s': another folder has the tag '%s' (give it one of its own: "
			  "DIR=TAG)",
			  option, spec, d->tag);
		kind->destroy(d);
		return false;
	}
	d->kind = kind;
	d->virtio.slot = h->count;
	d->virtio.irq = choose_irq(h, kind->quiet);
	h->device[h->count++] = d;
	return true;
}

struct hal_device *hal_find(const struct hal *h, const char *option)
{
	for (unsigned i = 0; i < h->count; i++)
		if (!strcmp(h->device[i]->kind->option, option))
			return h->device[i];
	return NULL;
}

u16 hal_irqs(void)
{
	u16 mask = 0;

	for (unsigned i = 0; i < HAL_DEVICES_MAX; i++)
		mask |= 1u << free_irq[i];
	return mask;
}

void hal_cmdline(const struct hal *h, char *text, size_t size)
{
	size_t used = 0;

	if (size)
		text[0] = '\0';
	for (unsigned i = 0; i < h->count && used + 1 < size; i++) {
		text[used++] = ' ';
		virtio_cmdline(&h->device[i]->virtio, text + used, size - used);
		used += strlen(text + used);
	}
}

unsigned hal_boot_devices(const struct hal *h, struct boot_device *device)
{
	for (unsigned i = 0; i < h->count; i++) {
		const struct virtio_device *v = &h->device[i]->virtio;

		device[i] = (struct boot_device){VIRTIO_MMIO_BASE + v->slot * VIRTIO_MMIO_SIZE,
						 VIRTIO_MMIO_SIZE, v->irq};
	}
	return h->count;
}

bool hal_attach(struct hal *h, struct bus *bus, const struct virtio_board *board, struct loop *loop,
		struct error *e)
{
	h->board = *board;
	for (unsigned i = 0; i < h->count; i++) {
		struct hal_device *d = h->device[i];

		if (!virtio_register(&d->virtio, bus, &h->board, d->virtio.slot, d->virtio.irq))
			return error_set(e, "%s: its place on the bus is taken", d->kind->option);
		if (d->kind->start && !d->kind->start(d, loop, e))
			return false;
		virtio_publish(&d->virtio);
	}
	return true;
}

void hal_notify(struct hal *h, u64 bells)
{
	for (; bells; bells &= bells - 1) {
		unsigned bell = __builtin_ctzll(bells), i = bell / DEVICE_BELLS;

		if (i < h->count)
			virtio_notify(&h->device[i]->virtio, bell % DEVICE_BELLS);
	}
}

const char *hal_undriven(const struct hal *h, unsigned i, char *text, size_t size)
{
	const struct virtio_device *v;

	if (i >= h->count || h->device[i]->unasked || h->device[i]->virtio.was_driven)
		return NULL;
	v = &h->device[i]->virtio;
	snprintf(text, size, "%s %u: the guest has no driver for it (its kernel needs %s)",
		 v->ops->name, v->slot, v->ops->guest_option);
	return text;
}

/* ---- snapshots ---- */

bool hal_save_nothing(struct hal_device *d, struct byte_writer *w, struct error *e)
{
	(void)d, (void)w, (void)e;
	return true;
}

bool hal_load_nothing(struct hal_device *d, struct byte_reader *r, struct error *e)
{
	(void)d, (void)r, (void)e;
	return true;
}

/* What a device adds comes first in time, for that brings it to rest, and last in the file. */
static bool save_device(struct hal_device *d, struct byte_writer *w, struct error *e)
{
	struct byte_writer own = {0};
	bool ok = d->kind->save(d, &own, e);
	size_t part;

	if (ok) {
		bytes_put_text(w, d->kind->option);
		part = bytes_begin(w);
		virtio_save(&d->virtio, w);
		bytes_put(w, own.data, own.used);
		bytes_end(w, part);
		w->failed |= own.failed;
	}
	bytes_free(&own);
	return ok;
}

bool hal_save(struct hal *h, struct byte_writer *w, struct error *e)
{
	for (unsigned i = 0; i < h->count; i++)
		if (!h->device[i]->kind->save)
			return error_set(e,
					 "--%s: cannot be in a snapshot, for another program "
					 "has a part of its state",
					 h->device[i]->kind->option);
	bytes_put_u32(w, h->count);
	for (unsigned i = 0; i < h->count; i++)
		if (!save_device(h->device[i], w, e))
			return false;
	return true;
}

static bool load_device(struct hal_device *d, struct byte_reader *r, struct error *e)
{
	struct byte_reader part;
	char option[32];
	const char *why;

	bytes_get_text(r, option, sizeof(option));
	if (r->failed || strcmp(option, d->kind->option))
		return error_set(e, "%s %u: another device is there in the snapshot",
				 d->kind->option, d->virtio.slot);
	part = bytes_get_part(r);
	why = virtio_load(&d->virtio, &part, d->kind->fixed_config);
	if (why)
		return error_set(e, "%s %u: %s", d->kind->option, d->virtio.slot, why);
	if (!d->kind->load(d, &part, e))
		return false;
	return bytes_all_read(&part) ||
	       error_set(e, "%s %u: its state is damaged", d->kind->option, d->virtio.slot);
}

bool hal_load(struct hal *h, struct byte_reader *r, u64 *bells, struct error *e)
{
	const u64 all = (1u << DEVICE_BELLS) - 1;

	*bells = 0;
	if (bytes_get_u32(r) != h->count)
		return error_set(e, "devices: there are others in the snapshot");
	for (unsigned i = 0; i < h->count; i++) {
		if (!h->device[i]->kind->load || !load_device(h->device[i], r, e))
			return false;
		*bells |= all << DEVICE_BELLS * h->device[i]->virtio.slot;
	}
	return true;
}

void hal_destroy(struct hal *h)
{
	while (h->count) {
		struct hal_device *d = h->device[--h->count];

		d->kind->destroy(d);
	}
}

char *hal_next_word(char **rest)
{
	char *word = *rest, *comma;

	if (!word)
		return NULL;
	comma = strchr(word, ',');
	if (comma)
		*comma++ = '\0';
	*rest = comma;
	return word;
}
