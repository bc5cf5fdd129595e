/*
 * Test guest: 32-bit user code writes what 16-bit user code and vm86 run next, over the end of a
 * page too. Not for engines that do not have those.
 */
#include "guest.h"

#define LOW_CODE  0x70000u /* two pages below 1 MiB, for user code */
#define LOW_STACK 0x72000u
#define CODE_SEL  (TEST_SEL(0) | 3)
#define ROUNDS	  300
#define FLAG_VM	  0x20000u

/* movl $VALUE, %eax; int $0x30 */
static const u8 code[] = {0x66, 0xb8, 0, 0, 0, 0, 0xcd, VEC_DONE};
#define VALUE_AT 2

UCODE(u_store, "", "movl %ecx, (%ebx)");
UCODE(u_copy, "cld", "rep movsb");
static u8 USER_DATA image[sizeof(code)];

static void plant(u32 where)
{
	struct user_state s = user_state(u_copy);

	for (u32 i = 0; i < sizeof(code); i++)
		image[i] = code[i];
	s.esi = (u32)image;
	s.edi = where;
	s.ecx = sizeof(code);
	run_user_state(&s);
}

static u32 in_16_bits(u32 offset)
{
	struct user_state s = user_state(NULL);

	s.cs = CODE_SEL;
	s.eip = offset;
	return run_user_state(&s) == VEC_DONE ? trap.eax : NO_TRAP;
}

static u32 vm86_frame[9];

static void enter_vm86(void)
{
	iret_frame(vm86_frame);
}

static u32 in_vm86(u32 offset)
{
	const u32 frame[] = {
		offset, LOW_CODE >> 4, FLAG_VM | FLAG_IOPL | 2, 0x100, LOW_STACK >> 4, 0, 0, 0, 0};

	for (u32 i = 0; i < ARRAY_SIZE(frame); i++)
		vm86_frame[i] = frame[i];
	return try(enter_vm86) == VEC_DONE ? trap.eax : NO_TRAP;
}

static void patched(const char *what, u32 (*run)(u32 offset), u32 offset)
{
	u32 wrong = 0;

	plant(LOW_CODE + offset);
	wrong += run(offset) != 0;
	for (u32 i = 1; i <= ROUNDS; i++) {
		struct user_state s = user_state(u_store);

		s.ebx = LOW_CODE + offset + VALUE_AT;
		s.ecx = i * 0x10001;
		run_user_state(&s);
		wrong += run(offset) != i * 0x10001;
	}
	print("%s at %04x, wrong %u\n", what, offset, wrong);
}

void guest_main(void)
{
	static const u32 offsets[] = {0x40, PAGE - 4, PAGE - 1};

	paging_init();
	for (u32 a = LOW_CODE; a <= LOW_STACK; a += PAGE)
		*pte_of(a) |= PTE_U;
	tlb_flush();
	gdt[GDT_TEST] = descriptor(LOW_CODE, 0xffff, ACC_P | ACC_DPL(3) | ACC_CODE_R, 0);
	for (u32 i = 0; i < ARRAY_SIZE(offsets); i++) {
		patched("16-bit code", in_16_bits, offsets[i]);
		patched("vm86", in_vm86, offsets[i]);
	}
	guest_exit(0);
}
