/*
 * Unit tests of phase1-user/gdb/memory.c and gdb-info-memory.c: guest memory through page tables
 * of all kinds.
 */
#include "mock-host.h"

#include <string.h>
#include "../../phase1-user/gdb/info.h"

#define HIGH 0xc0000000u

/* Bytes of guest RAM that name their place. */
static void fill(struct vm *vm)
{
	for (u32 at = AT_DATA; at < AT_DATA_END; at += 4)
		poke32(vm, at, at);
}

static u32 word(const struct vm *vm, enum gdb_space space, u32 address)
{
	u32 value = 0;

	assert_int_equal(gdb_memory_read(vm, space, address, &value, 4), 4);
	return value;
}

static void test_no_paging(void **state)
{
	struct vm *vm = *state;
	u8 bytes[8];

	fill(vm);
	assert_int_equal(word(vm, GDB_LINEAR, AT_DATA + 8), AT_DATA + 8);
	assert_int_equal(word(vm, GDB_PHYSICAL, AT_DATA + 8), AT_DATA + 8);
	/* At the end of RAM, and beyond. */
	assert_int_equal(gdb_memory_read(vm, GDB_PHYSICAL, VM_RAM - 4, bytes, 4), 4);
	assert_int_equal(gdb_memory_read(vm, GDB_PHYSICAL, VM_RAM - 4, bytes, 8), 4);
	assert_int_equal(gdb_memory_read(vm, GDB_PHYSICAL, VM_RAM, bytes, 1), 0);
	assert_int_equal(gdb_memory_read(vm, GDB_LINEAR, 0xd0000000, bytes, 1), 0);
	assert_false(gdb_memory_write(vm, GDB_PHYSICAL, 0xffffffff, bytes, 2));
	assert_int_equal(gdb_memory_read(vm, GDB_PHYSICAL, 0xffffffff, bytes, 8), 0);
}

static void test_tables(void **state)
{
	struct vm *vm = *state;
	u32 buffer[3];

	fill(vm);
	vm_paging(vm, KPAGE);
	poke32(vm, AT_PD + (HIGH >> 22) * 4, AT_PT | KPAGE); /* once more, at 3 GiB */
	/* Read-only, for users: no matter to a debugger. */
	*pte_of(vm, AT_DATA + 0x1000) = (AT_DATA + 0x3000) | PTE_P;
	assert_int_equal(word(vm, GDB_LINEAR, HIGH + AT_DATA + 0x1000), AT_DATA + 0x3000);
	assert_int_equal(word(vm, GDB_PHYSICAL, AT_DATA + 0x1000), AT_DATA + 0x1000);
	/* Across two pages that are not neighbours. */
	assert_int_equal(gdb_memory_read(vm, GDB_LINEAR, HIGH + AT_DATA + 0xffc, buffer, 8), 8);
	assert_int_equal(buffer[0], AT_DATA + 0xffc);
	assert_int_equal(buffer[1], AT_DATA + 0x3000);
	buffer[0] = 1, buffer[1] = 2;
	assert_true(gdb_memory_write(vm, GDB_LINEAR, HIGH + AT_DATA + 0xffc, buffer, 8));
	assert_int_equal(peek32(vm, AT_DATA + 0xffc), 1);
	assert_int_equal(peek32(vm, AT_DATA + 0x3000), 2);
	/* No accessed and dirty bits come of it. */
	assert_int_equal(*pte_of(vm, AT_DATA + 0x1000), (AT_DATA + 0x3000) | PTE_P);
	assert_int_equal(peek32(vm, AT_PD + (HIGH >> 22) * 4), AT_PT | KPAGE);
}

static void test_holes(void **state)
{
	struct vm *vm = *state;
	u32 buffer[2] = {7, 7};

	fill(vm);
	vm_paging(vm, KPAGE);
	*pte_of(vm, AT_DATA + 0x1000) = 0;
	*pte_of(vm, AT_DATA + 0x2000) = 0xd0000000 | KPAGE; /* a device */
	assert_int_equal(gdb_memory_read(vm, GDB_LINEAR, AT_DATA + 0xffc, buffer, 8), 4);
	assert_int_equal(gdb_memory_read(vm, GDB_LINEAR, AT_DATA + 0x1000, buffer, 8), 0);
	assert_int_equal(gdb_memory_read(vm, GDB_LINEAR, AT_DATA + 0x2000, buffer, 8), 0);
	assert_int_equal(gdb_memory_read(vm, GDB_LINEAR, 0x800000, buffer, 8), 0);
	/* All or nothing. */
	assert_false(gdb_memory_write(vm, GDB_LINEAR, AT_DATA + 0xffc, buffer, 8));
	assert_int_equal(peek32(vm, AT_DATA + 0xffc), AT_DATA + 0xffc);
	assert_false(gdb_memory_write(vm, GDB_LINEAR, AT_DATA + 0x2000, buffer, 4));
	assert_true(gdb_memory_write(vm, GDB_LINEAR, AT_DATA + 0x1000, buffer, 0));
	/* Tables outside RAM. */
	vm->cpu.cr3 = 0xfffff000;
	assert_int_equal(gdb_memory_read(vm, GDB_LINEAR, AT_DATA, buffer, 4), 0);
}

static void test_pv_page(void **state)
{
	struct vm *vm = *state;
	u32 buffer[2] = {0};

	vm_paging(vm, KPAGE);
	pv_page(vm)->esp0 = 0x12345678;
	assert_int_equal(gdb_memory_read(vm, GDB_LINEAR,
					 0xfffff000 + offsetof(struct pv_page, esp0), buffer, 4),
			 4);
	assert_int_equal(buffer[0], 0x12345678);
	/* The last bytes there are. */
	assert_int_equal(gdb_memory_read(vm, GDB_LINEAR, 0xfffffffc, buffer, 8), 4);
	assert_false(gdb_memory_write(vm, GDB_LINEAR, 0xfffffffc, buffer, 8));
}

/* ---- what monitor commands show ---- */

static char shown[65536];
static struct gdb_text out = {.data = shown, .size = sizeof(shown)};

static void test_info_mem(void **state)
{
	struct vm *vm = *state;

	gdb_text_clear(&out);
	gdb_info_mem(vm, &out);
	assert_non_null(strstr(shown, "paging is off"));
	vm_paging(vm, KPAGE);
	*pte_of(vm, 0x10000) = 0;
	*pte_of(vm, 0x20000) |= PTE_U;
	*pte_of(vm, 0x21000) &= ~PTE_W;
	gdb_text_clear(&out);
	gdb_info_mem(vm, &out);
	assert_string_equal(shown, "00000000-0000ffff       64 KiB  rwx supervisor\n"
				   "00011000-0001ffff       60 KiB  rwx supervisor\n"
				   "00020000-00020fff        4 KiB  rwx user\n"
				   "00021000-00021fff        4 KiB  r-x supervisor\n"
				   "00022000-003fffff     3960 KiB  rwx supervisor\n");
}

static void test_walk(void **state)
{
	struct vm *vm = *state;

	gdb_text_clear(&out);
	gdb_info_walk(vm, 0x1234, &out);
	assert_non_null(strstr(shown, "paging is off"));
	vm_paging(vm, UPAGE);
	*pte_of(vm, 0x10000) = 0xd0000000 | PTE_P | PTE_A;
	gdb_text_clear(&out);
	gdb_info_walk(vm, 0x10123, &out);
	assert_non_null(strstr(shown, "PDE   at 00005000: 00006007  present, writable, user\n"));
	assert_non_null(strstr(shown,
			       "PTE   at 00006040: d0000021  present, read-only, supervisor, "
			       "accessed\n"));
	assert_non_null(strstr(shown, "00010123 -> d0000123 (not RAM)\n"));
	gdb_text_clear(&out);
	gdb_info_walk(vm, HIGH, &out);
	assert_non_null(strstr(shown, "00000000  not present\nc0000000 is not mapped\n"));
}

static void test_walk_pae(void **state)
{
	struct vm *vm = *state;
	const u32 pd = AT_PT; /* one directory, of which the first entry is a large page */

	vm->cpu.cr4 |= CR4_PAE;
	vm->cpu.efer = EFER_NXE;
	vm->cpu.cr0 |= CR0_PG;
	vm->cpu.pdpte[3] = pd | PTE_P;
	poke32(vm, pd, KPAGE | PTE_PS | PTE_G);
	poke32(vm, pd + 4, 0x80000000);
	gdb_text_clear(&out);
	gdb_info_walk(vm, HIGH + 0x1234, &out);
	assert_non_null(strstr(shown, "present, as loaded with CR3\n"));
	assert_non_null(strstr(shown, ": 8000000000000183  present, writable, supervisor, global"));
	assert_non_null(strstr(shown, "no execution, large page\nc0001234 -> 00001234\n"));
	gdb_text_clear(&out);
	gdb_info_mem(vm, &out);
	assert_string_equal(shown, "c0000000-c01fffff     2048 KiB  rw- supervisor\n");
}

/* Every page with other rights than the one before: it comes to an end, within its bounds. */
static void test_info_mem_hostile(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, KPAGE);
	for (u32 i = 0; i < 1024; i++) {
		poke32(vm, AT_PD + 4 * i, AT_PT | UPAGE);
		poke32(vm, AT_PT + 4 * i, i % 2 ? KPAGE : UPAGE);
	}
	gdb_text_clear(&out);
	gdb_info_mem(vm, &out);
	assert_true(out.full);
	assert_true(out.len < out.size);
}

static void test_dump(void **state)
{
	struct vm *vm = *state;

	poke(vm, AT_DATA, "plex86: \x01\x7f\xff, bytes and more", 27);
	gdb_text_clear(&out);
	gdb_info_memory(vm, GDB_PHYSICAL, AT_DATA, 18, &out);
	assert_string_equal(shown,
			    "00060000  70 6c 65 78 38 36 3a 20  01 7f ff 2c 20 62 79 74  "
			    "plex86: ..., byt\n"
			    "00060010  65 73                                             es\n");
	gdb_text_clear(&out);
	gdb_info_memory(vm, GDB_PHYSICAL, VM_RAM - 16, 17, &out);
	assert_non_null(strstr(shown, "\n00100000 is not memory\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(test_no_paging), VM_TEST(test_tables),	 VM_TEST(test_holes),
		VM_TEST(test_pv_page),	 VM_TEST(test_info_mem), VM_TEST(test_walk),
		VM_TEST(test_walk_pae),	 VM_TEST(test_dump),	 VM_TEST(test_info_mem_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
