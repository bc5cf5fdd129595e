// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * bootnote: keep what the kernel was started with, from the first moment on. Part of
 * docs/debugging.md: there is a bug in it.
 */
#include <linux/bootnote.h>
#include <linux/init.h>
#include <linux/printk.h>
#include <linux/string.h>
#include <asm/setup.h>

struct bootnote {
	char text[64];
	void (*taken)(struct bootnote *note);
	size_t length;
};

static void bootnote_measure(struct bootnote *note)
{
	note->length = strlen(note->text);
}

struct bootnote bootnote = {.taken = bootnote_measure};

void __init bootnote_take(void)
{
	if (!strstr(boot_command_line, "tutorial.bug=early"))
		return;
	strcpy(bootnote.text, boot_command_line);
	bootnote.taken(&bootnote);
}

static int __init bootnote_show(void)
{
	if (bootnote.length)
		pr_info("bootnote: %s\n", bootnote.text);
	return 0;
}
late_initcall(bootnote_show);
