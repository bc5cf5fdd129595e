/*
 * The file of a snapshot: what goes in comes out, and what was damaged does not.
 */
#include "../../phase1-user/snapshot/config.h"
#include "../../phase1-user/snapshot/file.h"
#include "../../phase1-user/snapshot/fpu.h"
#include "../../phase1-user/snapshot/ram.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RAM_SIZE ((u64)5 << 20 | PAGE_SIZE_4K) /* the last chunk is a short one */

static char dir[] = "/tmp/test-snapshot.XXXXXX";
static char path[64];

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/file", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir); /* fails if something was left behind */
}

static u32 random_state = 12345;

static u32 random32(void)
{
	return random_state = random_state * 1664525 + 1013904223;
}

/* RAM of which some is zeros, some the same over and over, some noise, and much a hole. */
static int make_ram(u8 **ram)
{
	const int fd = memfd_create("ram", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, RAM_SIZE), 0);
	*ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(*ram != MAP_FAILED);
	for (size_t i = 0; i < 300000; i++)
		(*ram)[i + 5000] = random32() >> 24;
	memset(*ram + (1 << 20), 0x5a, 700000);
	(*ram)[RAM_SIZE - 1] = 1;
	(*ram)[3 << 20] = 0; /* there, but zero */
	return fd;
}

static void put_text_section(struct snapshot_writer *w, enum snapshot_section s, const char *text)
{
	struct byte_writer b = {0};

	bytes_put_text(&b, text);
	snapshot_put(w, s, &b);
	bytes_free(&b);
}

static void write_file(int ram_fd)
{
	struct snapshot_writer w;
	struct error e;
	u64 size;

	assert_true(snapshot_create(&w, path, &e));
	for (unsigned s = 1; s < SECTION_RAM; s++)
		put_text_section(&w, s, s == SECTION_FPU ? "" : "words");
	assert_true(snapshot_write_ram(&w, ram_fd, RAM_SIZE, &e));
	assert_true(snapshot_finish(&w, true, &size, &e));
}

static bool is_resident(u8 *ram, u64 offset)
{
	unsigned char there;

	assert_int_equal(mincore(ram + offset, 1, &there), 0);
	return there & 1;
}

static void test_round_trip(void **state)
{
	u8 *ram, *back;
	const int fd = make_ram(&ram);
	struct snapshot_file f;
	struct error e;
	struct byte_reader r;
	struct stat st;
	char text[16];

	(void)state;
	write_file(fd);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_in_range(st.st_size, 300000, 400000); /* the noise, and little else */
	assert_false(is_resident(ram, 4 << 20));     /* the hole is still one */
	assert_true(snapshot_file_open(&f, path, &e));
	r = snapshot_section(&f, SECTION_CONFIG);
	bytes_get_text(&r, text, sizeof(text));
	assert_string_equal(text, "words");
	assert_true(bytes_all_read(&r));
	back = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(snapshot_read_ram(&f, back, RAM_SIZE, &e));
	assert_false(is_resident(back, 3 << 20));
	assert_memory_equal(ram, back, RAM_SIZE);
	assert_false(snapshot_read_ram(&f, back, RAM_SIZE + (1 << 20), &e));
	snapshot_file_close(&f);
	munmap(back, RAM_SIZE);
	munmap(ram, RAM_SIZE);
	close(fd);
}

/* Is any of the file wrong? */
static bool is_good(u8 *back)
{
	struct snapshot_file f;
	struct error e;
	bool good;

	if (!snapshot_file_open(&f, path, &e))
		return false;
	good = snapshot_read_ram(&f, back, RAM_SIZE, &e);
	snapshot_file_close(&f);
	return good;
}

static void flip(int fd, u64 at)
{
	u8 byte;

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 1u << (random32() >> 29);
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

/* A bit, anywhere: found, unless it is behind the header's end, where nothing is. */
static void test_damage(void **state)
{
	u8 *ram, *back = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);
	const int ram_fd = make_ram(&ram);
	const u64 used_header = 16 + 24 * (SECTIONS - 1) + 4;
	struct stat st;
	int fd;

	(void)state;
	write_file(ram_fd);
	fd = open(path, O_RDWR);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(is_good(back));
	for (u64 at = 0; at < (u64)st.st_size; at += at < used_header ? 1 : 9973) {
		u8 before;

		if (at >= used_header && at < SNAPSHOT_HEADER)
			continue;
		assert_int_equal(pread(fd, &before, 1, at), 1);
		flip(fd, at);
		assert_false(is_good(back));
		assert_int_equal(pwrite(fd, &before, 1, at), 1);
	}
	assert_true(is_good(back));
	for (u64 size = 0; size < (u64)st.st_size; size += size / 2 + 1000) {
		assert_int_equal(truncate(path, st.st_size - 1 - size), 0);
		assert_false(is_good(back));
	}
	close(fd);
	munmap(back, RAM_SIZE);
	munmap(ram, RAM_SIZE);
	close(ram_fd);
}

static void test_no_snapshot(void **state)
{
	struct snapshot_file f;
	struct error e;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	(void)state;
	assert_false(snapshot_file_open(&f, path, &e));
	assert_non_null(strstr(e.text, "no snapshot"));
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	close(fd);
	assert_false(snapshot_file_open(&f, path, &e));
	assert_non_null(strstr(e.text, "no snapshot"));
	assert_false(snapshot_file_open(&f, dir, &e));
	assert_non_null(strstr(e.text, "regular file"));
	assert_false(snapshot_file_open(&f, "/nowhere/at/all", &e));
	assert_non_null(strstr(e.text, "No such file"));
}

/* What failed leaves nothing behind (teardown looks), and what was there stays. */
static void test_failure_leaves_nothing(void **state)
{
	struct byte_writer failed = {.failed = true};
	struct snapshot_writer w;
	struct stat st;
	struct error e;
	u64 size;

	(void)state;
	assert_false(snapshot_create(&w, "/nowhere/file", &e));
	assert_int_equal(truncate(path, 77), 0);
	assert_true(snapshot_create(&w, path, &e));
	snapshot_put(&w, SECTION_CONFIG, &failed);
	assert_false(snapshot_finish(&w, true, &size, &e));
	assert_true(snapshot_create(&w, path, &e));
	assert_false(snapshot_finish(&w, false, &size, &e));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 77);
}

static void test_config(void **state)
{
	struct snapshot_config *c = calloc(1, sizeof(*c)), *back = calloc(1, sizeof(*back));
	struct byte_writer w = {0};
	struct byte_reader r;

	(void)state;
	c->memory = (u64)256 << 20;
	c->abi = c->command = true;
	strcpy(c->kernel, "/boot/vmlinux");
	c->devices = 2;
	strcpy(c->device[0].option, "rng");
	c->device[0].unasked = true;
	strcpy(c->device[1].option, "disk");
	strcpy(c->device[1].spec, "/a file,ro");
	snapshot_config_host(c, 2600000);
	assert_true(c->boot_id[0] && c->tsc);
	snapshot_config_put(c, &w);
	r = (struct byte_reader){w.data, w.used, false};
	assert_true(snapshot_config_get(back, &r));
	assert_memory_equal(c, back, sizeof(*c));
	for (size_t size = 0; size < w.used; size++) {
		u8 *cut = malloc(size + 1); /* ASan sees what reads behind it */

		memcpy(cut, w.data, size);
		r = (struct byte_reader){cut, size, false};
		assert_false(snapshot_config_get(back, &r));
		free(cut);
	}
	bytes_free(&w);
	free(c);
	free(back);
}

static void test_clocks(void **state)
{
	struct snapshot_config *then = calloc(1, sizeof(*then)), *now = calloc(1, sizeof(*now));
	const char *why = NULL;

	(void)state;
	strcpy(then->boot_id, "a");
	strcpy(now->boot_id, "a");
	then->tsc = 1000;
	now->tsc = 1001;
	then->tsc_khz = 2600000;
	now->tsc_khz = 2500000; /* a measurement like any other: it is the same host */
	assert_true(snapshot_clock_goes_on(then, now, &why));
	strcpy(now->boot_id, "b");
	assert_false(snapshot_clock_goes_on(then, now, &why));
	assert_non_null(strstr(why, "speed"));
	now->tsc_khz = 2600100;
	assert_true(snapshot_clock_goes_on(then, now, &why));
	now->tsc = 999;
	assert_false(snapshot_clock_goes_on(then, now, &why));
	assert_non_null(strstr(why, "behind"));
	then->deterministic = true;
	assert_true(snapshot_clock_goes_on(then, now, &why));
	free(then);
	free(now);
}

static void test_fpu(void **state)
{
	struct fpu_area area = {0}, back;
	struct byte_writer w = {0};
	struct byte_reader r;

	(void)state;
	for (size_t i = 160; i < 416; i++)
		area.legacy[i] = i;
	memcpy(area.legacy + 24, &(u32){0x1f80}, 4);
	area.present = 3;
	fpu_tidy(&area);
	for (unsigned i = 2; i < 8; i++) {
		u32 offset, size;

		if ((area.present >> i & 1) && fpu_component(i, &offset, &size))
			memset((u8 *)&area + offset, i, size);
	}
	snapshot_put_fpu(&area, &w);
	r = (struct byte_reader){w.data, w.used, false};
	assert_null(snapshot_get_fpu(&back, &r));
	assert_memory_equal(&area, &back, sizeof(area));
	r = (struct byte_reader){w.data, w.used - 1, false};
	assert_non_null(snapshot_get_fpu(&back, &r));
	w.data[27] = 0xff; /* MXCSR: XRSTOR would fault */
	r = (struct byte_reader){w.data, w.used, false};
	assert_non_null(snapshot_get_fpu(&back, &r));
	bytes_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_damage),
		cmocka_unit_test(test_no_snapshot), cmocka_unit_test(test_failure_leaves_nothing),
		cmocka_unit_test(test_config),	    cmocka_unit_test(test_clocks),
		cmocka_unit_test(test_fpu),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
