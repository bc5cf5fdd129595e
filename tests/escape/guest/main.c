/*
 * A hostile guest: it tries to get out of plex86's sandbox in the way its command line names.
 *
 * Owns: the command line, and the list of attempts.
 */
#include "escape.h"

extern u32 boot_info;
#define BOOT_CMDLINE   4 /* word of the Multiboot information */
#define LSR_DATA_READY 0x01

char *word[WORDS + 1];
unsigned words;

bool is(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

u64 number(const char *text)
{
	const bool negative = *text == '-';
	u64 base = 10, value = 0;

	text += negative;
	if (text[0] == '0' && text[1] == 'x') {
		base = 16;
		text += 2;
	}
	for (; (*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'f'); text++)
		value = value * base + (*text <= '9' ? *text - '0' : *text - 'a' + 10);
	return negative ? -value : value;
}

u32 number_of(unsigned i, u32 missing)
{
	return i < words ? number(word[i]) : missing;
}

u32 random(u32 *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed ^ *seed >> 15;
}

void escaped(void)
{
	for (;;)
		inb(COM1_LSR);
}

void refused(void)
{
	print_trap("refused", NULL);
	guest_exit(0);
}

static void split_words(char *text)
{
	while (*text && words < WORDS) {
		word[words++] = text;
		while (*text && *text != ' ')
			text++;
		if (*text)
			*text++ = '\0';
	}
}

static void wait_to_be_let(void)
{
	while (!(inb(COM1_LSR) & LSR_DATA_READY))
		;
	inb(COM1);
}

/* clang-format off */
static const struct {
	const char *name;
	attempt_fn *fn;
} attempts[] = {
	{"call", host_calls}, {"call32", host_calls}, {"fork", host_calls}, {"fork32", host_calls},
	{"clobber", clobber}, {"deaf", deaf}, {"jump", jump}, {"forge", forge}, {"race", race},
	{"bells", bells}, {"frames", frames}, {"sigreturn", sigreturn}, {"batons", batons},
	{"map-storm-host", map_storm_host}, {"entry", entries}, {"descriptors", descriptors},
	{"placed", placed}, {"pages", pages}, {"pages-pae", pages_pae}, {"cr3", cr3},
	{"pv", pv_page}, {"queue", queues}, {"storm", storm},
};
/* clang-format on */

void guest_main(void)
{
	unsigned first;

	split_words((char *)((u32 *)boot_info)[BOOT_CMDLINE]);
	first = take_way(0);
	print("trying %s\n", first < words ? word[first] : "nothing");
	wait_to_be_let();
	for (unsigned i = 0; first < words && i < ARRAY_SIZE(attempts); i++)
		if (is(word[first], attempts[i].name)) {
			attempts[i].fn(first);
			guest_exit(0);
		}
	print("there is no such attempt\n");
	guest_exit(77);
}
