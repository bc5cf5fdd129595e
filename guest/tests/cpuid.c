/*
 * Test guest: CPUID, as far as every machine we run on agrees: what must be there, registers, and
 * that the kernel and user code can ask. Vendor, family and the rest of the features are not
 * printed.
 */
#include "guest.h"

struct leaf {
	u32 eax, ebx, ecx, edx;
};

static struct leaf cpuid(u32 leaf, u32 sub)
{
	struct leaf l;

	asm volatile("cpuid"
		     : "=a"(l.eax), "=b"(l.ebx), "=c"(l.ecx), "=d"(l.edx)
		     : "0"(leaf), "2"(sub));
	return l;
}

static bool printable(u32 v)
{
	for (unsigned i = 0; i < 4; i++, v >>= 8)
		if ((v & 0xff) < 0x20 || (v & 0xff) > 0x7e)
			return false;
	return true;
}

UCODE(u_cpuid, "", ".byte 0x0f, 0xa2");

void guest_main(void)
{
	static const struct {
		const char *name;
		u32 bit;
	} features[] = {{"FPU", 0},   {"PSE", 3},  {"TSC", 4},	 {"MSR", 5},
			{"CX8", 8},   {"PGE", 13}, {"CMOV", 15}, {"MMX", 23},
			{"FXSR", 24}, {"SSE", 25}, {"SSE2", 26}};
	struct leaf l = cpuid(0, 0);
	struct user_state s;
	u32 flags;

	paging_init();
	check(l.eax >= 1 && l.eax < 0x100, "highest basic leaf");
	check(printable(l.ebx) && printable(l.ecx) && printable(l.edx), "vendor string");
	l = cpuid(1, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
		check(l.edx >> features[i].bit & 1, features[i].name);
	check(!(l.edx >> 9 & 1), "no local APIC");
	check(l.ecx >> 31 & 1, "hypervisor bit");
	check(cpuid(0x80000000, 0).eax >= 0x80000000, "extended leaves");
	/* The upper halves and the flags: nothing but the four registers changes. */
	asm volatile(
		"pushl $0x8d7; popfl; xorl %%eax, %%eax; pushl $0x8d7; popfl; cpuid; pushfl; popl %0"
		: "=S"(flags)
		:
		: "eax", "ebx", "ecx", "edx", "cc");
	print("flags across cpuid %03x\n", flags & 0xfff);
	/* ID can be changed: that is how a kernel finds out. */
	flags_set(flags_get() ^ FLAG_ID);
	u32 one = flags_get() & FLAG_ID;

	flags_set(flags_get() ^ FLAG_ID);
	print("ID toggles %u\n", one != (flags_get() & FLAG_ID));
	s = user_state(u_cpuid);
	s.eax = 0;
	run_user_state(&s);
	print_trap("user code", u_cpuid_at);
	check(trap.eax >= 1 && printable(trap.ebx), "it has an answer");
	guest_exit(0);
}
