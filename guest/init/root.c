/*
 * The system on a disk; see root.h.
 */
#include "root.h"
#include "command.h"
#include "syscall.h"

#include <stddef.h>

#define ROOT	 "/mnt" /* where it is mounted before it becomes / */
#define PATIENCE 50	/* tenths of a second for the disk to be found */

struct wish {
	const char *device, *type, *init;
	int read_only;
};

/* The value of a word NAME=VALUE, or what there was before. */
static const char *value(const char *word, const char *name, const char *before)
{
	unsigned int len = 0;

	while (name[len])
		len++;
	return begins(word, name) ? word + len : before;
}

/* The last of several words counts. */
static void read_word(struct wish *w, const char *word)
{
	w->device = value(word, "root=", w->device);
	w->type = value(word, "rootfstype=", w->type);
	w->init = value(word, "init=", w->init);
	if (begins(word, "ro") && !word[2])
		w->read_only = 1;
	if (begins(word, "rw") && !word[2])
		w->read_only = 0;
}

static void read_wish(struct wish *w)
{
	static char text[4096];
	int fd = sys_open("/proc/cmdline", O_RDONLY), n;

	n = fd < 0 ? fd : sys_read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		sys_close(fd);
	for (char *word = text, *p = text; p < text + n; p++) {
		if (*p != ' ' && *p != '\n')
			continue;
		*p = '\0';
		read_word(w, word);
		word = p + 1;
	}
}

static int mount_root(const struct wish *w)
{
	static const struct timespec moment = {0, 100 * 1000 * 1000};
	int err;

	for (int i = 0; i < PATIENCE; i++) {
		err = syscall5(NR_MOUNT, (long)w->device, (long)ROOT, (long)w->type,
			       w->read_only ? MS_RDONLY : 0, 0);
		if (err != -ENOENT && err != -ENXIO)
			break;
		syscall3(NR_NANOSLEEP, (long)&moment, 0, 0);
	}
	return err;
}

/* What the system looks for its kernel's modules in is what the initramfs has: files of this
 * kernel's release, which a disk image has not. A read-only root without the directory does
 * without. */
static void lend_modules(void)
{
	static struct utsname name;
	static char from[96] = "/lib/modules/", to[96] = ROOT "/lib/modules/";
	char *f = from, *t = to;

	if (syscall3(NR_UNAME, (long)&name, 0, 0) < 0)
		return;
	while (*f)
		f++;
	while (*t)
		t++;
	for (int i = 0; i < 65; i++)
		f[i] = t[i] = name.release[i];
	syscall3(NR_MKDIR, (long)(ROOT "/lib/modules"), 0755, 0);
	syscall3(NR_MKDIR, (long)to, 0755, 0);
	syscall5(NR_MOUNT, (long)from, (long)to, 0, MS_BIND, 0);
}

int root_switch(char **envp)
{
	static const char *const early[] = {"/dev", "/sys", "/proc"};
	struct wish w = {NULL, "ext4", "/sbin/init", 0};
	char *argv[] = {NULL, NULL};
	int err;

	read_wish(&w);
	if (!w.device)
		return 0;
	err = mount_root(&w);
	if (err < 0) {
		complain("cannot mount the root file system", w.device, err);
		return -1;
	}
	lend_modules();
	/* Its init mounts these itself. */
	for (unsigned int i = 0; i < sizeof(early) / sizeof(early[0]); i++)
		syscall3(NR_UMOUNT2, (long)early[i], MNT_DETACH, 0);
	syscall3(NR_CHDIR, (long)ROOT, 0, 0);
	syscall5(NR_MOUNT, (long)".", (long)"/", 0, MS_MOVE, 0);
	syscall3(NR_CHROOT, (long)".", 0, 0);
	argv[0] = (char *)w.init;
	err = syscall3(NR_EXECVE, (long)w.init, (long)argv, (long)envp);
	complain("cannot run", w.init, err);
	return -1;
}
