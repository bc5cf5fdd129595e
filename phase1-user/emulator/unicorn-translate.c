/*
 * How libunicorn translates: see unicorn-internals.h.
 *
 * Owns: what its translator is shown instead of the guest's code, where it would make something
 * else of it than a CPU; and where a block ends. As in unicorn-internals.c, functions here take the
 * place of its own.
 */
#include "undefined.h"
#include "unicorn-internals.h"
#include "../../decoder/decode.h"

#include <dlfcn.h>

/* The head of what the library knows of a block while it translates one. */
struct block {
	void *translation;
	u64 first, next; /* linear addresses */
	int end;	 /* 0: it goes on */
	int instructions;
};

enum { END_HERE = 1 }; /* go on at `next` */

/* The functions that it translates with, in their order: the one that is of interest here takes an
 * instruction. */
enum { TRANSLATE_ONE = 4, FUNCTIONS = 6 };

typedef void (*translate_function)(struct block *b, void *cpu);

struct functions {
	translate_function function[FUNCTIONS];
};

/* Of the instruction that is translated: what is read instead of bytes at this address. */
static struct {
	void *env;
	translate_function translate_one;
	u64 at;
	unsigned count;
	u8 bytes[2];
} shown;

static u8 (*load_byte)(void *env, u64 la);

u8 cpu_ldub_code_x86_64(void *env, u64 la);
u8 cpu_ldub_code_x86_64(void *env, u64 la)
{
	if (la - shown.at < shown.count)
		return shown.bytes[la - shown.at];
	return load_byte(env, la);
}

static u8 byte_at(u64 start, unsigned n)
{
	return load_byte(shown.env, start + n);
}

/* Does the instruction go on in the next page? */
static bool crosses(u64 la)
{
	const bool wide = emulated_cpu()->hflags & EMULATED_CS32;
	const unsigned room = PAGE_SIZE_4K - (la & (PAGE_SIZE_4K - 1));
	u8 bytes[INSN_MAX];
	struct insn insn;

	if (room >= INSN_MAX)
		return false;
	for (unsigned i = 0; i < room; i++)
		bytes[i] = byte_at(la, i);
	return insn_decode(bytes, room, wide ? MODE_32 : MODE_16, &insn) == DECODE_TRUNCATED;
}

/* Where a page may be missing the registers must be those in front of the instruction that needs
 * it: it has to be the first of its block. */
static bool may_fault(const struct block *b)
{
	return b->instructions > 1 && (((b->first ^ b->next) & PAGE_MASK_4K) || crosses(b->next));
}

static void show(enum verdict verdict, u64 start, const struct judged *j)
{
	static const u8 ud2[] = {0x0f, 0x0b};

	if (verdict == INSN_UNDEFINED) {
		shown.at = start;
		shown.count = sizeof(ud2);
		shown.bytes[0] = ud2[0];
		shown.bytes[1] = ud2[1];
	}
	if (verdict == INSN_UNLOCKED) {
		shown.at = start + j->lock;
		shown.count = 1;
		shown.bytes[0] = 0xf3; /* means nothing to it */
	}
}

static void translate_one(struct block *b, void *cpu)
{
	const u64 start = b->next;
	struct judged j;

	if (may_fault(b)) {
		b->end = END_HERE;
		return;
	}
	show(undefined_judge(byte_at, start, &j), start, &j);
	/* All of it is fetched before it is undefined. */
	if (shown.count && crosses(start))
		byte_at(start | (PAGE_SIZE_4K - 1), 1);
	shown.translate_one(b, cpu);
	/* If the bytes change behind the two that it has seen, this is another instruction. */
	if (shown.count && b->next < start + j.length)
		b->next = start + j.length;
	shown.count = 0;
}

void translator_loop_x86_64(const struct functions *f, struct block *b, void *cpu,
			    void *translation, int most);
void translator_loop_x86_64(const struct functions *f, struct block *b, void *cpu,
			    void *translation, int most)
{
	static void (*original)(const struct functions *, struct block *, void *, void *, int);
	struct functions ours = *f;

	if (!original) {
		original = (void (*)(const struct functions *, struct block *, void *, void *,
				     int))dlsym(RTLD_NEXT, "translator_loop_x86_64");
		load_byte = (u8(*)(void *, u64))dlsym(RTLD_NEXT, "cpu_ldub_code_x86_64");
	}
	shown.env = emulated_cpu();
	shown.translate_one = f->function[TRANSLATE_ONE];
	shown.count = 0; /* the last one may have ended by a fault */
	ours.function[TRANSLATE_ONE] = translate_one;
	original(&ours, b, cpu, translation, most);
}
