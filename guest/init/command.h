/*
 * The command the host asks a guest to run: what the init of the initramfs and the service of disk
 * images (service.c) have in common.
 *
 * Owns: reading the kernel command line, the console's modes, starting the command, and giving its
 * status to the host. Freestanding i386. Messages go to standard error.
 */
#ifndef PLEX86_INIT_COMMAND_H
#define PLEX86_INIT_COMMAND_H

#include "cmdline.h"

/* What is reported in place of a status the command could not have. */
enum { STATUS_BAD_COMMAND = 125, STATUS_CANNOT_RUN = 126, STATUS_NOT_FOUND = 127 };

void say(const char *text);

/* "plex86-init: WHAT 'ON': error N", err being a negative errno */
void complain(const char *what, const char *on, int err);

/* Whether text begins with the other. */
int begins(const char *text, const char *with);

/* Parses /proc/cmdline. Returns as cmdline_parse() does. */
int command_read(struct cmdline *cl);

/* Makes /dev/console the standard streams, if it can be opened. */
void console_open(void);

/* What plex86.pipe and plex86.captured ask for; see cmdline.h. */
void console_set(const struct cmdline *cl);

/* In a child: becomes path, which is looked up in env's PATH if it has no slash, as the leader of
 * a session with the console as its terminal. */
_Noreturn void command_exec(const char *path, char **argv, char **env);

/* What wait() gave, as a shell would give it. */
int command_status(int waited);

/* Waits until all output has left the console. */
void flush(void);

/* Writes the status to I/O port 0xF4, where the host ends the machine. Returns if it did not. */
void report(int status);

/* The program, given the stack as the kernel made it: argc, argv, NULL, envp, NULL. */
_Noreturn void start(long *stack);

#endif
