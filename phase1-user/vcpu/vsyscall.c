/*
 * The system call of the guest's vdso, without `int $0x80`: see vsyscall.h.
 */
#include "vsyscall.h"
#include "../../common/shadow-records.h"
#include "sys.h"
#include "vcpu.h"
#include <linux/mman.h>

#define HLT	   0xf4
#define NOP	   0x90
#define INT_LENGTH 2u

/* What Linux has around its `int $0x80`: push %ecx, %edx, %ebp; four bytes for sysenter's sake; and
 * the way back. Elsewhere the two bytes may be data to somebody. */
static const u8 in_front[] = {0x51, 0x52, 0x55}, behind[] = {0x5d, 0x5a, 0x59, 0xc3};
static const u8 fillers[][4] = {
	{NOP, NOP, NOP, NOP}, {0x8d, 0x74, 0x26, 0x00}, {0x0f, 0x1f, 0x40, 0x00}};
#define FILLER	 (u32)sizeof(fillers[0])
#define IN_FRONT ((u32)sizeof(in_front) + FILLER)
#define BEHIND	 (INT_LENGTH + (u32)sizeof(behind))

static u64 word_at(const u8 *at)
{
	u64 word;

	mem_copy(&word, at, sizeof(word));
	return word;
}

/* A page at each hand-over: four words a round, no vector registers. */
static bool equal(const u8 *a, const u8 *b, u32 n)
{
	u64 difference = 0;
	u32 i = 0;

	for (; i + 32 <= n; i += 32)
		difference |= (word_at(a + i) ^ word_at(b + i)) |
			      (word_at(a + i + 8) ^ word_at(b + i + 8)) |
			      (word_at(a + i + 16) ^ word_at(b + i + 16)) |
			      (word_at(a + i + 24) ^ word_at(b + i + 24));
	for (; i < n; i++)
		difference |= a[i] ^ b[i];
	return !difference;
}

/* Is it the instruction at `at`, with as much before and behind it as is looked at? */
static bool is_call(const u8 *at)
{
	if (at[0] != 0xcd || at[1] != 0x80 || !equal(at - IN_FRONT, in_front, sizeof(in_front)) ||
	    !equal(at + INT_LENGTH, behind, sizeof(behind)))
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(fillers); i++)
		if (equal(at - FILLER, fillers[i], FILLER))
			return true;
	return false;
}

static u8 *copy_of(struct vm *vm)
{
	return vm->ram + VSYSCALL_GPA(vm);
}

/* Is the page what was copied, and read-only for user code? */
static bool is_good(struct vm *vm, const struct hybrid *h)
{
	const struct vsyscall *v = &h->vsyscall;
	const u8 *page = vm->ram + v->gpa, *copy = copy_of(vm);
	const u32 next = v->offset + INT_LENGTH;

	return h->frame[v->gpa >> 12] == FRAME_TRANSLATED && equal(page, copy, v->offset) &&
	       equal(page + next, copy + next, PAGE_SIZE_4K - next) && is_call(page + v->offset);
}

/* The other processes unmap it before they run again. */
static void forget(struct vm *vm, struct hybrid *h)
{
	const u32 active = vm->pool.active;

	h->vsyscall = (struct vsyscall){0};
	for (u32 i = 0; i < SHADOW_COUNT; i++) {
		const u32 la = h->map[i].copy_at;

		if (la && i == active)
			host_unmap(vm, la, PAGE_SIZE_4K);
		else if (la)
			hybrid_forget(h, i, la, PAGE_SIZE_4K);
	}
}

static void place(struct vm *vm, struct hybrid *h, u32 la)
{
	if (!is_good(vm, h)) {
		forget(vm, h);
		return;
	}
	/* If it fails: whatever is there now, a fault will tell. */
	if (sys_mmap(la, PAGE_SIZE_4K, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, VCPU_FD_RAM,
		     VSYSCALL_GPA(vm)) == (long)la)
		h->map[vm->pool.active].copy_at = la;
}

static bool has_call(struct vm *vm, u32 record, u32 offset)
{
	const u64 gpa = record & 0xfffff000u;

	if (!(record & SHADOW_USER) || (record & (SHADOW_WRITE | SHADOW_NX)) || !gpa ||
	    !vm_ram(vm, gpa, PAGE_SIZE_4K) || gpa >> 12 >= HYBRID_FRAMES)
		return false;
	return offset >= IN_FRONT && offset + BEHIND <= PAGE_SIZE_4K &&
	       is_call(vm->ram + gpa + offset);
}

static void make_copy(struct vm *vm, struct hybrid *h, u64 gpa, u32 offset)
{
	const u32 frame = gpa >> 12;

	/* As one that the emulator has translated: user code has no right to write it, by whatever
	 * address. */
	if (h->frame[frame] == FRAME_PLAIN)
		h->translations++;
	h->frame[frame] = FRAME_TRANSLATED;
	h->vsyscall = (struct vsyscall){.gpa = gpa, .offset = offset};
	mem_copy(copy_of(vm), vm->ram + gpa, PAGE_SIZE_4K);
	copy_of(vm)[offset] = HLT;
	copy_of(vm)[offset + 1] = NOP;
}

void vsyscall_learn(struct vm *vm, struct hybrid *h, u32 la)
{
	const u32 record = vm_shadow(vm)->record[la >> 12], offset = la & ~PAGE_MASK_4K;
	const u64 gpa = record & 0xfffff000u;

	if (h->map[vm->pool.active].copy_at || !has_call(vm, record, offset) ||
	    h->frame[gpa >> 12] == FRAME_WRITTEN)
		return;
	if (!h->vsyscall.gpa)
		make_copy(vm, h, gpa, offset);
	/* Of one page there is a copy, and where another process has it this one may, too. */
	if (h->vsyscall.gpa == gpa && h->vsyscall.offset == offset)
		place(vm, h, la & PAGE_MASK_4K);
}

bool vsyscall_is_call(const struct vm *vm, const struct hybrid *h, u32 la)
{
	const u32 at = h->map[vm->pool.active].copy_at;

	return at && la == at + h->vsyscall.offset;
}

void vsyscall_unmapped(struct hybrid *h, u32 active, u64 la, u64 len)
{
	u32 *at = &h->map[active].copy_at;

	if (*at >= la && *at < la + len)
		*at = 0;
}

void vsyscall_mapped(struct vm *vm, struct hybrid *h, u64 la, u64 gpa, u64 len, unsigned prot)
{
	const u64 page = h->vsyscall.gpa;

	vsyscall_unmapped(h, vm->pool.active, la, len);
	if (!page || page < gpa || page >= gpa + len || (prot & HOST_WRITE) || !(prot & HOST_EXEC))
		return;
	if (!h->map[vm->pool.active].copy_at)
		place(vm, h, la + (page - gpa));
}

void vsyscall_writable(struct vm *vm, struct hybrid *h, u64 la, u64 len)
{
	const u32 at = h->map[vm->pool.active].copy_at;

	/* The page itself, by this address or another. */
	if ((at >= la && at < la + len) ||
	    (h->vsyscall.gpa && h->frame[h->vsyscall.gpa >> 12] != FRAME_TRANSLATED))
		forget(vm, h);
}

void vsyscall_catch_up(struct vm *vm, struct hybrid *h)
{
	if (h->map[vm->pool.active].copy_at && !is_good(vm, h))
		forget(vm, h);
}
