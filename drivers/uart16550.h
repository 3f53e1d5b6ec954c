/*
 * Physical 16550 UARTs by base port (National PC16550D datasheet). No state but in the device, so
 * any CPU may call; callers keep each other out.
 */
#pragma once

#include "hv/types.h"

enum { UART_COM1 = 0x3f8, UART_COM2 = 0x2f8, UART_COM3 = 0x3e8, UART_COM4 = 0x2e8 };

enum uart_health {
	UART_ABSENT,  /* nothing answers */
	UART_SUSPECT, /* something answers, but its loopback does not return what was sent */
	UART_WORKS,
};

/* 115200 8N1, FIFOs on, interrupts off; tests the loopback. */
enum { UART_FIFO = 16 };

enum uart_health uart_init(uint16_t port);

/* The transmit FIFO is empty: it takes UART_FIFO bytes without waiting. */
bool uart_ready(uint16_t port);
/* Puts as many bytes as the transmit FIFO takes without waiting; returns how many. */
unsigned uart_write(uint16_t port, const void *buf, unsigned n);
/* A received byte, or -1. */
int uart_read(uint16_t port);
/* Interrupt on received data and, if tx, when the transmit FIFO has become empty. */
void uart_irq_enable(uint16_t port, bool tx);
void uart_irq_disable(uint16_t port);

/* Puts all bytes, waiting for the FIFO for a bounded time. False: the device is stuck. */
bool uart_put(uint16_t port, const char *s, size_t n);
/* Waits until the last bit is out, for a bounded time. */
void uart_drain(uint16_t port);
