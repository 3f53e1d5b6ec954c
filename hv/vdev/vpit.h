/*
 * The 8254 at 0x40-0x43 and port 0x61 (Intel 8254 datasheet; "NMI status and control").
 *
 * Clock 1193182 Hz, derived from the TSC. Counter 0 drives IRQ 0. Counter 1 gives the refresh
 * toggle of port 0x61 bit 4; counter 2 the gate (bit 0) and output (bit 5) of port 0x61. All six
 * modes, latch and read-back commands, BCD. Shared by a partition's vCPUs under its device lock.
 *
 * Time is counted in ticks of the PIT's clock since the TSC was 0, so phases never drift and
 * nothing runs between two accesses. The output of counter 0 is told to the sink only where it
 * rises, or when a command changes it: a fall inside a period costs no exit.
 */
#pragma once

#include "hv/bus.h"
#include "hv/lib/scale.h"

enum { VPIT_HZ = 1193182 };

struct vpit_counter {
	uint8_t mode;	/* 0-5 */
	uint8_t access; /* 1 low, 2 high, 3 low then high */
	bool bcd;
	bool gate;
	bool counting;	      /* a count was loaded since the control word */
	uint32_t period;      /* the count as loaded, 1-65536; 0: none */
	uint32_t next_period; /* written, to be loaded later; 0: none */
	uint64_t load_at;     /* modes 2 and 3: tick at which next_period is loaded */
	uint64_t start;	      /* tick at which the count, or its current period, began */
	uint64_t paused;      /* ticks that were gone when the gate fell */
	bool odd_periods;     /* of the periods that are over */
	bool write_high_next, read_high_next;
	uint8_t write_low;
	bool status_latched;
	uint8_t status_latch;
	uint8_t count_latched; /* bytes of count_latch still to be read */
	uint16_t count_latch;
};

struct vpit {
	struct vpit_counter counter[3];
	uint8_t port61;		 /* bits 0-3 as written */
	bool line;		 /* IRQ 0 as last told */
	struct scale ticks, tsc; /* from TSC to PIT ticks, and back */
	uint64_t rise;		 /* tick of the next rising edge of counter 0's output */
	uint64_t deadline;	 /* host TSC of that edge, UINT64_MAX: none */
	struct irq_sink sink;	 /* GSI 0 */
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
