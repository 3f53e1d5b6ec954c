/*
 * Physical 16550: see uart16550.h. Pure but for host.h. Called by boot/console.c.
 */
#include "drivers/uart16550.h"
#include "hv/host.h"

enum uart_register {
	RBR = 0, /* read */
	THR = 0, /* write */
	DLL = 0, /* DLAB */
	IER = 1,
	DLM = 1, /* DLAB */
	IIR = 2, /* read */
	FCR = 2, /* write */
	LCR = 3,
	MCR = 4,
	LSR = 5,
	SCR = 7,
};

enum { IER_RX = BIT(0), IER_THRE = BIT(1) };
enum { FCR_ENABLE = BIT(0), FCR_CLEAR_RX = BIT(1), FCR_CLEAR_TX = BIT(2), FCR_TRIGGER_8 = 2 << 6 };
enum { IIR_FIFO = 3 << 6 }; /* both bits: one that works; a 16450 and the first 16550 have none */
enum { LCR_8N1 = 3, LCR_DLAB = BIT(7) };
enum { MCR_DTR = BIT(0), MCR_RTS = BIT(1), MCR_OUT2 = BIT(3), MCR_LOOP = BIT(4) };
enum { LSR_DR = BIT(0), LSR_THRE = BIT(5), LSR_TEMT = BIT(6), LSR_NOTHING = 0xff };

enum {
	DIVISOR_115200 = 1,
	PATIENCE = 200000, /* reads of LSR: a slow emulator sends a byte in some hundred */
};

static uint8_t get(const struct uart *u, enum uart_register r)
{
	unsigned at = (unsigned)r * u->stride;

	return u->mmio ? (uint8_t)host_mmio_read(u->mmio + at, u->width)
		       : (uint8_t)host_in((uint16_t)(u->port + at), 1);
}

static void set(const struct uart *u, enum uart_register r, unsigned value)
{
	unsigned at = (unsigned)r * u->stride;

	if (u->mmio) {
		host_mmio_write(u->mmio + at, u->width, value);
	} else {
		host_out((uint16_t)(u->port + at), 1, value);
	}
}

static bool wait_for(const struct uart *u, uint8_t bits)
{
	for (unsigned i = 0; i < PATIENCE; i++) {
		uint8_t lsr = get(u, LSR);

		if (lsr == LSR_NOTHING) {
			return false;
		}
		if ((lsr & bits) == bits) {
			return true;
		}
	}
	return false;
}

static bool loopback_works(const struct uart *u)
{
	static const uint8_t sample[] = {0xae, 0x51};
	bool good = true;

	set(u, MCR, MCR_LOOP | MCR_RTS);
	for (unsigned i = 0; i < sizeof(sample); i++) {
		set(u, THR, sample[i]);
		good = good && wait_for(u, LSR_DR) && get(u, RBR) == sample[i];
	}
	return good;
}

enum uart_health uart_init(struct uart *u)
{
	bool good;

	if (get(u, LSR) == LSR_NOTHING) {
		return UART_ABSENT;
	}
	uart_drain(u); /* what the firmware still has to say, at its own speed */
	set(u, IER, 0);
	if (!u->keep_speed) {
		set(u, LCR, LCR_DLAB | LCR_8N1);
		set(u, DLL, DIVISOR_115200);
		set(u, DLM, 0);
	}
	set(u, LCR, LCR_8N1);
	set(u, FCR, FCR_ENABLE | FCR_CLEAR_RX | FCR_CLEAR_TX | FCR_TRIGGER_8);
	u->fifo = (get(u, IIR) & IIR_FIFO) == IIR_FIFO ? UART_FIFO : 1;
	good = loopback_works(u);
	set(u, FCR, FCR_ENABLE | FCR_CLEAR_RX | FCR_CLEAR_TX | FCR_TRIGGER_8);
	set(u, MCR, MCR_DTR | MCR_RTS | MCR_OUT2);
	return good ? UART_WORKS : UART_SUSPECT;
}

bool uart_ready(const struct uart *u)
{
	return get(u, LSR) & LSR_THRE;
}

int uart_read(const struct uart *u)
{
	uint8_t lsr = get(u, LSR);

	return lsr != LSR_NOTHING && (lsr & LSR_DR) ? get(u, RBR) : -1;
}

void uart_irq_enable(const struct uart *u, bool tx)
{
	set(u, IER, IER_RX | (tx ? IER_THRE : 0));
}

void uart_irq_disable(const struct uart *u)
{
	set(u, IER, 0);
}

bool uart_put(const struct uart *u, const char *s, size_t n)
{
	while (n) {
		size_t part = n < u->fifo ? n : u->fifo;

		if (!wait_for(u, LSR_THRE)) {
			return false;
		}
		for (n -= part; part; part--) {
			set(u, THR, (uint8_t)*s++);
		}
	}
	return true;
}

void uart_drain(const struct uart *u)
{
	wait_for(u, LSR_TEMT);
}
