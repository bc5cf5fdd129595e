/*
 * What the hybrid engine's vcpu processes have mapped: see hybrid.h.
 */
#include "hybrid.h"
#include "../../common/shadow-records.h"

#define LAST_PAGE (SHADOW_PAGES - 1)

static u64 bit(u32 page)
{
	return 1ull << (page % 64);
}

static u64 *word(hybrid_pages pages, u32 page)
{
	return &pages[page / SHADOW_SLOT][page % SHADOW_SLOT / 64];
}

/* The bits of `word` that [page, end) has, where `page` is in it; *page moves on behind it. */
static u64 take_word(u32 *page, u32 end)
{
	const u32 first = *page, next = (first | 63) + 1, last = end < next ? end : next;
	const u64 below = last - first == 64 ? ~0ull : (1ull << (last - first)) - 1;

	*page = last;
	return below << (first % 64);
}

static bool is_code(const struct hybrid *h, u64 gpa)
{
	return gpa >> 12 < HYBRID_FRAMES && h->frame[gpa >> 12] == FRAME_TRANSLATED;
}

void hybrid_mapped(struct vm *vm, struct hybrid *h, u64 la, u64 gpa, u64 len, unsigned prot)
{
	for (u32 page = la >> 12, end = (la + len) >> 12; page < end;) {
		u64 *w = word(h->map[vm->pool.active].mapped, page);

		*w |= take_word(&page, end);
	}
	for (u64 at = 0; (prot & HOST_WRITE) && at < len; at += PAGE_SIZE_4K)
		if (is_code(h, gpa + at))
			host_protect(vm, la + at, PAGE_SIZE_4K, prot & ~HOST_WRITE);
}

void hybrid_unmapped(struct hybrid *h, u32 active, u64 la, u64 len)
{
	h->flush = true;
	for (u32 page = la >> 12, end = (la + len) >> 12; page < end;) {
		u64 *w = word(h->map[active].mapped, page);

		*w &= ~take_word(&page, end);
	}
}

void hybrid_forget(struct hybrid *h, u32 active, u64 la, u64 len)
{
	struct hybrid_map *m = &h->map[active];

	for (u32 page = la >> 12, end = (la + len) >> 12; page < end;) {
		const u32 slot = page / SHADOW_SLOT;
		const u64 *mapped = word(m->mapped, page);
		u64 *stale = word(m->stale, page), bits = *mapped & take_word(&page, end);

		if (!bits)
			continue;
		*stale |= bits;
		m->stale_slots[slot / 64] |= 1ull << (slot % 64);
	}
}

static void unmap_slot(struct vm *vm, struct hybrid_map *m, u32 slot)
{
	u32 page = slot * SHADOW_SLOT, end = page + SHADOW_SLOT, first;

	while (page < end) {
		if (!(*word(m->stale, page) & bit(page))) {
			page++;
			continue;
		}
		/* Up to the next page that stays: what is not mapped may go along. */
		for (first = page; page < end; page++)
			if (!(*word(m->stale, page) & bit(page)) &&
			    (*word(m->mapped, page) & bit(page)))
				break;
		host_unmap(vm, (u64)first << 12, (u64)(page - first) << 12);
	}
	mem_set(m->stale[slot], 0, sizeof(m->stale[slot]));
}

static void unmap_stale(struct vm *vm, struct hybrid_map *m)
{
	for (u32 w = 0; w < ARRAY_SIZE(m->stale_slots); w++)
		for (; m->stale_slots[w]; m->stale_slots[w] &= m->stale_slots[w] - 1)
			unmap_slot(vm, m, w * 64 + __builtin_ctzll(m->stale_slots[w]));
}

static bool is_writable_code(const struct hybrid *h, u32 record)
{
	return (record & SHADOW_WRITE) && (record & SHADOW_USER) &&
	       is_code(h, record & 0xfffff000u);
}

static void protect_slot(struct vm *vm, const struct hybrid *h, const struct hybrid_map *m,
			 u32 slot)
{
	for (u32 w = 0; w < SHADOW_SLOT / 64; w++)
		for (u64 left = m->mapped[slot][w]; left; left &= left - 1) {
			const u32 page = slot * SHADOW_SLOT + w * 64 + __builtin_ctzll(left);
			const u32 record = vm_shadow(vm)->record[page];

			if (is_writable_code(h, record))
				host_protect(vm, (u64)page << 12, PAGE_SIZE_4K,
					     shadow_rights(record & ~SHADOW_WRITE));
		}
}

/* Something has been translated since: it may be writable here. */
static void protect_code(struct vm *vm, const struct hybrid *h, const struct hybrid_map *m)
{
	for (u32 slot = 0; slot < SHADOW_SLOTS; slot++)
		if (vm_shadow(vm)->used[slot])
			protect_slot(vm, h, m, slot);
}

void hybrid_catch_up(struct vm *vm, struct hybrid *h)
{
	struct hybrid_map *m = &h->map[vm->pool.active];
	const bool flush = h->flush;

	unmap_stale(vm, m);
	h->flush = flush; /* of this it knows */
	if (m->translations == h->translations)
		return;
	m->translations = h->translations;
	protect_code(vm, h, m);
}

bool hybrid_code_written(struct vm *vm, struct hybrid *h, u32 la)
{
	const u32 record = vm_shadow(vm)->record[la >> 12], frame = record >> 12;

	if (!is_writable_code(h, record))
		return false;
	h->frame[frame] = FRAME_WRITTEN;
	h->written = true;
	return host_protect(vm, la & PAGE_MASK_4K, PAGE_SIZE_4K, shadow_rights(record)) == HOST_OK;
}
