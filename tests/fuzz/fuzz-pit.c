/*
 * Fuzzing the timer: any traffic at any time, against a second model that ticks
 * (tests/unit/pit-model.h). Counts, outputs, edges and the deadline have to agree.
 */
#include "../unit/pit-model.h"
#include "fuzz-input.h"

#define CLOCKS 4000 /* in one run: the model takes its time */

struct timer {
	struct pit p;
	struct pit_model m;
	u64 t, end; /* in PIT clocks */
};

/* Mostly some clocks; now and then many. */
static void wait(struct timer *s, u8 how)
{
	u64 n = how < 224 ? how % 32 : (how - 223) * 37u;

	for (; n && s->t < s->end; n--, s->t++)
		for (unsigned i = 0; i < ARRAY_SIZE(s->m.counter); i++)
			pit_model_step(&s->m.counter[i]);
}

static void take_edges(struct timer *s)
{
	struct pit_model_counter *zero = &s->m.counter[0];

	fuzz_require(pit_take_edges(&s->p, pit_model_time(s->t)) == zero->edges);
	zero->edges = 0;
}

static void step(struct timer *s, struct fuzz_input *in)
{
	static const u16 ports[] = {0x40, 0x41, 0x42, 0x43, 0x61};
	const u8 what = fuzz_take(in, 1), value = fuzz_take(in, 1);
	const u16 port = ports[(what >> 2) % ARRAY_SIZE(ports)];

	switch (what % 4) {
	case 0:
		wait(s, value);
		break;
	case 1:
		fuzz_require(pit_read(&s->p, port, pit_model_time(s->t)) ==
			     pit_model_read(&s->m, port, s->t));
		break;
	case 2:
		take_edges(s);
		break;
	default:
		pit_write(&s->p, port, value, pit_model_time(s->t));
		pit_model_write(&s->m, port, value);
	}
	fuzz_require(pit_valid(&s->p));
}

/* All that can be seen, in the end. */
static void look(struct timer *s)
{
	const u64 now = pit_model_time(s->t);

	for (unsigned i = 0; i < 18; i++) {
		const u16 port = i < 15 ? 0x40 + i / 5 : 0x61;

		if (i == 0) {
			pit_write(&s->p, 0x43, 0xce, now);
			pit_model_write(&s->m, 0x43, 0xce);
		}
		fuzz_require(pit_read(&s->p, port, now) == pit_model_read(&s->m, port, s->t));
	}
	take_edges(s);
	pit_model_check_deadline(&s->p, s->m.counter[0], s->t);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_input in = {data, size};
	struct timer s = {.t = fuzz_take(&in, 2)};

	s.end = s.t + CLOCKS;
	pit_reset(&s.p, pit_model_time(s.t));
	pit_model_reset(&s.m);
	for (unsigned i = 0; i < 300 && in.left; i++)
		step(&s, &in);
	look(&s);
	return 0;
}
