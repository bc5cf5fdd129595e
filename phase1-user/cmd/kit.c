/*
 * The guest kit: see kit.h.
 */
#include "kit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../../common/types.h"

/* What is built without being asked for. guest/build-rootfs takes other names as well, but a word
 * that was mistyped shall not send it out into the network. */
static const char *const suites[] = {"bookworm", "bullseye", "trixie"};
/* Debian's own kernels, that are not built but fetched. */
static const char *const stock[] = {"686", "686-pae"};

/* NULL if there is no memory. */
__attribute__((format(printf, 1, 2))) static char *text(const char *format, ...)
{
	va_list args;
	char *made;

	va_start(args, format);
	if (vasprintf(&made, format, args) < 0)
		made = NULL;
	va_end(args);
	return made;
}

/* access() to a path made of a directory and a name. */
static bool has(const char *dir, const char *name, int how)
{
	char *path = text("%s/%s", dir, name);
	bool ok = path && !access(path, how);

	free(path);
	return ok;
}

/* ---- places ---- */

static void add_place(struct kit *kit, char *dir)
{
	if (dir)
		kit->place[kit->places++] = dir;
}

/* The directory above the one this program lies in. */
static char *above_program(void)
{
	char exe[PATH_MAX + 4];
	ssize_t n = readlink("/proc/self/exe", exe, PATH_MAX);
	char *slash;

	if (n < 0)
		return NULL;
	exe[n] = '\0';
	slash = strrchr(exe, '/');
	if (!slash)
		return NULL;
	strcpy(slash, "/..");
	return realpath(exe, NULL);
}

static bool has_scripts(const char *dir)
{
	return dir && has(dir, "guest/build-kernel", X_OK) && has(dir, "guest/build-rootfs", X_OK);
}

/* The scripts of a source tree build into it, installed ones into the user's directory. */
static void find_places(struct kit *kit)
{
	const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
	char *above = above_program();
	char *installed = above ? text("%s/share/plex86", above) : NULL;

	if (has_scripts(above)) {
		kit->tree = above;
		kit->marked = true;
		add_place(kit, text("%s/build/guest", above));
	} else if (has_scripts(installed)) {
		kit->tree = installed;
	}
	if (data && data[0] == '/')
		add_place(kit, text("%s/plex86", data));
	else if (home && home[0] == '/')
		add_place(kit, text("%s/.local/share/plex86", home));
	add_place(kit, installed);
	if (above != kit->tree)
		free(above);
}

/* The path of a file of the kit, for the caller to free, or NULL. In the tree it counts only if
 * there is also `mark`, unless that is NULL. */
static char *find(const struct kit *kit, const char *name, const char *mark)
{
	for (unsigned i = 0; i < kit->places; i++) {
		if (i == 0 && kit->marked && mark && !has(kit->place[i], mark, F_OK))
			continue;
		if (has(kit->place[i], name, F_OK))
			return text("%s/%s", kit->place[i], name);
	}
	return NULL;
}

/* "A, B or C" */
static void list_places(const struct kit *kit, char *list, size_t size)
{
	size_t used = 0;

	list[0] = '\0';
	for (unsigned i = 0; i < kit->places && used < size; i++)
		used += snprintf(list + used, size - used, "%s%s",
				 i == 0		       ? ""
				 : i + 1 < kit->places ? ", "
						       : " or ",
				 kit->place[i]);
}

/* ---- building ---- */

/* Run a script of the tree with one argument; all it says goes to standard error. */
static bool run_script(const struct kit *kit, const char *script, const char *argument,
		       struct error *e)
{
	char *path = text("%s/guest/%s", kit->tree, script);
	char *const argv[] = {path, (char *)argument, NULL};
	posix_spawn_file_actions_t actions;
	int error, status = 0;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
	error = path ? posix_spawn(&pid, path, &actions, NULL, argv, environ) : ENOMEM;
	posix_spawn_file_actions_destroy(&actions);
	free(path);
	if (error)
		return error_set(e, "guest/%s '%s': starting it: %s", script, argument,
				 strerror(error));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return !status ||
	       error_set(e, "guest/%s '%s': it failed, for the reason above", script, argument);
}

/* ---- kernels ---- */

#define DIGITS "0123456789."
#define DEBUG  "-debug"

static const char *flavour_of(const char *version)
{
	return version + strspn(version, DIGITS);
}

/* The debug kernel with somebody's own files in it: nobody but him can build it. */
static bool is_own(const char *version)
{
	const char *flavour = flavour_of(version);

	return !strncmp(flavour, DEBUG "-", strlen(DEBUG "-")) && flavour[strlen(DEBUG "-")] &&
	       !strchr(flavour, '/');
}

static bool is_stock(const char *version)
{
	for (size_t i = 0; i < ARRAY_SIZE(stock); i++)
		if (!strcmp(stock[i], version))
			return true;
	return false;
}

/* In the tree a kernel may be half built, or the build may have been interrupted: the script then
 * waits for it, or goes on with it. */
static char *find_kernel(const struct kit *kit, const char *version)
{
	char *name = text("linux-%s/%s", version, is_stock(version) ? "vmlinuz" : "vmlinux");
	char *mark = text("linux-%s/.built", version);
	char *path = name && mark ? find(kit, name, mark) : NULL;

	free(name);
	free(mark);
	return path;
}

static bool no_kernel(const struct kit *kit, const char *version, struct error *e)
{
	const char *name = is_own(version) ? flavour_of(version) + strlen(DEBUG "-") : NULL;
	const int common = name ? (int)(name - version) - 1 : (int)strlen(version);
	char places[400];

	list_places(kit, places, sizeof(places));
	if (is_stock(version))
		return error_set(e,
				 "kernel '%s': no linux-%s/vmlinuz in %s (guest/build-stock %s of "
				 "plex86's source fetches it)",
				 version, version, places, version);
	return error_set(e,
			 "kernel '%s': no linux-%s/vmlinux in %s (guest/build-kernel %.*s%s%s of "
			 "plex86's source makes it)",
			 version, version, places, common, version, name ? " --with " : "",
			 name ? name : "");
}

static bool is_known_kernel(const struct kit *kit, const char *version)
{
	char *fragment = text("guest/config/linux-%.*s.config",
			      (int)(flavour_of(version) - version), version);
	const bool known = !is_own(version) && fragment && has(kit->tree, fragment, R_OK);

	free(fragment);
	return known;
}

static bool build_kernel(struct kit *kit, const char *version, struct error *e)
{
	const bool fetched = is_stock(version);

	if (!kit->tree || (!fetched && !is_known_kernel(kit, version)))
		return no_kernel(kit, version, e);
	fprintf(stderr, "plex86: kernel '%s' is not there yet: %s\n", version,
		fetched ? "fetching it from Debian, 50 MB"
			: "building it, which takes some minutes");
	if (!run_script(kit, fetched ? "build-stock" : "build-kernel", version, e))
		return false;
	kit->kernel = find_kernel(kit, version);
	return kit->kernel || error_set(e, "kernel '%s': it was built, but is not there", version);
}

/* 6.1, or a flavour of it: 6.1-pae, 6.1-debug, 6.1-debug-NAME; or what Debian calls its own */
static bool is_version(const char *word)
{
	const char *flavour = flavour_of(word);

	return word[0] >= '0' && word[0] <= '9' &&
	       (!*flavour || !strcmp(flavour, "-pae") || !strcmp(flavour, DEBUG) || is_own(word));
}

/* What lies beside the kernel. Without it such a kernel has no device but its console. */
static bool find_initrd(struct kit *kit, const char **initrd, struct error *e)
{
	const int dir = strrchr(kit->kernel, '/') - kit->kernel;

	kit->initrd = text("%.*s/initramfs.cpio", dir, kit->kernel);
	if (!kit->initrd)
		return error_set(e, "kernel '%s': out of memory", kit->kernel);
	*initrd = kit->initrd;
	return true;
}

bool kit_kernel(struct kit *kit, const char **kernel, const char **initrd, struct error *e)
{
	const bool fetched = is_stock(*kernel);

	if (!is_version(*kernel))
		return true;
	if (!kit->places)
		find_places(kit);
	kit->kernel = find_kernel(kit, *kernel);
	if (!kit->kernel && !build_kernel(kit, *kernel, e))
		return false;
	*kernel = kit->kernel;
	return !fetched || *initrd || find_initrd(kit, initrd, e);
}

/* ---- images ---- */

static bool is_known(const char *suite)
{
	for (size_t i = 0; i < ARRAY_SIZE(suites); i++)
		if (!strcmp(suites[i], suite))
			return true;
	return false;
}

static bool no_image(const struct kit *kit, const char *name, struct error *e)
{
	char places[400];

	list_places(kit, places, sizeof(places));
	return error_set(e,
			 "image '%s': no %s.ext4 in %s (guest/build-rootfs %s of plex86's source "
			 "makes it, if that is a suite of Debian; a file's name needs a dot or a "
			 "slash)",
			 name, name, places, name);
}

static bool build_image(struct kit *kit, const char *name, struct error *e)
{
	if (!kit->tree || !is_known(name))
		return no_image(kit, name, e);
	fprintf(stderr,
		"plex86: image '%s' is not there yet: making it from Debian's packages, which takes "
		"a minute or more\n",
		name);
	return run_script(kit, "build-rootfs", name, e);
}

/* The path of `name`, which is built if need be, or NULL. */
static char *get_image(struct kit *kit, const char *name, struct error *e)
{
	char *file = text("%s.ext4", name), *path = NULL;

	if (!file) {
		error_set(e, "image '%s': out of memory", name);
		return NULL;
	}
	path = find(kit, file, NULL);
	if (!path && build_image(kit, name, e)) {
		path = find(kit, file, NULL);
		if (!path)
			error_set(e, "image '%s': it was built, but is not there", name);
	}
	free(file);
	return path;
}

bool kit_image(struct kit *kit, const char **spec, struct error *e)
{
	const char *options = strchrnul(*spec, ',');
	char *name, *path;

	if (options == *spec)
		return error_set(e, "image '%s': no name and no file given", *spec);
	if (memchr(*spec, '/', options - *spec) || memchr(*spec, '.', options - *spec))
		return true;
	if (!kit->places)
		find_places(kit);
	name = strndup(*spec, options - *spec);
	path = name ? get_image(kit, name, e) : NULL;
	free(name);
	if (!path)
		return false;
	kit->image = text("%s%s", path, options);
	free(path);
	if (!kit->image)
		return error_set(e, "image '%s': out of memory", *spec);
	*spec = kit->image;
	return true;
}

void kit_free(struct kit *kit)
{
	for (unsigned i = 0; i < kit->places; i++)
		free(kit->place[i]);
	if (kit->marked)
		free(kit->tree); /* else it is one of the places */
	free(kit->kernel);
	free(kit->initrd);
	free(kit->image);
}
