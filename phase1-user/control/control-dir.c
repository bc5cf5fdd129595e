/*
 * Where control sockets lie: see control-dir.h.
 *
 * Nobody but the user may enter a directory, so whoever connects is that user or root. A socket
 * that refuses is what a killed plex86 left behind. It is removed under a lock on the directory,
 * which also covers the moment between bind() and listen(), when a living one refuses as well.
 */
#include "control-dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX	".sock"
#define BACKLOG 16

bool control_name_valid(const char *name)
{
	static const char alphanumeric[] = "abcdefghijklmnopqrstuvwxyz"
					   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	static const char also[] = "._+-";
	size_t n = 0;

	for (; name[n]; n++)
		if (!strchr(alphanumeric, name[n]) && (!n || !strchr(also, name[n])))
			return false;
	return n > 0 && n <= CONTROL_NAME_MAX;
}

/* ---- directories ---- */

/* Only our own directory will do: in another one its owner could put sockets of his. */
static bool is_ours(int fd, mode_t forbidden)
{
	struct stat st;

	return !fstat(fd, &st) && st.st_uid == geteuid() && !(st.st_mode & forbidden);
}

/* Does the user have the directory that ours would be made in? */
static bool parent_is_ours(const char *path)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool ours = fd >= 0 && is_ours(fd, S_IWGRP | S_IWOTH);

	if (fd >= 0)
		close(fd);
	return ours;
}

static bool choose_in(struct control_dir *dir, const char *parent)
{
	const int n = snprintf(dir->path, sizeof(dir->path), "%s/plex86", parent);

	return n > 0 && n < (int)sizeof(dir->path) && parent_is_ours(parent);
}

static void choose(struct control_dir *dir)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	char run[32];

	snprintf(run, sizeof(run), "/run/user/%u", geteuid());
	if (xdg && xdg[0] == '/' && choose_in(dir, xdg))
		return;
	if (!choose_in(dir, run))
		snprintf(dir->path, sizeof(dir->path), "/tmp/plex86-%u", geteuid());
}

static bool unusable(struct control_dir *dir, const char *why, struct error *e)
{
	control_dir_close(dir);
	return error_set(e, "control socket: directory '%s': %s (set XDG_RUNTIME_DIR)", dir->path,
			 why);
}

bool control_dir_open(struct control_dir *dir, bool create, struct error *e)
{
	dir->fd = -1;
	choose(dir);
	if (create && mkdir(dir->path, 0700) && errno != EEXIST)
		return unusable(dir, strerror(errno), e);
	dir->fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir->fd < 0)
		return unusable(dir, strerror(errno), e);
	if (!is_ours(dir->fd, S_IRWXG | S_IRWXO))
		return unusable(dir, "it is another user's, or others may enter it", e);
	return true;
}

void control_dir_close(struct control_dir *dir)
{
	if (dir->fd >= 0)
		close(dir->fd);
	dir->fd = -1;
}

/* ---- sockets ---- */

void control_address(const struct control_dir *dir, const char *name, struct sockaddr_un *address)
{
	_Static_assert(sizeof(dir->path) + CONTROL_NAME_MAX + sizeof("/" SUFFIX) - 1 <=
			       sizeof(address->sun_path),
		       "a socket's address must hold every directory and name");
	const int space = CONTROL_NAME_MAX;

	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	snprintf(address->sun_path, sizeof(address->sun_path), "%s/%.*s" SUFFIX, dir->path, space,
		 name);
}

bool control_name_of(const char *entry, char *name, size_t size)
{
	const size_t len = strlen(entry), suffix = sizeof(SUFFIX) - 1;

	if (len <= suffix || strcmp(entry + len - suffix, SUFFIX) || len - suffix >= size)
		return false;
	memcpy(name, entry, len - suffix);
	name[len - suffix] = '\0';
	return control_name_valid(name);
}

static int try_connect(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0)
		return -1;
	if (!connect(fd, (const struct sockaddr *)address, sizeof(*address)))
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* With the directory locked: connect, or remove a dead one's socket. */
static int connect_or_remove(const struct sockaddr_un *address)
{
	struct stat st;
	int fd = try_connect(address);

	if (fd >= 0 || errno != ECONNREFUSED)
		return fd;
	if (!lstat(address->sun_path, &st) && S_ISSOCK(st.st_mode))
		unlink(address->sun_path);
	errno = ECONNREFUSED;
	return -1;
}

static void unlock(const struct control_dir *dir)
{
	const int error = errno;

	flock(dir->fd, LOCK_UN);
	errno = error;
}

int control_connect(const struct control_dir *dir, const char *name)
{
	struct sockaddr_un address;
	int fd;

	control_address(dir, name, &address);
	fd = try_connect(&address);
	if (fd >= 0 || errno != ECONNREFUSED)
		return fd;
	/* Dead, or not yet listening: then it holds the lock. */
	flock(dir->fd, LOCK_EX);
	fd = connect_or_remove(&address);
	unlock(dir);
	return fd;
}

static int bind_and_listen(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0)
		return -1;
	if (!bind(fd, (const struct sockaddr *)address, sizeof(*address)) && !listen(fd, BACKLOG))
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

int control_listen(const struct control_dir *dir, const char *name)
{
	struct sockaddr_un address;
	int fd, other;

	control_address(dir, name, &address);
	flock(dir->fd, LOCK_EX);
	other = connect_or_remove(&address);
	if (other >= 0)
		close(other);
	fd = bind_and_listen(&address);
	unlock(dir);
	return fd;
}
