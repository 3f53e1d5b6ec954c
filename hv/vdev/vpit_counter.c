/*
 * One counter of the 8254 (Intel 8254 datasheet, "Mode Definitions", "Read Operations").
 *
 * Pure arithmetic on PIT ticks, called by vpit.c, which owns the counters.
 */
#include "hv/vdev/vpit_counter.h"

enum { STATUS_OUT = 1 << 7, STATUS_NULL = 1 << 6 };

static bool is_periodic(const struct vpit_counter *c)
{
	return c->mode == 2 || c->mode == 3;
}

/* Modes 1 and 5: the count starts at a rising gate, and a falling one does not stop it. */
static bool is_triggered(const struct vpit_counter *c)
{
	return c->mode == 1 || c->mode == 5;
}

/* Ticks compare by their distance, as the first period may have begun before the TSC was 0. */
static bool is_loading(const struct vpit_counter *c, uint64_t tick)
{
	return (int64_t)(tick - c->start) < 0;
}

static uint64_t elapsed(const struct vpit_counter *c, uint64_t tick)
{
	if (!c->gate && !is_triggered(c)) {
		return c->paused;
	}
	return is_loading(c, tick) ? 0 : tick - c->start;
}

/* Mode 3: ticks of a period during which the output is high. */
static uint32_t high_half(uint32_t period)
{
	return (period + 1) / 2;
}

void vpit_counter_advance(struct vpit_counter *c, uint64_t tick)
{
	uint64_t gone, periods;

	if (!c->counting || !c->gate || !is_periodic(c)) {
		return;
	}
	if (c->next_period && tick >= c->load_at) {
		bool half = c->load_at - c->start < c->period;

		c->odd_periods ^= !half;
		c->start = half ? c->load_at - high_half(c->next_period) : c->load_at;
		c->period = c->next_period;
		c->next_period = 0;
	}
	gone = elapsed(c, tick);
	if (gone >= c->period) {
		periods = gone < 2 * c->period ? 1 : gone / c->period;
		c->start += periods * c->period;
		c->odd_periods ^= periods & 1;
	}
}

bool vpit_counter_output(const struct vpit_counter *c, uint64_t tick)
{
	uint64_t gone = elapsed(c, tick);

	if (!c->counting || is_loading(c, tick)) {
		return c->mode != 0;
	}
	switch (c->mode) {
	case 0:
	case 1: return gone >= c->period;
	case 2: return !c->gate || gone + 1 != c->period || c->period == 1;
	case 3: return !c->gate || gone < high_half(c->period);
	default: return gone != c->period;
	}
}

static uint16_t to_bcd(uint32_t v)
{
	return (uint16_t)(v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12);
}

static uint32_t from_bcd(uint16_t v)
{
	return (v & 0xfu) + (v >> 4 & 0xfu) * 10 + (v >> 8 & 0xfu) * 100 + (v >> 12) * 1000u;
}

/* The counting element. It wraps after the terminal count in the modes that do not reload. */
static uint16_t count(const struct vpit_counter *c, uint64_t tick)
{
	uint64_t gone = elapsed(c, tick);
	uint32_t v;

	if (!c->counting) {
		return 0;
	}
	if (c->mode == 3) {
		uint32_t half = high_half(c->period);

		v = (c->period & ~1u) - 2 * (uint32_t)(gone < half ? gone : gone - half);
	} else if (c->bcd) {
		v = c->period + 20000 - (uint32_t)(gone % 10000);
	} else {
		v = c->period - (uint32_t)gone;
	}
	return c->bcd ? to_bcd(v % 10000) : (uint16_t)v;
}

uint64_t vpit_counter_next_rise(const struct vpit_counter *c, uint64_t tick)
{
	uint64_t at = c->start + c->period;

	if (!c->counting || !c->gate) {
		return UINT64_MAX;
	}
	switch (c->mode) {
	case 0: break;
	case 2:
	case 3:
		if (c->period == 1) {
			return UINT64_MAX; /* not a legal count: the output stays high */
		}
		if (c->next_period && c->load_at < at) {
			at = c->load_at + c->next_period / 2;
		}
		return at;
	case 4: at++; break;
	default: return UINT64_MAX; /* counter 0 has no gate to trigger it */
	}
	return at > tick ? at : UINT64_MAX;
}

void vpit_counter_load(struct vpit_counter *c, uint32_t period, uint64_t tick)
{
	c->period = period;
	c->next_period = 0;
	c->start = tick + 1;
	c->paused = 0;
	c->counting = true;
}

static void write_count(struct vpit_counter *c, uint16_t v, uint64_t tick)
{
	uint32_t period = c->bcd ? from_bcd(v) : v;

	if (!period) {
		period = c->bcd ? 10000 : 65536;
	}
	if (is_triggered(c)) {
		c->next_period = period;
	} else if (!is_periodic(c) || !c->counting) {
		vpit_counter_load(c, period, tick);
	} else {
		bool high = c->mode == 3 && elapsed(c, tick) < high_half(c->period);

		c->next_period = period;
		c->load_at = c->start + (high ? high_half(c->period) : c->period);
	}
}

void vpit_counter_write(struct vpit_counter *c, uint8_t v, uint64_t tick)
{
	switch (c->access) {
	case PIT_LOW_BYTE: write_count(c, v, tick); break;
	case PIT_HIGH_BYTE: write_count(c, (uint16_t)(v << 8), tick); break;
	case PIT_BOTH_BYTES:
		if (c->write_high_next) {
			write_count(c, (uint16_t)(v << 8 | c->write_low), tick);
		} else {
			c->write_low = v;
			/* In mode 0 the first byte stops the count and takes the output down. */
			c->counting = c->counting && c->mode != 0;
		}
		c->write_high_next = !c->write_high_next;
		break;
	default: break; /* no control word yet */
	}
}

uint8_t vpit_counter_read(struct vpit_counter *c, uint64_t tick)
{
	uint16_t v;
	bool high = c->access == PIT_HIGH_BYTE;

	if (c->status_latched) {
		c->status_latched = false;
		return c->status_latch;
	}
	v = c->count_latched ? c->count_latch : count(c, tick);
	if (c->access == PIT_BOTH_BYTES) {
		high = c->read_high_next;
		c->read_high_next = !high;
	}
	if (c->count_latched) {
		c->count_latched--;
	}
	return (uint8_t)(high ? v >> 8 : v);
}

void vpit_counter_latch_count(struct vpit_counter *c, uint64_t tick)
{
	if (!c->count_latched) {
		c->count_latch = count(c, tick);
		/* Half read already: only the other half is left of the pair. */
		c->count_latched = c->access == PIT_BOTH_BYTES && !c->read_high_next ? 2 : 1;
	}
}

void vpit_counter_latch_status(struct vpit_counter *c, uint64_t tick)
{
	bool null = !c->counting || c->next_period || is_loading(c, tick);

	if (!c->status_latched) {
		c->status_latched = true;
		c->status_latch = (uint8_t)(c->access << 4 | c->mode << 1 | c->bcd);
		c->status_latch |= vpit_counter_output(c, tick) ? STATUS_OUT : 0;
		c->status_latch |= null ? STATUS_NULL : 0;
	}
}

void vpit_counter_set_gate(struct vpit_counter *c, bool gate, uint64_t tick)
{
	uint32_t period = c->next_period ? c->next_period : c->period;

	if (gate == c->gate) {
		return;
	}
	if (!gate) {
		c->paused = elapsed(c, tick);
	} else if (is_triggered(c) || is_periodic(c)) {
		if (period) {
			vpit_counter_load(c, period, tick);
		}
	} else {
		c->start = tick - c->paused;
	}
	c->gate = gate;
}
