// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * abacus: a module with a function to set a break point in; see docs/debugging.md.
 */
#include <linux/module.h>

static int beads[2] = {3, 4};

static noinline int abacus_add(int a, int b)
{
	return a + b;
}

static int __init abacus_begin(void)
{
	pr_info("abacus: %d\n", abacus_add(beads[0], beads[1]));
	return 0;
}
module_init(abacus_begin);

static void __exit abacus_end(void)
{
}
module_exit(abacus_end);
MODULE_LICENSE("GPL");
