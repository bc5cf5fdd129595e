/*
 * Printing to COM1 and the end of a run.
 *
 * Owns: the data port of COM1 and port 0xF4. Polled: a transcript must not need interrupts.
 */
#include "guest.h"

#define COM1	  0x3f8
#define COM1_LCR  (COM1 + 3)
#define COM1_LSR  (COM1 + 5)
#define LCR_8N1	  0x03
#define LSR_THRE  0x20
#define EXIT_PORT 0xf4

static bool failed;

/* After reset a 16550 sends five bits. */
void console_init(void)
{
	outb(COM1_LCR, LCR_8N1);
}

static char held[16384];
static unsigned held_length;
static bool holding;

void console_hold(void)
{
	holding = true;
}

static void put(char c)
{
	if (holding) {
		if (held_length < sizeof(held))
			held[held_length++] = c;
		return;
	}
	while (!(inb(COM1_LSR) & LSR_THRE))
		;
	outb(COM1, c);
}

void console_release(void)
{
	holding = false;
	for (unsigned i = 0; i < held_length; i++)
		put(held[i]);
	held_length = 0;
}

static void put_number(u32 v, u32 base, unsigned width, char pad)
{
	char digits[12];
	unsigned n = 0;

	do {
		digits[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	while (width-- > n && width < 32)
		put(pad);
	while (n)
		put(digits[--n]);
}

void print(const char *format, ...)
{
	__builtin_va_list args;

	__builtin_va_start(args, format);
	for (const char *p = format; *p; p++) {
		unsigned width = 0;
		char pad = ' ';

		if (*p != '%') {
			put(*p);
			continue;
		}
		if (*++p == '0')
			pad = '0';
		while (*p >= '0' && *p <= '9')
			width = width * 10 + (*p++ - '0');
		if (*p == 's') {
			for (const char *s = __builtin_va_arg(args, const char *); *s; s++)
				put(*s);
		} else if (*p == 'c') {
			put(__builtin_va_arg(args, int));
		} else if (*p == 'x' || *p == 'u') {
			put_number(__builtin_va_arg(args, u32), *p == 'x' ? 16 : 10, width, pad);
		} else {
			put(*p);
		}
	}
	__builtin_va_end(args);
}

void check(bool good, const char *what)
{
	if (!good)
		failed = true;
	print("%s %s\n", good ? "ok" : "FAILED", what);
}

void guest_exit(u32 value)
{
	if (failed && !value)
		value = 1;
	console_release();
	print("exit %u\n", value);
	outl(EXIT_PORT, value);
	irq_off();
	for (;;)
		asm volatile("hlt");
}
