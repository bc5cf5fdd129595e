/*
 * See flags.h. That the library does this was found by tests/random; docs/emulator-bugs.md.
 */
#include "flags.h"

static bool is_prefix(u8 b)
{
	return b == 0x26 || b == 0x2e || b == 0x36 || b == 0x3e || (b >= 0x64 && b <= 0x67) ||
	       b == 0xf0 || b == 0xf2 || b == 0xf3;
}

/* Does SETcc make EFLAGS of them first? Some conditions it sees in the lazy form. */
static bool set_computes(unsigned condition, u32 form)
{
	switch (condition >> 1 & 7) {
	case 0: /* o */
	case 5: /* p */
		return true;
	case 2: /* z, s */
	case 4:
		return form == CC_DYNAMIC;
	case 3: /* be, l, le */
	case 6:
	case 7:
		return form < CC_SUB || form >= CC_SUB + 4;
	default: /* b */
		return false;
	}
}

/* RCL and RCR. (They also change the carry before they store: where the load does not fault and the
 * store does, it is lost.) */
static bool rotates_carry(u8 opcode, u8 modrm)
{
	return ((opcode & 0xfe) == 0xc0 || (opcode & 0xfc) == 0xd0) && (modrm >> 4 & 3) == 1;
}

u32 flags_form(const u8 *code, unsigned n, u32 form)
{
	unsigned at = 0;

	while (at < n && is_prefix(code[at]))
		at++;
	if (at + 3 > n)
		return form;
	code += at;
	if (code[0] == 0x0f && (code[1] & 0xf0) == 0x90)
		return set_computes(code[1] & 15, form) ? CC_EFLAGS : form;
	if (rotates_carry(code[0], code[1]))
		return CC_EFLAGS;
	return form;
}
