/*
 * A second model of the pair of 8259s, written another way than common/pic.c: lists of inputs in
 * priority order, scanned.
 *
 * Owns: what pic-random's and the fuzzer's traffic is compared with. For clarity, not for speed.
 */
#ifndef PLEX86_PIC_MODEL_H
#define PLEX86_PIC_MODEL_H

#include "../../common/pic.h"

/* Inputs as structs in a list that is in priority order, highest first. */
struct pic_model_input {
	unsigned number;
	bool request, service, masked, level, line;
};

struct pic_model_chip {
	struct pic_model_input order[8];
	u8 base;
	bool smm, sfnm, aeoi, rotate_aeoi, poll, show_isr, single, need4;
	int step;
};

struct pic_model {
	struct pic_model_chip chip[2];
};

void pic_model_reset(struct pic_model *m);
/* What common/pic.h says of the functions of these names. */
void pic_model_line(struct pic_model *m, unsigned irq, bool level);
u8 pic_model_ack(struct pic_model *m);
u8 pic_model_read(struct pic_model *m, u16 port);
void pic_model_write(struct pic_model *m, u16 port, u8 value);

/* Fail (cmocka's way) if the two differ in what can be seen without side effects. */
void pic_model_compare(const struct pic_pair *p, struct pic_model *m);
/* An INTA to both: the same vector, and what must hold of it whatever the state was. */
void pic_model_compare_ack(struct pic_pair *p, struct pic_model *m);

#endif
