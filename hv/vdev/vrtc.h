/*
 * The MC146818 RTC and 128 bytes of CMOS at 0x70-0x71 (Motorola MC146818A datasheet).
 *
 * Time is a wall clock at reset plus TSC; a guest may set its own. Periodic, alarm and update-ended
 * interrupts on IRQ 8; update-in-progress 244 us before each second. BCD and binary, 12 and 24 h,
 * century in byte 0x32. Shared by a partition's vCPUs under its device lock.
 *
 * Nothing runs while nobody looks: the flags of register C are computed from the time that went by,
 * and only an enabled interrupt whose line is not up yet has a deadline. Not emulated: the square
 * wave output, daylight saving, time bases other than 32768 Hz (they stop the clock).
 */
#pragma once

#include "hv/bus.h"
#include "hv/lib/scale.h"

struct vrtc {
	uint8_t index;
	uint8_t cmos[128]; /* A: without UIP; C: the flags; time: as shown for `rendered` */
	uint64_t tsc_hz;
	struct scale ticks;    /* from TSC to 32768 Hz */
	int64_t time;	       /* seconds since 1970 of the current second */
	int64_t rendered;      /* time that the bytes of cmos show, INT64_MIN: none */
	uint64_t second;       /* counts seconds, also while SET holds `time` */
	uint64_t second_start; /* host TSC */
	uint64_t seen_tick;    /* 32768 Hz tick up to which PF is right */
	bool irq;	       /* state of the line */
	uint64_t deadline;     /* host TSC of the next interrupt, UINT64_MAX: none */
	struct irq_sink sink;  /* GSI 8 */
};

/* epoch: seconds since 1970 at host TSC `now`; ram_*: sizes told by CMOS 0x15-0x18, 0x30-0x35. */
void vrtc_init(struct vrtc *r, uint64_t tsc_hz, int64_t epoch, uint64_t now, uint64_t ram_below_4g,
	       uint64_t ram_above_4g, struct irq_sink sink);
/* As RESET#: interrupts off; time and CMOS RAM stay. */
void vrtc_reset(struct vrtc *r);
static inline uint64_t vrtc_next(const struct vrtc *r)
{
	return r->deadline;
}
void vrtc_run(struct vrtc *r, uint64_t now);
extern const struct vdev_ops vrtc_ops; /* 0x70 size 2, width 1 */

/* Calendar arithmetic, proleptic Gregorian: also used to read the machine's own RTC. */
int64_t vrtc_days(int year, unsigned month, unsigned day); /* since 1970-01-01 */
