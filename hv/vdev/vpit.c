/*
 * The 8254's counters (Intel 8254 datasheet, "Mode Definitions", "Read Operations").
 *
 * Called by the bus and by pc_run, under the device lock. Every access first brings the counter to
 * the present (advance), so that the rest may look at the current period only.
 */
#include "hv/vdev/vpit.h"

enum { COUNTER_0, COUNTER_1, COUNTER_2, CONTROL };

enum { LATCH_COMMAND = 0, LOW_BYTE = 1, HIGH_BYTE = 2, BOTH_BYTES = 3 };
enum { READ_BACK = 3 };
enum { BACK_NO_COUNT = 1 << 5, BACK_NO_STATUS = 1 << 4 };
enum { STATUS_OUT = 1 << 7, STATUS_NULL = 1 << 6 };

enum { P61_GATE2 = 1 << 0, P61_WRITABLE = 0x0f, P61_REFRESH = 1 << 4, P61_OUT2 = 1 << 5 };

enum { REFRESH_PERIOD = 18 }; /* 15 us, as firmware sets counter 1 up */

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

/* Modes 2 and 3: loads what was written meanwhile, and moves start to the current period. */
static void advance(struct vpit_counter *c, uint64_t tick)
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

static bool output(const struct vpit_counter *c, uint64_t tick)
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

/* Tick of the next rising edge that the counter makes by itself, UINT64_MAX when none. */
static uint64_t next_rise(const struct vpit_counter *c, uint64_t tick)
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

static void set_line(struct vpit *p, bool level)
{
	if (level != p->line) {
		p->line = level;
		irq_set(&p->sink, 0, level);
	}
}

static void arm(struct vpit *p, uint64_t tick)
{
	p->rise = next_rise(&p->counter[0], tick);
	p->deadline = p->rise == UINT64_MAX ? UINT64_MAX : scale_deadline(&p->tsc, p->rise);
}

/* Counter 0 was written: its output may have changed at once, and its next edge has. */
static void update_irq(struct vpit *p, uint64_t tick)
{
	set_line(p, output(&p->counter[0], tick));
	arm(p, tick);
}

static void run(struct vpit *p, uint64_t tick)
{
	if (tick < p->rise) {
		return;
	}
	set_line(p, false);
	set_line(p, true);
	advance(&p->counter[0], tick);
	arm(p, tick);
}

void vpit_run(struct vpit *p, uint64_t now)
{
	if (now >= p->deadline) {
		run(p, scale(&p->ticks, now));
	}
}

/* A count goes from the latch into the counter at the next tick. */
static void load(struct vpit_counter *c, uint32_t period, uint64_t tick)
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
		load(c, period, tick);
	} else {
		bool high = c->mode == 3 && elapsed(c, tick) < high_half(c->period);

		c->next_period = period;
		c->load_at = c->start + (high ? high_half(c->period) : c->period);
	}
}

static void write_counter(struct vpit_counter *c, uint8_t v, uint64_t tick)
{
	switch (c->access) {
	case LOW_BYTE: write_count(c, v, tick); break;
	case HIGH_BYTE: write_count(c, (uint16_t)(v << 8), tick); break;
	case BOTH_BYTES:
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

static uint8_t read_counter(struct vpit_counter *c, uint64_t tick)
{
	uint16_t v;
	bool high = c->access == HIGH_BYTE;

	if (c->status_latched) {
		c->status_latched = false;
		return c->status_latch;
	}
	v = c->count_latched ? c->count_latch : count(c, tick);
	if (c->access == BOTH_BYTES) {
		high = c->read_high_next;
		c->read_high_next = !high;
	}
	if (c->count_latched) {
		c->count_latched--;
	}
	return (uint8_t)(high ? v >> 8 : v);
}

static void latch_count(struct vpit_counter *c, uint64_t tick)
{
	if (!c->count_latched) {
		c->count_latch = count(c, tick);
		/* Half read already: only the other half is left of the pair. */
		c->count_latched = c->access == BOTH_BYTES && !c->read_high_next ? 2 : 1;
	}
}

static void latch_status(struct vpit_counter *c, uint64_t tick)
{
	bool null = !c->counting || c->next_period || is_loading(c, tick);

	if (!c->status_latched) {
		c->status_latched = true;
		c->status_latch = (uint8_t)(c->access << 4 | c->mode << 1 | c->bcd);
		c->status_latch |= output(c, tick) ? STATUS_OUT : 0;
		c->status_latch |= null ? STATUS_NULL : 0;
	}
}

static void read_back(struct vpit *p, uint8_t v, uint64_t tick)
{
	for (unsigned i = COUNTER_0; i <= COUNTER_2; i++) {
		if (!(v & 2 << i)) {
			continue;
		}
		advance(&p->counter[i], tick);
		if (!(v & BACK_NO_COUNT)) {
			latch_count(&p->counter[i], tick);
		}
		if (!(v & BACK_NO_STATUS)) {
			latch_status(&p->counter[i], tick);
		}
	}
}

static void write_control(struct vpit *p, uint8_t v, uint64_t tick)
{
	unsigned which = v >> 6, access = v >> 4 & 3, mode = v >> 1 & 7;
	struct vpit_counter *c = &p->counter[which];

	if (which == READ_BACK) {
		read_back(p, v, tick);
		return;
	}
	if (access == LATCH_COMMAND) {
		advance(c, tick);
		latch_count(c, tick);
		return;
	}
	*c = (struct vpit_counter){
		.mode = (uint8_t)(mode > 5 ? mode - 4 : mode), /* modes 6 and 7 are 2 and 3 */
		.access = (uint8_t)access,
		.bcd = v & 1,
		.gate = c->gate,
	};
	if (which == COUNTER_0) {
		update_irq(p, tick);
	}
}

static void access(void *dev, struct bus_access *a)
{
	struct vpit *p = dev;
	uint64_t tick = scale(&p->ticks, a->now);
	unsigned which = a->offset & 3;
	uint8_t v = (uint8_t)a->value;

	run(p, tick);
	if (which == CONTROL) {
		if (a->write) {
			write_control(p, v, tick);
		} else {
			a->value = 0xff; /* write-only */
		}
		return;
	}
	advance(&p->counter[which], tick);
	if (!a->write) {
		a->value = read_counter(&p->counter[which], tick);
		return;
	}
	write_counter(&p->counter[which], v, tick);
	if (which == COUNTER_0) {
		update_irq(p, tick);
	}
}

/* A rising gate starts or restarts the count, a falling one stops it (modes 1, 5: no effect). */
static void set_gate(struct vpit_counter *c, bool gate, uint64_t tick)
{
	uint32_t period = c->next_period ? c->next_period : c->period;

	if (gate == c->gate) {
		return;
	}
	if (!gate) {
		c->paused = elapsed(c, tick);
	} else if (is_triggered(c) || is_periodic(c)) {
		if (period) {
			load(c, period, tick);
		}
	} else {
		c->start = tick - c->paused;
	}
	c->gate = gate;
}

static void access_port61(void *dev, struct bus_access *a)
{
	struct vpit *p = dev;
	struct vpit_counter *refresh = &p->counter[1], *speaker = &p->counter[2];
	uint64_t tick = scale(&p->ticks, a->now);

	advance(speaker, tick);
	if (a->write) {
		p->port61 = (uint8_t)a->value & P61_WRITABLE;
		set_gate(speaker, p->port61 & P61_GATE2, tick);
		return;
	}
	advance(refresh, tick);
	a->value = p->port61;
	a->value |= refresh->odd_periods ? P61_REFRESH : 0;
	a->value |= output(speaker, tick) ? P61_OUT2 : 0;
}

/* Nothing is programmed but the refresh, as firmware leaves it. */
void vpit_reset(struct vpit *p)
{
	for (unsigned i = COUNTER_0; i <= COUNTER_2; i++) {
		p->counter[i] = (struct vpit_counter){.gate = i != COUNTER_2};
	}
	p->counter[1].mode = 2;
	p->counter[1].access = LOW_BYTE;
	load(&p->counter[1], REFRESH_PERIOD, 0);
	p->port61 = 0;
	p->rise = p->deadline = UINT64_MAX;
	set_line(p, false);
}

static void reset(void *dev)
{
	vpit_reset(dev);
}

void vpit_init(struct vpit *p, uint64_t tsc_hz, struct irq_sink sink)
{
	*p = (struct vpit){
		.ticks = scale_make(tsc_hz, VPIT_HZ),
		.tsc = scale_make(VPIT_HZ, tsc_hz),
		.sink = sink,
	};
	vpit_reset(p);
}

const struct vdev_ops vpit_ops = {.name = "pit", .access = access, .reset = reset};
const struct vdev_ops vpit_port61_ops = {.name = "port61", .access = access_port61};
