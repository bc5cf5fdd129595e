// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * kettle: waits until a timer has gone off. Part of docs/debugging.md: there is a bug in it.
 */
#include <linux/init.h>
#include <linux/irqflags.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/string.h>
#include <linux/timer.h>
#include <asm/processor.h>
#include <asm/setup.h>

static bool kettle_boils;

static void kettle_whistle(struct timer_list *timer)
{
	WRITE_ONCE(kettle_boils, true);
}
static DEFINE_TIMER(kettle_timer, kettle_whistle);

/* Nobody shall drink before it boils. */
static noinline void kettle_wait(void)
{
	unsigned long flags;

	local_irq_save(flags);
	mod_timer(&kettle_timer, jiffies + 3);
	while (!READ_ONCE(kettle_boils))
		cpu_relax();
	local_irq_restore(flags);
}

static int __init kettle_begin(void)
{
	if (!strstr(boot_command_line, "tutorial.bug=spin"))
		return 0;
	kettle_wait();
	pr_info("kettle: it boils\n");
	return 0;
}
late_initcall(kettle_begin);
