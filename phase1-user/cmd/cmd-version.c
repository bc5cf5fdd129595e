/*
 * plex86 version: which one, what it speaks, and what was compiled in.
 */
#include <stdbool.h>
#include <stdio.h>
#include "../../guest/include/plex86-abi.h"
#include "../../phase2-kmod/plex86-ioctl.h"
#include "cmd.h"
#include "../engine/engine.h"
#include "../error.h"

#ifdef HAVE_EMULATOR
#define EMULATOR true
#else
#define EMULATOR false
#endif
#ifdef HAVE_ZLIB
#define GZIP true
#else
#define GZIP false
#endif
#ifdef HAVE_LZMA
#define XZ true
#else
#define XZ false
#endif
#ifdef HAVE_ZSTD
#define ZSTD true
#else
#define ZSTD false
#endif
#ifdef HAVE_LZ4
#define LZ4 true
#else
#define LZ4 false
#endif
#ifdef HAVE_LIBURING
#define URING true
#else
#define URING false
#endif
#ifdef HAVE_LIBNBD
#define NBD true
#else
#define NBD false
#endif
#ifdef __SANITIZE_ADDRESS__
#define SANITIZERS true
#else
#define SANITIZERS false
#endif

static const struct {
	const char *name;
	bool there;
} features[] = {
	{"gzip", GZIP},
	{"xz", XZ},
	{"zstd", ZSTD},
	{"lz4", LZ4},
	{"liburing", URING},
	{"libnbd", NBD},
	{"libslirp", true},
	{"jansson", true},
	{"capstone", true},
	{"emulator", EMULATOR},
	{"sanitizers", SANITIZERS},
};

static void list(const char *head, bool there)
{
	const char *separator = head;

	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		if (features[i].there != there)
			continue;
		printf("%s%s", separator, features[i].name);
		separator = ", ";
	}
	if (separator != head)
		putchar('\n');
}

int cmd_version(void)
{
	printf("plex86 %s, guest ABI %d, kernel module interface %d\n", PLEX86_VERSION,
	       PLEX86_ABI_VERSION, PLEX86_API_VERSION);
	fputs("engines:", stdout);
	for (unsigned i = 0; engine_name(i); i++)
		printf("%s %s", i ? "," : "", engine_name(i));
	putchar('\n');
	list("with: ", true);
	list("without: ", false);
	return STATUS_OK;
}
