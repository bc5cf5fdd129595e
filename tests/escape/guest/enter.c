/*
 * The host's 64-bit code segment, and system calls from there.
 *
 * Owns: the ways in (far jump, call, return and interrupt return, of the guest's kernel and of its
 * user code), and sequences of system calls:
 *
 *   [user] [ljmp|lcall|lret|iret] call|call32|fork|fork32 [via=ADDRESS] NR ARG... / NR ARG...
 *
 * `call` makes 64-bit calls by SYSCALL, `call32` the host's 32-bit calls by int $0x80; with `fork`
 * whoever gets 0 from it stays there. `via`: by the instruction at that address of the monitor's.
 * An argument is a number; @TEXT, the address of TEXT; [A,B,...], that of an array of 64-bit words;
 * or $N, what the Nth call came back with.
 */
#include "escape.h"

#define HOST_CS64 0x33 /* of every Linux host */
#define POOL	  128
#define TEXTS	  1024
#define CALLS	  8
#define LIST	  12

USER_DATA __attribute__((aligned(16))) struct host_call host_call;
static USER_DATA u64 pool[POOL];
static USER_DATA char texts[TEXTS];
/* What code of the monitor's may pop before it returns; then each word leads back here. */
USER_DATA u64 landing_stack[512];
static u64 results[CALLS];
static unsigned pool_used, texts_used;

USER_DATA struct {
	u32 offset;
	u16 selector;
} __attribute__((packed)) host_far = {0, HOST_CS64};

/* ---- Ways in ---- */
#define WAY_IN(section, name, how, back)                                          \
	void name(void);                                                          \
	asm(".pushsection " section ",\"ax\",@progbits\n" #name                   \
	    ":\n\tpushal\n\tmovl $host_call, %ebx\n\t" how "\n1:\tpopal\n\t" back \
	    "\n\t.popsection")
#define BACK  "pushl %cs; pushl $1f; "
#define LCALL "lcall *host_far"
#define LJMP  BACK "ljmp *host_far"
#define LRET  BACK "pushl $0x33; pushl host_far; lret"
#define IRET  BACK ".byte 0x9c; pushl $0x33; pushl host_far; .byte 0xcf"
WAY_IN(".text", k_lcall, LCALL, "ret");
WAY_IN(".text", k_ljmp, LJMP, "ret");
WAY_IN(".text", k_lret, LRET, "ret");
WAY_IN(".text", k_iret, IRET, "ret");
WAY_IN(".user.text", u_lcall, LCALL, "int $0x30");
WAY_IN(".user.text", u_ljmp, LJMP, "int $0x30");
WAY_IN(".user.text", u_lret, LRET, "int $0x30");
WAY_IN(".user.text", u_iret, IRET, "int $0x30");

static const struct way {
	const char *name;
	void (*kernel)(void), (*user)(void);
} ways[] = {{"lcall", k_lcall, u_lcall},
	    {"ljmp", k_ljmp, u_ljmp},
	    {"lret", k_lret, u_lret},
	    {"iret", k_iret, u_iret}};
static const struct way *way = ways;
static bool as_user;

unsigned take_way(unsigned first)
{
	if (first < words && is(word[first], "user")) {
		as_user = true;
		first++;
	}
	for (unsigned i = 0; first < words && i < ARRAY_SIZE(ways); i++)
		if (is(word[first], ways[i].name)) {
			way = &ways[i];
			return first + 1;
		}
	return first;
}

extern u8 __user_start[], __user_end[];

/* Every page of the 64-bit code and its data, as no page fault from there comes back. */
UCODE(u_touch_pages, "", "1: lock addl $0, (%ebx); addl $4096, %ebx; cmpl %ecx, %ebx; jb 1b");

static void touch_pages(void)
{
	struct user_state s = user_state(u_touch_pages);

	for (u32 at = (u32)__user_start; at < (u32)__user_end; at += PAGE)
		*(volatile u32 *)at += 0;
	s.ebx = (u32)__user_start;
	s.ecx = (u32)__user_end;
	if (as_user && run_user_state(&s) != VEC_DONE)
		refused();
}

void enter_host(void (*entry)(void))
{
	static bool paging;

	host_far.offset = (u32)entry;
	if (as_user && !paging)
		paging_init();
	paging = true;
	touch_pages();
	if (as_user ? run_user(way->user) != VEC_DONE : try(way->kernel) != NO_TRAP)
		refused();
}

/* ---- Calls ---- */
asm(".pushsection .user.text,\"ax\",@progbits\n"
    ".code64\n"
    "load_arguments:\n\t"
    "movq 0(%rbx), %rax\n\t"
    "movq 8(%rbx), %rdi\n\t"
    "movq 16(%rbx), %rsi\n\t"
    "movq 24(%rbx), %rdx\n\t"
    "movq 32(%rbx), %r10\n\t"
    "movq 40(%rbx), %r8\n\t"
    "movq 48(%rbx), %r9\n\t"
    "retq\n"
    ".globl call64_entry\n"
    "call64_entry:\n\t"
    "movl %ebx, %ebx\n\t"
    "movl %esp, %esp\n\t"
    "call load_arguments\n\t"
    "cmpq $0, 72(%rbx)\n\t"
    "jne 1f\n\t"
    "syscall\n\t"
    "jmp call_done\n"
    "1:\tmovl %esp, %esp\n\t"
    "movq %rsp, 80(%rbx)\n\t"
    "movl $landing_stack + 2048, %esp\n\t"
    "movq %rbx, %rbp\n\t"
    "jmpq *72(%rbx)\n"
    "call_landed:\n\t" /* whatever the monitor's code has made of the registers */
    "movl $host_call, %ebx\n\t"
    "movq 80(%rbx), %rsp\n\t"
    "jmp call_done\n"
    "call32_entry:\n\t"
    "movl %ebx, %r12d\n\t"
    "movl 0(%r12), %eax\n\t"
    "movl 8(%r12), %ebx\n\t"
    "movl 16(%r12), %ecx\n\t"
    "movl 24(%r12), %edx\n\t"
    "movl 32(%r12), %esi\n\t"
    "movl 40(%r12), %edi\n\t"
    "cmpq $0, 72(%r12)\n\t"
    "jne 2f\n\t"
    "int $0x80\n\t"
    "movl %r12d, %ebx\n\t"
    "jmp call_done\n"
    "2:\tmovl %esp, %esp\n\t"
    "movq %rsp, 80(%r12)\n\t"
    "movl $landing_stack + 2048, %esp\n\t"
    "jmpq *72(%r12)\n"
    "call_done:\n\t"
    "movq %rax, 56(%rbx)\n\t"
    "testq %rax, %rax\n\t"
    "jnz 3f\n\t"
    "cmpq $0, 64(%rbx)\n\t"
    "je 3f\n"
    "4:\tpause\n\t"
    "jmp 4b\n"
    "3:\tlret\n\t"
    ".code32\n"
    ".popsection");
void call64_entry(void), call32_entry(void), call_landed(void);

static u64 argument(const char **text);

static u64 array(const char **text)
{
	u64 list[LIST], *at;
	unsigned n = 0;

	do {
		*text += 1;
		list[n] = argument(text);
		n += n + 1 < LIST;
	} while (**text == ',');
	*text += **text == ']';
	if (pool_used + n > POOL)
		guest_exit(76);
	at = &pool[pool_used];
	for (unsigned i = 0; i < n; i++)
		pool[pool_used++] = list[i];
	return (u32)at;
}

static u64 string(const char **text)
{
	char *at = &texts[texts_used];

	while (**text && **text != ',' && **text != ']') {
		if (texts_used + 2 > TEXTS)
			guest_exit(76);
		texts[texts_used++] = *(*text)++;
	}
	texts[texts_used++] = '\0';
	return (u32)at;
}

static u64 argument(const char **text)
{
	u64 value;

	if (**text == '[')
		return array(text);
	if (**text == '@') {
		*text += 1;
		return string(text);
	}
	if (**text == '$') {
		const unsigned which = number(*text + 1);

		value = which && which <= CALLS ? results[which - 1] : 0;
	} else {
		value = number(*text);
	}
	while (**text && **text != ',' && **text != ']')
		*text += 1;
	return value;
}

/* The call whose number is word i. The word behind it. */
static unsigned one_call(unsigned i, unsigned which, void (*entry)(void))
{
	const char *nr = word[i];

	for (unsigned a = 0; a < ARRAY_SIZE(host_call.arg); a++)
		host_call.arg[a] = 0;
	for (unsigned a = 0; ++i < words && !is(word[i], "/"); a++) {
		const char *text = word[i];

		host_call.arg[a % ARRAY_SIZE(host_call.arg)] = argument(&text);
	}
	host_call.nr = number(nr);
	enter_host(entry);
	results[which] = host_call.result;
	print("came back: call %s with %08x%08x\n", nr, (u32)(host_call.result >> 32),
	      (u32)host_call.result);
	return i + 1;
}

void host_calls(unsigned first)
{
	const bool old = is(word[first], "call32") || is(word[first], "fork32");
	unsigned i = first + 1;

	host_call.child_stays = word[first][0] == 'f';
	if (i < words && word[i][0] == 'v')
		host_call.via = number(word[i++] + 4);
	for (unsigned w = 0; w < ARRAY_SIZE(landing_stack); w++)
		landing_stack[w] = (u32)call_landed;
	for (unsigned n = 0; i < words && n < CALLS; n++)
		i = one_call(i, n, old ? call32_entry : call64_entry);
	print("ESCAPED: host calls came back\n");
	escaped();
}
