/*
 * Fuzzing the devices whose parsers are short: balloon, console, entropy and the guest's ear.
 *
 * The input names one and lists operations on it. ASan sees what leaves guest RAM; what the board
 * relies on is asserted.
 */
#include <string.h>
#include "../../phase1-user/hal/agent.h"
#include "../../phase1-user/hal/virtio-console.h"
#include "fuzz-driver.h"

extern const struct hal_kind hal_agent, hal_balloon, hal_console, hal_rng;

static struct driver d;

static void release(void *opaque, u64 gpa, u64 len)
{
	(void)opaque;
	fuzz_require(!(gpa % PAGE_SIZE_4K) && !(len % PAGE_SIZE_4K) && len);
	fuzz_require(gpa < FUZZ_RAM && len <= FUZZ_RAM - gpa);
	memset(d.board.ram.base + gpa, 0, len);
}

static volatile u8 sink;

static void output(void *opaque, const u8 *data, size_t n)
{
	(void)opaque;
	for (size_t i = 0; i < n; i++)
		sink = data[i];
}

static void type(struct hal_device *console)
{
	static const u8 typed[] = "typed\x0f";

	fuzz_require(virtio_console_input(console, typed, sizeof(typed)) <= sizeof(typed));
}

static void drained(void *opaque)
{
	type(opaque);
}

static void changed(void *opaque, bool up)
{
	(void)opaque;
	(void)up;
}

static void step(struct hal_device *device, bool is_console, struct fuzz_input *in)
{
	unsigned queue;

	switch (fuzz_take(in, 1) % 6) {
	case 0:
		fuzz_scribble(&d, in);
		break;
	case 1:
		fuzz_write_register(&d, in, 4);
		break;
	case 2:
		if (is_console && fuzz_take(in, 1) % 2)
			type(device);
		else if (is_console)
			virtio_console_resize(device, fuzz_take(in, 2), fuzz_take(in, 2));
		break;
	case 3:
		driver_acknowledge(&d);
		break;
	default:
		queue = fuzz_take(in, 1) % d.device->queue_count;
		fuzz_offer(&d, queue, in);
		driver_notify(&d, queue);
	}
}

static void run(const struct hal_kind *kind, struct fuzz_input *in)
{
	struct error e;
	struct hal_device *device = kind->open("", &e);
	const struct virtio_console_config callbacks = {output, drained, changed, device};

	fuzz_require(device);
	if (kind == &hal_console)
		virtio_console_connect(device, &callbacks);
	if (kind == &hal_agent)
		agent_power_off(device);
	driver_init(&d, &device->virtio, FUZZ_RAM);
	d.board.release = release;
	driver_start(&d, driver_offered(&d) & ~((u64)fuzz_take(in, 4) << 1), 16);
	for (unsigned i = 0; in->left && i < FUZZ_STEPS; i++)
		step(device, kind == &hal_console, in);
	driver_destroy(&d);
	kind->destroy(device);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const struct hal_kind *const kinds[] = {&hal_balloon, &hal_console, &hal_rng,
						       &hal_agent};
	struct fuzz_input in = {data, size};

	run(kinds[fuzz_take(&in, 1) % 4], &in);
	return 0;
}
