/*
 * Fuzzing the loaders: kernel files, damaged anywhere.
 *
 * The input's first bytes choose a kernel of the unit tests (tests/unit/loader-files.h), or a file
 * of the input's own, and the machine; the rest says what is changed in it. RAM ends at pages that
 * are nobody's. What is loaded has to be a state that an engine takes, what is refused has a
 * reason in one line.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "../unit/loader-files.h"
#include "../../common/vcpu-check.h"
#include "../../phase1-user/watch/symbols.h"
#include "fuzz-input.h"

#define RAM_MAX	    ((size_t)8 << 20)
#define GUARD	    ((size_t)1 << 20)
#define KINDS	    7 /* of which the first is the input's own */
#define INITRD_MAX  5000
#define DEVICES_MAX 64

/* What the loader leaves to devices begins here. */
#define HOLE_START 0xa0000u

static u8 *make_ram(void)
{
	u8 *at = mmap(NULL, RAM_MAX + 2 * GUARD, PROT_NONE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	fuzz_require(at != MAP_FAILED);
	fuzz_require(!mprotect(at + GUARD, RAM_MAX, PROT_READ | PROT_WRITE));
	return at + GUARD;
}

static const struct file *kernels(void)
{
	static struct file kernel[KINDS];

	if (kernel[1].size)
		return kernel;
	make_elf(&kernel[1]);
	make_multiboot_elf(&kernel[2]);
	make_multiboot_flat(&kernel[3]);
	make_bzimage_packed(&kernel[4], PACK_GZIP);
	make_bzimage_packed(&kernel[5], PACK_XZ);
	make_bzimage_packed(&kernel[6], PACK_ZSTD);
	return kernel;
}

/* Some bytes somewhere are others, or what is behind them is gone. */
static void damage(u8 *data, size_t *size, struct fuzz_input *in)
{
	while (in->left && *size) {
		const size_t at = fuzz_take(in, 2) % *size;
		u32 n = fuzz_take(in, 1);

		if (n == 255)
			*size = at + 1;
		for (n %= 16; n && at + n <= *size; n--)
			data[at + n - 1] = fuzz_take(in, 1);
	}
}

/* In memory of just its size. */
static u8 *make_file(struct fuzz_input *in, u32 kind, size_t *size)
{
	const struct file *f = &kernels()[kind];
	u8 *data;

	*size = kind ? f->size : in->left;
	data = malloc(*size + !*size);
	fuzz_require(data != NULL);
	memcpy(data, kind ? f->data : in->data, *size);
	if (kind)
		damage(data, size, in);
	return kind ? realloc(data, *size) : data;
}

static void check_reason(const struct error *e)
{
	fuzz_require(e->text[0] && strlen(e->text) < sizeof(e->text) && !strchr(e->text, '\n'));
}

static void try_load(const struct image *im, struct boot *boot)
{
	struct vcpu cpu = {.xcr0 = XCR0_X87, .rflags = FLAG_ONE};
	struct error e = {""};

	if (!image_load(im, boot, &cpu, &e)) {
		check_reason(&e);
		return;
	}
	fuzz_require(vcpu_valid(&cpu));
	fuzz_require(cpu.gpr[GPR_SI] < boot->ram_size && cpu.gpr[GPR_BX] < boot->ram_size);
	/* What runs on from low memory would be there: no RAM is announced at it. */
	fuzz_require(!boot->ram[HOLE_START] && !boot->ram[HOLE_START + 4095]);
}

static void try_symbols(const u8 *data, size_t size)
{
	struct symbols *s = symbols_read(data, size);
	u64 offset, first, last;
	char text[128];

	if (!s)
		return;
	symbols_lookup(s, 0xc0100010, &offset);
	symbols_text(s, 0xc0100024, text, sizeof(text));
	fuzz_require(strlen(text) < sizeof(text));
	if (symbols_find(s, "start", &first, &last))
		fuzz_require(first <= last);
	symbols_free(s);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const u8 initrd[INITRD_MAX];
	static struct boot_device device[DEVICES_MAX];
	static char cmdline[4096];
	static u8 *ram;
	struct fuzz_input in = {data, size};
	const u32 kind = fuzz_take(&in, 1) % KINDS, how = fuzz_take(&in, 1);
	const size_t length = (how & 7) * (how & 8 ? 400 : 36);
	struct boot boot = {.cmdline = cmdline};
	struct error e = {""};
	struct blob file = {.path = "kernel"};
	struct image im;

	if (!ram)
		ram = make_ram();
	memset(cmdline, 'x', length);
	cmdline[length] = '\0';
	boot.ram_size = (how & 0x10 ? 3 : 8) << 20;
	boot.ram = ram + RAM_MAX - boot.ram_size; /* with the guard behind it */
	if (how & 0x20)
		boot.initrd = (struct blob){"initrd", initrd, how & 0x40 ? INITRD_MAX : 1};
	boot.device = device;
	boot.devices = how & 0x80 ? fuzz_take(&in, 1) % DEVICES_MAX : 0;
	for (unsigned i = 0; i < boot.devices; i++)
		device[i] = (struct boot_device){0xd0000000u + i * 0x1000, 0x1000, i % 16};
	file.data = make_file(&in, kind, &file.size);
	if (image_identify(&im, &file, &e)) {
		fuzz_require(strlen(im.name) < sizeof(im.name));
		try_load(&im, &boot);
	} else {
		check_reason(&e);
	}
	try_symbols(file.data, file.size);
	free((void *)file.data);
	fuzz_require(!madvise(ram, RAM_MAX, MADV_DONTNEED));
	return 0;
}
