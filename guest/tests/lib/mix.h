/*
 * User code that mixes every register, and what must come of it.
 *
 * Owns: MIX, instructions to put in front of whatever leaves user code, and their model.
 */
#ifndef GUEST_MIX_H
#define GUEST_MIX_H

#include "guest.h"

#define MIX                                                                                 \
	"leal 0x1e3779b9(%eax,%ebx), %eax; roll $7, %eax; xorl %ecx, %ebx; roll $5, %ecx; " \
	"addl %esi, %edx; subl %edi, %esi; notl %edi; leal 3(%ebp,%eax), %ebp; "            \
	"pushl %edx; addl (%esp), %ecx; popl %edx"

static inline void mix_model(struct user_state *s)
{
	s->eax += s->ebx + 0x1e3779b9;
	s->eax = s->eax << 7 | s->eax >> 25;
	s->ebx ^= s->ecx;
	s->ecx = s->ecx << 5 | s->ecx >> 27;
	s->edx += s->esi;
	s->esi -= s->edi;
	s->edi = ~s->edi;
	s->ebp += 3 + s->eax;
	s->ecx += s->edx;
}

#endif
