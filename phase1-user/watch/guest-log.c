/*
 * The log of a guest's Linux: see guest-log.h.
 *
 * The variable prb points to three rings: descriptors, of which each has an ID that counts up, a
 * state in its two highest bits, and the extent of a text; what is known about each (level, time);
 * and texts, each behind the ID of its descriptor.
 */
#include "guest-log.h"

#include <string.h>
#include "../guest-memory.h"

#define DESC_SIZE     12
#define INFO_SIZE     88
#define ID_MASK	      0x3fffffffu
#define STATE_SHIFT   30
#define NO_DATA	      1u /* in both ends of the extent */
#define PANIC_RECORDS 4096

enum state { STATE_COMMITTED = 1, STATE_FINALIZED = 2 };

static const char panic_text[] = "Kernel panic - not syncing";

/* The head of the ring of descriptors grew by a word between 5.10 and 6.1. */
struct header {
	u32 count_bits, descs, infos, head, tail;
	u32 last_finalized; /* not in 5.10 */
	u32 size_bits, data, data_head, data_tail;
};

static bool is_header(const struct header *h)
{
	return h->count_bits >= 4 && h->count_bits <= 20 && h->size_bits >= 8 &&
	       h->size_bits <= 27 && h->descs && h->infos && h->data && h->descs % 4 == 0 &&
	       h->infos % 4 == 0 && ((h->head - h->tail) & ID_MASK) < 1u << h->count_bits;
}

static bool read_header(const struct vm *vm, u32 at, bool finalized, struct header *h)
{
	const size_t before = offsetof(struct header, last_finalized);
	const size_t behind = offsetof(struct header, size_bits);
	const u32 rest = at + (finalized ? behind : before);

	return guest_read_all(vm, at, h, before) &&
	       guest_read_all(vm, rest, (u8 *)h + behind, sizeof(*h) - behind) && is_header(h);
}

/* What a descriptor says, if it is that of `id`. */
struct desc {
	u32 state_and_id, begin, next;
};

static bool read_desc(const struct guest_log *log, u32 id, struct desc *d)
{
	const u32 index = id & ((1u << log->count_bits) - 1);
	unsigned state;

	if (!guest_read_all(log->vm, log->descs + index * DESC_SIZE, d, sizeof(*d)))
		return false;
	state = d->state_and_id >> STATE_SHIFT;
	return (d->state_and_id & ID_MASK) == id &&
	       (state == STATE_COMMITTED || state == STATE_FINALIZED);
}

static bool is_readable(const struct vm *vm, u32 at, u32 len)
{
	u8 byte;

	return at + len > at && guest_read_all(vm, at, &byte, 1) &&
	       guest_read_all(vm, at + len - 1, &byte, 1);
}

bool guest_log_open_at(struct guest_log *log, const struct vm *vm, u32 prb)
{
	struct header h = {0};
	u32 at;

	if (!guest_read_u32(vm, prb, &at))
		return false;
	if (!read_header(vm, at, true, &h) && !read_header(vm, at, false, &h))
		return false;
	*log = (struct guest_log){
		.vm = vm,
		.descs = h.descs,
		.infos = h.infos,
		.data = h.data,
		.count_bits = h.count_bits,
		.size_bits = h.size_bits,
		.tail = h.tail & ID_MASK,
		.records = ((h.head - h.tail) & ID_MASK) + 1,
	};
	return is_readable(vm, h.descs, DESC_SIZE << h.count_bits) &&
	       is_readable(vm, h.infos, INFO_SIZE << h.count_bits) &&
	       is_readable(vm, h.data, 1u << h.size_bits);
}

bool guest_log_open(struct guest_log *log, const struct vm *vm, const struct symbols *symbols)
{
	u64 prb, last;

	return symbols_find(symbols, "prb", &prb, &last) && guest_log_open_at(log, vm, prb);
}

/* Where a block of text begins in its ring, and how long it is with the ID before it. A block that
 * does not fit behind the last one begins at the ring's start. */
static bool find_block(const struct guest_log *log, const struct desc *d, u32 *at, u32 *len)
{
	const u32 size = 1u << log->size_bits;

	if (d->begin >> log->size_bits == d->next >> log->size_bits && d->begin < d->next) {
		*at = d->begin & (size - 1);
		*len = d->next - d->begin;
	} else if ((d->begin + size) >> log->size_bits == d->next >> log->size_bits) {
		*at = 0;
		*len = d->next & (size - 1);
	} else {
		return false;
	}
	return d->begin % 4 == 0 && d->next % 4 == 0 && *len >= 4;
}

static bool read_text(const struct guest_log *log, u32 id, const struct desc *d,
		      struct guest_log_record *r)
{
	u32 at, len, owner;

	if (d->begin & d->next & NO_DATA)
		r->len = 0;
	else if (!find_block(log, d, &at, &len) ||
		 !guest_read_u32(log->vm, log->data + at, &owner) || owner != id)
		return false;
	else if (r->len > len - 4)
		r->len = len - 4;
	if (r->len > GUEST_LOG_TEXT)
		r->len = GUEST_LOG_TEXT;
	r->text[r->len] = '\0';
	return !r->len || guest_read_all(log->vm, log->data + at + 4, r->text, r->len);
}

bool guest_log_read(const struct guest_log *log, u32 i, struct guest_log_record *r)
{
	const u32 id = (log->tail + i) & ID_MASK;
	const u32 index = id & ((1u << log->count_bits) - 1);
	struct desc d;
	struct {
		u32 seq[2], ns[2];
		u16 len;
		u8 facility, flags_and_level;
	} info;

	if (i >= log->records || !read_desc(log, id, &d) ||
	    !guest_read_all(log->vm, log->infos + index * INFO_SIZE, &info, sizeof(info)))
		return false;
	r->seq = (u64)info.seq[1] << 32 | info.seq[0];
	r->ns = (u64)info.ns[1] << 32 | info.ns[0];
	r->level = info.flags_and_level >> 5;
	r->facility = info.facility;
	r->len = info.len;
	return read_text(log, id, &d, r);
}

bool guest_log_panic(const struct guest_log *log, struct guest_log_record *r)
{
	const u32 oldest = log->records > PANIC_RECORDS ? log->records - PANIC_RECORDS : 0;

	/* What programs write to /dev/kmsg has another facility than the kernel's. */
	for (u32 i = log->records; i-- > oldest;)
		if (guest_log_read(log, i, r) && r->facility == 0 && r->level == 0 &&
		    !strncmp(r->text, panic_text, strlen(panic_text)))
			return true;
	return false;
}
