/*
 * libunicorn 2.0.1's internals: see unicorn-internals.h.
 *
 * The names that end in _x86_64 are the library's. Those defined here take the place of its own.
 */
#include "unicorn-internals.h"
#include "flags.h"
#include "../../common/host.h"
#include "../../decoder/decode.h"

#include <dlfcn.h>
#include <string.h>
#include <sys/mman.h>
#include <unicorn-layout.h>
#include <unicorn/unicorn.h>

/* exception_index that ends the library's loop for good. */
#define EXCEPTION_HLT 0x10001

#define EMULATED_GIF 1u		 /* in hflags2: interrupts exist */
#define ALWAYS_ASK   0x40000000u /* an interrupt request that is no cause of the library's own */

#define ARITHMETIC (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

enum { ACCESS_LOAD, ACCESS_STORE, ACCESS_FETCH };
enum { MMU_USER = 1, MMU_COUNT = 3 };

_Static_assert(sizeof(struct emulated_segment) == 24, "as the library has it");
_Static_assert(__builtin_offsetof(struct emulated_cpu, seg) == 184, "as the library has it");
_Static_assert(__builtin_offsetof(struct emulated_cpu, cr) == 424, "as the library has it");

/* The library's functions are given its CPU and nothing of ours: this is what they find. */
static struct {
	uc_engine *uc;
	u8 *cpu, *env;
	u8 *ram, *tables;
	u64 size;
	struct emulated_exit *exit;
	const struct emulated_owner *owner;
	u64 unrotated; /* flags in front of the last RCL or RCR */
} self;

/* The library's own functions that are called here, and one that ours stands in front of. */
_Noreturn void cpu_loop_exit_x86_64(void *cpu);
_Noreturn void cpu_loop_exit_restore_x86_64(void *cpu, uintptr_t host_pc);
void tlb_set_page_with_attrs_x86_64(void *cpu, u64 la, u64 physical, u32 attributes, int prot,
				    int mmu, u64 size);
void tlb_flush_x86_64(void *cpu);
void tlb_flush_page_x86_64(void *cpu, u64 la);
void tlb_set_dirty_x86_64(void *cpu, u64 la);
void tlb_reset_dirty_x86_64(void *cpu, u64 host, u64 length);
void tb_invalidate_phys_range_x86_64(void *uc, u64 start, u64 end);
u32 cpu_cc_compute_all_x86_64(void *env, int op);
void x86_update_hflags_x86_64(void *env);
void cpu_x86_cpuid_x86_64(void *env, u32 leaf, u32 subleaf, u32 *a, u32 *b, u32 *c, u32 *d);

static u32 *env32(unsigned offset)
{
	return (u32 *)(self.env + offset);
}

/* ---- leaving the library's loop ---- */

static void note_end(enum emulated_stop stop)
{
	self.exit->stop = stop;
	*(u32 *)(self.cpu + CPU_EXCEPTION_INDEX) = EXCEPTION_HLT;
}

/* From code called by translated code at `host_pc`, with the registers as they were before the
 * guest's instruction; 0: they are in place. */
static _Noreturn void leave(enum emulated_stop stop, uintptr_t host_pc)
{
	note_end(stop);
	if (host_pc)
		cpu_loop_exit_restore_x86_64(self.cpu, host_pc);
	cpu_loop_exit_x86_64(self.cpu);
}

#define CALLER ((uintptr_t)__builtin_return_address(0))

/* Exceptions. */
static void interrupt_hook(uc_engine *uc, u32 vector, void *data)
{
	struct emulated_exit *e = self.exit;

	(void)uc;
	(void)data;
	e->vector = vector;
	e->error = *env32(ENV_ERROR_CODE);
	leave(STOP_EXCEPTION, 0);
}

/* Undefined instructions are exceptions like others. */
static bool never_stop(uc_engine *uc, int exception)
{
	(void)uc;
	(void)exception;
	return false;
}

/* ---- in place of the library's functions ---- */

/* The CPU has been made. */
void tlb_init_x86_64(void *cpu);
void tlb_init_x86_64(void *cpu)
{
	void (*const original)(void *) = (void (*)(void *))dlsym(RTLD_NEXT, "tlb_init_x86_64");

	self.cpu = cpu;
	self.env = self.cpu + CPU_REGISTERS;
	original(cpu);
}

bool x86_cpu_exec_interrupt_x86_64(void *cpu, int request);
bool x86_cpu_exec_interrupt_x86_64(void *cpu, int request)
{
	(void)cpu;
	(void)request;
	if (self.owner->interrupted())
		leave(STOP_INTERRUPT, 0);
	return false;
}

/* It is called behind each access to memory and would repeat the instruction. */
void check_exit_request_x86_64(void *context);
void check_exit_request_x86_64(void *context)
{
	(void)context;
}

/* The bytes at `la`, which have been translated, so they can be read: up to `most`. How many. */
static unsigned code_bytes(u32 la, u8 *bytes, unsigned most)
{
	const bool user = (emulated_cpu()->hflags & EMULATED_CPL) == 3;
	unsigned n = 0;

	while (n < most) {
		const u32 at = la + n, offset = at & (PAGE_SIZE_4K - 1);
		const unsigned room = PAGE_SIZE_4K - offset, rest = most - n;
		const unsigned some = room < rest ? room : rest;
		struct emulated_mapping m;

		if (!self.owner->page(at, false, true, user, &m) || m.physical >= self.size)
			break;
		memcpy(bytes + n, self.ram + m.physical + offset, some);
		n += some;
	}
	return n;
}

/* An instruction is given up: its registers as they were in front of it. `data`: its linear
 * address, and the form of the flags. */
void restore_state_to_opc_x86_64(void *env, void *block, const u64 data[2]);
void restore_state_to_opc_x86_64(void *env, void *block, const u64 data[2])
{
	static void (*original)(void *, void *, const u64 *);
	const bool loads = self.exit->stop == STOP_PAGE && !self.exit->write;
	const u32 recorded = (u32)data[1];
	u8 code[INSN_MAX];
	unsigned n;
	u32 form;

	if (!original)
		original = (void (*)(void *, void *, const u64 *))dlsym(
			RTLD_NEXT, "restore_state_to_opc_x86_64");
	original(env, block, data);
	n = code_bytes((u32)data[0], code, sizeof(code));
	form = flags_form(code, n, recorded);
	if (form != recorded)
		emulated_cpu()->cc_op = form;
	if (!loads && flags_rotate(code, n))
		emulated_cpu()->cc_src = self.unrotated;
}

/* RCL and RCR change the carry before they store. What faults then is carried out again. */
#define ROTATES_CARRY(name)                                                                    \
	u64 helper_##name##_x86_64(void *env, u64 value, u64 count);                           \
	u64 helper_##name##_x86_64(void *env, u64 value, u64 count)                            \
	{                                                                                      \
		static u64 (*original)(void *, u64, u64);                                      \
                                                                                               \
		if (!original)                                                                 \
			original = (u64(*)(void *, u64, u64))dlsym(RTLD_NEXT,                  \
								   "helper_" #name "_x86_64"); \
		self.unrotated = emulated_cpu()->cc_src;                                       \
		return original(env, value, count);                                            \
	}
ROTATES_CARRY(rclb)
ROTATES_CARRY(rclw)
ROTATES_CARRY(rcll)
ROTATES_CARRY(rcrb)
ROTATES_CARRY(rcrw)
ROTATES_CARRY(rcrl)

static void set_page(void *cpu, u32 la, const struct emulated_mapping *m, int mmu)
{
	tlb_set_page_with_attrs_x86_64(cpu, la & ~0xfffu, m->physical, 0,
				       m->prot & (HOST_READ | HOST_WRITE | HOST_EXEC), mmu,
				       PAGE_SIZE_4K);
	/* It would have every store look for code. */
	if ((m->prot & HOST_WRITE) && m->physical < EMULATED_DEVICE_BASE &&
	    !self.owner->is_code(m->physical))
		tlb_set_dirty_x86_64(cpu, la & ~0xfffu);
}

bool x86_cpu_tlb_fill_x86_64(void *cpu, u64 address, int size, int access, int mmu, bool probe,
			     uintptr_t host_pc);
bool x86_cpu_tlb_fill_x86_64(void *cpu, u64 address, int size, int access, int mmu, bool probe,
			     uintptr_t host_pc)
{
	const bool write = access == ACCESS_STORE, fetch = access == ACCESS_FETCH;
	const bool user = mmu == MMU_USER;
	const struct emulated_cpu *c = emulated_cpu();
	struct emulated_mapping m;

	(void)size;
	if (fetch && address >> 32 && (c->seg[SEG_CS].base + c->eip) >> 32)
		leave(STOP_WRAPPED, host_pc);
	if (self.owner->page(address, write, fetch, user, &m)) {
		set_page(cpu, address, &m, mmu);
		return true;
	}
	if (probe)
		return false;
	self.exit->address = address;
	self.exit->write = write;
	self.exit->fetch = fetch;
	self.exit->user = user;
	leave(STOP_PAGE, host_pc);
}

#define ARITHMETIC_FLAGS 0x8d5u /* CF PF AF ZF SF OF */

/* Where an instruction faults that had its flags computed first, what is taken for them may be an
 * operand: IOPL, VM and all. Arithmetic flags are all that may come of it. */
u32 cpu_cc_compute_all_x86_64(void *env, int op);
u32 cpu_cc_compute_all_x86_64(void *env, int op)
{
	static u32 (*original)(void *, int);

	if (!original)
		original = (u32(*)(void *, int))dlsym(RTLD_NEXT, "cpu_cc_compute_all_x86_64");
	return original(env, op) & ARITHMETIC_FLAGS;
}

static u32 no_pages[8];

/* Of use to programs with threads only, and slow. */
void *page_collection_lock_x86_64(void *uc, u64 start, u64 end);
void *page_collection_lock_x86_64(void *uc, u64 start, u64 end)
{
	(void)uc;
	(void)start;
	(void)end;
	return no_pages;
}
void page_collection_unlock_x86_64(void *set);
void page_collection_unlock_x86_64(void *set)
{
	(void)set;
}

void tlb_protect_code_x86_64(void *uc, u64 physical);
void tlb_protect_code_x86_64(void *uc, u64 physical)
{
	(void)uc;
	self.owner->holds_code(physical & PAGE_MASK_4K, true);
	if (physical < self.size)
		tlb_reset_dirty_x86_64(self.cpu, (u64)self.ram + (physical & PAGE_MASK_4K),
				       PAGE_SIZE_4K);
}
void tlb_unprotect_code_x86_64(void *uc, u64 physical);
void tlb_unprotect_code_x86_64(void *uc, u64 physical)
{
	(void)uc;
	self.owner->holds_code(physical & PAGE_MASK_4K, false);
}

/* int n and int3: the library's would have them done already. */
_Noreturn void helper_raise_interrupt_x86_64(void *env, int vector, int length);
_Noreturn void helper_raise_interrupt_x86_64(void *env, int vector, int length)
{
	(void)env;
	self.exit->vector = vector;
	self.exit->length = length;
	leave(STOP_SOFT, CALLER);
}

void helper_into_x86_64(void *env, int length);
void helper_into_x86_64(void *env, int length)
{
	(void)env;
	if (!(cpu_cc_compute_all_x86_64(self.env, emulated_cpu()->cc_op) & FLAG_OF))
		return;
	self.exit->vector = EXC_OF;
	self.exit->length = length;
	leave(STOP_SOFT, CALLER);
}

/* Instructions that are the core's. */
#define THE_CORES(name, ...)                                             \
	_Noreturn void helper_##name##_x86_64(void *env, ##__VA_ARGS__); \
	_Noreturn void helper_##name##_x86_64(void *env, ##__VA_ARGS__)  \
	{                                                                \
		(void)env;                                               \
		leave(STOP_INSTRUCTION, CALLER);                         \
	}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
THE_CORES(check_iob, u32 port)
THE_CORES(check_iow, u32 port)
THE_CORES(check_iol, u32 port)
THE_CORES(inb, u32 port)
THE_CORES(inw, u32 port)
THE_CORES(inl, u32 port)
THE_CORES(outb, u32 port, u32 value)
THE_CORES(outw, u32 port, u32 value)
THE_CORES(outl, u32 port, u32 value)
THE_CORES(cpuid)
THE_CORES(rdmsr)
THE_CORES(wrmsr)
THE_CORES(hlt, int length)
THE_CORES(lmsw, u64 value)
THE_CORES(xsetbv, u32 index, u64 value)
THE_CORES(lldt, int selector)
THE_CORES(ltr, int selector)
THE_CORES(get_dr, int reg)
THE_CORES(set_dr, int reg, u64 value)
#pragma GCC diagnostic pop

/* pushf shows neither VM nor RF. */
u64 helper_read_eflags_x86_64(void *env);
u64 helper_read_eflags_x86_64(void *env)
{
	const struct emulated_cpu *c = emulated_cpu();
	const u32 direction = c->df < 0 ? FLAG_DF : 0;

	return ((u32)c->eflags & ~(ARITHMETIC | FLAG_DF | FLAG_VM | FLAG_RF)) | direction |
	       cpu_cc_compute_all_x86_64(env, c->cc_op);
}

void helper_rdtsc_x86_64(void *env);
void helper_rdtsc_x86_64(void *env)
{
	u64 value;

	(void)env;
	if (!self.owner->tsc(&value))
		leave(STOP_INSTRUCTION, CALLER);
	emulated_cpu()->gpr[GPR_AX] = (u32)value;
	emulated_cpu()->gpr[GPR_DX] = value >> 32;
}

/* Addresses of device memory are here alone, so that the core has nothing to forget. */
_Noreturn void helper_write_crN_x86_64(void *env, int reg, u64 value);
_Noreturn void helper_write_crN_x86_64(void *env, int reg, u64 value)
{
	(void)env;
	(void)reg;
	(void)value;
	tlb_flush_x86_64(self.cpu);
	leave(STOP_INSTRUCTION, CALLER);
}
_Noreturn void helper_invlpg_x86_64(void *env, u64 la);
_Noreturn void helper_invlpg_x86_64(void *env, u64 la)
{
	(void)env;
	tlb_flush_page_x86_64(self.cpu, (u32)la);
	leave(STOP_INSTRUCTION, CALLER);
}

/* They are not there: CPUID says so. The library's would do nothing. */
#define UNDEFINED(name, ...)                                             \
	_Noreturn void helper_##name##_x86_64(void *env, ##__VA_ARGS__); \
	_Noreturn void helper_##name##_x86_64(void *env, ##__VA_ARGS__)  \
	{                                                                \
		(void)env;                                               \
		self.exit->vector = EXC_UD;                              \
		self.exit->error = 0;                                    \
		leave(STOP_EXCEPTION, CALLER);                           \
	}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
UNDEFINED(sysenter, int length)
UNDEFINED(sysexit, int dflag)
UNDEFINED(syscall, int length)
UNDEFINED(sysret, int dflag)
UNDEFINED(rdtscp)
UNDEFINED(rdpmc)
#pragma GCC diagnostic pop

_Noreturn void emulated_raise(u8 vector, uintptr_t host_pc)
{
	self.exit->vector = vector;
	self.exit->error = 0;
	leave(STOP_EXCEPTION, host_pc);
}

const struct emulated_owner *emulated_owner(void)
{
	return self.owner;
}

/* ---- device memory ---- */

static u64 device_read(uc_engine *uc, u64 offset, unsigned size, void *data)
{
	(void)uc;
	(void)data;
	return self.owner->device_read(offset, size);
}

static void device_write(uc_engine *uc, u64 offset, unsigned size, u64 value, void *data)
{
	(void)uc;
	(void)data;
	self.owner->device_write(offset, size, value);
}

/* ---- the interface ---- */

struct emulated_cpu *emulated_cpu(void)
{
	return (struct emulated_cpu *)self.env;
}

u8 *emulated_tables(void)
{
	return self.tables;
}

void emulated_derive(void)
{
	x86_update_hflags_x86_64(self.env);
}

void emulated_cpuid(u32 leaf, u32 subleaf, u32 out[4])
{
	cpu_x86_cpuid_x86_64(self.env, leaf, subleaf, &out[0], &out[1], &out[2], &out[3]);
}

void emulated_flush(void)
{
	tlb_flush_x86_64(self.cpu);
}

void emulated_flush_page(u32 la)
{
	tlb_flush_page_x86_64(self.cpu, la);
}

void emulated_drop_code(u64 gpa)
{
	tb_invalidate_phys_range_x86_64(self.uc, gpa, gpa + PAGE_SIZE_4K);
}

void emulated_read(int reg, void *value)
{
	uc_reg_read(self.uc, reg, value);
}

void emulated_write(int reg, const void *value)
{
	uc_reg_write(self.uc, reg, value);
}

void emulated_poke(void)
{
	if (self.cpu)
		(*(s16 **)(self.cpu + CPU_COUNTDOWN))[1] = -1;
}

void emulated_execute(struct emulated_exit *exit)
{
	uc_err error;

	memset(exit, 0, sizeof(*exit));
	exit->stop = STOP_LIBRARY;
	self.exit = exit;
	*env32(ENV_OLD_EXCEPTION) = -1;
	error = uc_emu_start(self.uc, emulated_cpu()->eip, 0, 0, 0);
	if (exit->stop == STOP_LIBRARY)
		exit->error = error;
}

/* It looks whether linear addresses are in its physical memory: all below 4 GiB must be. */
static uc_err map_memory(void)
{
	const u64 rest = EMULATED_DEVICE_BASE - self.size;
	uc_err error = uc_mem_map_ptr(self.uc, 0, self.size, UC_PROT_ALL, self.ram);

	if (error)
		return error;
	self.tables = mmap(NULL, rest, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (self.tables == MAP_FAILED)
		return UC_ERR_NOMEM;
	error = uc_mem_map_ptr(self.uc, self.size, rest, UC_PROT_ALL, self.tables);
	if (error)
		return error;
	return uc_mmio_map(self.uc, EMULATED_DEVICE_BASE, EMULATED_DEVICE_BASE, device_read, NULL,
			   device_write, NULL);
}

bool emulated_is_known(void)
{
	static const char *const replaced[] = {
		"x86_cpu_exec_interrupt_x86_64", "x86_cpu_tlb_fill_x86_64",
		"check_exit_request_x86_64",	 "page_collection_lock_x86_64",
		"page_collection_unlock_x86_64", "tlb_protect_code_x86_64",
		"tlb_unprotect_code_x86_64",	 "translator_loop_x86_64",
		"cpu_ldub_code_x86_64",
	};

	for (unsigned i = 0; i < sizeof(replaced) / sizeof(replaced[0]); i++)
		if (!dlsym(RTLD_NEXT, replaced[i]))
			return false;
	return self.cpu && *(void **)(self.env + ENV_OWNER) == (void *)self.uc;
}

void emulated_close(void)
{
	uc_close(self.uc);
	munmap(self.tables, EMULATED_DEVICE_BASE - self.size);
	memset(&self, 0, sizeof(self));
}

const char *emulated_open(u8 *ram, u64 size, const struct emulated_owner *owner)
{
	uc_hook hook;
	uc_err error;

	self.ram = ram;
	self.size = size;
	self.owner = owner;
	error = uc_open(UC_ARCH_X86, UC_MODE_32, &self.uc);
	if (!error)
		error = uc_ctl_set_cpu_model(self.uc, UC_CPU_X86_SKYLAKE_CLIENT);
	if (!error)
		error = map_memory();
	if (!error)
		error = uc_ctl_exits_enable(self.uc);
	if (!error)
		error = uc_hook_add(self.uc, &hook, UC_HOOK_INTR, interrupt_hook, NULL, 1, 0);
	if (error)
		return uc_strerror(error);
	if (!emulated_is_known())
		return "its structures are not where they should be";
	*(void **)((u8 *)self.uc + UC_STOP_INTERRUPT) = (void *)never_stop;
	*(u32 *)(self.cpu + CPU_INTERRUPT_REQUEST) |= ALWAYS_ASK;
	emulated_cpu()->hflags2 |= EMULATED_GIF;
	emulated_set_features(true);
	return NULL;
}
