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
		return form < CC_ADOX;
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

/* Behind the prefixes; NULL: the opcode and what follows it are not all there. */
static const u8 *opcode_of(const u8 *code, unsigned n)
{
	unsigned at = 0;

	while (at < n && is_prefix(code[at]))
		at++;
	return at + 2 <= n ? code + at : 0;
}

/* RCL and RCR. */
static bool rotates_carry(const u8 *code)
{
	return ((code[0] & 0xfe) == 0xc0 || (code[0] & 0xfc) == 0xd0) && (code[1] >> 4 & 3) == 1;
}

u32 flags_form(const u8 *code, unsigned n, u32 form)
{
	code = opcode_of(code, n);
	if (!code)
		return form;
	if (code[0] == 0x0f && (code[1] & 0xf0) == 0x90)
		return set_computes(code[1] & 15, form) ? CC_EFLAGS : form;
	return rotates_carry(code) ? CC_EFLAGS : form;
}

bool flags_rotate(const u8 *code, unsigned n)
{
	code = opcode_of(code, n);
	return code && rotates_carry(code);
}
