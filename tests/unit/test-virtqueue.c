/*
 * Unit tests of the virtqueue: chains, broken rings, notifications, the event index.
 */
#include "virtqueue-bench.h"

/* ---- set-up ---- */

static void bad_size(void **state)
{
	static const u16 sizes[] = {0, 3, 6, 255, 257, 512, 0x8000, 0xffff};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		q.broken = NULL;
		q.size = sizes[i];
		assert_false(virtqueue_start(&q));
		assert_non_null(strstr(q.broken, "power of two"));
	}
	for (u16 size = 1; size <= VIRTQUEUE_MAX_SIZE; size *= 2) {
		q.broken = NULL;
		q.size = size;
		assert_true(virtqueue_start(&q));
	}
}

static void bad_areas(void **state)
{
	static const u64 outside[] = {RAM_SIZE,	  RAM_SIZE - 16,      1ull << 32,
				      1ull << 63, 0xfffffffffffffff0, 0xffffffffull << 32};
	u64 *const area[] = {&q.desc, &q.avail, &q.used};

	(void)state;
	for (unsigned a = 0; a < 3; a++) {
		u64 good = *area[a];

		for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
			q.broken = NULL;
			*area[a] = outside[i];
			assert_false(virtqueue_start(&q));
			assert_non_null(strstr(q.broken, "outside RAM"));
		}
		q.broken = NULL;
		*area[a] = good + 1;
		assert_false(virtqueue_start(&q));
		assert_non_null(strstr(q.broken, "aligned"));
		*area[a] = good;
	}
}

/* Used chains would be on offer again, without end. */
static void overlapping_rings(void **state)
{
	const u32 avail_bytes = 6 + 2 * SIZE, used_bytes = 6 + 8 * SIZE;
	const u64 used = q.used;

	(void)state;
	for (u64 at = (AVAIL - used_bytes - 8) & ~3u; at < AVAIL + avail_bytes + 8; at += 4) {
		const bool apart = at + used_bytes <= AVAIL || at >= AVAIL + avail_bytes;

		q.broken = NULL;
		q.used = at;
		assert_int_equal(virtqueue_start(&q), apart);
		if (!apart)
			assert_non_null(strstr(q.broken, "over each other"));
	}
	q.broken = NULL;
	q.used = used;
}

/* The last byte of each area may be the last byte of RAM, and not one more. */
static void areas_at_the_end(void **state)
{
	(void)state;
	q.desc = RAM_SIZE - 16 * SIZE;
	assert_true(virtqueue_start(&q));
	q.desc = DESC;
	q.avail = RAM_SIZE - (6 + 2 * SIZE);
	assert_true(virtqueue_start(&q));
	q.avail += 2;
	assert_false(virtqueue_start(&q));
	q.broken = NULL;
	q.avail = AVAIL;
	q.used = RAM_SIZE - (8 + 8 * SIZE);
	assert_true(virtqueue_start(&q));
	q.used += 4;
	assert_false(virtqueue_start(&q));
}

static void ram_limits(void **state)
{
	(void)state;
	assert_ptr_equal(guest_ram_at(&ram, 0, RAM_SIZE), ram.base);
	assert_ptr_equal(guest_ram_at(&ram, RAM_SIZE - 1, 1), ram.base + RAM_SIZE - 1);
	assert_null(guest_ram_at(&ram, RAM_SIZE - 1, 2));
	assert_null(guest_ram_at(&ram, RAM_SIZE, 0));
	assert_null(guest_ram_at(&ram, 1, ~(u64)0));
	assert_null(guest_ram_at(&ram, ~(u64)0, 1));
}

/* ---- chains ---- */

static void plain_chain(void **state)
{
	(void)state;
	set_desc(DESC, 5, BUFFER, 10, NEXT, 2);
	set_desc(DESC, 2, BUFFER + 100, 20, NEXT, 7);
	set_desc(DESC, 7, BUFFER + 200, 30, WRITE, 0);
	offer(5);
	assert_true(virtqueue_has_work(&q));
	assert_true(virtqueue_pop(&q, &chain));
	assert_int_equal(chain.head, 5);
	assert_int_equal(chain.out_count, 2);
	assert_int_equal(chain.in_count, 1);
	assert_int_equal(chain.out_bytes, 30);
	assert_int_equal(chain.in_bytes, 30);
	assert_ptr_equal(virtq_out(&chain)[1].iov_base, ram.base + BUFFER + 100);
	assert_ptr_equal(virtq_in(&chain)[0].iov_base, ram.base + BUFFER + 200);
	assert_false(virtqueue_pop(&q, &chain));
	assert_null(q.broken);
}

static void unpop_and_push(void **state)
{
	const u32 *used = (u32 *)(ram.base + USED + 4);

	(void)state;
	set_desc(DESC, 3, BUFFER, 1, WRITE, 0);
	offer(3);
	assert_true(virtqueue_pop(&q, &chain));
	assert_false(virtqueue_has_work(&q));
	virtqueue_unpop(&q);
	assert_true(virtqueue_has_work(&q));
	assert_true(virtqueue_pop(&q, &chain));
	virtqueue_push(&q, chain.head, 77);
	assert_int_equal(*word(USED + 2), 1);
	assert_int_equal(used[0], 3);
	assert_int_equal(used[1], 77);
}

/* Both positions wrap at 16 bits; the slots are taken modulo the size. */
static void around_the_wrap(void **state)
{
	(void)state;
	set_desc(DESC, 0, BUFFER, 1, WRITE, 0);
	for (unsigned i = 0; i < 0x10000 + 2 * SIZE; i++) {
		offer(0);
		assert_true(virtqueue_pop(&q, &chain));
		virtqueue_push(&q, 0, i);
		assert_int_equal(*word(USED + 2), (u16)(i + 1));
		assert_int_equal(*(u32 *)(ram.base + USED + 4 + 8 * (i % SIZE) + 4), i);
	}
	assert_null(q.broken);
}

static void indirect_chain(void **state)
{
	(void)state;
	set_desc(TABLE, 0, BUFFER, 4, NEXT, 2);
	set_desc(TABLE, 2, BUFFER + 8, 4, WRITE, 0);
	/* Normal descriptors may come before it, and its WRITE flag means nothing. */
	set_desc(DESC, 0, BUFFER + 100, 1, NEXT, 1);
	set_desc(DESC, 1, TABLE, 3 * 16, INDIRECT | WRITE, 0);
	offer(0);
	assert_true(virtqueue_pop(&q, &chain));
	assert_int_equal(chain.out_bytes, 5);
	assert_int_equal(chain.in_bytes, 4);
	assert_int_equal(chain.out_count, 2);
}

/* A table may be larger than the queue, up to what a chain can hold. */
static void large_indirect_table(void **state)
{
	(void)state;
	for (unsigned i = 0; i < VIRTQUEUE_MAX_SEGMENTS; i++)
		set_desc(TABLE, i, BUFFER + i, 1, i + 1 < VIRTQUEUE_MAX_SEGMENTS ? NEXT : 0, i + 1);
	set_desc(DESC, 0, TABLE, 16 * VIRTQUEUE_MAX_SEGMENTS, INDIRECT, 0);
	offer(0);
	assert_true(virtqueue_pop(&q, &chain));
	assert_int_equal(chain.out_count, VIRTQUEUE_MAX_SEGMENTS);
}

static void too_many_segments(void **state)
{
	large_indirect_table(state);
	set_desc(DESC, 0, BUFFER, 1, NEXT, 1);
	set_desc(DESC, 1, TABLE, 16 * VIRTQUEUE_MAX_SEGMENTS, INDIRECT, 0);
	assert_breaks("too many descriptors");
}

static void loop(void **state)
{
	(void)state;
	set_desc(DESC, 0, BUFFER, 1, NEXT, 1);
	set_desc(DESC, 1, BUFFER, 1, NEXT, 0);
	assert_breaks("loop");
}

static void loop_on_itself(void **state)
{
	(void)state;
	set_desc(DESC, 0, BUFFER, 1, NEXT | WRITE, 0);
	assert_breaks("loop");
}

/* As many as the queue has are no loop. */
static void longest_chain(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SIZE; i++)
		set_desc(DESC, i, BUFFER, 1, i + 1 < SIZE ? NEXT : 0, i + 1);
	offer(0);
	assert_true(virtqueue_pop(&q, &chain));
	assert_int_equal(chain.out_count, SIZE);
}

static void loop_in_indirect(void **state)
{
	(void)state;
	set_desc(TABLE, 0, BUFFER, 1, NEXT, 1);
	set_desc(TABLE, 1, BUFFER, 1, NEXT, 0);
	set_desc(DESC, 0, TABLE, 2 * 16, INDIRECT, 0);
	assert_breaks("loop");
}

static void bad_next(void **state)
{
	(void)state;
	set_desc(DESC, 0, BUFFER, 1, NEXT, SIZE);
	assert_breaks("beyond its table");
}

static void bad_head(void **state)
{
	(void)state;
	offer(SIZE);
	assert_false(virtqueue_pop(&q, &chain));
	assert_non_null(strstr(q.broken, "beyond its table"));
}

static void bad_next_in_indirect(void **state)
{
	(void)state;
	set_desc(TABLE, 0, BUFFER, 1, NEXT, 2);
	set_desc(DESC, 0, TABLE, 2 * 16, INDIRECT, 0);
	assert_breaks("beyond its table");
}

static void buffer_outside(void **state)
{
	(void)state;
	set_desc(DESC, 0, RAM_SIZE - 1, 2, 0, 0);
	assert_breaks("buffer lies outside");
}

static void buffer_wraps(void **state)
{
	(void)state;
	set_desc(DESC, 0, ~(u64)0 - 3, 8, WRITE, 0);
	assert_breaks("buffer lies outside");
}

static void buffer_of_4g(void **state)
{
	(void)state;
	set_desc(DESC, 0, BUFFER, 0xffffffff, WRITE, 0);
	assert_breaks("buffer lies outside");
}

static void wrong_order(void **state)
{
	(void)state;
	set_desc(DESC, 0, BUFFER, 1, NEXT | WRITE, 1);
	set_desc(DESC, 1, BUFFER, 1, 0, 0);
	assert_breaks("readable descriptor follows");
}

static void indirect_of_indirect(void **state)
{
	(void)state;
	set_desc(TABLE, 0, TABLE, 16, INDIRECT, 0);
	set_desc(DESC, 0, TABLE, 16, INDIRECT, 0);
	assert_breaks("indirect descriptor where none may be");
}

static void indirect_not_negotiated(void **state)
{
	(void)state;
	q.indirect = false;
	set_desc(DESC, 0, TABLE, 16, INDIRECT, 0);
	assert_breaks("indirect descriptor where none may be");
}

static void indirect_with_next(void **state)
{
	(void)state;
	set_desc(DESC, 0, TABLE, 16, INDIRECT | NEXT, 1);
	assert_breaks("with a successor");
}

static void indirect_length(void **state)
{
	static const u32 lengths[] = {0, 1, 15, 17, 16 * VIRTQUEUE_MAX_SEGMENTS + 16, 0xfffffff0};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		tear_down(state);
		set_up(state);
		set_desc(DESC, 0, TABLE, lengths[i], INDIRECT, 0);
		assert_breaks("impossible length");
	}
}

static void indirect_outside(void **state)
{
	static const u64 tables[] = {RAM_SIZE - 16, RAM_SIZE, ~(u64)0 - 15, 1ull << 40};

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		tear_down(state);
		set_up(state);
		set_desc(DESC, 0, tables[i], 32, INDIRECT, 0);
		assert_breaks("table lies outside");
	}
}

static void available_index_jumps(void **state)
{
	(void)state;
	*word(AVAIL + 2) = SIZE;
	set_desc(DESC, 0, BUFFER, 1, 0, 0);
	assert_true(virtqueue_pop(&q, &chain));
	*word(AVAIL + 2) = SIZE + 2; /* one more than the ring holds */
	assert_false(virtqueue_pop(&q, &chain));
	assert_non_null(strstr(q.broken, "more chains are offered"));
}

static void available_index_goes_back(void **state)
{
	(void)state;
	set_desc(DESC, 0, BUFFER, 1, 0, 0);
	offer(0);
	assert_true(virtqueue_pop(&q, &chain));
	*word(AVAIL + 2) = 0;
	assert_false(virtqueue_pop(&q, &chain));
	assert_non_null(strstr(q.broken, "more chains are offered"));
}

static void reset_mends(void **state)
{
	(void)state;
	set_desc(DESC, 0, BUFFER, 1, NEXT, 0);
	offer(0);
	assert_false(virtqueue_pop(&q, &chain));
	virtqueue_reset(&q);
	assert_null(q.broken);
	assert_false(q.ready);
	assert_ptr_equal(q.ram, &ram);
	assert_false(virtqueue_has_work(&q));
}

static void copies(void **state)
{
	u8 bytes[8] = "abcdefgh", back[8];

	(void)state;
	set_desc(DESC, 0, BUFFER, 3, NEXT, 1);
	set_desc(DESC, 1, BUFFER + 10, 0, NEXT, 2);
	set_desc(DESC, 2, BUFFER + 20, 4, NEXT, 3);
	set_desc(DESC, 3, BUFFER + 30, 2, NEXT | WRITE, 4);
	set_desc(DESC, 4, BUFFER + 40, 3, WRITE, 0);
	memcpy(ram.base + BUFFER, "012", 3);
	memcpy(ram.base + BUFFER + 20, "3456", 4);
	offer(0);
	assert_true(virtqueue_pop(&q, &chain));
	assert_int_equal(virtq_read(&chain, 0, back, 8), 7);
	assert_memory_equal(back, "0123456", 7);
	assert_int_equal(virtq_read(&chain, 2, back, 3), 3);
	assert_memory_equal(back, "234", 3);
	assert_int_equal(virtq_read(&chain, 7, back, 1), 0);
	assert_int_equal(virtq_read(&chain, ~(u64)0, back, 1), 0);
	assert_int_equal(virtq_write(&chain, 1, bytes, 8), 4);
	assert_memory_equal(ram.base + BUFFER + 31, "a", 1);
	assert_memory_equal(ram.base + BUFFER + 40, "bcd", 3);
	assert_int_equal(ram.base[BUFFER + 43], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bad_size),
		TEST(bad_areas),
		TEST(overlapping_rings),
		TEST(areas_at_the_end),
		TEST(ram_limits),
		TEST(plain_chain),
		TEST(unpop_and_push),
		TEST(around_the_wrap),
		TEST(indirect_chain),
		TEST(large_indirect_table),
		TEST(too_many_segments),
		TEST(loop),
		TEST(loop_on_itself),
		TEST(longest_chain),
		TEST(loop_in_indirect),
		TEST(bad_next),
		TEST(bad_head),
		TEST(bad_next_in_indirect),
		TEST(buffer_outside),
		TEST(buffer_wraps),
		TEST(buffer_of_4g),
		TEST(wrong_order),
		TEST(indirect_of_indirect),
		TEST(indirect_not_negotiated),
		TEST(indirect_with_next),
		TEST(indirect_length),
		TEST(indirect_outside),
		TEST(available_index_jumps),
		TEST(available_index_goes_back),
		TEST(reset_mends),
		TEST(copies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
