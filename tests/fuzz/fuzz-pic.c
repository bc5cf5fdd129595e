/*
 * Fuzzing the pair of interrupt controllers: any traffic, against a second model of them
 * (tests/unit/pic-model.h), which has to agree after every step.
 */
#include "../unit/pic-model.h"
#include "fuzz-input.h"

static void step(struct pic_pair *p, struct pic_model *m, struct fuzz_input *in)
{
	static const u16 ports[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1};
	const u8 what = fuzz_take(in, 1), value = fuzz_take(in, 1);
	const u16 port = ports[(what >> 2) % ARRAY_SIZE(ports)];

	switch (what % 4) {
	case 0:
		pic_set_line(p, value % 16, value & 0x10);
		pic_model_line(m, value % 16, value & 0x10);
		break;
	case 1:
		pic_model_compare_ack(p, m);
		break;
	case 2:
		fuzz_require(pic_read(p, port) == pic_model_read(m, port));
		break;
	default:
		pic_write(p, port, value);
		pic_model_write(m, port, value);
	}
	fuzz_require(pic_valid(p));
	pic_model_compare(p, m);
}

/* Both chips at vectors 0x20 and 0x28, as systems have them; else silent after reset. */
static void initialize(struct pic_pair *p, struct pic_model *m)
{
	static const u8 icw[] = {0x11, 0x20, 4, 1, 0};

	for (unsigned chip = 0; chip < 2; chip++)
		for (unsigned i = 0; i < sizeof(icw); i++) {
			const u16 port = (chip ? 0xa0 : 0x20) + !!i;

			pic_write(p, port, icw[i] + (i == 1) * chip * 8);
			pic_model_write(m, port, icw[i] + (i == 1) * chip * 8);
		}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_input in = {data, size};
	struct pic_pair p;
	struct pic_model m;

	pic_reset(&p);
	pic_model_reset(&m);
	if (fuzz_take(&in, 1) & 1)
		initialize(&p, &m);
	for (unsigned i = 0; i < 400 && in.left; i++)
		step(&p, &m, &in);
	return 0;
}
