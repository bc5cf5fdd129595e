/*
 * Unit tests of phase1-user/hal/virtqueue.c: when either side tells the other.
 */
#include "virtqueue-bench.h"

/* ---- notifications ---- */

static void interrupt_flag(void **state)
{
	(void)state;
	assert_false(virtqueue_wants_interrupt(&q)); /* nothing pushed */
	virtqueue_push(&q, 0, 0);
	assert_true(virtqueue_wants_interrupt(&q));
	assert_false(virtqueue_wants_interrupt(&q)); /* once for each */
	*word(AVAIL) = 1;
	virtqueue_push(&q, 0, 0);
	assert_false(virtqueue_wants_interrupt(&q));
	*word(AVAIL) = 0;
	virtqueue_push(&q, 0, 0);
	assert_true(virtqueue_wants_interrupt(&q));
}

static void notify_flag(void **state)
{
	(void)state;
	virtqueue_disable_notify(&q);
	assert_int_equal(*word(USED), 1);
	assert_false(virtqueue_enable_notify(&q));
	assert_int_equal(*word(USED), 0);
	virtqueue_disable_notify(&q);
	offer(0);
	assert_true(virtqueue_enable_notify(&q)); /* came in between */
}

static void notify_event(void **state)
{
	(void)state;
	q.event_index = true;
	set_desc(DESC, 0, BUFFER, 1, 0, 0);
	virtqueue_disable_notify(&q);
	assert_int_equal(*word(USED), 0); /* the flag is not used with the event index */
	offer(0);
	assert_true(virtqueue_enable_notify(&q));
	assert_int_equal(avail_event(), 0);
	assert_true(virtqueue_pop(&q, &chain));
	assert_false(virtqueue_enable_notify(&q));
	assert_int_equal(avail_event(), 1);
}

/* virtio 1.2, 2.7.10: as the specification has it. */
static bool vring_need_event(u16 event, u16 new_index, u16 old)
{
	return (u16)(new_index - event - 1) < (u16)(new_index - old);
}

static void event_index_as_specified(void **state)
{
	static const u16 starts[] = {0, 1, 0x7fff, 0x8000, 0xfff0, 0xfffe, 0xffff};

	(void)state;
	q.event_index = true;
	for (size_t s = 0; s < sizeof(starts) / sizeof(starts[0]); s++)
		for (u16 pushed = 1; pushed < 20; pushed++)
			for (int event = -40; event <= 40; event++) {
				const u16 old = starts[s], now = old + pushed;
				const u16 at = old + event;

				q.signalled = old;
				q.signalled_valid = true;
				q.next_used = now;
				set_used_event(at);
				assert_int_equal(virtqueue_wants_interrupt(&q),
						 vring_need_event(at, now, old));
				assert_int_equal(q.signalled, now);
			}
}

/* Whatever the event says, the first chain given back is announced. */
static void first_is_announced(void **state)
{
	(void)state;
	q.event_index = true;
	set_used_event(0x1234);
	virtqueue_push(&q, 0, 0);
	assert_true(virtqueue_wants_interrupt(&q));
	virtqueue_push(&q, 0, 0);
	assert_false(virtqueue_wants_interrupt(&q));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(interrupt_flag),		TEST(notify_flag),	  TEST(notify_event),
		TEST(event_index_as_specified), TEST(first_is_announced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
