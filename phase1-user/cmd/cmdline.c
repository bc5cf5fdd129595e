/*
 * The guest kernel's command line: see cmdline.h.
 */
#include "cmdline.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct text {
	char *data;
	size_t size, len; /* len may exceed size: then it did not fit */
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *format, ...)
{
	const size_t room = t->len < t->size ? t->size - t->len : 0;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(room ? t->data + t->len : NULL, room, format, args);
	va_end(args);
	t->len += n > 0 ? n : 0;
}

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("_./:=+@-", c));
}

static void add_command(struct text *t, char *const *command)
{
	add(t, " plex86.exec=");
	for (char *const *arg = command; *arg; arg++) {
		if (arg != command)
			add(t, ",");
		for (const char *c = *arg; *c; c++)
			add(t, is_plain(*c) ? "%c" : "%%%02X", (unsigned char)*c);
	}
}

/* earlycon makes panics before the console exists visible. It costs little under `quiet`,
 * and the real console takes over from it, so that nothing is printed twice. */
static void add_console(struct text *t, const struct cmdline_config *c)
{
	if (!c->verbose)
		add(t, "quiet ");
	/* That there is neither PCI nor a CPU it knows is an error to it, which it would tell a
	 * quiet console as well. Before that console is there: what came earlier is told then. */
	if (!c->verbose && c->stock)
		add(t, "loglevel=3 ");
	add(t, "earlycon=uart8250,io,0x3f8 console=ttyS0");
	/* The last one that the kernel has a driver for becomes /dev/console. */
	if (c->hvc)
		add(t, " console=hvc0");
}

/* Spare the guest what it could only find out slowly: delays around port accesses, and the TSC's
 * frequency. lpj is per tick of guest/config's HZ; another's kernel gets it from the frequency. */
static void add_times(struct text *t, const struct cmdline_config *c)
{
	add(t, " io_delay=none tsc=reliable tsc_early_khz=%lu", c->tsc_khz);
	if (!c->stock)
		add(t, " lpj=%lu", c->tsc_khz * 10);
}

/* What such a kernel would else do for hardware that is not there. */
static void add_stock(struct text *t)
{
	/* Its own privileged code is emulated, and cannot leak by speculation. Page-table isolation
	 * would load CR3 twice a system call. */
	add(t, " mitigations=off");
	/* Seconds of emulated time: all ciphers tried on known data, and a search of the ISA bus.
	 */
	add(t, " cryptomgr.notests noisapnp");
}

/* What programs in the guest may do with their output. */
static void add_streams(struct text *t, const struct cmdline_config *c)
{
	if (c->pipe || c->captured)
		add(t, " plex86.%s TERM=dumb", c->pipe ? "pipe" : "captured");
	/* systemd tells what takes long, even if it is quiet: the output is the command's alone. */
	if (c->image && c->command && !c->verbose)
		add(t, " systemd.show_status=no");
}

bool cmdline_names_console(const char *append)
{
	static const char word[] = "console=";
	const char *at = append;
	bool other = false;

	/* The last one counts; hvc0 is what a guest gets anyway. */
	for (; (at = strstr(at, word)); at++)
		if (at == append || at[-1] == ' ')
			other = strncmp(at + strlen(word), "hvc", 3) != 0;
	return other;
}

bool cmdline_linux(const struct cmdline_config *c, char *text, size_t size, struct error *e)
{
	struct text t = {text, size, 0};

	add_console(&t, c);
	add_times(&t, c);
	if (c->stock)
		add_stock(&t);
	/* A reset by the keyboard controller: a triple fault is then always a crash. */
	add(&t, " reboot=k panic=-1");
	if (c->image)
		add(&t, " root=/dev/vda rw");
	if (c->devices)
		add(&t, "%s", c->devices);
	add_streams(&t, c);
	if (c->command)
		add_command(&t, c->command);
	if (c->append[0])
		add(&t, " %s", c->append);
	if (t.len >= size)
		return error_set(
			e,
			"command line: %zu bytes, but a guest takes at most %zu (shorten -a "
			"or the command)",
			t.len, size - 1);
	return true;
}
