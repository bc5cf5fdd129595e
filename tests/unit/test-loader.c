/*
 * The loaders: what they put into RAM, what they refuse and how they say it, and that no damaged
 * file makes them touch a byte they should not (the sanitizers watch).
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <asm/bootparam.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/vcpu-check.h"
#include "../../phase1-user/watch/symbols.h"
#include "loader-files.h"

#define RAM_SIZE (8u << 20)

static u8 *ram;

/* One attempt: the file is copied so that reading beyond its end is noticed. */
struct attempt {
	struct error e;
	struct image im;
	struct vcpu cpu;
	struct boot boot;
	u8 *copy;
};

static void attempt_begin(struct attempt *a, const struct file *f)
{
	memset(a, 0, sizeof(*a));
	a->copy = malloc(f->size);
	memcpy(a->copy, f->data, f->size);
	a->boot = (struct boot){.ram = ram, .ram_size = RAM_SIZE, .cmdline = "console=ttyS0"};
	a->cpu.rflags = FLAG_ONE | FLAG_IF;
	a->cpu.cr0 = CR0_PE | CR0_PG;
	a->cpu.xcr0 = XCR0_X87;
}

static bool attempt_load(struct attempt *a, const struct file *f)
{
	const struct blob blob = {"k", a->copy, f->size};

	return image_identify(&a->im, &blob, &a->e) && image_load(&a->im, &a->boot, &a->cpu, &a->e);
}

static bool loads(struct attempt *a, const struct file *f)
{
	memset(ram, 0, RAM_SIZE);
	attempt_begin(a, f);
	bool ok = attempt_load(a, f);

	/* An engine may refuse any other state. */
	assert_true(!ok || vcpu_valid(&a->cpu));
	free(a->copy);
	return ok;
}

static void assert_refused(const struct file *f, const char *reason)
{
	struct attempt a;

	assert_false(loads(&a, f));
	if (!strstr(a.e.text, reason))
		fail_msg("'%s' does not say '%s'", a.e.text, reason);
	assert_null(strchr(a.e.text, '\n'));
	assert_non_null(strstr(a.e.text, "kernel 'k'"));
}

/* ---- what is loaded ---- */

static void assert_flat(const struct vcpu *cpu)
{
	static const u64 gdt[] = {0x00cf9b000000ffff, 0x00cf93000000ffff};

	for (unsigned i = 0; i < SEG_COUNT; i++) {
		assert_int_equal(cpu->seg[i].selector, i == SEG_CS ? 0x10 : 0x18);
		assert_int_equal(cpu->seg[i].attr, i == SEG_CS ? 0xc09b : 0xc093);
		assert_int_equal(cpu->seg[i].base, 0);
		assert_int_equal(cpu->seg[i].limit, 0xffffffff);
	}
	assert_int_equal(cpu->cr0, CR0_PE | CR0_ET);
	assert_int_equal(cpu->rflags, FLAG_ONE);
	assert_true(cpu->gdtr.base >= 0x10000 && cpu->gdtr.base < 0x9fc00);
	assert_int_equal(cpu->gdtr.limit, 31);
	assert_memory_equal(ram + cpu->gdtr.base + 16, gdt, sizeof(gdt));
}

static void assert_boot_params(const struct attempt *a)
{
	const struct boot_params *bp = (void *)(ram + a->cpu.gpr[GPR_SI]);

	assert_true(a->cpu.gpr[GPR_SI] >= 0x10000 && a->cpu.gpr[GPR_SI] < 0x9f000);
	assert_int_equal(bp->hdr.boot_flag, 0xaa55);
	assert_int_equal(bp->hdr.header, 0x53726448);
	assert_int_equal(bp->hdr.type_of_loader, 0xff);
	assert_string_equal((char *)ram + bp->hdr.cmd_line_ptr, "console=ttyS0");
	assert_int_equal(bp->e820_entries, 2);
	assert_int_equal(bp->e820_table[0].size, 0x9fc00);
	assert_int_equal(bp->e820_table[1].addr, 0x100000);
	assert_int_equal(bp->e820_table[1].size, RAM_SIZE - 0x100000);
	assert_int_equal(bp->e820_table[1].type, 1);
}

static void test_elf(void **state)
{
	static u8 initrd[5000];
	const struct boot_params *bp;
	struct attempt a;
	struct file f;

	(void)state;
	make_elf(&f);
	memset(initrd, 0x1d, sizeof(initrd));
	memset(ram, 0, RAM_SIZE);
	attempt_begin(&a, &f);
	a.boot.initrd = (struct blob){"i", initrd, sizeof(initrd)};
	assert_true(attempt_load(&a, &f));
	free(a.copy);

	assert_int_equal(a.im.kind, IMAGE_ELF);
	assert_true(a.im.abi);
	assert_string_equal(a.im.name, "a Linux 6.1.99-test vmlinux");
	assert_int_equal(a.cpu.rip, ELF_ENTRY);
	assert_int_equal(a.cpu.gpr[GPR_BX] | a.cpu.gpr[GPR_BP] | a.cpu.gpr[GPR_DI], 0);
	assert_flat(&a.cpu);
	assert_boot_params(&a);
	assert_memory_equal(ram + ELF_CODE_GPA, f.data + ELF_CODE_OFFSET, ELF_CODE_SIZE);
	assert_int_equal(ram[ELF_CODE_GPA + ELF_CODE_SIZE], 0);
	assert_int_equal(ram[ELF_DATA_GPA], 0xda);
	bp = (void *)(ram + a.cpu.gpr[GPR_SI]);
	assert_int_equal(bp->hdr.ramdisk_size, sizeof(initrd));
	assert_int_equal(bp->hdr.ramdisk_image, RAM_SIZE - 8192);
	assert_memory_equal(ram + bp->hdr.ramdisk_image, initrd, sizeof(initrd));
}

static void test_virtual_entry(void **state)
{
	struct attempt a;
	struct file f;

	(void)state;
	make_elf(&f);
	elf_header(&f)->e_entry = 0xc0000000 + ELF_DATA_GPA + 8;
	assert_true(loads(&a, &f));
	assert_int_equal(a.cpu.rip, ELF_DATA_GPA + 8);
}

static void test_bzimage(void **state)
{
	const struct boot_params *bp;
	struct attempt a;
	struct file f;

	(void)state;
	make_bzimage(&f);
	assert_true(loads(&a, &f));
	assert_int_equal(a.im.kind, IMAGE_BZIMAGE);
	assert_true(a.im.abi);
	assert_string_equal(a.im.name, "a Linux 6.1.99-test bzImage");
	assert_int_equal(a.cpu.rip, BZ_GPA);
	assert_flat(&a.cpu);
	assert_boot_params(&a);
	assert_memory_equal(ram + BZ_GPA, f.data + BZ_SETUP_SIZE, f.size - BZ_SETUP_SIZE);
	bp = (void *)(ram + a.cpu.gpr[GPR_SI]);
	assert_int_equal(bp->hdr.code32_start, BZ_GPA);
	assert_int_equal(bp->hdr.version, 0x20f);
	assert_int_equal(bp->hdr.init_size, BZ_INIT_SIZE);
}

static void test_packings(void **state)
{
	struct attempt a;
	struct file f;
	u32 length;

	(void)state;
	for (enum packing packing = PACK_GZIP; packing < PACK_COUNT; packing++) {
		make_bzimage_packed(&f, packing);
		assert_true(loads(&a, &f));
		assert_true(a.im.abi);
		assert_false(a.im.abi_unknown);
		put32(&f, 0x24c, 100); /* payload_length */
		assert_refused(&f, "damaged");
	}
	/* All of a block but its last byte, and not even its length. */
	make_bzimage_packed(&f, PACK_LZ4);
	memcpy(&length, f.data + 0x24c, sizeof(length));
	for (u32 cut = 1; cut <= 8; cut++) {
		put32(&f, 0x24c, length - cut);
		assert_refused(&f, "damaged");
	}
	put32(&f, 0x24c, 4);
	assert_refused(&f, "damaged");
}

/* Neither built for plex86 nor not. */
static void test_packing_unknown(void **state)
{
	struct attempt a;
	struct file f;

	(void)state;
	make_bzimage(&f);
	memcpy(f.data + BZ_SETUP_SIZE + 0x100, "BZh9", 4);
	assert_true(loads(&a, &f));
	assert_true(a.im.abi_unknown);
	assert_false(a.im.abi);

	make_bzimage(&f);
	f.data[0x206] = 7; /* protocol 2.07 does not say where the payload is */
	assert_true(loads(&a, &f));
	assert_true(a.im.abi_unknown);
	assert_false(a.im.abi);
}

static void test_bzimage_initrd_limit(void **state)
{
	static u8 initrd[4096];
	const struct boot_params *bp;
	struct attempt a;
	struct file f;

	(void)state;
	make_bzimage(&f);
	put32(&f, 0x22c, 0x2fffff); /* initrd_addr_max: 3 MiB */
	attempt_begin(&a, &f);
	a.boot.initrd = (struct blob){"i", initrd, sizeof(initrd)};
	assert_true(attempt_load(&a, &f));
	free(a.copy);
	bp = (void *)(ram + a.cpu.gpr[GPR_SI]);
	assert_int_equal(bp->hdr.ramdisk_image, 0x300000 - 4096);
}

static void assert_multiboot(struct attempt *a, const u8 *module, u32 module_size)
{
	const u32 *info = (void *)(ram + a->cpu.gpr[GPR_BX]);
	const u32 *mod = (void *)(ram + info[6]);
	const u8 *map = ram + info[12];

	assert_int_equal(a->im.kind, IMAGE_MULTIBOOT);
	assert_int_equal(a->cpu.gpr[GPR_AX], 0x2badb002);
	assert_flat(&a->cpu);
	assert_int_equal(info[0], 0x24d);
	assert_int_equal(info[1], 639);
	assert_int_equal(info[2], (RAM_SIZE >> 10) - 1024);
	assert_string_equal((char *)ram + info[4], "console=ttyS0");
	assert_int_equal(info[5], 1);
	assert_int_equal(mod[1] - mod[0], module_size);
	assert_int_equal(mod[0] % 4096, 0);
	assert_memory_equal(ram + mod[0], module, module_size);
	assert_string_equal((char *)ram + mod[2], "i");
	assert_int_equal(info[11], 48);
	assert_int_equal(*(u32 *)(map + 24), 20);
	assert_int_equal(*(u32 *)(map + 28), 0x100000);
	assert_int_equal(*(u32 *)(map + 36), RAM_SIZE - 0x100000);
}

static void test_multiboot(void **state)
{
	static const u8 module[] = "some module";
	struct attempt a;
	struct file f;

	(void)state;
	for (int flat = 0; flat < 2; flat++) {
		(flat ? make_multiboot_flat : make_multiboot_elf)(&f);
		memset(ram, 0, RAM_SIZE);
		attempt_begin(&a, &f);
		a.boot.initrd = (struct blob){"i", module, sizeof(module)};
		assert_true(attempt_load(&a, &f));
		free(a.copy);
		assert_multiboot(&a, module, sizeof(module));
		assert_int_equal(a.im.abi, !flat);
		assert_int_equal(a.cpu.rip, flat ? 0x100030 : ELF_ENTRY);
		if (flat)
			assert_memory_equal(ram + 0x100000, f.data, FLAT_SIZE);
	}
	make_multiboot_elf(&f);
	elf_segment(&f, 2)->p_type = PT_NULL;
	assert_true(loads(&a, &f));
	assert_false(a.im.abi);
}

/* ---- what is refused ---- */

/* A PC's firmware lies below 1 MiB and begins at the reset vector. */
static void test_firmware(void **state)
{
	static u8 bytes[0x21000];
	const struct blob blob = {"b", bytes, 0x20000}, odd = {"b", bytes, 0x10010},
			  large = {"b", bytes, 0x21000};
	struct attempt a = {.boot = {.ram = ram, .ram_size = RAM_SIZE, .cmdline = ""}};

	(void)state;
	memset(bytes, 0xea, sizeof(bytes));
	memset(ram, 0, RAM_SIZE);
	assert_true(image_is_firmware(&a.im, &blob, &a.e));
	assert_false(image_is_linux(&a.im));
	assert_true(image_load(&a.im, &a.boot, &a.cpu, &a.e));
	assert_int_equal(ram[0xdffff], 0);
	assert_int_equal(ram[0xe0000], 0xea);
	assert_int_equal(ram[0xfffff], 0xea);
	assert_int_equal(ram[0x100000], 0);
	assert_int_equal(a.cpu.cr0 & (CR0_PE | CR0_PG), 0);
	assert_int_equal(a.cpu.seg[SEG_CS].base + a.cpu.rip, 0xffff0);
	assert_int_equal(a.cpu.seg[SEG_DS].base, 0);
	assert_int_equal(a.cpu.seg[SEG_SS].limit, 0xffff);
	assert_false(image_is_firmware(&a.im, &odd, &a.e));
	assert_false(image_is_firmware(&a.im, &large, &a.e));
	assert_non_null(strstr(a.e.text, "firmware 'b': 135168 bytes"));
}

static void test_refused_elf(void **state)
{
	struct file f;

	(void)state;
#define REFUSE(change, reason)              \
	do {                                \
		make_elf(&f);               \
		change;                     \
		assert_refused(&f, reason); \
	} while (0)
	REFUSE(f.size = 0, "empty");
	REFUSE(f.size = 10, "truncated");
	REFUSE(f.size = 0x80, "truncated: its program headers");
	REFUSE(f.size = 0x200, "truncated: segment 0");
	REFUSE(elf_header(&f)->e_ident[EI_CLASS] = ELFCLASS64, "64-bit");
	REFUSE(elf_header(&f)->e_ident[EI_DATA] = ELFDATA2MSB, "little-endian");
	REFUSE(elf_header(&f)->e_machine = EM_ARM, "not i386");
	REFUSE(elf_header(&f)->e_type = ET_DYN, "not an executable");
	REFUSE(elf_header(&f)->e_phnum = 0, "no program headers");
	REFUSE(elf_header(&f)->e_phoff = 0xfffffff0, "truncated");
	REFUSE(elf_header(&f)->e_entry = 0x7000, "entry point");
	REFUSE(elf_segment(&f, 0)->p_filesz = 0x2000, "larger in the file");
	REFUSE(elf_segment(&f, 0)->p_offset = 0xffffff00, "truncated");
	REFUSE(elf_segment(&f, 0)->p_paddr = 0xa0000, "not inside");
	REFUSE(elf_segment(&f, 0)->p_paddr = 0xfffff800, "not inside");
	REFUSE(elf_segment(&f, 0)->p_memsz = 0xfff00000, "not inside");
	REFUSE(elf_segment(&f, 0)->p_memsz = RAM_SIZE, "not inside");
	REFUSE(elf_segment(&f, 1)->p_paddr = ELF_CODE_GPA + 0xfff, "overlaps the segment 0");
	REFUSE(elf_segment(&f, 1)->p_paddr = 0x10800, "overlaps");
	REFUSE(put32(&f, elf_segment(&f, 2)->p_offset + 20, 3), "guest ABI version 3");
#undef REFUSE
}

static void test_refused_bzimage(void **state)
{
	struct file f;

	(void)state;
#define REFUSE(change, reason)              \
	do {                                \
		make_bzimage(&f);           \
		change;                     \
		assert_refused(&f, reason); \
	} while (0)
	REFUSE(f.size = 0x200, "neither");
	REFUSE(f.size = BZ_SETUP_SIZE, "truncated");
	REFUSE(f.size -= 64, "truncated");
	REFUSE(f.data[0x206] = 4, "older than 2.05");
	REFUSE(f.data[0x211] = 0, "zImage");
	REFUSE(f.data[0x236] = XLF_KERNEL_64, "x86-64");
	REFUSE(put32(&f, 0x248, 0xfffffff0), "payload ends beyond");
	REFUSE(put32(&f, 0x24c, 0xfffffff0), "payload ends beyond");
	REFUSE(f.data[BZ_SETUP_SIZE + 0x100 + 20] ^= 0xff, "damaged");
	REFUSE(put32(&f, 0x25c, 1), "not inside");
	REFUSE(put32(&f, 0x260, 0xffffffff), "not inside");
	REFUSE(put32(&f, 0x260, RAM_SIZE), "not inside");
#undef REFUSE
}

static void test_refused_multiboot(void **state)
{
	struct file f;

	(void)state;
#define REFUSE(field, value, reason)                                       \
	do {                                                               \
		make_multiboot_flat(&f);                                   \
		put32(&f, 0x10 + 4 * (field), value);                      \
		put32(&f, 0x18, -(0x1badb002u + *(u32 *)(f.data + 0x14))); \
		assert_refused(&f, reason);                                \
	} while (0)
	REFUSE(1, 0x10007, "video");
	REFUSE(1, 0x10013, "demands");
	REFUSE(1, 3, "no address fields");
	REFUSE(3, 0x200000, "load_addr");
	REFUSE(3, 0x0fffff, "load_addr");
	REFUSE(5, 0x0fffff, "load_end_addr");
	REFUSE(5, 0x100401, "truncated");
	REFUSE(6, 0x100100, "bss_end_addr");
	REFUSE(6, 0x80000000, "not inside");
	REFUSE(7, 0x103000, "entry point");
#undef REFUSE
}

static void test_refused_room(void **state)
{
	static char long_line[CMDLINE_MAX + 2];
	u8 *initrd = malloc(RAM_SIZE);
	struct attempt a;
	struct file f;

	(void)state;
	make_elf(&f);
	attempt_begin(&a, &f);
	a.boot.initrd = (struct blob){"i", initrd, RAM_SIZE - 0x201000 + 1};
	assert_false(attempt_load(&a, &f));
	assert_non_null(strstr(a.e.text, "initrd 'i': its"));
	/* one byte less fits exactly between the data and the end of RAM */
	a.boot.initrd.size--;
	memset(initrd, 0, RAM_SIZE);
	assert_true(attempt_load(&a, &f));
	free(a.copy);
	free(initrd);

	memset(long_line, 'x', CMDLINE_MAX + 1);
	attempt_begin(&a, &f);
	a.boot.cmdline = long_line;
	assert_false(attempt_load(&a, &f));
	assert_non_null(strstr(a.e.text, "command line: 2048 bytes"));
	long_line[CMDLINE_MAX] = 0;
	assert_true(attempt_load(&a, &f));
	free(a.copy);
}

/* ---- damaged files ---- */

/* Load it if it can be; the sanitizers and the assertions on success are the test. */
static void survive(const struct file *f, const char *kind)
{
	static const u8 initrd[100];
	struct symbols *symbols;
	struct attempt a;
	u64 offset;

	attempt_begin(&a, f);
	a.boot.initrd = (struct blob){"i", initrd, sizeof(initrd)};
	if (attempt_load(&a, f)) {
		assert_true(a.cpu.rip < RAM_SIZE);
		assert_int_equal(a.e.text[0], 0);
	} else if (!a.e.text[0]) {
		fail_msg("%s: refused without a word", kind);
	}
	symbols = symbols_read(a.copy, f->size);
	symbols_lookup(symbols, 0xc0100024, &offset);
	symbols_lookup(symbols, 0xffffffff, &offset);
	symbols_free(symbols);
	free(a.copy);
}

static void make_bzimage_lzma(struct file *f)
{
	make_bzimage_packed(f, PACK_LZMA);
}

static void make_bzimage_lz4(struct file *f)
{
	make_bzimage_packed(f, PACK_LZ4);
}

static const struct kind {
	const char *name;
	void (*make)(struct file *f);
} kinds[] = {
	{"elf", make_elf},
	{"bzimage", make_bzimage},
	{"bzimage-lzma", make_bzimage_lzma},
	{"bzimage-lz4", make_bzimage_lz4},
	{"multiboot-elf", make_multiboot_elf},
	{"multiboot-flat", make_multiboot_flat},
};

static void test_truncated(void **state)
{
	struct file f;

	(void)state;
	for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
		kinds[k].make(&f);
		for (size_t whole = f.size; f.size > 0; f.size -= f.size > 0x300 ? 7 : 1) {
			survive(&f, kinds[k].name);
			assert_true(f.size <= whole);
		}
	}
}

static u64 random_state;

static u32 random32(void)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return random_state >> 33;
}

static void mutate(struct file *f)
{
	static const u32 values[] = {0,		 1,	     0x7fffffff, 0x80000000,
				     0xffffffff, 0xfffff000, RAM_SIZE,	 RAM_SIZE - 1,
				     0x9fc00,	 0x100000,   0x10000,	 0x1000};

	for (u32 n = 1 + random32() % 4; n; n--) {
		/* Mostly headers, which are what is looked at. */
		size_t at = random32() % (random32() % 4 ? 0x270 : f->size - 4);

		if (random32() % 2)
			f->data[at] = random32();
		else
			put32(f, at, values[random32() % ARRAY_SIZE(values)]);
	}
	if (random32() % 8 == 0)
		f->size = 1 + random32() % f->size;
}

static void test_mutated(void **state)
{
	struct file original, f;

	(void)state;
	random_state = 86;
	for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
		kinds[k].make(&original);
		for (unsigned i = 0; i < 30000; i++) {
			f = original;
			mutate(&f);
			survive(&f, kinds[k].name);
		}
	}
}

static int make_ram(void **state)
{
	(void)state;
	ram = malloc(RAM_SIZE);
	return ram ? 0 : -1;
}

static int free_ram(void **state)
{
	(void)state;
	free(ram);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_elf),
		cmocka_unit_test(test_virtual_entry),
		cmocka_unit_test(test_bzimage),
		cmocka_unit_test(test_packings),
		cmocka_unit_test(test_packing_unknown),
		cmocka_unit_test(test_bzimage_initrd_limit),
		cmocka_unit_test(test_multiboot),
		cmocka_unit_test(test_firmware),
		cmocka_unit_test(test_refused_elf),
		cmocka_unit_test(test_refused_bzimage),
		cmocka_unit_test(test_refused_multiboot),
		cmocka_unit_test(test_refused_room),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_mutated),
	};

	return cmocka_run_group_tests(tests, make_ram, free_ram);
}
