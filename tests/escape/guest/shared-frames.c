/*
 * Signal frames, the stacks of the monitor, and the mappings of the vcpu process, from 64-bit mode.
 *
 * Owns: `frames` (the stack that all vcpu processes take signals on, overwritten), `sigreturn` (a
 * frame of one's own), `batons` (several vcpu processes at once) and `map-storm-host`.
 */
#include "escape.h"

#define FRAME_WORDS 64
#define SLOTS	    16

/* SP at uc: what rt_sigreturn takes to be a struct ucontext. */
static USER_DATA u64 frame[FRAME_WORDS] __attribute__((aligned(64)));
USER_DATA u64 landed_flags, landed_esp;

asm(".pushsection .user.text,\"ax\",@progbits\n"
    ".code64\n"
    "sigreturn_entry:\n\t"
    "movl %ebx, %ebx\n\t"
    "movl %esp, %esp\n\t"
    "movq %rsp, landed_esp(%rip)\n\t"
    "movq 8(%rbx), %rsp\n\t"
    "movl $15, %eax\n\t"
    "syscall\n\t"
    "ud2\n"
    /* With whatever rights the frame gave: the flags, then what needs IOPL. */
    "sigreturn_landed:\n\t"
    "movl $host_call, %ebx\n\t"
    "movq landed_esp(%rip), %rsp\n\t"
    "pushfq\n\t"
    "popq %rax\n\t"
    "movq %rax, landed_flags(%rip)\n\t"
    "lret\n"
    /* Random words over the monitor's stack, around the frame of the last signal, whose FPU part's
     * address is at offset nr of the shared memory. arg: 0 seed, 1 bytes below it, 2 bytes above.
     */
    "frames_entry:\n\t"
    "movl %ebx, %ebx\n\t"
    "movl %esp, %esp\n\t"
    "movq 56(%rbx), %rdi\n\t"
    "movq (%rdi), %rdi\n\t"
    "addq 0(%rbx), %rdi\n\t"
    "movq (%rdi), %rdi\n\t"
    "movq %rdi, 56(%rbx)\n\t"
    "testq %rdi, %rdi\n\t"
    "jz 3f\n\t"
    "andq $-16, %rdi\n\t"
    "movq 16(%rbx), %rcx\n\t"
    "subq %rcx, %rdi\n\t"
    "addq 24(%rbx), %rcx\n\t"
    "shrq $3, %rcx\n\t"
    "movq 8(%rbx), %r11\n"
    "2:\tcall next_random\n\t"
    "movq %rax, (%rdi)\n\t"
    "addq $8, %rdi\n\t"
    "decq %rcx\n\t"
    "jnz 2b\n"
    "3:\tlret\n"
    /* Call every other vcpu process, and go on here: arg 0 offset of the batons' futexes, 1 of the
     * baton and 2 its size, 3 rounds. */
    "batons_entry:\n\t"
    "movl %ebx, %ebx\n\t"
    "movl %esp, %esp\n\t"
    "movq 56(%rbx), %r9\n\t"
    "movq (%r9), %r9\n"
    "4:\tmovq 8(%rbx), %r8\n\t"
    "addq %r9, %r8\n\t"
    "movl $16, %ebp\n"
    "5:\tmovl $1, (%r8)\n\t"
    "movq %r8, %rdi\n\t"
    "movl $202, %eax\n\t"
    "movl $1, %esi\n\t"
    "movl $0x7fffffff, %edx\n\t"
    "movq %r11, %r12\n\t"
    "syscall\n\t"
    "movq %r12, %r11\n\t"
    "addq $4, %r8\n\t"
    "decl %ebp\n\t"
    "jnz 5b\n\t"
    "call next_random\n\t"
    "andl $0x38, %eax\n\t"
    "addq 16(%rbx), %rax\n\t"
    "addq %r9, %rax\n\t"
    "testl $3, %r11d\n\t"
    "jnz 6f\n\t"
    "movq %r11, (%rax)\n" /* the stack to go on at, and the like */
    "6:\tdecq 32(%rbx)\n\t"
    "jnz 4b\n\t"
    "lret\n"
    /* Map pages of RAM (descriptor 3) one by one below 4 GiB, every second, until the host refuses;
     * begin again for as long as it lasts. */
    "map_storm_entry:\n\t"
    "movl %ebx, %ebx\n\t"
    "movl %esp, %esp\n"
    "7:\tmovl $0x60000000, %r13d\n"
    "8:\tmovl %r13d, %edi\n\t"
    "movl $4096, %esi\n\t"
    "movl $3, %edx\n\t"
    "movl $0x11, %r10d\n\t"
    "movl $3, %r8d\n\t"
    "xorl %r9d, %r9d\n\t"
    "movl $9, %eax\n\t"
    "syscall\n\t"
    "testq %rax, %rax\n\t"
    "js 9f\n\t"
    "incq 56(%rbx)\n\t"
    "addl $8192, %r13d\n\t"
    "cmpl $0xe0000000, %r13d\n\t"
    "jb 8b\n"
    "9:\tmovq %rax, 8(%rbx)\n\t"
    "decq 0(%rbx)\n\t"
    "jz 1f\n\t"
    "movl $0x60000000, %edi\n\t"
    "movl $0x80000000, %esi\n\t"
    "movl $11, %eax\n\t"
    "syscall\n\t"
    "jmp 7b\n"
    "1:\tlret\n\t"
    ".code32\n"
    ".popsection");
void sigreturn_entry(void), sigreturn_landed(void), frames_entry(void), batons_entry(void),
	map_storm_entry(void);

/* Words of struct ucontext on x86-64, from its start. */
enum {
	UC_FLAGS = 0,
	UC_R8 = 5,
	UC_SP = 20,
	UC_IP = 21,
	UC_EFLAGS = 22,
	UC_SELECTORS = 23, /* CS, GS, FS, SS: 16 bits each */
	UC_FPSTATE = 28,
	UC_SIGMASK = 37,
};

/* sigreturn CS SS EFLAGS FPSTATE UC-FLAGS [SEED]: with a seed, all the rest of it is random. */
void sigreturn(unsigned first)
{
	u32 seed = number_of(first + 6, 0);
	const bool at_random = seed;

	for (unsigned i = 0; at_random && i < FRAME_WORDS; i++)
		frame[i] = random(&seed) | (u64)random(&seed) << 32;
	frame[UC_FLAGS] = number_of(first + 5, 0);
	frame[UC_SP] = (u32)user_stack_top;
	frame[UC_IP] = (u32)sigreturn_landed;
	frame[UC_EFLAGS] = number_of(first + 3, 0);
	frame[UC_SELECTORS] = number_of(first + 1, 0) | (u64)number_of(first + 2, 0) << 48;
	frame[UC_FPSTATE] = number(word[first + 4]);
	frame[UC_SIGMASK] = 0;
	host_call.arg[0] = (u32)frame;
	enter_host(sigreturn_entry);
	if (landed_flags & FLAG_IOPL) {
		print("ESCAPED: an IOPL by way of a frame: %x\n", (u32)landed_flags);
		escaped();
	}
	print("held: the frame gave no rights\n");
}

CODE(trap_by_ud2, "", "ud2");

/* frames OFFSET ADDRESS SEED BELOW ABOVE: then traps, and other address spaces, on what is left. */
void frames(unsigned first)
{
	static u32 other_dir[1024] __attribute__((aligned(4096)));

	paging_init();
	for (unsigned i = 0; i < 1024; i++)
		other_dir[i] = page_dir[i];
	cr3_set((u32)other_dir);
	cr3_set((u32)page_dir);
	try(trap_by_ud2);
	host_call.nr = number(word[first + 1]);
	host_call.result = number(word[first + 2]);
	for (unsigned i = 0; i < 3; i++)
		host_call.arg[i] = number_of(first + 3 + i, 0);
	enter_host(frames_entry);
	print("frame %s\n", host_call.result ? "overwritten" : "not found");
	for (unsigned i = 0; i < 100; i++) {
		try(trap_by_ud2);
		cr3_set((u32)(i & 1 ? other_dir : page_dir));
	}
	print("held: traps go on\n");
}

/* batons ADDRESS CALL-OFFSET BATON-OFFSET ROUNDS */
void batons(unsigned first)
{
	host_call.result = number(word[first + 1]);
	host_call.arg[0] = number(word[first + 2]);
	host_call.arg[1] = number(word[first + 3]);
	host_call.arg[3] = number_of(first + 4, 1000);
	enter_host(batons_entry);
	print("held: all of them were called\n");
}

/* map-storm-host ROUNDS */
void map_storm_host(unsigned first)
{
	host_call.nr = number_of(first + 1, 1);
	host_call.result = 0;
	enter_host(map_storm_entry);
	print("held: %u mappings, then %08x\n", (u32)host_call.result, (u32)host_call.arg[0]);
}
