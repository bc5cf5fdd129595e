/*
 * The keyboard controller and its keyboard: see i8042.h.
 */
#include "i8042.h"

#include <string.h>

#define PORT_DATA    0x60
#define PORT_COMMAND 0x64

/* Status. */
#define STATUS_FULL	0x01 /* there is something to read */
#define STATUS_SYSTEM	0x04 /* as the configuration byte has it */
#define STATUS_COMMAND	0x08
#define STATUS_UNLOCKED 0x10

/* The configuration byte. */
#define CONFIG_IRQ	 0x01
#define CONFIG_SYSTEM	 0x04
#define CONFIG_DISABLED	 0x10
#define CONFIG_NO_MOUSE	 0x20
#define CONFIG_TRANSLATE 0x40

#define OUTPUT_RESET 0x01 /* low: reset */
#define OUTPUT_A20   0x02

#define FROM_CONTROLLER 0x100

/* The keyboard's answers. */
#define ACK    0xfa
#define RESEND 0xfe
#define PASSED 0xaa

/* Scan code set 2 by set 1, 0x01 to 0x58. */
static const u8 set2_of_set1[] = {
	0,    0x76, 0x16, 0x1e, 0x26, 0x25, 0x2e, 0x36, 0x3d, 0x3e, 0x46, 0x45, 0x4e, 0x55, 0x66,
	0x0d, 0x15, 0x1d, 0x24, 0x2d, 0x2c, 0x35, 0x3c, 0x43, 0x44, 0x4d, 0x54, 0x5b, 0x5a, 0x14,
	0x1c, 0x1b, 0x23, 0x2b, 0x34, 0x33, 0x3b, 0x42, 0x4b, 0x4c, 0x52, 0x0e, 0x12, 0x5d, 0x1a,
	0x22, 0x21, 0x2a, 0x32, 0x31, 0x3a, 0x41, 0x49, 0x4a, 0x59, 0x7c, 0x11, 0x29, 0x58, 0x05,
	0x06, 0x04, 0x0c, 0x03, 0x0b, 0x83, 0x0a, 0x01, 0x09, 0x77, 0x7e, 0x6c, 0x75, 0x7d, 0x7b,
	0x6b, 0x73, 0x74, 0x79, 0x69, 0x72, 0x7a, 0x70, 0x71, 0x84, 0,	  0x61, 0x78, 0x07};

static void update_irq(struct i8042 *k)
{
	const bool level = k->count && (k->config & CONFIG_IRQ);

	if (level == k->irq_level)
		return;
	k->irq_level = level;
	k->cfg.irq(k->cfg.opaque, level);
}

/* Keys that nobody takes are lost, as by any keyboard; answers come first. */
static void send(struct i8042 *k, u16 byte)
{
	if (k->count < I8042_QUEUE)
		k->queue[(k->head + k->count++) % I8042_QUEUE] = byte;
	update_irq(k);
}

/* ---------------------------------------------------------------- keyboard ---- */

static void keyboard_reset(struct i8042 *k)
{
	k->set = 2;
	k->scanning = true;
	k->leds = 0;
	k->keyboard_command = 0;
}

static void keyboard_data(struct i8042 *k, u8 command, u8 value)
{
	send(k, ACK);
	if (command == 0xed)
		k->leds = value & 7;
	if (command != 0xf0)
		return;
	if (value == 0)
		send(k, k->set);
	else if (value <= 3)
		k->set = value;
}

static void keyboard_command(struct i8042 *k, u8 value)
{
	switch (value) {
	case 0xed: /* LEDs */
	case 0xf0: /* scan code set */
	case 0xf3: /* typematic rate */
		k->keyboard_command = value;
		send(k, ACK);
		break;
	case 0xee: /* echo */
		send(k, value);
		break;
	case 0xf2: /* identify */
		send(k, ACK);
		send(k, 0xab);
		send(k, k->config & CONFIG_TRANSLATE ? 0x41 : 0x83);
		break;
	case 0xf4: /* enable */
		k->scanning = true;
		send(k, ACK);
		break;
	case 0xf5: /* disable, and all as at the beginning */
	case 0xf6:
		keyboard_reset(k);
		k->scanning = value == 0xf6;
		send(k, ACK);
		break;
	case 0xff:
		keyboard_reset(k);
		k->count = 0;
		send(k, ACK);
		send(k, PASSED);
		break;
	default:
		send(k, RESEND);
	}
}

static void keyboard_write(struct i8042 *k, u8 value)
{
	const u8 command = k->keyboard_command;

	k->config &= ~CONFIG_DISABLED; /* talking to it switches it on */
	k->keyboard_command = 0;
	if (command && value < 0x80)
		keyboard_data(k, command, value);
	else
		keyboard_command(k, value);
}

bool i8042_ready(const struct i8042 *k)
{
	return k->scanning && !k->count && !(k->config & CONFIG_DISABLED) && !k->keyboard_command &&
	       !k->command;
}

void i8042_key(struct i8042 *k, u8 code, bool extended, bool pressed)
{
	const bool translated = k->set == 1 || (k->config & CONFIG_TRANSLATE);

	if (code >= ARRAY_SIZE(set2_of_set1) || !set2_of_set1[code])
		return;
	if (extended)
		send(k, 0xe0);
	if (translated) {
		send(k, pressed ? code : code | 0x80);
		return;
	}
	if (!pressed)
		send(k, 0xf0);
	send(k, set2_of_set1[code]);
}

/* -------------------------------------------------------------- controller ---- */

/* Pulse output lines low: those with a 0 bit. Line 0 is reset. */
static void pulse(struct i8042 *k, u8 lines)
{
	if (!(lines & OUTPUT_RESET))
		k->cfg.reset(k->cfg.opaque);
}

static void controller_data(struct i8042 *k, u8 command, u8 value)
{
	switch (command) {
	case 0xd1: /* output port; A20 cannot be switched off, but it reads as written */
		k->output = value;
		pulse(k, value);
		break;
	case 0xd2: /* as if the keyboard had sent it */
		send(k, value);
		break;
	case 0xd3: /* the same of the mouse, which there is none of */
	case 0xd4:
		break;
	case 0x60:
		k->config = value;
		update_irq(k);
		break;
	default: /* 0x61 to 0x7f */
		k->ram[command - 0x61] = value;
	}
}

static void controller_command(struct i8042 *k, u8 value)
{
	if (value >= 0xf0) {
		pulse(k, value);
		return;
	}
	if ((value & 0xe0) == 0x60 || (value >= 0xd1 && value <= 0xd4)) {
		k->command = value;
		return;
	}
	if ((value & 0xe0) == 0x20) {
		send(k, FROM_CONTROLLER | (value == 0x20 ? k->config : k->ram[value - 0x21]));
		return;
	}
	switch (value) {
	case 0xa7: /* the mouse's port off and on */
	case 0xa8:
		k->config = (k->config & ~CONFIG_NO_MOUSE) | (value == 0xa7 ? CONFIG_NO_MOUSE : 0);
		break;
	case 0xa9: /* test it: its clock line is stuck low, nothing is there */
		send(k, FROM_CONTROLLER | 0x01);
		break;
	case 0xaa: /* self test */
		send(k, FROM_CONTROLLER | 0x55);
		break;
	case 0xab: /* test the keyboard's port */
		send(k, FROM_CONTROLLER | 0x00);
		break;
	case 0xad:
		k->config |= CONFIG_DISABLED;
		break;
	case 0xae:
		k->config &= ~CONFIG_DISABLED;
		break;
	case 0xc0: /* input port: the keyboard is not locked */
		send(k, FROM_CONTROLLER | 0x80);
		break;
	case 0xd0:
		send(k, FROM_CONTROLLER | k->output | OUTPUT_RESET);
		break;
	}
}

static u64 data_read(void *opaque, u64 offset, unsigned size)
{
	struct i8042 *k = opaque;

	(void)offset, (void)size;
	if (!k->count)
		return k->last;
	k->last = k->queue[k->head];
	k->head = (k->head + 1) % I8042_QUEUE;
	k->count--;
	update_irq(k);
	return k->last;
}

static void data_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct i8042 *k = opaque;
	const u8 command = k->command;

	(void)offset, (void)size;
	k->system = false;
	k->command = 0;
	if (command)
		controller_data(k, command, value);
	else
		keyboard_write(k, value);
}

static u64 status_read(void *opaque, u64 offset, unsigned size)
{
	const struct i8042 *k = opaque;

	(void)offset, (void)size;
	return (k->count ? STATUS_FULL : 0) | (k->config & CONFIG_SYSTEM ? STATUS_SYSTEM : 0) |
	       (k->system ? STATUS_COMMAND : 0) | STATUS_UNLOCKED;
}

static void command_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct i8042 *k = opaque;

	(void)offset, (void)size;
	k->system = true;
	k->command = 0;
	controller_command(k, value);
}

void i8042_init(struct i8042 *k, const struct i8042_config *cfg)
{
	memset(k, 0, sizeof(*k));
	k->cfg = *cfg;
	k->config = CONFIG_IRQ | CONFIG_SYSTEM | CONFIG_NO_MOUSE | CONFIG_TRANSLATE;
	k->output = OUTPUT_RESET | OUTPUT_A20;
	keyboard_reset(k);
}

bool i8042_register(struct i8042 *k, struct bus *b)
{
	static const struct bus_ops data = {data_read, data_write, 1};
	static const struct bus_ops command = {status_read, command_write, 1};

	return bus_register_io(b, PORT_DATA, 1, &data, k) &&
	       bus_register_io(b, PORT_COMMAND, 1, &command, k);
}
