/*
 * The 8254 at 0x40-0x43 and port 0x61 (Intel 8254 datasheet; "NMI status and control").
 *
 * Clock 1193182 Hz, derived from the TSC. Counter 0 drives IRQ 0. Counter 1 gives the refresh toggle
 * of port 0x61 bit 4; counter 2 the gate (bit 0) and output (bit 5) of port 0x61. All six modes,
 * latch and read-back commands, BCD. Shared by a partition's vCPUs under its device lock.
 */
#pragma once

#include "hv/bus.h"

enum { VPIT_HZ = 1193182 };

struct vpit_counter {
	uint16_t reload;     /* 0 counts 65536 (10000 in BCD) */
	uint8_t mode;	     /* 0-5 */
	uint8_t access;	     /* 1 low, 2 high, 3 low then high */
	bool bcd;
	bool gate;
	bool write_high_next, read_high_next;
	uint8_t write_low;
	bool null_count;     /* written but not loaded */
	bool loaded;
	bool status_latched, count_latched;
	uint8_t status_latch;
	uint16_t count_latch;
	uint8_t count_latch_bytes;
	uint64_t start;	     /* host TSC when counting began from reload */
	uint64_t paused;     /* ticks gone when the gate fell */
};

struct vpit {
	struct vpit_counter counter[3];
	uint8_t port61; /* bits 0-1 as written */
	uint64_t tsc_hz;
	uint64_t deadline;   /* host TSC of the next edge of counter 0's output, UINT64_MAX: none */
	struct irq_sink sink; /* GSI 0 */
};

void vpit_init(struct vpit *p, uint64_t tsc_hz, struct irq_sink sink);
void vpit_reset(struct vpit *p);
static inline uint64_t vpit_next(const struct vpit *p)
{
	return p->deadline;
}
/* Drives IRQ 0 for what is due at `now`. Missed periods collapse into one edge per call. */
void vpit_run(struct vpit *p, uint64_t now);
extern const struct vdev_ops vpit_ops;	      /* 0x40 size 4, width 1 */
extern const struct vdev_ops vpit_port61_ops; /* 0x61 size 1, width 1 */
