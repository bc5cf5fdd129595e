/*
 * The board of --machine pc: see pc.h.
 */
#include "pc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include "hal/disk.h"
#include "hal/keyboard.h"

#define TICK_NS 10000000 /* between looks at the screen, and between keys */
#define SETTLED 5	 /* looks that show the same before the guest is taken to be done */

/* The firmware's keyboard buffer, where the BIOS data area has it. */
#define BDA_KEYS_HEAD  0x41a
#define BDA_KEYS_TAIL  0x41c
#define BDA_KEYS_FIRST 0x1e
#define BDA_KEYS_END   0x3e
/* Keys that nobody fetches: as long as that, a system of its own must have taken over. */
#define KEYS_PATIENCE_NS ((u64)1000000000)

static u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ------------------------------------------------------------------- screen ---- */

static void look(const struct pc *pc, struct screen *s)
{
	vga_look(&pc->vga, pc->ram + VGA_MEMORY, s);
}

/* Text is told when its cursor goes on: so no line is missed that scrolls away at once. */
static void cursor_moved(void *opaque)
{
	struct pc *pc = opaque;
	struct screen now;

	if (pc->serial || pc->showing)
		return;
	pc->showing = true;
	look(pc, &now);
	screen_text_update(&pc->text, &now, false);
	pc->showing = false;
}

static bool same_screen(const struct screen *a, const struct screen *b)
{
	if (a->columns != b->columns || a->rows != b->rows)
		return false;
	for (unsigned row = 0; row < a->rows; row++)
		if (memcmp(a->cell[row], b->cell[row], a->columns * sizeof(a->cell[0][0])))
			return false;
	return true;
}

/* The guest may be in the middle of writing: as text, only what stays is told. Telling may wait for
 * a reader, with the lock released: who comes then must not go on with half of it told. */
static void show(struct pc *pc)
{
	struct screen now;

	if (pc->serial || pc->showing)
		return;
	pc->showing = true;
	look(pc, &now);
	if (pc->terminal)
		screen_ansi_update(&pc->ansi, &now);
	pc->still = same_screen(&now, &pc->last) ? pc->still + 1 : 0;
	if (pc->still >= SETTLED)
		screen_text_update(&pc->text, &now, true);
	pc->last = now;
	pc->showing = false;
}

void pc_redraw(struct pc *pc)
{
	screen_ansi_forget(&pc->ansi);
}

void pc_end(struct pc *pc)
{
	if (pc->serial || pc->showing)
		return;
	for (unsigned i = 0; i <= SETTLED; i++)
		show(pc);
	screen_text_end(&pc->text);
}

static void write_to_terminal(void *opaque, const u8 *data, size_t n)
{
	(void)opaque;
	fwrite(data, 1, n, stdout);
	fflush(stdout);
}

/* Who does not wait for the output's end would miss that of the colours. */
void pc_leave_terminal(struct pc *pc)
{
	pc->ansi.out = write_to_terminal;
	screen_ansi_end(&pc->ansi);
}

/* ----------------------------------------------------------------- keyboard ---- */

static u16 read_ram16(const struct pc *pc, u32 gpa)
{
	u16 value;

	memcpy(&value, pc->ram + gpa, sizeof(value));
	return value;
}

/* Has the firmware keys that nobody has fetched? It drops what exceeds its 15. */
static bool firmware_holds_keys(const struct pc *pc)
{
	const u16 head = read_ram16(pc, BDA_KEYS_HEAD), tail = read_ram16(pc, BDA_KEYS_TAIL);

	return head != tail && head >= BDA_KEYS_FIRST && head < BDA_KEYS_END &&
	       tail >= BDA_KEYS_FIRST && tail < BDA_KEYS_END;
}

size_t pc_input_room(struct pc *pc)
{
	const u64 past = now_ns() - pc->typed_ns;

	if (!i8042_ready(&pc->keyboard) || past < TICK_NS / 2)
		return 0;
	if (firmware_holds_keys(pc) && past < KEYS_PATIENCE_NS)
		return 0;
	return SIZE_MAX; /* a key at a time, but all there is tells which */
}

static void press(struct pc *pc, u8 code, bool pressed)
{
	i8042_key(&pc->keyboard, code, false, pressed);
}

static void type(struct pc *pc, const struct key *key)
{
	if (key->control)
		press(pc, KEY_CONTROL, true);
	if (key->alt)
		press(pc, KEY_ALT, true);
	if (key->shift)
		press(pc, KEY_SHIFT, true);
	i8042_key(&pc->keyboard, key->code, key->extended, true);
	i8042_key(&pc->keyboard, key->code, key->extended, false);
	if (key->shift)
		press(pc, KEY_SHIFT, false);
	if (key->alt)
		press(pc, KEY_ALT, false);
	if (key->control)
		press(pc, KEY_CONTROL, false);
	pc->typed_ns = now_ns();
}

size_t pc_input(struct pc *pc, const u8 *data, size_t n)
{
	size_t used = 0;
	struct key key = {0};

	while (used < n && !key.code)
		used += keyboard_decode(data + used, n - used, &key);
	if (key.code)
		type(pc, &key);
	return used;
}

/* -------------------------------------------------------------------- board ---- */

static void tick(struct loop_source *source, u32 events)
{
	struct pc *pc = (struct pc *)((char *)source - offsetof(struct pc, timer));
	u64 expirations;

	(void)events;
	if (read(source->fd, &expirations, sizeof(expirations)) != sizeof(expirations))
		return;
	show(pc);
	pc->owner.drained(pc->owner.opaque);
}

static bool start_timer(struct pc *pc, struct error *e)
{
	const struct itimerspec every = {{0, TICK_NS}, {0, TICK_NS}};

	pc->timer.ready = tick;
	pc->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (pc->timer.fd >= 0 && !timerfd_settime(pc->timer.fd, 0, &every, NULL) &&
	    loop_watch(pc->loop, &pc->timer, EPOLLIN))
		return true;
	return error_set(e, "machine pc: creating its timer: %s", strerror(errno));
}

static void keyboard_irq(void *opaque, bool level)
{
	struct pc *pc = opaque;

	pc->owner.irq(pc->owner.opaque, I8042_IRQ, level);
}

static void keyboard_reset(void *opaque)
{
	struct pc *pc = opaque;

	pc->owner.reset(pc->owner.opaque);
}

/* The guest may be reading another channel's at this moment. */
static u32 offer(struct pc *pc, struct ata *a, u16 port, const u8 *data, u32 n)
{
	if (pc->offering && pc->offering != a && pc->offering->offered)
		return 0;
	pc->offering = a;
	return pc->owner.offer(pc->owner.opaque, port, data, n);
}

static u32 primary_offer(void *opaque, const u8 *data, u32 n)
{
	struct pc *pc = opaque;

	return offer(pc, &pc->ata[0], ATA_PRIMARY, data, n);
}

static u32 secondary_offer(void *opaque, const u8 *data, u32 n)
{
	struct pc *pc = opaque;

	return offer(pc, &pc->ata[1], ATA_SECONDARY, data, n);
}

static u32 take_back(void *opaque)
{
	struct pc *pc = opaque;

	return pc->owner.take_back(pc->owner.opaque);
}

static void primary_irq(void *opaque, bool level)
{
	struct pc *pc = opaque;

	pc->owner.irq(pc->owner.opaque, ATA_PRIMARY_IRQ, level);
}

static void secondary_irq(void *opaque, bool level)
{
	struct pc *pc = opaque;

	pc->owner.irq(pc->owner.opaque, ATA_SECONDARY_IRQ, level);
}

static void disk_warning(void *opaque, const char *text)
{
	struct pc *pc = opaque;

	pc->owner.warn(pc->owner.opaque, text);
}

static void firmware_says(void *opaque, u8 byte)
{
	const struct pc *pc = opaque;

	if (pc->verbose)
		fputc(byte, stderr);
}

bool pc_add_disk(struct pc *pc, const char *spec, struct error *e)
{
	static const struct ata_config channels[ATA_CHANNELS] = {
		{primary_irq, disk_warning, primary_offer, take_back, NULL},
		{secondary_irq, disk_warning, secondary_offer, take_back, NULL}};
	struct ata *a = &pc->ata[pc->disks / 2];
	struct ata_config cfg;
	struct block *block;
	char *name;

	if (pc->disks == PC_DISKS)
		return error_set(e, "disk '%s': machine pc has at most %d", spec, PC_DISKS);
	block = disk_open_block(spec, &name, e);
	if (!block)
		return false;
	if (pc->disks % 2 == 0) {
		cfg = channels[pc->disks / 2];
		cfg.opaque = pc;
		ata_init(a, &cfg);
	}
	ata_attach(a, block, name);
	free(name);
	pc->disks++;
	return true;
}

static bool attach_disks(struct pc *pc, struct bus *bus, struct error *e)
{
	static const u16 port[ATA_CHANNELS] = {ATA_PRIMARY, ATA_SECONDARY};
	static const u16 control[ATA_CHANNELS] = {ATA_PRIMARY_CTRL, ATA_SECONDARY_CTRL};

	for (unsigned i = 0; i < (pc->disks + 1) / 2; i++) {
		if (!ata_register(&pc->ata[i], bus, port[i], control[i]))
			return error_set(e, "machine pc: the ports of its disks are taken");
		if (!ata_start(&pc->ata[i], pc->loop, e))
			return false;
	}
	return true;
}

static void put_le(u8 *at, u64 value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		at[i] = value >> 8 * i;
}

/* RAM, the VGA's firmware, and no waiting for somebody who wants to choose a disk. */
static void tell_firmware(struct pc *pc)
{
	static const u8 no = 0;

	put_le(pc->e820, 0, 8);
	put_le(pc->e820 + 8, pc->ram_size, 8);
	put_le(pc->e820 + 16, 1, 4);
	fwcfg_init(&pc->fwcfg);
	pc->fwcfg.say = firmware_says;
	pc->fwcfg.opaque = pc;
	fwcfg_add(&pc->fwcfg, "etc/e820", pc->e820, sizeof(pc->e820));
	fwcfg_add(&pc->fwcfg, "etc/show-boot-menu", &no, sizeof(no));
	if (pc->video)
		fwcfg_add(&pc->fwcfg, "vgaroms/vga.bin", pc->video, pc->video_size);
}

/* What firmware would have left in the BIOS data area and on the screen. */
static void be_firmware(struct pc *pc)
{
	static const u8 blank[] = {' ', 0x07};

	vga_set_text_mode(&pc->vga);
	for (unsigned i = 0; i < 80 * 25; i++)
		memcpy(pc->ram + 0xb8000 + i * 2, blank, sizeof(blank));
	put_le(pc->ram + 0x410, 0x0026, 2); /* equipment: 80 columns, colour */
	put_le(pc->ram + 0x413, 639, 2);    /* KiB below the EBDA */
	put_le(pc->ram + 0x449, 3, 1);	    /* video mode */
	put_le(pc->ram + 0x44a, 80, 2);
	put_le(pc->ram + 0x463, 0x3d4, 2); /* the CRTC */
	put_le(pc->ram + 0x484, 24, 1);	   /* rows, less 1 */
	put_le(pc->ram + 0x485, 16, 2);
}

bool pc_attach(struct pc *pc, const struct pc_owner *owner, struct bus *bus, u8 *ram, u64 ram_size,
	       struct loop *loop, struct error *e)
{
	const struct i8042_config keyboard = {keyboard_irq, keyboard_reset, pc};

	pc->owner = *owner;
	pc->ram = ram;
	pc->ram_size = ram_size;
	pc->loop = loop;
	pc->text.out = owner->say;
	pc->ansi.out = owner->draw;
	pc->text.opaque = pc->ansi.opaque = owner->opaque;
	vga_init(&pc->vga, cursor_moved, pc);
	i8042_init(&pc->keyboard, &keyboard);
	tell_firmware(pc);
	if (!pc->firmware)
		be_firmware(pc);
	if (!vga_register(&pc->vga, bus) || !i8042_register(&pc->keyboard, bus) ||
	    !fwcfg_register(&pc->fwcfg, bus))
		return error_set(e, "machine pc: two devices claim one port");
	return attach_disks(pc, bus, e) && start_timer(pc, e);
}

void pc_destroy(struct pc *pc)
{
	for (unsigned i = 0; i < (pc->disks + 1) / 2; i++)
		ata_destroy(&pc->ata[i]);
	pc->disks = 0;
	if (pc->timer.fd > 0) {
		loop_unwatch(pc->loop, &pc->timer);
		close(pc->timer.fd);
		pc->timer.fd = -1;
	}
}
