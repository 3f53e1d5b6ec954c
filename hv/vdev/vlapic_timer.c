/*
 * The timer of the virtual LAPIC: one-shot, periodic and TSC-deadline (Intel SDM vol. 3, "APIC
 * Timer").
 *
 * Callers: vlapic_regs.c for registers, the run loop through vlapic_timer_next and
 * vlapic_timer_run; owner CPU only. The whole state is one host TSC, timer_due: counts are shifts
 * of what is left until then. A masked timer runs on without waking anybody; what it missed is made
 * up when somebody looks, so every entry point first settles what was due.
 */
#include "hv/vdev/vlapic_regs.h"

#define NEVER UINT64_MAX

enum { OWED_MAX = 1000 };

/* Divide Configuration Register: bits 3, 1, 0 count from divide by 2; 7 is divide by 1. */
static unsigned divide_shift(uint8_t divide)
{
	return (((divide >> 1 & 4) | (divide & 3)) + 1) & 7;
}

static uint64_t counts_to_tsc(const struct vlapic *a, uint32_t counts)
{
	return (uint64_t)counts << a->timer_shift;
}

static void set_due(struct vlapic *a, uint64_t due)
{
	a->timer_due = due;
	a->timer_deadline = a->lvt[LVT_TIMER] & LVT_MASKED ? NEVER : due;
	a->timer_moved = true;
}

/*
 * Ticks that came late because the machine was elsewhere (an emulator's host, SMM): a real timer
 * would have sent each, so each goes out as soon as the one before is ended, and none is lost.
 * Ticks that the guest itself holds back merge in IRR, as in hardware: for those this is called in
 * time.
 */
static void owe(struct vlapic *a, uint64_t ticks)
{
	uint64_t owed = a->timer_owed + ticks;

	a->timer_owed = owed < OWED_MAX ? (uint32_t)owed : OWED_MAX;
}

/* A guest that chose a tiny period would spend all its time in exits, and could not take it back.
 */
static void keep_gap(struct vlapic *a, uint64_t now)
{
	if (a->timer_deadline < now + a->bus->timer_gap) {
		a->timer_deadline = now + a->bus->timer_gap;
	}
}

void vlapic_timer_pay(struct vlapic *a)
{
	a->timer_paying = a->timer_owed > 0;
	if (a->timer_owed) {
		a->timer_owed--;
		vlapic_local(a, a->lvt[LVT_TIMER] & LVT_VECTOR);
	}
}

/*
 * The end of a count at or before now. The phase of a periodic timer stays. The division is for one
 * that is late by more than a period.
 */
static void expire(struct vlapic *a, uint64_t now)
{
	uint32_t lvt = a->lvt[LVT_TIMER];

	if ((lvt & (LVT_PERIODIC | LVT_TSC_DEADLINE)) == LVT_PERIODIC) {
		uint64_t period = counts_to_tsc(a, a->timer_initial);
		uint64_t late = now - a->timer_due;
		uint64_t missed = late < period ? 0 : late / period;

		set_due(a, a->timer_due + period + missed * period);
		if (!(lvt & LVT_MASKED)) {
			if (period >= a->bus->timer_gap) { /* else it is us who are slow */
				owe(a, missed + a->timer_paying);
			}
			keep_gap(a, now);
		}
	} else {
		a->tsc_deadline = 0;
		set_due(a, NEVER);
	}
	if (!(lvt & LVT_MASKED)) {
		vlapic_local(a, lvt & LVT_VECTOR);
	}
}

static void settle(struct vlapic *a, uint64_t now)
{
	if (now >= a->timer_due) {
		expire(a, now);
	}
}

void vlapic_timer_run(struct vlapic *a, uint64_t now)
{
	if (now >= a->timer_deadline) {
		expire(a, now);
	}
}

static void stop(struct vlapic *a)
{
	a->timer_initial = 0;
	a->tsc_deadline = 0;
	a->timer_owed = 0;
	a->timer_paying = false;
	set_due(a, NEVER);
}

void vlapic_timer_reset(struct vlapic *a)
{
	a->timer_divide = 0;
	a->timer_shift = (uint8_t)(a->bus->timer_shift + divide_shift(0));
	stop(a);
}

/* Into and out of TSC-deadline mode the timer is disarmed; one-shot and periodic share a count. */
void vlapic_timer_write_lvt(struct vlapic *a, uint32_t value, uint64_t now)
{
	uint32_t changed = a->lvt[LVT_TIMER] ^ value;

	settle(a, now);
	a->lvt[LVT_TIMER] = value;
	if ((value & (LVT_MASKED | LVT_PERIODIC)) != LVT_PERIODIC) {
		a->timer_owed = 0; /* a timer that is masked or beats no more sends nothing late */
		a->timer_paying = false;
	}
	if (changed & LVT_TSC_DEADLINE) {
		stop(a);
	} else {
		set_due(a, a->timer_due);
	}
}

void vlapic_timer_write_initial(struct vlapic *a, uint32_t value, uint64_t now)
{
	if (a->lvt[LVT_TIMER] & LVT_TSC_DEADLINE) {
		return;
	}
	settle(a, now);
	a->timer_initial = value;
	a->timer_owed = 0;
	a->timer_paying = false;
	set_due(a, value ? now + counts_to_tsc(a, value) : NEVER);
}

uint32_t vlapic_timer_current(struct vlapic *a, uint64_t now)
{
	settle(a, now);
	if (a->timer_due == NEVER || (a->lvt[LVT_TIMER] & LVT_TSC_DEADLINE)) {
		return 0;
	}
	return (uint32_t)((a->timer_due - now + BIT(a->timer_shift) - 1) >> a->timer_shift);
}

/* A count under way goes on from where it is at the new rate. */
void vlapic_timer_write_divide(struct vlapic *a, uint32_t value, uint64_t now)
{
	uint8_t shift = (uint8_t)(a->bus->timer_shift + divide_shift((uint8_t)value));
	uint32_t left = vlapic_timer_current(a, now);
	bool changed = shift != a->timer_shift;

	a->timer_divide = value & 0xb;
	a->timer_shift = shift;
	if (left && changed) {
		set_due(a, now + counts_to_tsc(a, left));
	}
}

/* A deadline in the past fires at once; one beyond the range of the host's TSC never comes. */
static void arm_deadline(struct vlapic *a, uint64_t now)
{
	uint64_t guest_now = now + *a->tsc_offset, due;

	if (a->tsc_deadline <= guest_now) {
		a->timer_due = now;
		expire(a, now);
	} else {
		due = now + (a->tsc_deadline - guest_now);
		set_due(a, due < now ? NEVER : due);
	}
}

uint64_t vlapic_timer_read_deadline(struct vlapic *a, uint64_t now)
{
	settle(a, now);
	return a->tsc_deadline;
}

void vlapic_timer_write_deadline(struct vlapic *a, uint64_t value, uint64_t now)
{
	if (!(a->lvt[LVT_TIMER] & LVT_TSC_DEADLINE)) {
		return;
	}
	settle(a, now);
	a->tsc_deadline = value;
	if (value) {
		arm_deadline(a, now);
	} else {
		set_due(a, NEVER);
	}
}

void vlapic_timer_rebase(struct vlapic *a, uint64_t now)
{
	if (a->tsc_deadline) {
		arm_deadline(a, now);
	}
}
