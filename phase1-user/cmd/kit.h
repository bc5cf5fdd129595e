/*
 * The guest kit: the kernels and disk images that guest/build-kernel and guest/build-rootfs make,
 * called by name: "6.1", "bookworm"; and Debian's own kernels, which guest/build-stock fetches:
 * "686".
 *
 * Owns: what a name is, where it is looked for, and having what is missing built. A program in its
 * source tree looks into build/guest first; then into directories laid out like it, for the user
 * ($XDG_DATA_HOME/plex86) and for all (../share/plex86 beside the program). What is missing is
 * built by the tree's own scripts, or by those that are installed (../share/plex86/guest), which
 * build into the user's directory; their progress goes to standard error.
 */
#ifndef PLEX86_KIT_H
#define PLEX86_KIT_H

#include "../error.h"

#define KIT_PLACES 3

/* Zero is a good beginning. */
struct kit {
	char *tree;  /* where guest/ with the scripts is, or NULL */
	bool marked; /* it is a source tree: only kernels whose build has ended count there */
	char *place[KIT_PLACES];
	unsigned places;
	char *kernel, *initrd, *image; /* what the functions below return */
};

/* If *kernel is the number of a version, with a flavour behind it or not (6.1-debug), or 686 or
 * 686-pae, make it the path of that kernel. A path stays as it is: what has a slash, or is no such
 * name. The latter have their drivers in an initramfs: that becomes *initrd, unless there is one.
 * False: there is none, and none could be built. */
bool kit_kernel(struct kit *kit, const char **kernel, const char **initrd, struct error *e);
/* If *spec is the name of an image, with options behind a comma or not, put its path there. What
 * has a slash or a dot is a path, or anything else that -d takes. */
bool kit_image(struct kit *kit, const char **spec, struct error *e);
void kit_free(struct kit *kit);

#endif
