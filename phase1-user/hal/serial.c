/*
 * A 16550A serial port. Owns what serial.h says; touches nothing but its owner's callbacks.
 */
#include "serial.h"

#include <string.h>

enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR, REG_COUNT };

#define IER_RDI	 0x01
#define IER_THRI 0x02
#define IER_RLSI 0x04
#define IER_MSI	 0x08
#define IER_ALL	 0x0f

/* In the order of their priority, highest first. */
#define IIR_RLSI    0x06
#define IIR_RDI	    0x04
#define IIR_TIMEOUT 0x0c
#define IIR_THRI    0x02
#define IIR_MSI	    0x00
#define IIR_NONE    0x01
#define IIR_FIFO    0xc0

#define FCR_ENABLE   0x01
#define FCR_CLEAR_RX 0x02

#define LCR_DLAB 0x80

#define MCR_DTR	 0x01
#define MCR_RTS	 0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08
#define MCR_LOOP 0x10
#define MCR_ALL	 0x1f

#define LSR_DR	   0x01
#define LSR_OE	   0x02
#define LSR_ERRORS 0x1e
#define LSR_THRE   0x20
#define LSR_TEMT   0x40

#define MSR_TERI  0x04
#define MSR_DELTA 0x0f
#define MSR_CTS	  0x10
#define MSR_DSR	  0x20
#define MSR_RI	  0x40
#define MSR_DCD	  0x80

/* So many reads of LSR in a row are a guest that waits for input without interrupts: an empty
 * transmitter gives it no other reason. */
#define POLLS_TO_LISTEN 4

static unsigned rx_size(const struct serial *s)
{
	return s->fifo ? SERIAL_FIFO : 1;
}

static u8 interrupt_id(const struct serial *s)
{
	if ((s->ier & IER_RLSI) && s->lsr_errors)
		return IIR_RLSI;
	if ((s->ier & IER_RDI) && s->rx_count >= (s->fifo ? s->trigger : 1))
		return IIR_RDI;
	/* No more bytes are on the line, so the character timeout is over at once. */
	if ((s->ier & IER_RDI) && s->rx_count)
		return IIR_TIMEOUT;
	if ((s->ier & IER_THRI) && s->thre_event)
		return IIR_THRI;
	if ((s->ier & IER_MSI) && (s->msr & MSR_DELTA))
		return IIR_MSI;
	return IIR_NONE;
}

/* OUT2 connects the UART to the interrupt line on a PC; in loopback it is disconnected. */
static void update_irq(struct serial *s)
{
	bool level = interrupt_id(s) != IIR_NONE && (s->mcr & MCR_OUT2) && !(s->mcr & MCR_LOOP);

	if (level == s->irq_level)
		return;
	s->irq_level = level;
	s->cfg.irq(s->cfg.opaque, level);
}

static void receive(struct serial *s, u8 byte)
{
	if (s->rx_count == rx_size(s)) {
		s->lsr_errors |= LSR_OE;
		if (!s->fifo) /* the one register is overwritten; a full FIFO keeps its bytes */
			s->rx[s->rx_head] = byte;
		return;
	}
	s->rx[(s->rx_head + s->rx_count++) % SERIAL_FIFO] = byte;
}

static u8 read_data(struct serial *s)
{
	u8 byte = s->rx[s->rx_head];

	if (s->rx_count == 0)
		return 0;
	s->rx_head = (s->rx_head + 1) % SERIAL_FIFO;
	s->rx_count--;
	return byte;
}

static void clear_rx(struct serial *s)
{
	s->rx_head = s->rx_count = 0;
}

void serial_flush(struct serial *s)
{
	size_t n = s->out_used;

	s->out_used = 0;
	if (n)
		s->cfg.out(s->cfg.opaque, s->out, n);
}

static void write_data(struct serial *s, u8 byte)
{
	s->thre_event = true; /* sent already */
	if (s->mcr & MCR_LOOP) {
		receive(s, byte);
		return;
	}
	s->out[s->out_used++] = byte;
	if (byte == '\n' || s->out_used == sizeof(s->out))
		serial_flush(s);
}

static void write_ier(struct serial *s, u8 value)
{
	/* Enabling it while the transmitter is empty raises the interrupt; drivers test this. */
	if (value & ~s->ier & IER_THRI)
		s->thre_event = true;
	s->ier = value & IER_ALL;
}

static void write_fcr(struct serial *s, u8 value)
{
	static const u8 triggers[] = {1, 4, 8, 14};
	bool enable = value & FCR_ENABLE;

	if (enable != s->fifo || (enable && (value & FCR_CLEAR_RX)))
		clear_rx(s);
	s->fifo = enable;
	if (enable)
		s->trigger = triggers[value >> 6];
}

/* The modem lines as the guest sees them now, and which of them have changed. */
static void update_msr(struct serial *s)
{
	u8 lines = MSR_CTS | MSR_DSR | MSR_DCD, changed;

	if (s->mcr & MCR_LOOP)
		lines = (s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) |
			(s->mcr & MCR_OUT1 ? MSR_RI : 0) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0);
	changed = (s->msr ^ lines) >> 4;
	if (lines & MSR_RI) /* only the end of a ring counts */
		changed &= ~MSR_TERI;
	s->msr = lines | (s->msr & MSR_DELTA) | changed;
}

static u8 read_iir(struct serial *s)
{
	u8 id = interrupt_id(s);

	if (id == IIR_THRI)
		s->thre_event = false;
	if (id == IIR_NONE)
		s->found_empty = true;
	return id | (s->fifo ? IIR_FIFO : 0);
}

static u8 read_lsr(struct serial *s)
{
	u8 value = LSR_THRE | LSR_TEMT | s->lsr_errors | (s->rx_count ? LSR_DR : 0);

	s->lsr_errors = 0;
	if (!s->rx_count)
		s->found_empty = true;
	if (s->lsr_polls < POLLS_TO_LISTEN)
		s->lsr_polls++;
	return value;
}

static u8 read_msr(struct serial *s)
{
	u8 value = s->msr;

	s->msr &= ~MSR_DELTA;
	return value;
}

static u8 read_register(struct serial *s, unsigned reg)
{
	bool dlab = s->lcr & LCR_DLAB;

	switch (reg) {
	case REG_DATA:
		return dlab ? s->dll : read_data(s);
	case REG_IER:
		return dlab ? s->dlm : s->ier;
	case REG_IIR_FCR:
		return read_iir(s);
	case REG_LCR:
		return s->lcr;
	case REG_MCR:
		return s->mcr;
	case REG_LSR:
		return read_lsr(s);
	case REG_MSR:
		return read_msr(s);
	default:
		return s->scr;
	}
}

static void write_register(struct serial *s, unsigned reg, u8 value)
{
	bool dlab = s->lcr & LCR_DLAB;

	switch (reg) {
	case REG_DATA:
		if (dlab)
			s->dll = value;
		else
			write_data(s, value);
		break;
	case REG_IER:
		if (dlab)
			s->dlm = value;
		else
			write_ier(s, value);
		break;
	case REG_IIR_FCR:
		write_fcr(s, value);
		break;
	case REG_LCR:
		s->lcr = value;
		break;
	case REG_MCR:
		s->mcr = value & MCR_ALL;
		update_msr(s);
		break;
	case REG_SCR:
		s->scr = value;
		break;
	default: /* LSR and MSR are read-only */
		break;
	}
}

static u64 serial_read(void *opaque, u64 offset, unsigned size)
{
	struct serial *s = opaque;
	u8 value;

	(void)size;
	if (offset != REG_LSR && offset != REG_DATA)
		s->lsr_polls = 0;
	value = read_register(s, offset);
	update_irq(s);
	return value;
}

static void serial_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct serial *s = opaque;

	(void)size;
	s->lsr_polls = 0;
	write_register(s, offset, value);
	update_irq(s);
}

static const struct bus_ops serial_ops = {serial_read, serial_write, 1};

void serial_init(struct serial *s, const struct serial_config *cfg)
{
	memset(s, 0, sizeof(*s));
	s->cfg = *cfg;
	s->dll = 12; /* 9600 baud */
	s->found_empty = true;
	update_msr(s);
	s->msr &= ~MSR_DELTA;
}

bool serial_register(struct serial *s, struct bus *b, u16 base)
{
	return bus_register_io(b, base, REG_COUNT, &serial_ops, s);
}

/* A driver that is setting the port up clears the FIFO, several times, the last time after it has
 * enabled the receive interrupt. It is ready when it also uses the FIFO or says so by RTS; or when
 * it waits for the data-ready bit. */
static bool listening(const struct serial *s)
{
	if ((s->mcr & MCR_LOOP) || (s->lcr & LCR_DLAB))
		return false;
	if (s->lsr_polls >= POLLS_TO_LISTEN)
		return true;
	return (s->ier & IER_RDI) && (s->fifo || (s->mcr & MCR_RTS));
}

size_t serial_room(const struct serial *s)
{
	return listening(s) ? rx_size(s) - s->rx_count : 0;
}

size_t serial_input(struct serial *s, const u8 *data, size_t n)
{
	size_t room = serial_room(s);

	if (n > room)
		n = room;
	for (size_t i = 0; i < n; i++)
		receive(s, data[i]);
	if (n)
		s->found_empty = false;
	update_irq(s);
	return n;
}

/* ---------------------------------------------------------- snapshots ---- */

void serial_save(const struct serial *s, struct byte_writer *w)
{
	const u8 bytes[] = {s->ier, s->lcr, s->mcr,	   s->msr,     s->scr,
			    s->dll, s->dlm, s->lsr_errors, s->trigger, s->lsr_polls};

	bytes_put(w, bytes, sizeof(bytes));
	bytes_put_u8(w, s->fifo);
	bytes_put_u8(w, s->thre_event);
	bytes_put_u8(w, s->irq_level);
	bytes_put_u8(w, s->found_empty);
	bytes_put(w, s->rx, sizeof(s->rx));
	bytes_put_u8(w, s->rx_head);
	bytes_put_u8(w, s->rx_count);
}

bool serial_load(struct serial *s, struct byte_reader *r)
{
	u8 *const bytes[] = {&s->ier, &s->lcr, &s->mcr,	       &s->msr,	    &s->scr,
			     &s->dll, &s->dlm, &s->lsr_errors, &s->trigger, &s->lsr_polls};

	for (unsigned i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++)
		*bytes[i] = bytes_get_u8(r);
	s->fifo = bytes_get_bool(r);
	s->thre_event = bytes_get_bool(r);
	s->irq_level = bytes_get_bool(r);
	s->found_empty = bytes_get_bool(r);
	bytes_get(r, s->rx, sizeof(s->rx));
	s->rx_head = bytes_get_u8(r);
	s->rx_count = bytes_get_u8(r);
	return !r->failed && s->rx_head < SERIAL_FIFO && s->rx_count <= rx_size(s) &&
	       !(s->ier & ~IER_ALL) && !(s->mcr & ~MCR_ALL) && s->trigger <= SERIAL_FIFO &&
	       s->lsr_polls <= POLLS_TO_LISTEN;
}
