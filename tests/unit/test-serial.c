/*
 * Unit tests of the serial port: its registers and interrupts by port accesses, the probes of
 * Linux's 8250 driver among them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "../../phase1-user/hal/serial.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };

struct port {
	struct bus bus;
	struct serial serial;
	char text[1024];
	size_t text_used;
	unsigned flushes, irq_changes;
	bool irq;
};

static void on_out(void *opaque, const u8 *data, size_t n)
{
	struct port *p = opaque;

	assert_true(n > 0 && p->text_used + n <= sizeof(p->text));
	memcpy(p->text + p->text_used, data, n);
	p->text_used += n;
	p->flushes++;
}

static void on_irq(void *opaque, bool level)
{
	struct port *p = opaque;

	assert_int_not_equal(level, p->irq); /* only changes are told */
	p->irq = level;
	p->irq_changes++;
}

static void init(struct port *p)
{
	const struct serial_config cfg = {on_out, on_irq, p};

	memset(p, 0, sizeof(*p));
	memset(&p->serial, 0xa5, sizeof(p->serial));
	bus_init(&p->bus);
	serial_init(&p->serial, &cfg);
	assert_true(serial_register(&p->serial, &p->bus, SERIAL_COM1));
}

static u8 in(struct port *p, u16 reg)
{
	u64 value;

	assert_true(bus_io(&p->bus, SERIAL_COM1 + reg, 1, false, &value));
	return value;
}

static void out(struct port *p, u16 reg, u8 v)
{
	u64 value = v;

	assert_true(bus_io(&p->bus, SERIAL_COM1 + reg, 1, true, &value));
}

static size_t type(struct port *p, const char *text)
{
	return serial_input(&p->serial, (const u8 *)text, strlen(text));
}

/* As an interrupt-driven driver leaves it: FIFO with the given trigger, DTR, RTS, OUT2. */
static void open_port(struct port *p, u8 fcr, u8 ier)
{
	init(p);
	out(p, FCR, fcr);
	out(p, MCR, 0x0b);
	out(p, IER, ier);
}

static void test_registers(void **state)
{
	struct port p;

	(void)state;
	init(&p);
	out(&p, SCR, 0xa5);
	assert_int_equal(in(&p, SCR), 0xa5);
	out(&p, IER, 0xff);
	assert_int_equal(in(&p, IER), 0x0f);
	out(&p, IER, 0);
	out(&p, LCR, 0x83);
	out(&p, DATA, 0x01);
	out(&p, IER, 0x02);
	assert_int_equal(in(&p, DATA), 0x01);
	assert_int_equal(in(&p, IER), 0x02);
	out(&p, LCR, 0x03);
	assert_int_equal(in(&p, LCR), 0x03);
	assert_int_equal(in(&p, IER), 0); /* the divisor is not it */
	assert_int_equal(p.text_used, 0);
	out(&p, MCR, 0xff);
	assert_int_equal(in(&p, MCR), 0x1f);
	out(&p, MCR, 0);
	assert_int_equal(in(&p, LSR), 0x60);
	out(&p, LSR, 0xff);
	assert_int_equal(in(&p, LSR), 0x60);
	assert_int_equal(in(&p, IIR), 0x01);
	assert_int_equal(in(&p, MSR) & 0xf0, 0xb0); /* somebody is there */
}

static void test_output_is_buffered(void **state)
{
	struct port p;

	(void)state;
	init(&p);
	for (const char *c = "login: "; *c; c++)
		out(&p, DATA, *c);
	assert_int_equal(p.flushes, 0);
	serial_flush(&p.serial);
	serial_flush(&p.serial);
	assert_int_equal(p.flushes, 1);
	for (const char *c = "root\r\n"; *c; c++)
		out(&p, DATA, *c);
	assert_int_equal(p.flushes, 2);
	assert_int_equal(p.text_used, 13);
	assert_memory_equal(p.text, "login: root\r\n", 13);
	for (unsigned i = 0; i < 600; i++)
		out(&p, DATA, 'a' + i % 26);
	assert_int_equal(p.flushes, 4);
	serial_flush(&p.serial);
	assert_int_equal(p.text_used, 613);
	for (unsigned i = 0; i < 600; i++)
		assert_int_equal(p.text[13 + i], 'a' + i % 26);
}

static void test_transmit_interrupt(void **state)
{
	struct port p;

	(void)state;
	open_port(&p, 0x01, 0);
	assert_false(p.irq);
	out(&p, IER, 0x02); /* empty already: at once */
	assert_true(p.irq);
	assert_int_equal(in(&p, LSR), 0x60); /* reading LSR clears nothing of it */
	assert_true(p.irq);
	assert_int_equal(in(&p, IIR), 0xc2); /* reading IIR does */
	assert_false(p.irq);
	assert_int_equal(in(&p, IIR), 0xc1);
	out(&p, IER, 0x02); /* enabled before: nothing new */
	assert_false(p.irq);
	out(&p, DATA, 'x');
	assert_true(p.irq);
	out(&p, IER, 0x00);
	assert_false(p.irq);
	out(&p, IER, 0x02); /* enabled anew: drivers count on it */
	assert_int_equal(in(&p, IIR), 0xc2);
}

static void test_receive_interrupt(void **state)
{
	struct port p;

	(void)state;
	open_port(&p, 0x81, 0x01); /* trigger at 8 */
	assert_int_equal(type(&p, "1234567"), 7);
	assert_true(p.irq);
	assert_int_equal(in(&p, IIR), 0xcc); /* below the trigger: by timeout */
	assert_int_equal(type(&p, "89"), 2);
	assert_int_equal(in(&p, IIR), 0xc4);
	for (const char *c = "123456789"; *c; c++) {
		assert_true(p.irq);
		assert_int_equal(in(&p, LSR), 0x61);
		assert_int_equal(in(&p, DATA), *c);
	}
	assert_false(p.irq);
	assert_int_equal(in(&p, LSR), 0x60);
	assert_int_equal(in(&p, IIR), 0xc1);
	assert_int_equal(p.irq_changes, 2);
}

static void test_fifo_size_and_wrap(void **state)
{
	struct port p;

	(void)state;
	open_port(&p, 0xc1, 0x01);
	for (unsigned round = 0; round < 5; round++) {
		assert_int_equal(serial_room(&p.serial), 16);
		assert_int_equal(type(&p, "abcdefghijklmnopqrstuvwxyz"), 16);
		assert_int_equal(serial_room(&p.serial), 0);
		assert_int_equal(type(&p, "q"), 0);
		for (unsigned i = 0; i < 11; i++)
			assert_int_equal(in(&p, DATA), 'a' + i);
		assert_int_equal(type(&p, "ABCDEFGHIJKLMN"), 11);
		for (unsigned i = 11; i < 16; i++)
			assert_int_equal(in(&p, DATA), 'a' + i);
		for (unsigned i = 0; i < 11; i++)
			assert_int_equal(in(&p, DATA), 'A' + i);
		assert_int_equal(in(&p, LSR), 0x60); /* nothing was lost */
	}
	type(&p, "gone");
	out(&p, FCR, 0x81); /* a new trigger loses nothing */
	assert_int_equal(in(&p, LSR), 0x61);
	out(&p, FCR, 0xc3);
	assert_int_equal(in(&p, LSR), 0x60);
	type(&p, "gone");
	out(&p, FCR, 0x00); /* changing the mode clears, too */
	assert_int_equal(in(&p, LSR), 0x60);
	assert_int_equal(type(&p, "xy"), 1); /* a 16450 */
	assert_int_equal(in(&p, IIR), 0x04);
	assert_int_equal(in(&p, DATA), 'x');
	assert_int_equal(in(&p, IIR), 0x01);
}

static void test_priorities(void **state)
{
	struct port p;

	(void)state;
	open_port(&p, 0x01, 0x0f);
	/* An overrun, by looping 17 bytes back; it leaves also data, THRE and changed lines. */
	out(&p, MCR, 0x1b);
	for (unsigned i = 0; i < 17; i++)
		out(&p, DATA, i);
	assert_false(p.irq); /* the line is disconnected in loopback */
	out(&p, MCR, 0x0b);
	assert_true(p.irq);
	assert_int_equal(in(&p, IIR), 0xc6);
	assert_int_equal(in(&p, IIR), 0xc6);
	assert_int_equal(in(&p, LSR), 0x63);
	assert_int_equal(in(&p, LSR), 0x61);
	assert_int_equal(in(&p, IIR), 0xc4); /* does not clear THRE, which it does not name */
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(in(&p, DATA), i); /* the FIFO's bytes survive an overrun */
	assert_int_equal(in(&p, IIR), 0xc2);
	out(&p, MCR, 0x1a); /* DSR falls */
	out(&p, MCR, 0x0b);
	assert_int_equal(in(&p, IIR), 0xc0);
	assert_true(p.irq);
	assert_int_equal(in(&p, MSR), 0xb2);
	assert_false(p.irq);
	assert_int_equal(in(&p, IIR), 0xc1);
	assert_int_equal(in(&p, MSR), 0xb0);
}

static void test_out2_gates_the_line(void **state)
{
	struct port p;

	(void)state;
	open_port(&p, 0x01, 0x02);
	assert_true(p.irq);
	out(&p, MCR, 0x03);
	assert_false(p.irq);
	out(&p, MCR, 0x0b);
	assert_true(p.irq);
}

static void test_loopback(void **state)
{
	static const struct {
		u8 mcr, msr;
	} lines[] = {{0x10, 0x00}, {0x11, 0x20}, {0x12, 0x10}, {0x14, 0x40}, {0x18, 0x80}};
	struct port p;

	(void)state;
	init(&p);
	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
		out(&p, MCR, lines[i].mcr);
		assert_int_equal(in(&p, MSR) & 0xf0, lines[i].msr);
	}
	/* A ring's beginning is no event, its end is. */
	out(&p, MCR, 0x10);
	in(&p, MSR);
	out(&p, MCR, 0x14);
	assert_int_equal(in(&p, MSR), 0x40);
	out(&p, MCR, 0x10);
	assert_int_equal(in(&p, MSR), 0x04);
	/* What is sent comes back, and does not reach the terminal. */
	out(&p, DATA, 0x5a);
	assert_int_equal(in(&p, LSR), 0x61);
	assert_int_equal(in(&p, DATA), 0x5a);
	out(&p, DATA, 1);
	out(&p, DATA, 2); /* a 16450 overwrites */
	assert_int_equal(in(&p, LSR), 0x63);
	assert_int_equal(in(&p, DATA), 2);
	serial_flush(&p.serial);
	assert_int_equal(p.flushes, 0);
	out(&p, IER, 1);
	assert_int_equal(type(&p, "x"), 0);
}

/* drivers/tty/serial/8250: autoconfig() must find a 16550A and nothing better. */
static void test_linux_autoconfig(void **state)
{
	struct port p;
	u8 first, second;

	(void)state;
	init(&p);
	out(&p, IER, 0);
	assert_int_equal(in(&p, IER) & 0x0f, 0);
	out(&p, IER, 0x0f);
	assert_int_equal(in(&p, IER) & 0x0f, 0x0f);
	out(&p, IER, 0);
	out(&p, MCR, 0x1a);
	assert_int_equal(in(&p, MSR) & 0xf0, 0x90);
	out(&p, MCR, 0);
	out(&p, LCR, 0xbf);
	out(&p, FCR, 0);
	out(&p, LCR, 0);
	out(&p, FCR, 0x01);
	assert_int_equal(in(&p, IIR) >> 6, 3);
	out(&p, LCR, 0x80); /* no enhanced feature register of a 16650 or 16850 */
	assert_int_not_equal(in(&p, IIR), 0);
	out(&p, LCR, 0xbf);
	assert_int_not_equal(in(&p, IIR), 0);
	out(&p, LCR, 0); /* no second bank as National's chips have */
	first = in(&p, MCR);
	out(&p, LCR, 0xe0);
	second = in(&p, IIR);
	assert_int_equal((first ^ second) & 0x10, 0);
	out(&p, LCR, 0);
	out(&p, MCR, first ^ 0x10);
	out(&p, LCR, 0xe0);
	second = in(&p, IIR);
	out(&p, LCR, 0);
	out(&p, MCR, first);
	assert_int_equal((first ^ second) & 0x10, 0);
	out(&p, FCR, 0x01); /* no FIFO of 64 bytes */
	first = in(&p, IIR) >> 5;
	out(&p, FCR, 0x21);
	second = in(&p, IIR) >> 5;
	assert_int_equal(first, 6);
	assert_int_equal(second, 6);
	out(&p, IER, 0x40); /* no XScale */
	assert_int_equal(in(&p, IER), 0);
}

/* Its startup() then tests that THRE interrupts work, and opens the port. Typed-ahead input must
 * be offered to the port only when the driver will not throw it away any more. */
static void test_linux_startup(void **state)
{
	struct port p;

	(void)state;
	init(&p);
	out(&p, MCR, 0x01);
	out(&p, FCR, 0x01);
	out(&p, FCR, 0x07);
	out(&p, FCR, 0x00);
	in(&p, LSR), in(&p, DATA), in(&p, IIR), in(&p, MSR);
	assert_int_equal(type(&p, "early"), 0);
	out(&p, IER, 0x02);
	assert_int_equal(in(&p, IIR) & 1, 0);
	out(&p, IER, 0);
	out(&p, IER, 0x02);
	assert_int_equal(in(&p, IIR) & 1, 0);
	out(&p, IER, 0);
	out(&p, LCR, 0x03);
	out(&p, MCR, 0x09);
	out(&p, IER, 0x05);
	assert_int_equal(type(&p, "early"), 0);
	out(&p, LCR, 0x83);
	out(&p, DATA, 1);
	out(&p, IER, 0);
	assert_int_equal(type(&p, "early"), 0);
	out(&p, LCR, 0x03);
	assert_int_equal(type(&p, "early"), 0);
	out(&p, FCR, 0x01);
	out(&p, FCR, 0x81);
	assert_int_equal(type(&p, "early"), 5);
	out(&p, MCR, 0x0b);
	assert_true(p.irq);
	assert_int_equal(in(&p, DATA), 'e');
	/* A change of speed in the open port only makes the terminal wait. */
	out(&p, LCR, 0x83);
	assert_int_equal(type(&p, "later"), 0);
	out(&p, LCR, 0x03);
	assert_int_equal(type(&p, "later"), 5);
}

/* A guest that uses no interrupts gets its input when it waits for it. */
static void test_polling_guest(void **state)
{
	struct port p;
	unsigned polls = 0;

	(void)state;
	init(&p);
	for (const char *c = "prompt>"; *c; c++) {
		assert_int_equal(in(&p, LSR), 0x60); /* polls to write are not to read */
		out(&p, DATA, *c);
		assert_int_equal(type(&p, "ab"), 0);
	}
	while (type(&p, "ab") == 0) {
		assert_int_equal(in(&p, LSR) & 1, 0);
		assert_true(++polls < 100);
	}
	assert_int_equal(in(&p, LSR) & 1, 1);
	assert_int_equal(in(&p, DATA), 'a');
	assert_int_equal(type(&p, "b"), 1);
	assert_int_equal(in(&p, DATA), 'b');
	assert_false(p.irq);
	in(&p, MSR); /* it does something else */
	assert_int_equal(type(&p, "c"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers),
		cmocka_unit_test(test_output_is_buffered),
		cmocka_unit_test(test_transmit_interrupt),
		cmocka_unit_test(test_receive_interrupt),
		cmocka_unit_test(test_fifo_size_and_wrap),
		cmocka_unit_test(test_priorities),
		cmocka_unit_test(test_out2_gates_the_line),
		cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_linux_autoconfig),
		cmocka_unit_test(test_linux_startup),
		cmocka_unit_test(test_polling_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
