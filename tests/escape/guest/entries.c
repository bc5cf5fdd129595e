/*
 * Ways into a host's kernel that 32-bit code has: int $0x80, sysenter, syscall, and the gate that
 * is the guest kernel's alone.
 *
 * Owns: `entry NAME`, where NAME's first letter says whether the kernel or user code does it.
 */
#include "escape.h"

void call64_entry(void);

CODE(k_int80, "movl $4, %eax; movl $1, %ebx; movl $7, %edx", "int $0x80");
CODE(k_sysenter, "movl $4, %eax; movl %esp, %ebp", "sysenter");
CODE(k_syscall, "movl $1, %eax", "syscall");
UCODE(u_int80, "movl $4, %eax; movl $1, %ebx; movl $7, %edx", "int $0x80");
UCODE(u_sysenter, "movl $4, %eax; movl %esp, %ebp", "sysenter");
UCODE(u_syscall, "movl $1, %eax", "syscall");
UCODE(u_far, "", "ljmp $0x33, $call64_entry");
UCODE(u_wrpkru, "xorl %ecx, %ecx; xorl %edx, %edx; orl $-1, %eax", ".byte 0x0f, 0x01, 0xef");
#ifdef PLEX86_PV_STUB_TRAP
/* User code in the gate that is the kernel's: by its front door, and behind it on a forged stack.
 */
asm(".pushsection .text; k_cr3: .long k_cr3 + 4; movl %eax, %cr3; .popsection");
UCODE(u_trap_stub, "",
      "lcall $0x23, $" STRINGIFY(PLEX86_PV_PAGE) " + " STRINGIFY(PLEX86_PV_STUB_TRAP));
UCODE(u_landing, "movl $k_cr3, %esp",
      "ljmp $0x33, $" STRINGIFY(PLEX86_PV_PAGE) " + " STRINGIFY(PLEX86_PV_STUB_TRAP) " + 7");
#endif

static const struct snippet snippets[] = {
	SNIPPET(k_int80),     SNIPPET(k_sysenter), SNIPPET(k_syscall), SNIPPET(u_int80),
	SNIPPET(u_sysenter),  SNIPPET(u_syscall),  SNIPPET(u_far),     SNIPPET(u_wrpkru),
#ifdef PLEX86_PV_STUB_TRAP
	SNIPPET(u_trap_stub), SNIPPET(u_landing),
#endif
};

static void enter(const struct snippet *s)
{
	struct user_state state = user_state(s->fn);

	paging_init();
	set_gate(0x80, ACC_P | ACC_DPL(3) | ACC_INTGATE);
	state.ebx = (u32)user_stack;
#ifdef PLEX86_PV_STUB_TRAP
	if (s->fn == u_trap_stub || s->fn == u_landing) {
		/* With the ABI's segments the PV page stays where it is. */
		state.cs = PLEX86_USER_CS;
		state.ss = PLEX86_USER_DS;
	}
#endif
	if (s->name[0] == 'u')
		print_result(s, run_user_state(&state));
	else
		print_result(s, try(s->fn));
}

void entries(unsigned first)
{
	for (unsigned i = 0; first + 1 < words && i < ARRAY_SIZE(snippets); i++)
		if (is(word[first + 1], snippets[i].name))
			enter(&snippets[i]);
}
