/*
 * Virtqueues as no driver makes them, while the device works on them.
 *
 * Owns: `queue DEVICE GAME [SEED]`: of the devices with that number (virtio 1.2, section 5; 0: all
 * of them) every queue is started and GAME played on it. Paging is off: what is written here is
 * physical.
 */
#include "escape.h"

#define SLOTS	    16
#define QUEUES	    3
#define SIZE	    16
#define F_NEXT	    1
#define F_WRITE	    2
#define F_INDIRECT  4
#define DRIVER_OK   15
#define NEEDS_RESET 64
#define MAGIC	    0x74726976u
#define ROUNDS	    2000
#define DATA_BYTES  4096
#define FEATURES_LO (1u << 28 | 1u << 29) /* indirect descriptors, event index */

enum reg {
	REG_FEATURES = 0x20,
	REG_FEATURES_SEL = 0x24,
	REG_SEL = 0x30,
	REG_NUM_MAX = 0x34,
	REG_NUM = 0x38,
	REG_READY = 0x44,
	REG_NOTIFY = 0x50,
	REG_ACK = 0x64,
	REG_STATUS = 0x70,
	REG_DESC = 0x80,
	REG_AVAIL = 0x90,
	REG_USED = 0xa0,
};

struct desc {
	u64 addr;
	u32 len;
	u16 flags, next;
} __attribute__((packed));

struct ring {
	struct desc desc[SIZE];
	u16 avail_flags, avail_idx, avail[SIZE], used_event;
	u16 pad[5];
	u16 used_flags, used_idx;
	struct {
		u32 id, len;
	} used[SIZE];
	u16 avail_event;
} __attribute__((aligned(4096)));

static struct ring rings[QUEUES];
static struct desc table[SIZE] __attribute__((aligned(16)));
static u8 head[16] __attribute__((aligned(16)));
static u8 data[DATA_BYTES] __attribute__((aligned(4096)));
static volatile u32 *device;

static volatile u32 *reg(enum reg r)
{
	return device + r / 4;
}

static void write64(enum reg r, u64 value)
{
	*reg(r) = value;
	*(reg(r) + 1) = value >> 32;
}

static void wake_up(void)
{
	*reg(REG_STATUS) = 0;
	*reg(REG_STATUS) = 3;
	*reg(REG_FEATURES_SEL) = 0;
	*reg(REG_FEATURES) = FEATURES_LO;
	*reg(REG_FEATURES_SEL) = 1;
	*reg(REG_FEATURES) = 1;
	*reg(REG_STATUS) = 11;
}

static void set_queue(unsigned q, u32 size, u64 desc, u64 avail, u64 used)
{
	*reg(REG_SEL) = q;
	*reg(REG_NUM) = size;
	write64(REG_DESC, desc);
	write64(REG_AVAIL, avail);
	write64(REG_USED, used);
	*reg(REG_READY) = 1;
}

static void clear(struct ring *r)
{
	for (u32 i = 0; i < sizeof(*r); i++)
		((u8 *)r)[i] = 0;
}

static void start(void)
{
	wake_up();
	for (unsigned q = 0; q < QUEUES; q++) {
		struct ring *r = &rings[q];

		clear(r);
		set_queue(q, SIZE, (u32)r->desc, (u32)&r->avail_flags, (u32)&r->used_flags);
	}
	*reg(REG_STATUS) = DRIVER_OK;
}

static void put(struct desc *d, u64 addr, u32 len, u16 flags, u16 next)
{
	*d = (struct desc){addr, len, flags, next};
}

/* A device that has given up on us is started anew: the next attempt shall be one. */
static void offer(unsigned q, u16 which, u16 by)
{
	struct ring *r = &rings[q];

	r->avail[r->avail_idx % SIZE] = which;
	asm volatile("" : : : "memory");
	r->avail_idx += by;
	asm volatile("" : : : "memory");
	*reg(REG_NOTIFY) = q;
	if (*reg(REG_STATUS) & NEEDS_RESET)
		start();
}

/* A request that most devices take for one: what it says first, data, a byte for how it went. */
static void good_chain(struct desc *d, u32 type, bool in)
{
	*(u32 *)head = type;
	put(&d[0], (u32)head, 16, F_NEXT, 1);
	put(&d[1], (u32)data, DATA_BYTES, F_NEXT | (in ? F_WRITE : 0), 2);
	put(&d[2], (u32)data, 1, F_WRITE, 0);
}

/* ---- Games: each is given a queue that is ready and clear ---- */
static void game_loop(unsigned q)
{
	struct desc *d = rings[q].desc;

	good_chain(d, 0, true);
	put(&d[2], (u32)data, 1, F_NEXT | F_WRITE, 0);
	offer(q, 0, 1);
	put(&d[5], (u32)data, 1, F_NEXT, 5);
	offer(q, 5, 1);
}

static void game_indirect(unsigned q)
{
	struct desc *d = rings[q].desc;

	put(&d[0], (u32)table, sizeof(table), F_INDIRECT, 0);
	put(&table[0], (u32)head, 16, F_NEXT, 1);
	put(&table[1], (u32)data, 512, F_NEXT, 0);
	offer(q, 0, 1);
	put(&d[1], (u32)d, sizeof(table), F_INDIRECT | F_NEXT,
	    2); /* its own table, and a chain as well */
	offer(q, 1, 1);
	put(&d[2], (u32)table, sizeof(table), F_INDIRECT, 0);
	put(&table[0], (u32)table, sizeof(table), F_INDIRECT, 0); /* one in another */
	offer(q, 2, 1);
	put(&d[3], (u32)table, 0xfffffff0, F_INDIRECT, 0);
	offer(q, 3, 1);
	put(&d[4], RAM_END - 16, 64, F_INDIRECT, 0);
	offer(q, 4, 1);
	put(&d[5], (u32)table + 3, 33, F_INDIRECT, 0);
	offer(q, 5, 1);
}

/* What is read and what is written, and the rings themselves, lie over one another. */
static void game_overlap(unsigned q)
{
	struct ring *r = &rings[q];
	struct desc *d = r->desc;

	good_chain(d, 0, true);
	put(&d[1], (u32)head, DATA_BYTES, F_NEXT | F_WRITE, 2);
	offer(q, 0, 1);
	good_chain(d, 0, true);
	put(&d[1], (u32)r, sizeof(*r), F_NEXT | F_WRITE, 2);
	offer(q, 0, 1);
	put(&d[4], (u32)&r->avail_idx, 2, F_WRITE, 0);
	offer(q, 4, 1);
	put(&d[5], (u32)&r->used_idx, 2, F_WRITE, 0);
	offer(q, 5, 1);
	put(&d[6], (u32)d, sizeof(r->desc), F_WRITE, 0);
	offer(q, 6, 1);
}

static void game_lengths(unsigned q)
{
	static const u32 lens[] = {0,	       1,	0xffffffff,  0xfffff000, 0x80000000,
				   0x7fffffff, RAM_END, RAM_END + 1, 0x10000};
	struct desc *d = rings[q].desc;

	for (unsigned i = 0; i < ARRAY_SIZE(lens) * 4; i++) {
		const u32 len = lens[i % ARRAY_SIZE(lens)];

		good_chain(d, i & 1, true);
		d[i / ARRAY_SIZE(lens) % 3].len = len;
		offer(q, 0, 1);
	}
}

static void game_places(unsigned q)
{
	static const u64 places[] = {RAM_END - 1,
				     RAM_END - 16,
				     RAM_END,
				     RAM_END + 4096,
				     DEVICES,
				     0xfffffff0,
				     0x100000000,
				     0xfffffffffffffff0,
				     0x8000000000000000,
				     0x600000000000,
				     0};
	struct desc *d = rings[q].desc;

	for (unsigned i = 0; i < ARRAY_SIZE(places) * 3; i++) {
		good_chain(d, i & 1, true);
		d[i % 3].addr = places[i % ARRAY_SIZE(places)];
		offer(q, 0, 1);
	}
}

static void game_index(unsigned q)
{
	good_chain(rings[q].desc, 0, true);
	offer(q, SIZE, 1);
	offer(q, 0xffff, 1);
	offer(q, 0, SIZE + 1);
	offer(q, 0, 0x8000);
	offer(q, 0, 0xffff);
	put(&rings[q].desc[3], (u32)data, 16, F_NEXT, 0x7fff);
	offer(q, 3, 1);
}

/* Rings where none can be. */
static void game_rings(unsigned q)
{
	static const u64 places[] = {
		RAM_END - 8, RAM_END,	     DEVICES,	     0xfffffffffffff000,
		0x100000001, RAM_END - 4096, 0x600000000000, 3};
	static const u32 sizes[] = {SIZE, 0, 1, 3, 256, 1024, 0x8000, 0xffff, 0x10001, 0xffffffff};

	for (unsigned i = 0; i < ARRAY_SIZE(places) * ARRAY_SIZE(sizes); i++) {
		const u64 p = places[i % ARRAY_SIZE(places)];
		const u32 size = sizes[i / ARRAY_SIZE(places)];
		struct ring *r = &rings[q];

		wake_up();
		set_queue(q, size, i & 1 ? p : (u32)r->desc, i & 2 ? p : (u32)&r->avail_flags,
			  i & 4 ? p : (u32)&r->used_flags);
		*reg(REG_STATUS) = DRIVER_OK;
		offer(q, 0, 1);
		/* All three in one place, and a queue that is not there. */
		set_queue(q, SIZE, (u32)r, (u32)r, (u32)r);
		*reg(REG_NOTIFY) = q;
		*reg(REG_NOTIFY) = 0xffff;
		*reg(REG_SEL) = 0xffffffff;
		*reg(REG_READY) = 1;
	}
}

/* Requests that are right when they are offered, and change while the device looks. */
static void game_moving(unsigned q)
{
	struct ring *r = &rings[q];
	u32 seed = q + 1;

	for (unsigned round = 0; round < ROUNDS; round++) {
		good_chain(r->desc, round & 1, !(round & 1));
		*(u32 *)(head + 8) = round & 1023; /* a disk's sector */
		offer(q, 0, 1);
		for (unsigned i = 0; i < 20; i++) {
			const u32 how = random(&seed);
			struct desc *d = &r->desc[how % 3];

			switch (how >> 8 & 7) {
			case 0:
				d->len = random(&seed);
				break;
			case 1:
				d->addr = RAM_END - (how >> 16 & 15);
				break;
			case 2:
				d->next = how >> 16 & 3;
				break;
			case 3:
				d->flags = how >> 16 & 7;
				break;
			case 4:
				r->avail_idx += how >> 16 & 3;
				break;
			case 5:
				r->used_idx = how >> 16;
				break;
			case 6:
				r->used_event = how >> 16;
				break;
			default:
				*(volatile u32 *)head = how >> 16;
			}
		}
	}
}

static void game_random(unsigned q)
{
	static const u64 places[] = {(u32)0, RAM_END - 4, DEVICES, RAM_END + 4096, 0xffffffffffff};
	u32 seed = number_of(3, 1) + q;
	struct ring *r = &rings[q];

	for (unsigned round = 0; round < ROUNDS / 4; round++) {
		for (unsigned i = 0; i < SIZE; i++) {
			const u32 how = random(&seed);

			put(&r->desc[i],
			    how & 7 ? (u32)data + (how >> 20)
				    : places[(how >> 3) % ARRAY_SIZE(places)],
			    how & 8 ? how >> 16 & 0x1fff : random(&seed),
			    how >> 8 & (how & 16 ? 3 : 7), how >> 12 & (SIZE - 1));
		}
		*(u32 *)head = random(&seed) & 15;
		for (unsigned i = 0; i < 8; i++)
			r->avail[i] = random(&seed) & (SIZE - 1);
		r->avail_idx += random(&seed) % 9;
		*reg(REG_NOTIFY) = q;
		*reg(REG_ACK) = 3;
		if (*reg(REG_STATUS) & NEEDS_RESET)
			start();
	}
}

/* A reset, queues taken away and configuration written, each with requests under way. */
static void game_resets(unsigned q)
{
	for (unsigned round = 0; round < ROUNDS / 10; round++) {
		struct desc *d = rings[q].desc;

		for (unsigned i = 0; i < 4; i++) {
			good_chain(d, i & 1, true);
			offer(q, 0, 1);
		}
		switch (round % 4) {
		case 0:
			*reg(REG_STATUS) = 0;
			break;
		case 1:
			*reg(REG_STATUS) = 0x8f;
			break;
		case 2:
			*reg(REG_SEL) = q;
			*reg(REG_READY) = 0;
			break;
		default:
			for (u32 o = 0x100; o < 0x200; o += 4)
				device[o / 4] = ~0u;
		}
		start();
	}
}

static const struct {
	const char *name;
	void (*play)(unsigned q);
} games[] = {{"loop", game_loop},	{"indirect", game_indirect}, {"overlap", game_overlap},
	     {"lengths", game_lengths}, {"places", game_places},     {"index", game_index},
	     {"rings", game_rings},	{"moving", game_moving},     {"random", game_random},
	     {"resets", game_resets}};

static void play(const char *game)
{
	for (unsigned i = 0; i < ARRAY_SIZE(games); i++)
		for (unsigned q = 0; is(games[i].name, game) && q < QUEUES; q++) {
			start();
			games[i].play(q);
		}
	*reg(REG_STATUS) = 0;
}

void queues(unsigned first)
{
	const u32 wanted = number_of(first + 1, 0);
	unsigned played = 0;

	for (unsigned slot = 0; first + 2 < words && slot < SLOTS; slot++) {
		volatile u32 *const at = (volatile u32 *)(DEVICES + slot * 0x1000);

		if (at[0] != MAGIC || !at[2] || (wanted && at[2] != wanted))
			continue;
		device = at;
		play(word[first + 2]);
		played++;
	}
	print(played ? "held: played with %u\n" : "no such device: %u\n", played);
}
