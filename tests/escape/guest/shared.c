/*
 * The memory shared with the VMM, and the monitor's own code, from 64-bit mode.
 *
 * Owns: `clobber`, `deaf`, `jump`, `forge`, `race` and `bells`. The harness says where the monitor
 * keeps its pointer to that memory, and where the parts of it lie.
 */
#include "escape.h"

/* EBX: host_call, whose `result` is where the monitor's pointer to the shared memory lies. */
asm(".pushsection .user.text,\"ax\",@progbits\n"
    ".code64\n"
    /* Fill it, and what lies behind it, with the byte nr, until that faults. */
    "clobber_entry:\n\t"
    "movl %ebx, %ebx\n\t"
    "movq 56(%rbx), %rdi\n\t"
    "movq (%rdi), %rdi\n\t"
    "movq 0(%rbx), %rax\n\t"
    "movq $-1, %rcx\n\t"
    "rep stosb\n\t"
    "ud2\n"
    /* Say that there is no guest code to be interrupted (mode, word 2), and never look again. */
    "deaf_entry:\n\t"
    "movl %ebx, %ebx\n\t"
    "movq 56(%rbx), %rdi\n\t"
    "movq (%rdi), %rdi\n"
    "1:\tmovl $0, 8(%rdi)\n\t"
    "jmp 1b\n"
    /* Jump to address nr, within the monitor, with a stack pointer that is none. */
    "jump_entry:\n\t"
    "movl %ebx, %ebx\n\t"
    "movq 0(%rbx), %rax\n\t"
    "movl $0x10, %esp\n\t"
    "jmp *%rax\n"
    /* R11 and RAX: the next random number. */
    ".globl next_random\n"
    "next_random:\n\t"
    "movabsq $6364136223846793005, %rax\n\t"
    "imulq %rax, %r11\n\t"
    "movabsq $1442695040888963407, %rax\n\t"
    "addq %rax, %r11\n\t"
    "movq %r11, %rax\n\t"
    "shrq $29, %rax\n\t"
    "xorq %r11, %rax\n\t"
    "retq\n"
    /* RAX: random. RSI: where the exit is. Most become a port access, a memory access, idle or
     * kicked, as these do not end the run; 1 in 1024 stays as it is. */
    "make_exit:\n\t"
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
    "movq $1, 8(%rsi)\n" /* idle until long ago */
    "4:\tretq\n"
    /* futex(turn, FUTEX_WAKE, all), which the jail lets pass. */
    "wake_vmm:\n\t"
    "movl $202, %eax\n\t"
    "movl $1, %esi\n\t"
    "movl $0x7fffffff, %edx\n\t"
    "movq %r11, %r12\n\t"
    "syscall\n\t"
    "movq %r12, %r11\n\t"
    "retq\n"
    /* Fill the shared memory with random bytes and give the VMM an exit, nr times. arg: 0 offset
     * of the exit, 1 size of the memory, 2 seed. Needs a host without Syscall User Dispatch. */
    "forge_entry:\n\t"
    "movl %ebx, %ebx\n\t"
    "movl %esp, %esp\n\t"
    "movq 56(%rbx), %rdi\n\t"
    "movq (%rdi), %rdi\n\t"
    "movl $0, 8(%rdi)\n\t" /* no guest code to be interrupted (mode) */
    "movq 24(%rbx), %r11\n"
    "2:\tmovq 16(%rbx), %rcx\n\t"
    "leaq 16(%rdi), %r8\n\t" /* behind the words of the protocol */
    "subq $16, %rcx\n\t"
    "shrq $3, %rcx\n"
    "3:\tcall next_random\n\t"
    "movq %rax, (%r8)\n\t"
    "addq $8, %r8\n\t"
    "decq %rcx\n\t"
    "jnz 3b\n\t"
    "movq 8(%rbx), %rsi\n\t"
    "addq %rdi, %rsi\n\t"
    "call make_exit\n\t"
    "movl $1, (%rdi)\n\t" /* the VMM's turn */
    "call wake_vmm\n"
    "5:\tpause\n\t"
    "cmpl $0, (%rdi)\n\t"
    "jne 5b\n\t"
    "decq (%rbx)\n\t"
    "jnz 2b\n\t"
    "ud2\n"
    /* The same without waiting: what the VMM is looking at changes under it. arg as above. */
    "race_entry:\n\t"
    "movl %ebx, %ebx\n\t"
    "movl %esp, %esp\n\t"
    "movq 56(%rbx), %rdi\n\t"
    "movq (%rdi), %rdi\n\t"
    "movq 24(%rbx), %r11\n"
    "7:\tmovl $0, 8(%rdi)\n\t"
    "movl $40, %ebp\n"
    "8:\tcall next_random\n\t" /* anywhere, and in the exit */
    "movq %rax, %r9\n\t"
    "movq 16(%rbx), %rcx\n\t"
    "subq $24, %rcx\n\t"
    "xorl %edx, %edx\n\t"
    "shrq $8, %rax\n\t"
    "divq %rcx\n\t"
    "andq $-8, %rdx\n\t"
    "movq %r9, 16(%rdi,%rdx)\n\t"
    "decl %ebp\n\t"
    "jnz 8b\n\t"
    "movq %r9, %rax\n\t"
    "movq 8(%rbx), %rsi\n\t"
    "addq %rdi, %rsi\n\t"
    "call make_exit\n\t"
    "movl $1, (%rdi)\n\t"
    "testl $7, %r11d\n\t"
    "jnz 9f\n\t"
    "call wake_vmm\n"
    "9:\tdecq (%rbx)\n\t"
    "jnz 7b\n\t"
    "ud2\n"
    /* Ring random doorbells and fill the devices' register pages with random words, nr times, while
     * the VMM serves what it is made to believe. arg: 0 offset of the doorbells, 1 of the pointer
     * to RAM, 2 of the pages in RAM, 3 seed, 4 address of a queue's index,
     * with another's a page behind it. */
    "bells_entry:\n\t"
    "movl %ebx, %ebx\n\t"
    "movl %esp, %esp\n\t"
    "movq 56(%rbx), %rdi\n\t"
    "movq (%rdi), %rdi\n\t"
    "movq 8(%rbx), %rsi\n\t"
    "addq %rdi, %rsi\n\t"
    "movq 16(%rbx), %rdx\n\t"
    "movq (%rdi,%rdx), %rdx\n\t"
    "addq 24(%rbx), %rdx\n\t"
    "movq 32(%rbx), %r11\n\t"
    "movq 40(%rbx), %r8\n"
    "1:\tcall next_random\n\t"
    "movq %rax, (%rsi)\n\t"
    "movzwl %ax, %ecx\n\t"
    "andl $~7, %ecx\n\t"
    "movq %rax, (%rdx,%rcx)\n\t"
    "shrl $8, %eax\n\t"
    "andl $7, %eax\n\t"
    "addw %ax, (%r8)\n\t"
    "addw %ax, 4096(%r8)\n\t"
    "decq (%rbx)\n\t"
    "jnz 1b\n\t"
    "lret\n"
    ".code32\n"
    ".popsection");
void clobber_entry(void), deaf_entry(void), jump_entry(void), forge_entry(void), race_entry(void),
	bells_entry(void);

/* clobber BYTE ADDRESS */
void clobber(unsigned first)
{
	host_call.nr = number_of(first + 1, 0);
	host_call.result = number(word[first + 2]);
	enter_host(clobber_entry);
}

/* jump ADDRESS: once, should it lead back to where we came from */
void jump(unsigned first)
{
	static bool done;

	print("jumping\n");
	if (done)
		return;
	done = true;
	host_call.nr = number(word[first + 1]);
	enter_host(jump_entry);
}

/* deaf ADDRESS */
void deaf(unsigned first)
{
	print("deaf\n");
	host_call.result = number(word[first + 1]);
	enter_host(deaf_entry);
}

static void take(unsigned first, unsigned args, void (*entry)(void))
{
	host_call.nr = number(word[first + 1]);
	host_call.result = number(word[first + 2]);
	for (unsigned i = 0; i < args; i++)
		host_call.arg[i] = number_of(first + 3 + i, 0);
	if (entry)
		enter_host(entry);
}

/* forge ROUNDS ADDRESS EXIT-OFFSET SIZE SEED, and so race */
void forge(unsigned first)
{
	take(first, 3, forge_entry);
}

void race(unsigned first)
{
	take(first, 3, race_entry);
}

/* The first device, with its first two queues ready and nothing sensible in them. */
static u16 *start_device(void)
{
	static u8 ring[2][4096] __attribute__((aligned(4096)));
	volatile u32 *reg = (volatile u32 *)DEVICES;

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
void bells(unsigned first)
{
	take(first, 4, NULL);
	host_call.arg[4] = (u32)start_device();
	enter_host(bells_entry);
	print("rang\n");
}
