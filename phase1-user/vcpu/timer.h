/*
 * The timer of a process that runs the core: host_arm_timer() sets it, SIGALRM tells.
 */
#ifndef PLEX86_VCPU_TIMER_H
#define PLEX86_VCPU_TIMER_H

struct vm;

/* Make it; 0 or a negative error number. */
long timer_setup(void);
/* It is to be as the core last wanted it, here as well. */
void timer_resync(struct vm *vm);

#endif
