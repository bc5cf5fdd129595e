/*
 * Reading, starting and reporting the host's command; see command.h.
 *
 * Owns: the programs' entry as well, since each has this file.
 */
#include "command.h"
#include "syscall.h"

#include <stddef.h>

#define EXIT_PORT 0xf4
#define PATH_LENGTH 4096

static const struct sigset no_signals;

static unsigned int length(const char *text)
{
	unsigned int len = 0;

	while (text[len])
		len++;
	return len;
}

void say(const char *text)
{
	sys_write(2, text, length(text));
}

static void say_number(int n)
{
	char digits[12], *p = digits + sizeof(digits);

	*--p = '\0';
	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	say(p);
}

void complain(const char *what, const char *on, int err)
{
	say("plex86-init: ");
	say(what);
	say(" '");
	say(on);
	say("': error ");
	say_number(-err);
	say("\n");
}

int begins(const char *text, const char *with)
{
	while (*with)
		if (*text++ != *with++)
			return 0;
	return 1;
}

int command_read(struct cmdline *cl)
{
	static char text[CMDLINE_MAX];
	int fd = sys_open("/proc/cmdline", O_RDONLY);
	int len = fd < 0 ? fd : sys_read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		sys_close(fd);
	if (len < 0) {
		complain("cannot read", "/proc/cmdline", len);
		len = 0;
	}
	text[len] = '\0';
	return cmdline_parse(cl, text);
}

void console_open(void)
{
	int fd = sys_open("/dev/console", O_RDWR | O_NOCTTY);

	if (fd < 0)
		return;
	for (int to = 0; to < 3; to++)
		syscall3(NR_DUP2, fd, to, 0);
	if (fd > 2)
		sys_close(fd);
}

static void say_ready(void)
{
	static const int ready = TIOCM_OUT1;

	if (sys_ioctl(0, TIOCMBIS, &ready) == 0)
		return;
	/* hvc0 has no such line, but the UART is there all the same. */
	int fd = sys_open("/dev/ttyS0", O_RDWR | O_NOCTTY);

	if (fd < 0)
		return;
	sys_ioctl(fd, TIOCMBIS, &ready);
	sys_close(fd);
}

void console_set(const struct cmdline *cl)
{
	struct termios t;

	if (!(cl->pipe || cl->captured) || sys_ioctl(0, TCGETS, &t) < 0)
		return;
	t.c_oflag &= ~(unsigned int)OPOST;
	if (cl->pipe) {
		t.c_iflag &= ~(unsigned int)(ICRNL | IXON);
		/* RTS says when a slow reader has let the tty fill up. */
		t.c_cflag |= CRTSCTS;
		t.c_lflag &= ~(unsigned int)(ISIG | ECHO);
		t.c_cc[VERASE] = t.c_cc[VKILL] = t.c_cc[VREPRINT] = t.c_cc[VWERASE] = 0;
	}
	sys_ioctl(0, TCSETS, &t);
	if (cl->pipe)
		say_ready();
}

static int has_slash(const char *path)
{
	for (; *path; path++)
		if (*path == '/')
			return 1;
	return 0;
}

/* Tries one directory of the PATH, which ends at ':' or the text's end. */
static int exec_in(const char *dir, const char *name, char **argv, char **env)
{
	static char path[PATH_LENGTH];
	unsigned int n = 0, len = length(name);

	for (; *dir && *dir != ':'; dir++) {
		if (n + len + 2 >= sizeof(path))
			return -ENOENT;
		path[n++] = *dir;
	}
	path[n++] = '/';
	for (; *name; name++)
		path[n++] = *name;
	path[n] = '\0';
	return syscall3(NR_EXECVE, (long)path, (long)argv, (long)env);
}

/* As execvp() does: a file that may not be run is remembered, but a later one may do. */
static int exec_by_path(const char *name, char **argv, char **env)
{
	const char *dirs = "";
	int result = -ENOENT;

	for (char **var = env; *var; var++)
		if (begins(*var, "PATH="))
			dirs = *var + 5;
	while (*dirs) {
		int err = exec_in(dirs, name, argv, env);

		if (err != -ENOENT && err != -ENOTDIR)
			result = err;
		if (result != -ENOENT && result != -EACCES)
			break;
		while (*dirs && *dirs != ':')
			dirs++;
		dirs += *dirs == ':';
	}
	return result;
}

_Noreturn void command_exec(const char *path, char **argv, char **env)
{
	int err;

	sys_sigmask(&no_signals);
	syscall3(NR_SETSID, 0, 0, 0);
	sys_ioctl(0, TIOCSCTTY, NULL);
	if (has_slash(path) || !*path)
		err = syscall3(NR_EXECVE, (long)path, (long)argv, (long)env);
	else
		err = exec_by_path(path, argv, env);
	complain("cannot run", path, err);
	sys_exit(err == -ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN);
}

int command_status(int waited)
{
	return waited & 0x7f ? 128 + (waited & 0x7f) : waited >> 8 & 0xff;
}

void flush(void)
{
	syscall3(NR_SYNC, 0, 0, 0);
	sys_ioctl(1, TCSBRK, (void *)1);
}

void report(int status)
{
	unsigned char byte = (unsigned char)status;
	int fd = sys_open("/dev/port", O_WRONLY);

	if (fd < 0) {
		complain("cannot open", "/dev/port", fd);
		return;
	}
	flush();
	syscall3(NR_LSEEK, fd, EXIT_PORT, 0);
	sys_write(fd, &byte, 1);
	sys_close(fd);
}

/* The kernel starts a process with argc on top of the stack and nothing to return to. */
__asm__(".globl _start\n"
	"_start:\n\t"
	"xorl %ebp, %ebp\n\t"
	"movl %esp, %eax\n\t"
	"andl $-16, %esp\n\t"
	"subl $12, %esp\n\t"
	"pushl %eax\n\t"
	"call start\n");
