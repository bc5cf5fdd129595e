/*
 * Test guest: random user-mode instruction sequences.
 *
 * Owns: the command line (NAME=VALUE, numbers in decimal or 0x) and the order of work:
 *   seed, first, count  which sequences
 *   batch               how many share a line "batch FIRST HASH"
 *   mode                0: instructions of forms.c; 1: random bytes in single steps
 *   bugs                mask of known errors of the emulator whose instructions are not left out
 *   list=1              a line "one NUMBER HASH" for each
 *   dump=1              all there is to say of each; keep=MASK: of these items only
 *   drop=1              of each, "drop ITEM HASH" for it without that item (of those in keep)
 */
#include "random.h"

#define INFO_CMDLINE 4

extern u32 *boot_info;
static struct sequence sequence;
static u32 ended[ENDED_BY_COUNTER + 1];

static u32 number_at(const char *p)
{
	u32 base = 10, v = 0;

	if (p[0] == '0' && p[1] == 'x') {
		base = 16;
		p += 2;
	}
	for (;; p++) {
		const u32 c = (u8)*p, digit = c >= 'a' ? c - 'a' + 10 : c - '0';

		if (digit >= base)
			return v;
		v = v * base + digit;
	}
}

static u32 option(const char *line, const char *name, u32 otherwise)
{
	for (const char *p = line; *p; p++) {
		u32 n = 0;

		if (p != line && p[-1] != ' ')
			continue;
		while (name[n] && p[n] == name[n])
			n++;
		if (!name[n] && p[n] == '=')
			return number_at(p + n + 1);
	}
	return otherwise;
}

static struct options read_options(void)
{
	const char *line = boot_info[0] & INFO_CMDLINE ? (const char *)boot_info[4] : "";

	return (struct options){
		.seed = option(line, "seed", 1),
		.first = option(line, "first", 0),
		.count = option(line, "count", 1000),
		.batch = option(line, "batch", 256),
		.keep = option(line, "keep", 0xffffffff),
		.bugs = option(line, "bugs", 0),
		.mode = option(line, "mode", 0),
		.list = option(line, "list", 0),
		.dump = option(line, "dump", 0),
		.drop = option(line, "drop", 0),
	};
}

static u32 run_one(const struct options *o, u32 number, u32 keep)
{
	static struct outcome out;

	lay_out(&sequence, o, keep);
	run(&sequence, o, number, &out);
	ended[out.vector <= ENDED_BY_COUNTER ? out.vector : 0]++;
	if (!o->dump || o->drop)
		return mix(hash_outcome(&out), run_restore(NULL));
	dump(&sequence, &out, keep);
	return 0;
}

static void drop_each(const struct options *o, u32 number)
{
	for (u32 n = 0; n < sequence.items; n++) {
		if (o->keep >> n & 1)
			print("drop %u %08x\n", n, run_one(o, number, o->keep & ~(1u << n)));
	}
}

static void run_all(const struct options *o)
{
	u32 hash = 0;

	for (u32 i = 0; i < o->count; i++) {
		const u32 number = o->first + i;

		generate(&sequence, o, number);
		if (o->drop) {
			drop_each(o, number);
			continue;
		}
		if (o->dump)
			print("sequence %u\n", number);
		const u32 one = run_one(o, number, o->keep);

		if (o->list)
			print("one %u %08x\n", number, one);
		hash = mix(hash, one);
		if (!o->dump && !o->list && ((i + 1) % o->batch == 0 || i + 1 == o->count)) {
			print("batch %u %08x\n", number - i % o->batch, hash);
			hash = 0;
		}
	}
}

void guest_main(void)
{
	const struct options o = read_options();

	paging_init();
	run_init(&o);
	run_all(&o);
	for (u32 i = 0; i < ARRAY_SIZE(ended); i++)
		if (ended[i] && !o.drop)
			print("ended %x %u\n", i, ended[i]);
	guest_exit(0);
}
