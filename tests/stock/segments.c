/*
 * segments: do the selectors of a stock kernel do what they should in its programs? A program
 * without libc for i386 Linux.
 *
 * The host has other segments under the same numbers: 0x33 is 64-bit code there and 0x7b cannot be
 * written through, and loading them does not trap. Exit status: 0, or the number of what failed.
 */
typedef unsigned int u32;
typedef unsigned short u16;

#define TLS_ENTRY  6 /* 0x33; the next one is 0x3b */
#define USER_DATA  0x7b
#define LIMIT_PAGE 0xfffff

struct user_desc {
	u32 entry_number, base_addr, limit, flags;
};
#define FLAGS_DATA32_PAGES 0x51 /* seg_32bit, limit_in_pages, useable */

static u32 area[3][16];

static long call(long nr, long a)
{
	long ret;

	asm volatile("int $0x80" : "=a"(ret) : "a"(nr), "b"(a) : "memory");
	return ret;
}

static int set_tls(u32 entry, void *base)
{
	struct user_desc d = {entry, (u32)base, LIMIT_PAGE, FLAGS_DATA32_PAGES};

	return call(243, (long)&d) == 0; /* set_thread_area */
}

static void load_gs(u16 selector)
{
	asm volatile("movw %0, %%gs" : : "r"(selector));
}

static u32 read_gs(u32 offset)
{
	u32 value;

	asm volatile("movl %%gs:(%1), %0" : "=r"(value) : "r"(offset));
	return value;
}

static u16 get_gs(void)
{
	u16 value;

	asm volatile("movw %%gs, %0" : "=r"(value));
	return value;
}

static int thread_local(void)
{
	for (u32 i = 0; i < 3; i++)
		for (u32 n = 0; n < 16; n++)
			area[i][n] = 100 * i + n;
	if (!set_tls(TLS_ENTRY, area[1]) || !set_tls(TLS_ENTRY + 1, area[2]))
		return 1;
	load_gs(0x33);
	if (read_gs(8) != 102)
		return 2;
	/* Below the base, as thread-local variables are: offsets that wrap around. */
	if (read_gs(-4) != area[0][15])
		return 3;
	/* glibc asks its GS for the entry that a new thread is to have. */
	if (get_gs() >> 3 != TLS_ENTRY)
		return 4;
	load_gs(0x3b);
	if (read_gs(8) != 202)
		return 5;
	/* Back, with no system call in between. */
	load_gs(0x33);
	if (read_gs(12) != 103)
		return 6;
	/* The kernel loads it anew where it has another base. */
	if (!set_tls(TLS_ENTRY, area[2]))
		return 7;
	load_gs(0x33);
	return read_gs(12) == 203 ? 0 : 8;
}

static int flat(void)
{
	u16 ds;

	asm volatile("movw %0, %%ds\n\tmovw %0, %%es" : : "r"((u16)USER_DATA));
	area[0][0] = 7; /* a store, which the host's 0x7b does not allow */
	asm volatile("cld\n\tmovl $4, %%ecx\n\tmovl %0, %%edi\n\trep stosl"
		     :
		     : "r"(area[0]), "a"(9)
		     : "ecx", "edi", "memory");
	asm volatile("movw %%ds, %0\n\tmovw %0, %%es" : "=r"(ds)); /* as it was read */
	area[0][5] = 11;
	return area[0][3] == 9 && area[0][5] == 11 && ds >> 3 == USER_DATA >> 3 ? 0 : 9;
}

__attribute__((used)) static void start(void)
{
	int failed = thread_local();

	for (u32 i = 0; !failed && i < 100; i++)
		failed = flat();
	call(1, failed);
}

asm(".globl _start\n_start:\n\tandl $-16, %esp\n\tcall start\n\thlt");
