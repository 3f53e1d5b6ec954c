/*
 * A 16550A UART with FIFOs and interrupts (National PC16550D datasheet).
 *
 * Bytes that the guest sends go into an output ring, which the console CPU empties (one producer at
 * a time under the partition's device lock, one consumer); a full ring holds THRE and TEMT back, so
 * nothing is lost and nobody waits. Input comes through an input ring the other way round.
 *
 * There is no line and no baud rate: a byte is sent at once, and the receive timeout has run out as
 * soon as no more input waits. Break, parity and framing errors do not happen; overrun only in
 * loopback, because input waits in its ring. The modem lines say that a terminal is there.
 */
#pragma once

#include "hv/bus.h"
#include <stdatomic.h>

enum { VUART_OUT = 2048, VUART_IN = 256 }; /* ring sizes, powers of two */

/* Counters run freely; the ring holds head - tail bytes. */
struct vuart_ring {
	_Atomic uint32_t head; /* written by the producer */
	_Atomic uint32_t tail; /* written by the consumer */
};

struct vuart {
	uint8_t ier, lcr, mcr, scr, dll, dlm, fcr;
	uint8_t errors;	   /* LSR bits that a read clears */
	uint8_t msr_delta; /* low half of MSR */
	uint8_t rx[16];
	uint8_t rx_head, rx_count;
	bool thre_pending; /* THRE interrupt armed */
	bool thre_owed;	   /* to be armed when the output ring has room */
	bool irq;	   /* state of the line */
	unsigned gsi;
	struct irq_sink sink;
	/* The output ring got its first byte, or fills up: tell the console CPU. */
	void (*notify)(void *ctx);
	void *ctx;
	_Atomic bool held; /* the guest waits for room in the output ring */
	struct vuart_ring out, in;
	uint8_t out_data[VUART_OUT], in_data[VUART_IN];
};

void vuart_init(struct vuart *u, unsigned gsi, struct irq_sink sink, void (*notify)(void *),
		void *ctx);
/* As RESET#; the rings keep what is on its way. */
void vuart_reset(struct vuart *u);
extern const struct vdev_ops vuart_ops; /* size 8, width 1 */

/*
 * Console side, one CPU, no lock: takes up to n bytes that the guest sent. Returns how many. After
 * a call that returned 0, vuart.notify is sure to be called for the next byte.
 */
unsigned vuart_take(struct vuart *u, uint8_t *buf, unsigned n);
/*
 * Console side, after vuart_take: the guest was held back by a full ring and has room again, so its
 * CPU must call vuart_update. True once per hold.
 */
bool vuart_drained(struct vuart *u);
/* Console side: offers a typed byte. False: the ring is full. The caller then posts the vCPU. */
bool vuart_offer(struct vuart *u, uint8_t byte);
/* Guest side, device lock held: takes typed bytes in, renews THRE, drives the IRQ. */
void vuart_update(struct vuart *u);
