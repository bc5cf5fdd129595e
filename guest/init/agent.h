/*
 * Hearing the host ask for a power-off: the first process's part of `plex86 stop`.
 *
 * Owns: the virtio port the request comes over. No thread and no process: the kernel sends SIGIO
 * when there is something to read.
 */
#ifndef PLEX86_INIT_AGENT_H
#define PLEX86_INIT_AGENT_H

/* Tries to open the port. Returns 0 once that is done; the kernel may need a moment for it. */
int agent_open(void);

/* After a SIGIO: returns 1 if the host wants the machine powered off. */
int agent_asked(void);

#endif
