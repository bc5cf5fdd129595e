/*
 * avx SEED: is AVX state this process's own? A program without libc for i386 Linux.
 *
 * Keeps a value made of SEED in all eight YMM registers for a second or so, during which the kernel
 * switches to other processes that do the same with other values, and the monitor handles timer
 * interrupts and, now and then, a system call. Exit status: 0 all the time the same, 1 changed,
 * 2 no AVX to be had (CPUID or XCR0 says so).
 */
typedef unsigned int u32;
typedef unsigned long long u64;

#define ROUNDS 40
#define SPINS  20000000

static long call1(long nr, long a)
{
	long ret;

	asm volatile("int $0x80" : "=a"(ret) : "a"(nr), "b"(a) : "memory");
	return ret;
}

static int has_avx(void)
{
	const u32 osxsave_avx = 1u << 27 | 1u << 28;
	u32 a = 1, b, c = 0, d;

	asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	if ((c & osxsave_avx) != osxsave_avx)
		return 0;
	asm volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	return (a & 6) == 6;
}

static void fill(u32 *pattern, u32 seed)
{
	for (u32 i = 0; i < 64; i++)
		pattern[i] = seed = seed * 1664525 + 1013904223;
}

/* Load all registers, spin, maybe call the kernel, store them. */
static void hold(const u32 *in, u32 *out, u32 spins, int yield)
{
	asm volatile("vmovups 0(%[in]), %%ymm0\n\tvmovups 32(%[in]), %%ymm1\n\t"
		     "vmovups 64(%[in]), %%ymm2\n\tvmovups 96(%[in]), %%ymm3\n\t"
		     "vmovups 128(%[in]), %%ymm4\n\tvmovups 160(%[in]), %%ymm5\n\t"
		     "vmovups 192(%[in]), %%ymm6\n\tvmovups 224(%[in]), %%ymm7\n"
		     "1:\tdecl %[spins]\n\tjnz 1b\n\t"
		     "testl %[yield], %[yield]\n\tjz 2f\n\t"
		     "movl $158, %%eax\n\tint $0x80\n" /* sched_yield */
		     "2:\tvmovups %%ymm0, 0(%[out])\n\tvmovups %%ymm1, 32(%[out])\n\t"
		     "vmovups %%ymm2, 64(%[out])\n\tvmovups %%ymm3, 96(%[out])\n\t"
		     "vmovups %%ymm4, 128(%[out])\n\tvmovups %%ymm5, 160(%[out])\n\t"
		     "vmovups %%ymm6, 192(%[out])\n\tvmovups %%ymm7, 224(%[out])"
		     : [spins] "+r"(spins)
		     : [in] "r"(in), [out] "r"(out), [yield] "r"(yield)
		     : "eax", "memory");
}

static int run(u32 seed)
{
	static u32 in[64], out[64];

	if (!has_avx())
		return 2;
	for (u32 round = 0; round < ROUNDS; round++) {
		fill(in, seed + round);
		hold(in, out, SPINS, round & 1);
		for (u32 i = 0; i < 64; i++)
			if (in[i] != out[i])
				return 1;
	}
	return 0;
}

/* argc, argv[0], argv[1]: the seed is the first character of argv[1]. */
__attribute__((used)) static void start(const long *stack)
{
	const char *word = stack[0] > 1 ? (const char *)stack[2] : "0";

	call1(1, run((u32)*word * 2654435761u));
}

asm(".globl _start\n_start:\n\tmovl %esp, %eax\n\tandl $-16, %esp\n\tsubl $12, %esp\n\t"
    "pushl %eax\n\tcall start\n\thlt");
