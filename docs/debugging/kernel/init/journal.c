// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * journal: lines in a few pages of memory, behind a page that says where they are and that nobody
 * shall change. Part of docs/debugging.md: there is a bug in it.
 */
#include <linux/gfp.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/set_memory.h>
#include <linux/string.h>
#include <asm/setup.h>

#define JOURNAL_ORDER 3
#define JOURNAL_SIZE  (PAGE_SIZE << JOURNAL_ORDER)

struct journal_head {
	u32 first; /* where the lines begin */
	u32 size;  /* and how many bytes there are for them */
};

static char *journal;
static size_t journal_used;

static noinline int __init journal_open(void)
{
	struct journal_head *head;

	journal = (char *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, JOURNAL_ORDER);
	if (!journal)
		return -ENOMEM;
	head = (struct journal_head *)journal;
	head->first = PAGE_SIZE;
	head->size = JOURNAL_SIZE - PAGE_SIZE;
	return set_memory_ro((unsigned long)head, sizeof(*head));
}

static noinline void journal_write(const char *line)
{
	const struct journal_head *head = (const struct journal_head *)journal;
	size_t length = strlen(line);

	if (journal_used + length > head->size)
		return;
	memcpy(journal + head->first + journal_used, line, length);
	journal_used += length;
}

static int __init journal_begin(void)
{
	int error;

	if (!strstr(boot_command_line, "tutorial.bug=paging"))
		return 0;
	error = journal_open();
	if (error)
		return error;
	journal_write("the kernel has booted\n");
	pr_info("journal: %zu bytes\n", journal_used);
	return 0;
}
late_initcall(journal_begin);
