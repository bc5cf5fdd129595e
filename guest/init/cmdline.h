/*
 * What the host tells the init on the kernel command line.
 *
 * Owns: the words below and the encoding of a command. No system calls.
 *
 *   plex86.exec=ARG,ARG,...  run this command instead of a shell and give its exit status to the
 *                            host. Each ARG is percent-encoded: every byte but letters, digits and
 *                            the characters _ . / : = + @ - is written %XX. An empty ARG is an
 *                            empty argument.
 *   plex86.selfcheck         the same as plex86.exec=/selfcheck.
 *   plex86.pipe              the host's standard streams are not a terminal: no echo, no signal
 *                            characters, no translation of line ends. Lines are still lines, so
 *                            the host passes its end of file on as ^D, and quotes bytes by ^V.
 *                            What arrives before all this is set is still echoed, so the init then
 *                            raises OUT1 of the UART (MCR bit 2), whichever console it has: the
                            host may hold input back
 *                            until it sees that.
 *   plex86.captured          only the host's standard output is no terminal: no translation of line
 *                            ends.
 */
#ifndef PLEX86_INIT_CMDLINE_H
#define PLEX86_INIT_CMDLINE_H

#define CMDLINE_MAX 4096
#define ARGS_MAX    256

struct cmdline {
	char *argv[ARGS_MAX + 1]; /* the command, NULL-terminated; argv[0] NULL if there is none */
	int pipe, captured;
};

/* Takes text apart, decoding arguments in place: text must outlive cl. Returns 0, or -1 if the
 * command is not validly encoded or has too many arguments. */
int cmdline_parse(struct cmdline *cl, char *text);

#endif
