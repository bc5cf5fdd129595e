/*
 * The CMOS clock and RAM (MC146818).
 *
 * Owns: the registers behind ports 0x70 and 0x71. The clock is the caller's time plus an offset;
 * its registers are computed when read and turned back into an offset when written.
 *
 * The update-in-progress bit always reads 0: a register is never in an undefined state here, and
 * the caller's time has no fraction to say when an update is near. A guest that must not see a
 * carry between two reads compares the seconds before and after, as it must on the chip.
 */
#include "cmos.h"

/* clang-format off */
enum {
	REG_SECOND = 0, REG_MINUTE = 2, REG_HOUR = 4, REG_WEEKDAY = 6, REG_DAY = 7, REG_MONTH = 8,
	REG_YEAR = 9, REG_A = 10, REG_B = 11, REG_C = 12, REG_D = 13, REG_CENTURY = 0x32
};
/* clang-format on */

#define A_UIP	     0x80
#define A_DEFAULT    0x26 /* 32768 Hz crystal, 1024 Hz rate */
#define B_SET	     0x80 /* the clock stands still to be set */
#define B_BINARY     0x04
#define B_24H	     0x02
#define C_UF	     0x10 /* the clock has moved since C was read */
#define D_VALID	     0x80 /* the battery is good */
#define HOUR_PM	     0x80
#define SECS_PER_DAY 86400

struct civil {
	s64 year;
	u32 month, day; /* from 1 */
};

/* Division that rounds towards minus infinity, so that times before 1970 work. */
static s64 div_floor(s64 a, s64 b)
{
	return a / b - (a % b < 0);
}

/* Calendars here begin on 1 March of year 0: the leap day is the last of its year, and a month
 * begins (153 m + 2) / 5 days after its year does. 719468 days later is 1970-01-01. */
#define DAYS_TO_1970 719468
#define DAYS_PER_400 146097
#define DAYS_PER_100 36524
#define DAYS_PER_4   1461

static struct civil civil_from_days(s64 days)
{
	s64 era = div_floor(days + DAYS_TO_1970, DAYS_PER_400);
	u32 day = (u32)(days + DAYS_TO_1970 - era * DAYS_PER_400); /* of 400 years */
	u32 year = (day - day / (DAYS_PER_4 - 1) + day / DAYS_PER_100 - day / (DAYS_PER_400 - 1)) /
		   365;
	u32 month;
	struct civil c;

	day -= 365 * year + year / 4 - year / 100;
	month = (5 * day + 2) / 153;
	c.day = day - (153 * month + 2) / 5 + 1;
	c.month = month < 10 ? month + 3 : month - 9;
	c.year = era * 400 + year + (c.month <= 2);
	return c;
}

/* Days beyond the month's end run into the next month. */
static s64 days_from_civil(struct civil c)
{
	s64 year = c.year - (c.month <= 2);
	s64 era = div_floor(year, 400);
	u32 y = (u32)(year - era * 400);
	u32 month = c.month > 2 ? c.month - 3 : c.month + 9;

	return era * DAYS_PER_400 + 365 * y + y / 4 - y / 100 + (153 * month + 2) / 5 + c.day - 1 -
	       DAYS_TO_1970;
}

static u8 encode(const struct cmos *c, u32 n)
{
	return c->ram[REG_B] & B_BINARY ? n : n / 10 << 4 | n % 10;
}

static u32 decode(const struct cmos *c, u8 v)
{
	return c->ram[REG_B] & B_BINARY ? v : (v >> 4) * 10u + (v & 15);
}

static u8 encode_hour(const struct cmos *c, u32 hour)
{
	if (c->ram[REG_B] & B_24H)
		return encode(c, hour);
	return encode(c, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static u32 decode_hour(const struct cmos *c, u8 v)
{
	if (c->ram[REG_B] & B_24H)
		return decode(c, v);
	return decode(c, v & ~HOUR_PM) % 12 + (v & HOUR_PM ? 12 : 0);
}

/* Write the time into the registers. */
static void show(struct cmos *c, s64 seconds)
{
	s64 days = div_floor(seconds, SECS_PER_DAY);
	u32 second = (u32)(seconds - days * SECS_PER_DAY);
	struct civil date = civil_from_days(days);

	c->ram[REG_SECOND] = encode(c, second % 60);
	c->ram[REG_MINUTE] = encode(c, second / 60 % 60);
	c->ram[REG_HOUR] = encode_hour(c, second / 3600);
	/* 1970-01-01 was a Thursday; 1 is Sunday. */
	c->ram[REG_WEEKDAY] = encode(c, (u32)(days + 4 - 7 * div_floor(days + 4, 7)) + 1);
	c->ram[REG_DAY] = encode(c, date.day);
	c->ram[REG_MONTH] = encode(c, date.month);
	c->ram[REG_YEAR] = encode(c, (u32)(date.year - 100 * div_floor(date.year, 100)));
	c->ram[REG_CENTURY] = encode(c, (u32)(div_floor(date.year, 100) % 100));
}

/* The time the registers show. The day of the week follows from the date. */
static s64 shown(const struct cmos *c)
{
	u32 month = decode(c, c->ram[REG_MONTH]);
	struct civil date = {
		.year = decode(c, c->ram[REG_CENTURY]) * 100 + decode(c, c->ram[REG_YEAR]),
		.month = month < 1    ? 1
			 : month > 12 ? 12
				      : month,
		.day = decode(c, c->ram[REG_DAY]),
	};

	return days_from_civil(date) * SECS_PER_DAY + decode_hour(c, c->ram[REG_HOUR]) * 3600 +
	       decode(c, c->ram[REG_MINUTE]) * 60 + decode(c, c->ram[REG_SECOND]);
}

/* Make the registers current, unless the guest has stopped them: then they alone count. */
static void update(struct cmos *c, s64 utc_seconds)
{
	s64 seconds = utc_seconds + c->offset;

	if (c->ram[REG_B] & B_SET)
		return;
	show(c, seconds);
	if (seconds != c->last_update)
		c->ram[REG_C] |= C_UF;
	c->last_update = seconds;
}

void cmos_reset(struct cmos *c)
{
	mem_set(c, 0, sizeof(*c));
	c->ram[REG_A] = A_DEFAULT;
	c->ram[REG_B] = B_24H;
	c->ram[REG_D] = D_VALID;
}

u8 cmos_read(struct cmos *c, u16 port, s64 utc_seconds)
{
	u8 value;

	if (!(port & 1))
		return 0xff; /* the index is write-only */
	update(c, utc_seconds);
	value = c->ram[c->index];
	if (c->index == REG_C)
		c->ram[REG_C] = 0;
	return value;
}

static void write_b(struct cmos *c, u8 value, s64 utc_seconds)
{
	bool was_set = c->ram[REG_B] & B_SET;

	c->ram[REG_B] = value;
	if (was_set && !(value & B_SET))
		c->offset = shown(c) - utc_seconds;
}

void cmos_write(struct cmos *c, u16 port, u8 value, s64 utc_seconds)
{
	if (!(port & 1)) {
		c->index = value & 0x7f; /* bit 7 masks the NMI, which nothing raises */
		return;
	}
	update(c, utc_seconds);
	if (c->index == REG_B) {
		write_b(c, value, utc_seconds);
	} else if (c->index == REG_A) {
		c->ram[REG_A] = value & ~A_UIP;
	} else if (c->index != REG_C && c->index != REG_D) {
		c->ram[c->index] = value;
		/* No change of the offset if it was none of the clock's. */
		c->offset = shown(c) - utc_seconds;
	}
}

bool cmos_valid(const struct cmos *c)
{
	/* The registers can say no more than some 17,000 years. */
	const s64 most = 1ll << 41;

	return c->index < sizeof(c->ram) && c->offset <= most && c->offset >= -most;
}
