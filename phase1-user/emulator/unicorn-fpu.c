/*
 * The FPU's part of unicorn-internals.h: functions of libunicorn that ours replace.
 *
 * What they do is xsave.c's and fpu.c's, by way of struct emulated_owner.
 */
#include "unicorn-internals.h"

#include <dlfcn.h>
#include <string.h>

#define CALLER ((uintptr_t)__builtin_return_address(0))

u32 cpu_ldl_data_ra_x86_64(void *env, u64 la, uintptr_t host_pc);
void cpu_stl_data_ra_x86_64(void *env, u64 la, u32 value, uintptr_t host_pc);

#define MXCSR_RESERVED 0xffff0000u

void helper_xsave_x86_64(void *env, u64 la, u64 mask);
void helper_xsave_x86_64(void *env, u64 la, u64 mask)
{
	const u8 vector = emulated_owner()->xsave(la, mask, false, CALLER);

	(void)env;
	if (vector)
		emulated_raise(vector, CALLER);
}

void helper_xsaveopt_x86_64(void *env, u64 la, u64 mask);
void helper_xsaveopt_x86_64(void *env, u64 la, u64 mask)
{
	const u8 vector = emulated_owner()->xsave(la, mask, true, CALLER);

	(void)env;
	if (vector)
		emulated_raise(vector, CALLER);
}

void helper_xrstor_x86_64(void *env, u64 la, u64 mask);
void helper_xrstor_x86_64(void *env, u64 la, u64 mask)
{
	const u8 vector = emulated_owner()->xrstor(la, mask, CALLER);

	(void)env;
	if (vector)
		emulated_raise(vector, CALLER);
}

u64 helper_xgetbv_x86_64(void *env, u32 index);
u64 helper_xgetbv_x86_64(void *env, u32 index)
{
	(void)env;
	if (!(emulated_cpu()->cr[4] & CR4_OSXSAVE))
		emulated_raise(EXC_UD, CALLER);
	if (index)
		emulated_raise(EXC_GP, CALLER);
	return emulated_owner()->xcr0();
}

/* The library takes reserved bits, with which the host's CPU would fault when it is given them. */
void helper_ldmxcsr_x86_64(void *env, u32 value);
void helper_ldmxcsr_x86_64(void *env, u32 value)
{
	static void (*original)(void *, u32);

	if (value & MXCSR_RESERVED)
		emulated_raise(EXC_GP, CALLER);
	if (!original)
		original = (void (*)(void *, u32))dlsym(RTLD_NEXT, "helper_ldmxcsr_x86_64");
	original(env, value);
}

/* CR0.TS does not decide alone whether there is an FPU. */
void helper_clts_x86_64(void *env);
void helper_clts_x86_64(void *env)
{
	struct emulated_cpu *c = emulated_cpu();

	(void)env;
	c->cr[0] &= ~(u64)CR0_TS;
	if (emulated_owner()->has_fpu())
		c->hflags &= ~EMULATED_TS;
}

/* ---- memory ---- */

void emulated_load(u32 la, void *bytes, u32 n, uintptr_t host_pc)
{
	for (u32 i = 0; i < n; i += sizeof(u32)) {
		const u32 value = cpu_ldl_data_ra_x86_64(emulated_cpu(), (u32)(la + i), host_pc);

		memcpy((u8 *)bytes + i, &value, sizeof(value));
	}
}

void emulated_store(u32 la, const void *bytes, u32 n, uintptr_t host_pc)
{
	for (u32 i = 0; i < n; i += sizeof(u32)) {
		u32 value;

		memcpy(&value, (const u8 *)bytes + i, sizeof(value));
		cpu_stl_data_ra_x86_64(emulated_cpu(), (u32)(la + i), value, host_pc);
	}
}
