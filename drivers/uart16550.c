/*
 * Physical 16550: see uart16550.h. Called by boot/console.c and the console multiplexer.
 */
#include "drivers/uart16550.h"
#include "arch/x86_64/asm.h"

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

enum { IER_RX = BIT(0), IER_THRE = BIT(1), IER_LINE = BIT(2) };
enum { FCR_ENABLE = BIT(0), FCR_CLEAR_RX = BIT(1), FCR_CLEAR_TX = BIT(2), FCR_TRIGGER_8 = 2 << 6 };
enum { LCR_8N1 = 3, LCR_DLAB = BIT(7) };
enum { MCR_DTR = BIT(0), MCR_RTS = BIT(1), MCR_OUT2 = BIT(3), MCR_LOOP = BIT(4) };
enum { LSR_DR = BIT(0), LSR_THRE = BIT(5), LSR_TEMT = BIT(6), LSR_NOTHING = 0xff };

enum {
	DIVISOR_115200 = 1,
	PATIENCE = 200000, /* reads of LSR: a slow emulator sends a byte in some hundred */
};

static bool wait_for(uint16_t port, uint8_t bits)
{
	for (unsigned i = 0; i < PATIENCE; i++) {
		uint8_t lsr = in8(port + LSR);

		if (lsr == LSR_NOTHING) {
			return false;
		}
		if ((lsr & bits) == bits) {
			return true;
		}
	}
	return false;
}

static bool loopback_works(uint16_t port)
{
	static const uint8_t sample[] = {0xae, 0x51};
	bool good = true;

	out8(port + MCR, MCR_LOOP | MCR_RTS);
	for (unsigned i = 0; i < sizeof(sample); i++) {
		out8(port + THR, sample[i]);
		good = good && wait_for(port, LSR_DR) && in8(port + RBR) == sample[i];
	}
	return good;
}

enum uart_health uart_init(uint16_t port)
{
	bool good;

	if (in8(port + LSR) == LSR_NOTHING) {
		return UART_ABSENT;
	}
	uart_drain(port); /* what the firmware still has to say, at its own speed */
	out8(port + IER, 0);
	out8(port + LCR, LCR_DLAB | LCR_8N1);
	out8(port + DLL, DIVISOR_115200);
	out8(port + DLM, 0);
	out8(port + LCR, LCR_8N1);
	out8(port + FCR, FCR_ENABLE | FCR_CLEAR_RX | FCR_CLEAR_TX | FCR_TRIGGER_8);
	good = loopback_works(port);
	out8(port + FCR, FCR_ENABLE | FCR_CLEAR_RX | FCR_CLEAR_TX | FCR_TRIGGER_8);
	out8(port + MCR, MCR_DTR | MCR_RTS | MCR_OUT2);
	return good ? UART_WORKS : UART_SUSPECT;
}

bool uart_ready(uint16_t port)
{
	return in8(port + LSR) & LSR_THRE;
}

unsigned uart_write(uint16_t port, const void *buf, unsigned n)
{
	const uint8_t *bytes = buf;

	if (!uart_ready(port)) {
		return 0;
	}
	n = n < UART_FIFO ? n : UART_FIFO;
	for (unsigned i = 0; i < n; i++) {
		out8(port + THR, bytes[i]);
	}
	return n;
}

int uart_read(uint16_t port)
{
	uint8_t lsr = in8(port + LSR);

	return lsr != LSR_NOTHING && (lsr & LSR_DR) ? in8(port + RBR) : -1;
}

void uart_irq_enable(uint16_t port, bool tx)
{
	out8(port + IER, IER_RX | (tx ? IER_THRE : 0));
}

void uart_irq_disable(uint16_t port)
{
	out8(port + IER, 0);
}

bool uart_put(uint16_t port, const char *s, size_t n)
{
	while (n) {
		unsigned sent;

		if (!wait_for(port, LSR_THRE)) {
			return false;
		}
		sent = uart_write(port, s, n < UART_FIFO ? (unsigned)n : UART_FIFO);
		s += sent;
		n -= sent;
	}
	return true;
}

void uart_drain(uint16_t port)
{
	wait_for(port, LSR_TEMT);
}
