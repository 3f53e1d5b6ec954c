/*
 * The 8259A pair at 0x20, 0xa0 with ELCR at 0x4d0 (Intel 8259A datasheet; PIIX3 "ELCR").
 *
 * Shared by a partition's vCPUs under its device lock. As in a PC, ELCR decides between edge and
 * level input by input, and LTIM of ICW1 is ignored. An edge input that falls before it was
 * acknowledged takes its request back. Not emulated: 8080 mode (ICW4 bit 0 clear), buffered mode.
 */
#pragma once

#include "hv/bus.h"

struct vpic_chip {
	uint8_t irr, imr, isr; /* request, mask, in service */
	uint8_t line;	       /* state of the inputs */
	uint8_t elcr;	       /* level-triggered inputs */
	uint8_t base;	       /* ICW2 */
	uint8_t icw_next;      /* ICW expected next at the odd port, 0: none */
	uint8_t top;	       /* input of highest priority (rotation) */
	bool icw4, single, read_isr, poll, special_mask, auto_eoi, rotate_auto, fully_nested;
};

struct vpic {
	struct vpic_chip chip[2]; /* master, slave */
	bool output;		  /* INTR pin of the master */
	/* The output rose or fell. */
	void (*intr)(void *ctx, bool level);
	/* EOI of a level-triggered input, before its level is looked at again; NULL: nobody. */
	void (*eoi)(void *ctx, unsigned irq);
	/* The mask of an input has changed; NULL: nobody asks. */
	void (*masked)(void *ctx, unsigned irq);
	void *ctx;
};

void vpic_init(struct vpic *p, void (*intr)(void *ctx, bool level), void *ctx);
/* As firmware leaves the pair: everything masked and edge-triggered. The inputs stay as driven. */
void vpic_reset(struct vpic *p);
void vpic_set(struct vpic *p, unsigned irq, bool level);
bool vpic_masked(const struct vpic *p, unsigned irq);
/* INTA cycle: the vector, spurious IRQ 7 / 15 rules included. */
uint8_t vpic_ack(struct vpic *p);
/* dev: struct vpic. Claims: 0x20 size 2 (master), 0xa0 size 2 (slave), 0x4d0 size 2; width 1. */
extern const struct vdev_ops vpic_master_ops, vpic_slave_ops, vpic_elcr_ops;
