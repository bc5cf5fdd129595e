/*
 * Where libunicorn 2.0.1.post1 (Debian 12, amd64) has what unicorn-internals.c needs: offsets into
 * the CPU's structure, into its registers, and into struct uc_struct.
 */
#ifndef PLEX86_UNICORN_LAYOUT_H
#define PLEX86_UNICORN_LAYOUT_H

#define CPU_INTERRUPT_REQUEST 28
#define CPU_COUNTDOWN	      304 /* a pointer; its second half: stop before the next block */
#define CPU_EXCEPTION_INDEX   33184
#define CPU_REGISTERS	      34640
#define ENV_ERROR_CODE	      5352
#define ENV_OLD_EXCEPTION     5464
#define ENV_FEATURES	      5600 /* 64 bits each */
#define ENV_OWNER	      6968 /* a pointer to struct uc_struct */
#define UC_STOP_INTERRUPT     200

#endif
