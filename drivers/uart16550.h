/*
 * Physical 16550 UARTs in ports or memory (National PC16550D datasheet). No state but in the
 * device, so any CPU may call; callers keep each other out.
 */
#pragma once

#include "hv/types.h"

enum { UART_COM1 = 0x3f8, UART_COM2 = 0x2f8, UART_COM3 = 0x3e8, UART_COM4 = 0x2e8 };
enum { UART_REGISTERS = 8, UART_FIFO = 16 };

struct uart {
	volatile uint8_t *mmio; /* NULL: in ports */
	uint16_t port;
	uint8_t stride;	 /* bytes from a register to the next */
	uint8_t width;	 /* bytes of an access to memory: 1, 2 or 4 */
	bool keep_speed; /* its clock is not known: the speed stays what firmware has set */
	uint8_t fifo;	 /* bytes that it takes at once; uart_init finds out */
};

enum uart_health {
	UART_ABSENT,  /* nothing answers */
	UART_SUSPECT, /* something answers, but its loopback does not return what was sent */
	UART_WORKS,
};

/* 115200 8N1, FIFOs on, interrupts off; tests the loopback. */
enum uart_health uart_init(struct uart *u);

/* The transmit FIFO is empty: it takes `fifo` bytes without waiting. */
bool uart_ready(const struct uart *u);
/* A received byte, or -1. */
int uart_read(const struct uart *u);
/* Interrupt on received data and, if tx, when the transmit FIFO has become empty. */
void uart_irq_enable(const struct uart *u, bool tx);
void uart_irq_disable(const struct uart *u);

/* Puts all bytes, waiting for the FIFO for a bounded time. False: the device is stuck. */
bool uart_put(const struct uart *u, const char *s, size_t n);
/* Waits until the last bit is out, for a bounded time. */
void uart_drain(const struct uart *u);
