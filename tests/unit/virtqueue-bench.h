/*
 * A virtqueue in RAM, and its driver: for its tests. One queue, one test at a time.
 */
#ifndef PLEX86_VIRTQUEUE_BENCH_H
#define PLEX86_VIRTQUEUE_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../phase1-user/hal/virtqueue.h"

#define RAM_SIZE 65536u
#define SIZE	 8u
#define DESC	 0x1000u
#define AVAIL	 0x2000u
#define USED	 0x3000u
#define TABLE	 0x4000u /* an indirect one */
#define BUFFER	 0x8000u

#define NEXT	 1u
#define WRITE	 2u
#define INDIRECT 4u

struct desc {
	u64 addr;
	u32 len;
	u16 flags, next;
};

static struct guest_ram ram;
static struct virtqueue q;
static struct virtq_chain chain;

/* ---- the driver's side ---- */

static inline u16 *word(u64 gpa)
{
	return (u16 *)(ram.base + gpa);
}

static inline void set_desc(u64 table, unsigned i, u64 addr, u32 len, u16 flags, u16 next)
{
	const struct desc d = {addr, len, flags, next};

	memcpy(ram.base + table + i * sizeof(d), &d, sizeof(d));
}

static inline void offer(u16 head)
{
	u16 *index = word(AVAIL + 2);

	*word(AVAIL + 4 + 2 * (*index % SIZE)) = head;
	++*index;
}

static inline u16 avail_event(void)
{
	return *word(USED + 4 + 8 * SIZE);
}

static inline void set_used_event(u16 event)
{
	*word(AVAIL + 4 + 2 * SIZE) = event;
}

static inline int set_up(void **state)
{
	(void)state;
	/* On the heap, at its exact size: ASan watches both ends. */
	ram = (struct guest_ram){calloc(1, RAM_SIZE), RAM_SIZE};
	q = (struct virtqueue){
		.ram = &ram, .size = SIZE, .desc = DESC, .avail = AVAIL, .used = USED};
	q.indirect = true;
	assert_true(virtqueue_start(&q));
	q.ready = true;
	return 0;
}

static inline int tear_down(void **state)
{
	(void)state;
	free(ram.base);
	return 0;
}

/* The queue must be broken by taking the chain at descriptor 0, and stay silent. */
static inline void assert_breaks(const char *why)
{
	offer(0);
	assert_false(virtqueue_pop(&q, &chain));
	assert_non_null(q.broken);
	if (!strstr(q.broken, why))
		fail_msg("broken because '%s', not '%s'", q.broken, why);
	assert_false(virtqueue_pop(&q, &chain));
	assert_false(virtqueue_has_work(&q));
	assert_false(virtqueue_enable_notify(&q));
	virtqueue_push(&q, 0, 0);
	assert_int_equal(*word(USED + 2), 0);
	assert_false(virtqueue_wants_interrupt(&q));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
