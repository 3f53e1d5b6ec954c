/*
 * The MC146818 RTC and 128 bytes of CMOS at 0x70-0x71 (Motorola MC146818A datasheet).
 *
 * Time is a wall clock at reset plus TSC; a guest may set its own. Periodic, alarm and update-ended
 * interrupts on IRQ 8; update-in-progress 244 us before each second. BCD and binary, 12 and 24 h.
 * Shared by a partition's vCPUs under its device lock.
 */
#pragma once

#include "hv/bus.h"

struct vrtc {
	uint8_t index;
	uint8_t cmos[128];   /* registers A-D and RAM; time fields are computed */
	int64_t epoch_offset; /* seconds since 1970 at host TSC 0 */
	uint64_t tsc_hz;
	uint64_t epoch_tsc;  /* host TSC at which wall time was epoch */
	int64_t epoch;	     /* seconds since 1970 */
	int64_t frozen;	     /* time while SET (register B bit 7) holds updates */
	uint64_t deadline;   /* host TSC of the next interrupt source, UINT64_MAX: none */
	uint64_t periodic_next, second_next;
	struct irq_sink sink; /* GSI 8 */
};

/* epoch: seconds since 1970 at host TSC `now`; ram_*: sizes told by CMOS 0x15-0x18, 0x30-0x35. */
void vrtc_init(struct vrtc *r, uint64_t tsc_hz, int64_t epoch, uint64_t now, uint64_t ram_below_4g,
	       uint64_t ram_above_4g, struct irq_sink sink);
void vrtc_reset(struct vrtc *r);
static inline uint64_t vrtc_next(const struct vrtc *r)
{
	return r->deadline;
}
void vrtc_run(struct vrtc *r, uint64_t now);
extern const struct vdev_ops vrtc_ops; /* 0x70 size 2, width 1 */

/* Calendar arithmetic, proleptic Gregorian: also used to read the machine's own RTC. */
int64_t vrtc_days(int year, unsigned month, unsigned day); /* since 1970-01-01 */
