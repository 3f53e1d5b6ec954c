/*
 * Virtual LAPICs on one bus with a recorder behind it, for the tests of hv/vdev/vlapic*.c,
 * apic_bus.c and vioapic.c. One rig at a time; host TSC is rig.now.
 */
#pragma once

#include "hv/vdev/vioapic.h"

enum { RIG_APICS = 8, RIG_LOG = 4096 };

struct rig {
	struct apic_bus bus;
	struct vlapic lapic[RIG_APICS];
	uint64_t tsc_offset[RIG_APICS];
	uint64_t now;
	/* What the bus asked for, oldest first: "intr 0", "nmi 1", "init 2", "sipi 1 9a", "eoi 31".
	 */
	char log[RIG_LOG];
	struct vioapic *ioapic; /* gets the EOI broadcasts, if there is one */
};

extern struct rig rig;

/* n LAPICs with ids 0.., APs software-enabled too (SVR 0x1ff), all in xAPIC mode. */
void rig_start(unsigned n);
void rig_x2apic(unsigned index); /* moves one into x2APIC mode */
const char *rig_take_log(void);	 /* and empties it; no trailing separator */

uint32_t rig_read(unsigned index, unsigned offset); /* the xAPIC page, 4 bytes */
void rig_write(unsigned index, unsigned offset, uint32_t value);
bool rig_wrmsr(unsigned index, uint32_t msr, uint64_t value);
bool rig_rdmsr_ok(unsigned index, uint32_t msr);
uint64_t rig_rdmsr(unsigned index, uint32_t msr); /* ~0 on #GP */

int rig_pending(unsigned index);
int rig_deliver(unsigned index); /* pending, then ack; -1: none */
/* Empties IRR of all LAPICs; bit n: LAPIC n had exactly this vector. */
uint32_t rig_who(uint8_t vector);
