/*
 * Fuzzing what a snapshot's file says: the header, the sections behind it, RAM, what a config, the
 * FPU, the state of a machine and of its devices can hold.
 *
 * The input is one part of a file, whose first byte says which; checksums are made right, for
 * nobody's file is refused for them alone.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "../../common/state.h"
#include "../../phase1-user/hal/serial.h"
#include "../../phase1-user/snapshot/codec.h"
#include "../../phase1-user/snapshot/config.h"
#include "../../phase1-user/snapshot/file.h"
#include "../../phase1-user/snapshot/fpu.h"
#include "../../phase1-user/snapshot/ram.h"
#include "fuzz-driver.h"

#define RAM_SIZE ((u64)1 << 20)
#define INDEX	 72 /* bytes that its index has: what follows in the input are chunks */

extern const struct hal_kind hal_agent, hal_balloon, hal_rng;

static void try_config(struct byte_reader r)
{
	static struct snapshot_config c, now;
	const char *why = NULL;

	if (!snapshot_config_get(&c, &r))
		return;
	fuzz_require(c.devices <= HAL_DEVICES_MAX);
	snapshot_config_host(&now, 2000000);
	if (!snapshot_clock_goes_on(&c, &now, &why))
		fuzz_require(why != NULL);
}

static void try_fpu(struct byte_reader r)
{
	struct fpu_area area;

	if (!snapshot_get_fpu(&area, &r))
		fuzz_require(fpu_acceptable(&area, sizeof(area)));
}

static void try_state(struct byte_reader r)
{
	static struct vm vm;
	static struct machine_state s;

	memset(&s, 0, sizeof(s));
	memcpy(&s, r.data, r.left < sizeof(s) ? r.left : sizeof(s));
	vm.ram_size = s.ram_size;
	memcpy(&vm.cpu_identity, &s.cpu_identity, sizeof(vm.cpu_identity));
	state_check(&vm, &s);
}

static void try_serial(struct byte_reader r)
{
	static struct serial serial;

	serial_load(&serial, &r);
}

/* A file made of the input, with the checksums that its own words ask for. */
static void try_file(struct byte_reader r, bool ram)
{
	static u8 whole[1 << 16], guest[RAM_SIZE];
	const int fd = memfd_create("fuzz", 0);
	struct byte_writer header = {0};
	struct snapshot_file f;
	struct error e;
	char path[64];

	memset(whole, 0, sizeof(whole));
	bytes_put(&header, "plex86sn", 8);
	bytes_put_u32(&header, SNAPSHOT_VERSION);
	bytes_put_u32(&header, SECTIONS - 1);
	for (u32 i = 1; i < SECTIONS; i++) {
		const size_t bytes = i == SECTION_RAM && r.left > INDEX ? INDEX : r.left;

		bytes_put_u32(&header, i);
		bytes_put_u32(&header, codec_checksum(r.data, bytes));
		bytes_put_u64(&header, SNAPSHOT_HEADER);
		bytes_put_u64(&header, bytes);
	}
	bytes_put_u32(&header, codec_checksum(header.data, header.used));
	memcpy(whole, header.data, header.used);
	if (!ram) /* the header itself */
		memcpy(whole, r.data, r.left < SNAPSHOT_HEADER ? r.left : SNAPSHOT_HEADER);
	memcpy(whole + SNAPSHOT_HEADER, r.data, r.left);
	fuzz_require(write(fd, whole, SNAPSHOT_HEADER + r.left) > 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (snapshot_file_open(&f, path, &e)) {
		snapshot_read_ram(&f, guest, RAM_SIZE, &e);
		snapshot_file_close(&f);
	}
	close(fd);
	bytes_free(&header);
}

static void try_device(struct byte_reader r)
{
	static const struct hal_kind *const kinds[] = {&hal_agent, &hal_balloon, &hal_rng};
	const struct hal_kind *kind = kinds[bytes_get_u8(&r) % ARRAY_SIZE(kinds)];
	static struct driver d;
	struct error e;
	struct hal hal = {.count = 1};
	u64 bells;

	hal.device[0] = kind->open("", &e);
	fuzz_require(hal.device[0] != NULL);
	hal.device[0]->kind = kind;
	driver_init(&d, &hal.device[0]->virtio, FUZZ_RAM);
	if (hal_load(&hal, &r, &bells, &e))
		hal_notify(&hal, bells);
	kind->destroy(hal.device[0]);
	driver_destroy(&d);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct byte_reader r = {data, size, false};
	const u8 which = bytes_get_u8(&r);

	if (r.failed || r.left > 60000 || !r.left)
		return 0;
	switch (which % 7) {
	case 0:
		try_config(r);
		break;
	case 1:
		try_fpu(r);
		break;
	case 2:
		try_state(r);
		break;
	case 3:
		try_serial(r);
		break;
	case 4:
	case 5:
		try_file(r, which % 7 == 4);
		break;
	case 6:
		try_device(r);
		break;
	}
	return 0;
}
