/*
 * A hostile guest: it tries to get out of plex86's sandbox in the way its command line names.
 *
 * Owns: the attempts. `call NR [ARG...]` enters the host's 64-bit code segment and makes host
 * system call NR (`call32`: by int $0x80, the host's 32-bit calls); an argument `@TEXT` is the
 * address of TEXT. A call that comes back is an escape and says so. `clobber`, `forge`, `bells` and
 * `deaf` attack the memory shared with the VMM, `jump` the monitor's own code. The rest are the
 * 32-bit ways into a host kernel.
 */
#include "guest.h"

#define WORDS 12

extern u32 boot_info;
#define BOOT_CMDLINE 4 /* word of the Multiboot information */

static char *word[WORDS + 1];
static unsigned words;

/* What the 64-bit code works on; its layout is known below. */
static struct {
	u64 nr, arg[6], result;
} call;

/* In 64-bit mode, entered by a 32-bit far call: EBX points at `call`. */
asm(".pushsection .text\n"
    ".code64\n"
    "call64_entry:\n\t"
    "movl %ebx, %ebx\n\t"
    "movq 0(%rbx), %rax\n\t"
    "movq 8(%rbx), %rdi\n\t"
    "movq 16(%rbx), %rsi\n\t"
    "movq 24(%rbx), %rdx\n\t"
    "movq 32(%rbx), %r10\n\t"
    "movq 40(%rbx), %r8\n\t"
    "movq 48(%rbx), %r9\n\t"
    "syscall\n\t"
    "movq %rax, 56(%rbx)\n\t"
    "lret\n"
    "call32_entry:\n\t"
    "movl %ebx, %r12d\n\t"
    "movl 0(%r12), %eax\n\t"
    "movl 8(%r12), %ebx\n\t"
    "movl 16(%r12), %ecx\n\t"
    "movl 24(%r12), %edx\n\t"
    "int $0x80\n\t"
    "movq %rax, 56(%r12)\n\t"
    "movl %r12d, %ebx\n\t"
    "lret\n"
    /* For all that follows `result` is where the monitor's pointer to the shared memory lies.
     * Fill it, and what lies behind it, with the byte nr, until that faults. */
    "clobber_entry:\n\t"
    "movl %ebx, %ebx\n\t"
    "movq 56(%rbx), %rdi\n\t"
    "movq (%rdi), %rdi\n\t"
    "movq 0(%rbx), %rax\n\t"
    "movq $-1, %rcx\n\t"
    "rep stosb\n\t"
    "ud2\n"
    /* Say that there is no guest code to be interrupted (mode, word 1), and never look again. */
    "deaf_entry:\n\t"
    "movl %ebx, %ebx\n\t"
    "movq 56(%rbx), %rdi\n\t"
    "movq (%rdi), %rdi\n"
    "1:\tmovl $0, 4(%rdi)\n\t"
    "jmp 1b\n"
    /* Jump to address nr, within the monitor, with a stack pointer that is none. */
    "jump_entry:\n\t"
    "movl %ebx, %ebx\n\t"
    "movq 0(%rbx), %rax\n\t"
    "movl $0x10, %esp\n\t"
    "jmp *%rax\n"
    /* Fill the shared memory with random bytes and give the VMM an exit, nr times. arg: 0 offset
     * of the exit, 1 size of the memory, 2 seed. Most exits are a port access, a memory access,
     * idle or kicked, as these do not end the run; 1 in 1024 is all random. Needs a host without
     * Syscall User Dispatch. */
    "forge_entry:\n\t"
    "movl %ebx, %ebx\n\t"
    "movq 56(%rbx), %rdi\n\t"
    "movq (%rdi), %rdi\n\t"
    "movl $0, 4(%rdi)\n\t" /* no guest code to be interrupted (mode) */
    "movq 24(%rbx), %r11\n"
    "2:\tmovq 16(%rbx), %rcx\n\t"
    "leaq 16(%rdi), %rsi\n\t" /* behind the words of the protocol */
    "subq $16, %rcx\n\t"
    "shrq $3, %rcx\n"
    "3:\tmovabsq $6364136223846793005, %rax\n\t"
    "imulq %rax, %r11\n\t"
    "movabsq $1442695040888963407, %rax\n\t"
    "addq %rax, %r11\n\t"
    "movq %r11, %rax\n\t"
    "shrq $29, %rax\n\t"
    "xorq %r11, %rax\n\t"
    "movq %rax, (%rsi)\n\t"
    "addq $8, %rsi\n\t"
    "decq %rcx\n\t"
    "jnz 3b\n\t"
    "movq 8(%rbx), %rsi\n\t"
    "addq %rdi, %rsi\n\t"
    "testl $0x3ff, %eax\n\t"
    "jz 4f\n\t"
    "movl %eax, %ecx\n\t"
    "shrl $10, %ecx\n\t"
    "andl $0x1c, %ecx\n\t"
    "movl $0x12121237, %edx\n\t" /* a kind in each nibble */
    "shrl %cl, %edx\n\t"
    "andl $0xf, %edx\n\t"
    "movl %edx, (%rsi)\n\t"
    "cmpl $1, %edx\n\t"
    "jne 6f\n\t"
    "movb $1, 10(%rsi)\n\t" /* io.size */
    "testl $0x40000, %eax\n\t"
    "jz 4f\n\t"
    "andw $7, 8(%rsi)\n\t" /* io.port: the serial port's */
    "orw $0x3f8, 8(%rsi)\n\t"
    "jmp 4f\n"
    "6:\tmovb $4, 16(%rsi)\n\t" /* mmio.size */
    "cmpl $3, %edx\n\t"
    "jne 4f\n\t"
    "movq $1, 8(%rsi)\n"      /* idle until long ago */
    "4:\tmovl $1, (%rdi)\n\t" /* the VMM's turn */
    "movl $202, %eax\n\t"     /* futex(turn, FUTEX_WAKE, 1), which the jail lets pass */
    "movl $1, %esi\n\t"
    "movl $1, %edx\n\t"
    "movq %r11, %r12\n\t"
    "syscall\n\t"
    "movq %r12, %r11\n"
    "5:\tpause\n\t"
    "cmpl $0, (%rdi)\n\t"
    "jne 5b\n\t"
    "decq (%rbx)\n\t"
    "jnz 2b\n\t"
    "ud2\n"
    /* Ring random doorbells and fill the devices' register pages with random words, nr times, while
     * the VMM serves what it is made to believe. arg: 0 offset of the doorbells, 1 of the pointer
     * to RAM, 2 of the pages in RAM, 3 seed, 4 address of a queue's index,
     * with another's a page behind it. */
    "bells_entry:\n\t"
    "movl %ebx, %ebx\n\t"
    "movq 56(%rbx), %rdi\n\t"
    "movq (%rdi), %rdi\n\t"
    "movq 8(%rbx), %rsi\n\t"
    "addq %rdi, %rsi\n\t"
    "movq 16(%rbx), %rdx\n\t"
    "movq (%rdi,%rdx), %rdx\n\t"
    "addq 24(%rbx), %rdx\n\t"
    "movq 32(%rbx), %r11\n\t"
    "movq 40(%rbx), %r8\n\t"
    "movabsq $6364136223846793005, %r9\n\t"
    "movabsq $1442695040888963407, %r10\n"
    "7:\timulq %r9, %r11\n\t"
    "addq %r10, %r11\n\t"
    "movq %r11, %rax\n\t"
    "shrq $29, %rax\n\t"
    "xorq %r11, %rax\n\t"
    "movq %rax, (%rsi)\n\t"
    "movzwl %ax, %ecx\n\t"
    "andl $~7, %ecx\n\t"
    "movq %rax, (%rdx,%rcx)\n\t"
    "shrl $8, %eax\n\t"
    "andl $7, %eax\n\t"
    "addw %ax, (%r8)\n\t"
    "addw %ax, 4096(%r8)\n\t"
    "decq (%rbx)\n\t"
    "jnz 7b\n\t"
    "lret\n"
    ".code32\n"
    ".popsection");
void call64_entry(void), call32_entry(void), clobber_entry(void), deaf_entry(void),
	jump_entry(void), forge_entry(void), bells_entry(void);

/* 0x33 is the 64-bit code segment of every Linux host. */
static void enter_host(void (*entry)(void))
{
	static struct {
		u32 offset;
		u16 selector;
	} __attribute__((packed)) far;

	far.offset = (u32)entry;
	far.selector = 0x33;
	asm volatile("lcall *%0"
		     :
		     : "m"(far), "b"(&call)
		     : "eax", "ecx", "edx", "esi", "edi", "memory");
}

static bool is(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

static u64 number(const char *text)
{
	const bool negative = *text == '-';
	u64 base = 10, value = 0;

	text += negative;
	if (text[0] == '0' && text[1] == 'x') {
		base = 16;
		text += 2;
	}
	for (; *text; text++)
		value = value * base + (*text <= '9' ? *text - '0' : *text - 'a' + 10);
	return negative ? -value : value;
}

static u64 argument(const char *text)
{
	return *text == '@' ? (u32)(text + 1) : number(text);
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

static void host_call(void (*entry)(void))
{
	call.nr = number(word[1]);
	for (unsigned i = 0; i + 2 < words && i < ARRAY_SIZE(call.arg); i++)
		call.arg[i] = argument(word[i + 2]);
	enter_host(entry);
	print("ESCAPED: call %s came back with %x %08x\n", word[1], (u32)(call.result >> 32),
	      (u32)call.result);
}

/* clobber BYTE ADDRESS */
static void clobber(void)
{
	call.nr = number(word[1]);
	call.result = number(word[2]);
	enter_host(clobber_entry);
}

/* jump ADDRESS: once, should it lead back to where we came from */
static void jump(void)
{
	static bool done;

	print("jumping\n");
	if (done)
		return;
	done = true;
	call.nr = number(word[1]);
	enter_host(jump_entry);
}

/* deaf ADDRESS */
static void deaf(void)
{
	print("deaf\n");
	call.result = number(word[1]);
	enter_host(deaf_entry);
}

/* forge ROUNDS ADDRESS EXIT-OFFSET SIZE SEED */
static void forge(void)
{
	call.nr = number(word[1]);
	call.result = number(word[2]);
	for (unsigned i = 0; i < 3; i++)
		call.arg[i] = number(word[3 + i]);
	enter_host(forge_entry);
}

/* The first device, with its first two queues ready and nothing sensible in them. */
static u16 *start_device(void)
{
	static u8 ring[2][4096] __attribute__((aligned(4096)));
	volatile u32 *reg = (volatile u32 *)0xd0000000;

	reg[0x70 / 4] = 3; /* acknowledged, a driver */
	reg[0x24 / 4] = 1;
	reg[0x20 / 4] = 1; /* VERSION_1 */
	reg[0x70 / 4] = 11;
	for (u32 i = 0; i < 2; i++) {
		reg[0x30 / 4] = i;
		reg[0x38 / 4] = 64;
		reg[0x80 / 4] = (u32)ring[i];
		reg[0x90 / 4] = (u32)ring[i] + 1024;
		reg[0xa0 / 4] = (u32)ring[i] + 2048;
		reg[0x44 / 4] = 1;
	}
	reg[0x70 / 4] = 15;
	print("queue 0 is %sready\n", (reg[0x30 / 4] = 0, reg[0x44 / 4]) ? "" : "not ");
	return (u16 *)(ring[0] + 1026);
}

/* bells ROUNDS ADDRESS BELLS-OFFSET RAM-OFFSET PAGES SEED */
static void bells(void)
{
	call.nr = number(word[1]);
	call.result = number(word[2]);
	for (unsigned i = 0; i < 4; i++)
		call.arg[i] = number(word[3 + i]);
	call.arg[4] = (u32)start_device();
	enter_host(bells_entry);
	print("rang\n");
}

CODE(k_int80, "movl $4, %eax; movl $1, %ebx; movl $7, %edx", "int $0x80");
CODE(k_sysenter, "movl $4, %eax; movl %esp, %ebp", "sysenter");
CODE(k_syscall, "movl $1, %eax", "syscall");
asm(".pushsection .text; k_cr3: .long k_cr3 + 4; movl %eax, %cr3; .popsection");
UCODE(u_int80, "movl $4, %eax; movl $1, %ebx; movl $7, %edx", "int $0x80");
UCODE(u_sysenter, "movl $4, %eax; movl %esp, %ebp", "sysenter");
UCODE(u_syscall, "movl $1, %eax", "syscall");
UCODE(u_far, "", "ljmp $0x33, $call64_entry");
/* User code in the gate that is the kernel's: by its front door, and behind it on a forged stack.
 */
UCODE(u_trap_stub, "",
      "lcall $0x23, $" STRINGIFY(PLEX86_PV_PAGE) " + " STRINGIFY(PLEX86_PV_STUB_TRAP));
UCODE(u_landing, "movl $k_cr3, %esp",
      "ljmp $0x33, $" STRINGIFY(PLEX86_PV_PAGE) " + " STRINGIFY(PLEX86_PV_STUB_TRAP) " + 7");

static const struct snippet ways[] = {SNIPPET(k_int80), SNIPPET(k_sysenter),  SNIPPET(k_syscall),
				      SNIPPET(u_int80), SNIPPET(u_sysenter),  SNIPPET(u_syscall),
				      SNIPPET(u_far),	SNIPPET(u_trap_stub), SNIPPET(u_landing)};

static void enter_from_32_bits(const struct snippet *s)
{
	struct user_state state = user_state(s->fn);

	paging_init();
	set_gate(0x80, ACC_P | ACC_DPL(3) | ACC_INTGATE);
	state.ebx = (u32)user_stack;
	if (s->fn == u_trap_stub || s->fn == u_landing) {
		/* With the ABI's segments the PV page stays where it is. */
		state.cs = PLEX86_USER_CS;
		state.ss = PLEX86_USER_DS;
	}
	if (s->name[0] == 'u')
		print_result(s, run_user_state(&state));
	else
		print_result(s, try(s->fn));
}

void guest_main(void)
{
	split_words((char *)((u32 *)boot_info)[BOOT_CMDLINE]);
	print("trying %s\n", words ? word[0] : "nothing");
	if (words > 1 && is(word[0], "call"))
		host_call(call64_entry);
	else if (words > 1 && is(word[0], "call32"))
		host_call(call32_entry);
	else if (words == 3 && is(word[0], "clobber"))
		clobber();
	else if (words == 2 && is(word[0], "jump"))
		jump();
	else if (words == 2 && is(word[0], "deaf"))
		deaf();
	else if (words == 6 && is(word[0], "forge"))
		forge();
	else if (words == 7 && is(word[0], "bells"))
		bells();
	for (unsigned i = 0; words && i < ARRAY_SIZE(ways); i++)
		if (is(word[0], ways[i].name))
			enter_from_32_bits(&ways[i]);
	guest_exit(0);
}
