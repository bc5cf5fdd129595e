// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * clerks: two threads that move money between two accounts. Part of docs/debugging.md: there is a
 * bug in it.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/mutex.h>
#include <linux/string.h>
#include <asm/setup.h>

struct account {
	struct mutex lock;
	int money;
};

struct clerk {
	struct account *from, *to;
	struct completion done;
};

static struct account account[2] = {
	{.lock = __MUTEX_INITIALIZER(account[0].lock), .money = 100},
	{.lock = __MUTEX_INITIALIZER(account[1].lock), .money = 100},
};
static struct clerk clerk[2] = {
	{.from = &account[0], .to = &account[1]},
	{.from = &account[1], .to = &account[0]},
};

static noinline void clerk_move(struct clerk *c, int sum)
{
	mutex_lock(&c->from->lock);
	msleep(20); /* the customer's signature is compared */
	mutex_lock(&c->to->lock);
	c->from->money -= sum;
	c->to->money += sum;
	mutex_unlock(&c->to->lock);
	mutex_unlock(&c->from->lock);
}

static int clerk_work(void *data)
{
	struct clerk *c = data;

	clerk_move(c, 5);
	complete(&c->done);
	return 0;
}

static int __init clerks_begin(void)
{
	int i;

	if (!strstr(boot_command_line, "tutorial.bug=deadlock"))
		return 0;
	for (i = 0; i < ARRAY_SIZE(clerk); i++) {
		init_completion(&clerk[i].done);
		if (IS_ERR(kthread_run(clerk_work, &clerk[i], "clerk/%d", i)))
			return -ENOMEM;
	}
	for (i = 0; i < ARRAY_SIZE(clerk); i++)
		wait_for_completion(&clerk[i].done);
	pr_info("clerks: %d and %d\n", account[0].money, account[1].money);
	return 0;
}
late_initcall(clerks_begin);
