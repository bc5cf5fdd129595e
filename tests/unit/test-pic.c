/*
 * Unit tests of common/pic.c: each feature of the 8259A, by its ports. Random traffic is in
 * test-pic-random.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../common/pic.h"

#define MASTER 0x20
#define SLAVE  0xa0

/* As Linux does it: vectors 0x30 and 0x38, everything unmasked. */
static void init_chips(struct pic_pair *p, u8 master_icw4, u8 slave_icw4)
{
	pic_reset(p);
	pic_write(p, MASTER, 0x11);
	pic_write(p, MASTER + 1, 0x30);
	pic_write(p, MASTER + 1, 0x04);
	pic_write(p, MASTER + 1, master_icw4);
	pic_write(p, SLAVE, 0x11);
	pic_write(p, SLAVE + 1, 0x38);
	pic_write(p, SLAVE + 1, 0x02);
	pic_write(p, SLAVE + 1, slave_icw4);
}

static void pulse(struct pic_pair *p, unsigned irq)
{
	pic_set_line(p, irq, true);
	pic_set_line(p, irq, false);
}

static u8 isr(struct pic_pair *p, u16 base)
{
	pic_write(p, base, 0x0b);
	return pic_read(p, base);
}

static u8 irr(struct pic_pair *p, u16 base)
{
	pic_write(p, base, 0x0a);
	return pic_read(p, base);
}

static void test_silent_after_reset(void **state)
{
	struct pic_pair p;

	(void)state;
	pic_reset(&p);
	for (unsigned irq = 0; irq < 16; irq++)
		pulse(&p, irq);
	assert_false(pic_pending(&p));
	assert_int_equal(pic_read(&p, MASTER + 1), 0xff);
}

static void test_edge_is_kept_and_delivered_once(void **state)
{
	struct pic_pair p;

	(void)state;
	init_chips(&p, 1, 1);
	pulse(&p, 0);
	pulse(&p, 0); /* a second tick before the first is taken */
	assert_true(pic_pending(&p));
	assert_int_equal(irr(&p, MASTER), 1);
	assert_int_equal(pic_ack(&p), 0x30);
	assert_int_equal(irr(&p, MASTER), 0);
	assert_int_equal(isr(&p, MASTER), 1);
	pulse(&p, 0); /* a tick in the handler waits for the EOI */
	assert_false(pic_pending(&p));
	pic_write(&p, MASTER, 0x20);
	assert_true(pic_pending(&p));
	assert_int_equal(pic_ack(&p), 0x30);
	pic_write(&p, MASTER, 0x60);
	assert_false(pic_pending(&p));
	/* A line that stays high is no new edge. */
	pic_set_line(&p, 4, true);
	assert_int_equal(pic_ack(&p), 0x34);
	pic_write(&p, MASTER, 0x20);
	pic_set_line(&p, 4, true);
	assert_false(pic_pending(&p));
}

static void test_fully_nested(void **state)
{
	struct pic_pair p;

	(void)state;
	init_chips(&p, 1, 1);
	pulse(&p, 5);
	assert_int_equal(pic_ack(&p), 0x35);
	pulse(&p, 6);
	assert_false(pic_pending(&p));
	pulse(&p, 1);
	assert_int_equal(pic_ack(&p), 0x31);
	assert_int_equal(isr(&p, MASTER), 0x22);
	pic_write(&p, MASTER, 0x20); /* ends the highest: 1 */
	assert_int_equal(isr(&p, MASTER), 0x20);
	assert_false(pic_pending(&p));
	pic_write(&p, MASTER, 0x65); /* specific EOI of 5 */
	assert_int_equal(pic_ack(&p), 0x36);
}

static void test_mask(void **state)
{
	struct pic_pair p;

	(void)state;
	init_chips(&p, 1, 1);
	pic_write(&p, MASTER + 1, 0xfb);
	assert_int_equal(pic_read(&p, MASTER + 1), 0xfb);
	pulse(&p, 3);
	assert_false(pic_pending(&p));
	assert_int_equal(irr(&p, MASTER), 8); /* remembered all the same */
	pic_write(&p, MASTER + 1, 0);
	assert_int_equal(pic_ack(&p), 0x33);
}

static void test_cascade(void **state)
{
	struct pic_pair p;

	(void)state;
	init_chips(&p, 1, 1);
	pulse(&p, 12);
	assert_int_equal(irr(&p, MASTER), 4);
	assert_int_equal(pic_ack(&p), 0x3c);
	assert_int_equal(isr(&p, MASTER), 4);
	assert_int_equal(isr(&p, SLAVE), 0x10);
	pulse(&p, 8); /* higher at the slave, but the master serves input 2 */
	assert_int_equal(irr(&p, MASTER), 4);
	assert_false(pic_pending(&p));
	pulse(&p, 3);
	assert_false(pic_pending(&p));
	pulse(&p, 1);
	assert_int_equal(pic_ack(&p), 0x31);
	pic_write(&p, MASTER, 0x61);
	pic_write(&p, SLAVE, 0x64);
	assert_false(pic_pending(&p));
	pic_write(&p, MASTER, 0x62);
	assert_int_equal(pic_ack(&p), 0x38);
	/* Masking input 2 masks the slave whole. */
	pic_write(&p, SLAVE, 0x20);
	pic_write(&p, MASTER, 0x20);
	assert_int_equal(pic_ack(&p), 0x33);
	pic_write(&p, MASTER, 0x20);
	pic_write(&p, MASTER + 1, 4);
	pulse(&p, 15);
	assert_false(pic_pending(&p));
	/* Nobody but the slave drives input 2. */
	pic_write(&p, MASTER + 1, 0);
	assert_int_equal(pic_ack(&p), 0x3f);
	pic_write(&p, SLAVE, 0x20);
	pic_write(&p, MASTER, 0x20);
	pic_set_line(&p, 2, true);
	assert_int_equal(p.chip[0].line, 0);
	pic_set_line(&p, 16, true); /* nor is there a line 16 */
	assert_false(pic_pending(&p));
}

static void test_special_fully_nested(void **state)
{
	struct pic_pair p;

	(void)state;
	init_chips(&p, 0x11, 1);
	pulse(&p, 12);
	assert_int_equal(pic_ack(&p), 0x3c);
	pulse(&p, 13); /* lower at the slave: not even with SFNM */
	assert_false(pic_pending(&p));
	pulse(&p, 3); /* lower at the master: not either */
	assert_false(pic_pending(&p));
	pulse(&p, 9);
	assert_true(pic_pending(&p));
	assert_int_equal(pic_ack(&p), 0x39);
	assert_int_equal(isr(&p, SLAVE), 0x12);
	/* SFNM on the slave means nothing: its input 2 is an ordinary one. */
	init_chips(&p, 1, 0x11);
	pulse(&p, 10);
	assert_int_equal(pic_ack(&p), 0x3a);
	pic_write(&p, MASTER, 0x20);
	pulse(&p, 10);
	assert_false(pic_pending(&p));
}

static void test_level_triggered(void **state)
{
	struct pic_pair p;

	(void)state;
	init_chips(&p, 1, 1);
	pic_write(&p, 0x4d0, 0xff);
	pic_write(&p, 0x4d1, 0xff);
	assert_int_equal(pic_read(&p, 0x4d0), 0xf8); /* timer, keyboard, cascade are fixed */
	assert_int_equal(pic_read(&p, 0x4d1), 0xde);
	pic_set_line(&p, 5, true);
	assert_int_equal(pic_ack(&p), 0x35);
	assert_false(pic_pending(&p));
	pic_write(&p, MASTER, 0x20);
	assert_true(pic_pending(&p)); /* still asserted */
	assert_int_equal(pic_ack(&p), 0x35);
	pic_set_line(&p, 5, false);
	pic_write(&p, MASTER, 0x20);
	assert_false(pic_pending(&p));
	/* Becoming level-triggered, a line that is high requests; edges before are forgotten. */
	pic_write(&p, 0x4d0, 0);
	pic_set_line(&p, 6, true);
	assert_int_equal(pic_ack(&p), 0x36);
	pic_write(&p, MASTER, 0x20);
	pulse(&p, 7);
	pic_write(&p, 0x4d0, 0xc0);
	assert_int_equal(irr(&p, MASTER), 0x40);
}

static void test_spurious(void **state)
{
	struct pic_pair p;

	(void)state;
	init_chips(&p, 1, 1);
	pic_write(&p, 0x4d0, 0x20);
	pic_set_line(&p, 5, true);
	assert_true(pic_pending(&p));
	pic_set_line(&p, 5, false); /* gone before INTA */
	assert_false(pic_pending(&p));
	assert_int_equal(pic_ack(&p), 0x37);
	assert_int_equal(isr(&p, MASTER), 0);
	/* Through the slave: the request goes between the two INTA cycles, which only a state
	 * made by hand can show, since pic_ack() is both of them. */
	p.chip[0].irr = 4;
	assert_int_equal(pic_ack(&p), 0x3f);
	assert_int_equal(isr(&p, MASTER), 4); /* the guest owes the master an EOI */
	assert_int_equal(isr(&p, SLAVE), 0);
	pic_write(&p, MASTER, 0x20);
	/* A slave request that is masked again leaves nothing at the master. */
	pulse(&p, 9);
	assert_true(pic_pending(&p));
	pic_write(&p, SLAVE + 1, 0xff);
	assert_false(pic_pending(&p));
}

static void test_auto_eoi(void **state)
{
	struct pic_pair p;

	(void)state;
	init_chips(&p, 3, 3);
	pulse(&p, 4);
	assert_int_equal(pic_ack(&p), 0x34);
	assert_int_equal(isr(&p, MASTER), 0);
	pulse(&p, 12);
	assert_int_equal(pic_ack(&p), 0x3c);
	assert_int_equal(isr(&p, SLAVE), 0);
	pic_write(&p, MASTER, 0x80); /* rotate in automatic EOI mode */
	pulse(&p, 4);
	assert_int_equal(pic_ack(&p), 0x34);
	pulse(&p, 3);
	pulse(&p, 5); /* now the highest */
	assert_int_equal(pic_ack(&p), 0x35);
	assert_int_equal(pic_ack(&p), 0x33);
	pic_write(&p, MASTER, 0x00); /* no rotation any more: 4 stays the highest */
	pulse(&p, 6);
	pulse(&p, 4);
	assert_int_equal(pic_ack(&p), 0x34);
	pulse(&p, 4);
	assert_int_equal(pic_ack(&p), 0x34);
	assert_int_equal(pic_ack(&p), 0x36);
}

static void test_rotation(void **state)
{
	struct pic_pair p;

	(void)state;
	init_chips(&p, 1, 1);
	pic_write(&p, MASTER, 0xc3); /* set priority: 3 is the lowest */
	pulse(&p, 1);
	pulse(&p, 4);
	assert_int_equal(pic_ack(&p), 0x34);
	assert_false(pic_pending(&p));
	pic_write(&p, MASTER, 0xa0); /* rotate on non-specific EOI: 4 is the lowest */
	assert_int_equal(isr(&p, MASTER), 0);
	pulse(&p, 4);
	assert_int_equal(pic_ack(&p), 0x31);
	pic_write(&p, MASTER, 0xe1); /* rotate on specific EOI of 1 */
	pulse(&p, 2 + 8);
	assert_int_equal(pic_ack(&p), 0x3a); /* input 2 comes first now */
	pic_write(&p, MASTER, 0xa0);
	pic_write(&p, MASTER, 0xa0); /* 2 lowest; the second has nothing to end */
	pulse(&p, 3);
	assert_int_equal(pic_ack(&p), 0x33);
}

static void test_special_mask(void **state)
{
	struct pic_pair p;

	(void)state;
	init_chips(&p, 1, 1);
	pulse(&p, 4);
	assert_int_equal(pic_ack(&p), 0x34);
	pulse(&p, 6);
	assert_false(pic_pending(&p));
	pic_write(&p, MASTER + 1, 0x10);
	assert_false(pic_pending(&p));
	pic_write(&p, MASTER, 0x68); /* special mask: 4, masked, holds nobody back */
	assert_true(pic_pending(&p));
	assert_int_equal(pic_ack(&p), 0x36);
	pic_write(&p, MASTER, 0x20); /* a non-specific EOI passes the masked 4 over */
	assert_int_equal(isr(&p, MASTER), 0x10);
	pic_write(&p, MASTER, 0x08); /* without ESMM, SMM does not change */
	pulse(&p, 7);
	assert_true(pic_pending(&p));
	pic_write(&p, MASTER, 0x48); /* back to normal */
	assert_false(pic_pending(&p));
	pic_write(&p, MASTER, 0x20);
	assert_int_equal(isr(&p, MASTER), 0);
}

static void test_poll(void **state)
{
	struct pic_pair p;

	(void)state;
	init_chips(&p, 1, 1);
	pic_write(&p, MASTER, 0x0c);
	assert_int_equal(pic_read(&p, MASTER), 0);
	pulse(&p, 11);
	pic_write(&p, MASTER, 0x0c);
	assert_int_equal(pic_read(&p, MASTER + 1), 0x82); /* at either port */
	assert_int_equal(isr(&p, MASTER), 4);
	pic_write(&p, SLAVE, 0x0c);
	assert_int_equal(pic_read(&p, SLAVE), 0x83);
	assert_int_equal(isr(&p, SLAVE), 8);
	assert_int_equal(pic_read(&p, MASTER + 1), 0); /* the mask again */
	pic_write(&p, SLAVE, 0x20);
	pic_write(&p, MASTER, 0x20);
	assert_false(pic_pending(&p)); /* polling took the request from the master too */
}

static void test_init_sequence(void **state)
{
	struct pic_pair p;

	(void)state;
	init_chips(&p, 3, 1);
	pic_write(&p, MASTER, 0xc2);
	pic_write(&p, MASTER, 0x68);
	pic_write(&p, MASTER + 1, 0xff);
	pulse(&p, 3);
	pic_write(&p, MASTER, 0x10); /* ICW1 without ICW4 */
	assert_int_equal(pic_read(&p, MASTER + 1), 0);
	assert_int_equal(irr(&p, MASTER), 0); /* the edge is forgotten */
	pic_write(&p, MASTER + 1, 0x47); /* the low bits of ICW2 do not count */
	pic_write(&p, MASTER + 1, 0x04);
	pic_write(&p, MASTER + 1, 0x01); /* OCW1 already */
	assert_int_equal(pic_read(&p, MASTER + 1), 1);
	pulse(&p, 7);
	pulse(&p, 3);
	assert_int_equal(pic_ack(&p), 0x43); /* priorities are from 0 again */
	assert_int_equal(isr(&p, MASTER), 8); /* auto EOI was ICW4's, so it is off */
	/* Single mode: no ICW3, and input 2 is not asked for a slave's vector. */
	pic_write(&p, MASTER, 0x13);
	pic_write(&p, MASTER + 1, 0x50);
	pic_write(&p, MASTER + 1, 0x01);
	pic_write(&p, MASTER + 1, 0xf0);
	assert_int_equal(pic_read(&p, MASTER + 1), 0xf0);
	pulse(&p, 8);
	assert_int_equal(pic_ack(&p), 0x52);
	assert_int_equal(isr(&p, SLAVE), 0);
	/* A level line that is high requests again after ICW1. */
	pic_write(&p, 0x4d0, 0x80);
	pic_set_line(&p, 7, true);
	pic_write(&p, MASTER, 0x11);
	assert_int_equal(irr(&p, MASTER), 0x84);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_silent_after_reset),
		cmocka_unit_test(test_edge_is_kept_and_delivered_once),
		cmocka_unit_test(test_fully_nested),
		cmocka_unit_test(test_mask),
		cmocka_unit_test(test_cascade),
		cmocka_unit_test(test_special_fully_nested),
		cmocka_unit_test(test_level_triggered),
		cmocka_unit_test(test_spurious),
		cmocka_unit_test(test_auto_eoi),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_special_mask),
		cmocka_unit_test(test_poll),
		cmocka_unit_test(test_init_sequence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
