/*
 * The board of --machine pc, beside what every machine has: VGA text on the user's terminal, a
 * keyboard that types what he does, ATA disks, and what firmware wants to know.
 *
 * Owns: those devices, when the screen is looked at, and how fast keys are typed. The devices are
 * hal/'s. All functions but the first two are called with the loop's lock held.
 */
#ifndef PLEX86_PC_H
#define PLEX86_PC_H

#include "hal/ata.h"
#include "hal/fwcfg.h"
#include "hal/i8042.h"
#include "loop.h"
#include "console/screen-ansi.h"
#include "console/screen-text.h"

#define PC_DISKS (ATA_CHANNELS * 2)

/* Interrupt lines that are level-triggered, though on a PC they are not: a byte of the keyboard's
 * that follows another one at once must not be lost for want of an edge between them. */
#define PC_LEVEL_IRQS (1u << I8042_IRQ)

/* Who has the board. */
struct pc_owner {
	void (*irq)(void *opaque, unsigned irq, bool level);
	void (*reset)(void *opaque);
	/* What the screen says, as text; and, on a terminal, how it is drawn there. */
	void (*say)(void *opaque, const u8 *data, size_t n);
	void (*draw)(void *opaque, const u8 *data, size_t n);
	/* As struct ata_config's, of a port: there is one place for that. */
	u32 (*offer)(void *opaque, u16 port, const u8 *data, u32 n);
	u32 (*take_back)(void *opaque);
	/* There may be room for keys again. */
	void (*drained)(void *opaque);
	void (*warn)(void *opaque, const char *text);
	void *opaque;
};

struct pc {
	struct pc_owner owner;
	u8 *ram;
	u64 ram_size;
	struct loop *loop;
	bool wanted;	 /* this machine is a PC: set before pc_attach(), as all to `video` */
	bool firmware;	 /* it begins there, not in a kernel of ours */
	bool serial;	 /* the console is the serial port, not screen and keyboard */
	bool terminal;	 /* the console is a terminal: draw */
	bool verbose;	 /* the firmware's messages go to standard error */
	const u8 *video; /* the VGA's firmware, NULL: none */
	size_t video_size;

	struct vga vga;
	struct i8042 keyboard;
	struct ata ata[ATA_CHANNELS];
	struct ata *offering; /* whose data the guest may read by itself */
	unsigned disks;
	struct fwcfg fwcfg;
	u8 e820[20]; /* the firmware's map of RAM */
	struct screen_text text;
	struct screen_ansi ansi;
	struct screen last; /* the timer's last look */
	unsigned still;	    /* so many looks showed the same */
	bool showing;	    /* what the screen says is just being told */
	struct loop_source timer;
	u64 typed_ns; /* when the last key was */
};

/* Add a disk; `spec` as of -d. Before pc_attach(). */
bool pc_add_disk(struct pc *pc, const char *spec, struct error *e);
/* Close the disks, the guest having stopped for good and the I/O thread with it. */
void pc_destroy(struct pc *pc);

/* Put all of it on the bus. */
bool pc_attach(struct pc *pc, const struct pc_owner *owner, struct bus *bus, u8 *ram, u64 ram_size,
	       struct loop *loop, struct error *e);
/* The guest has stopped: show what is left. */
void pc_end(struct pc *pc);
/* The console is closed, and was on standard output: leave the terminal as others expect it. */
void pc_leave_terminal(struct pc *pc);
/* The terminal is another one, or of another size. */
void pc_redraw(struct pc *pc);

/* Console input: how much is worth offering now, and how much of it was taken. */
size_t pc_input_room(struct pc *pc);
size_t pc_input(struct pc *pc, const u8 *data, size_t n);

#endif
