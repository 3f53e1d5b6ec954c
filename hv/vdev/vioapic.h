/*
 * The virtual I/O APIC: 24 pins, id 0 by default, version 0x20 with the EOI register (82093AA
 * datasheet; Intel ICH "I/O APIC").
 *
 * Shared by the vCPUs of a partition; the partition's device lock is held around every call. It
 * sends through apic_bus_send, which only posts, so nothing comes back under the lock.
 *
 * Decided here: inputs are logical (1 asserted), so the polarity bit is kept and has no effect.
 * Fixed and lowest-priority entries may be level-triggered; SMI, NMI, INIT and ExtINT are edges, as
 * the datasheet asks. An edge that comes while its pin is masked is lost.
 */
#pragma once

#include "hv/vdev/vlapic.h"

enum { VIOAPIC_BASE = 0xfec00000u, VIOAPIC_PINS = 24 };

struct vioapic {
	uint32_t id;			    /* register 0: bits 27:24 */
	uint8_t select;			    /* IOREGSEL */
	uint64_t redirection[VIOAPIC_PINS]; /* without the read-only bits */
	uint32_t level;			    /* state of the input pins */
	uint32_t remote_irr; /* pins whose level message was accepted and not EOIed */
	struct apic_bus *bus;
	/* The EOI of a level pin, before its level is looked at again; NULL: nobody asks. */
	void (*eoi)(void *ctx, unsigned pin);
	/* The mask of a pin has changed; NULL: nobody asks. */
	void (*masked)(void *ctx, unsigned pin);
	void *ctx;
};

void vioapic_init(struct vioapic *io, struct apic_bus *bus);
/* The registers; input pins keep the level that their devices drive. */
void vioapic_reset(struct vioapic *io);
/* An input pin changes. An edge pin sends on 0 -> 1, a level pin while 1 and remote IRR is 0. */
void vioapic_set(struct vioapic *io, unsigned pin, bool level);
/* EOI broadcast: clears remote IRR of level pins with this vector, and sends again if still 1. */
void vioapic_eoi(struct vioapic *io, uint8_t vector);
bool vioapic_masked(const struct vioapic *io, unsigned pin);
extern const struct vdev_ops vioapic_ops; /* dev: struct vioapic; 4 KiB, width 4 */
