/*
 * Fuzzing the devices of a PC: ATA, VGA, keyboard, firmware configuration.
 *
 * The input is a list of port accesses, of writes into display memory, and of answers of a backend
 * that finishes requests when it likes, or with an error. The backend aborts when the channel
 * breaks its word (block.h); what is shown must fit where it is put.
 */
#include <errno.h>
#include <string.h>
#include "../../common/port-window.h"
#include "../../phase1-user/hal/ata.h"
#include "../../phase1-user/hal/fwcfg.h"
#include "../../phase1-user/hal/i8042.h"
#include "../../phase1-user/hal/keyboard.h"
#include "../../phase1-user/console/screen-ansi.h"
#include "../../phase1-user/console/screen-text.h"
#include "fuzz-input.h"

#define SECTORS 300u

struct backend {
	struct block block;
	u8 data[SECTORS * BLOCK_SECTOR];
	struct block_request *waiting;
};

static struct board {
	struct bus bus;
	struct ata ata;
	struct vga vga;
	struct i8042 keyboard;
	struct fwcfg fwcfg;
	struct screen screen;
	struct screen_text text;
	struct screen_ansi ansi;
	struct backend disk[2];
	u8 window[PORT_WINDOW_BYTES];
	u32 window_end;
	u8 memory[VGA_MEMORY_SIZE];
} b;

static void finish(struct backend *d, int error)
{
	struct block_request *r = d->waiting;

	d->waiting = NULL;
	if (!r)
		return;
	if (r->op == BLOCK_READ && !error)
		memcpy(r->segment[0].iov_base, d->data + r->offset, r->length);
	else if (r->op == BLOCK_WRITE && !error)
		memcpy(d->data + r->offset, r->segment[0].iov_base, r->length);
	r->error = error;
	d->block.owner.done(d->block.owner.opaque, r);
}

static bool back_start(struct block *block, struct loop *loop, struct error *e)
{
	(void)block, (void)loop, (void)e;
	return true;
}

static void back_submit(struct block *block, struct block_request *r)
{
	struct backend *d = (struct backend *)block;

	fuzz_require(!d->waiting);
	fuzz_require(r->offset % BLOCK_SECTOR == 0 && r->length % BLOCK_SECTOR == 0);
	fuzz_require(r->offset <= block->size && r->length <= block->size - r->offset);
	fuzz_require(r->op == BLOCK_READ || r->op == BLOCK_FLUSH || !block->read_only);
	if (r->op != BLOCK_FLUSH) {
		const u8 *base = r->segment[0].iov_base;

		fuzz_require(r->segments == 1 && r->segment[0].iov_len == r->length);
		fuzz_require(base == b.ata.buffer && r->length <= sizeof(b.ata.buffer));
	}
	d->waiting = r;
}

static void back_kick(struct block *block)
{
	(void)block;
}

static void back_drain(struct block *block)
{
	finish((struct backend *)block, 0);
}

static const struct block_ops back_ops = {
	.start = back_start,
	.submit = back_submit,
	.kick = back_kick,
	.drain = back_drain,
	.close = back_kick,
};

static void on_irq(void *opaque, bool level)
{
	(void)opaque, (void)level;
}

static void on_warn(void *opaque, const char *text)
{
	(void)opaque;
	fuzz_require(strlen(text) < 240);
}

static u32 on_offer(void *opaque, const u8 *data, u32 n)
{
	(void)opaque;
	fuzz_require(n && data >= b.ata.buffer && n <= sizeof(b.ata.buffer));
	b.window_end = n < sizeof(b.window) ? n : sizeof(b.window);
	memcpy(b.window, data, b.window_end);
	return b.window_end;
}

/* Anything: it may have been written by guest code. */
static u32 on_take_back(void *opaque)
{
	struct fuzz_input *in = opaque;

	b.window_end = 0;
	return fuzz_take(in, 1) * (fuzz_take(in, 1) & 1 ? 0x01010101u : 3u);
}

static void on_event(void *opaque)
{
	(void)opaque;
}

static volatile u8 sink;

static void on_out(void *opaque, const u8 *data, size_t n)
{
	(void)opaque;
	for (size_t i = 0; i < n; i++)
		sink = data[i];
}

static void set_up(struct fuzz_input *in)
{
	static const u8 file[] = {1, 2, 3};
	const struct ata_config ata = {on_irq, on_warn, on_offer, on_take_back, in};
	const struct i8042_config keyboard = {on_irq, on_event, NULL};
	const u8 kind = fuzz_take(in, 1);
	struct error e;

	memset(&b, 0, sizeof(b));
	bus_init(&b.bus);
	ata_init(&b.ata, &ata);
	for (unsigned i = 0; i < 1 + (kind & 1u); i++) {
		b.disk[i].block = (struct block){
			.ops = &back_ops, .size = sizeof(b.disk[i].data), .read_only = kind & 2};
		ata_attach(&b.ata, &b.disk[i].block, "disk");
	}
	vga_init(&b.vga, on_event, NULL);
	if (kind & 4)
		vga_set_text_mode(&b.vga);
	i8042_init(&b.keyboard, &keyboard);
	fwcfg_init(&b.fwcfg);
	fwcfg_add(&b.fwcfg, "file", file, sizeof(file));
	b.text.out = b.ansi.out = on_out;
	fuzz_require(ata_register(&b.ata, &b.bus, ATA_PRIMARY, ATA_PRIMARY_CTRL) &&
		     vga_register(&b.vga, &b.bus) && i8042_register(&b.keyboard, &b.bus) &&
		     fwcfg_register(&b.fwcfg, &b.bus) && ata_start(&b.ata, NULL, &e));
}

static void access_port(struct fuzz_input *in, u16 port)
{
	const u8 how = fuzz_take(in, 1);
	u64 value = fuzz_take(in, 4);

	bus_io(&b.bus, port, 1 << how % 3, how & 8, &value);
}

/* As a driver does: much of the same. */
static void move_data(struct fuzz_input *in)
{
	const u8 how = fuzz_take(in, 1);

	for (unsigned i = 0; i < 1 + (how >> 4) * 128u; i++) {
		u64 value = i;

		bus_io(&b.bus, ATA_PRIMARY, 1 << how % 3, how & 8, &value);
	}
}

static void show(bool settled)
{
	vga_look(&b.vga, b.memory, &b.screen);
	fuzz_require(b.screen.columns <= SCREEN_COLUMNS && b.screen.rows <= SCREEN_ROWS);
	screen_text_update(&b.text, &b.screen, settled);
	screen_ansi_update(&b.ansi, &b.screen);
}

static void type(struct fuzz_input *in)
{
	u8 bytes[8];
	struct key key;

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = fuzz_take(in, 1);
	fuzz_require(keyboard_decode(bytes, sizeof(bytes), &key) <= sizeof(bytes));
	if (i8042_ready(&b.keyboard))
		i8042_key(&b.keyboard, key.code, key.extended, key.shift);
}

static void step(struct fuzz_input *in)
{
	static const u16 others[] = {0x3b4, 0x3c0, 0x3d0, 0x60, 0x64, 0x510, 0x402};
	u32 at;

	switch (fuzz_take(in, 1) % 8) {
	case 0:
	case 1:
		access_port(in, ATA_PRIMARY + fuzz_take(in, 1) % 8);
		break;
	case 2:
		access_port(in, ATA_PRIMARY_CTRL);
		break;
	case 3:
		move_data(in);
		break;
	case 4:
		finish(&b.disk[fuzz_take(in, 1) & 1], fuzz_take(in, 1) % 4 ? 0 : EIO);
		break;
	case 5:
		access_port(in, others[fuzz_take(in, 1) % 7] + fuzz_take(in, 1) % 16);
		break;
	case 6:
		at = fuzz_take(in, 2) % (VGA_MEMORY_SIZE - 256);
		memset(b.memory + at, fuzz_take(in, 1), fuzz_take(in, 1));
		show(at & 1);
		break;
	default:
		type(in);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_input in = {data, size};

	set_up(&in);
	for (unsigned i = 0; in.left && i < 400; i++)
		step(&in);
	ata_destroy(&b.ata);
	return 0;
}
